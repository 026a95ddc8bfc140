package store

import (
	"context"
	"fmt"
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

// RefsOfLoadBalancers and its likes read the references of a whole page in a constant number of statements.
func RefsOfLoadBalancers(ctx context.Context, r Reader, ids ...string) (map[string]LoadBalancerRefs, error) {
	refs := make(map[string]LoadBalancerRefs, len(ids))
	err := eachRef(ctx, r, listeners, "loadbalancer_id", "", ids, func(of, id string) {
		ref := refs[of]
		ref.Listeners = append(ref.Listeners, id)
		refs[of] = ref
	})
	if err != nil {
		return nil, err
	}
	err = eachRef(ctx, r, pools, "loadbalancer_id", "", ids, func(of, id string) {
		ref := refs[of]
		ref.Pools = append(ref.Pools, id)
		refs[of] = ref
	})
	return refs, err
}

// RefsOfListeners reads the policies of listeners.
func RefsOfListeners(ctx context.Context, r Reader, ids ...string) (map[string]ListenerRefs, error) {
	refs := make(map[string]ListenerRefs, len(ids))
	err := eachRef(ctx, r, policies, "listener_id", `o."position", `, ids, func(of, id string) {
		refs[of] = ListenerRefs{Policies: append(refs[of].Policies, id)}
	})
	return refs, err
}

// RefsOfPools reads the listeners, members and monitors of pools.
func RefsOfPools(ctx context.Context, r Reader, ids ...string) (map[string]PoolRefs, error) {
	refs := make(map[string]PoolRefs, len(ids))
	addListener := func(of, id string) {
		ref := refs[of]
		for _, known := range ref.Listeners {
			if known == id {
				return
			}
		}
		ref.Listeners = append(ref.Listeners, id)
		refs[of] = ref
	}
	err := eachRef(ctx, r, listeners, "default_pool_id", "", ids, addListener)
	if err != nil {
		return nil, err
	}
	if err := eachRedirect(ctx, r, ids, addListener); err != nil {
		return nil, err
	}
	err = eachRef(ctx, r, members, "pool_id", "", ids, func(of, id string) {
		ref := refs[of]
		ref.Members = append(ref.Members, id)
		refs[of] = ref
	})
	if err != nil {
		return nil, err
	}
	err = eachRef(ctx, r, monitors, "pool_id", "", ids, func(of, id string) {
		ref := refs[of]
		ref.Monitor = id
		refs[of] = ref
	})
	return refs, err
}

// RefsOfPolicies reads the rules of policies.
func RefsOfPolicies(ctx context.Context, r Reader, ids ...string) (map[string]PolicyRefs, error) {
	refs := make(map[string]PolicyRefs, len(ids))
	err := eachRef(ctx, r, rules, "l7policy_id", "", ids, func(of, id string) {
		refs[of] = PolicyRefs{Rules: append(refs[of].Rules, id)}
	})
	return refs, err
}

// eachRef calls do with the rows that name one of ids in column, in order of creation within order.
func eachRef(ctx context.Context, r Reader, t *table, column, order string, ids []string, do func(of, id string)) error {
	return eachPair(ctx, r, `SELECT o.`+quote(column)+`, o."id" FROM `+quote(t.name)+` o WHERE `, `o.`+quote(column), ids,
		` ORDER BY `+order+`o."created_at", o."id"`, do)
}

func eachRedirect(ctx context.Context, r Reader, ids []string, do func(of, id string)) error {
	return eachPair(ctx, r, `SELECT o."redirect_pool_id", o."listener_id" FROM "l7policy" o WHERE o."admin_state_up"`+
		` AND EXISTS (SELECT 1 FROM "l7rule" x WHERE x."l7policy_id" = o."id") AND `, `o."redirect_pool_id"`, ids,
		` ORDER BY o."created_at", o."id"`, do)
}

// eachPair calls do with two columns of the rows in which expression is one of ids.
func eachPair(ctx context.Context, r Reader, start, expression string, ids []string, end string, do func(of, id string)) error {
	if len(ids) == 0 {
		return nil
	}
	condition, args := r.reader().dialect.isIn(expression, ids)
	var of, id string
	err := r.reader().each(ctx, start+condition+end, args, func() { do(of, id) }, &of, &id)
	if err != nil {
		return fmt.Errorf("cannot read which objects belong together: %w", err)
	}
	return nil
}
