package store

import (
	"reflect"
	"slices"
	"strings"

	"github.com/octavo-lb/octavo/lb"
)

// table is how a resource is stored.
type table struct {
	name    string
	kind    Kind
	columns []column
	owner   string // the column with the load balancer's id
	parent  string // the column that Query.Parent asks for
	extra   bool   // the owner is no field of the resource
	status  string // SQL of the provisioning status
	from    string
	// selection is SELECT with all columns, and the provisioning status after them where there is one.
	selection string
	// children are the tables whose rows go with a row of this one, each with the column that names it.
	children []child
}

type child struct {
	table  *table
	column string
}

// What lb.Provisioning says, as SQL. Rows are aliased o, the load balancer that they belong to b.
const loadBalancerStatus = `CASE WHEN o."told" NOT IN ('', 'DELETED') THEN o."told"` +
	` WHEN o."deleting" THEN CASE WHEN o."failure" = '' THEN 'PENDING_DELETE' ELSE 'ERROR' END` +
	` WHEN o."observed_generation" >= o."generation" THEN 'ACTIVE' WHEN o."failure" <> '' THEN 'ERROR'` +
	` WHEN o."observed_generation" = 0 THEN 'PENDING_CREATE' ELSE 'PENDING_UPDATE' END`

const childStatus = `CASE WHEN o."told" <> '' THEN o."told" WHEN o."generation" <= b."observed_generation" AND NOT o."deleting" THEN 'ACTIVE'` +
	` WHEN b."failure" <> '' THEN 'ERROR' WHEN o."deleting" OR b."deleting" THEN 'PENDING_DELETE'` +
	` WHEN o."created" > b."observed_generation" THEN 'PENDING_CREATE' ELSE 'PENDING_UPDATE' END`

var (
	rules     = newTable[lb.L7Rule]("l7rule", L7Rule, "l7policy_id")
	policies  = newTable[lb.L7Policy]("l7policy", L7Policy, "listener_id", child{rules, "l7policy_id"})
	monitors  = newTable[lb.HealthMonitor]("health_monitor", HealthMonitor, "pool_id")
	members   = newTable[lb.Member]("member", Member, "pool_id")
	pools     = newTable[lb.Pool]("pool", Pool, "loadbalancer_id", child{members, "pool_id"}, child{monitors, "pool_id"})
	listeners = newTable[lb.Listener]("listener", Listener, "loadbalancer_id", child{policies, "listener_id"})
	balancers = newTable[lb.LoadBalancer]("load_balancer", LoadBalancer, "id",
		child{listeners, "loadbalancer_id"}, child{pools, "loadbalancer_id"})
	amphorae = newTable[Amphora]("amphora", AmphoraKind, "loadbalancer_id")

	// childTables are all below a load balancer, parents first.
	childTables = []*table{listeners, pools, members, monitors, policies, rules}
)

func newTable[T any](name string, kind Kind, parent string, children ...child) *table {
	t := &table{name: name, kind: kind, columns: columnsOf(reflect.TypeFor[T]()), owner: "loadbalancer_id", parent: parent,
		children: children, status: childStatus}
	t.extra = t.column("loadbalancer_id") == nil
	t.from = ` FROM "` + name + `" o JOIN "load_balancer" b ON b."id" = o."loadbalancer_id"`
	switch kind {
	case LoadBalancer:
		t.owner, t.extra, t.status, t.from = "id", false, loadBalancerStatus, ` FROM "load_balancer" o`
	case AmphoraKind:
		t.status, t.from = "", ` FROM "amphora" o`
	}
	t.selection = t.selectColumns()
	return t
}

// tableOf finds a resource's table by its type.
func tableOf[T Resource]() *table {
	switch any((*T)(nil)).(type) {
	case *lb.LoadBalancer:
		return balancers
	case *lb.Listener:
		return listeners
	case *lb.Pool:
		return pools
	case *lb.Member:
		return members
	case *lb.HealthMonitor:
		return monitors
	case *lb.L7Policy:
		return policies
	}
	return rules
}

func tableOfKind(k Kind) *table {
	i := slices.IndexFunc(childTables, func(t *table) bool { return t.kind == k })
	switch {
	case i >= 0:
		return childTables[i]
	case k == LoadBalancer:
		return balancers
	}
	return nil
}

// MetaOf finds what all resources have in common.
func MetaOf[T Resource](object *T) *lb.Meta {
	switch o := any(object).(type) {
	case *lb.LoadBalancer:
		return &o.Meta
	case *lb.Listener:
		return &o.Meta
	case *lb.Pool:
		return &o.Meta
	case *lb.Member:
		return &o.Meta
	case *lb.HealthMonitor:
		return &o.Meta
	case *lb.L7Policy:
		return &o.Meta
	case *lb.L7Rule:
		return &o.Meta
	}
	panic("store: a resource without a table")
}

func (t *table) column(name string) *column {
	i := slices.IndexFunc(t.columns, func(c column) bool { return c.name == name })
	if i < 0 {
		return nil
	}
	return &t.columns[i]
}

func (t *table) selectColumns() string {
	names := make([]string, 0, len(t.columns)+1)
	for _, c := range t.columns {
		names = append(names, "o."+quote(c.name))
	}
	if t.status != "" {
		names = append(names, t.status)
	}
	return "SELECT " + strings.Join(names, ", ") + t.from
}

// destinations are where a row of selection is scanned to.
func (t *table) destinations(object any) []any {
	v := reflect.ValueOf(object).Elem()
	d := make([]any, 0, len(t.columns)+1)
	for i := range t.columns {
		d = append(d, t.columns[i].destination(v))
	}
	if t.status != "" {
		d = append(d, newCell(text, v.FieldByName("ProvisioningStatus")))
	}
	return d
}
