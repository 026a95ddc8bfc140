package haproxy

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// NoServersState is a server state file that tells nothing, for a process without a predecessor.
const NoServersState = "1\n"

// ServerState is one line of `show servers state`: what HAProxy has in force at the moment.
type ServerState struct {
	Backend, Name string
	Address       netip.AddrPort
	Weight        int
	Maintenance   bool
	CheckAddress  netip.Addr
	CheckPort     int

	fields  []string
	columns map[string]int
}

// Bits of srv_admin_state and srv_check_state (HAProxy's include/haproxy/server-t.h and check-t.h).
const (
	forcedMaintenance = 0x01
	checkEnabled      = 0x04
)

// ParseServersState reads what `show servers state` prints.
func ParseServersState(text string) ([]ServerState, error) {
	var columns map[string]int
	var states []ServerState
	for line := range strings.Lines(text) {
		if header, ok := strings.CutPrefix(line, "# "); ok {
			columns = map[string]int{}
			for i, name := range strings.Fields(header) {
				columns[name] = i
			}
			continue
		}
		fields := strings.Fields(line)
		if columns == nil || len(fields) < len(columns) {
			continue
		}
		s := ServerState{fields: fields, columns: columns}
		s.Backend, s.Name = s.get("be_name"), s.get("srv_name")
		if text := s.get("srv_addr"); text != "-" { // as a server is that is reached over a socket of the file system
			address, err := netip.ParseAddr(text)
			if err != nil {
				return nil, fmt.Errorf("reading show servers state: server %s/%s: %w", s.Backend, s.Name, err)
			}
			s.Address = netip.AddrPortFrom(address, uint16(s.number("srv_port")))
		}
		s.Weight = s.number("srv_uweight")
		s.Maintenance = s.number("srv_admin_state")&forcedMaintenance != 0
		s.CheckAddress, _ = netip.ParseAddr(s.get("srv_check_addr"))
		s.CheckPort = s.number("srv_check_port")
		states = append(states, s)
	}
	if columns == nil {
		return nil, fmt.Errorf("show servers state printed no table but %.80q", text)
	}
	return states, nil
}

func (s ServerState) get(column string) string {
	if i, ok := s.columns[column]; ok {
		return s.fields[i]
	}
	return ""
}

func (s ServerState) number(column string) int {
	n, _ := strconv.Atoi(s.get(column))
	return n
}

// StateFor writes the server state file from which the next process takes over what checks have found. Weights and
// maintenance are not taken over but as the next configuration says: HAProxy would let changes at run time win over a
// newer configuration.
func StateFor(next *Config, states []ServerState) string {
	var b strings.Builder
	b.WriteString(NoServersState)
	header := false
	for _, s := range states {
		backend, server := next.find(s.Backend, s.Name)
		// A server that was in maintenance has no verdict worth keeping, and a verdict that nobody checks any more would
		// stay for ever.
		judged := backend != nil && (backend.Told || backend.Checked && s.number("srv_check_state")&checkEnabled != 0)
		if !judged || server.Disabled || s.Maintenance || server.Address != s.Address {
			continue
		}
		if !header {
			names := make([]string, len(s.columns))
			for name, i := range s.columns {
				names[i] = name
			}
			b.WriteString("# " + strings.Join(names, " ") + "\n")
			header = true
		}
		fields := slices.Clone(s.fields)
		set := func(column string, n int) {
			if i, ok := s.columns[column]; ok {
				fields[i] = strconv.Itoa(n)
			}
		}
		set("srv_uweight", server.Weight)
		set("srv_iweight", server.Weight)
		set("srv_admin_state", 0)
		b.WriteString(strings.Join(fields, " ") + "\n")
	}
	return b.String()
}

func (c *Config) find(backend, name string) (*Backend, *Server) {
	for i := range c.Backends {
		b := &c.Backends[i]
		if b.Name != backend {
			continue
		}
		for j := range b.Servers {
			if b.Servers[j].Name == name {
				return b, &b.Servers[j]
			}
		}
	}
	return nil, nil
}

// Changes lists the commands that make a process that runs a configuration of the same Digest do what this one says.
// They may be given in any number and again; ok is false when only a reload will do. Servers are given before others are
// taken, so that at no moment there are fewer than before and afterwards.
func (c *Config) Changes(states []ServerState, rows []Row) (commands []string, ok bool) {
	type key struct{ backend, name string }
	have := map[key]ServerState{}
	for _, s := range states {
		// Backends that are no pools are not to be changed.
		if slices.ContainsFunc(c.Backends, func(b Backend) bool { return b.Name == s.Backend }) {
			have[key{s.Backend, s.Name}] = s
		}
	}
	var losses []string
	backup := map[key]bool{}
	for _, r := range rows {
		backup[key{r.Proxy, r.Server}] = r.Backup
	}
	for _, b := range c.Backends {
		for _, want := range b.Servers {
			k := key{b.Name, want.Name}
			now, known := have[k]
			delete(have, k)
			switch {
			case !known && b.Dynamic:
				commands = append(commands, b.add(want)...)
			case !known || !want.sameLine(now, backup[k]):
				return nil, false
			default:
				gain, loss := b.adjust(want, now)
				commands, losses = append(commands, gain...), append(losses, loss...)
			}
		}
	}
	commands = append(commands, losses...)
	for k, s := range have {
		if !s.Maintenance {
			commands = append(commands, fmt.Sprintf("set server %s/%s state maint", k.backend, k.name))
		}
		commands = append(commands, fmt.Sprintf("%s%s/%s", deleteCommand, k.backend, k.name))
	}
	return commands, true
}

// HealthCommand tells a process what the agent has found out about a server.
func HealthCommand(backend, server string, up bool) string {
	if up {
		return fmt.Sprintf("set server %s/%s health up", backend, server)
	}
	return fmt.Sprintf("set server %s/%s health down", backend, server)
}

const deleteCommand = "del server "

// MayFail tells whether a command of Changes may fail for now: a server leaves only when its last connection has.
func MayFail(command string) bool { return strings.HasPrefix(command, deleteCommand) }

func (b *Backend) add(s Server) []string {
	path := b.Name + "/" + s.Name
	line := fmt.Sprintf("add server %s %s weight %d", path, endpoint(s.Address), s.Weight)
	if b.Options != "" {
		line += " " + b.Options
	}
	commands := []string{line + s.line()}
	if b.Checked {
		commands = append(commands, "enable health "+path)
	}
	if !s.Disabled {
		commands = append(commands, "enable server "+path)
	}
	return commands
}

// adjust lists the commands after which a server gets more than before, and those after which it gets less.
func (b *Backend) adjust(want Server, now ServerState) (gain, loss []string) {
	path := b.Name + "/" + want.Name
	if want.Weight != now.Weight {
		command := fmt.Sprintf("set server %s weight %d", path, want.Weight)
		if want.Weight > now.Weight {
			gain = append(gain, command)
		} else {
			loss = append(loss, command)
		}
	}
	switch {
	case want.Disabled && !now.Maintenance:
		loss = append(loss, fmt.Sprintf("set server %s state maint", path))
	case !want.Disabled && now.Maintenance:
		gain = append(gain, fmt.Sprintf("set server %s state ready", path))
	}
	return gain, loss
}

func (s Server) sameLine(now ServerState, backup bool) bool {
	return s.Address == now.Address && s.Backup == backup && s.CheckAddress == now.CheckAddress && s.CheckPort == now.CheckPort
}
