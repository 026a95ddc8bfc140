package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/octavo-lb/octavo/ca"
	"github.com/octavo-lb/octavo/config"
	"github.com/octavo-lb/octavo/secrets"
	"github.com/octavo-lb/octavo/store"
)

// DoctorOptions are the flags of octavo doctor.
type DoctorOptions struct {
	Config  func() (config.Sources, error)
	DataDir string // of a standalone service, in place of a configuration
	JSON    bool
	Out     io.Writer
}

// Severity of a finding. The worst one is the exit code of octavo doctor.
type Severity int

const (
	Fine Severity = iota
	Warning
	Failure
)

// MarshalText makes JSON of it that people can read.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

func (s Severity) String() string { return []string{"ok", "warning", "failure"}[s] }

// Finding is the result of one check.
type Finding struct {
	Severity Severity `json:"severity"`
	Check    string   `json:"check"`
	Detail   string   `json:"detail"`
	Hint     string   `json:"hint,omitempty"` // what to do about it
}

// patience bounds one check that asks somebody.
const patience = 15 * time.Second

// Doctor looks at everything that a deployment needs and changes nothing. It answers the worst that it found.
func Doctor(ctx context.Context, o DoctorOptions) (Severity, error) {
	d := &doctor{now: time.Now(), log: slog.New(slog.DiscardHandler), deadAfter: 20 * time.Second}
	if o.DataDir != "" {
		certs := CertsOptions{DataDir: o.DataDir, Log: d.log}
		database, keyFile, _, err := certs.where()
		if err != nil {
			return Failure, err
		}
		if st := d.open(ctx, database); st != nil {
			d.examineState(ctx, st, keyFile)
			st.Close()
		}
	} else {
		d.examine(ctx, o.Config)
	}
	worst := Fine
	for _, f := range d.findings {
		worst = max(worst, f.Severity)
	}
	if o.JSON {
		encoder := json.NewEncoder(o.Out)
		encoder.SetIndent("", "  ")
		return worst, encoder.Encode(d.findings)
	}
	return worst, d.print(o.Out)
}

// doctor collects findings.
type doctor struct {
	now       time.Time
	log       *slog.Logger
	deadAfter time.Duration
	config    string // the digest of the configuration; empty without one
	findings  []Finding
}

func (d *doctor) say(s Severity, check, hint, format string, args ...any) {
	if s == Fine {
		hint = ""
	}
	d.findings = append(d.findings, Finding{s, check, fmt.Sprintf(format, args...), hint})
}

// failed notes an error, if there is one, and tells whether there was.
func (d *doctor) failed(check, hint string, err error) bool {
	if err != nil {
		d.say(Failure, check, hint, "%v", err)
	}
	return err != nil
}

func (d *doctor) print(out io.Writer) error {
	for _, f := range d.findings {
		detail := strings.ReplaceAll(f.Detail, "\n", "\n              ")
		if _, err := fmt.Fprintf(out, "%-8s %s: %s\n", f.Severity, f.Check, detail); err != nil {
			return err
		}
		if f.Hint != "" {
			if _, err := fmt.Fprintf(out, "         -> %s\n", f.Hint); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *doctor) examine(ctx context.Context, source func() (config.Sources, error)) {
	from, err := source()
	if d.failed("configuration", "name the file with -c", err) {
		return
	}
	cfg, err := config.Load(from)
	if d.failed("configuration", "octavo config reference prints every key with what is allowed", err) {
		return
	}
	d.deadAfter, d.config = cfg.HealthManager.HeartbeatTimeout, cfg.Hash()
	if err := errors.Join(checkFiles(cfg, from.Files)...); !d.failed("configuration", "", err) {
		d.say(Fine, "configuration", "", "it can be used; controllers with the same one show %s", cfg.Hash())
	}
	for _, warning := range cfg.Warnings() {
		d.say(Warning, "configuration", "octavo config reference tells what each key is for", "%s", warning)
	}
	if idle := append(idleKeys(cfg), cfg.WithoutEffect...); len(cfg.Unknown)+len(idle) > 0 {
		d.say(Warning, "configuration", "octavo config check lists them", "%d keys are unknown, %d are without effect", len(cfg.Unknown), len(idle))
	}
	var authorities *ca.Authorities
	st := d.open(ctx, cfg.Database.Connection.Reveal())
	if st != nil {
		defer st.Close()
		authorities = d.examineState(ctx, st, cfg.Octavo.KeyFile)
	}
	d.examineBroker(ctx, cfg)
	if cfg.UsesVault() {
		d.examineVault(ctx, cfg)
	}
	d.examineKeystone(ctx, cfg)
	if !servesNothing(cfg) {
		d.examineCloud(ctx, cfg, st)
		d.examineAgentsEndpoint(ctx, cfg, authorities)
	}
}

// open answers nil when the database cannot be used.
func (d *doctor) open(ctx context.Context, database string) *store.Store {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	st, err := store.Open(ctx, database, store.Options{AsIs: true, MaxConns: 2})
	if d.failed("database", "start a controller once, or correct [database] connection", err) {
		return nil
	}
	d.say(Fine, "database", "", "it answers and is of this version")
	return st
}

// examineState looks at what is sealed in the database and what it says of the fleet.
func (d *doctor) examineState(ctx context.Context, st *store.Store, keyFile string) *ca.Authorities {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	census, err := st.Census(ctx, d.now.Add(-d.deadAfter))
	if !d.failed("database", "", err) {
		d.examineCensus(census)
	}
	d.examineCapacity(ctx, st)
	d.examineControllers(ctx, st)
	return d.examineCertificates(ctx, st, keyFile)
}

func (d *doctor) examineCensus(c store.Census) {
	all, broken := 0, 0
	for standing, count := range c.LoadBalancers {
		all += count
		if standing.Provisioning == "ERROR" {
			broken += count
		}
	}
	if broken > 0 {
		d.say(Warning, "load balancers", "openstack loadbalancer list --provisioning-status ERROR; the reason is in controllers' logs, with the time of the next try",
			"%d of %d are in ERROR", broken, all)
	} else {
		d.say(Fine, "load balancers", "", "none of %d is in ERROR", all)
	}
	if waited := d.now.Sub(c.OldestDue); c.Due > 0 && waited > time.Minute {
		d.say(Failure, "queue", "start a controller with the role worker, or more of them", "%d load balancers wait for a worker, the first since %v", c.Due, waited.Round(time.Second))
	} else {
		d.say(Fine, "queue", "", "%d load balancers wait for a worker", c.Due)
	}
	d.examineNotifications(c)
	switch {
	case c.Silent > 0 && c.Silent == c.Amphorae-c.Starting:
		d.say(Failure, "agents", "is a controller with the role health running, and can amphorae reach it over the management network?", "all %d are silent for %v", c.Silent, d.deadAfter)
	case c.Silent > 0:
		d.say(Warning, "agents", "workers replace them, one load balancer at a time, unless many are silent at once", "%d of %d are silent for %v", c.Silent, c.Amphorae, d.deadAfter)
	default:
		d.say(Fine, "agents", "", "%d report, %d are starting", c.Amphorae-c.Starting, c.Starting)
	}
}

// Times before a certificate's end at which it is spoken of.
const (
	soon     = 90 * 24 * time.Hour
	verySoon = 14 * 24 * time.Hour
)

func (d *doctor) examineCertificates(ctx context.Context, st *store.Store, keyFile string) *ca.Authorities {
	const what = "certificates"
	keys, err := secrets.ReadKeyring(keyFile)
	if d.failed(what, "[octavo] key_file must be the same file on all controllers: copy it from another one or a backup", err) {
		return nil
	}
	authorities, err := ca.Open(ctx, st, keys, ca.Options{ReadOnly: true, AllowShared: true, Logger: d.log})
	if d.failed(what, "start a controller once; [octavo] key_file must be the same file on all controllers", err) {
		return nil
	}
	if authorities.Shared() {
		d.say(Warning, what, "octavo certs rotate issuing, and octavo certs retire the old one when all agents have followed",
			"one CA is in both places: whoever steals its key can pose as controller and as any amphora")
	}
	for _, a := range authorities.Describe() {
		if a.Signs || len(authorities.Describe()) == 2 {
			d.ends(fmt.Sprintf("the %s CA %s (%s)", a.Role, a.Label, a.Subject), a.NotAfter, "octavo certs rotate "+string(a.Role)+", or octavo certs import")
		}
		if a.Server != nil && a.Signs {
			d.ends("the operator's certificate for controllers ("+a.Server.Subject.String()+")", a.ServerNotAfter,
				"make a new one of the same CA and give it to octavo certs import")
		}
	}
	amphorae, err := st.AllAmphorae(ctx)
	if d.failed(what, "", err) {
		return authorities
	}
	r := reportCerts(authorities, amphorae)
	if r.FirstExpiry != nil && r.FirstExpiry.Sub(d.now) < 5*24*time.Hour {
		d.say(Warning, what, "agents renew ten days before: has this one no way to a controller?", "the first certificate of an agent ends %s", expires(*r.FirstExpiry))
	}
	if r.Behind > 0 {
		d.say(Warning, what, "it should take seconds; octavo certs show tells more", "%d of %d agents have not renewed since a CA was changed", r.Behind, r.Agents)
	}
	return authorities
}

func (d *doctor) ends(what string, at time.Time, hint string) {
	severity := Fine
	switch left := at.Sub(d.now); {
	case left < verySoon:
		severity = Failure
	case left < soon:
		severity = Warning
	}
	d.say(severity, "certificates", hint, "%s ends %s", what, expires(at))
}
