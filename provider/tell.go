package provider

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/store"
)

// record is what a program says of one object.
type record struct {
	ID           *string `json:"id"`
	Provisioning string  `json:"provisioning_status"`
	Operating    string  `json:"operating_status"`
	// Generation is not octavia-lib's: the generation of the event that a load balancer's ACTIVE answers.
	Generation int64 `json:"generation"`
}

var (
	provisioningStatuses = []string{string(lb.Active), string(lb.PendingCreate), string(lb.PendingUpdate), string(lb.PendingDelete),
		string(lb.ProvError), string(lb.Deleted)}
	operatingStatuses = []string{string(lb.Online), string(lb.Offline), string(lb.Degraded), string(lb.OperError), string(lb.Draining),
		string(lb.NoMonitor)}
)

// status takes in statuses. A message with a mistake changes nothing.
func (s *Server) status(ctx context.Context, request []byte) any {
	if err := s.tell(ctx, request); err != nil {
		f := s.faultOf(err)
		return answer{Code: codeFailed, Fault: f.why, StatusObject: f.object, StatusObjectID: f.id}
	}
	return answer{Code: codeOK}
}

func (s *Server) tell(ctx context.Context, request []byte) error {
	message, err := read(request)
	if err != nil {
		return err
	}
	words := map[string][]store.Word{} // by load balancer
	for _, section := range sections {
		list, err := records[record](message, section.name)
		if err != nil {
			return err
		}
		ids := make([]string, len(list))
		for i, r := range list {
			if err := r.check(section.name); err != nil {
				return err
			}
			ids[i] = *r.ID
		}
		owners, err := s.Store.OwnersOf(ctx, section.kind, ids...)
		if err != nil {
			return err
		}
		for i, r := range list {
			if owner, ok := owners[ids[i]]; ok {
				words[owner] = append(words[owner], store.Word{Kind: section.kind, ID: ids[i],
					Provisioning: lb.ProvisioningStatus(r.Provisioning), Operating: lb.OperatingStatus(r.Operating), Generation: r.Generation})
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(words)) {
		if err := s.write(ctx, id, words[id][0], func(tx *store.Tx) error { return tx.Tell(ctx, words[id]) }); err != nil {
			return err
		}
	}
	return nil
}

func (r *record) check(section string) error {
	if r.ID == nil {
		return &fault{object: section, why: "'id' is missing."}
	}
	for _, c := range []struct {
		name, value string
		allowed     []string
	}{{"provisioning_status", r.Provisioning, provisioningStatuses}, {"operating_status", r.Operating, operatingStatuses}} {
		if c.value != "" && !slices.Contains(c.allowed, c.value) {
			return &fault{section, *r.ID, fmt.Sprintf("%q is not a %s: it must be one of %s.", c.value, c.name, strings.Join(c.allowed, ", "))}
		}
	}
	return nil
}

// write writes about a load balancer that programs may speak of. One that is gone meanwhile is no mistake. about is what is
// named when it is.
func (s *Server) write(ctx context.Context, lbID string, about store.Word, fn func(tx *store.Tx) error) error {
	err := s.Store.Write(ctx, func(tx *store.Tx) error {
		b, err := tx.Lock(ctx, lbID)
		if err != nil {
			return err
		}
		if !s.Serves(b.Provider) {
			return &fault{nameOf(about.Kind), about.ID, fmt.Sprintf("Load balancer %s is served by provider %q, which is not a program outside "+
				"of the service ([octavo] outside_providers).", lbID, b.Provider)}
		}
		return fn(tx)
	})
	if wanted, ok := errors.AsType[*store.WantedError](err); ok {
		return &fault{nameOf(wanted.Kind), wanted.ID, wanted.Error() + "."}
	}
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

func nameOf(k store.Kind) string {
	i := slices.IndexFunc(sections, func(s section) bool { return s.kind == k })
	return sections[i].name
}

// counts are one listener's, since it was made.
type counts struct {
	ID                *string `json:"id"`
	ActiveConnections *int64  `json:"active_connections"`
	TotalConnections  *int64  `json:"total_connections"`
	RequestErrors     *int64  `json:"request_errors"`
	BytesIn           *int64  `json:"bytes_in"`
	BytesOut          *int64  `json:"bytes_out"`
}

// statistics takes in counters.
func (s *Server) statistics(ctx context.Context, request []byte) any {
	if err := s.count(ctx, request); err != nil {
		f := s.faultOf(err)
		return answer{Code: codeFailed, Fault: f.why, StatsObject: f.object, StatsObjectID: f.id}
	}
	return answer{Code: codeOK}
}

const listenersName = "listeners"

func (s *Server) count(ctx context.Context, request []byte) error {
	message, err := read(request)
	if err != nil {
		return err
	}
	list, err := records[counts](message, listenersName)
	if err != nil {
		return err
	}
	byID := map[string]store.Statistics{}
	for _, c := range list {
		if byID[derefID(c.ID)], err = c.statistics(); err != nil {
			return err
		}
	}
	owners, err := s.Store.OwnersOf(ctx, store.Listener, slices.Collect(maps.Keys(byID))...)
	if err != nil {
		return err
	}
	counted := map[string]map[string]store.Statistics{} // by load balancer, then by listener
	for id, owner := range owners {
		if counted[owner] == nil {
			counted[owner] = map[string]store.Statistics{}
		}
		counted[owner][id] = byID[id]
	}
	for _, lbID := range slices.Sorted(maps.Keys(counted)) {
		about := store.Word{Kind: store.Listener, ID: slices.Sorted(maps.Keys(counted[lbID]))[0]}
		if err := s.write(ctx, lbID, about, func(tx *store.Tx) error { return tx.SetStatistics(ctx, counted[lbID]) }); err != nil {
			return err
		}
	}
	return nil
}

func derefID(id *string) string {
	if id == nil {
		return ""
	}
	return *id
}

func (c *counts) statistics() (store.Statistics, error) {
	var out store.Statistics
	for _, m := range []struct {
		name string
		from *int64
		to   *int64
	}{{"active_connections", c.ActiveConnections, &out.ActiveConnections}, {"total_connections", c.TotalConnections, &out.TotalConnections},
		{"request_errors", c.RequestErrors, &out.RequestErrors}, {"bytes_in", c.BytesIn, &out.BytesIn}, {"bytes_out", c.BytesOut, &out.BytesOut}} {
		switch {
		case c.ID == nil:
			return out, &fault{object: listenersName, why: "'id' is missing."}
		case m.from == nil:
			return out, &fault{listenersName, *c.ID, "'" + m.name + "' is missing."}
		case *m.from < 0:
			return out, &fault{listenersName, *c.ID, m.name + " must not be negative."}
		}
		*m.to = *m.from
	}
	return out, nil
}
