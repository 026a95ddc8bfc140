package haproxy

import (
	"cmp"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"

	"github.com/octavo-lb/octavo/lb"
)

// view is what the template sees: every decision is taken, only writing is left.
type view struct {
	LB        string
	RunDir    string
	Digest    string
	MaxConn   int
	Whole     bool // false while the digest is computed: what can be changed at run time is left out
	Frontends []*frontend
	Backends  []*backend
	LocalPeer string
	Metrics   bool // some listener tells them
	// HTTPClient tells that the program has a client of its own, which nothing uses. Unless it is told to trust everybody, it
	// reads all of the system's authorities at every start, which takes longer than all the rest.
	HTTPClient bool
	Peers      []peer

	files tlsFiles
}

// peer is who learns which client belongs to which member: the next process of HAProxy, and the other amphora of a pair.
type peer struct{ Name, Address string }

// peerPort is open between the amphorae of a pair only.
const peerPort = 1025

func (t *tree) peers(runDir string) (local string, all []peer) {
	v := t.state.VRRP
	if v == nil {
		return "amphora", []peer{{"amphora", "unix@" + filepath.Join(runDir, PeersSocket)}}
	}
	at := func(a netip.Addr) string { return netip.AddrPortFrom(a, peerPort).String() }
	all = []peer{{t.state.AmphoraID, at(v.Address)}}
	for i, a := range v.Peers {
		if i < len(v.PeerNames) {
			all = append(all, peer{v.PeerNames[i], at(a)})
		}
	}
	return t.state.AmphoraID, all
}

// TLS tells whether any listener or pool speaks it.
func (v *view) TLS() bool { return len(v.files.secrets) > 0 }

type frontend struct {
	Name        string
	Mode        string
	Binds       []string
	TLS         string // options of the bind lines
	HSTS        string
	Limit       int // 0: none but the global one
	Allowed     [][]string
	ClientMS    int
	InspectMS   int
	Conditions  []condition
	Actions     []action
	DefaultPool string
	LogFormat   string // of one line for each request or connection; empty for none
	Metrics     bool   // it tells metrics, and serves nothing else
}

// What a listener has when it says 0, which has never meant "none" in Octavia.
const (
	defaultDataMS    = 50000
	defaultConnectMS = 5000
)

// unlimited is how many connections there is room for when a listener has no limit of its own.
const unlimited = 50000

func (t *tree) view(env Environment) (*view, error) {
	v := &view{LB: t.state.LB, RunDir: env.RunDir, files: tlsFiles{dir: env.SecretDir, secrets: map[string]Secret{}}}
	v.HTTPClient = env.Version.AtLeast(2, 6)
	v.LocalPeer, v.Peers = t.peers(env.RunDir)
	for _, l := range t.listeners {
		f, err := t.frontend(l, &v.files)
		if err != nil {
			return nil, fmt.Errorf("listener %s: %w", l.ID, err)
		}
		v.Frontends = append(v.Frontends, f)
		v.Metrics = v.Metrics || f.Metrics
		for _, id := range t.poolsOf(l) {
			b, err := t.backend(l, t.pools[id], &v.files, env)
			if err != nil {
				return nil, fmt.Errorf("pool %s: %w", id, err)
			}
			v.Backends = append(v.Backends, b)
		}
	}
	v.MaxConn = min(maxConn(v.Frontends), env.MaxConn)
	return v, nil
}

// defaultLogFormat is Octavia's (octavia/common/config.py, user_log_format).
const defaultLogFormat = "{{ project_id }} {{ lb_id }} %f %ci %cp %t %{+Q}r %ST %B %U %[ssl_c_verify] %{+Q}[ssl_c_s_dn] %b %s %Tt %tsc"

// logFormat is the operator's own format, which is HAProxy's language with two words of Octavia's. A connection of TCP has no
// request and no status.
func (t *tree) logFormat(mode string) string {
	if t.state.Logging == nil || t.state.Logging.Flow == nil {
		return ""
	}
	format := strings.NewReplacer("{{ project_id }}", noFormat(t.state.ProjectID), "{{ lb_id }}", t.state.LB).Replace(cmp.Or(t.state.Logging.Format, defaultLogFormat))
	if mode == "tcp" {
		format = strings.NewReplacer("%{+Q}r", "-", "%r", "-", "%{+Q}ST", "-", "%ST", "-").Replace(format)
	}
	return format
}

// noFormat makes a string stand for itself in a log format.
func noFormat(s string) string { return strings.ReplaceAll(cmp.Or(s, "-"), "%", "%%") }

func maxConn(frontends []*frontend) int {
	sum, floor := 0, 0
	for _, f := range frontends {
		sum += f.Limit
		if f.Limit == 0 {
			floor = unlimited
		}
	}
	return max(sum, floor)
}

func (t *tree) frontend(l lb.Listener, files *tlsFiles) (*frontend, error) {
	f := &frontend{
		Name: l.ID, Mode: listenerMode(l.Protocol), Limit: max(l.ConnectionLimit, 0),
		ClientMS: orDefault(l.TimeoutClientData, defaultDataMS), InspectMS: l.TimeoutTCPInspect,
	}
	var err error
	if f.TLS, err = t.bindTLS(l, files); err != nil {
		return nil, err
	}
	if f.HSTS, err = optionalWord(hsts(l)); err != nil {
		return nil, fmt.Errorf("hsts_max_age: %w", err)
	}
	for _, a := range t.addresses() {
		f.Binds = append(f.Binds, netip.AddrPortFrom(a, uint16(l.ProtocolPort)).String())
	}
	for _, c := range l.AllowedCidrs {
		if _, err := netip.ParsePrefix(c); err != nil {
			return nil, fmt.Errorf("allowed_cidrs: %w", err)
		}
	}
	f.LogFormat = t.logFormat(f.Mode)
	// A configuration line takes at most 64 words.
	f.Allowed = slices.Collect(slices.Chunk(l.AllowedCidrs, 32))
	if l.Protocol == "PROMETHEUS" {
		f.Metrics, f.DefaultPool = true, metricsProxy
		return f, nil
	}
	if l.DefaultPoolID != nil {
		if _, enabled := t.pools[*l.DefaultPoolID]; enabled {
			f.DefaultPool = backendName(*l.DefaultPoolID, l.ID)
		}
	}
	if f.Mode == "http" {
		if err := t.addPolicies(f, l); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// poolsOf lists the enabled pools that a listener's requests can go to, each once.
func (t *tree) poolsOf(l lb.Listener) []string {
	var ids []string
	if l.Protocol == "PROMETHEUS" {
		return nil
	}
	add := func(id *string) {
		if id == nil || slices.Contains(ids, *id) {
			return
		}
		if _, enabled := t.pools[*id]; enabled {
			ids = append(ids, *id)
		}
	}
	add(l.DefaultPoolID)
	if listenerMode(l.Protocol) == "http" {
		for _, p := range t.policies[l.ID] {
			if p.Action == "REDIRECT_TO_POOL" && len(t.rules[p.ID]) > 0 {
				add(p.RedirectPoolID)
			}
		}
	}
	return ids
}

func listenerMode(protocol string) string {
	switch protocol {
	case "HTTP", "TERMINATED_HTTPS", "PROMETHEUS":
		return "http"
	}
	return "tcp"
}

func backendName(pool, listener string) string { return pool + ":" + listener }

func orDefault(n, otherwise int) int {
	if n <= 0 {
		return otherwise
	}
	return n
}

func isTrue(headers map[string]string, name string) bool {
	for k, v := range headers {
		if strings.EqualFold(k, name) {
			return strings.EqualFold(v, "true")
		}
	}
	return false
}
