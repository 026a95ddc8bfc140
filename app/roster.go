package app

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/octavo-lb/octavo/store"
)

// How often a controller says that it runs, and after how long without a word it does not any more.
const (
	rollCall = 20 * time.Second
	rollGone = 3 * rollCall
)

// roster compares a controller with those that run beside it: all work on the same objects, so a configuration that was
// changed on some of them only makes what users see depend on who was at work.
type roster struct {
	store *store.Store
	self  store.Controller
	clock func() time.Time
	log   *slog.Logger
	told  string // what was logged last
}

// Run takes part until ctx ends.
func (r *roster) Run(ctx context.Context) {
	ticker := time.NewTicker(rollCall)
	defer ticker.Stop()
	for {
		if err := r.call(ctx); err != nil && ctx.Err() == nil {
			r.log.Debug("cannot compare controllers", "err", err)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer cancel()
			if err := r.store.ForgetController(grace, r.self.Name); err != nil {
				r.log.Debug("the end of this controller is not noted", "err", err)
			}
			return
		}
	}
}

// call says that the controller runs, and logs with which others it differs when that has changed.
func (r *roster) call(ctx context.Context) error {
	if err := r.store.SeeController(ctx, r.self); err != nil {
		return err
	}
	all, err := r.store.Controllers(ctx, r.clock().Add(-rollGone))
	if err != nil {
		return err
	}
	differ := strings.Join(disagreeing(all, r.self), ", ")
	switch {
	case differ == r.told:
	case differ == "":
		r.log.Info("all controllers have the same configuration", "config", r.self.Config)
	default:
		r.log.Warn("controllers do not have the same configuration", "config", r.self.Config, "others", differ)
	}
	r.told = differ
	return nil
}

// disagreeing names the controllers of another configuration. Another version of the program has other keys: it is only
// told from this one.
func disagreeing(all []store.Controller, self store.Controller) (names []string) {
	for _, c := range all {
		switch {
		case c.Version != self.Version:
			names = append(names, fmt.Sprintf("%s (version %s)", c.Name, c.Version))
		case c.Config != self.Config:
			names = append(names, fmt.Sprintf("%s (%s)", c.Name, c.Config))
		}
	}
	return names
}

// examineControllers compares those that run with each other, and with the configuration that is examined.
func (d *doctor) examineControllers(ctx context.Context, st *store.Store) {
	const what = "controllers"
	all, err := st.Controllers(ctx, d.now.Add(-rollGone))
	if d.failed(what, "", err) || d.config == "" {
		return // a standalone service has no configuration
	}
	if len(all) == 0 {
		d.say(Warning, what, "start one: octavo serve", "none runs")
		return
	}
	self := store.Controller{Version: all[0].Version, Config: d.config}
	versions := map[string]bool{}
	for _, c := range all {
		versions[c.Version] = true
	}
	differ := disagreeing(all, self)
	switch {
	case len(versions) > 1:
		d.say(Warning, what, "end the upgrade: restart those of the older one", "they are of %d versions", len(versions))
	case len(differ) > 0:
		d.say(Warning, what, "give all the same octavia.conf but for names, addresses and logs, and restart them; octavo config check shows a file's digest",
			"%d of %d do not run with this configuration (%s): %s", len(differ), len(all), d.config, strings.Join(differ, ", "))
	default:
		d.say(Fine, what, "", "%d run, all with this configuration", len(all))
	}
}

// examineCapacity tells what a listener without a limit is limited by.
func (d *doctor) examineCapacity(ctx context.Context, st *store.Store) {
	const what = "connections"
	c, err := st.Capacity(ctx)
	switch {
	case d.failed(what, "", err) || c.Least == 0:
	case c.Excessive > 0:
		d.say(Warning, what, "give their load balancers a flavor with more memory, or lower connection_limit",
			"%d listeners allow more at once than an amphora of theirs carries; the smallest carries %d", c.Excessive, c.Least)
	default:
		d.say(Fine, what, "", "amphorae carry %d to %d at once: that is what a listener without a limit has", c.Least, c.Most)
	}
}

var (
	controllersBy   = description("controllers", "Controllers that run, by what all must agree in.", "version", "config")
	leastCapacity   = description("amphora_max_connections", "Connections that the smallest amphora carries at once.")
	excessiveLimits = description("listeners_beyond_capacity", "Listeners that allow more connections than an amphora of theirs carries.")
)

// fleet collects, at each scrape, who runs and how much amphorae carry.
type fleet struct {
	store *store.Store
	clock func() time.Time
}

// Describe implements prometheus.Collector.
func (f *fleet) Describe(ch chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{controllersBy, leastCapacity, excessiveLimits} {
		ch <- desc
	}
}

// Collect implements prometheus.Collector.
func (f *fleet) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	all, err := f.store.Controllers(ctx, f.clock().Add(-rollGone))
	if err != nil {
		return // database_up says it
	}
	alike := map[[2]string]int{}
	for _, c := range all {
		alike[[2]string{c.Version, c.Config}]++
	}
	for labels, count := range alike {
		gauge(controllersBy, float64(count), labels[0], labels[1])
	}
	if c, err := f.store.Capacity(ctx); err == nil && c.Least > 0 {
		gauge(leastCapacity, float64(c.Least))
		gauge(excessiveLimits, float64(c.Excessive))
	}
}
