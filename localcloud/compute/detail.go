package compute

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"

	"github.com/octavo-lb/octavo/localcloud/httpx"
	"github.com/octavo-lb/octavo/localcloud/instance"
	"github.com/octavo-lb/octavo/localcloud/state"
)

// detail is a server as Nova shows it in that microversion.
func (s *Service) detail(r *http.Request, v server, who httpx.Caller, mv httpx.Microversion) map[string]any {
	vm, power := vmState(v)
	d := map[string]any{
		"id": v.ID, "name": v.Name, "status": v.Status, "tenant_id": v.ProjectID, "user_id": v.UserID, "metadata": v.Metadata,
		"hostId": hostID(v.ProjectID), "image": imageOf(r, v),
		"flavor": s.flavorOf(r, v, mv), "created": stamp(v.Created), "updated": stamp(v.Updated), "addresses": s.addresses(v),
		"accessIPv4": "", "accessIPv6": "", "links": links(r, "servers", v.ID), "OS-DCF:diskConfig": "MANUAL", "progress": 0,
		"OS-EXT-AZ:availability_zone": v.Zone, "config_drive": "True", "key_name": nullable(v.KeyName),
		"OS-SRV-USG:launched_at": nil, "OS-SRV-USG:terminated_at": nil, "security_groups": s.securityGroups(v),
		"OS-EXT-STS:task_state": task(v), "OS-EXT-STS:vm_state": vm, "OS-EXT-STS:power_state": power,
		"os-extended-volumes:volumes_attached": volumesOf(v),
	}
	if v.Status == Active || v.Status == Build {
		d["progress"] = 100
	}
	if v.Launched != nil {
		d["OS-SRV-USG:launched_at"] = v.Launched.Format("2006-01-02T15:04:05.000000")
	}
	if v.Status == Failed {
		d["fault"] = map[string]any{"code": 500, "message": v.Fault, "created": stamp(v.Updated)}
	}
	if who.IsAdmin {
		d["OS-EXT-SRV-ATTR:host"], d["OS-EXT-SRV-ATTR:hypervisor_hostname"] = "localhost", "localhost"
		d["OS-EXT-SRV-ATTR:instance_name"] = "instance-" + v.ID[:8]
	}
	if mv.AtLeast(2, 9) {
		d["locked"] = false
	}
	if mv.AtLeast(2, 19) {
		d["description"] = v.Text
	}
	if mv.AtLeast(2, 26) {
		d["tags"] = append([]string{}, v.Tags...)
	}
	if mv.AtLeast(2, 90) || mv.AtLeast(2, 3) && who.IsAdmin {
		d["OS-EXT-SRV-ATTR:hostname"] = hostname(v.Name)
	}
	if mv.AtLeast(2, 16) && who.IsAdmin {
		d["host_status"] = "UP"
	}
	if mv.AtLeast(2, 63) {
		d["trusted_image_certificates"] = nil
	}
	if mv.AtLeast(2, 71) {
		d["server_groups"] = listOf(v.GroupID)
	}
	if mv.AtLeast(2, 73) {
		d["locked_reason"] = nil
	}
	return d
}

// imageOf is empty, as Nova's is, for a server that boots from a volume.
func imageOf(r *http.Request, v server) any {
	if v.VolumeID != "" {
		return ""
	}
	return map[string]any{"id": v.ImageID, "links": links(r, "images", v.ImageID)[1:]}
}

func volumesOf(v server) []any {
	if v.VolumeID == "" {
		return []any{}
	}
	return []any{map[string]any{"id": v.VolumeID, "delete_on_termination": true}}
}

func vmState(v server) (vm string, power int) {
	switch v.Status {
	case Active:
		return "active", 1
	case Shutoff:
		return "stopped", 4
	case Failed:
		return "error", 0
	}
	return "building", 0
}

func task(v server) any {
	switch {
	case v.Deleting:
		return "deleting"
	case v.Status == Build:
		return "spawning"
	}
	return nil
}

func (s *Service) flavorOf(r *http.Request, v server, mv httpx.Microversion) map[string]any {
	f, err := state.Get[Flavor](s.State, v.FlavorID)
	if err != nil || !mv.AtLeast(2, 47) {
		return map[string]any{"id": v.FlavorID, "links": links(r, "flavors", v.FlavorID)[1:]}
	}
	return map[string]any{"original_name": f.Name, "ram": f.RAM, "vcpus": f.VCPUs, "disk": f.Disk, "ephemeral": 0, "swap": 0, "extra_specs": orEmpty(f.Extra)}
}

func (s *Service) ports(v server) []Port {
	var ports []Port
	for _, n := range v.Nics {
		if p, err := s.Network.Port(n.PortID); err == nil {
			ports = append(ports, p)
		}
	}
	return ports
}

func (s *Service) addresses(v server) map[string][]any {
	all := map[string][]any{}
	for _, p := range s.ports(v) {
		for _, a := range p.Addresses {
			version := 4
			if a.Prefix.Addr().Is6() {
				version = 6
			}
			all[p.NetworkName] = append(all[p.NetworkName], map[string]any{
				"addr": a.Prefix.Addr().String(), "version": version,
				"OS-EXT-IPS:type": "fixed", "OS-EXT-IPS-MAC:mac_addr": p.MAC})
		}
		for _, a := range p.Floating {
			all[p.NetworkName] = append(all[p.NetworkName], map[string]any{
				"addr": a.String(), "version": 4, "OS-EXT-IPS:type": "floating", "OS-EXT-IPS-MAC:mac_addr": p.MAC})
		}
	}
	return all
}

func (s *Service) securityGroups(v server) []map[string]string {
	groups := []map[string]string{}
	for _, p := range s.ports(v) {
		for _, g := range p.SecurityGroups {
			groups = append(groups, map[string]string{"name": g})
		}
	}
	return groups
}

func (s *Service) listServerGroupsOfPorts(w http.ResponseWriter, r *http.Request, who httpx.Caller, _ httpx.Microversion) error {
	v, err := s.find(r, who)
	if err != nil {
		return err
	}
	return httpx.Write(w, http.StatusOK, map[string]any{"security_groups": s.securityGroups(v)})
}

// consoleOutput answers the last lines of what the instance printed.
func (s *Service) consoleOutput(w http.ResponseWriter, v server, lines int) error {
	text, err := instance.Console(s.dir(v.ID), lines)
	if err != nil {
		return err
	}
	return httpx.Write(w, http.StatusOK, map[string]string{"output": text})
}

// hostID hides the host's name from tenants, as Nova does.
func hostID(projectID string) string {
	sum := sha256.Sum224([]byte(projectID + "localhost"))
	return hex.EncodeToString(sum[:])
}

func nullable(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func listOf(s string) []string {
	if s == "" {
		return []string{}
	}
	return []string{s}
}

func orEmpty(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}
