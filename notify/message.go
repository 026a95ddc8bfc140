// Package notify tells other services of what happened to load balancers, over a message broker and in the form of
// oslo.messaging: what Octavia sends, and what consumers such as Ceilometer read.
package notify

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/octavo-lb/octavo/lb"
)

// message is a notification as oslo.messaging's listeners take it apart. The payload's keys are those that Octavia
// sends (octavia_lib/api/drivers/data_models.py) and those that its documentation shows
// (doc/source/admin/event-notifications.rst), which are not the same: readers of either find theirs.
type message struct {
	ID        string   `json:"message_id"`
	Publisher *string  `json:"publisher_id"`
	EventType string   `json:"event_type"`
	Priority  string   `json:"priority"`
	Payload   *payload `json:"payload"`
	Timestamp string   `json:"timestamp"`
	UniqueID  string   `json:"_unique_id"`
	requestContext
}

// requestContext is what oslo.context adds: nobody's request, for what came in force by itself.
type requestContext struct {
	User           *string  `json:"_context_user"`
	Tenant         string   `json:"_context_tenant"`
	SystemScope    *string  `json:"_context_system_scope"`
	Project        string   `json:"_context_project"`
	Domain         *string  `json:"_context_domain"`
	UserDomain     *string  `json:"_context_user_domain"`
	ProjectDomain  *string  `json:"_context_project_domain"`
	IsAdmin        bool     `json:"_context_is_admin"`
	ReadOnly       bool     `json:"_context_read_only"`
	ShowDeleted    bool     `json:"_context_show_deleted"`
	AuthToken      *string  `json:"_context_auth_token"`
	RequestID      string   `json:"_context_request_id"`
	GlobalID       *string  `json:"_context_global_request_id"`
	Resource       *string  `json:"_context_resource_uuid"`
	Roles          []string `json:"_context_roles"`
	UserIdentity   string   `json:"_context_user_identity"`
	IsAdminProject bool     `json:"_context_is_admin_project"`
}

type payload struct {
	LoadBalancerID string `json:"loadbalancer_id"`
	AdminStateUp   bool   `json:"admin_state_up"`
	VIPAddress     string `json:"vip_address"`
	vipIDs

	ID                 string                `json:"id"`
	Enabled            bool                  `json:"enabled"`
	Name               string                `json:"name"`
	Description        string                `json:"description"`
	ProjectID          string                `json:"project_id"`
	Provider           string                `json:"provider"`
	FlavorID           *string               `json:"flavor_id"`
	AvailabilityZone   *string               `json:"availability_zone"`
	ProvisioningStatus lb.ProvisioningStatus `json:"provisioning_status"`
	OperatingStatus    lb.OperatingStatus    `json:"operating_status"`
	CreatedAt          string                `json:"created_at"`
	UpdatedAt          *string               `json:"updated_at"`
	Tags               []string              `json:"tags"`
	VIP                vip                   `json:"vip"`
	AdditionalVIPs     []lb.VIP              `json:"additional_vips"`
	Listeners          []listener            `json:"listeners"`
	Pools              []pool                `json:"pools"`
}

type vipIDs struct {
	PortID    *string  `json:"vip_port_id"`
	SubnetID  *string  `json:"vip_subnet_id"`
	NetworkID *string  `json:"vip_network_id"`
	QoSPolicy *string  `json:"vip_qos_policy_id"`
	Groups    []string `json:"vip_sg_ids"`
}

type vip struct {
	Address   string  `json:"ip_address"`
	NetworkID *string `json:"network_id"`
	PortID    *string `json:"port_id"`
	SubnetID  *string `json:"subnet_id"`
	QoSPolicy *string `json:"qos_policy_id"`
}

type listener struct {
	ID         string `json:"id"`
	ListenerID string `json:"listener_id"`
}

type pool struct {
	ID     string `json:"id"`
	PoolID string `json:"pool_id"`
}

// Text writes the notification of an event (create, update or delete) of a load balancer as it is then. Its ids are made
// here, once: however often it is sent, those who get it can tell by message_id that it is one.
func Text(event string, tree *lb.Tree, at time.Time) []byte {
	project := tree.LB.ProjectID
	text, err := json.Marshal(message{
		ID: uuid.NewString(), UniqueID: strings.ReplaceAll(uuid.NewString(), "-", ""),
		EventType: "octavia.loadbalancer." + event + ".end", Priority: "INFO", Payload: payloadOf(event, tree),
		Timestamp: at.UTC().Format("2006-01-02 15:04:05.000000"),
		requestContext: requestContext{
			Tenant: project, Project: project, RequestID: "req-" + uuid.NewString(), Roles: []string{},
			UserIdentity: "- " + project + " - - -", IsAdminProject: true,
		},
	})
	if err != nil {
		panic(fmt.Sprintf("notify: strings, numbers and lists of them: %v", err)) // cannot be
	}
	return text
}

func payloadOf(event string, tree *lb.Tree) *payload {
	b := &tree.LB
	p := &payload{
		LoadBalancerID: b.ID, ID: b.ID, AdminStateUp: b.AdminStateUp, Enabled: b.AdminStateUp, Name: b.Name, Description: b.Description,
		ProjectID: b.ProjectID, Provider: b.Provider, FlavorID: b.FlavorID, AvailabilityZone: b.AvailabilityZone,
		ProvisioningStatus: b.ProvisioningStatus, OperatingStatus: b.OperatingStatus, CreatedAt: isoTime(b.CreatedAt),
		Tags: append([]string{}, b.Tags...), AdditionalVIPs: append([]lb.VIP{}, b.AdditionalVips...),
		VIPAddress: b.VipAddress, vipIDs: vipIDs{b.VipPortID, b.VipSubnetID, b.VipNetworkID, b.VipQosPolicyID, append([]string{}, b.VipSgIDs...)},
		VIP:       vip{b.VipAddress, b.VipNetworkID, b.VipPortID, b.VipSubnetID, b.VipQosPolicyID},
		Listeners: []listener{}, Pools: []pool{},
	}
	if event == "delete" {
		p.ProvisioningStatus, p.OperatingStatus = "DELETED", lb.Offline
	}
	if b.UpdatedAt != nil {
		p.UpdatedAt = new(isoTime(*b.UpdatedAt))
	}
	for i := range tree.Listeners {
		p.Listeners = append(p.Listeners, listener{tree.Listeners[i].ID, tree.Listeners[i].ID})
	}
	for i := range tree.Pools {
		p.Pools = append(p.Pools, pool{tree.Pools[i].ID, tree.Pools[i].ID})
	}
	return p
}

func isoTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000") }
