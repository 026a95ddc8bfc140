package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/octavo-lb/octavo/ca"
	"github.com/octavo-lb/octavo/config"
)

// rereadKeys are those whose new values are taken over at a SIGHUP.
var rereadKeys = []string{"[certificates] ca_certificate", "[certificates] ca_private_key", "[certificates] ca_private_key_passphrase",
	"[controller_worker] client_ca", "[haproxy_amphora] client_cert", "[haproxy_amphora] server_ca"}

// obeyHangups opens the log file again, and reads policy and configuration again, at each SIGHUP.
func (s *server) obeyHangups(ctx context.Context) {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
		}
		if err := s.reopen(); err != nil {
			s.log.Error("cannot open the log file again", "err", err)
		}
		if s.policy != nil {
			s.policy.Reload()
		}
		s.reread(ctx)
	}
}

// reread takes over what an operator has changed of our own certificates, and tells of every other key that was changed. What
// is wrong changes nothing.
func (s *server) reread(ctx context.Context) {
	cfg, err := config.Load(s.sources)
	if err != nil {
		s.log.Error("the configuration cannot be used and was not read again; what runs goes on as it was", "err", err)
		return
	}
	others := slices.DeleteFunc(s.cfg.Differences(cfg), func(key string) bool { return slices.Contains(rereadKeys, key) })
	if len(others) > 0 {
		s.log.Warn("keys of the configuration were changed that count only after a restart", "keys", strings.Join(others, "; "))
	}
	options, err := caOptions(cfg, s.log)
	if err == nil {
		trial := options
		trial.Logger = silent()
		err = checkOwn(trial)
	}
	var taken []string
	if err == nil {
		taken, err = s.controller.authorities.Import(ctx, options.Operator)
	}
	if err != nil {
		s.log.Error("the configuration's own certificates cannot be used; those that are known stay in use", "err", err)
		return
	}
	if len(taken) > 0 {
		err = s.controller.authorities.Refresh(ctx)
	}
	if err != nil {
		s.log.Warn("cannot refresh the certificate authorities yet", "err", err)
	}
	s.log.Info("the configuration was read again", "taken_over", strings.Join(taken, "; "))
}

// checkOwn tries an operator's own certificates, and names the keys of those that cannot be used.
func checkOwn(o ca.Options) error {
	issuing, controller := o, o
	issuing.Operator.ControllerCA, issuing.Operator.ControllerCert = nil, nil
	controller.Operator.IssuingCA, controller.Operator.IssuingKey = nil, nil
	var errs []error
	for _, half := range []struct {
		keys string
		ca.Options
	}{{"[certificates] ca_certificate, ca_private_key and ca_private_key_passphrase", issuing},
		{"[controller_worker] client_ca and [haproxy_amphora] client_cert", controller}} {
		if err := ca.CheckOperator(half.Options); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", half.keys, err))
		}
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	return ca.CheckOperator(o)
}
