package app

import (
	"cmp"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/octavo-lb/octavo/api"
	"github.com/octavo-lb/octavo/config"
	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/plan"
	"github.com/octavo-lb/octavo/policy"
	"github.com/octavo-lb/octavo/provider"
	"github.com/octavo-lb/octavo/store"
)

// servesNothing tells that there is no data plane: every load balancer is in force as soon as it is written.
func servesNothing(cfg *config.Config) bool {
	c := &cfg.ControllerWorker
	return c.NetworkDriver == "network_noop_driver" || c.ComputeDriver == "compute_noop_driver" || c.AmphoraDriver == "amphora_noop_driver"
}

// noopProviders are those for which nothing serves load balancers, whatever the drivers.
var noopProviders = []string{"noop_driver", "noop_driver-alt"}

func pretends(cfg *config.Config) func(provider string) bool {
	all := servesNothing(cfg)
	return func(provider string) bool { return all || slices.Contains(noopProviders, provider) }
}

// outside tells which providers are programs outside of the service.
func outside(cfg *config.Config) func(provider string) bool {
	return func(provider string) bool { return slices.Contains(cfg.Octavo.OutsideProviders, provider) }
}

// providerSockets are those of providers outside of the process, nil unless somebody asked for them.
func providerSockets(cfg *config.Config) *provider.Config {
	d := &cfg.DriverAgent
	asked := len(cfg.Octavo.OutsideProviders) > 0
	for _, key := range []string{"status_socket_path", "stats_socket_path", "get_socket_path"} {
		asked = asked || cfg.IsSet("driver_agent", key)
	}
	if !asked {
		return nil
	}
	return &provider.Config{Status: provider.Socket{Path: d.StatusSocket, Timeout: d.StatusTimeout},
		Stats: provider.Socket{Path: d.StatsSocket, Timeout: d.StatsTimeout}, Get: provider.Socket{Path: d.GetSocket, Timeout: d.GetTimeout}}
}

func planSettings(cfg *config.Config) plan.Settings {
	c, n, h := &cfg.ControllerWorker, &cfg.Nova, &cfg.HealthManager
	s := plan.Settings{
		ManagementGroups: c.SecurityGroups, Image: plan.Image{Tag: c.ImageTag, Owner: c.ImageOwner}, FlavorID: c.FlavorID,
		KeyName: c.SSHKeyName, AvailabilityZone: n.AvailabilityZone, DeadAfter: h.HeartbeatTimeout,
		BootTimeout:  time.Duration(cfg.HaproxyAmphora.ConnectionMaxRetries) * cfg.HaproxyAmphora.ConnectionRetry,
		VRRPInterval: cfg.KeepalivedVRRP.AdvertInterval, PretendDelay: cfg.Octavo.NoopDelay, ProviderTimeout: cfg.Octavo.ProviderTimeout,
		Logging: logging(cfg),
	}
	if c.VolumeDriver == "volume_cinder_driver" {
		s.Volume = plan.Volume{GB: cfg.Cinder.VolumeSize, Type: cfg.Cinder.VolumeType}
	}
	if len(c.BootNetworks) > 0 {
		s.ManagementNetwork = c.BootNetworks[0]
	}
	if n.AntiAffinity {
		s.AntiAffinity = n.AntiAffinityRule
	}
	if s.AntiAffinity == "auto" {
		s.AntiAffinity = "soft-anti-affinity" // which a cloud of one host can fulfil, too
	}
	if h.FailoverThreshold != nil {
		s.SilentMin, s.SilentShare = *h.FailoverThreshold, 1e-9
	}
	return s.WithDefaults()
}

func lbRules(cfg *config.Config) lb.Rules {
	a := &cfg.API
	r := lb.Rules{
		NoTLSTermination: !a.AllowTLS, NoPrometheus: !a.AllowPrometheus, NoPing: !a.AllowPing, MinTLSVersion: a.MinimumTLSVersion,
		ListenerTLS: lb.TLSDefaults{Ciphers: a.ListenerCiphers, Versions: a.ListenerTLSVersions, ALPN: a.ListenerALPN},
		PoolTLS:     lb.TLSDefaults{Ciphers: a.PoolCiphers, Versions: a.PoolTLSVersions, ALPN: a.PoolALPN},
		UDPMinDelay: a.UDPConnectMin,
	}
	if a.ProhibitedCiphers != "" {
		r.ProhibitedCiphers = strings.Split(a.ProhibitedCiphers, ":")
	}
	for _, address := range cfg.Networking.ReservedIPs {
		r.DeniedMembers = append(r.DeniedMembers, netip.PrefixFrom(address, address.BitLen()))
	}
	return r
}

// apiConfig is what the configuration says of the API. Who callers are, and what they may see, is for others to add.
func apiConfig(cfg *config.Config) (api.Config, error) {
	a, q := &cfg.API, &cfg.Quotas
	most, err := a.MaxPage()
	if err != nil {
		return api.Config{}, err
	}
	if most == 0 {
		most = 1 << 30
	}
	return api.Config{
		Rules: lbRules(cfg), Topology: cfg.ControllerWorker.Topology, BasePath: "/load-balancer", BaseURI: a.BaseURI,
		AuthURI: cmp.Or(cfg.KeystoneToken.PublicURI, cfg.KeystoneToken.AuthURL), MaxPage: most,
		Healthcheck: a.HealthcheckOn, HealthcheckEvery: a.HealthcheckCache, ImmutableWhilePending: a.ImmutableWhilePending,
		NoPages: !a.AllowPagination, NoSorting: !a.AllowSorting, NoFilters: !a.AllowFiltering, NoFields: !a.AllowFields,
		MaxBody: cfg.Middleware.MaxBody, ListenerDefaults: listenerDefaults(cfg), NoVIPPort: !cfg.Networking.AllowVIPPort,
		NoVIPNetwork: !cfg.Networking.AllowVIPNetwork, NoVIPSubnet: !cfg.Networking.AllowVIPSubnet,
		VIPNetworks: cfg.Networking.ValidVIPNetworks, DeniedVIPNetworks: cfg.Networking.DeniedVIPNetworks,
		DefaultQuota: store.Quota{LoadBalancer: &q.LoadBalancer, Listener: &q.Listener, Pool: &q.Pool, Member: &q.Member,
			HealthMonitor: &q.HealthMonitor, L7Policy: &q.L7Policy, L7Rule: &q.L7Rule},
	}, nil
}

// listenerDefaults are in milliseconds, as attributes of listeners are.
func listenerDefaults(cfg *config.Config) map[string]any {
	h := &cfg.HaproxyAmphora
	return map[string]any{
		"timeout_client_data": int(h.TimeoutClientData.Milliseconds()), "timeout_member_connect": int(h.TimeoutMemberConnect.Milliseconds()),
		"timeout_member_data": int(h.TimeoutMemberData.Milliseconds()), "timeout_tcp_inspect": int(h.TimeoutTCPInspect.Milliseconds()),
	}
}

// enabledProviders are those that the configuration names and that Octavo is, the default first. Where callers are not
// identified, and no providers are named, they are those that clients' tests expect.
func enabledProviders(cfg *config.Config, log *slog.Logger) ([]api.Provider, error) {
	is := func(name string) func(api.Provider) bool { return func(p api.Provider) bool { return p.Name == name } }
	names, first := cfg.API.Providers, cfg.API.DefaultProvider
	if cfg.API.AuthStrategy != "keystone" && !cfg.IsSet("api_settings", "enabled_provider_drivers") {
		names = maps.Clone(names)
		for _, name := range noopProviders {
			names[name] = "NoOp driver."
		}
		if !cfg.IsSet("api_settings", "default_provider_driver") {
			first = "noop_driver"
		}
	}
	known := append(providers(), noopProvider("noop_driver"), noopProvider("noop_driver-alt"))
	for _, name := range cfg.Octavo.OutsideProviders {
		if i := slices.IndexFunc(known, is(name)); i < 0 {
			known = append(known, api.Provider{Name: name, AnySetting: true})
		} else if i < len(providers()) {
			return nil, fmt.Errorf("[octavo] outside_providers = %s: Octavo serves that provider itself", name)
		}
		if _, ok := names[name]; !ok {
			return nil, fmt.Errorf("[octavo] outside_providers = %s: it must be one of [api_settings] enabled_provider_drivers", name)
		}
	}
	var enabled []api.Provider
	for _, p := range known {
		if description, ok := names[p.Name]; ok {
			p.Description = description
			enabled = append(enabled, p)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if !slices.ContainsFunc(enabled, is(name)) {
			log.Warn("[api_settings] enabled_provider_drivers names a provider that is not Octavo's; nobody can use it unless [octavo] outside_providers names it, too", "provider", name)
		}
	}
	i := slices.IndexFunc(enabled, is(first))
	if i < 0 {
		return nil, fmt.Errorf("[api_settings] default_provider_driver = %s: Octavo has no such provider", first)
	}
	enabled[0], enabled[i] = enabled[i], enabled[0]
	return enabled, nil
}

// noopProvider is Octavia's (octavia/api/drivers/noop_driver/driver.py), which takes every setting.
func noopProvider(name string) api.Provider {
	return api.Provider{Name: name, AnySetting: true,
		FlavorSettings: []api.Setting{{Name: "amp_image_tag", Description: "The tag by which the amphora image is found."}},
		ZoneSettings: []api.Setting{{Name: "compute_zone", Description: "The compute availability zone of amphorae."},
			{Name: "volume_zone", Description: "The availability zone of amphorae's volumes."}}}
}

// policyFiles are beside the configuration when their names are relative.
func policyFiles(cfg *config.Config, configFiles []string) api.PolicyFiles {
	beside := "/etc/octavia"
	if len(configFiles) > 0 {
		if beside = configFiles[0]; !isDirectory(beside) {
			beside = filepath.Dir(beside)
		}
	}
	at := func(path string) string {
		if path == "" || filepath.IsAbs(path) {
			return path
		}
		return filepath.Join(beside, path)
	}
	files := api.PolicyFiles{File: at(cfg.Policy.File), Options: policy.Options{
		NewDefaultsOnly: cfg.Policy.EnforceNewDefaults, AnyScope: !cfg.Policy.EnforceScope}}
	for _, dir := range cfg.Policy.Dirs {
		files.Dirs = append(files.Dirs, at(dir))
	}
	return files
}

func isDirectory(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// controllerURLs are where agents find the controllers. It fails if that cannot be told.
func controllerURLs(cfg *config.Config, listening net.Addr) ([]string, error) {
	var urls []string
	for _, address := range cfg.HealthManager.Controllers {
		urls = append(urls, "https://"+address)
	}
	if len(urls) > 0 {
		return urls, nil
	}
	at, err := netip.ParseAddrPort(listening.String())
	if err != nil {
		return nil, err
	}
	if at.Addr().IsUnspecified() {
		return nil, fmt.Errorf("[health_manager] bind_ip = %v: agents must be told an address that they can reach: set controller_ip_port_list as well", at.Addr())
	}
	return []string{"https://" + net.JoinHostPort(at.Addr().Unmap().String(), strconv.Itoa(int(at.Port())))}, nil
}
