package health

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/firewall"
	"github.com/octavo-lb/octavo/haproxy"
	"github.com/octavo-lb/octavo/keepalived"
	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/plan"
	"github.com/octavo-lb/octavo/store"
)

// abilities are those of agents of this version.
var abilities = slices.Concat(haproxy.Capabilities(), firewall.Capabilities(), keepalived.Capabilities())

// doubt takes a report that a generation is in force for one that it cannot be, if the agent is of a version that does not
// know what the load balancer needs: such an agent passes over what it does not know. What it applied before stands.
func doubt(ctx context.Context, tx *store.Tx, balancer *lb.LoadBalancer, before store.Amphora, r agentapi.Report) (agentapi.Report, error) {
	lacks := func(ability string) bool { return !slices.Contains(r.Capabilities, ability) }
	if r.Applied != balancer.Generation || r.Applied == before.AppliedGeneration || len(r.Capabilities) == 0 || !slices.ContainsFunc(abilities, lacks) {
		return r, nil
	}
	tree, err := tx.LockTree(ctx, balancer.ID)
	if err != nil {
		return r, err
	}
	needs := plan.Needs(tree)
	if needs = slices.DeleteFunc(needs, func(n string) bool { return !lacks(n) }); len(needs) == 0 {
		return r, nil
	}
	r.Applied, r.FailedGen = before.AppliedGeneration, r.Applied
	r.Failure = fmt.Sprintf("its agent, version %s, does not know %s: give it a newer one, or fail the load balancer over", r.Version, strings.Join(needs, ", "))
	return r, nil
}
