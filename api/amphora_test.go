package api_test

import (
	"testing"
	"time"

	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/store"
)

// addAmphora puts a row there that a worker would make.
func (s *site) addAmphora(lbID string, change func(*store.Amphora)) string {
	s.t.Helper()
	a := store.Amphora{Role: "STANDALONE", ComputeID: absent, LBNetworkIP: "198.18.0.7", VRRPIP: "192.0.2.8"}
	if change != nil {
		change(&a)
	}
	s.write(lbID, func(tx *store.Tx) error { return tx.InsertAmphora(s.t.Context(), &a) })
	return a.ID
}

func (s *site) write(lbID string, f func(tx *store.Tx) error) {
	s.t.Helper()
	err := s.store.Write(s.t.Context(), func(tx *store.Tx) error {
		if _, err := tx.Lock(s.t.Context(), lbID); err != nil {
			return err
		}
		return f(tx)
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) report(lbID, amphoraID string, r agentapi.Report) {
	s.t.Helper()
	s.write(lbID, func(tx *store.Tx) error { return tx.Report(s.t.Context(), amphoraID, r) })
}

func TestAmphoraeAreForAdmins(t *testing.T) {
	s := newSite(t)
	lbID, other := s.loadBalancer(), s.loadBalancer()
	listenerID := s.create("listeners", "listener", object{"loadbalancer_id": lbID, "protocol": "HTTP", "protocol_port": 80})
	id, booting := s.addAmphora(lbID, nil), s.addAmphora(other, nil)
	s.report(lbID, id, agentapi.Report{Boot: "b", Sequence: 1, Time: time.Now(), Applied: 1,
		Listeners: []agentapi.ListenerHealth{{ID: listenerID, Status: "ONLINE", ActiveConnections: 3, TotalConnections: 9, BytesIn: 100, BytesOut: 200}}})
	const all = "/v2.0/octavia/amphorae"
	root := s.as("admin")
	for _, path := range []string{all, all + "/" + id, all + "/" + id + "/stats"} {
		s.as("member-a").get(path).want(403)
	}
	root.get(all+"/"+id).want(200, `"status":"ALLOCATED"`, `"ha_ip":"192.0.2.11"`, `"lb_network_ip":"198.18.0.7"`, `"loadbalancer_id":"`+lbID, `"image_id":null`)
	root.get(all+"/"+booting).want(200, `"status":"BOOTING"`)
	root.get(all+"/"+absent).want(404, "Amphora "+absent+" not found.")
	for query, want := range map[string]int{"": 2, "?loadbalancer_id=" + lbID: 1, "?status=BOOTING": 1, "?project_id=" + projectA: 2, "?project_id=" + projectB: 0, "?limit=1": 1} {
		if got := root.get(all + query).want(200).ids("amphorae"); len(got) != want {
			t.Errorf("%s: %v", query, got)
		}
	}
	root.get(all+"?fields=id&status=BOOTING").want(200, `{"amphorae":[{"id":"`+booting+`"}],"amphorae_links":[]}`)

	stats := root.get(all+"/"+id+"/stats").want(200, `"listener_id":"`+listenerID)
	if stats.in("amphora_stats.0.total_connections") != 9.0 || stats.in("amphora_stats.0.active_connections") != 3.0 {
		t.Error(stats.raw)
	}
	root.get(all+"/"+booting+"/stats").want(404, "Amphora stats for "+booting+" not found.")
	s.as("member-a").get("/v2/lbaas/listeners/"+listenerID+"/stats").want(200, `"bytes_out":200`)
	s.as("member-a").get(lbs+"/"+lbID+"/stats").want(200, `"bytes_in":100`)

	before := s.generation(lbID)
	root.put(all+"/"+id+"/config", nil).want(202)
	if s.generation(lbID) != before+1 {
		t.Error("nothing is brought in force again")
	}
	root.delete(all+"/"+id).want(409, "amphora "+id+" is immutable and cannot be updated.")
	s.report(lbID, id, agentapi.Report{Boot: "b", Sequence: 2, Time: time.Now(), Applied: 1, Failure: "no haproxy", FailedGen: 2})
	root.delete(all + "/" + id).want(204)
	root.get(all+"/"+id).want(200, `"status":"PENDING_DELETE"`)
	root.delete(all + "/" + absent).want(404)
}

func (s *site) generation(lbID string) int64 {
	s.t.Helper()
	p, err := s.store.Progress(s.t.Context(), lbID)
	if err != nil {
		s.t.Fatal(err)
	}
	return p.Generation
}

func TestFailoverAsksForOtherAmphorae(t *testing.T) {
	s := newSite(t)
	lbID := s.loadBalancer()
	master := s.addAmphora(lbID, func(a *store.Amphora) { a.Role = "MASTER" })
	backup := s.addAmphora(lbID, func(a *store.Amphora) { a.Role = "BACKUP" })
	replacing := func() (out string) {
		all, err := s.store.Amphorae(t.Context(), lbID)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range all {
			if a.Replacing {
				out += a.Role + " "
			}
		}
		return out
	}
	s.as("member-a").put(lbs+"/"+lbID+"/failover", nil).want(403)
	s.as("member-a").put("/v2/octavia/amphorae/"+backup+"/failover", nil).want(403)
	s.as("admin").put("/v2/octavia/amphorae/"+absent+"/failover", nil).want(404)
	s.as("admin").put(lbs+"/"+absent+"/failover", nil).want(404)

	s.as("admin").put("/v2/octavia/amphorae/"+backup+"/failover", nil).want(202)
	if got := replacing(); got != "BACKUP " {
		t.Error(got)
	}
	s.as("member-a").get(lbs+"/"+lbID).want(200, "PENDING_UPDATE")
	s.as("admin").put(lbs+"/"+lbID+"/failover", nil).want(202)
	if got := replacing(); len(got) != len("MASTER BACKUP ") {
		t.Error(got)
	}
	// A worker that read the row before does not forget what the operator wants.
	s.write(lbID, func(tx *store.Tx) error {
		return tx.UpdateAmphora(t.Context(), &store.Amphora{ID: master, Role: "MASTER"})
	})
	if got := replacing(); len(got) != len("MASTER BACKUP ") {
		t.Error(got)
	}
	s.as("member-a").delete(lbs + "/" + lbID).want(204)
	s.as("admin").put(lbs+"/"+lbID+"/failover", nil).want(409, "Invalid state PENDING_DELETE of loadbalancer resource "+lbID)
}
