package app

import (
	"context"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/octavo-lb/octavo/ca"
	"github.com/octavo-lb/octavo/store"
)

// metrics are what a controller tells Prometheus of itself and, out of the database, of the deployment.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.HistogramVec
}

func newMetrics(version, hash string) *metrics {
	m := &metrics{registry: prometheus.NewRegistry(), requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "octavo_api_request_duration_seconds", Help: "Time to answer requests of the API, without streams of events.",
		Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
	}, []string{"method", "resource", "code"})}
	info := prometheus.NewGauge(prometheus.GaugeOpts{Name: "octavo_build_info", Help: "1; controllers of one deployment have the same labels.",
		ConstLabels: prometheus.Labels{"version": version, "config": hash}})
	info.Set(1)
	m.registry.MustRegister(m.requests, info, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// serve answers at /metrics on the listener until ctx ends.
func (m *metrics) serve(ctx context.Context, l net.Listener) error {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", m.handler())
	return answer(ctx, l, mux, nil)
}

// timed measures a handler's answers.
func (m *metrics) timed(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		resource := resourceOf(r.URL.Path)
		if resource == "events" {
			h.ServeHTTP(w, r)
			return
		}
		began := time.Now()
		seen := &seenStatus{ResponseWriter: w, code: "2xx"}
		h.ServeHTTP(seen, r)
		m.requests.WithLabelValues(methodOf(r.Method), resource, seen.code).Observe(time.Since(began).Seconds())
	})
}

// resources are the collections of the API. Labels are taken from here, so that strangers cannot make new ones.
var resources = []string{"loadbalancers", "listeners", "pools", "members", "healthmonitors", "l7policies", "rules", "quotas", "flavors", "flavorprofiles",
	"availabilityzones", "availabilityzoneprofiles", "providers", "amphorae", "events"}

// resourceOf is the innermost collection in a path: members for .../pools/ID/members/ID.
func resourceOf(path string) string {
	found := "other"
	for part := range strings.SplitSeq(path, "/") {
		for _, r := range resources {
			if part == r {
				found = r
			}
		}
	}
	return found
}

func methodOf(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
		return method
	}
	return "other"
}

// seenStatus remembers the class of an answer's status.
type seenStatus struct {
	http.ResponseWriter
	code string
}

func (s *seenStatus) WriteHeader(code int) {
	s.code = string(rune('0'+code/100)) + "xx"
	s.ResponseWriter.WriteHeader(code)
}

// Unwrap lets http.ResponseController reach what is below.
func (s *seenStatus) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// deployment collects, at each scrape, what all controllers together work on.
type deployment struct {
	store       *store.Store
	authorities *ca.Authorities
	deadAfter   time.Duration
	clock       func() time.Time
}

func description(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("octavo_"+name, help, labels, nil)
}

var (
	databaseUp    = description("database_up", "Whether the database answers.")
	loadBalancers = description("load_balancers", "Load balancers by status.", "provisioning_status", "operating_status")
	queueLength   = description("queue_length", "Load balancers that wait for a worker.")
	queueAge      = description("queue_age_seconds", "How long the first of them has waited.")
	agentsBy      = description("agents", "Amphorae by what is heard of their agents.", "state")
	agentsBehind  = description("agents_behind", "Agents that have not renewed their certificate since a CA was changed.")
	newsWaiting   = description("notifications_waiting", "Notifications that wait to be sent.")
	newsAge       = description("notifications_age_seconds", "How long the first of them has waited.")
	agentExpiry   = description("agent_certificate_expiry_seconds", "Time until the first certificate of an agent ends.")
	caExpiry      = description("ca_expiry_seconds", "Time until a CA's certificate ends.", "role", "ca", "in_use")
	serverExpiry  = description("controller_certificate_expiry_seconds", "Time until the operator's certificate for controllers ends.", "ca")
)

// Describe implements prometheus.Collector.
func (d *deployment) Describe(ch chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{databaseUp, loadBalancers, queueLength, queueAge, agentsBy, newsWaiting, newsAge, agentsBehind, agentExpiry, caExpiry, serverExpiry} {
		ch <- desc
	}
}

// Collect implements prometheus.Collector.
func (d *deployment) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	now := d.clock()
	for _, a := range d.authorities.Describe() {
		gauge(caExpiry, a.NotAfter.Sub(now).Seconds(), string(a.Role), a.Label, map[bool]string{true: "true", false: "false"}[a.Signs])
		if a.Server != nil {
			gauge(serverExpiry, a.ServerNotAfter.Sub(now).Seconds(), a.Label)
		}
	}
	census, err := d.store.Census(ctx, now.Add(-d.deadAfter))
	var amphorae []store.Amphora
	if err == nil {
		amphorae, err = d.store.AllAmphorae(ctx)
	}
	if err != nil {
		gauge(databaseUp, 0)
		return
	}
	gauge(databaseUp, 1)
	d.collectCensus(gauge, census, now)
	certs := reportCerts(d.authorities, amphorae)
	gauge(agentsBehind, float64(certs.Behind))
	if certs.FirstExpiry != nil {
		gauge(agentExpiry, certs.FirstExpiry.Sub(now).Seconds())
	}
}

func (d *deployment) collectCensus(gauge func(*prometheus.Desc, float64, ...string), c store.Census, now time.Time) {
	for standing, count := range c.LoadBalancers {
		gauge(loadBalancers, float64(count), standing.Provisioning, standing.Operating)
	}
	age := func(count int, oldest time.Time) float64 {
		if count == 0 {
			return 0
		}
		return max(0, now.Sub(oldest).Seconds())
	}
	gauge(queueLength, float64(c.Due))
	gauge(queueAge, age(c.Due, c.OldestDue))
	gauge(newsWaiting, float64(c.Notifications))
	gauge(newsAge, age(c.Notifications, c.OldestNotification))
	gauge(agentsBy, float64(c.Amphorae-c.Silent-c.Starting), "reporting")
	gauge(agentsBy, float64(c.Silent), "silent")
	gauge(agentsBy, float64(c.Starting), "starting")
}
