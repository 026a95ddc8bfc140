// Command octavo is the load balancing service. See octavo --help.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/octavo-lb/octavo/app"
)

// version is set by the linker.
var version = "unknown"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := root().ExecuteContext(ctx)
	if code, ok := errors.AsType[exitCode](err); ok {
		os.Exit(int(code))
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "octavo:", err)
		os.Exit(1)
	}
}

// exitCode is the error of a command that has said everything already.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

func root() *cobra.Command {
	c := &cobra.Command{
		Use:           "octavo",
		Short:         "Load balancing as a service, compatible with OpenStack Octavia",
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	c.AddCommand(serve(), bootstrap(), configureResources(), configCommand(), certsCommand(), doctor(), standalone(), instanceInit(), imageCommand(), agentCommand())
	return c
}

func standalone() *cobra.Command {
	var o app.StandaloneOptions
	var clean, debug bool
	c := &cobra.Command{
		Use:   "standalone",
		Short: "Run the whole service and a small cloud on this machine",
		Long: `Runs API, worker, health manager and housekeeping in one process, with SQLite and a small cloud of network
namespaces on this machine. All APIs answer on one port; DATA-DIR/clouds.yaml tells clients how to reach them.
Ctrl-C takes away everything that was made, unless --keep is given.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			level := slog.LevelInfo
			switch {
			case debug:
				level = slog.LevelDebug
			case o.Demo: // whose table should stay readable
				level = slog.LevelWarn
			}
			o.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
			o.Out, o.Version = os.Stdout, version
			if clean {
				return app.Clean(c.Context(), o)
			}
			return app.Standalone(c.Context(), o)
		},
	}
	f := c.Flags()
	f.StringVar(&o.DataDir, "data-dir", "/var/lib/octavo", "where everything is kept")
	f.StringVar(&o.Listen, "listen", "127.0.0.1:9876", "address and port of all APIs")
	f.BoolVar(&o.Demo, "demo", false, "build the deployment guide's example and show it at work")
	f.BoolVar(&o.Keep, "keep", false, "leave load balancers and servers running at the end; the next start finds them")
	f.StringVar(&o.Topology, "topology", "SINGLE", "SINGLE, or ACTIVE_STANDBY for two amphorae for each load balancer whose flavor does not say")
	f.StringVar(&o.LogTarget, "log-target", "", "HOST:PORT of a syslog server (UDP) for the load balancers' logs; :PORT is this machine")
	f.BoolVar(&clean, "clean", false, "remove what a killed run with this data directory left on the machine, and end")
	f.BoolVar(&debug, "debug", false, "log in detail")
	return c
}
