package notify_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/notify"
	"github.com/octavo-lb/octavo/notify/rabbittest"
	"github.com/octavo-lb/octavo/secrets"
)

func sample(name string) *lb.Tree {
	return &lb.Tree{
		LB: lb.LoadBalancer{Meta: lb.Meta{ID: "1f0b", ProjectID: "p1", AdminStateUp: true, ProvisioningStatus: "ACTIVE", OperatingStatus: "ONLINE",
			CreatedAt: time.Date(2026, 1, 2, 3, 4, 5, 600000000, time.UTC)}, Name: name, VipAddress: "192.0.2.9", VipPortID: new("port"), Provider: "octavia"},
		Listeners: []lb.Listener{{Meta: lb.Meta{ID: "l1"}, DefaultTLSContainerRef: new("secret-ref")}},
		Pools:     []lb.Pool{{Meta: lb.Meta{ID: "p1"}}},
	}
}

func decode(t *testing.T, text []byte) (m map[string]any) {
	t.Helper()
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return m
}

// unwrap takes the message out of its envelope.
func unwrap(t *testing.T, body []byte) map[string]any {
	t.Helper()
	outer := decode(t, body)
	if outer["oslo.version"] != "2.0" || len(outer) != 2 {
		t.Fatalf("no envelope of version 2.0: %s", body)
	}
	return decode(t, []byte(outer["oslo.message"].(string)))
}

func TestTextHasWhatOctaviaDocuments(t *testing.T) {
	at := time.Date(2026, 2, 3, 4, 5, 6, 789000, time.UTC)
	m := decode(t, notify.Text("create", sample("web"), at))
	for key, want := range map[string]any{"event_type": "octavia.loadbalancer.create.end", "priority": "INFO", "publisher_id": nil,
		"timestamp": "2026-02-03 04:05:06.000789", "_context_project": "p1", "_context_tenant": "p1", "_context_user_identity": "- p1 - - -"} {
		if m[key] != want {
			t.Errorf("%s is %v, want %v", key, m[key], want)
		}
	}
	p := m["payload"].(map[string]any)
	for key, want := range map[string]any{"id": "1f0b", "loadbalancer_id": "1f0b", "enabled": true, "admin_state_up": true, "name": "web", "project_id": "p1",
		"created_at": "2026-01-02T03:04:05.600000", "updated_at": nil, "provisioning_status": "ACTIVE", "vip_address": "192.0.2.9", "vip_port_id": "port"} {
		if p[key] != want {
			t.Errorf("payload: %s is %v, want %v", key, p[key], want)
		}
	}
	documented := []string{"enabled", "availability_zone", "created_at", "description", "flavor_id", "id", "listeners", "name", "operating_status", "pools",
		"project_id", "provider", "provisioning_status", "tags", "updated_at", "vip"}
	for _, key := range documented {
		if _, ok := p[key]; !ok {
			t.Errorf("payload: %s is missing in %v", key, slices.Sorted(maps.Keys(p)))
		}
	}
	if v := p["vip"].(map[string]any); v["ip_address"] != "192.0.2.9" || v["port_id"] != "port" {
		t.Errorf("vip is %v", v)
	}
	gone := decode(t, notify.Text("delete", sample("web"), at))
	if p := gone["payload"].(map[string]any); p["provisioning_status"] != "DELETED" || gone["message_id"] == m["message_id"] {
		t.Errorf("deleted: %v", gone)
	}
}

func TestURLsOfTransports(t *testing.T) {
	for text, want := range map[string]string{
		"rabbit://u:p@h1:1,v:q%40@h2:2/cloud":  "[h1:1 u p, h2:2 v q@] cloud false",
		"rabbit://u:p@h1,h2":                   "[h1:5672 u p, h2:5672 u p] / false",
		"rabbit://u:p@[2001:db8::1]:7//?ssl=1": "[[2001:db8::1]:7 u p] / true",
		"rabbit://h/%2Fa?ssl=true":             "[h:5671 guest guest] /a true",
		"amqp://u@h/":                          "[h:5672 u ] / false",
		"kafka://u:hidden@h":                   "it must start with rabbit://",
		"rabbit://u:hidden%zz@h/":              "host 1: its user or password holds a %",
		"rabbit://u:hidden@h:99999/":           "host 1: its port must be",
		"rabbit://u:hidden@h/?ssl=perhaps":     "its ssl must be 1 or 0",
		"hidden":                               "it must start with rabbit://",
	} {
		b, err := notify.ParseURL(secrets.New(text))
		got := ""
		if err != nil {
			got = err.Error()
		} else {
			var hosts []string
			for _, h := range b.Hosts {
				hosts = append(hosts, h.Address+" "+h.User+" "+h.Password.Reveal())
			}
			got = fmt.Sprintf("[%s] %s %v", strings.Join(hosts, ", "), b.VirtualHost, b.TLS)
		}
		if !strings.HasPrefix(got, want) || strings.Contains(got, "hidden") {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

func brokers(t *testing.T, text string) notify.Brokers {
	t.Helper()
	b, err := notify.ParseURL(secrets.New(text))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// One server for what needs one: starting it takes seconds.
func TestRabbitMQ(t *testing.T) {
	authority, certificate := selfSigned(t)
	server := rabbittest.Start(t, certificate)
	publisher := func(o notify.RabbitOptions) *notify.Rabbit {
		o.Exchange = "octavia"
		r := notify.NewRabbit(o)
		t.Cleanup(r.Close)
		return r
	}
	publish := func(t *testing.T, r *notify.Rabbit, text []byte) {
		t.Helper()
		if err := r.Publish(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	text := func(name string) []byte { return notify.Text("update", sample(name), time.Now()) }
	nameOf := func(m map[string]any) any { return m["payload"].(map[string]any)["name"] }

	t.Run("every topic gets it, also when nobody listens yet", func(t *testing.T) {
		r := publisher(notify.RabbitOptions{Brokers: brokers(t, server.URL("")), Topics: []string{"notifications", "octavia-notifications"}})
		publish(t, r, text("a"))
		for _, queue := range []string{"notifications.info", "octavia-notifications.info"} {
			if m := unwrap(t, server.Take(t, queue, 1)[0]); nameOf(m) != "a" {
				t.Errorf("%s has %v", queue, m)
			}
		}
	})
	t.Run("without envelope", func(t *testing.T) {
		r := publisher(notify.RabbitOptions{Brokers: brokers(t, server.URL("")), Topics: []string{"bare"}, Bare: true})
		publish(t, r, text("bare"))
		if m := decode(t, server.Take(t, "bare.info", 1)[0]); nameOf(m) != "bare" {
			t.Errorf("%v", m)
		}
	})
	t.Run("over TLS, checked", func(t *testing.T) {
		o := notify.RabbitOptions{Brokers: brokers(t, server.URL("?ssl=1")), Topics: []string{"secure"}}
		if err := publisher(o).Publish(t.Context(), text("x")); err == nil || !strings.Contains(err.Error(), "certificate") {
			t.Errorf("an unknown authority: %v", err)
		}
		o.TLSConfig = authority
		publish(t, publisher(o), text("secure"))
		server.Take(t, "secure.info", 1)
	})
	t.Run("the next host when one does not answer", func(t *testing.T) {
		r := publisher(notify.RabbitOptions{Brokers: brokers(t, "rabbit://a:b@127.0.0.1:1,"+server.Node(false)+"/cloud"), Topics: []string{"second"}})
		publish(t, r, text("second"))
		server.Take(t, "second.info", 1)
	})
	t.Run("a wrong password is told", func(t *testing.T) {
		r := publisher(notify.RabbitOptions{Brokers: brokers(t, fmt.Sprintf("rabbit://octavo:hidden@127.0.0.1:%d/cloud", server.Port)), Topics: []string{"x"}})
		if err := r.Publish(t.Context(), text("x")); err == nil || strings.Contains(err.Error(), "hidden") || !strings.Contains(err.Error(), "403") {
			t.Errorf("%v", err)
		}
	})
	t.Run("a queue of another kind is told", func(t *testing.T) {
		r := publisher(notify.RabbitOptions{Brokers: brokers(t, server.URL("")), Topics: []string{"notifications"}, Durable: true})
		if err := r.Publish(t.Context(), text("x")); err == nil || !strings.Contains(err.Error(), "amqp_durable_queues") {
			t.Errorf("%v", err)
		}
	})
	t.Run("a deleted queue loses nothing", func(t *testing.T) {
		r := publisher(notify.RabbitOptions{Brokers: brokers(t, server.URL("")), Topics: []string{"fragile"}})
		publish(t, r, text("before"))
		server.DeleteQueue(t, "fragile.info")
		if err := r.Publish(t.Context(), text("after")); err == nil {
			t.Error("a message that no queue has was taken for delivered")
		}
		publish(t, r, text("after"))
		server.Take(t, "fragile.info", 1)
	})
	t.Run("oslo.messaging understands it", func(t *testing.T) {
		r := publisher(notify.RabbitOptions{Brokers: brokers(t, server.URL("")), Topics: []string{"python"}})
		for _, name := range []string{"first", "second", "last"} {
			publish(t, r, text(name))
		}
		if got, want := listen(t, server.URL(""), "last"), "first second last"; got != want {
			t.Errorf("the listener got %q, want %q", got, want)
		}
	})
	t.Run("a look at every node makes nothing and sees what is there", func(t *testing.T) {
		two := brokers(t, fmt.Sprintf("rabbit://%s,octavo:hidden@127.0.0.1:%d,a:b@127.0.0.1:1/cloud", server.Node(false), server.Port))
		r := publisher(notify.RabbitOptions{Brokers: two, Topics: []string{"seen", "never"}})
		nodes := r.Probe(t.Context())
		if len(nodes) != 3 || nodes[0].Err != nil || nodes[0].Mismatch != nil || len(nodes[0].Queues) != 0 {
			t.Fatalf("%+v", nodes)
		}
		for i, why := range map[int]string{1: "403", 2: "connection refused"} {
			if err := nodes[i].Err; err == nil || !strings.Contains(err.Error(), why) || strings.Contains(err.Error(), "hidden") {
				t.Errorf("node %d: %v, want %s", i, err, why)
			}
		}
		only := notify.RabbitOptions{Brokers: brokers(t, server.URL("")), Topics: []string{"seen"}}
		publish(t, publisher(only), text("seen"))
		want := []notify.Queue{{Name: "seen.info", Messages: 1}}
		if n := r.Probe(t.Context())[0]; n.Mismatch != nil || !slices.Equal(n.Queues, want) {
			t.Errorf("%+v, want %+v", n, want)
		}
		only.Durable = true
		if n := publisher(only).Probe(t.Context())[0]; n.Err != nil || n.Mismatch == nil || !strings.Contains(n.Mismatch.Error(), "amqp_durable_queues") {
			t.Errorf("queues of another kind: %+v", n)
		}
		server.Take(t, "seen.info", 1)
	})
	t.Run("a broker that comes back is used again", func(t *testing.T) {
		r := publisher(notify.RabbitOptions{Brokers: brokers(t, server.URL("")), Topics: []string{"back"}})
		publish(t, r, text("before"))
		server.Kill(t)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		if err := r.Publish(ctx, text("lost")); err == nil {
			t.Error("a dead broker confirmed a message")
		}
		if err := r.Ready(ctx); err == nil {
			t.Error("a dead broker is ready")
		}
		server.Start(t)
		if err := r.Ready(t.Context()); err != nil {
			t.Error(err)
		}
		publish(t, r, text("after"))
		if bodies := server.Take(t, "back.info", 1); nameOf(unwrap(t, bodies[len(bodies)-1])) != "after" {
			t.Errorf("%s", bodies)
		}
	})
}

// listener is a consumer as every service of OpenStack has it.
const listener = `
import sys, oslo_messaging
from oslo_config import cfg
conf = cfg.ConfigOpts()
conf([])
oslo_messaging.set_transport_defaults(control_exchange='octavia')
transport = oslo_messaging.get_notification_transport(conf, url=sys.argv[1])
names = []
class Endpoint:
    def info(self, ctxt, publisher_id, event_type, payload, metadata):
        assert event_type == 'octavia.loadbalancer.update.end', event_type
        assert ctxt['project'] == 'p1' if 'project' in ctxt else ctxt['tenant'] == 'p1', ctxt
        assert metadata['message_id'] and metadata['timestamp'], metadata
        names.append(payload['name'])
        if payload['name'] == sys.argv[2]:
            print(' '.join(names), flush=True)
server = oslo_messaging.get_notification_listener(transport, [oslo_messaging.Target(topic='python')], [Endpoint()], executor='threading')
server.start()
sys.stdin.read()
`

// listen answers the names of what a listener of oslo.messaging got, up to one.
func listen(t *testing.T, url, last string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/usr/bin/python3", "-c", listener, url, last)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 1000)
	n, err := out.Read(line)
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if err != nil {
		t.Fatalf("the listener: %v\n%s", err, said.String())
	}
	return strings.TrimSpace(string(line[:n]))
}
