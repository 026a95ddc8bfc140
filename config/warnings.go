package config

import (
	"fmt"
	"slices"
	"time"

	"github.com/octavo-lb/octavo/agentapi"
)

// Warnings are sentences about values that can be used, but that will surprise somebody one night: most of them are about
// keys that do not go well together.
func (c *Config) Warnings() []string {
	return slices.Concat(c.warnOfHealth(), c.warnOfCertificates(), c.warnOfTrust())
}

// shortestBoot is what a machine takes to boot where nothing else is going on.
const shortestBoot = time.Minute

func (c *Config) warnOfHealth() (all []string) {
	warn := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	h, timeout := &c.HealthManager, c.HealthManager.HeartbeatTimeout
	if search := h.HeartbeatInterval + agentapi.ReportDelay + agentapi.ControllerSearch; len(h.Controllers) > 1 && timeout < search {
		warn("[health_manager] heartbeat_timeout = %v: when a controller's machine goes down, agents need up to %v until another one has stored their report, "+
			"and are taken for dead meanwhile.", timeout.Seconds(), search)
	}
	if h.CheckInterval > timeout {
		warn("[health_manager] health_check_interval = %v: it is longer than heartbeat_timeout, so that dead amphorae are found that much later.", h.CheckInterval.Seconds())
	}
	if t := h.FailoverThreshold; t != nil && *t == 1 {
		warn("[health_manager] failover_threshold = 1: a single dead amphora reaches it, so that none is ever replaced.")
	}
	if boot := time.Duration(c.HaproxyAmphora.ConnectionMaxRetries) * c.HaproxyAmphora.ConnectionRetry; boot > 0 && boot < shortestBoot {
		warn("[haproxy_amphora] connection_max_retries and connection_retry_interval: a new amphora has %v until its first report and is given up then, however far it is.", boot)
	}
	if masterDown := 3 * c.KeepalivedVRRP.AdvertInterval; masterDown >= timeout {
		warn("[keepalived_vrrp] vrrp_advert_int = %v: of a pair, the second amphora takes over after %v, which is not before the first is replaced, by [health_manager] heartbeat_timeout.",
			c.KeepalivedVRRP.AdvertInterval.Seconds(), masterDown)
	}
	for _, name := range c.Octavo.OutsideProviders {
		if _, enabled := c.API.Providers[name]; !enabled {
			warn("[octavo] outside_providers: %s is not in [api_settings] enabled_provider_drivers, so that nobody can choose it.", name)
		}
	}
	return all
}

func (c *Config) warnOfCertificates() (all []string) {
	validity := c.Certificates.Validity
	if validity < 24*time.Hour {
		all = append(all, fmt.Sprintf("[certificates] cert_validity_time = %v: agents whose certificates end while they reach no controller, after %v at the least, "+
			"are lost and must be replaced.", validity.Seconds(), validity/3))
	}
	if buffer := c.HouseKeeping.CertBuffer; c.IsSet("house_keeping", "cert_expiry_buffer") && buffer > validity*2/3 {
		all = append(all, fmt.Sprintf("[house_keeping] cert_expiry_buffer = %v: it is most of cert_validity_time, %v seconds; certificates are renewed after a third of that at the soonest.",
			buffer.Seconds(), validity.Seconds()))
	}
	return all
}

// warnOfTrust names what the operator chose not to check.
func (c *Config) warnOfTrust() (all []string) {
	for _, s := range []struct {
		key      string
		insecure bool
	}{
		{"[keystone_authtoken] insecure = true", c.KeystoneToken.Insecure}, {"[service_auth] insecure = true", c.ServiceAuth.Insecure},
		{"[neutron] insecure = true", c.Neutron.Insecure && !c.ServiceAuth.Insecure}, {"[nova] insecure = true", c.Nova.Insecure}, {"[glance] insecure = true", c.Glance.Insecure}, {"[certificates] insecure = true", c.KeyManagerEndpoint().Insecure && c.Certificates.CertManager != "castellan_cert_manager"},
		{"[barbican] verify_ssl = false", c.KeyManagerEndpoint().Insecure && c.Certificates.CertManager == "castellan_cert_manager" && !c.UsesVault()},
	} {
		if s.insecure {
			all = append(all, fmt.Sprintf("%s: the service's certificate is not checked, so that whoever is in between can take over the service's account.", s.key))
		}
	}
	return all
}
