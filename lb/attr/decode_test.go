package attr_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/lb/attr"
)

// The texts are wsme's, which clients of Octavia see: wsme/exc.py and wsme/types.py.
func TestFaultsReadAsClientsKnowThem(t *testing.T) {
	for body, want := range map[string]string{
		`{"protocol":"HTTP","protocol_port":70000,"loadbalancer_id":"44c4bb85-37c4-4e2b-a54a-6c94ad38a5e0"}`:          "Invalid input for field/attribute protocol_port. Value: '70000'. Value should be lower or equal to 65535",
		`{"protocol":"HTTP","protocol_port":0,"loadbalancer_id":"44c4bb85-37c4-4e2b-a54a-6c94ad38a5e0"}`:              "Invalid input for field/attribute protocol_port. Value: '0'. Value should be greater or equal to 1",
		`{"protocol":"HTTP","protocol_port":80,"loadbalancer_id":"1234"}`:                                             "Invalid input for field/attribute loadbalancer_id. Value: '1234'. Value should be UUID format",
		`{"protocol":"HTTP","protocol_port":80}`:                                                                      "Invalid input for field/attribute loadbalancer_id. Value: 'None'. Mandatory field missing.",
		`{"protocol":null,"protocol_port":80,"loadbalancer_id":"44c4bb85-37c4-4e2b-a54a-6c94ad38a5e0"}`:               "None is not a valid option for protocol",
		`{"protocol":"GOPHER","protocol_port":80,"loadbalancer_id":"44c4bb85-37c4-4e2b-a54a-6c94ad38a5e0"}`:           "Invalid input for field/attribute protocol. Value: 'GOPHER'. Value should be one of: HTTP, HTTPS, TCP, TERMINATED_HTTPS, UDP, SCTP, PROMETHEUS",
		`{"name":true,"protocol":"HTTP","protocol_port":80,"loadbalancer_id":"44c4bb85-37c4-4e2b-a54a-6c94ad38a5e0"}`: "Invalid input for field/attribute name. Value: 'True'. Value should be string",
		`{"prot":"HTTP"}`:                 "Unknown attribute for argument listener_.listener: prot",
		`{"id":"x","operating_status":1}`: "Unknown attributes for argument listener_.listener: id, operating_status",
	} {
		o, err := attr.ParseBody("listener_.listener", []byte(body))
		if err != nil {
			t.Fatal(err)
		}
		_, err = attr.Of[lb.Listener]().Decode("listener_.listener", o, &lb.Listener{}, attr.Create)
		if err == nil || err.Error() != want {
			t.Errorf("%s:\n got %v\nwant %s", body, err, want)
		}
	}
}

func TestARefusedObjectSharesNothingWithTheDeclaration(t *testing.T) {
	table := attr.Of[lb.Listener]().WithDefaults(map[string]any{"tls_versions": []string{"TLSv1.3"}, "timeout_client_data": 7})
	var first, second lb.Listener
	body := attr.Body{"protocol": json.RawMessage(`"HTTP"`), "protocol_port": json.RawMessage("80")}
	for _, l := range []*lb.Listener{&first, &second} {
		if _, err := table.Decode("", body, l, attr.Nested); err != nil {
			t.Fatal(err)
		}
	}
	first.TLSVersions[0] = "changed"
	if second.TLSVersions[0] != "TLSv1.3" || second.TimeoutClientData != 7 {
		t.Errorf("defaults of another object: %v, %d", second.TLSVersions, second.TimeoutClientData)
	}
	if d := attr.Of[lb.Listener]().Find("timeout_client_data").Default; d != 50000 {
		t.Errorf("the declared default became %v", d)
	}
}

func TestTenantIDIsTheOldNameOfProjectID(t *testing.T) {
	var b lb.LoadBalancer
	given, err := attr.Of[lb.LoadBalancer]().Decode("", attr.Body{"tenant_id": json.RawMessage(`"p1"`)}, &b, attr.Create)
	if err != nil || b.ProjectID != "p1" || !given["project_id"] {
		t.Errorf("got %q, %v, %v", b.ProjectID, given, err)
	}
	shown := string(attr.Of[lb.LoadBalancer]().AppendObject(nil, &b))
	if !strings.Contains(shown, `"project_id":"p1","tenant_id":"p1"`) {
		t.Error(shown)
	}
}

func TestBodiesThatAreNoObject(t *testing.T) {
	for body, want := range map[string]string{
		``:       "Request is not in valid JSON format",
		`{`:      "Request is not in valid JSON format",
		`[1]`:    "Value should be a JSON object",
		`null`:   "Value should be a JSON object",
		`"text"`: "Value should be a JSON object",
	} {
		if _, err := attr.ParseBody("pool_", []byte(body)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", body, err)
		}
	}
}

// A decoder that took something must show it in a form that it takes again, and give the same object then.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		`{"loadbalancer_id":"44c4bb85-37c4-4e2b-a54a-6c94ad38a5e0","protocol":"HTTP","protocol_port":"80","name":"a\u00e9"}`,
		`{"loadbalancer_id":"{44C4BB8537C44E2BA54A6C94AD38A5E0}","protocol":"HTTP","protocol_port":8e1,"tags":["a",""]}`,
		`{"loadbalancer_id":"urn:uuid:44c4bb85-37c4-4e2b-a54a-6c94ad38a5e0","protocol":"TCP","protocol_port":1e400}`,
		`{"allowed_cidrs":["10.1.2.3/8","::1"],"insert_headers":{"X-Forwarded-For":"true"},"connection_limit":-1e-1}`,
	} {
		f.Add(s)
	}
	table := attr.Of[lb.Listener]()
	f.Fuzz(func(t *testing.T, s string) {
		o, err := attr.ParseBody("x", []byte(s))
		if err != nil {
			return
		}
		var first, second lb.Listener
		if _, err := table.Decode("x", o, &first, attr.Create); err != nil {
			if err.Error() == "" {
				t.Fatal("an error without words")
			}
			return
		}
		raw := table.AppendObject(nil, &first)
		shown, err := attr.ParseBody("x", raw)
		if err != nil {
			t.Fatalf("shown as %s: %v", raw, err)
		}
		for name := range shown {
			if a := table.Find(name); !a.Writable(attr.Create) {
				delete(shown, name)
			}
		}
		delete(shown, "tenant_id")
		shown["loadbalancer_id"] = o["loadbalancer_id"]
		if _, err := table.Decode("x", shown, &second, attr.Create); err != nil {
			t.Fatalf("shown as %s: %v", raw, err)
		}
		first.Tags, second.Tags = nilIfEmpty(first.Tags), nilIfEmpty(second.Tags)
		first.SniContainerRefs, second.SniContainerRefs = nilIfEmpty(first.SniContainerRefs), nilIfEmpty(second.SniContainerRefs)
		first.AllowedCidrs, second.AllowedCidrs = nilIfEmpty(first.AllowedCidrs), nilIfEmpty(second.AllowedCidrs)
		if len(first.InsertHeaders) == 0 {
			first.InsertHeaders, second.InsertHeaders = nil, nil
		}
		if len(first.TLSVersions)+len(first.AlpnProtocols) == 0 {
			first.TLSVersions, first.AlpnProtocols = nil, nil
		}
		if !reflect.DeepEqual(first, second) {
			t.Fatalf("%s\n%+v\n%+v", raw, first, second)
		}
	})
}

func nilIfEmpty(s []string) []string {
	if len(s) == 0 {
		return nil
	}
	return s
}
