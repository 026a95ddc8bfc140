package api

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/lb/attr"
	"github.com/octavo-lb/octavo/policy"
	"github.com/octavo-lb/octavo/store"
)

// amphora is what the wire shows of a store.Amphora and its load balancer.
type amphora struct {
	ID             string     `json:"id" attr:"r,kind=uuid" doc:"The ID of the amphora."`
	LoadBalancerID string     `json:"loadbalancer_id" attr:"r,kind=uuid,ref=loadbalancer" doc:"The load balancer that the amphora serves."`
	ComputeID      string     `json:"compute_id" attr:"r,kind=uuid" doc:"The ID of the compute instance."`
	LBNetworkIP    string     `json:"lb_network_ip" attr:"r,kind=ip" doc:"The amphora's address in the management network."`
	VRRPIP         string     `json:"vrrp_ip" attr:"r,kind=ip" doc:"The amphora's own address in the VIP's network."`
	HAIP           string     `json:"ha_ip" attr:"r,kind=ip" doc:"The VIP."`
	VRRPPortID     string     `json:"vrrp_port_id" attr:"r,kind=uuid" doc:"The ID of the amphora's port in the VIP's network."`
	HAPortID       string     `json:"ha_port_id" attr:"r,kind=uuid" doc:"The ID of the VIP's port."`
	CertExpiration *time.Time `json:"cert_expiration" attr:"r,null" doc:"When the agent's certificate expires (UTC)."`
	CertBusy       bool       `json:"cert_busy" attr:"r" doc:"Whether the certificate is being replaced."`
	Role           string     `json:"role" attr:"r" doc:"STANDALONE, MASTER or BACKUP."`
	Status         string     `json:"status" attr:"r" doc:"BOOTING, ALLOCATED, PENDING_DELETE or ERROR."`
	VRRPInterface  *string    `json:"vrrp_interface" attr:"r,null" doc:"The name of the VIP's interface in the amphora, where it is known."`
	VRRPID         int        `json:"vrrp_id" attr:"r" doc:"The VRRP virtual router ID."`
	VRRPPriority   int        `json:"vrrp_priority" attr:"r" doc:"The VRRP priority."`
	CachedZone     string     `json:"cached_zone" attr:"r" doc:"The compute availability zone."`
	CreatedAt      time.Time  `json:"created_at" attr:"r" doc:"When the amphora was created (UTC)."`
	UpdatedAt      *time.Time `json:"updated_at" attr:"r,null" doc:"When the amphora was last changed (UTC)."`
	ImageID        string     `json:"image_id" attr:"r,kind=uuid" doc:"The ID of the image."`
	ComputeFlavor  string     `json:"compute_flavor" attr:"r" doc:"The ID of the compute flavor."`

	projectID string // of the load balancer, to list by
}

// statusOf uses Octavia's words.
func statusOf(a *store.Amphora) string {
	switch {
	case a.Deleting:
		return "PENDING_DELETE"
	case a.Failure != "":
		return "ERROR"
	case a.LastReportAt == nil:
		return "BOOTING"
	}
	return "ALLOCATED"
}

// amphoraViews reads the load balancers of amphorae, many with one statement.
func (s *Server) amphoraViews(ctx context.Context, list []store.Amphora) ([]amphora, error) {
	balancers := map[string]*lb.LoadBalancer{}
	for _, a := range list {
		balancers[a.LoadBalancerID] = &lb.LoadBalancer{}
	}
	for ids := range slices.Chunk(slices.Collect(maps.Keys(balancers)), s.MaxPage) {
		page, err := store.List[lb.LoadBalancer](ctx, s.Store, store.Query{Filters: []store.Filter{{Name: "id", Values: ids}}})
		if err != nil {
			return nil, err
		}
		for i := range page.Items {
			balancers[page.Items[i].ID] = &page.Items[i]
		}
	}
	views := make([]amphora, len(list))
	for i, a := range list {
		b := balancers[a.LoadBalancerID]
		views[i] = amphora{
			ID: a.ID, LoadBalancerID: a.LoadBalancerID, ComputeID: a.ComputeID, LBNetworkIP: a.LBNetworkIP, VRRPIP: a.VRRPIP,
			HAIP: b.VipAddress, VRRPPortID: a.VRRPPortID, CertExpiration: a.CertExpiration, Role: a.Role, Status: statusOf(&a),
			VRRPID: a.VRRPID, VRRPPriority: a.VRRPPriority, CachedZone: a.CachedZone, CreatedAt: a.CreatedAt, UpdatedAt: a.UpdatedAt,
			ImageID: a.ImageID, ComputeFlavor: a.ComputeFlavor, projectID: b.ProjectID,
		}
		if b.VipPortID != nil {
			views[i].HAPortID = *b.VipPortID
		}
	}
	return views, nil
}

func (s *Server) listAmphorae(c *call) error {
	if err := s.allow(c, "amphora", policy.List, c.who.ProjectID); err != nil {
		return err
	}
	return s.list(c, func(q store.Query) error {
		all, err := s.Store.AllAmphorae(c.Context())
		if err != nil {
			return err
		}
		views, err := s.amphoraViews(c.Context(), all)
		if err != nil {
			return err
		}
		if projectID := c.URL.Query().Get("project_id"); projectID != "" {
			views = slices.DeleteFunc(views, func(a amphora) bool { return a.projectID != projectID })
		}
		return writePicked(s, c, views, memoryList[amphora]{attr.Of[amphora](), func(a *amphora) *string { return &a.ID }, "amphorae", "amphorae_links"}, q)
	}, "project_id")
}

// amphora reads the one that the path names.
func (s *Server) amphora(c *call) (store.Amphora, error) {
	a, err := s.Store.Amphora(c.Context(), c.PathValue("id"))
	if errors.Is(err, store.ErrNotFound) {
		err = lb.Missing("Amphora", c.PathValue("id"))
	}
	return a, err
}

func (s *Server) showAmphora(c *call) error {
	a, err := s.amphora(c)
	if err != nil {
		return err
	}
	if err := s.allow(c, "amphora", policy.Show, c.who.ProjectID); err != nil {
		return err
	}
	views, err := s.amphoraViews(c.Context(), []store.Amphora{a})
	if err != nil {
		return err
	}
	b := attr.Of[amphora]().AppendMembers([]byte(`{"amphora":{`), &views[0], s.fieldsOf(c))
	return c.write(200, append(attr.Close(b, '}'), '}'))
}

func (s *Server) showAmphoraStatistics(c *call) error {
	if err := s.allow(c, "amphora", policy.Stats, c.who.ProjectID); err != nil {
		return err
	}
	id := c.PathValue("id")
	stats, err := s.Store.StatisticsOfAmphora(c.Context(), id)
	if err != nil {
		return err
	}
	a, err := s.Store.Amphora(c.Context(), id)
	if errors.Is(err, store.ErrNotFound) || err == nil && len(stats) == 0 {
		return lb.Missing("Amphora stats for", id)
	}
	if err != nil {
		return err
	}
	b := []byte(`{"amphora_stats":[`)
	for _, listener := range slices.Sorted(maps.Keys(stats)) {
		b = attr.AppendString(append(b, `{"id":`...), id)
		b = attr.AppendString(append(b, `,"loadbalancer_id":`...), a.LoadBalancerID)
		b = append(attr.AppendString(append(b, `,"listener_id":`...), listener), ',')
		b = append(appendStatistics(b, stats[listener]), '}', ',')
	}
	return c.write(200, append(attr.Close(b, ']'), '}'))
}

// deleteAmphora is for one that has failed: another takes its place.
func (s *Server) deleteAmphora(c *call) error {
	if err := s.allow(c, "amphora", policy.Delete, c.who.ProjectID); err != nil {
		return err
	}
	err := s.changeAmphora(c, func(tx *store.Tx, a *store.Amphora) error {
		if statusOf(a) != "ERROR" {
			return lb.BeingDeleted("amphora", a.ID)
		}
		a.Deleting = true
		tx.Wake()
		return tx.UpdateAmphora(c.Context(), a)
	})
	if err != nil {
		return err
	}
	return c.done(204)
}

// configureAmphora has the agent's state brought in force again: agents ask for it, there is nothing to push.
func (s *Server) configureAmphora(c *call) error {
	if _, err := s.amphora(c); err != nil {
		return err
	}
	if err := s.allow(c, "amphora", policy.Configure, c.who.ProjectID); err != nil {
		return err
	}
	err := s.changeAmphora(c, func(tx *store.Tx, a *store.Amphora) error {
		return tx.Touch(c.Context(), a.LoadBalancerID)
	})
	if err != nil {
		return err
	}
	return c.done(202)
}

// changeAmphora runs a change with the amphora's load balancer locked.
func (s *Server) changeAmphora(c *call, change func(tx *store.Tx, a *store.Amphora) error) error {
	found, err := s.amphora(c)
	if err != nil {
		return err
	}
	return s.Store.Write(c.Context(), func(tx *store.Tx) error {
		if _, err := tx.Lock(c.Context(), found.LoadBalancerID); err != nil {
			return s.kinds.loadBalancer.absent(found.LoadBalancerID, err)
		}
		all, err := tx.Amphorae(c.Context())
		if err != nil {
			return err
		}
		i := slices.IndexFunc(all, func(a store.Amphora) bool { return a.ID == found.ID })
		if i < 0 {
			return lb.Missing("Amphora", found.ID)
		}
		return change(tx, &all[i])
	})
}

func appendStatistics(b []byte, n store.Statistics) []byte {
	for i, counter := range []struct {
		name  string
		value int64
	}{
		{"bytes_in", n.BytesIn}, {"bytes_out", n.BytesOut}, {"active_connections", n.ActiveConnections},
		{"total_connections", n.TotalConnections}, {"request_errors", n.RequestErrors},
	} {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(attr.AppendName(b, counter.name), counter.value, 10)
	}
	return b
}
