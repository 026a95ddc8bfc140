package worker

import (
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
		if r.EnrolExpiry != nil {
			a.Started = r.EnrolExpiry.Add(-enrolLifetime) // the token is made when the instance is
		}
		amphorae = append(amphorae, a)
	}
	return amphorae
}
