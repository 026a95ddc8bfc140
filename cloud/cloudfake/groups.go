package cloudfake

import (
	"fmt"
	"net/http"
	"slices"
)

// AddPolicy makes a QoS policy of a project.
func (c *Cloud) AddPolicy(project string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	id := c.newID()
	c.objects["policies"] = append(c.objects["policies"], object{"id": id, "name": "qos", "project_id": project})
	return id
}

// AddGroup makes a security group of a project.
func (c *Cloud) AddGroup(project, name string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.addGroup(project, name).str("id")
}

// addGroup lets everything out, as Neutron does for a new group.
func (c *Cloud) addGroup(project, name string) object {
	g := object{"id": c.newID(), "name": name, "project_id": project}
	c.objects["security-groups"] = append(c.objects["security-groups"], g)
	for _, family := range []string{"IPv4", "IPv6"} {
		c.objects["security-group-rules"] = append(c.objects["security-group-rules"], object{"id": c.newID(), "project_id": project,
			"security_group_id": g["id"], "direction": "egress", "ethertype": family, "protocol": nil, "port_range_min": nil,
			"port_range_max": nil, "remote_ip_prefix": nil, "remote_group_id": nil})
	}
	return g
}

func (c *Cloud) createGroup(r request) (answer, error) {
	if c.full("security-groups") {
		return answer{}, refuse(http.StatusConflict, "OverQuota", "Quota exceeded for resources: ['security_group'].")
	}
	return answer{http.StatusCreated, object{"security_group": c.addGroup(r.caller.project, r.body.str("name"))}}, nil
}

func (c *Cloud) deleteGroup(r request) (answer, error) {
	i, g := c.find("security-groups", r.PathValue("id"))
	if g == nil || !visible(r.caller, g) {
		return answer{}, notFound("security-groups", r.PathValue("id"))
	}
	for _, p := range c.objects["ports"] {
		if slices.Contains(toStrings(p["security_groups"]), g.str("id")) {
			return answer{}, refuse(http.StatusConflict, "SecurityGroupInUse", "Security Group %s in use.", g.str("id"))
		}
	}
	c.remove("security-groups", i)
	c.objects["security-group-rules"] = slices.DeleteFunc(c.objects["security-group-rules"], func(o object) bool { return o.str("security_group_id") == g.str("id") })
	return answer{http.StatusNoContent, nil}, nil
}

func (c *Cloud) createRule(r request) (answer, error) {
	if i, _ := c.find("security-groups", r.body.str("security_group_id")); i < 0 {
		return answer{}, notFound("security-groups", r.body.str("security_group_id"))
	}
	rule := object{"id": "", "project_id": r.caller.project, "protocol": nil, "port_range_min": nil, "port_range_max": nil,
		"remote_ip_prefix": nil, "remote_group_id": nil}
	for name, value := range r.body {
		rule[name] = value
	}
	for _, other := range c.objects["security-group-rules"] {
		if sameRule(rule, other) {
			return answer{}, refuse(http.StatusConflict, "SecurityGroupRuleExists", "Security group rule already exists. Rule id is %s.", other.str("id"))
		}
	}
	rule["id"] = c.newID()
	c.objects["security-group-rules"] = append(c.objects["security-group-rules"], clone(rule))
	return answer{http.StatusCreated, object{"security_group_rule": rule}}, nil
}

func sameRule(a, b object) bool {
	for name := range a {
		if name != "id" && fmt.Sprint(a[name]) != fmt.Sprint(b[name]) {
			return false
		}
	}
	return true
}

func (c *Cloud) deleteRule(r request) (answer, error) {
	i, _ := c.find("security-group-rules", r.PathValue("id"))
	if i < 0 {
		return answer{}, notFound("security-group-rules", r.PathValue("id"))
	}
	c.remove("security-group-rules", i)
	return answer{http.StatusNoContent, nil}, nil
}
