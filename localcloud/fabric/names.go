package fabric

import (
	"crypto/sha256"
	"encoding/base32"
	"path/filepath"
	"strings"
)

// Tag names everything that the cloud of that data directory has on this machine: five letters and digits, always the
// same for the same directory.
func Tag(dataDir string) string {
	if abs, err := filepath.Abs(dataDir); err == nil {
		dataDir = abs
	}
	sum := sha256.Sum256([]byte(dataDir))
	return strings.ToLower(base32.StdEncoding.EncodeToString(sum[:]))[:5]
}

func namespacePrefix(tag string) string { return "octavo-" + tag + "-" }

func fabricNamespace(tag string) string { return namespacePrefix(tag) + "fabric" }

func routerNamespace(tag, id string) string { return namespacePrefix(tag) + "router-" + short(id) }

// ServerNamespace is the name of an instance's network namespace.
func ServerNamespace(tag, id string) string { return namespacePrefix(tag) + "server-" + short(id) }

// hostLinkPrefix begins the names of the links that this cloud has in the host's namespace.
func hostLinkPrefix(tag string) string { return "o" + tag }

// HostLink is the name of the host's end of its port on a network ("ext", "mgmt": at most nine letters).
func HostLink(tag, network string) string { return hostLinkPrefix(tag) + network }

// A link's name has at most 15 characters. Neutron uses eleven of the id; so do we, so that people find what they know.
func bridgeName(networkID string) string { return "brq" + short(networkID) }

// TapName is the name of the fabric's end of a port.
func TapName(portID string) string { return "tap" + short(portID) }

func short(id string) string { return id[:min(len(id), 11)] }
