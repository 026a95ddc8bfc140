package config

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// value is one assignment in a file.
type value struct {
	text  string
	where string // file:line
}

// values are the assignments of some files, by section and key, in the order in which they were read. Section names are
// in lower case but for DEFAULT.
type values map[string]map[string][]value

// all answers the assignments to a key.
func (v values) all(section, key string) []value { return v[section][key] }

// parse reads a file in the INI form of oslo.config (its iniparser.py): keys end at the first = or :, comments fill
// their line, a line that starts with a blank continues the value above, and the quotes around a whole value are not part
// of it.
func (v values) parse(r io.Reader, name string) error {
	p := iniParser{into: v, file: name}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		p.line++
		if err := p.take(strings.TrimRight(lines.Text(), " \t\r\f\v")); err != nil {
			return fmt.Errorf("%s:%d: %w", name, p.line, err)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

type iniParser struct {
	into    values
	file    string
	line    int
	section string
	open    *value // that a continuation line would belong to
}

func (p *iniParser) take(line string) error {
	switch {
	case line == "":
		p.open = nil
	case line[0] == ' ' || line[0] == '\t':
		if p.open == nil {
			return errors.New("the line starts with a blank but continues no value")
		}
		p.open.text += "\n" + strings.TrimLeft(line, " \t")
	case line[0] == '[':
		return p.startSection(line)
	case line[0] == '#' || line[0] == ';':
		p.open = nil
	default:
		return p.assign(line)
	}
	return nil
}

func (p *iniParser) startSection(line string) error {
	if len(line) < 3 || line[len(line)-1] != ']' {
		return fmt.Errorf("%q is no section: it must be a name in [ and ]", line)
	}
	p.section, p.open = normalSection(line[1:len(line)-1]), nil
	if p.into[p.section] == nil {
		p.into[p.section] = map[string][]value{}
	}
	return nil
}

func (p *iniParser) assign(line string) error {
	at := strings.IndexAny(line, ":=")
	if at < 0 {
		return errors.New("the line has neither an equals sign nor a colon") // and is not shown: it may be half a password
	}
	key, text := strings.TrimSpace(line[:at]), unquote(strings.TrimSpace(line[at+1:]))
	if key == "" {
		return errors.New("the line has no key")
	}
	if p.section == "" {
		return fmt.Errorf("the key %s comes before the first section", key)
	}
	keys := p.into[p.section]
	keys[key] = append(keys[key], value{text, fmt.Sprintf("%s:%d", p.file, p.line)})
	p.open = &keys[key][len(keys[key])-1]
	return nil
}

// unquote does as oslo.config does, to the point of making nothing of a value that is one quote.
func unquote(text string) string {
	if text == "" || text[0] != '"' && text[0] != '\'' || text[0] != text[len(text)-1] {
		return text
	}
	if len(text) == 1 {
		return ""
	}
	return text[1 : len(text)-1]
}

func normalSection(name string) string {
	if name == "DEFAULT" {
		return name
	}
	return strings.ToLower(name)
}
