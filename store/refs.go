package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// LoadBalancerRefs, PoolRefs and so on are the ids that a resource's wire form lists beside its attributes, in order of
// creation. Objects being deleted are among them.
type LoadBalancerRefs struct{ Listeners, Pools []string }

// ListenerRefs are the policies in order of position.
type ListenerRefs struct{ Policies []string }

// PoolRefs lists as listeners those that use the pool by default or through an enabled policy that has rules.
type PoolRefs struct {
	Listeners, Members []string
	Monitor            string
}

// PolicyRefs are the rules of a policy.
type PolicyRefs struct{ Rules []string }

// RefsOfLoadBalancers and its likes read the references of a whole page in one statement.
func RefsOfLoadBalancers(ctx context.Context, r Reader, ids ...string) (map[string]LoadBalancerRefs, error) {
	refs := make(map[string]LoadBalancerRefs, len(ids))
	err := eachRef(ctx, r, []relation{below(listeners, "loadbalancer_id"), below(pools, "loadbalancer_id")}, ids, func(n int, of, id string) {
		ref := refs[of]
		if n == 0 {
			ref.Listeners = append(ref.Listeners, id)
		} else {
			ref.Pools = append(ref.Pools, id)
		}
		refs[of] = ref
	})
	return refs, err
}

// RefsOfListeners reads the policies of listeners.
func RefsOfListeners(ctx context.Context, r Reader, ids ...string) (map[string]ListenerRefs, error) {
	refs := make(map[string]ListenerRefs, len(ids))
	ordered := below(policies, "listener_id")
	ordered.place = `o."position"`
	err := eachRef(ctx, r, []relation{ordered}, ids, func(_ int, of, id string) {
		refs[of] = ListenerRefs{Policies: append(refs[of].Policies, id)}
	})
	return refs, err
}

// redirects are pools with the listeners whose policies in effect lead there.
var redirects = relation{from: quote("l7policy"), of: "redirect_pool_id", id: "listener_id", place: "0",
	where: `o."admin_state_up" AND EXISTS (SELECT 1 FROM "l7rule" x WHERE x."l7policy_id" = o."id") AND `}

// RefsOfPools reads the listeners, members and monitors of pools.
func RefsOfPools(ctx context.Context, r Reader, ids ...string) (map[string]PoolRefs, error) {
	refs := make(map[string]PoolRefs, len(ids))
	relations := []relation{below(listeners, "default_pool_id"), redirects, below(members, "pool_id"), below(monitors, "pool_id")}
	err := eachRef(ctx, r, relations, ids, func(n int, of, id string) {
		ref := refs[of]
		switch n {
		case 0, 1:
			if !slices.Contains(ref.Listeners, id) {
				ref.Listeners = append(ref.Listeners, id)
			}
		case 2:
			ref.Members = append(ref.Members, id)
		case 3:
			ref.Monitor = id
		}
		refs[of] = ref
	})
	return refs, err
}

// RefsOfPolicies reads the rules of policies.
func RefsOfPolicies(ctx context.Context, r Reader, ids ...string) (map[string]PolicyRefs, error) {
	refs := make(map[string]PolicyRefs, len(ids))
	err := eachRef(ctx, r, []relation{below(rules, "l7policy_id")}, ids, func(_ int, of, id string) {
		refs[of] = PolicyRefs{Rules: append(refs[of].Rules, id)}
	})
	return refs, err
}

// relation is which objects belong to others: rows of a table in which the column of names the other, and id what belongs to
// it.
type relation struct {
	from, of, id string
	where        string // what else must hold, ending in AND
	place        string // the order, before that of creation
}

func below(t *table, column string) relation {
	return relation{from: quote(t.name), of: column, id: "id", place: "0"}
}

// eachRef calls do with what belongs to each of ids, one relation after the other by its number, in order of creation within
// place.
func eachRef(ctx context.Context, r Reader, relations []relation, ids []string, do func(n int, of, id string)) error {
	if len(ids) == 0 {
		return nil
	}
	var selects []string
	var args []any
	for n, rel := range relations {
		condition, more := r.reader().dialect.isAmong("o."+quote(rel.of), ids)
		args = append(args, more...)
		selects = append(selects, fmt.Sprintf(`SELECT %d AS "n", o.%s AS "of", o.%s AS "belongs", %s AS "place", o."created_at" AS "at", o."id" AS "row"`+
			` FROM %s o WHERE %s%s`, n, quote(rel.of), quote(rel.id), rel.place, rel.from, rel.where, condition))
	}
	var n int
	var of, id string
	var place, at, row any
	err := r.reader().each(ctx, strings.Join(selects, " UNION ALL ")+` ORDER BY "n", "place", "at", "row"`, args,
		func() { do(n, of, id) }, &n, &of, &id, &place, &at, &row)
	if err != nil {
		return fmt.Errorf("cannot read which objects belong together: %w", err)
	}
	return nil
}
