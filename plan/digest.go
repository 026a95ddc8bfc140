package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
)

// Digest stands for everything that the cloud's objects of a load balancer depend on. While it stays the same and nobody
// else was at work, nothing in the cloud needs to be looked at for a new generation: a changed weight costs the cloud
// not one call.
func Digest(in Input) string {
	type amphora struct {
		ID, Role, ComputeID, VRRPPortID, MgmtPortID string
		Interfaces                                  []Interface
		Deleting                                    bool
	}
	t := in.Tree
	about := struct {
		VIP      Port
		Owned    bool
		Qos      *string
		Groups   []string
		Topology string
		Group    SecurityGroup
		Subnets  []string
		Amphorae []amphora
		Settings Settings
	}{VIP: VIPPort(&t.LB, t.LB.VipSgIDs), Owned: t.LB.VipPortOwned, Qos: t.LB.VipQosPolicyID, Topology: t.LB.Topology,
		Group: Group(t), Subnets: memberSubnets(t), Settings: in.Settings}
	for _, a := range in.Amphorae {
		about.Amphorae = append(about.Amphorae, amphora{a.ID, a.Role, a.ComputeID, a.VRRPPortID, a.MgmtPortID, a.Interfaces,
			a.Deleting})
	}
	text, err := json.Marshal(about)
	if err != nil {
		return "" // cannot happen; an empty digest settles nothing
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}
