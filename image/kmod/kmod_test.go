package kmod

import (
	"bytes"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var some = []Module{
	{Name: "virtio_net", Needs: []string{"virtio_ring", "virtio", "net_failover"}, Aliases: []string{"virtio:d00000001v*"}},
	{Name: "virtio_ring", Needs: []string{"virtio"}},
	{Name: "virtio"},
	{Name: "net_failover", Needs: []string{"failover"}},
	{Name: "failover"},
	{Name: "virtio_pci", Needs: []string{"virtio"}, Aliases: []string{"pci:v00001AF4d*sv*sd*bc*sc*i*"}},
	{Name: "nft_ct", Needs: []string{"nf_conntrack", "nf_tables"}, Aliases: []string{"nft-expr-ct", "nft-obj-3"}},
	{Name: "nf_conntrack", Needs: []string{"not-in-the-image"}},
	{Name: "nf_tables"},
	{Name: "a", Needs: []string{"b"}},
	{Name: "b", Needs: []string{"a"}},
}

func TestResolve(t *testing.T) {
	x := NewIndex(some)
	for _, c := range []struct {
		name, alias string
		want        []string
	}{
		{"a device, with all that its driver needs before it", "virtio:d00000001v00001AF4",
			[]string{"virtio", "virtio_ring", "failover", "net_failover", "virtio_net"}},
		{"a PCI device", "pci:v00001AF4d00001000sv00001AF4sd00000001bc02sc00i00", []string{"virtio", "virtio_pci"}},
		{"another maker's PCI device", "pci:v00008086d00001237sv0sd0bc06sc00i00", nil},
		{"a feature", "nft-expr-ct", []string{"nf_conntrack", "nf_tables", "nft_ct"}},
		{"a module's name, dashed as people write it", "virtio-ring", []string{"virtio", "virtio_ring"}},
		{"modules that need each other end", "a", []string{"b", "a"}},
		{"unknown", "fs-xfs", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := x.Resolve(c.alias); !slices.Equal(got, c.want) {
				t.Errorf("Resolve(%q) = %v, want %v", c.alias, got, c.want)
			}
		})
	}
}

func TestClosureBringsWhatIsNeeded(t *testing.T) {
	var names []string
	for _, m := range NewIndex(some).Closure([]string{"virtio_net"}) {
		names = append(names, m.Name)
	}
	if want := []string{"failover", "net_failover", "virtio", "virtio_net", "virtio_ring"}; !slices.Equal(names, want) {
		t.Errorf("got %v, want %v", names, want)
	}
}

func TestIndexSurvivesItsFile(t *testing.T) {
	var file bytes.Buffer
	if err := NewIndex(some).Write(&file); err != nil {
		t.Fatal(err)
	}
	read, err := Read(&file)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]Module{}
	for _, m := range some {
		want[m.Name] = m
	}
	if diff := cmp.Diff(want, read.modules, cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
}

func TestSoftDependencies(t *testing.T) {
	if got, want := loadedBefore("pre: crc32c xor post: late pre: more"), []string{"crc32c", "xor", "more"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
