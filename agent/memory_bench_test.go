package agent_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
)

// BenchmarkMemory is what an amphora takes: idle, and with as many connections as it may have here, up to 10,000; from both
// follows what one takes. Memory that processes share is counted once.
func BenchmarkMemory(b *testing.B) {
	w := newBench(b)
	for b.Loop() {
		agent, haproxy := w.memory(b, "octavo-agent"), w.memory(b, "haproxy")
		held := w.hold(b, min(10000, w.maxConn(b)-100))
		busyAgent, busyHAProxy := w.memory(b, "octavo-agent"), w.memory(b, "haproxy")
		each := (busyHAProxy - haproxy) / float64(len(held))
		b.ReportMetric(agent, "memory_idle_agent_mb")
		b.ReportMetric(haproxy, "memory_idle_haproxy_mb")
		b.ReportMetric(float64(len(held)), "memory_connections")
		b.ReportMetric(busyAgent, "memory_connected_agent_mb")
		b.ReportMetric(busyHAProxy, "memory_connected_haproxy_mb")
		b.ReportMetric(each*1024, "memory_of_a_connection_kb")
		b.ReportMetric(busyAgent+haproxy+10000*each, "memory_10000_connections_mb")
		for _, c := range held {
			c.Close()
		}
	}
}

// maxConn is how many connections HAProxy takes.
func (w *world) maxConn(b *testing.B) int {
	b.Helper()
	for line := range strings.Lines(w.instance.HAProxy(b, "show info")) {
		if n, ok := strings.CutPrefix(line, "Maxconn: "); ok {
			most, err := strconv.Atoi(strings.TrimSpace(n))
			if err != nil {
				b.Fatal(err)
			}
			return most
		}
	}
	b.Fatal("HAProxy does not tell how many connections it takes")
	return 0
}

// hold opens connections that have had one answer each.
func (w *world) hold(b *testing.B, connections int) (held []net.Conn) {
	b.Helper()
	for range connections {
		c, err := w.net.Dial(context.Background(), "tcp", "10.0.0.100:80")
		if err != nil {
			b.Fatalf("after %d connections: %v", len(held), err)
		}
		fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		if _, err := io.ReadFull(c, make([]byte, 16)); err != nil {
			b.Fatalf("after %d connections: %v", len(held), err)
		}
		held = append(held, c)
	}
	return held
}

// memory adds up the proportional set size of the processes of that name that the agent runs, in MB.
func (w *world) memory(b *testing.B, name string) float64 {
	b.Helper()
	sum := 0.0
	for _, pid := range w.processes(b, name, false) {
		for line := range strings.Lines(w.instance.Output(b, "cat", "/proc/"+pid+"/smaps_rollup")) {
			if f := strings.Fields(line); len(f) > 1 && f[0] == "Pss:" {
				kb, _ := strconv.ParseFloat(f[1], 64)
				sum += kb / 1024
			}
		}
	}
	return sum
}
