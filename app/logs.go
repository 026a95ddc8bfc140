package app

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/config"
)

// logging is what the configuration says of load balancers' logs; nil when nobody is to get any.
func logging(cfg *config.Config) *agentapi.Logging {
	a, h := &cfg.AmphoraAgent, &cfg.HaproxyAmphora
	l := &agentapi.Logging{
		Format: h.UserLogFormat, Protocol: a.LogProtocol, Retries: a.LogRetryCount, Interval: a.LogRetryInterval, Queue: a.LogQueueSize,
		Admin: wantedLog(config.LogTargets(a.AdminLogTargets), a.AdminFacility, !a.NoLocalLogs),
	}
	if h.ConnectionLogging {
		l.Flow = wantedLog(config.LogTargets(a.TenantLogTargets), a.UserFacility, !a.NoLocalLogs)
	}
	if l.Flow == nil && l.Admin == nil {
		return nil
	}
	if l.Admin != nil {
		l.Admin.Kernel = a.ForwardAllLogs && len(a.AdminLogTargets) > 0
	}
	return l
}

// wantedLog is nil when it would go nowhere.
func wantedLog(targets []string, facility int, local bool) *agentapi.Log {
	if len(targets) == 0 && !local {
		return nil
	}
	return &agentapi.Log{Targets: targets, Facility: facility, Local: local}
}

func validTarget(target string) error {
	if target == "" {
		return nil
	}
	_, port, err := net.SplitHostPort(target)
	if n, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil || n == 0 {
		return fmt.Errorf("the log target %q is not HOST:PORT, or :PORT for this machine", target)
	}
	return nil
}

// standaloneLogging sends all logs to one server, which amphorae reach by way of the management network.
func standaloneLogging(target string, machine netip.Addr) *agentapi.Logging {
	if target == "" {
		return nil
	}
	host, port, _ := net.SplitHostPort(target)
	if host == "" {
		target = net.JoinHostPort(machine.String(), port)
	}
	log := func(facility int) *agentapi.Log { return &agentapi.Log{Targets: []string{target}, Facility: facility} }
	return &agentapi.Logging{Flow: log(0), Admin: log(1)}
}
