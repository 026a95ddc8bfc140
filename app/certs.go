package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/octavo-lb/octavo/ca"
	"github.com/octavo-lb/octavo/config"
	"github.com/octavo-lb/octavo/secrets"
	"github.com/octavo-lb/octavo/store"
)

// CertsOptions are the flags of octavo certs.
type CertsOptions struct {
	Config  func() (config.Sources, error)
	DataDir string // of a standalone service, in place of a configuration
	Out     io.Writer
	Log     *slog.Logger
}

// Certs are the certificate authorities of a deployment, whether or not controllers are running on it.
type Certs struct {
	o           CertsOptions
	store       *store.Store
	authorities *ca.Authorities
}

// OpenCerts opens the database and the key file of a deployment, which must have been started once unless make is set.
func OpenCerts(ctx context.Context, o CertsOptions, make bool) (*Certs, error) {
	database, keyFile, options, err := o.where()
	if err != nil {
		return nil, err
	}
	// What the configuration brings is for controllers to take over.
	options.Operator, options.ReadOnly = ca.Operator{}, !make
	open := secrets.ReadKeyring
	if make {
		open = secrets.OpenKeyring
	}
	keys, err := open(keyFile)
	if err != nil {
		return nil, err
	}
	st, err := store.Open(ctx, database, store.Options{Logger: o.Log, AsIs: !make})
	if err != nil {
		return nil, err
	}
	authorities, err := ca.Open(ctx, st, keys, options)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("cannot open the certificate authorities: %w", err), st.Close())
	}
	return &Certs{o, st, authorities}, nil
}

func (o *CertsOptions) where() (database, keyFile string, options ca.Options, err error) {
	if o.DataDir != "" {
		return "sqlite:" + filepath.Join(o.DataDir, "octavo.db"), filepath.Join(o.DataDir, "octavo.key"), ca.Options{Logger: o.Log}, nil
	}
	sources, err := o.Config()
	if err != nil {
		return "", "", ca.Options{}, err
	}
	cfg, err := config.Load(sources)
	if err != nil {
		return "", "", ca.Options{}, err
	}
	options, err = caOptions(cfg, o.Log)
	return cfg.Database.Connection.Reveal(), cfg.Octavo.KeyFile, options, err
}

// Close closes the database.
func (c *Certs) Close() error { return c.store.Close() }

// shownCA is a CA as octavo certs show has it.
type shownCA struct {
	ca.Authority
	Agents int `json:"agents"` // whose newest certificate it signed, or that trust it as the newest
}

// certsReport is all that octavo certs show has to say.
type certsReport struct {
	CAs         []shownCA  `json:"cas"`
	Agents      int        `json:"agents"`
	Behind      int        `json:"behind"`    // that have not renewed since a CA was changed
	Strangers   int        `json:"strangers"` // of them, those that may not know the newest controller CA
	FirstExpiry *time.Time `json:"first_expiry"`
}

func (c *Certs) report(ctx context.Context) (certsReport, error) {
	amphorae, err := c.store.AllAmphorae(ctx)
	if err != nil {
		return certsReport{}, err
	}
	return reportCerts(c.authorities, amphorae), nil
}

func reportCerts(authorities *ca.Authorities, amphorae []store.Amphora) certsReport {
	var r certsReport
	signer, trust, issued := "", authorities.Trust().ID(), map[string]int{}
	for _, d := range authorities.Describe() {
		if d.Role == ca.Issuing && d.Signs {
			signer = d.Label
		}
	}
	trusting := 0
	for _, a := range amphorae {
		if a.Deleting || a.CertExpiration == nil {
			continue
		}
		r.Agents++
		issued[a.CertIssuer]++
		if a.Trust == trust {
			trusting++
		} else {
			r.Strangers++
		}
		if a.Trust != trust || a.CertIssuer != signer {
			r.Behind++
		}
		if r.FirstExpiry == nil || a.CertExpiration.Before(*r.FirstExpiry) {
			r.FirstExpiry = a.CertExpiration
		}
	}
	for _, d := range authorities.Describe() {
		shown := shownCA{Authority: d, Agents: issued[d.Label]}
		if d.Role == ca.Controller {
			if shown.Agents = 0; d.Signs {
				shown.Agents = trusting
			}
		}
		r.CAs = append(r.CAs, shown)
	}
	return r
}

// Show lists the CAs, the operator's certificates for controllers and what agents have.
func (c *Certs) Show(ctx context.Context, asJSON bool) error {
	r, err := c.report(ctx)
	if err != nil {
		return err
	}
	if asJSON {
		encoder := json.NewEncoder(c.o.Out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(r)
	}
	w := tabwriter.NewWriter(c.o.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "CA\tFOR\tSUBJECT\tSERIAL\tEXPIRES\tAGENTS\tSTATE")
	for _, a := range r.CAs {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%s\n", a.Label, a.Role, a.Subject, a.Serial, expires(a.NotAfter), a.Agents, stateOf(&a.Authority))
		if a.Server != nil {
			fmt.Fprintf(w, "\t\t%s\t%s\t%s\t\tshown by controllers\n", a.Server.Subject, ca.Serial(a.Server), expires(a.Server.NotAfter))
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(c.o.Out, "\n%d agents, %d of which have not renewed since a CA was changed", r.Agents, r.Behind)
	if r.FirstExpiry != nil {
		fmt.Fprintf(c.o.Out, "; the first certificate of an agent ends %s", expires(*r.FirstExpiry))
	}
	_, err = fmt.Fprintln(c.o.Out, ".")
	return err
}

func expires(at time.Time) string {
	return fmt.Sprintf("%s (%d days)", at.UTC().Format(time.DateOnly), int(time.Until(at).Hours()/24))
}

func stateOf(a *ca.Authority) string {
	state := "trusted"
	switch {
	case a.Signs:
		state = "in use"
	case !a.From.IsZero():
		state = "in use from " + a.From.UTC().Format(time.TimeOnly) + " UTC"
	}
	if a.Imported {
		state += ", the operator's"
	}
	if a.Lax {
		state += ", names not checked"
	}
	return state
}

// Rotate makes new CAs beside those that are there.
func (c *Certs) Rotate(ctx context.Context, roles []string) error {
	for _, role := range roles {
		label, err := c.authorities.Rotate(ctx, ca.Role(role))
		if err != nil {
			return err
		}
		fmt.Fprintf(c.o.Out, "The new %s CA is %s. Running controllers use it within half a minute; agents follow with their next report.\n", role, label)
	}
	return nil
}

// Import takes over an operator's CAs beside those that are there.
func (c *Certs) Import(ctx context.Context, o ca.Operator) error {
	changed, err := c.authorities.Import(ctx, o)
	if err != nil {
		return err
	}
	if len(changed) == 0 {
		_, err = fmt.Fprintln(c.o.Out, "Nothing to do: they are known already.")
		return err
	}
	for _, label := range changed {
		fmt.Fprintf(c.o.Out, "Imported %s. Running controllers use it within half a minute; agents follow with their next report.\n", label)
	}
	return nil
}

// Retire ends the trust in CAs, unless agents would be lost by it and force is not set.
func (c *Certs) Retire(ctx context.Context, labels []string, force bool) error {
	r, err := c.report(ctx)
	if err != nil {
		return err
	}
	for _, label := range labels {
		if lost := r.lostWithout(label); lost > 0 && !force {
			return fmt.Errorf("%d of %d agents have not renewed since a CA was changed and would be lost without %s: wait, or use --force", lost, r.Agents, label)
		}
	}
	for _, label := range labels {
		if err := c.authorities.Retire(ctx, label); err != nil {
			return err
		}
		fmt.Fprintf(c.o.Out, "%s is not trusted any more, by running controllers within seconds.\n", label)
	}
	return nil
}

// lostWithout counts agents that have a certificate of an issuing CA, or may know no newer controller CA.
func (r *certsReport) lostWithout(label string) int {
	for _, a := range r.CAs {
		if a.Label == label && a.Role == ca.Issuing {
			return a.Agents
		}
	}
	return r.Strangers
}
