// Package kmod says which kernel modules serve a device or a feature, and in which order they must be loaded. The image
// builder makes the index from the modules themselves; process 1 of the image reads it. It takes the place of depmod and
// modprobe, so that the same few lines work in the initial RAM disk, where neither exists.
package kmod

import (
	"bufio"
	"bytes"
	"debug/elf"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
)

// Module is what a module says of itself.
type Module struct {
	Name    string
	Needs   []string // modules that must be loaded before it
	Aliases []string // patterns of the devices and features that it serves
}

// Describe reads a module's own description from its file.
func Describe(file io.ReaderAt) (Module, error) {
	object, err := elf.NewFile(file)
	if err != nil {
		return Module{}, fmt.Errorf("not a kernel module: %w", err)
	}
	section := object.Section(".modinfo")
	if section == nil {
		return Module{}, fmt.Errorf("not a kernel module: no .modinfo section")
	}
	info, err := section.Data()
	if err != nil {
		return Module{}, fmt.Errorf("cannot read .modinfo: %w", err)
	}
	var m Module
	for field := range bytes.SplitSeq(info, []byte{0}) {
		key, value, _ := strings.Cut(string(field), "=")
		switch key {
		case "name":
			m.Name = value
		case "alias":
			m.Aliases = append(m.Aliases, value)
		case "depends":
			m.Needs = append(m.Needs, strings.FieldsFunc(value, func(r rune) bool { return r == ',' })...)
		case "softdep":
			m.Needs = append(m.Needs, loadedBefore(value)...)
		}
	}
	if m.Name == "" {
		return Module{}, fmt.Errorf("a kernel module without a name")
	}
	return m, nil
}

// loadedBefore takes the modules after "pre:" out of a soft dependency such as "pre: crc32c post: nothing".
func loadedBefore(softdep string) []string {
	var before []string
	pre := false
	for word := range strings.FieldsSeq(softdep) {
		switch {
		case strings.HasSuffix(word, ":"):
			pre = word == "pre:"
		case pre:
			before = append(before, word)
		}
	}
	return before
}

// Index knows a set of modules.
type Index struct {
	modules  map[string]Module
	exact    map[string][]string
	patterns []pattern
}

type pattern struct {
	prefix string // what comes before the first wildcard: a cheap test that almost always says no
	glob   string
	module string
}

// NewIndex makes an index of modules.
func NewIndex(modules []Module) *Index {
	x := &Index{modules: map[string]Module{}, exact: map[string][]string{}}
	for _, m := range modules {
		x.modules[m.Name] = m
		for _, alias := range m.Aliases {
			if wild := strings.IndexAny(alias, "*?["); wild >= 0 {
				x.patterns = append(x.patterns, pattern{alias[:wild], alias, m.Name})
			} else {
				x.exact[alias] = append(x.exact[alias], m.Name)
			}
		}
	}
	return x
}

// Resolve returns the modules to load for an alias or a module's name, what is needed first coming first. It is empty
// when nothing serves the alias, which is the common case and no error: most of the kernel is built in.
func (x *Index) Resolve(alias string) []string {
	var found []string
	if name := strings.ReplaceAll(alias, "-", "_"); x.has(name) {
		found = append(found, name)
	}
	found = append(found, x.exact[alias]...)
	for _, p := range x.patterns {
		if strings.HasPrefix(alias, p.prefix) {
			if matches, _ := path.Match(p.glob, alias); matches {
				found = append(found, p.module)
			}
		}
	}
	return x.inOrder(found)
}

// Closure returns the named modules with all that they need, sorted by name.
func (x *Index) Closure(names []string) []Module {
	var all []Module
	for _, name := range x.inOrder(names) {
		all = append(all, x.modules[name])
	}
	slices.SortFunc(all, func(a, b Module) int { return strings.Compare(a.Name, b.Name) })
	return all
}

func (x *Index) has(name string) bool {
	_, ok := x.modules[name]
	return ok
}

func (x *Index) inOrder(names []string) []string {
	var order []string
	seen := map[string]bool{}
	var visit func(name string)
	visit = func(name string) {
		name = strings.ReplaceAll(name, "-", "_")
		if seen[name] || !x.has(name) {
			return
		}
		seen[name] = true
		for _, needed := range x.modules[name].Needs {
			visit(needed)
		}
		order = append(order, name)
	}
	for _, name := range names {
		visit(name)
	}
	return order
}

// Write stores the index as text: one module a line, its name, what it needs, its aliases.
func (x *Index) Write(w io.Writer) error {
	out := bufio.NewWriter(w)
	for _, name := range slices.Sorted(maps.Keys(x.modules)) {
		m := x.modules[name]
		needs := strings.Join(m.Needs, ",")
		if needs == "" {
			needs = "-"
		}
		fmt.Fprintln(out, strings.Join(append([]string{m.Name, needs}, m.Aliases...), " "))
	}
	return out.Flush()
}

// Read reads what Write has written.
func Read(r io.Reader) (*Index, error) {
	var modules []Module
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 2 {
			return nil, fmt.Errorf("module index: a line of %d fields", len(fields))
		}
		m := Module{Name: fields[0], Aliases: fields[2:]}
		if fields[1] != "-" {
			m.Needs = strings.Split(fields[1], ",")
		}
		modules = append(modules, m)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("module index: %w", err)
	}
	return NewIndex(modules), nil
}
