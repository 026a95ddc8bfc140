package lb

// Tree is one load balancer with everything below it, as one read of the store gives it. Objects marked Deleting are in
// it until the data plane has let go of them. Slices are ordered: policies by position, the rest by creation and id.
type Tree struct {
	LB        LoadBalancer
	Listeners []Listener
	Pools     []Pool
	Members   []Member
	Monitors  []HealthMonitor
	Policies  []L7Policy
	Rules     []L7Rule
}
