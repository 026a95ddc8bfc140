package app

import (
	"errors"
	"fmt"
	"io"

	"github.com/octavo-lb/octavo/api"
	"github.com/octavo-lb/octavo/config"
)

// CheckConfig reads a configuration and the files that it names, and says what is wrong, or what has no effect. It opens
// no socket, asks no service and changes nothing.
func CheckConfig(from config.Sources, out io.Writer) error {
	cfg, err := config.Load(from)
	if err != nil {
		return err
	}
	if err := errors.Join(checkFiles(cfg, from.Files)...); err != nil {
		return err
	}
	for _, list := range []struct {
		what string
		keys []string
	}{
		{"Nobody knows", cfg.Unknown}, {"Without effect in Octavo", append(idleKeys(cfg), cfg.WithoutEffect...)},
	} {
		for _, key := range list.keys {
			fmt.Fprintf(out, "%s: %s\n", list.what, key)
		}
	}
	for _, warning := range cfg.Warnings() {
		fmt.Fprintf(out, "Think twice: %s\n", warning)
	}
	_, err = fmt.Fprintf(out, "The configuration can be used. Controllers with the same one show %s.\n", cfg.Hash())
	return err
}

func checkFiles(cfg *config.Config, files []string) []error {
	var problems []error
	note := func(err error) {
		if err != nil {
			problems = append(problems, err)
		}
	}
	at, err := newBackend(cfg)
	note(err)
	if err == nil {
		_, err = newKeyManager(cfg, at, silent())
		note(err)
	}
	own, err := caOptions(cfg, silent())
	if err == nil {
		err = checkOwn(own)
	}
	note(err)
	if _, err = zoneRule(zoneInfo, cfg.ControllerWorker.Timezone); err != nil {
		note(fmt.Errorf("[controller_worker] amp_timezone: %w", err))
	}
	_, err = newNotices(cfg, silent())
	note(err)
	if a := &cfg.API; a.TLSCertFile != "" {
		_, err = api.TLS(a.TLSCertFile, a.TLSKeyFile, nil, silent())
		note(err)
	}
	_, err = api.NewLivePolicy(policyFiles(cfg, files), silent())
	note(err)
	_, err = enabledProviders(cfg, silent())
	note(err)
	return problems
}
