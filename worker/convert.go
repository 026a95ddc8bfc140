package worker

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/plan"
	"github.com/octavo-lb/octavo/store"
)

// BuildState makes the wanted state of one amphora for those who hand it to the agent, with the same settings that the
// worker plans with.
func BuildState(s plan.Settings) func(t *lb.Tree, amphorae []store.Amphora, id string) (agentapi.State, bool, error) {
	s = s.WithDefaults()
	return func(t *lb.Tree, amphorae []store.Amphora, id string) (agentapi.State, bool, error) {
		state, ready := plan.AgentState(t, planned(amphorae, 0), id, s)
		return state, ready, nil
	}
}

// Unheard tells of an amphora whose state is ready whether the one that serves has yet to be told of it; see plan.Unheard.
func Unheard(t *lb.Tree, amphorae []store.Amphora, id string) bool {
	return plan.Unheard(t, planned(amphorae, 0), id)
}

// SettingsOf are the settings for one load balancer: its flavor and availability zone may choose otherwise than the
// operator's configuration does. A change of a profile concerns amphorae that are made from then on.
func SettingsOf(ctx context.Context, r store.Reader, s plan.Settings, b *lb.LoadBalancer) (plan.Settings, error) {
	said, err := store.Choices(ctx, r, b)
	if err != nil {
		return s, err
	}
	var c plan.Choices
	for _, data := range said {
		if err := json.Unmarshal([]byte(data), &c); err != nil {
			return s, fmt.Errorf("cannot read a profile of load balancer %s: %w", b.ID, err)
		}
	}
	return s.For(c), nil
}

// planned is what a plan is made of.
func planned(rows []store.Amphora, enrolLifetime time.Duration) []plan.Amphora {
	amphorae := make([]plan.Amphora, 0, len(rows))
	for _, r := range rows {
		a := plan.Amphora{
			ID: r.ID, Role: r.Role, Attempt: r.Attempt, ComputeID: r.ComputeID, VRRPPortID: r.VRRPPortID, MgmtPortID: r.MgmtPortID,
			Priority: r.VRRPPriority, Created: r.CreatedAt, Applied: r.AppliedGeneration, Failure: r.Failure,
			FailedGen: r.FailedGeneration, Deleting: r.Deleting, Replacing: r.Replacing,
		}
		for _, i := range r.Interfaces {
			a.Interfaces = append(a.Interfaces, plan.Interface(i))
		}
		if r.LastReportAt != nil {
			a.Reported = *r.LastReportAt
		}
		a.Program = r.WantedProgram
		if a.Drained = r.Drained; r.Deleting && r.UpdatedAt != nil {
			a.Retired = *r.UpdatedAt // nothing else of it changes until it is fenced
		}
		if r.EnrolExpiry != nil {
			a.Started = r.EnrolExpiry.Add(-enrolLifetime) // the token is made when the instance is
		}
		amphorae = append(amphorae, a)
	}
	return amphorae
}
