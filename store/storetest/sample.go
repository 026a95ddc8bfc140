package storetest

import (
	"github.com/google/uuid"

	"github.com/octavo-lb/octavo/lb"
)

// Sample is a load balancer with one object of every kind below it, and a second member, as a user would make it.
func Sample(project string) *lb.Tree {
	meta := func() lb.Meta {
		return lb.Meta{ID: uuid.NewString(), ProjectID: project, OperatingStatus: lb.Offline, AdminStateUp: true, Tags: []string{}}
	}
	tree := &lb.Tree{LB: lb.LoadBalancer{Meta: meta(), Name: "lb", VipAddress: "192.0.2.1", VipVnicType: "normal",
		AdditionalVips: []lb.VIP{}, Provider: "octavia", Topology: "SINGLE", VipPortOwned: true}}
	pool := lb.Pool{Meta: meta(), LoadBalancerID: tree.LB.ID, Name: "pool", Protocol: "HTTP", LBAlgorithm: "ROUND_ROBIN"}
	listener := lb.Listener{Meta: meta(), LoadBalancerID: tree.LB.ID, Name: "listener", Protocol: "HTTP", ProtocolPort: 80,
		ConnectionLimit: -1, DefaultPoolID: &pool.ID, InsertHeaders: map[string]string{}, TimeoutClientData: 50000,
		TimeoutMemberConnect: 5000, TimeoutMemberData: 50000, SniContainerRefs: []string{}, ClientAuthentication: "NONE"}
	for _, address := range []string{"198.51.100.1", "198.51.100.2"} {
		tree.Members = append(tree.Members, lb.Member{Meta: meta(), PoolID: pool.ID, Address: address, ProtocolPort: 8080,
			Weight: 1, VnicType: "normal"})
	}
	policy := lb.L7Policy{Meta: meta(), ListenerID: listener.ID, Action: "REDIRECT_TO_POOL", RedirectPoolID: &pool.ID, Position: 1}
	tree.Pools = []lb.Pool{pool}
	tree.Listeners = []lb.Listener{listener}
	tree.Monitors = []lb.HealthMonitor{{Meta: meta(), PoolID: pool.ID, Type: "HTTP", Delay: 5, Timeout: 4, MaxRetries: 3,
		MaxRetriesDown: 3}}
	tree.Policies = []lb.L7Policy{policy}
	tree.Rules = []lb.L7Rule{{Meta: meta(), L7PolicyID: policy.ID, Type: "PATH", CompareType: "STARTS_WITH", Value: "/api"}}
	return tree
}
