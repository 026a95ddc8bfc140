// Package plan decides. From what users asked for, what is stored, and what the cloud was seen to hold, Next tells the
// next steps towards a load balancer that is in force (or gone), and AgentState tells what each amphora shall do. It is
// pure: no clock, no randomness, no sockets; the same input gives the same steps.
//
// The nouns of the cloud (Port, SecurityGroup, Server, Subnet) are here because a plan is made of them; package cloud
// makes them true, package worker carries the steps out.
package plan
