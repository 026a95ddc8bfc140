package plan

import (
	"cmp"
	"hash/fnv"
	"time"

	"github.com/octavo-lb/octavo/lb"
)

const (
	single        = "SINGLE"
	activeStandby = "ACTIVE_STANDBY"
)

// role is a place that one amphora fills.
type role struct {
	name     string
	priority int // of VRRP
}

func rolesOf(topology string) []role {
	if topology == activeStandby {
		return []role{{Master, 100}, {Backup, 90}}
	}
	return []role{{Standalone, 0}}
}

// vrrpPort is the amphora's port on the VIP's network. It may use the VIPs' addresses; the user's security groups come
// on top of the service's. subnets are those of members in the VIP's network.
func vrrpPort(b *lb.LoadBalancer, a Amphora, group string, subnets []string) Port {
	p := Port{
		ID: a.VRRPPortID, Name: VRRPPortName(a.ID), NetworkID: deref(b.VipNetworkID), DeviceOwner: Owner,
		SecurityGroups: append([]string{group}, b.VipSgIDs...), QosPolicyID: new(deref(b.VipQosPolicyID)),
	}
	for _, v := range vips(b) {
		p.Allowed = append(p.Allowed, v.Address)
	}
	for _, id := range append(vipSubnets(b), subnets...) {
		p.FixedIPs = append(p.FixedIPs, lb.FixedIP{SubnetID: id})
	}
	return p
}

// managementPort is the amphora's port on the management network.
func managementPort(a Amphora, s Settings) Port {
	return Port{ID: a.MgmtPortID, Name: ManagementPortName(a.ID), NetworkID: s.ManagementNetwork, DeviceOwner: Owner,
		SecurityGroups: s.ManagementGroups}
}

// memberPort is the amphora's port on another network that members are in.
func memberPort(a Amphora, networkID string, subnets []string) Port {
	p := Port{Name: MemberPortName(a.ID, networkID), NetworkID: networkID, DeviceOwner: Owner}
	if i := a.on(networkID); i != nil {
		p.ID = i.PortID
	}
	for _, id := range subnets {
		p.FixedIPs = append(p.FixedIPs, lb.FixedIP{SubnetID: id})
	}
	return p
}

func server(a Amphora, s Settings, group string) Server {
	return Server{ID: a.ComputeID, Name: ServerName(a.ID), FlavorID: s.FlavorID, Image: s.Image, GroupID: group,
		AvailabilityZone: s.AvailabilityZone, KeyName: s.KeyName, Volume: s.Volume, PortIDs: []string{a.MgmtPortID, a.VRRPPortID}}
}

// on is the interface for members in a network; the one that carries the VIP is not among them.
func (a *Amphora) on(networkID string) *Interface {
	for i := range a.Interfaces {
		if f := &a.Interfaces[i]; f.NetworkID == networkID && !f.VIP {
			return f
		}
	}
	return nil
}

// vip is the interface that carries the VIP, nil before it is known.
func (a *Amphora) vip() *Interface {
	for i := range a.Interfaces {
		if f := &a.Interfaces[i]; f.VIP {
			return f
		}
	}
	return nil
}

// condition is what can be said of an amphora that is wanted.
type condition uint8

const (
	unborn condition = iota // it has not reported yet, and may still
	alive
	silent // it has reported, but not lately
	failed // it will never report
)

// judge tells an amphora's condition, why it is failed, and since when it is silent or failed.
func (in *Input) judge(a Amphora) (c condition, why string, since time.Time) {
	seen := in.Seen.Servers[a.ID].State
	if !a.Reported.IsZero() {
		heard := later(a.Reported, in.Watching)
		if since = heard.Add(in.Settings.DeadAfter); in.Now.After(since) {
			return silent, "it has not reported since " + a.Reported.UTC().Format(time.RFC3339), since
		}
		return alive, "", time.Time{}
	}
	deadline := later(a.Started, in.Watching).Add(in.Settings.BootTimeout)
	switch {
	case a.ComputeID == "":
		return unborn, "", time.Time{}
	case seen == ServerFailed:
		return failed, "its instance failed: " + cmp.Or(in.Seen.Servers[a.ID].Fault, "the cloud gives no reason"), a.Started
	case seen == ServerGone, seen == ServerLeaving:
		return failed, "its instance was deleted", a.Started
	case in.Now.After(deadline):
		return failed, "its agent did not report within " + in.Settings.BootTimeout.String() + " of its start", a.Started
	}
	return unborn, "", time.Time{}
}

// nextAttempt counts the attempts that did not last, and tells how long after its end an amphora may be replaced.
func nextAttempt(a Amphora, s Settings) (attempt int, wait time.Duration) {
	if !a.Reported.IsZero() && a.Reported.Sub(a.Created) >= s.StableAfter {
		return 0, 0
	}
	return a.Attempt + 1, backoff(a.Attempt, a.ID)
}

const (
	firstBackoff = 30 * time.Second
	maxBackoff   = time.Hour
)

// backoff doubles from attempt to attempt, and differs by up to a quarter between amphorae that began at the same time.
func backoff(attempt int, id string) time.Duration {
	if attempt <= 0 {
		return 0
	}
	d := min(maxBackoff, firstBackoff<<min(attempt-1, 10))
	h := fnv.New32a()
	_, _ = h.Write([]byte(id)) // never fails
	return d + time.Duration(h.Sum32()%256)*d/1024
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
