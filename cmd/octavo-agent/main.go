// Command octavo-agent runs in each amphora: it serves the load balancer that its controllers want there.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/octavo-lb/octavo/agent"
	"github.com/octavo-lb/octavo/agent/update"
	"github.com/octavo-lb/octavo/agentapi"
)

// version is set by the linker.
var version = "unknown"

func main() { os.Exit(run(os.Args[1:])) }

// run returns the exit code: 0 after a signal (HAProxy serves on), 1 if the agent could not begin, 2 for wrong flags.
func run(args []string) int {
	if len(args) > 0 && args[0] == update.GuardCommand {
		return update.Guard(args[1:])
	}
	config := agent.Config{Version: version, Clock: time.Now}
	flags := flag.NewFlagSet("octavo-agent", flag.ContinueOnError)
	flags.StringVar(&config.ConfigDrive, "config-drive", "/mnt/config", "directory of the config drive, mounted there if it is not yet")
	flags.StringVar(&config.StateDir, "state-dir", "/var/lib/octavo", "directory for the amphora's identity and its last good state")
	flags.StringVar(&config.RunDir, "run-dir", "/run/octavo", "directory in memory for HAProxy's configuration and sockets")
	flags.StringVar(&config.Namespace, "namespace", "amphora-haproxy", "name of the network namespace that serves the load balancer")
	flags.StringVar(&config.HAProxy, "haproxy", "/usr/sbin/haproxy", "the HAProxy program")
	flags.StringVar(&config.Keepalived, "keepalived", "/usr/sbin/keepalived", "the keepalived program")
	flags.StringVar(&config.User, "user", "haproxy", "the user that HAProxy runs as")
	flags.DurationVar(&config.Trial, "trial", agentapi.ProgramTrial, "how long another agent program may take until it has reported to a controller")
	debug := flags.Bool("debug", false, "log more")
	showVersion := flags.Bool("version", false, "print the version and exit")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "octavo-agent: takes no arguments but flags, got %q\n", flags.Arg(0))
		return 2
	}
	if *showVersion {
		fmt.Println("octavo-agent", version)
		return 0
	}
	level := slog.LevelInfo
	if *debug {
		level = slog.LevelDebug
	}
	config.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := agent.Run(ctx, config); err != nil {
		fmt.Fprintln(os.Stderr, "octavo-agent:", err)
		return 1
	}
	return 0
}
