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
