package instance

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
)

// latest is where a config drive has the newest version of its files.
const latest = "openstack/latest"

func drivePath(dir, file string) string { return filepath.Join(dir, "drive", latest, file) }

// WriteDrive writes the config drive into the instance's directory, over one that is there: the instance sees the new
// files at once.
func WriteDrive(dir string, d Drive) error {
	if err := os.MkdirAll(filepath.Join(dir, "drive", latest), 0o700); err != nil {
		return err
	}
	for name, content := range map[string]any{"meta_data.json": d.MetaData, "network_data.json": d.Network} {
		text, err := json.Marshal(content)
		if err != nil {
			return err
		}
		if err := writeFile(drivePath(dir, name), text); err != nil {
			return err
		}
	}
	if d.UserData == nil {
		return nil
	}
	return writeFile(drivePath(dir, "user_data"), d.UserData)
}

// ReadDrive reads a drive whose openstack folder is in root. A drive without user data has none.
func ReadDrive(root string) (d Drive, err error) {
	for name, into := range map[string]any{"meta_data.json": &d.MetaData, "network_data.json": &d.Network} {
		text, err := os.ReadFile(filepath.Join(root, latest, name))
		if err == nil {
			err = json.Unmarshal(text, into)
		}
		if err != nil {
			return d, fmt.Errorf("cannot read the config drive: %w", err)
		}
	}
	d.UserData, err = os.ReadFile(filepath.Join(root, latest, "user_data"))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return d, err
}

// writeFile replaces a file whole.
func writeFile(path string, content []byte) error {
	if err := os.WriteFile(path+".new", content, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// AddNetwork describes one address of a link, in network_data.json's way.
func (n *NetworkData) AddNetwork(link, networkID string, address netip.Prefix, gateway netip.Addr, routes []Route) {
	kind, anywhere := "ipv4", "0.0.0.0"
	if address.Addr().Is6() {
		kind, anywhere = "ipv6", "::"
	}
	all := append([]Route{}, routes...)
	if gateway.IsValid() {
		all = append(all, Route{Network: anywhere, Netmask: anywhere, Gateway: gateway.String()})
	}
	n.Networks = append(n.Networks, Network{
		ID: fmt.Sprintf("network%d", len(n.Networks)), Link: link, NetworkID: networkID, Type: kind,
		IPAddress: address.Addr().String(), Netmask: netmask(address), Routes: all,
	})
}

// RouteTo is a route in network_data.json's way.
func RouteTo(destination netip.Prefix, gateway netip.Addr) Route {
	return Route{Network: destination.Addr().String(), Netmask: netmask(destination), Gateway: gateway.String()}
}

// netmask writes a prefix length as network_data.json has it: 255.255.255.0, or ffff:ffff::.
func netmask(p netip.Prefix) string {
	mask := make([]byte, p.Addr().BitLen()/8)
	for i := range p.Bits() {
		mask[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(mask)
	return a.String()
}

// prefixLen is the reverse; false for what is no netmask.
func prefixLen(mask string) (int, bool) {
	a, err := netip.ParseAddr(mask)
	if err != nil {
		return 0, false
	}
	bits, ended := 0, false
	for _, b := range a.AsSlice() {
		for i := range 8 {
			switch set := b&(0x80>>i) != 0; {
			case set && ended:
				return 0, false
			case set:
				bits++
			default:
				ended = true
			}
		}
	}
	return bits, true
}

// Console answers the last lines of what the instance printed, all of them for 0; nothing before it printed.
func Console(dir string, lines int) (string, error) {
	text, err := os.ReadFile(filepath.Join(dir, "console.log"))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if lines <= 0 {
		return string(text), err
	}
	start := len(text)
	if start > 0 && text[start-1] == '\n' {
		start--
	}
	for ; start > 0; start-- {
		if text[start-1] == '\n' {
			if lines--; lines == 0 {
				break
			}
		}
	}
	return string(text[start:]), err
}
