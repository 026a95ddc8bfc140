package cloudfake

import (
	"encoding/base64"
	"net/http"
	"regexp"
	"slices"
	"time"
)

// AddImage makes an active image.
func (c *Cloud) AddImage(owner string, tags ...string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	id := c.newID()
	c.objects["images"] = append(c.objects["images"], object{"id": id, "name": "image", "owner": owner, "status": "active", "tags": tags,
		"visibility": "public", "created_at": c.options.Clock().Add(time.Duration(c.serial) * time.Second).UTC().Format(time.RFC3339)})
	return id
}

// Spoil gives an image the property of one whose content was something else when it was uploaded.
func (c *Cloud) Spoil(imageID string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, image := range c.objects["images"] {
		if image.str("id") == imageID {
			image["os_hash_algo"], image["os_hash_value"], image["octavo_digest"] = "sha512", "aa", "sha512:bb"
		}
	}
}

// Doom makes all instances created from now on fail with this fault; empty ends that.
func (c *Cloud) Doom(fault string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.doomed = fault
}

// listImages filters by the parameters that the client gives.
func (c *Cloud) listImages(r request) (answer, error) {
	query := r.URL.Query()
	var found []object
	for _, image := range c.objects["images"] {
		fits := (query.Get("owner") == "" || query.Get("owner") == image.str("owner")) && (query.Get("status") == "" || query.Get("status") == image.str("status"))
		for _, tag := range query["tag"] {
			fits = fits && slices.Contains(toStrings(image["tags"]), tag)
		}
		if fits {
			found = append(found, image)
		}
	}
	return c.page(r, "images", found), nil
}

func (c *Cloud) createServer(r request) (answer, error) {
	if c.full("servers") {
		return answer{}, refuse(http.StatusForbidden, "", "Quota exceeded for instances: Requested 1, but already used %d of %d instances", len(c.objects["servers"]), c.quotas["servers"])
	}
	id := c.newID()
	networks, _ := r.body["networks"].([]any)
	for _, n := range networks {
		_, p := c.find("ports", object(n.(map[string]any)).str("port"))
		if p == nil {
			return answer{}, refuse(http.StatusBadRequest, "", "Port id %v could not be found.", n)
		}
		if p.str("device_id") != "" {
			return answer{}, refuse(http.StatusConflict, "", "Port %s is still in use.", p.str("id"))
		}
	}
	for _, n := range networks {
		_, p := c.find("ports", object(n.(map[string]any)).str("port"))
		p["device_id"], p["device_owner"], p["status"] = id, "compute:nova", "ACTIVE"
	}
	s := object{"id": id, "name": r.body["name"], "project_id": r.caller.project, "tenant_id": r.caller.project, "user_data": r.body["user_data"],
		"image": object{"id": r.body["imageRef"]}, "flavor": object{"id": r.body["flavorRef"]}, "fault": c.doomed,
		"born": c.options.Clock(), "config_drive": r.body["config_drive"], "key_name": r.body["key_name"]}
	c.objects["servers"] = append(c.objects["servers"], s)
	return answer{http.StatusAccepted, object{"server": object{"id": id}}}, nil
}

// sweep lets go of instances whose deletion is over.
func (c *Cloud) sweep() {
	now := c.options.Clock()
	for i := len(c.objects["servers"]) - 1; i >= 0; i-- {
		s := c.objects["servers"][i]
		dying, ok := s["dying"].(time.Time)
		if !ok || now.Before(dying) {
			continue
		}
		c.remove("servers", i)
		for _, p := range c.objects["ports"] {
			if p.str("device_id") == s.str("id") {
				p["device_id"], p["device_owner"], p["status"] = "", "", "DOWN"
			}
		}
	}
}

// server is an instance as Nova shows it now.
func (c *Cloud) server(s object) object {
	shown := object{"id": s["id"], "name": s["name"], "tenant_id": s["tenant_id"], "image": s["image"], "flavor": s["flavor"],
		"status": "ACTIVE", "OS-EXT-STS:task_state": nil, "key_name": s["key_name"]}
	switch {
	case c.options.Clock().Sub(s["born"].(time.Time)) < c.options.BootTime:
		shown["status"] = "BUILD"
	case s.str("fault") != "":
		shown["status"], shown["fault"] = "ERROR", object{"message": s["fault"], "code": 500}
	}
	if s["dying"] != nil {
		shown["OS-EXT-STS:task_state"] = "deleting"
	}
	return shown
}

func (c *Cloud) listServers(r request) (answer, error) {
	c.sweep()
	name, err := regexp.Compile(r.URL.Query().Get("name"))
	if err != nil {
		return answer{}, refuse(http.StatusBadRequest, "", "%v", err)
	}
	var found []object
	for _, s := range c.objects["servers"] {
		if s.str("project_id") == r.caller.project && name.MatchString(s.str("name")) {
			found = append(found, c.server(s))
		}
	}
	return c.page(r, "servers", found), nil
}

func (c *Cloud) showServer(r request) (answer, error) {
	c.sweep()
	_, s := c.find("servers", r.PathValue("id"))
	if s == nil {
		return answer{}, notFound("servers", r.PathValue("id"))
	}
	return answer{http.StatusOK, object{"server": c.server(s)}}, nil
}

func (c *Cloud) deleteServer(r request) (answer, error) {
	c.sweep()
	_, s := c.find("servers", r.PathValue("id"))
	if s == nil {
		return answer{}, notFound("servers", r.PathValue("id"))
	}
	if s["dying"] == nil {
		s["dying"] = c.options.Clock().Add(c.options.DeleteTime)
	}
	return answer{http.StatusNoContent, nil}, nil
}

func (c *Cloud) attach(r request) (answer, error) {
	c.sweep()
	_, s := c.find("servers", r.PathValue("id"))
	if s == nil || s["dying"] != nil {
		return answer{}, notFound("servers", r.PathValue("id"))
	}
	_, p := c.find("ports", r.body.str("port_id"))
	if p == nil {
		return answer{}, refuse(http.StatusNotFound, "", "Port id %s could not be found.", r.body.str("port_id"))
	}
	if p.str("device_id") != "" {
		return answer{}, refuse(http.StatusBadRequest, "", "Port %s is still in use.", p.str("id"))
	}
	p["device_id"], p["device_owner"], p["status"] = s.str("id"), "compute:nova", "ACTIVE"
	return answer{http.StatusOK, object{"interfaceAttachment": object{"port_id": p["id"], "net_id": p["network_id"], "mac_addr": p["mac_address"], "port_state": "ACTIVE", "fixed_ips": p["fixed_ips"]}}}, nil
}

func (c *Cloud) detach(r request) (answer, error) {
	c.sweep()
	_, p := c.find("ports", r.PathValue("port"))
	if p == nil || p.str("device_id") != r.PathValue("id") {
		return answer{}, refuse(http.StatusNotFound, "", "Port %s is not attached.", r.PathValue("port"))
	}
	p["device_id"], p["device_owner"], p["status"] = "", "", "DOWN"
	return answer{http.StatusAccepted, nil}, nil
}

func (c *Cloud) createServerGroup(r request) (answer, error) {
	g := object{"id": c.newID(), "name": r.body["name"], "policies": r.body["policies"], "project_id": r.caller.project}
	c.objects["server_groups"] = append(c.objects["server_groups"], g)
	return answer{http.StatusOK, object{"server_group": g}}, nil
}

func (c *Cloud) deleteServerGroup(r request) (answer, error) {
	i, _ := c.find("server_groups", r.PathValue("id"))
	if i < 0 {
		return answer{}, notFound("server_groups", r.PathValue("id"))
	}
	c.remove("server_groups", i)
	return answer{http.StatusNoContent, nil}, nil
}

// Instance is an instance as it is seen from inside.
type Instance struct {
	ID       string
	Name     string
	UserData []byte
	Running  bool
	MACs     []string // of the ports that it has
}

// Instances are all instances there are.
func (c *Cloud) Instances() []Instance {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sweep()
	var all []Instance
	for _, s := range c.objects["servers"] {
		data, _ := base64.StdEncoding.DecodeString(s.str("user_data"))
		i := Instance{ID: s.str("id"), Name: s.str("name"), UserData: data, Running: c.server(s)["status"] == "ACTIVE"}
		for _, p := range c.objects["ports"] {
			if p.str("device_id") == i.ID {
				i.MACs = append(i.MACs, p.str("mac_address"))
			}
		}
		all = append(all, i)
	}
	return all
}

// KillInstance makes an instance disappear as if its host had burnt down and somebody had cleaned up.
func (c *Cloud) KillInstance(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, s := c.find("servers", id); s != nil {
		s["dying"] = c.options.Clock()
	}
	c.sweep()
}

// Objects are the names of what there is in a collection: ports, security-groups, servers, server_groups.
func (c *Cloud) Objects(collection string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sweep()
	var names []string
	for _, o := range c.objects[collection] {
		names = append(names, o.str("name"))
	}
	return names
}

// HasMAC tells whether a port with the address exists.
func (c *Cloud) HasMAC(mac string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.objects["ports"] {
		if p.str("mac_address") == mac {
			return true
		}
	}
	return false
}
