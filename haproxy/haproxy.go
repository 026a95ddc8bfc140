// Package haproxy writes HAProxy's configuration from an amphora's wanted state and reads what HAProxy says about itself.
// It is pure: text in, text out. Running HAProxy and talking to its sockets is package agent/proxy's.
package haproxy

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"text/template"

	"github.com/octavo-lb/octavo/agentapi"
)

// Environment is what the text depends on besides the wanted state.
type Environment struct {
	Version Version // of the program that will read the text
	RunDir  string  // where the sockets and the server state file are
	MaxConn int     // connections that the machine's memory and descriptors allow
	// SecretDir is where keys and certificates are, in memory.
	SecretDir string
}

// The files that a configuration refers to, in Environment.RunDir. HAProxy makes the sockets; their directory is the only
// place where it needs to write.
const (
	SocketDir    = "haproxy"
	StatsSocket  = SocketDir + "/stats.sock"
	PeersSocket  = SocketDir + "/peers.sock" // sticky entries go to the next process over it
	EventsSocket = "events.sock"             // HAProxy sends a line whenever a server changes state
	FlowSocket   = "flow.sock"               // and one for each request or connection, when that is logged
	StateFile    = "servers"
)

// Config is one configuration, as text and as what of it can be changed at run time.
type Config struct {
	Text string
	// Digest stands for everything that only a reload can change; a process shows the one that it was started with as
	// its description. Two configurations of one digest differ at most in what Changes can bring about.
	Digest   string
	Backends []Backend
	Lists    []List
	Secrets  []Secret // sorted by name
}

// Serves tells whether there is anything to listen on.
func (c *Config) Serves() bool { return c.Text != "" }

// Backend is one pool as one listener uses it.
type Backend struct {
	Name    string
	PoolID  string
	Servers []Server
	Dynamic bool   // servers can be added and removed without a reload
	Options string // what each server line says besides the server's own properties
	Checked bool   // HAProxy itself checks the servers
	Told    bool   // the agent checks the servers and tells HAProxy
}

// Server is one member in a backend.
type Server struct {
	Name         string // the member's id
	Address      netip.AddrPort
	Weight       int
	Backup       bool
	Disabled     bool
	CheckAddress netip.Addr // invalid: the server's own
	CheckPort    int        // 0: the server's own
	Cookie       bool
}

//go:embed haproxy.cfg.tmpl
var configText string

var configTemplate = sync.OnceValues(func() (*template.Template, error) {
	t, err := template.New("haproxy.cfg").Funcs(template.FuncMap{"word": word, "format": format}).Parse(configText)
	if err != nil {
		return nil, fmt.Errorf("parsing the template of haproxy.cfg: %w", err)
	}
	return t, nil
})

// Build writes the configuration for a wanted state. It is empty when there is nothing to serve. It fails on a state
// that no configuration can express, naming the object and the attribute; nothing a user wrote can change the structure
// of the text.
func Build(state *agentapi.State, env Environment) (*Config, error) {
	tree, err := index(state)
	if err != nil {
		return nil, err
	}
	view, err := tree.view(env)
	if err != nil {
		return nil, err
	}
	if len(view.Frontends) == 0 {
		return &Config{}, nil
	}
	t, err := configTemplate()
	if err != nil {
		return nil, err
	}
	fixed, err := execute(t, view)
	if err != nil {
		return nil, err
	}
	for _, l := range view.files.lists {
		fixed += l.Name + "\n" + l.Files[0] + "\n"
	}
	sum := sha256.Sum256([]byte(fixed))
	view.Digest = hex.EncodeToString(sum[:])
	view.Whole = true
	text, err := execute(t, view)
	if err != nil {
		return nil, err
	}
	config := &Config{Text: text, Digest: view.Digest, Lists: view.files.lists}
	for _, name := range slices.Sorted(maps.Keys(view.files.secrets)) {
		config.Secrets = append(config.Secrets, view.files.secrets[name])
	}
	for _, b := range view.Backends {
		config.Backends = append(config.Backends, b.Backend)
	}
	return config, nil
}

func execute(t *template.Template, v *view) (string, error) {
	var out bytes.Buffer
	if err := t.Execute(&out, v); err != nil {
		return "", fmt.Errorf("writing haproxy.cfg: %w", err)
	}
	return out.String(), nil
}

// Capabilities are the names of what Build can express, as an agent reports them.
func Capabilities() []string {
	var names []string
	add := func(kind string, values ...string) {
		for _, v := range values {
			names = append(names, kind+":"+v)
		}
	}
	add("listener", "HTTP", "TCP", "HTTPS", "TERMINATED_HTTPS", "PROMETHEUS")
	add("pool", "HTTP", "TCP", "HTTPS", "PROXY", "PROXYV2")
	add("monitor", "HTTP", "HTTPS", "TCP", "TLS-HELLO", "PING")
	add("algorithm", "ROUND_ROBIN", "LEAST_CONNECTIONS", "SOURCE_IP")
	add("persistence", "SOURCE_IP", "HTTP_COOKIE", "APP_COOKIE")
	add("policy", "REDIRECT_TO_POOL", "REDIRECT_TO_URL", "REDIRECT_PREFIX", "REJECT")
	add("policy-listener", "HTTP", "TERMINATED_HTTPS")
	add("rule", "COOKIE", "FILE_TYPE", "HEADER", "HOST_NAME", "PATH", "SSL_CONN_HAS_CERT", "SSL_VERIFY_RESULT", "SSL_DN_FIELD")
	add("option", "tls")
	return names
}

// line is what a server line says after the address, weight and administrative state, which can be changed at run time.
func (s Server) line() string {
	var b strings.Builder
	if s.Backup {
		b.WriteString(" backup")
	}
	if s.Cookie {
		b.WriteString(" cookie " + s.Name)
	}
	if s.CheckAddress.IsValid() {
		b.WriteString(" addr " + host(s.CheckAddress))
	}
	if s.CheckPort != 0 {
		fmt.Fprintf(&b, " port %d", s.CheckPort)
	}
	return b.String()
}

// Fixed is the part of the server line that only a new server can change.
func (s Server) Fixed() string { return s.Name + " " + endpoint(s.Address) + s.line() }

// Line is the whole server line.
func (s Server) Line() string {
	text := fmt.Sprintf("%s %s weight %d%s", s.Name, endpoint(s.Address), s.Weight, s.line())
	if s.Disabled {
		text += " disabled"
	}
	return text
}

// host and endpoint write an IPv6 address in brackets: HAProxy would take its last group for a port.
func host(a netip.Addr) string {
	if a.Is6() {
		return "[" + a.String() + "]"
	}
	return a.String()
}

func endpoint(a netip.AddrPort) string { return a.String() }
