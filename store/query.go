package store

import "context"

// Query selects, orders and pages a list. The zero value is everything, oldest first.
type Query struct {
	// ProjectID limits the list to one project; empty is all.
	ProjectID string
	// Parent limits members to a pool and rules to a policy.
	Parent string
	// Filters must all hold.
	Filters []Filter
	// Tags must all be present; one of AnyTags must be; of NotTags one must be absent, of NotAnyTags all.
	Tags, AnyTags, NotTags, NotAnyTags []string
	// Sort keys in order; created_at and id follow by themselves.
	Sort []SortKey
	// Marker is the id of the last item of the page before, or with Reverse the first item of the page after.
	Marker  string
	Reverse bool
	// Limit bounds the page; 0 is no bound.
	Limit int
}

// Filter asks for an attribute, by its wire name, to have one of the values as a URL writes them. Of a list one element
// must be equal; an empty Values matches null.
type Filter struct {
	Name   string
	Values []string
}

// SortKey orders by an attribute that is not a list or object.
type SortKey struct {
	Name string
	Desc bool
}

// Page is a part of a list, in the order asked for.
type Page[T Resource] struct {
	Items []T
	// More tells that items follow (with Reverse: precede) those of the page.
	More bool
}

// List reads one page in a constant number of statements. What of the query cannot be used is told by a *QueryError.
func List[T Resource](ctx context.Context, r Reader, q Query) (Page[T], error) {
	panic("store: not built yet")
}

// LoadBalancerRefs, PoolRefs and so on are the ids that a resource's wire form lists beside its attributes, in order of
// creation. Objects being deleted are among them.
type LoadBalancerRefs struct{ Listeners, Pools []string }

type ListenerRefs struct{ Policies []string }

// PoolRefs lists as listeners those that use the pool by default or through an enabled policy that has rules.
type PoolRefs struct {
	Listeners, Members []string
	Monitor            string
}

type PolicyRefs struct{ Rules []string }

// RefsOfLoadBalancers and its likes read the references of a whole page in a constant number of statements.
func RefsOfLoadBalancers(ctx context.Context, r Reader, ids ...string) (map[string]LoadBalancerRefs, error) {
	panic("store: not built yet")
}
func RefsOfListeners(ctx context.Context, r Reader, ids ...string) (map[string]ListenerRefs, error) {
	panic("store: not built yet")
}
func RefsOfPools(ctx context.Context, r Reader, ids ...string) (map[string]PoolRefs, error) {
	panic("store: not built yet")
}
func RefsOfPolicies(ctx context.Context, r Reader, ids ...string) (map[string]PolicyRefs, error) {
	panic("store: not built yet")
}
