package haproxy

import (
	"regexp"
	"strings"
)

// The proxies by which metrics get out: HAProxy's own exporter for the agent, and the agent for a PROMETHEUS listener.
const (
	exporterProxy = "exporter"
	metricsProxy  = "metrics"
	// ExporterSocket is where HAProxy's own exporter answers, MetricsSocket where the agent has to.
	ExporterSocket = SocketDir + "/exporter.sock"
	MetricsSocket  = "metrics.sock"
)

// family is a kind of HAProxy's metrics, with Octavia's names for it (octavia/cmd/prometheus_proxy.py).
type family struct {
	prefix, name string
	labels       *strings.Replacer
	renamed      map[string]string
	only         *regexp.Regexp // of the rest of the name; nil for all
}

func families() []family {
	pool := strings.NewReplacer(`proxy="`, `pool="`, `server="`, `member="`)
	return []family{
		{prefix: "haproxy_process_pool_", name: "octavia_memory_pool_"},
		{prefix: "haproxy_process_", name: "octavia_loadbalancer_",
			only: regexp.MustCompile(`^((max|current|limit)_)?(connections?|requests?|sessions?|ssl|frontend_ssl|backend_ssl|http_comp|listeners|dropped_logs)(_|$)`)},
		{prefix: "haproxy_frontend_", name: "octavia_listener_", labels: strings.NewReplacer(`proxy="`, `listener="`)},
		{prefix: "haproxy_backend_agg_"},
		{prefix: "haproxy_backend_", name: "octavia_pool_", labels: pool, renamed: map[string]string{
			"server_aborts_total": "member_aborts_total", "active_servers": "active_members", "backup_servers": "backup_members",
		}},
		{prefix: "haproxy_server_", name: "octavia_member_", labels: pool},
	}
}

// Metrics writes what HAProxy's exporter prints in the names that dashboards for Octavia know.
func Metrics(exported string) string {
	var b strings.Builder
	all := families()
	for line := range strings.Lines(exported) {
		lead, sample := "", line
		for _, comment := range []string{"# HELP ", "# TYPE "} {
			if rest, ok := strings.CutPrefix(line, comment); ok {
				lead, sample = comment, rest
			}
		}
		if strings.Contains(sample, `proxy="`+exporterProxy+`"`) || strings.Contains(sample, `proxy="`+metricsProxy+`"`) {
			continue
		}
		for _, f := range all {
			if rest, ok := strings.CutPrefix(sample, f.prefix); ok {
				b.WriteString(f.write(lead, rest))
				break
			}
		}
	}
	return b.String()
}

func (f family) write(lead, rest string) string {
	end := strings.IndexAny(rest, " {\n")
	if f.name == "" || end < 0 {
		return ""
	}
	name, rest := rest[:end], rest[end:]
	if f.only != nil && !f.only.MatchString(name) {
		return ""
	}
	if other, ok := f.renamed[name]; ok {
		name = other
	}
	if f.labels != nil && lead == "" {
		rest = f.labels.Replace(rest)
	}
	return lead + f.name + name + rest
}
