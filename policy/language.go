package policy

import (
	"fmt"
	"strings"
)

// check is a parsed expression.
type check interface {
	holds(q *query) bool
	references(names []string) []string
}

type (
	always bool
	role   string
	ruleOf string
	admin  bool
	not    struct{ check }
	all    []check
	some   []check
	// equal compares something of the caller, or a literal, with something of the target, or a literal.
	equal struct{ mine, theirs operand }
)

// operand is text as it is, or the name of where to find it.
type operand struct {
	text  string
	named bool
}

func (a always) holds(*query) bool { return bool(a) }

// Role names know no case, as in oslo.policy.
func (r role) holds(q *query) bool {
	for _, have := range q.who.Roles {
		if strings.EqualFold(have, string(r)) {
			return true
		}
	}
	return false
}

func (r ruleOf) holds(q *query) bool { return q.enforcer.rules[string(r)].holds(q) }

func (a admin) holds(q *query) bool { return q.who.IsAdmin == bool(a) }

func (n not) holds(q *query) bool { return !n.check.holds(q) }

func (a all) holds(q *query) bool {
	for _, c := range a {
		if !c.holds(q) {
			return false
		}
	}
	return true
}

func (s some) holds(q *query) bool {
	for _, c := range s {
		if c.holds(q) {
			return true
		}
	}
	return false
}

func (e equal) holds(q *query) bool {
	mine, theirs := e.mine.text, e.theirs.text
	ok := true
	if e.mine.named {
		if mine, ok = q.credential(e.mine.text); !ok {
			return false
		}
	}
	if e.theirs.named {
		if theirs, ok = q.target[e.theirs.text]; !ok {
			return false
		}
	}
	return mine == theirs
}

func (always) references(names []string) []string   { return names }
func (role) references(names []string) []string     { return names }
func (admin) references(names []string) []string    { return names }
func (equal) references(names []string) []string    { return names }
func (r ruleOf) references(names []string) []string { return append(names, string(r)) }
func (n not) references(names []string) []string    { return n.check.references(names) }

func (a all) references(names []string) []string {
	for _, c := range a {
		names = c.references(names)
	}
	return names
}

func (s some) references(names []string) []string {
	for _, c := range s {
		names = c.references(names)
	}
	return names
}

// parse reads an expression of oslo.policy's language: "and", "or", "not" and parentheses around role:R, rule:R,
// is_admin:True, CREDENTIAL:%(attribute of the target)s, 'literal':%(attribute)s, CREDENTIAL:literal, @ (always) and
// ! (never). An empty expression always holds.
func parse(text string) (check, error) {
	p := &parser{words: words(text)}
	if len(p.words) == 0 {
		return always(true), nil
	}
	c, err := p.or()
	if err == nil && p.at < len(p.words) {
		err = fmt.Errorf("%q is one word too many", p.words[p.at])
	}
	return c, err
}

// words splits at spaces and takes parentheses off, but not those of %(name)s.
func words(text string) []string {
	var out []string
	for _, w := range strings.Fields(text) {
		for strings.HasPrefix(w, "(") {
			out, w = append(out, "("), w[1:]
		}
		closing := 0
		for strings.HasSuffix(w, ")") {
			closing, w = closing+1, w[:len(w)-1]
		}
		if w != "" {
			out = append(out, w)
		}
		for range closing {
			out = append(out, ")")
		}
	}
	return out
}

type parser struct {
	words []string
	at    int
}

func (p *parser) next(word string) bool {
	if p.at < len(p.words) && strings.EqualFold(p.words[p.at], word) {
		p.at++
		return true
	}
	return false
}

func (p *parser) or() (check, error) {
	c, err := p.and()
	list := some{c}
	for err == nil && p.next("or") {
		c, err = p.and()
		list = append(list, c)
	}
	return list, err
}

func (p *parser) and() (check, error) {
	c, err := p.one()
	list := all{c}
	for err == nil && p.next("and") {
		c, err = p.one()
		list = append(list, c)
	}
	return list, err
}

func (p *parser) one() (check, error) {
	switch {
	case p.next("not"):
		c, err := p.one()
		return not{c}, err
	case p.next("("):
		c, err := p.or()
		if err == nil && !p.next(")") {
			err = fmt.Errorf("a closing parenthesis is missing")
		}
		return c, err
	case p.at == len(p.words):
		return nil, fmt.Errorf("the expression ends too early")
	}
	word := p.words[p.at]
	p.at++
	return parseWord(word)
}

func parseWord(word string) (check, error) {
	switch word {
	case "@":
		return always(true), nil
	case "!":
		return always(false), nil
	}
	kind, match, ok := strings.Cut(word, ":")
	if !ok || match == "" {
		return nil, fmt.Errorf("%q is no check of the form kind:match", word)
	}
	switch kind {
	case "role":
		return role(match), nil
	case "rule":
		return ruleOf(match), nil
	case "is_admin":
		return admin(strings.EqualFold(match, "true")), nil
	case "http", "https":
		return nil, fmt.Errorf("%q asks another service, which is not supported", word)
	}
	e := equal{mine: operand{text: kind, named: true}, theirs: operand{text: match}}
	if literal, ok := unquote(kind); ok {
		e.mine = operand{text: literal}
	}
	if name, ok := strings.CutPrefix(match, "%("); ok {
		name, ok = strings.CutSuffix(name, ")s")
		if !ok {
			return nil, fmt.Errorf("%q does not end with )s", word)
		}
		e.theirs = operand{text: name, named: true}
	} else if literal, ok := unquote(match); ok {
		e.theirs.text = literal
	}
	return e, nil
}

func unquote(s string) (string, bool) {
	if len(s) >= 2 && (s[0] == '\'' || s[0] == '"') && s[len(s)-1] == s[0] {
		return s[1 : len(s)-1], true
	}
	return s, false
}
