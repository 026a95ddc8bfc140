package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/octavo-lb/octavo/notify/rabbittest"
	"github.com/octavo-lb/octavo/test/dbtest"
)

// newsConf sends what happens over a broker.
const newsConf = `[DEFAULT]
host = %s
transport_url = %s
[oslo_messaging_notifications]
driver = messagingv2
topics = news
`

// TestNotificationsOutliveTheirBroker runs two controllers of one database and has their broker down for a while, during
// which one of them is killed.
func TestNotificationsOutliveTheirBroker(t *testing.T) {
	t.Parallel()
	rabbit := rabbittest.Start(t, nil)
	dsn, dir := dbtest.DSN(t, "mariadb"), t.TempDir()
	var fronts, figures, confs []string
	var running []*controller
	for i := range 2 {
		front := freePort(t)
		_, port, _ := net.SplitHostPort(front)
		conf := strings.Replace(fmt.Sprintf(noopConf, port, "noauth", dir, dir), "sqlite:///"+dir+"/octavo.db", dsn, 1)
		figures = append(figures, freePort(t))
		confs = append(confs, conf+"metrics_address = "+figures[i]+"\n"+fmt.Sprintf(newsConf, fmt.Sprint("node", i), rabbit.URL("")))
		running = append(running, serve(t, confs[i]))
		fronts = append(fronts, front)
	}
	measured := func(want ...string) {
		t.Helper()
		eventually(t, time.Minute, "the metrics tell", func() error {
			for _, w := range want {
				if text := scrape(t, figures[1]); !regexp.MustCompile(`(?m)^` + w + `$`).MatchString(text) {
					return fmt.Errorf("they lack %s:\n%s", w, text)
				}
			}
			return nil
		})
	}
	diagnosed := func(severity, detail string) {
		t.Helper()
		found, _ := examined(t, confs[1])
		if f := found["message broker"]; f.Severity != severity || !strings.Contains(f.Detail, detail) || strings.Contains(f.Detail, rabbittest.Password) {
			t.Errorf("octavo doctor says of the broker: %+v, want %s and %q", f, severity, detail)
		}
	}
	var want []string
	made := createQuick(t, fronts[0], "before")
	renameQuick(t, fronts[1], made, "renamed")
	want = append(want, made+" create before", made+" update renamed")
	if got := news(t, rabbit.Take(t, "news.info", 2)); !slices.Equal(got, want) {
		t.Fatalf("got %q, want %q", got, want)
	}

	measured("octavo_broker_up 1", "octavo_notifications_waiting 0", "octavo_notifications_age_seconds 0")
	diagnosed("ok", "queue news.info holds 0 messages")

	rabbit.Kill(t)
	want = nil
	for i := range 5 {
		id := createQuick(t, fronts[i%2], fmt.Sprint("during", i))
		want = append(want, id+" create during"+fmt.Sprint(i))
	}
	_ = running[0].cmd.Process.Kill()
	deleteQuick(t, fronts[1], made)
	want = append(want, made+" delete renamed")
	measured("octavo_broker_up 0", "octavo_notifications_waiting 6", `octavo_notifications_age_seconds \d.*[1-9].*`)
	diagnosed("failure", "connection refused")
	if found, _ := examined(t, confs[1]); !strings.HasPrefix(found["notifications"].Detail, "6 wait") {
		t.Errorf("octavo doctor says of the notifications: %+v", found["notifications"])
	}
	rabbit.Start(t)
	got := news(t, rabbit.Take(t, "news.info", len(want)))
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	measured("octavo_broker_up 1", "octavo_notifications_waiting 0")
	running[1].end(t)
	if log := running[1].log.tail(1 << 20); strings.Contains(log, rabbittest.Password) || strings.Contains(log, "level=ERROR") {
		t.Errorf("it logged:\n%s", log)
	}
}

// news are messages in short: of what, the event, and the name then.
func news(t *testing.T, bodies [][]byte) (all []string) {
	t.Helper()
	for _, body := range bodies {
		var outer struct {
			Message string `json:"oslo.message"`
		}
		var m struct {
			EventType string `json:"event_type"`
			Payload   struct{ ID, Name string }
		}
		if err := json.Unmarshal(body, &outer); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(outer.Message), &m); err != nil {
			t.Fatal(err)
		}
		event := strings.TrimSuffix(strings.TrimPrefix(m.EventType, "octavia.loadbalancer."), ".end")
		all = append(all, m.Payload.ID+" "+event+" "+m.Payload.Name)
	}
	return all
}

// quick calls the API of a controller that lets everybody in, and waits until the load balancer is as wanted.
func quick(t *testing.T, method, front, path, body string, status int) (answer struct {
	LoadBalancer struct {
		ID                 string
		ProvisioningStatus string `json:"provisioning_status"`
	}
}) {
	t.Helper()
	q, err := http.NewRequestWithContext(t.Context(), method, "http://"+front+"/v2.0/lbaas/loadbalancers"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Content-Type", "application/json")
	q.Header.Set("X-Project-Id", "11111111111111111111111111111111")
	resp, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	_ = json.NewDecoder(resp.Body).Decode(&answer)
	if resp.StatusCode != status {
		t.Fatalf("%s %s: %d", method, path, resp.StatusCode)
	}
	return answer
}

func createQuick(t *testing.T, front, name string) string {
	t.Helper()
	id := quick(t, "POST", front, "", `{"loadbalancer": {"name": "`+name+`", "vip_subnet_id": "6b8f5b6e-0000-4000-8000-000000000002"}}`, 201).LoadBalancer.ID
	activeQuick(t, front, id)
	return id
}

func renameQuick(t *testing.T, front, id, name string) {
	t.Helper()
	quick(t, "PUT", front, "/"+id, `{"loadbalancer": {"name": "`+name+`"}}`, 200)
	activeQuick(t, front, id)
}

func activeQuick(t *testing.T, front, id string) {
	t.Helper()
	eventually(t, 20*time.Second, "it is ACTIVE", func() error {
		if s := quick(t, "GET", front, "/"+id, "", 200).LoadBalancer.ProvisioningStatus; s != "ACTIVE" {
			return fmt.Errorf("it is %s", s)
		}
		return nil
	})
}

func deleteQuick(t *testing.T, front, id string) {
	t.Helper()
	quick(t, "DELETE", front, "/"+id, "", 204)
}
