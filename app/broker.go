package app

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/octavo-lb/octavo/notify"
)

// brokerWatch tells, as a metric, whether this controller could send a notification now, also while there is none to send.
type brokerWatch struct {
	brokers []*notify.Rabbit
	down    atomic.Bool
	known   atomic.Bool
}

// watchEvery is how soon a broker that went away, or came back, is noticed.
const watchEvery = 15 * time.Second

var brokerUp = description("broker_up", "Whether this controller can reach a message broker for notifications.")

// watchBrokers answers nil where notifications go to no broker.
func (n *notices) watchBrokers() *brokerWatch {
	w := &brokerWatch{}
	for _, p := range n.publishers {
		if r, ok := p.(*notify.Rabbit); ok {
			w.brokers = append(w.brokers, r)
		}
	}
	if len(w.brokers) == 0 {
		return nil
	}
	return w
}

// Run looks until ctx ends.
func (w *brokerWatch) Run(ctx context.Context) {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for {
		down := false
		for _, b := range w.brokers {
			down = b.Ready(ctx) != nil || down
		}
		w.down.Store(down)
		w.known.Store(true)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// Describe implements prometheus.Collector.
func (w *brokerWatch) Describe(ch chan<- *prometheus.Desc) { ch <- brokerUp }

// Collect implements prometheus.Collector.
func (w *brokerWatch) Collect(ch chan<- prometheus.Metric) {
	if !w.known.Load() {
		return
	}
	up := 1.0
	if w.down.Load() {
		up = 0
	}
	ch <- prometheus.MustNewConstMetric(brokerUp, prometheus.GaugeValue, up)
}
