package haproxy_test

import (
	"testing"

	"github.com/octavo-lb/octavo/haproxy"
	"github.com/octavo-lb/octavo/lb"
)

func TestProcesses(t *testing.T) {
	t.Parallel()
	p := haproxy.ParseProcesses(`#<PID>          <type>          <reloads>       <uptime>        <version>
16348           master          3 [failed: 1]   0d00h10m29s     2.6.12-1+deb12u4
# workers
22789           worker          0               0d00h00m01s     2.6.12-1+deb12u4
# old workers
22001           worker          1               0d00h00m11s     2.6.12-1+deb12u4
21001           worker          2               0d00h01m01s     2.6.12-1+deb12u4
# programs
`)
	if len(p.All) != 4 || p.Failed != 1 || !p.All[0].Master || p.All[1].Old || !p.All[2].Old {
		t.Errorf("read as %+v", p)
	}
	if oldest, ok := p.Oldest(); !ok || oldest.PID != 21001 {
		t.Errorf("the oldest is %+v, %v", oldest, ok)
	}
	if _, ok := haproxy.ParseProcesses("# workers\n1 worker 0\n").Oldest(); ok {
		t.Error("the worker that serves is called old")
	}
}

// TestVerdict goes through what HAProxy calls a server.
func TestVerdict(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		row   haproxy.Row
		want  lb.OperatingStatus
		known bool
	}{
		{haproxy.Row{Status: "UP", CheckStatus: "L7OK", Weight: 1}, lb.Online, true},
		{haproxy.Row{Status: "UP 1/3", CheckStatus: "L4TOUT", Weight: 1}, lb.Online, true},
		{haproxy.Row{Status: "UP", CheckStatus: "L4OK", Weight: 0}, lb.Draining, true},
		{haproxy.Row{Status: "DRAIN", CheckStatus: "L4OK", Weight: 0}, lb.Draining, true},
		{haproxy.Row{Status: "DOWN", CheckStatus: "L4CON", Weight: 1}, lb.OperError, true},
		{haproxy.Row{Status: "DOWN 1/2", CheckStatus: "L7OK", Weight: 0}, lb.OperError, true},
		{haproxy.Row{Status: "NOLB", CheckStatus: "L7OKC", Weight: 1}, lb.Online, true},
		{haproxy.Row{Status: "MAINT", CheckStatus: "L4CON", Weight: 1}, lb.Offline, true},
		{haproxy.Row{Status: "MAINT (via a/b)", Weight: 1}, lb.Offline, true},
		{haproxy.Row{Status: "no check", Weight: 0}, lb.NoMonitor, true},
		{haproxy.Row{Status: "UP", CheckStatus: "INI", Weight: 1}, lb.Offline, false},
	} {
		if got, known := c.row.Verdict(); got != c.want || known != c.known {
			t.Errorf("%s after %s: %s, known %v", c.row.Status, c.row.CheckStatus, got, known)
		}
	}
}
