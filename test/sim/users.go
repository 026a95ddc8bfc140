package sim

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/octavo-lb/octavo/cloud"
	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/plan"
	"github.com/octavo-lb/octavo/store"
)

// wanted is what a user knows of a load balancer.
type wanted struct {
	id      string
	vip     string // its address, once it was shown
	brought string // the port that the user brought
	deleted bool
	seen    int64 // the observed generation up to which its listeners were checked
}

// user makes load balancers, changes them and deletes them, as the API does.
func (w *world) user() {
	for !w.calm {
		u := w.create()
		for range w.rand.IntN(8) {
			w.sleep(w.between(0, 25*time.Second))
			if w.calm {
				return
			}
			w.change(u)
		}
		if w.chance(0.6) {
			w.sleep(w.between(0, time.Minute))
			w.delete(u)
		}
		w.sleep(w.between(0, 30*time.Second))
	}
}

func (w *world) meta() lb.Meta {
	return lb.Meta{ID: w.newID(), ProjectID: project, AdminStateUp: true, Tags: []string{}, OperatingStatus: lb.Offline}
}

// create is the API's three parts: rows, VIP port, what the port has. It may be killed between them.
func (w *world) create() *wanted {
	client := w.fake.Client()
	b := &lb.LoadBalancer{Meta: w.meta(), Provider: "octavia", Topology: "SINGLE", VipVnicType: "normal", VipNetworkID: &w.network,
		VipSubnetID: &w.subnet, VipPortOwned: true, AdditionalVips: []lb.VIP{}}
	if w.chance(0.3) {
		b.Topology = "ACTIVE_STANDBY"
	}
	if w.chance(0.2) {
		b.AdditionalVips = []lb.VIP{{SubnetID: w.foreign}}
	}
	u := &wanted{id: b.ID}
	if w.chance(0.2) {
		port := w.bring(client)
		if port == nil {
			return u
		}
		b.VipPortID, b.VipPortOwned, b.AdditionalVips = &port.ID, false, []lb.VIP{}
		u.brought = port.ID
	}
	w.write(func(tx *store.Tx) error {
		tx.Defer(w.now.Add(30 * time.Second))
		return store.Insert(w.ctx, tx, b)
	})
	w.users[u.id] = u
	w.note("user creates %s %s", u.id, b.Topology)
	if w.chance(0.1) {
		return u // killed
	}
	failure := client.EnsureVIP(w.ctx, b)
	if w.chance(0.1) {
		return u // killed
	}
	w.write(func(tx *store.Tx) error {
		current, err := tx.Lock(w.ctx, b.ID)
		switch {
		case err != nil:
			return err
		case current.VipPortOwned && current.VipPortID != nil:
			return nil
		case failure != nil:
			u.deleted = true
			return store.Delete[lb.LoadBalancer](w.ctx, tx, b.ID)
		}
		current.VipAddress, current.VipPortID, current.VipSubnetID, current.VipNetworkID = b.VipAddress, b.VipPortID, b.VipSubnetID, b.VipNetworkID
		current.AdditionalVips = b.AdditionalVips
		tx.Wake()
		u.vip = current.VipAddress
		return store.Amend(w.ctx, tx, current)
	})
	return u
}

// bring makes a port as a user would.
func (w *world) bring(client *cloud.Client) *plan.Port {
	p, err := client.EnsurePort(w.ctx, plan.Port{Name: "mine-" + w.newID(), ProjectID: project, NetworkID: w.network,
		FixedIPs: []lb.FixedIP{{SubnetID: w.subnet}}})
	if err != nil {
		return nil
	}
	return &p
}

// write is one transaction of the API. That the load balancer is gone or going is the user's bad luck.
func (w *world) write(fn func(tx *store.Tx) error) {
	w.sleep(0)
	if err := w.store.Write(w.ctx, fn); err != nil && !errors.Is(err, store.ErrNotFound) {
		w.fail("a user's write: %v", err)
	}
}

// change makes one random change.
func (w *world) change(u *wanted) {
	w.write(func(tx *store.Tx) error {
		t, err := tx.LockTree(w.ctx, u.id)
		if err != nil || t.LB.Deleting {
			return err
		}
		switch w.rand.IntN(7) {
		case 6:
			return w.failOver(tx)
		case 0, 1:
			return w.addListener(tx, t)
		case 2, 3:
			return w.addMember(tx, t)
		case 4:
			if l := pick(w, t.Listeners); l != nil && !l.Deleting {
				return store.Delete[lb.Listener](w.ctx, tx, l.ID)
			}
			if m := pick(w, t.Members); m != nil && !m.Deleting {
				return store.Delete[lb.Member](w.ctx, tx, m.ID)
			}
		}
		if m := pick(w, t.Members); m != nil && !m.Deleting && w.chance(0.5) {
			return store.Delete[lb.Member](w.ctx, tx, m.ID)
		}
		t.LB.AdminStateUp = !t.LB.AdminStateUp
		return store.Update(w.ctx, tx, &t.LB)
	})
}

// failOver is an operator's wish for other amphorae.
func (w *world) failOver(tx *store.Tx) error {
	rows, err := tx.Amphorae(w.ctx)
	if err != nil {
		return err
	}
	var ids []string
	for _, a := range rows {
		if !a.Deleting {
			ids = append(ids, a.ID)
		}
	}
	tx.Wake()
	return tx.ReplaceAmphorae(w.ctx, ids...)
}

func pick[T any](w *world, list []T) *T {
	if len(list) == 0 {
		return nil
	}
	return &list[w.rand.IntN(len(list))]
}

func (w *world) addListener(tx *store.Tx, t *lb.Tree) error {
	port := 1 + w.rand.IntN(1000)
	if slices.ContainsFunc(t.Listeners, func(l lb.Listener) bool { return l.ProtocolPort == port }) {
		return nil
	}
	l := lb.Listener{Meta: w.meta(), LoadBalancerID: t.LB.ID, Protocol: "TCP", ProtocolPort: port, ConnectionLimit: -1,
		InsertHeaders: map[string]string{}, SniContainerRefs: []string{}, ClientAuthentication: "NONE"}
	if w.chance(0.3) {
		l.AllowedCidrs = []string{"10.0.0.0/8", fmt.Sprintf("192.0.2.%d/32", w.rand.IntN(250))}
	}
	return store.Insert(w.ctx, tx, &l)
}

func (w *world) addMember(tx *store.Tx, t *lb.Tree) error {
	i := slices.IndexFunc(t.Pools, func(p lb.Pool) bool { return !p.Deleting })
	if i < 0 {
		return store.Insert(w.ctx, tx, &lb.Pool{Meta: w.meta(), LoadBalancerID: t.LB.ID, Protocol: "TCP", LBAlgorithm: "ROUND_ROBIN"})
	}
	m := lb.Member{Meta: w.meta(), PoolID: t.Pools[i].ID, Address: fmt.Sprintf("10.0.3.%d", 1+w.rand.IntN(250)), ProtocolPort: 80, Weight: 1, VnicType: "normal"}
	subnets := append([]string{w.subnet, w.foreign, ""}, w.others...)
	if subnet := subnets[w.rand.IntN(len(subnets))]; subnet != "" {
		m.SubnetID = &subnet
	}
	return store.Insert(w.ctx, tx, &m)
}

func (w *world) delete(u *wanted) {
	w.note("user deletes %s", u.id)
	w.write(func(tx *store.Tx) error {
		u.deleted = true
		b, err := tx.Lock(w.ctx, u.id)
		if err != nil || b.Deleting {
			return err
		}
		return store.Delete[lb.LoadBalancer](w.ctx, tx, u.id)
	})
}
