package store

import "github.com/octavo-lb/octavo/lb"

// Resource is one of the seven nouns that users write.
type Resource interface {
	lb.LoadBalancer | lb.Listener | lb.Pool | lb.Member | lb.HealthMonitor | lb.L7Policy | lb.L7Rule
}

// Kind names a resource in change log, quotas and statuses, as the wire names it.
type Kind string

const (
	LoadBalancer  Kind = "loadbalancer"
	Listener      Kind = "listener"
	Pool          Kind = "pool"
	Member        Kind = "member"
	HealthMonitor Kind = "healthmonitor"
	L7Policy      Kind = "l7policy"
	L7Rule        Kind = "l7rule"
	AmphoraKind   Kind = "amphora"
)
