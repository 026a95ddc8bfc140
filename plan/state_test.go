package plan_test

import (
	"maps"
	"testing"

	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/plan"
)

func TestStateNamesTheVersionsOfSecretsThatAreUsed(t *testing.T) {
	tree := &lb.Tree{
		LB: lb.LoadBalancer{Meta: lb.Meta{ID: "lb", AdminStateUp: true}, VipAddress: "192.0.2.1", VipPortID: new("p"), VipSubnetID: new("s"), VipNetworkID: new("n")},
		Listeners: []lb.Listener{
			{Meta: lb.Meta{ID: "l"}, DefaultTLSContainerRef: new("cert"), ClientCATLSContainerRef: new("ca")},
			{Meta: lb.Meta{ID: "going", Deleting: true}, DefaultTLSContainerRef: new("old")},
		},
		Secrets: []lb.Secret{{Ref: "cert", Kind: lb.CertificateSecret, Digest: "1"}, {Ref: "ca", Kind: lb.AuthoritySecret, Digest: "2"},
			{Ref: "old", Kind: lb.CertificateSecret, Digest: "3"}},
	}
	amphora := plan.Amphora{ID: "a", Role: plan.Standalone, Interfaces: []plan.Interface{{Interface: agentapi.Interface{VIP: true}, Attached: true}}}
	state, ready := plan.AgentState(tree, []plan.Amphora{amphora}, "a", plan.Settings{}.WithDefaults())
	want := map[string]agentapi.Secret{"cert": {Digest: "1", Kind: "certificate"}, "ca": {Digest: "2", Kind: "ca"}}
	if !ready || !maps.Equal(state.Secrets, want) {
		t.Errorf("ready %v, secrets %v, want %v", ready, state.Secrets, want)
	}
}
