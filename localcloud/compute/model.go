package compute

import (
	"slices"
	"time"

	"github.com/octavo-lb/octavo/localcloud/state"
)

// Status is a server's status as Nova shows it.
type Status string

// The statuses that servers here have.
const (
	Build   Status = "BUILD"
	Active  Status = "ACTIVE"
	Shutoff Status = "SHUTOFF"
	Failed  Status = "ERROR"
)

// server is one server's record. Stopped and Deleting are what is wanted, Status and Fault what was made of it.
type server struct {
	ID        string            `json:"id"`
	Name      string            `json:"name"`
	Text      *string           `json:"description"`
	Tags      []string          `json:"tags"`
	ProjectID string            `json:"project_id"`
	UserID    string            `json:"user_id"`
	ImageID   string            `json:"image_id"`
	VolumeID  string            `json:"volume_id"` // that it boots from, empty for none
	Program   string            `json:"program"`
	FlavorID  string            `json:"flavor_id"`
	KeyName   string            `json:"key_name"`
	Zone      string            `json:"zone"`
	GroupID   string            `json:"group_id"`
	Metadata  map[string]string `json:"metadata"`
	UserData  []byte            `json:"user_data"`
	Status    Status            `json:"status"`
	Fault     string            `json:"fault"`
	Stopped   bool              `json:"stopped"`
	Deleting  bool              `json:"deleting"`
	Nics      []nic             `json:"nics"`
	Created   time.Time         `json:"created"`
	Updated   time.Time         `json:"updated"`
	Launched  *time.Time        `json:"launched"`
}

func (server) Kind() string  { return "compute.server" }
func (s server) Key() string { return s.ID }

// nic is one interface of a server. Its number never changes: the link is called after it.
type nic struct {
	Number  int         `json:"number"`
	Request PortRequest `json:"request"`
	PortID  string      `json:"port_id"` // empty until the port is there
}

func (s *server) nextNic() int {
	n := 0
	for _, nic := range s.Nics {
		n = max(n, nic.Number+1)
	}
	return n
}

// portIDs are the ports that the server has so far.
func (s *server) portIDs() []string {
	var ids []string
	for _, nic := range s.Nics {
		if nic.PortID != "" {
			ids = append(ids, nic.PortID)
		}
	}
	return ids
}

func (s *server) nicOf(portID string) int {
	return slices.IndexFunc(s.Nics, func(n nic) bool { return n.PortID == portID })
}

// Flavor is a flavor as Nova's API has it.
type Flavor struct {
	ID          string            `json:"id"`
	Name        string            `json:"name"`
	RAM         int               `json:"ram"`
	VCPUs       int               `json:"vcpus"`
	Disk        int               `json:"disk"`
	Public      bool              `json:"os-flavor-access:is_public"`
	Description *string           `json:"description"`
	Extra       map[string]string `json:"extra_specs"`
}

// Kind implements state.Object.
func (Flavor) Kind() string { return "compute.flavor" }

// Key implements state.Object.
func (f Flavor) Key() string { return f.ID }

type keypair struct {
	Name        string    `json:"name"`
	UserID      string    `json:"user_id"`
	PublicKey   string    `json:"public_key"`
	Fingerprint string    `json:"fingerprint"`
	Type        string    `json:"type"`
	Created     time.Time `json:"created_at"`
}

func (keypair) Kind() string  { return "compute.keypair" }
func (k keypair) Key() string { return k.UserID + "/" + k.Name }

type group struct {
	ID        string   `json:"id"`
	Name      string   `json:"name"`
	Policies  []string `json:"policies"`
	ProjectID string   `json:"project_id"`
	UserID    string   `json:"user_id"`
}

func (group) Kind() string  { return "compute.group" }
func (g group) Key() string { return g.ID }

// change updates a server's record; state.ErrNotFound when it is gone.
func (s *Service) change(id string, f func(*server)) error {
	return s.State.Update(func(tx *state.Tx) error {
		v, err := state.Get[server](tx, id)
		if err != nil {
			return err
		}
		f(&v)
		v.Updated = s.Clock().UTC()
		return tx.Put(v)
	})
}
