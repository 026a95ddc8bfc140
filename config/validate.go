package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/octavo-lb/octavo/agentapi"
)

// insecurePassphrase is upstream's default of server_certs_key_passphrase.
const insecurePassphrase = "insecure-key-do-not-use-this-key"

var tlsVersions = []string{"SSLv3", "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"}

// Validate checks what an option alone cannot tell. Its error is Problems, all that there are.
func (c *Config) Validate() error {
	p := &problems{c: c}
	p.api()
	p.tls()
	p.accounts()
	p.addresses()
	p.rest()
	if len(p.found) > 0 {
		return p.found
	}
	return nil
}

type problems struct {
	c     *Config
	found Problems
}

// add reports a key's value; the sentence says what is allowed.
func (p *problems) add(section, key, value, format string, args ...any) {
	where := "default"
	if w, ok := p.c.set[nameKey(section, key)]; ok {
		where = w
	}
	p.found = append(p.found, fmt.Sprintf("[%s] %s = %s (%s): %s.", section, key, value, where, fmt.Sprintf(format, args...)))
}

// together reports one of two keys that is set without the other.
func (p *problems) together(section, key string, value PEM, otherKey string, other PEM) {
	if (value == "") != (other == "") {
		p.add(section, key, value.String(), "it must be set together with %s, which is %q", otherKey, other.String())
	}
}

func (p *problems) api() {
	a := &p.c.API
	if a.AuthStrategy != "keystone" && !a.BindHost.IsLoopback() && !a.NoAuthAnywhere {
		p.add("api_settings", "auth_strategy", a.AuthStrategy,
			"it lets everybody in, so bind_host must be a loopback address and not %v, unless noauth_anywhere = true", a.BindHost)
	}
	if (a.TLSCertFile == "") != (a.TLSKeyFile == "") {
		p.add("api_settings", "tls_cert_file", a.TLSCertFile, "it must be set together with tls_key_file, which is %q", a.TLSKeyFile)
	}
	if _, ok := a.Providers[a.DefaultProvider]; !ok {
		p.add("api_settings", "default_provider_driver", a.DefaultProvider, "it must be one of enabled_provider_drivers")
	}
	if _, err := a.MaxPage(); err != nil {
		p.add("api_settings", "pagination_max_limit", a.PaginationMax, "it must be a number or infinite")
	}
}

// MaxPage answers the most items in one answer, 0 for no limit.
func (a *APISettings) MaxPage() (int, error) {
	if strings.EqualFold(a.PaginationMax, "infinite") {
		return 0, nil
	}
	n, err := strconv.Atoi(a.PaginationMax)
	return max(n, 0), err
}

func (p *problems) tls() {
	a := &p.c.API
	prohibited := strings.FieldsFunc(a.ProhibitedCiphers, func(r rune) bool { return r == ':' })
	for _, side := range []struct {
		name, ciphers string
		versions      []string
	}{
		{"listener", a.ListenerCiphers, a.ListenerTLSVersions},
		{"pool", a.PoolCiphers, a.PoolTLSVersions},
	} {
		for cipher := range strings.SplitSeq(side.ciphers, ":") {
			if slices.Contains(prohibited, cipher) {
				p.add("api_settings", "default_"+side.name+"_ciphers", cipher, "it must not hold what tls_cipher_prohibit_list prohibits")
			}
		}
		p.tlsVersions("default_"+side.name+"_tls_versions", side.versions)
	}
}

func (p *problems) tlsVersions(key string, versions []string) {
	oldest := p.c.API.MinimumTLSVersion
	if len(versions) == 0 {
		p.add("api_settings", key, "", "it must hold at least one of %s", strings.Join(tlsVersions, ", "))
	}
	for _, v := range versions {
		if oldest != "" && slices.Index(tlsVersions, v) < slices.Index(tlsVersions, oldest) {
			p.add("api_settings", key, v, "it must not hold versions older than minimum_tls_version, %s", oldest)
		}
	}
}

// accounts checks those that will be used: not the one for tokens when there are none, nor the cloud's when there is no
// cloud.
func (p *problems) accounts() {
	c := p.c
	if c.API.AuthStrategy == "keystone" {
		p.account("keystone_authtoken", &c.KeystoneToken.Auth)
	}
	if c.ControllerWorker.NetworkDriver != "network_noop_driver" || c.ControllerWorker.ComputeDriver != "compute_noop_driver" {
		p.account("service_auth", &c.ServiceAuth.Auth)
	}
}

func (p *problems) account(section string, a *Auth) {
	if err := a.complete(); err != nil {
		p.found = append(p.found, fmt.Sprintf("[%s]: %v.", section, err))
		return
	}
	if u, err := url.Parse(a.AuthURL); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		p.add(section, "auth_url", a.AuthURL, "it must be a URL such as https://keystone.example.org:5000/v3")
	}
}

func (p *problems) addresses() {
	c := p.c
	for _, list := range []struct {
		section, key string
		values       []string
	}{
		{"health_manager", "controller_ip_port_list", c.HealthManager.Controllers},
		{"amphora_agent", "admin_log_targets", LogTargets(c.AmphoraAgent.AdminLogTargets)},
		{"amphora_agent", "tenant_log_targets", LogTargets(c.AmphoraAgent.TenantLogTargets)},
	} {
		for _, v := range list.values {
			if !hostPort(v) {
				p.add(list.section, list.key, v, "each element must be ADDRESS:PORT, with an IPv6 address in [ and ]")
			}
		}
	}
	if a, h := &c.API, &c.HealthManager; a.BindPort == h.BindPort && a.BindPort != 0 && (a.BindHost == h.BindIP || a.BindHost.IsUnspecified() || h.BindIP.IsUnspecified()) {
		p.add("health_manager", "bind_port", fmt.Sprint(h.BindPort), "the API listens there, by [api_settings] bind_host and bind_port")
	}
	if v := c.Octavo.MetricsAddress; v != "" && !hostPort(v) {
		p.add("octavo", "metrics_address", v, "it must be ADDRESS:PORT, with an IPv6 address in [ and ], or empty")
	}
	for _, id := range c.Networking.ValidVIPNetworks {
		if slices.Contains(c.Networking.DeniedVIPNetworks, id) {
			p.add("networking", "denylist_vip_networks", id, "it must not be in valid_vip_networks as well")
		}
	}
	if strings.HasPrefix(c.Database.Connection.Reveal(), "sqlite:") {
		return
	}
	u, err := url.Parse(c.Database.Connection.Reveal())
	scheme := ""
	if err == nil {
		scheme, _, _ = strings.Cut(u.Scheme, "+")
	}
	if !slices.Contains([]string{"mysql", "mariadb", "postgresql"}, scheme) {
		p.add("database", "connection", mask, "it must be a URL that starts with sqlite:///, mysql+pymysql:// or postgresql://")
	}
}

// hostPort takes host names, too: controllers may have some.
func hostPort(text string) bool {
	host, port, err := net.SplitHostPort(text)
	if err != nil || host == "" {
		return false
	}
	if strings.Contains(host, ":") {
		if _, err := netip.ParseAddr(host); err != nil {
			return false
		}
	}
	n, err := strconv.Atoi(port)
	return err == nil && n > 0 && n < 1<<16
}

// LogTargets puts IPv6 addresses into brackets, which Octavia's own documentation leaves out there.
func LogTargets(list []string) (targets []string) {
	for _, text := range list {
		if i := strings.LastIndexByte(text, ':'); i > 0 {
			if a, err := netip.ParseAddr(text[:i]); err == nil && a.Is6() {
				text = net.JoinHostPort(text[:i], text[i+1:])
			}
		}
		targets = append(targets, text)
	}
	return targets
}

// onBroker tells of a driver of notifications whether it sends them to a message broker.
func onBroker(driver string) bool { return strings.HasPrefix(driver, "messaging") }

// heartbeats refuses times by which amphorae that are well would be taken for dead.
func (p *problems) heartbeats() {
	h := &p.c.HealthManager
	value := fmt.Sprint(h.HeartbeatTimeout.Seconds())
	stored := h.HeartbeatInterval + agentapi.ReportDelay
	if h.HeartbeatTimeout <= stored {
		p.add("health_manager", "heartbeat_timeout", value, "it must be longer than heartbeat_interval, %v seconds, and the %v seconds that a report may wait until it is stored: "+
			"amphorae that are well would be taken for dead", h.HeartbeatInterval.Seconds(), agentapi.ReportDelay.Seconds())
		return
	}
	if trial := stored + agentapi.ProgramTrial; p.c.Octavo.AgentUpdateKey != "" && h.HeartbeatTimeout <= trial {
		p.add("health_manager", "heartbeat_timeout", value, "it must be longer than %v seconds while [octavo] agent_update_key is set: an agent program that fails is on trial for %v seconds, "+
			"and its amphora would be taken for dead before the old program is back", trial.Seconds(), agentapi.ProgramTrial.Seconds())
	}
}

var stickSize = regexp.MustCompile(`(?i)^[0-9]+[kmg]?$`)

func (p *problems) rest() {
	c := p.c
	p.heartbeats()
	if !stickSize.MatchString(c.HaproxyAmphora.StickSize) {
		p.add("haproxy_amphora", "haproxy_stick_size", c.HaproxyAmphora.StickSize, "it must be a number, with k, m or g behind it or not")
	}
	p.together("certificates", "ca_certificate", c.Certificates.CACertificate, "[certificates] ca_private_key", c.Certificates.CAPrivateKey)
	p.together("controller_worker", "client_ca", c.ControllerWorker.ClientCA, "[haproxy_amphora] client_cert", c.HaproxyAmphora.ClientCert)
	if v := &c.Vault; c.UsesVault() {
		if v.UseTLS && !strings.HasPrefix(v.URL, "https://") {
			p.add("vault", "vault_url", v.URL, "it must start with https://, for use_ssl is set")
		}
		if v.Token.Empty() && v.RoleID.Empty() {
			p.add("vault", "approle_role_id", "", "it must be set, with approle_secret_id, or else root_token_id")
		}
	}
	n := &c.Notifications
	if i := slices.IndexFunc(n.Drivers, onBroker); c.ControllerWorker.Events && i >= 0 {
		if n.TransportURL.Empty() && c.Default.TransportURL.Empty() {
			p.add("oslo_messaging_notifications", "driver", n.Drivers[i], "it needs a message broker: set transport_url here or in [DEFAULT]")
		}
		if len(n.Topics) == 0 {
			p.add("oslo_messaging_notifications", "topics", "", "it must name at least one topic")
		}
	}
	for _, s := range c.Certificates.KeyPassphrases {
		if s.Reveal() == insecurePassphrase {
			p.add("certificates", "server_certs_key_passphrase", mask, "it must not be the passphrase that everybody can read in Octavia's source: leave it out, Octavo seals with [octavo] key_file")
		}
	}
}
