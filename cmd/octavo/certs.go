package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/octavo-lb/octavo/app"
	"github.com/octavo-lb/octavo/ca"
	"github.com/octavo-lb/octavo/secrets"
)

func certsCommand() *cobra.Command {
	c := &cobra.Command{Use: "certs", Short: "Show, rotate and import the certificate authorities of agents and controllers", Args: cobra.NoArgs}
	c.AddCommand(certsShow(), certsRotate(), certsImport(), certsRetire())
	return c
}

// certsFlags adds the flags that name the deployment.
func certsFlags(c *cobra.Command) func(run func(context.Context, *app.Certs) error, make bool) error {
	var o app.CertsOptions
	o.Config = configFlags(c)
	c.Flags().StringVar(&o.DataDir, "data-dir", "", "data directory of a standalone service, in place of a configuration")
	return func(run func(context.Context, *app.Certs) error, make bool) error {
		o.Out = c.OutOrStdout()
		o.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
		certs, err := app.OpenCerts(c.Context(), o, make)
		if err != nil {
			return err
		}
		return errors.Join(run(c.Context(), certs), certs.Close())
	}
}

func certsShow() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{Use: "show", Short: "List the CAs, where they are used, when they end, and how many agents have followed", Args: cobra.NoArgs}
	with := certsFlags(c)
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	c.RunE = func(*cobra.Command, []string) error {
		return with(func(ctx context.Context, certs *app.Certs) error { return certs.Show(ctx, asJSON) }, false)
	}
	return c
}

func certsRotate() *cobra.Command {
	c := &cobra.Command{
		Use:   "rotate [issuing] [controller]",
		Short: "Make new CAs beside those that are there; both without arguments",
		Long: `Makes a new issuing CA, controller CA or both. Agents and controllers trust the old and the new one from then on; each agent gets
a certificate of the new one after its next report, and none is disturbed. An agent that was away finds a controller with a
certificate of the old one until that expires or is retired. To end the trust in a CA whose key was stolen: octavo certs retire.`,
		Args: cobra.MaximumNArgs(2), ValidArgs: []string{"issuing", "controller"},
	}
	with := certsFlags(c)
	c.RunE = func(_ *cobra.Command, roles []string) error {
		if len(roles) == 0 {
			roles = []string{"issuing", "controller"}
		}
		return with(func(ctx context.Context, certs *app.Certs) error { return certs.Rotate(ctx, roles) }, false)
	}
	return c
}

func certsImport() *cobra.Command {
	var issuingPassphrase, controllerPassphrase string
	files := map[string]*[]byte{}
	var o ca.Operator
	c := &cobra.Command{
		Use:   "import",
		Short: "Use an operator's own CAs beside those that are there, or a new certificate for controllers",
		Long: `Takes over an operator's CAs: the same five values that Octavia has in [certificates] ca_certificate, ca_private_key and
ca_private_key_passphrase, [controller_worker] client_ca and [haproxy_amphora] client_cert, all in PEM. Running controllers and
agents follow as with octavo certs rotate.`,
		Args: cobra.NoArgs,
	}
	with := certsFlags(c)
	f := c.Flags()
	for _, file := range []struct {
		name, usage string
		into        *[]byte
	}{
		{"issuing-ca", "file with the certificate of the CA that signs agents' certificates", &o.IssuingCA},
		{"issuing-key", "file with its private key", &o.IssuingKey},
		{"controller-ca", "file with the certificate of the CA that agents trust in controllers", &o.ControllerCA},
		{"controller-cert", "file with the controllers' certificate and its private key", &o.ControllerCert},
		{"controller-ca-key", "file with the controller CA's private key, in place of --controller-cert: certificates are made here then", &o.ControllerKey},
	} {
		files[file.name] = file.into
		f.String(file.name, "", file.usage)
	}
	f.StringVar(&issuingPassphrase, "issuing-passphrase-file", "", "file with the passphrase of the issuing CA's key; - for standard input")
	f.StringVar(&controllerPassphrase, "controller-passphrase-file", "", "file with the passphrase of the controller CA's key; - for standard input")
	c.RunE = func(c *cobra.Command, _ []string) (err error) {
		for name, into := range files {
			path := f.Lookup(name).Value.String()
			if path == "" {
				continue
			}
			if *into, err = os.ReadFile(path); err != nil {
				return fmt.Errorf("--%s: %w", name, err)
			}
		}
		if err := complete(&o); err != nil {
			return err
		}
		if o.IssuingPassphrase, err = passphrase(c.InOrStdin(), issuingPassphrase); err != nil {
			return err
		}
		if o.ControllerPassphrase, err = passphrase(c.InOrStdin(), controllerPassphrase); err != nil {
			return err
		}
		return with(func(ctx context.Context, certs *app.Certs) error { return certs.Import(ctx, o) }, true)
	}
	return c
}

func complete(o *ca.Operator) error {
	switch {
	case len(o.IssuingCA)+len(o.ControllerCA) == 0:
		return errors.New("there is nothing to import: give --issuing-ca, --controller-ca or both")
	case (len(o.IssuingCA) == 0) != (len(o.IssuingKey) == 0):
		return errors.New("--issuing-ca and --issuing-key belong together")
	case (len(o.ControllerCA) == 0) != (len(o.ControllerCert)+len(o.ControllerKey) == 0), len(o.ControllerCert) > 0 && len(o.ControllerKey) > 0:
		return errors.New("--controller-ca needs one of --controller-cert and --controller-ca-key")
	}
	return nil
}

func passphrase(stdin io.Reader, path string) (secrets.Secret, error) {
	if path == "" {
		return secrets.Secret{}, nil
	}
	var text []byte
	var err error
	if path == "-" {
		text, err = io.ReadAll(io.LimitReader(stdin, 4096))
	} else {
		text, err = os.ReadFile(path)
	}
	return secrets.New(strings.TrimRight(string(text), "\r\n")), err
}

func certsRetire() *cobra.Command {
	var force bool
	c := &cobra.Command{
		Use:   "retire CA...",
		Short: "End the trust in CAs before they expire, because a key was stolen or they are not wanted any more",
		Args:  cobra.MinimumNArgs(1),
	}
	with := certsFlags(c)
	c.Flags().BoolVar(&force, "force", false, "even if agents are lost by it: their load balancers serve on until they are replaced")
	c.RunE = func(_ *cobra.Command, args []string) error {
		return with(func(ctx context.Context, certs *app.Certs) error { return certs.Retire(ctx, args, force) }, false)
	}
	return c
}
