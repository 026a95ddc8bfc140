package network

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/octavo-lb/octavo/localcloud/httpx"
	"github.com/octavo-lb/octavo/localcloud/state"
)

func noPort(id string) error {
	return httpx.NotFound("PortNotFound", "Port %s could not be found.", id)
}

// portFor: a network's owner sees all of its ports.
func (s *Service) portFor(r state.Reader, id string, who httpx.Caller) (Port, error) {
	return find(r, id, func(p Port) bool { return seesPort(r, p, who) }, noPort)
}

func seesPort(r state.Reader, p Port, who httpx.Caller) bool {
	return who.Sees(p.ProjectID) || ownsNetwork(r, p.NetworkID, who)
}

func ownsNetwork(r state.Reader, id string, who httpx.Caller) bool {
	n, err := state.Get[Network](r, id)
	return err == nil && who.Sees(n.ProjectID)
}

// portView is a port as somebody sees it: where it is bound is for administrators.
type portView struct {
	Port
	HostID     *string         `json:"binding:host_id,omitempty"`
	Profile    *map[string]any `json:"binding:profile,omitempty"`
	VIFType    *string         `json:"binding:vif_type,omitempty"`
	VIFDetails *map[string]any `json:"binding:vif_details,omitempty"`
}

func viewPort(p Port, who httpx.Caller) portView {
	v := portView{Port: p}
	v.DNSAssignment = []map[string]any{}
	if who.IsAdmin {
		v.HostID, v.Profile, v.VIFType, v.VIFDetails = &p.HostID, &p.Profile, &p.VIFType, &p.VIFDetails
	}
	return v
}

func (s *Service) listPorts(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	q, taken := httpx.TakeQuery(r, "fixed_ips", "security_groups")
	match, err := fixedIPFilter(taken["fixed_ips"])
	if err != nil {
		return err
	}
	is := early(r)
	candidates := state.List(s.state, func(p *Port) bool {
		return is("id", p.ID) && is("name", p.Name) && is("network_id", p.NetworkID) && is("device_id", p.DeviceID) && match(*p) && inGroups(*p, taken)
	})
	var visible []portView
	for _, p := range candidates {
		if seesPort(s.state, p, who) {
			visible = append(visible, viewPort(p, who))
		}
	}
	page, err := httpx.SelectQuery(q, visible, httpx.Strict)
	if err != nil {
		return err
	}
	return page.Write(w, "ports")
}

// fixedIPFilter understands fixed_ips=subnet_id=X&fixed_ips=ip_address=Y: one address that is both.
func fixedIPFilter(values []string) (func(Port) bool, error) {
	wanted := url.Values{}
	for _, v := range values {
		key, value, _ := strings.Cut(v, "=")
		if !slices.Contains([]string{"subnet_id", "ip_address", "ip_address_substr"}, key) {
			return nil, httpx.BadRequest("HTTPBadRequest", "Invalid input for operation: '%s' is not a filter for fixed_ips.", v)
		}
		wanted.Add(key, value)
	}
	return func(p Port) bool {
		return len(wanted) == 0 || slices.ContainsFunc(p.FixedIPs, func(f FixedIP) bool {
			return (wanted["subnet_id"] == nil || slices.Contains(wanted["subnet_id"], f.SubnetID)) &&
				(wanted["ip_address"] == nil || slices.ContainsFunc(wanted["ip_address"], func(a string) bool { return sameAddress(a, f.IPAddress) })) &&
				(wanted["ip_address_substr"] == nil || strings.Contains(f.IPAddress.String(), wanted.Get("ip_address_substr")))
		})
	}, nil
}

func sameAddress(text string, a netip.Addr) bool {
	b, err := netip.ParseAddr(text)
	return err == nil && a == b
}

func inGroups(p Port, taken url.Values) bool {
	groups := taken["security_groups"]
	return groups == nil || slices.ContainsFunc(groups, func(g string) bool { return slices.Contains(p.SecurityGroups, g) })
}

func answerPort(w http.ResponseWriter, status int, p Port, who httpx.Caller) error {
	return httpx.Write(w, status, map[string]any{"port": viewPort(p, who)})
}

func (s *Service) showPort(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	p, err := s.portFor(s.state, r.PathValue("id"), who)
	if err != nil {
		return err
	}
	return answerPort(w, http.StatusOK, p, who)
}

func newPort() Port {
	return Port{AdminStateUp: true, PortSecurityEnabled: true, Status: "DOWN", IPAllocation: "immediate", VNICType: "normal",
		VIFType: "unbound", FixedIPs: []FixedIP{}, SecurityGroups: []string{}, AllowedAddressPairs: []AddressPair{},
		ExtraDHCPOpts: []map[string]any{}, Profile: map[string]any{}, VIFDetails: map[string]any{}}
}

func (s *Service) createPort(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	p := newPort()
	g, err := read(w, r, who, "port", &p)
	if err != nil {
		return err
	}
	if err := s.begin(&p.common, "port", who); err != nil {
		return err
	}
	err = s.state.Update(func(tx *state.Tx) error {
		n, err := s.networkFor(tx, p.NetworkID, who)
		if err != nil {
			return err
		}
		if err := mayCreatePort(who, n, p, g); err != nil {
			return err
		}
		return s.insertPort(tx, n, &p, g, who)
	})
	if err != nil {
		return err
	}
	s.apply(r.Context(), dirty{ports: ids(p.ID), groups: p.SecurityGroups})
	return answerPort(w, http.StatusCreated, p, who)
}

// mayCreatePort: what could harm a network's other users is for the network's owner.
func mayCreatePort(who httpx.Caller, n Network, p Port, g given) error {
	if who.Sees(n.ProjectID) {
		return nil
	}
	if !n.Shared {
		return denied("create_port")
	}
	return ownersOnly(p, g, "create_port:")
}

func ownersOnly(p Port, g given, rule string) error {
	for _, name := range []string{"mac_address", "port_security_enabled", "allowed_address_pairs"} {
		if g.has(name) {
			return denied(rule + name)
		}
	}
	if strings.HasPrefix(p.DeviceOwner, "network:") {
		return denied(rule + "device_owner")
	}
	for _, f := range p.FixedIPs {
		if g.has("fixed_ips") && f.IPAddress.IsValid() {
			return denied(rule + "fixed_ips:ip_address")
		}
	}
	return nil
}

// insertPort completes a new port and stores it.
func (s *Service) insertPort(tx *state.Tx, n Network, p *Port, g given, who httpx.Caller) error {
	if !g.has("port_security_enabled") {
		p.PortSecurityEnabled = n.PortSecurityEnabled
	}
	p.QosNetworkPolicyID = n.QosPolicyID
	if err := s.setMAC(tx, p); err != nil {
		return err
	}
	asked := p.FixedIPs
	if !g.has("fixed_ips") {
		asked = anyAddresses(tx, n.ID)
	}
	if err := s.assign(tx, p, asked); err != nil {
		return err
	}
	if g.has("binding:host_id") {
		s.bindTo(p)
	}
	secured := p.PortSecurityEnabled && !strings.HasPrefix(p.DeviceOwner, "network:") && p.DeviceOwner != ownerHost
	if (!g.has("security_groups") || g.isNull("security_groups")) && secured {
		group, err := s.defaultGroup(tx, p.ProjectID)
		if err != nil {
			return err
		}
		p.SecurityGroups = []string{group.ID}
	}
	if err := s.checkPort(tx, p, who); err != nil {
		return err
	}
	return tx.Put(*p)
}

func (s *Service) setMAC(r state.Reader, p *Port) error {
	inUse := func(mac string) bool {
		_, used := state.Find(r, func(o *Port) bool { return o.NetworkID == p.NetworkID && o.MACAddress == mac && o.ID != p.ID })
		return used
	}
	if p.MACAddress == "" {
		for p.MACAddress == "" || inUse(p.MACAddress) {
			mac := net.HardwareAddr{0xfa, 0x16, 0x3e, 0, 0, 0}
			rand.Read(mac[3:])
			p.MACAddress = mac.String()
		}
		return nil
	}
	mac, err := net.ParseMAC(p.MACAddress)
	if err != nil || len(mac) != 6 || mac[0]&1 != 0 || slices.Max(mac) == 0 {
		return invalid("mac_address", "'%s' is not a valid MAC address", p.MACAddress)
	}
	if p.MACAddress = mac.String(); inUse(p.MACAddress) {
		return httpx.Conflict("MacAddressInUse", "Unable to complete operation for network %s. The mac address %s is in use.", p.NetworkID, p.MACAddress)
	}
	return nil
}

// checkPort is what holds between a port's attributes and other objects; it brings address pairs into one form.
func (s *Service) checkPort(r state.Reader, p *Port, who httpx.Caller) error {
	if p.SecurityGroups == nil {
		p.SecurityGroups = []string{}
	}
	slices.Sort(p.SecurityGroups)
	p.SecurityGroups = slices.Compact(p.SecurityGroups)
	for _, id := range p.SecurityGroups {
		if _, err := s.groupFor(r, id, who); err != nil {
			return err
		}
	}
	if !p.PortSecurityEnabled && len(p.SecurityGroups) > 0 {
		return httpx.Conflict("PortSecurityPortHasSecurityGroup", "Port has security group associated. Cannot disable port security or IP address until security group is removed.")
	}
	if !p.PortSecurityEnabled && len(p.AllowedAddressPairs) > 0 {
		return httpx.Conflict("AddressPairAndPortSecurityRequired", "Port Security must be enabled in order to have allowed address pairs on a port.")
	}
	if err := p.normalizePairs(); err != nil {
		return err
	}
	return s.checkQos(r, p.QosPolicyID, who)
}

func (p *Port) normalizePairs() error {
	pairs := []AddressPair{}
	for _, pair := range p.AllowedAddressPairs {
		if pair.MACAddress == "" {
			pair.MACAddress = p.MACAddress
		}
		mac, err := net.ParseMAC(pair.MACAddress)
		if err != nil || len(mac) != 6 {
			return invalid("allowed_address_pairs", "'%s' is not a valid MAC address", pair.MACAddress)
		}
		pair.MACAddress = mac.String()
		if _, ok := pair.prefix(); !ok {
			return invalid("allowed_address_pairs", "'%s' is not a valid IP address or subnet", pair.IPAddress)
		}
		if slices.Contains(pairs, pair) {
			return httpx.BadRequest("DuplicateAddressPairInRequest", "Request contains duplicate address pair: mac_address %s ip_address %s.", pair.MACAddress, pair.IPAddress)
		}
		pairs = append(pairs, pair)
	}
	p.AllowedAddressPairs = pairs
	return nil
}

func (a AddressPair) prefix() (netip.Prefix, bool) {
	if address, err := netip.ParseAddr(a.IPAddress); err == nil {
		return single(address), true
	}
	prefix, err := netip.ParsePrefix(a.IPAddress)
	return prefix, err == nil
}

// single is the prefix that one address is.
func single(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

func (s *Service) updatePort(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	g, err := parse(w, r, "port")
	if err != nil {
		return err
	}
	var before, p Port
	err = s.state.Update(func(tx *state.Tx) (err error) {
		if before, err = s.portFor(tx, r.PathValue("id"), who); err != nil {
			return err
		}
		p, _ = state.Get[Port](tx, before.ID)
		return s.changePort(tx, &p, g, who)
	})
	if err != nil {
		return err
	}
	s.applyPort(r.Context(), before, p)
	return answerPort(w, http.StatusOK, p, who)
}

func (s *Service) changePort(tx *state.Tx, p *Port, g given, who httpx.Caller) error {
	had := p.FixedIPs
	if err := g.onto(who, "port", update, p); err != nil {
		return err
	}
	if !ownsNetwork(tx, p.NetworkID, who) {
		if err := ownersOnly(*p, g, "update_port:"); err != nil {
			return err
		}
	}
	asked := p.FixedIPs
	p.FixedIPs = had
	if g.has("fixed_ips") {
		if err := s.assign(tx, p, asked); err != nil {
			return err
		}
	}
	if err := s.setMAC(tx, p); err != nil {
		return err
	}
	if err := s.checkPort(tx, p, who); err != nil {
		return err
	}
	if g.has("binding:host_id") {
		s.bindTo(p)
	}
	p.touch(s.now())
	return tx.Put(*p)
}

// applyPort applies a port that was changed, and the groups that it is or was in.
func (s *Service) applyPort(ctx context.Context, before, now Port) {
	d := dirty{ports: ids(now.ID), groups: now.SecurityGroups}
	d.add(dirty{groups: before.SecurityGroups})
	s.apply(ctx, d)
	if s.judgedBy(before) != s.judgedBy(now) {
		s.revoke(ctx, append(s.trusting(before.SecurityGroups), before))
	}
}

// judgedBy is all of a port that decides what passes.
func (s *Service) judgedBy(p Port) string {
	return fmt.Sprint(p.AdminStateUp, p.PortSecurityEnabled, p.SecurityGroups, p.reach())
}

// removePort deletes the port, wherever it is plugged, and takes its floating IPs off it.
func (s *Service) removePort(ctx context.Context, id string) error {
	var p Port
	d := dirty{ports: ids(id)}
	err := s.state.Update(func(tx *state.Tx) (err error) {
		if p, err = state.Get[Port](tx, id); errors.Is(err, state.ErrNotFound) {
			return nil
		}
		d.groups = p.SecurityGroups
		for _, ip := range floatingIPsOf(tx, id) {
			d.add(dirty{routers: ids(*ip.RouterID)})
			ip.free(s.now())
			if err := tx.Put(ip); err != nil {
				return err
			}
		}
		tx.Delete(p)
		return nil
	})
	if err == nil {
		s.apply(ctx, d)
		s.revoke(ctx, []Port{p}) // or who gets its addresses would inherit its connections
	}
	return err
}

func (s *Service) deletePort(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	id := r.PathValue("id")
	p, err := s.portFor(s.state, id, who)
	if err != nil {
		return err
	}
	if strings.HasPrefix(p.DeviceOwner, "network:") && p.DeviceID != "" {
		return httpx.Conflict("ServicePortInUse", "Port %s cannot be deleted directly via the port API: has device owner %s.", id, p.DeviceOwner)
	}
	if err := s.removePort(r.Context(), p.ID); err != nil {
		return err
	}
	return httpx.NoContent(w)
}
