package config

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
)

// Problems are what is wrong with a configuration, one sentence each, that names the section, the key, the value (unless
// it is secret), where it was set and what is allowed.
type Problems []string

func (p Problems) Error() string { return strings.Join(p, "\n") }

// Sources is where a configuration comes from.
type Sources struct {
	// Files are read in order; where two set the same key the later one counts. A directory stands for the *.conf in it, by
	// name.
	Files []string
	// Env are environment variables ("OS_API_SETTINGS__BIND_PORT=9877"), which count before files, as in oslo.config.
	Env []string
}

// Default answers the configuration without any file.
func Default() *Config {
	c, err := decode(values{}, nil)
	if err != nil {
		panic(err) // a default that does not fit its own declaration
	}
	return c
}

// Load reads and checks a configuration. Its error is Problems, all that there are, or what keeps a file from being read.
func Load(from Sources) (*Config, error) {
	v := values{}
	for _, name := range from.Files {
		if err := v.readPath(name); err != nil {
			return nil, err
		}
	}
	c, err := decode(v, environment(from.Env))
	if err != nil {
		return nil, err
	}
	return c, c.Validate()
}

func (v values) readPath(name string) error {
	if info, err := os.Stat(name); err == nil && info.IsDir() {
		files, err := filepath.Glob(filepath.Join(name, "*.conf"))
		if err != nil {
			return fmt.Errorf("cannot list the configuration in %s: %w", name, err)
		}
		for _, file := range files { // sorted by Glob
			if err := v.readFile(file); err != nil {
				return err
			}
		}
		return nil
	}
	return v.readFile(name)
}

func (v values) readFile(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("cannot read the configuration: %w", err)
	}
	defer f.Close()
	return v.parse(f, name)
}

// environment finds the variables that oslo.config would look at, by "section\x00key" in lower case.
func environment(env []string) map[string]value {
	found := map[string]value{}
	for _, e := range env {
		name, text, _ := strings.Cut(e, "=")
		section, key, ok := strings.Cut(strings.TrimPrefix(name, "OS_"), "__")
		if ok && strings.HasPrefix(name, "OS_") {
			found[strings.ToLower(section+"\x00"+key)] = value{text, name}
		}
	}
	return found
}

// decoder fills a Config.
type decoder struct {
	files    values
	env      map[string]value
	byName   map[string]*option // "section\x00key"
	problems Problems
}

func nameKey(section, key string) string { return section + "\x00" + key }

func decode(files values, env map[string]value) (*Config, error) {
	d := decoder{files: files, env: env, byName: map[string]*option{}}
	all := options()
	for i := range all {
		o := &all[i]
		d.byName[nameKey(o.section, o.key)] = o
		if o.old != "" {
			d.byName[nameKey(o.section, o.old)] = o
		}
	}
	c := &Config{set: map[string]string{}}
	for i := range all {
		d.fill(c, &all[i])
	}
	d.listUnread(c)
	if len(d.problems) > 0 {
		return nil, d.problems
	}
	c.inherit()
	return c, nil
}

// raw answers the assignments that count for an option: the environment's, the files', or its default.
func (d *decoder) raw(o *option) (found []value, set bool) {
	if v, ok := d.env[strings.ToLower(nameKey(o.section, o.key))]; ok {
		return []value{v}, true
	}
	for _, key := range []string{o.key, o.old} {
		if found := d.files.all(o.section, key); len(found) > 0 && key != "" {
			return found, true
		}
	}
	if o.hasFallback {
		return []value{{o.fallback, "default"}}, false
	}
	return nil, false
}

func (d *decoder) fill(c *Config, o *option) {
	found, set := d.raw(o)
	if len(found) == 0 {
		return
	}
	last := found[len(found)-1]
	texts := make([]string, len(found))
	for i, v := range found {
		text, err := substitute(v.text, o.section, d.look, 0)
		if err != nil {
			d.problems = append(d.problems, fmt.Sprintf("%s (%s): %v.", o.name(), v.where, err))
			return
		}
		texts[i] = text
	}
	if err := o.decode(reflect.ValueOf(c).Elem().FieldByIndex(o.index), texts); err != nil {
		d.problems = append(d.problems, fmt.Sprintf("%s = %s (%s): %v.", o.name(), o.shown(texts[len(texts)-1]), last.where, err))
		return
	}
	if set {
		c.set[nameKey(o.section, o.key)] = last.where
	}
}

// look answers references: any key that the files set or that has a default.
func (d *decoder) look(section, key string) (string, bool) {
	if o := d.byName[nameKey(section, key)]; o != nil {
		if found, _ := d.raw(o); len(found) > 0 {
			return found[len(found)-1].text, true
		}
		return "", true
	}
	if found := d.files.all(section, key); len(found) > 0 {
		return found[len(found)-1].text, true
	}
	return "", false
}

// shown is a value for people, unless it is secret.
func (o *option) shown(text string) string {
	if o.secret() {
		return mask
	}
	return text
}

// listUnread tells keys that nobody knows from those that upstream has and that mean nothing here.
func (d *decoder) listUnread(c *Config) {
	for _, section := range slices.Sorted(maps.Keys(d.files)) {
		for _, key := range slices.Sorted(maps.Keys(d.files[section])) {
			if d.byName[nameKey(section, key)] != nil {
				continue
			}
			name := fmt.Sprintf("[%s] %s (%s)", section, key, d.files[section][key][0].where)
			if withoutEffect(section, key) {
				c.WithoutEffect = append(c.WithoutEffect, name)
			} else {
				c.Unknown = append(c.Unknown, name)
			}
		}
	}
}

// IsSet tells whether a key was set by a file or the environment.
func (c *Config) IsSet(section, key string) bool {
	_, ok := c.set[nameKey(section, key)]
	return ok
}

// Sections are the names of all sections, in the order of declaration.
func (c *Config) Sections() (names []string) {
	for _, o := range options() {
		if len(names) == 0 || names[len(names)-1] != o.section {
			names = append(names, o.section)
		}
	}
	return names
}

// ErrNoFile says that none of the usual configuration files is there.
var ErrNoFile = errors.New("there is no configuration file")

// DefaultFiles answers the files that are read when none is named: octavia.conf and the octavia.conf.d beside it, in
// /etc/octavia. The error is ErrNoFile when there is neither.
func DefaultFiles(root string) ([]string, error) {
	var files []string
	for _, name := range []string{"octavia.conf", "octavia.conf.d"} {
		path := filepath.Join(cmp.Or(root, "/"), "etc/octavia", name)
		if _, err := os.Stat(path); err == nil {
			files = append(files, path)
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%w in /etc/octavia: name one with -c", ErrNoFile)
	}
	return files, nil
}
