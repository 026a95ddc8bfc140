package keymanager

import (
	"slices"
	"time"

	"github.com/octavo-lb/octavo/localcloud/httpx"
	"github.com/octavo-lb/octavo/localcloud/state"
)

// object is what secrets and containers have in common.
type object struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	ProjectID string    `json:"project_id"`
	CreatorID string    `json:"creator_id"`
	Created   time.Time `json:"created"`
	Updated   time.Time `json:"updated"`
	ACL       *acl      `json:"acl"`
}

// acl says who may read besides the creator. Without one the whole project may.
type acl struct {
	Users         []string  `json:"users"`
	ProjectAccess bool      `json:"project_access"`
	Created       time.Time `json:"created"`
	Updated       time.Time `json:"updated"`
}

// secret is a payload and what is known of it.
type secret struct {
	object
	Type        string     `json:"secret_type"`
	Algorithm   *string    `json:"algorithm"`
	BitLength   *int       `json:"bit_length"`
	Mode        *string    `json:"mode"`
	Expiration  *time.Time `json:"expiration"`
	ContentType string     `json:"content_type"` // empty until there is a payload
	Sealed      []byte     `json:"sealed"`
}

// container gives secrets names in a whole, such as a certificate and its key.
type container struct {
	object
	Type      string     `json:"type"`
	Secrets   []member   `json:"secrets"`
	Consumers []consumer `json:"consumers"`
}

// consumer is something that uses a container; it does not keep the container from being deleted.
type consumer struct {
	Name string `json:"name"`
	URL  string `json:"URL"`
}

type member struct {
	Name     string `json:"name"`
	SecretID string `json:"secret_id"`
}

func (secret) Kind() string     { return "keymanager.secret" }
func (s secret) Key() string    { return s.ID }
func (container) Kind() string  { return "keymanager.container" }
func (c container) Key() string { return c.ID }

// readable: by the creator, by the project unless it was shut out, by those on the list. An admin of another project has
// no rights here, as in Barbican.
func (o *object) readable(who httpx.Caller) bool {
	if o.ACL != nil && slices.Contains(o.ACL.Users, who.UserID) {
		return true
	}
	return o.changeable(who)
}

// changeable: by the creator and by the project's admins; by other members of the project unless they were shut out.
func (o *object) changeable(who httpx.Caller) bool {
	if who.ProjectID == "" || who.ProjectID != o.ProjectID {
		return false
	}
	return o.ACL == nil || o.ACL.ProjectAccess || who.UserID == o.CreatorID || who.IsAdmin
}

func (s *Service) expired(o *secret) bool {
	return o.Expiration != nil && !s.opts.Clock().Before(*o.Expiration)
}

// mayCreate keeps those out who are in the project to look only.
func mayCreate(who httpx.Caller) error {
	if who.ProjectID == "" || !who.Has("admin", "creator", "member") {
		return httpx.Forbidden("", "You are not authorized to store secrets in this project.")
	}
	return nil
}

// secret answers a secret that the caller may read: 404 when there is none, 403 when it is not the caller's business, which
// tells that it exists, as Barbican does.
func (s *Service) secret(r state.Reader, id string, who httpx.Caller, allowed func(*object, httpx.Caller) bool) (secret, error) {
	o, err := state.Get[secret](r, id)
	if err != nil || s.expired(&o) {
		return o, httpx.NotFound("", "There is no secret %s.", id)
	}
	if !allowed(&o.object, who) {
		return o, httpx.Forbidden("", "You are not authorized to use secret %s.", id)
	}
	return o, nil
}

func (s *Service) container(r state.Reader, id string, who httpx.Caller, allowed func(*object, httpx.Caller) bool) (container, error) {
	o, err := state.Get[container](r, id)
	if err != nil {
		return o, httpx.NotFound("", "There is no container %s.", id)
	}
	if !allowed(&o.object, who) {
		return o, httpx.Forbidden("", "You are not authorized to use container %s.", id)
	}
	return o, nil
}

// edit changes what secrets and containers have in common, of either.
func (s *Service) edit(kind, id string, who httpx.Caller, allowed func(*object, httpx.Caller) bool, change func(*object) error) (o object, err error) {
	err = s.state.Update(func(tx *state.Tx) error {
		if kind == "containers" {
			c, err := s.container(tx, id, who, allowed)
			if err != nil {
				return err
			}
			if err := change(&c.object); err != nil {
				return err
			}
			o = c.object
			return tx.Put(c)
		}
		x, err := s.secret(tx, id, who, allowed)
		if err != nil {
			return err
		}
		if err := change(&x.object); err != nil {
			return err
		}
		o = x.object
		return tx.Put(x)
	})
	return o, err
}

// read answers what secrets and containers have in common, of either.
func (s *Service) read(kind, id string, who httpx.Caller, allowed func(*object, httpx.Caller) bool) (object, error) {
	if kind == "containers" {
		c, err := s.container(s.state, id, who, allowed)
		return c.object, err
	}
	x, err := s.secret(s.state, id, who, allowed)
	return x.object, err
}
