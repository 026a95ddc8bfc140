package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/octavo-lb/octavo/haproxy"
)

// serveMetrics answers PROMETHEUS listeners, which HAProxy passes on over a socket, until the context ends.
func (a *Agent) serveMetrics(ctx context.Context) {
	path := filepath.Join(a.config.RunDir, haproxy.MetricsSocket)
	err := os.RemoveAll(path)
	var l net.Listener
	if err == nil {
		l, err = net.Listen("unix", path)
	}
	if err == nil {
		err = os.Chmod(path, 0o666) // HAProxy runs as another user
	}
	if err != nil {
		a.config.Logger.Error("cannot serve metrics", "err", err)
		return
	}
	exporter := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true, // the next request may be another process's
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", filepath.Join(a.config.RunDir, haproxy.ExporterSocket))
		},
	}}
	server := &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, err := metrics(r.Context(), exporter)
		if err != nil {
			a.config.Logger.Warn("cannot get metrics", "err", err)
			http.Error(w, "no metrics at the moment", http.StatusBadGateway)
			return
		}
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		w.Header().Set("Cache-Control", "no-cache")
		_, _ = io.WriteString(w, text)
	})}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if err := server.Serve(l); err != nil && !errors.Is(err, http.ErrServerClosed) {
		a.config.Logger.Error("cannot serve metrics", "err", err)
	}
}

func metrics(ctx context.Context, exporter *http.Client) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://haproxy/metrics", nil)
	if err != nil {
		return "", err
	}
	response, err := exporter.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return "", err
	}
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("HAProxy's exporter answers %s", response.Status)
	}
	return machine() + haproxy.Metrics(string(text)), nil
}

// machine tells how busy the instance is.
func machine() string {
	var b strings.Builder
	gauge := func(name, help string, percent float64) {
		fmt.Fprintf(&b, "# HELP %s %s\n# TYPE %s gauge\n%s %.1f\n", name, help, name, name, percent)
	}
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		first, _, _ := strings.Cut(string(text), " ")
		if load, err := strconv.ParseFloat(first, 64); err == nil {
			gauge("octavia_loadbalancer_cpu", "Processor time in demand, in percent of what there is.", load/float64(runtime.NumCPU())*100)
		}
	}
	if text, err := os.ReadFile("/proc/meminfo"); err == nil {
		total, available := meminfo(string(text), "MemTotal:"), meminfo(string(text), "MemAvailable:")
		if total > 0 {
			gauge("octavia_loadbalancer_memory", "Memory in use, in percent of what there is.", (total-available)/total*100)
		}
	}
	return b.String()
}

func meminfo(text, name string) float64 {
	for line := range strings.Lines(text) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == name {
			n, _ := strconv.ParseFloat(fields[1], 64)
			return n
		}
	}
	return 0
}
