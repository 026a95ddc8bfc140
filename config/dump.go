package config

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/octavo-lb/octavo/secrets"
)

const mask = "***"

func (o *option) secret() bool {
	return o.typ == reflect.TypeFor[secrets.Secret]() || o.typ == reflect.TypeFor[[]secrets.Secret]()
}

// Dump writes the configuration that is in force, as a file that would set it; secrets show as *** when they are set.
// Keys that were set say where.
func (c *Config) Dump(w io.Writer) error {
	return c.write(w, func(*option) bool { return true })
}

// DumpSet is Dump of those keys only that were set.
func (c *Config) DumpSet(w io.Writer) error {
	return c.write(w, func(o *option) bool { return c.IsSet(o.section, o.key) })
}

// origin says where a key was set.
func (c *Config) origin(o *option) string {
	if where, ok := c.set[nameKey(o.section, o.key)]; ok {
		return "# from " + where + "\n"
	}
	return ""
}

//go:generate go run ./internal/sample ../docs/octavia.conf.sample

// Reference writes every key with its documentation, default and range, all commented out: the sample file.
func Reference(w io.Writer) error {
	if _, err := fmt.Fprintln(w, "# Every key that Octavo reads, with its default. Generated from the declarations in package config."); err != nil {
		return err
	}
	section := ""
	for _, o := range options() {
		if o.section != section {
			section = o.section
			if _, err := fmt.Fprintf(w, "\n[%s]\n", section); err != nil {
				return err
			}
		}
		_, err := fmt.Fprintf(w, "\n# %s%s\n#%s = %s\n", o.doc, o.allowed(), o.key, o.fallback)
		if err != nil {
			return err
		}
	}
	return nil
}

func (o *option) allowed() string {
	if len(o.choices) > 0 {
		return " One of " + strings.Join(o.choices, ", ") + "."
	}
	if bounds := o.bounds(); bounds != "" {
		return " A number" + bounds + "."
	}
	return ""
}

// Hash is the same for two controllers whose configurations, secrets included, are the same but for what must differ
// between them: their names, addresses and where they log.
func (c *Config) Hash() string {
	h := sha256.New()
	for _, o := range options() {
		switch o.name() {
		case "[DEFAULT] host", "[DEFAULT] debug", "[DEFAULT] log_file", "[DEFAULT] log_dir", "[DEFAULT] use_json",
			"[api_settings] bind_host", "[health_manager] bind_ip", "[octavo] metrics_address":
			continue
		}
		fmt.Fprintf(h, "%s = %q\n", o.name(), revealed(reflect.ValueOf(c).Elem().FieldByIndex(o.index)))
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// Differences are the names of keys, as "[section] key", whose values are not the same in two configurations.
func (c *Config) Differences(other *Config) (names []string) {
	for _, o := range options() {
		value := func(c *Config) string { return revealed(reflect.ValueOf(c).Elem().FieldByIndex(o.index)) }
		if value(c) != value(other) {
			names = append(names, o.name())
		}
	}
	return names
}

func (c *Config) write(w io.Writer, wanted func(*option) bool) error {
	section := ""
	for _, o := range options() {
		if !wanted(&o) {
			continue
		}
		if o.section != section {
			section = o.section
			if _, err := fmt.Fprintf(w, "\n[%s]\n", section); err != nil {
				return err
			}
		}
		for _, text := range o.texts(reflect.ValueOf(c).Elem().FieldByIndex(o.index)) {
			out := ""
			if text == "" && !o.hasFallback {
				out = "#" // nothing is what it has without a line, too
			}
			if _, err := fmt.Fprintf(w, "%s%s%s = %s\n", c.origin(&o), out, o.key, text); err != nil {
				return err
			}
		}
	}
	return nil
}

// texts are the field's assignments as a file would have them.
func (o *option) texts(field reflect.Value) []string {
	if o.secret() {
		if field.IsZero() {
			return []string{""}
		}
		return []string{mask}
	}
	if p, ok := field.Interface().(PEM); ok {
		return []string{escaped(p.String())}
	}
	if !o.multi {
		return []string{escaped(o.text(field))}
	}
	var all []string
	for i := range field.Len() {
		all = append(all, escaped(o.text(field.Index(i))))
	}
	return all
}

// escaped keeps a value from meaning something else when it is read again.
func escaped(text string) string {
	text = strings.ReplaceAll(strings.ReplaceAll(text, "$", "$$"), "\n", "\n\t")
	if text != strings.TrimSpace(text) || text != "" && unquote(text) != text {
		return `"` + text + `"`
	}
	return text
}

func (o *option) text(field reflect.Value) string {
	if d, ok := field.Interface().(time.Duration); ok {
		return strconv.FormatFloat(float64(d)/float64(unitOf(o.unit)), 'f', -1, 64)
	}
	switch field.Kind() {
	case reflect.Slice:
		var parts []string
		for i := range field.Len() {
			parts = append(parts, o.text(field.Index(i)))
		}
		return strings.Join(parts, ",")
	case reflect.Map:
		var parts []string
		for _, name := range slices.Sorted(maps.Keys(field.Interface().(map[string]string))) {
			parts = append(parts, name+":"+field.Interface().(map[string]string)[name])
		}
		return strings.Join(parts, ",")
	case reflect.Pointer:
		if field.IsNil() {
			return ""
		}
		return o.text(field.Elem())
	}
	return fmt.Sprint(field.Interface())
}

// revealed is a field's value with what is secret in it, for hashing only.
func revealed(field reflect.Value) string {
	switch v := field.Interface().(type) {
	case secrets.Secret:
		return v.Reveal()
	case PEM:
		return string(v)
	case []secrets.Secret:
		var all []string
		for _, s := range v {
			all = append(all, s.Reveal())
		}
		return strings.Join(all, "\n")
	case *int:
		if v == nil {
			return ""
		}
		return strconv.Itoa(*v)
	}
	return fmt.Sprint(field.Interface())
}
