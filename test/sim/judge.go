package sim

import (
	"fmt"
	"maps"
	"slices"
	"sort"

	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/plan"
	"github.com/octavo-lb/octavo/store"
)

// watch looks, after each slice in which something was written, at what must hold at all times: the VIP is where it was,
// and what counts as being in force is let in by the security group.
func (w *world) watch() {
	if !w.written {
		return
	}
	w.written = false
	for _, id := range slices.Sorted(maps.Keys(w.users)) {
		u := w.users[id]
		if u.deleted {
			continue
		}
		p, err := w.store.Progress(w.ctx, id)
		if err != nil || p.ObservedGeneration <= u.seen {
			continue
		}
		u.seen = p.ObservedGeneration
		w.checkOpen(u)
	}
}

func (w *world) checkOpen(u *wanted) {
	t, err := w.store.Tree(w.ctx, u.id)
	if err != nil || t.LB.Deleting {
		return
	}
	if u.vip == "" {
		u.vip = t.LB.VipAddress
	}
	if u.vip != t.LB.VipAddress {
		w.fail("load balancer %s had the VIP %s and has %s", u.id, u.vip, t.LB.VipAddress)
	}
	group, err := w.fake.Client().SecurityGroup(w.ctx, plan.GroupName(u.id))
	if err != nil {
		w.fail("load balancer %s is in force without a security group: %v", u.id, err)
	}
	t.Listeners = slices.DeleteFunc(t.Listeners, func(l lb.Listener) bool { return l.Generation > u.seen || l.Deleting })
	for _, r := range plan.Group(t).Rules {
		if !slices.Contains(group.Rules, r) {
			w.fail("load balancer %s is in force at %d without %+v", u.id, u.seen, r)
		}
	}
}

// checkForce holds that of each role of a load balancer at most one amphora answers for the VIP.
func (w *world) checkForce(lbID string) {
	rows, err := w.store.Amphorae(w.ctx, lbID)
	if err != nil {
		w.fail("amphorae: %v", err)
		return
	}
	roles := map[string]string{}
	for _, r := range rows {
		for _, a := range w.agents {
			if a.boot.AmphoraID != r.ID || !a.exists() || !a.serves() {
				continue
			}
			if other := roles[r.Role]; other != "" {
				w.fail("amphorae %s and %s are both %s of %s", other, r.ID, r.Role, lbID)
			}
			roles[r.Role] = r.ID
		}
	}
}

// judgement is a look at everything, when all should have settled.
type judgement struct {
	*world
	wrong []string
}

func (j *judgement) fail(format string, args ...any) {
	j.wrong = append(j.wrong, fmt.Sprintf(format, args...))
}

// judge tells what is not as users want it.
func (w *world) judge() []string {
	j := &judgement{world: w}
	j.all()
	return j.wrong
}

func (j *judgement) all() {
	expected := map[string][]string{}
	ids, err := j.store.LoadBalancerIDs(j.ctx, "")
	if err != nil {
		j.fail("list: %v", err)
	}
	for _, u := range j.users {
		if !u.deleted && !slices.Contains(ids, u.id) {
			j.fail("load balancer %s is lost", u.id)
		}
	}
	for _, id := range ids {
		u := j.users[id]
		if u == nil || u.deleted {
			j.fail("load balancer %s is still there: %s", id, j.describe(id))
			continue
		}
		j.judgeOne(u, expected)
	}
	for _, u := range j.users {
		if u.brought != "" {
			j.judgeBrought(u)
		}
	}
	for _, collection := range []string{"ports", "security-groups", "servers", "server_groups"} {
		got := slices.DeleteFunc(j.fake.Objects(collection), func(name string) bool { return len(name) > 5 && name[:5] == "mine-" })
		want := expected[collection]
		sort.Strings(got)
		sort.Strings(want)
		if !slices.Equal(got, want) {
			j.fail("%s:\n got %v\nwant %v", collection, got, want)
		}
	}
}

func (j *judgement) describe(id string) string {
	p, err := j.store.Progress(j.ctx, id)
	if err != nil {
		return err.Error()
	}
	due := "never"
	if p.DueAt != nil {
		due = p.DueAt.String()
	}
	return "generation " + fmt.Sprint(p.Generation) + ", cloud " + fmt.Sprint(p.CloudGeneration) + ", observed " + fmt.Sprint(p.ObservedGeneration) +
		", failure " + p.Failure + ", due " + due + ", lease " + p.LeaseOwner
}

// judgeOne looks at a load balancer that its user wants.
func (j *judgement) judgeOne(u *wanted, expected map[string][]string) {
	t, err := j.store.Tree(j.ctx, u.id)
	if err != nil {
		j.fail("tree: %v", err)
		return
	}
	if t.LB.Provisioning() != lb.Active || t.LB.Failure != "" {
		j.fail("load balancer %s is %s: %s", u.id, t.LB.Provisioning(), j.describe(u.id))
	}
	if u.vip != "" && t.LB.VipAddress != u.vip {
		j.fail("load balancer %s had the VIP %s and has %s", u.id, u.vip, t.LB.VipAddress)
	}
	if t.LB.VipPortOwned {
		expected["ports"] = append(expected["ports"], plan.VIPPortName(u.id))
	}
	expected["security-groups"] = append(expected["security-groups"], plan.GroupName(u.id))
	if t.LB.Topology == "ACTIVE_STANDBY" {
		expected["server_groups"] = append(expected["server_groups"], plan.ServerGroupName(u.id))
	}
	rows, err := j.store.Amphorae(j.ctx, u.id)
	if err != nil {
		j.fail("amphorae: %v", err)
	}
	var roles []string
	for _, a := range rows {
		roles = append(roles, a.Role)
		j.judgeAmphora(t, a, expected)
	}
	sort.Strings(roles)
	want := map[string][]string{"SINGLE": {plan.Standalone}, "ACTIVE_STANDBY": {plan.Backup, plan.Master}}[t.LB.Topology]
	if !slices.Equal(roles, want) {
		j.fail("load balancer %s has the amphorae %v", u.id, roles)
	}
	j.judgeGroup(t)
}

func (j *judgement) judgeAmphora(t *lb.Tree, a store.Amphora, expected map[string][]string) {
	expected["servers"] = append(expected["servers"], plan.ServerName(a.ID))
	expected["ports"] = append(expected["ports"], plan.ManagementPortName(a.ID), plan.VRRPPortName(a.ID))
	networks := map[string]bool{}
	for _, m := range t.Members {
		if m.SubnetID != nil && slices.Contains(j.others, *m.SubnetID) {
			networks[*m.SubnetID] = true
		}
	}
	client := j.fake.Client()
	for id := range networks {
		subnet, err := client.Subnet(j.ctx, id)
		if err != nil {
			j.fail("subnet: %v", err)
		}
		expected["ports"] = append(expected["ports"], plan.MemberPortName(a.ID, subnet.NetworkID))
	}
	agent := j.agents[a.ComputeID]
	if agent == nil || agent.boot.AmphoraID != a.ID {
		j.fail("amphora %s has no agent", a.ID)
		return
	}
	if agent.state.Generation != t.LB.Generation || !agent.serves() {
		j.fail("amphora %s is at generation %d of %d", a.ID, agent.state.Generation, t.LB.Generation)
	}
	want := len(networks) + 1
	if len(agent.state.Interfaces) != want || len(agent.instance.MACs) != want+1 {
		j.fail("amphora %s was told of %d interfaces and has %d, for %d networks", a.ID, len(agent.state.Interfaces), len(agent.instance.MACs)-1, want)
	}
}

func (j *judgement) judgeGroup(t *lb.Tree) {
	group, err := j.fake.Client().SecurityGroup(j.ctx, plan.GroupName(t.LB.ID))
	if err != nil {
		j.fail("group: %v", err)
		return
	}
	want := plan.Group(t).Rules
	for _, r := range want {
		if !slices.Contains(group.Rules, r) {
			j.fail("load balancer %s: rule %+v is missing", t.LB.ID, r)
		}
	}
	if len(group.Rules) != len(want) {
		j.fail("load balancer %s has %d rules, want %d", t.LB.ID, len(group.Rules), len(want))
	}
}

// judgeBrought holds that a port that a user brought is there whatever became of the load balancer.
func (j *judgement) judgeBrought(u *wanted) {
	if _, err := j.fake.Client().Port(j.ctx, u.brought); err != nil {
		j.fail("the port that the user brought to %s: %v", u.id, err)
	}
}
