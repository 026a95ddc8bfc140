package lb

// ProvisioningStatus tells how far what was asked for is in force.
// Values as in Octavia (octavia_lib constants).
type ProvisioningStatus string

const (
	Active        ProvisioningStatus = "ACTIVE"
	PendingCreate ProvisioningStatus = "PENDING_CREATE"
	PendingUpdate ProvisioningStatus = "PENDING_UPDATE"
	PendingDelete ProvisioningStatus = "PENDING_DELETE"
	ProvError     ProvisioningStatus = "ERROR"
	Deleted       ProvisioningStatus = "DELETED"
)

// Pending tells of a status that waits for something to come in force.
func (s ProvisioningStatus) Pending() bool {
	return s == PendingCreate || s == PendingUpdate || s == PendingDelete
}

// OperatingStatus tells what was observed in the data plane.
type OperatingStatus string

const (
	Online    OperatingStatus = "ONLINE"
	Offline   OperatingStatus = "OFFLINE"
	Degraded  OperatingStatus = "DEGRADED"
	OperError OperatingStatus = "ERROR"
	Draining  OperatingStatus = "DRAINING"
	NoMonitor OperatingStatus = "NO_MONITOR"
)

// Provisioning tells how far the load balancer's last write is in force. It is a function of what was asked for and
// what was observed, so nothing can be stuck in it: a write makes the generation newer, convergence closes the gap.
// A provider outside of the process may say otherwise until the next write (Meta.Told).
// The SQL that filters by provisioning_status says the same (package store).
func (l *LoadBalancer) Provisioning() ProvisioningStatus {
	switch {
	case l.Told != "" && l.Told != Deleted:
		return l.Told
	case l.Deleting && l.Failure != "":
		return ProvError
	case l.Deleting:
		return PendingDelete
	case l.ObservedGeneration >= l.Generation:
		return Active
	case l.Failure != "":
		return ProvError
	case l.ObservedGeneration == 0:
		return PendingCreate
	default:
		return PendingUpdate
	}
}

// Provisioning tells how far the last write of a listener, pool or other object of the load balancer is in force.
func (m *Meta) Provisioning(l *LoadBalancer) ProvisioningStatus {
	switch {
	case m.Told != "":
		return m.Told
	case !m.Deleting && m.Generation <= l.ObservedGeneration:
		return Active
	case l.Failure != "":
		return ProvError
	case m.Deleting || l.Deleting:
		return PendingDelete
	case m.Created > l.ObservedGeneration:
		return PendingCreate
	default:
		return PendingUpdate
	}
}
