package compute

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/octavo-lb/octavo/localcloud/httpx"
	"github.com/octavo-lb/octavo/localcloud/state"
)

type serverRequest struct {
	Name      string            `json:"name"`
	Text      *string           `json:"description"`
	Tags      []string          `json:"tags"`
	ImageRef  string            `json:"imageRef"`
	FlavorRef string            `json:"flavorRef"`
	KeyName   string            `json:"key_name"`
	Zone      string            `json:"availability_zone"`
	Metadata  map[string]string `json:"metadata"`
	UserData  string            `json:"user_data"`
	Networks  json.RawMessage   `json:"networks"`
	Devices   []device          `json:"block_device_mapping_v2"`
	Groups    []struct {
		Name string `json:"name"`
	} `json:"security_groups"`
	MinCount int `json:"min_count"`
	MaxCount int `json:"max_count"`
}

// device is what a server boots from in place of its image.
type device struct {
	SourceType      string `json:"source_type"`
	UUID            string `json:"uuid"`
	DestinationType string `json:"destination_type"`
	BootIndex       any    `json:"boot_index"`
	VolumeSize      int    `json:"volume_size"`
	Delete          bool   `json:"delete_on_termination"`
}

type networkRequest struct {
	UUID    string `json:"uuid"`
	Port    string `json:"port"`
	FixedIP string `json:"fixed_ip"`
}

func (s *Service) createServer(w http.ResponseWriter, r *http.Request, who httpx.Caller, _ httpx.Microversion) error {
	var body struct {
		Server  serverRequest `json:"server"`
		Hints   hints         `json:"os:scheduler_hints"`
		Hints21 hints         `json:"OS-SCH-HNT:scheduler_hints"`
	}
	if err := httpx.Read(w, r, &body); err != nil {
		return err
	}
	v, err := s.newServer(who, body.Server)
	if err != nil {
		return err
	}
	if v.GroupID = body.Hints.Group; v.GroupID == "" {
		v.GroupID = body.Hints21.Group
	}
	if g, err := state.Get[group](s.State, v.GroupID); v.GroupID != "" && (err != nil || !who.Sees(g.ProjectID)) {
		return httpx.BadRequest("", "The server group %s could not be found.", v.GroupID)
	}
	if err := s.State.Put(v); err != nil {
		return err
	}
	// The ports come first and now, for what is wrong with them is the caller's to hear.
	if v, err = s.attachNow(v); err != nil {
		return err
	}
	s.background(func() { s.converge(v.ID) })
	return httpx.Write(w, http.StatusAccepted, map[string]any{"server": map[string]any{
		"id": v.ID, "links": links(r, "servers", v.ID), "OS-DCF:diskConfig": "MANUAL",
		"security_groups": []any{map[string]string{"name": "default"}},
	}})
}

type hints struct {
	Group string `json:"group"`
}

// attachNow gets the ports of a new server, or takes the server back.
func (s *Service) attachNow(v server) (server, error) {
	unlock := s.locks.lock(v.ID)
	defer unlock()
	attached, err := s.attachPorts(v)
	if err == nil {
		return attached, nil
	}
	if undo := s.change(v.ID, func(v *server) { v.Deleting = true }); undo != nil {
		return v, undo
	}
	s.background(func() { s.converge(v.ID) })
	return v, err
}

// newServer checks a request and makes the record of it.
func (s *Service) newServer(who httpx.Caller, q serverRequest) (v server, err error) {
	if q.Name == "" || len(q.Name) > 255 {
		return v, httpx.BadRequest("", "Invalid input for field/attribute name. It must have 1 to 255 characters.")
	}
	if q.MaxCount > 1 || q.MinCount > 1 {
		return v, httpx.BadRequest("", "This cloud makes one server with each call: min_count and max_count must be 1.")
	}
	if q.Zone != "" && q.Zone != zone {
		return v, httpx.BadRequest("", "The requested availability zone is not available")
	}
	ref, volume, err := bootSource(q)
	if err != nil {
		return v, err
	}
	image, err := s.Images.Image(who, ref)
	if err != nil {
		return v, err
	}
	if s.Programs[image.Program] == nil {
		return v, httpx.BadRequest("", "Image %s cannot be booted here: instances of this cloud run one of the programs that its own images name.", image.ID)
	}
	flavor, err := state.Get[Flavor](s.State, q.FlavorRef[strings.LastIndexByte(q.FlavorRef, '/')+1:])
	if err != nil {
		return v, httpx.BadRequest("", "Flavor %s could not be found.", q.FlavorRef)
	}
	if err := s.roomForServer(who.ProjectID, flavor); err != nil {
		return v, err
	}
	if q.KeyName != "" {
		if _, err := state.Get[keypair](s.State, keypair{UserID: who.UserID, Name: q.KeyName}.Key()); err != nil {
			return v, httpx.BadRequest("", "Invalid key_name provided.")
		}
	}
	userData, err := base64.StdEncoding.DecodeString(q.UserData)
	if err != nil {
		return v, httpx.BadRequest("", "Invalid input for field/attribute user_data. It must be base64.")
	}
	if q.UserData == "" {
		userData = nil
	}
	nics, err := s.nics(who, q)
	if err != nil {
		return v, err
	}
	now := s.Clock().UTC()
	if q.Metadata == nil {
		q.Metadata = map[string]string{}
	}
	return server{
		ID: uuid.NewString(), Name: q.Name, Text: q.Text, Tags: q.Tags, ProjectID: who.ProjectID, UserID: who.UserID, ImageID: image.ID, Program: image.Program,
		FlavorID: flavor.ID, KeyName: q.KeyName, Zone: zone, Metadata: q.Metadata, UserData: userData, Nics: nics,
		VolumeID: volume, Status: Build, Created: now, Updated: now,
	}, nil
}

// bootSource tells which image a server boots, and which volume the copy of it is on if it is on one. There is no other
// service for volumes: one lives and ends with its server.
func bootSource(q serverRequest) (imageID, volumeID string, err error) {
	if len(q.Devices) == 0 {
		return q.ImageRef[strings.LastIndexByte(q.ImageRef, '/')+1:], "", nil
	}
	d := q.Devices[0]
	if len(q.Devices) > 1 || q.ImageRef != "" || d.SourceType != "image" || d.DestinationType != "volume" || d.VolumeSize < 1 || !d.Delete {
		return "", "", httpx.BadRequest("", "Block Device Mapping is Invalid: this cloud boots from one volume that is made of an image and deleted on termination.")
	}
	return d.UUID, uuid.NewString(), nil
}

// nics reads networks: a list, or one of the words that newer microversions know. No list means "auto": the only network
// that the caller has, if there is one.
func (s *Service) nics(who httpx.Caller, q serverRequest) ([]nic, error) {
	var list []networkRequest
	word := "auto"
	if len(q.Networks) > 0 && json.Unmarshal(q.Networks, &list) != nil {
		if json.Unmarshal(q.Networks, &word) != nil || word != "auto" && word != "none" {
			return nil, httpx.BadRequest("", "Invalid input for field/attribute networks. It must be a list, auto or none.")
		}
	}
	if len(list) == 0 && word == "auto" {
		all := s.Network.Networks(who)
		if len(all) > 1 {
			return nil, httpx.Conflict("", "Multiple possible networks found, use a Network ID to be more specific.")
		}
		for _, id := range all {
			list = append(list, networkRequest{UUID: id})
		}
	}
	var groups []string
	for _, g := range q.Groups {
		groups = append(groups, g.Name)
	}
	var nics []nic
	for i, n := range list {
		if n.UUID == "" && n.Port == "" {
			return nil, httpx.BadRequest("", "Invalid input for field/attribute networks. Each needs a uuid or a port.")
		}
		nics = append(nics, nic{Number: i, Request: PortRequest{NetworkID: n.UUID, PortID: n.Port, FixedIP: n.FixedIP, SecurityGroups: groups}})
	}
	return nics, nil
}

// find answers the server of the path if the caller may see it.
func (s *Service) find(r *http.Request, who httpx.Caller) (server, error) {
	id := r.PathValue("id")
	v, err := state.Get[server](s.State, id)
	if err != nil || !who.Sees(v.ProjectID) {
		return v, httpx.NotFound("", "Instance %s could not be found.", id)
	}
	return v, nil
}

func (s *Service) showServer(w http.ResponseWriter, r *http.Request, who httpx.Caller, mv httpx.Microversion) error {
	v, err := s.find(r, who)
	if err != nil {
		return err
	}
	return httpx.Write(w, http.StatusOK, map[string]any{"server": s.detail(r, v, who, mv)})
}

func (s *Service) listServers(w http.ResponseWriter, r *http.Request, who httpx.Caller, mv httpx.Microversion) error {
	return s.list(w, r, who, func(v server) any {
		return map[string]any{"id": v.ID, "name": v.Name, "links": links(r, "servers", v.ID)}
	})
}

func (s *Service) listServersDetail(w http.ResponseWriter, r *http.Request, who httpx.Caller, mv httpx.Microversion) error {
	return s.list(w, r, who, func(v server) any { return s.detail(r, v, who, mv) })
}

// list filters as Nova does: name is a regular expression, admins see other projects with all_tenants.
func (s *Service) list(w http.ResponseWriter, r *http.Request, who httpx.Caller, show func(server) any) error {
	q, taken := httpx.TakeQuery(r, "name", "all_tenants", "deleted", "project_id", "tenant_id", "image", "flavor", "changes-since")
	var pattern *regexp.Regexp
	if name := taken.Get("name"); name != "" {
		var err error
		if pattern, err = regexp.Compile(name); err != nil {
			return httpx.BadRequest("", "Invalid input for query parameter name: %v", err)
		}
	}
	everybody := who.IsAdmin && isTrue(taken, "all_tenants")
	all := state.List(s.State, func(v *server) bool {
		return (everybody || v.ProjectID == who.ProjectID) &&
			(pattern == nil || pattern.MatchString(v.Name)) &&
			(taken.Get("image") == "" || taken.Get("image") == v.ImageID) &&
			(taken.Get("flavor") == "" || taken.Get("flavor") == v.FlavorID)
	})
	page, err := httpx.SelectQuery(q, all, httpx.Lenient)
	if err != nil {
		return err
	}
	shown := []any{}
	for _, v := range page.Items {
		shown = append(shown, show(v))
	}
	body := map[string]any{"servers": shown}
	if next := page.Links(); len(next) > 0 && next[0].Rel == "next" {
		body["servers_links"] = next[:1]
	}
	return httpx.Write(w, http.StatusOK, body)
}

func isTrue(values map[string][]string, name string) bool {
	v, given := values[name]
	return given && (len(v) == 0 || v[0] == "" || v[0] == "1" || strings.EqualFold(v[0], "true"))
}

func (s *Service) updateServer(w http.ResponseWriter, r *http.Request, who httpx.Caller, mv httpx.Microversion) error {
	v, err := s.find(r, who)
	if err != nil {
		return err
	}
	var body struct {
		Server struct {
			Name *string `json:"name"`
			Text *string `json:"description"`
		} `json:"server"`
	}
	if err := httpx.Read(w, r, &body); err != nil {
		return err
	}
	q := body.Server
	if q.Name != nil && (*q.Name == "" || len(*q.Name) > 255) {
		return httpx.BadRequest("", "Invalid input for field/attribute name. It must have 1 to 255 characters.")
	}
	err = s.change(v.ID, func(v *server) {
		if q.Name != nil {
			v.Name = *q.Name
		}
		if q.Text != nil {
			v.Text = q.Text
		}
	})
	if err != nil {
		return err
	}
	return s.showServer(w, r, who, mv)
}

// patience is how long a request waits for what usually takes less.
const patience = 500 * time.Millisecond

func (s *Service) deleteServer(w http.ResponseWriter, r *http.Request, who httpx.Caller, _ httpx.Microversion) error {
	v, err := s.find(r, who)
	if err != nil {
		return err
	}
	if err := s.change(v.ID, func(v *server) { v.Deleting = true }); err != nil {
		return err
	}
	// Most servers are gone within some milliseconds, which spares the client from asking again.
	select {
	case <-s.background(func() { s.converge(v.ID) }):
	case <-time.After(patience):
	}
	return httpx.NoContent(w)
}

func links(r *http.Request, kind, id string) []map[string]string {
	return []map[string]string{
		{"rel": "self", "href": httpx.BaseURL(r) + "/v2.1/" + kind + "/" + id},
		{"rel": "bookmark", "href": httpx.BaseURL(r) + "/" + kind + "/" + id},
	}
}

// stamp is a time as Nova writes it.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }
