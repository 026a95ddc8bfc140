// Package health is the controller's side of the agents' protocol (docs/agent-protocol.md): it enrols instances, hands
// each one its wanted state, takes its reports and turns them into what users see as operating status.
package health
