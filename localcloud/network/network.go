package network

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/octavo-lb/octavo/localcloud/fabric"
	"github.com/octavo-lb/octavo/localcloud/httpx"
	"github.com/octavo-lb/octavo/localcloud/state"
)

// Options are what New needs.
type Options struct {
	State  *state.Store
	Tokens httpx.Authenticator
	Fabric *fabric.Fabric
	// Host is this machine's name in the ports' bindings, "localhost" when empty; a port with one is bound.
	Host   string
	Clock  func() time.Time // nil: time.Now
	Logger *slog.Logger
}

// Service answers the API and keeps the fabric as it says.
type Service struct {
	opts    Options
	state   *state.Store
	fabric  *fabric.Fabric
	applier *applier
	revoker *applier
}

// New makes the service. Call Start before it serves.
func New(opts Options) *Service {
	if opts.Clock == nil {
		opts.Clock = time.Now
	}
	if opts.Host == "" {
		opts.Host = "localhost"
	}
	s := &Service{opts: opts, state: opts.State, fabric: opts.Fabric}
	s.applier, s.revoker = newApplier(s.applyRound), newApplier(s.revokeRound)
	return s
}

// Start makes the networks that a cloud begins with, the first time, and then the fabric what the state says, whatever it
// was before, and keeps it so until Close. What the rules still allow is not interrupted.
func (s *Service) Start(ctx context.Context, seed Seed) error {
	release, err := s.seed(ctx, seed)
	if err != nil {
		return err
	}
	defer release()
	if err := s.restore(ctx); err != nil {
		return err
	}
	s.applier.start()
	s.revoker.start()
	return nil
}

// Close ends the upkeep. The networks go on to work.
func (s *Service) Close() {
	s.applier.stop()
	s.revoker.stop()
}

// Handler answers the paths under /network.
func (s *Service) Handler() http.Handler {
	rt := httpx.NewRouter("/network", httpx.Neutron, s.opts.Tokens, s.opts.Logger)
	s.routeInfo(rt)
	routes(rt, "networks", s.listNetworks, s.createNetwork, s.showNetwork, s.updateNetwork, s.deleteNetwork)
	routes(rt, "subnets", s.listSubnets, s.createSubnet, s.showSubnet, s.updateSubnet, s.deleteSubnet)
	routes(rt, "ports", s.listPorts, s.createPort, s.showPort, s.updatePort, s.deletePort)
	routes(rt, "routers", s.listRouters, s.createRouter, s.showRouter, s.updateRouter, s.deleteRouter)
	rt.Handle("PUT /v2.0/routers/{id}/add_router_interface", s.addInterface)
	rt.Handle("PUT /v2.0/routers/{id}/remove_router_interface", s.removeInterface)
	routes(rt, "floatingips", s.listFloatingIPs, s.createFloatingIP, s.showFloatingIP, s.updateFloatingIP, s.deleteFloatingIP)
	routes(rt, "security-groups", s.listGroups, s.createGroup, s.showGroup, s.updateGroup, s.deleteGroup)
	routes(rt, "security-group-rules", s.listRules, s.createRule, s.showRule, nil, s.deleteRule)
	routes(rt, "qos/policies", s.listPolicies, s.createPolicy, s.showPolicy, s.updatePolicy, s.deletePolicy)
	s.routeTags(rt)
	return rt
}

func routes(rt *httpx.Router, plural string, list, create, show, update, remove httpx.Handler) {
	path := "/v2.0/" + plural
	rt.Handle("GET "+path, list)
	rt.Handle("POST "+path, create)
	rt.Handle("GET "+path+"/{id}", show)
	if update != nil {
		rt.Handle("PUT "+path+"/{id}", update)
	}
	rt.Handle("DELETE "+path+"/{id}", remove)
}

func (s *Service) now() time.Time { return s.opts.Clock().UTC().Truncate(time.Second) }

// early answers the filter of a list as far as it spares from looking at everything; the rest of the query is Select's.
func early(r *http.Request) func(name, have string) bool {
	query := r.URL.Query()
	return func(name, have string) bool {
		wanted, filtered := query[name]
		return !filtered || slices.Contains(wanted, have)
	}
}

// begin fills in what a new object of the caller's has: an id, the times, and the project, which only an administrator may
// choose. It is refused where the project's quota of the resource is used up.
func (s *Service) begin(c *common, resource string, who httpx.Caller) error {
	if c.ProjectID == "" {
		c.ProjectID = c.TenantID
	}
	if c.ProjectID == "" {
		c.ProjectID = who.ProjectID
	}
	if c.ProjectID != who.ProjectID && !who.IsAdmin {
		return httpx.BadRequest("HTTPBadRequest", "Specifying 'project_id' or 'tenant_id' other than the authenticated project in request requires admin privileges")
	}
	if c.ProjectID == "" {
		return httpx.BadRequest("HTTPBadRequest", "Running without keystone AuthN requires that tenant_id is specified")
	}
	c.TenantID = c.ProjectID
	c.stamp(s.now())
	return room(s.state, resource, c.ProjectID)
}

// stamp makes an object new.
func (c *common) stamp(now time.Time) {
	c.ID, c.CreatedAt, c.UpdatedAt, c.Tags = uuid.NewString(), now, now, []string{}
}

func (c *common) touch(now time.Time) {
	c.UpdatedAt = now
	c.RevisionNumber++
}

// find answers the object with that id if the caller may see it, and otherwise the error that its kind has for that.
func find[T state.Object](r state.Reader, id string, visible func(T) bool, missing func(id string) error) (T, error) {
	o, err := state.Get[T](r, id)
	if errors.Is(err, state.ErrNotFound) || err == nil && !visible(o) {
		return o, missing(id)
	}
	return o, err
}

// owned tells whether the caller may change what belongs to the project, as an error if not.
func owned(who httpx.Caller, projectID, rule string) error {
	if !who.Sees(projectID) {
		return denied(rule)
	}
	return nil
}
