package image

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"strings"

	"github.com/octavo-lb/octavo/image/boot"
)

// Manifest lists what an image was made of. It is in the image (/usr/share/octavo/manifest.json) and beside it, so that
// what has to be replaced when a package has a hole can be told without starting it.
type Manifest struct {
	Suite    string    `json:"suite"`
	Agent    string    `json:"agent_sha256"`
	Init     string    `json:"init_sha256"`
	Packages []Package `json:"packages"` // those that something was taken from
}

func (b *builder) manifest(packages []Package, root tree) Manifest {
	inside := owners(root)
	m := Manifest{
		Suite: b.Suite,
		Agent: digest(root[strings.TrimPrefix(boot.AgentPath, "/")].data),
		Init:  digest(root[strings.TrimPrefix(boot.InitPath, "/")].data),
	}
	for _, p := range packages {
		if slices.Contains(inside, p.Name) || strings.HasPrefix(p.Name, "linux-image-") || p.Name == "systemd-boot-efi" {
			m.Packages = append(m.Packages, p)
		}
	}
	return m
}

// owners lists the packages that a tree's files come from.
func owners(t tree) []string {
	found := map[string]bool{}
	for _, n := range t {
		if n.owner != "" {
			found[n.owner] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
