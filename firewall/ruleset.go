package firewall

import (
	"fmt"
	"slices"
	"strings"
)

// Ruleset is what is in the table, or shall be.
type Ruleset struct {
	objects  []object
	chains   []chain
	services map[frontend]*service
}

// object is what keeps something over changes of the rules. Two of one kind and name are the same: whatever tells them
// apart is in the name.
type object struct {
	kind string // counter, map or set
	name string
	text string
}

// chain is a list of rules. A hook says where in the kernel it begins; others are gone to.
type chain struct {
	name  string
	hook  string
	rules []string
}

// Names are the names of what is in a table already, of rules that are not known. An agent that was started anew finds them.
type Names struct{ Counters, Maps, Sets, Chains []string }

// Existing is a ruleset of which only the names are known.
func Existing(names Names) *Ruleset {
	r := &Ruleset{}
	for kind, list := range map[string][]string{"counter": names.Counters, "map": names.Maps, "set": names.Sets} {
		for _, n := range list {
			r.objects = append(r.objects, object{kind: kind, name: n})
		}
	}
	slices.SortFunc(r.objects, func(a, b object) int { return strings.Compare(a.kind+a.name, b.kind+b.name) })
	for _, n := range names.Chains {
		r.chains = append(r.chains, chain{name: n, rules: []string{"unknown"}})
	}
	return r
}

// Empty tells that there is nothing to balance.
func (r *Ruleset) Empty() bool { return len(r.chains) == 0 }

// Listeners are the ids of the listeners that are served.
func (r *Ruleset) Listeners() []string {
	var ids []string
	for _, s := range r.services {
		if !slices.Contains(ids, s.listener) {
			ids = append(ids, s.listener)
		}
	}
	slices.Sort(ids)
	return ids
}

// Text is the whole table as nft reads it.
func (r *Ruleset) Text() string { return r.Since(&Ruleset{}) }

// Replacement is the text that makes the table what Text says, whatever is in it. Nothing is kept.
func (r *Ruleset) Replacement() string {
	return fmt.Sprintf("table inet %s\ndelete table inet %s\n", Table, Table) + r.Text()
}

// Since is the text that turns the table from what another ruleset says into this, as one transaction: no packet meets
// something between the two. What is in both stays untouched. It is empty when there is nothing to do.
func (r *Ruleset) Since(old *Ruleset) string {
	if r.Empty() {
		if old.Empty() {
			return ""
		}
		return fmt.Sprintf("table inet %s\ndelete table inet %s\n", Table, Table)
	}
	var flushes, additions, deletions strings.Builder
	for _, o := range r.objects {
		if !old.hasObject(o) {
			additions.WriteString(o.String())
		}
	}
	for _, c := range r.chains {
		i := old.chain(c.name)
		if i >= 0 && slices.Equal(old.chains[i].rules, c.rules) {
			continue
		}
		if i >= 0 {
			fmt.Fprintf(&flushes, "flush chain inet %s %s\n", Table, c.name)
		}
		additions.WriteString(c.String())
	}
	for _, c := range old.chains {
		if r.chain(c.name) < 0 {
			fmt.Fprintf(&flushes, "flush chain inet %s %s\n", Table, c.name)
			fmt.Fprintf(&deletions, "delete chain inet %s %s\n", Table, c.name)
		}
	}
	for _, o := range old.objects {
		if !r.hasObject(o) {
			fmt.Fprintf(&deletions, "delete %s inet %s %s\n", o.kind, Table, o.name)
		}
	}
	text := flushes.String()
	if additions.Len() > 0 {
		text += fmt.Sprintf("table inet %s {\n%s}\n", Table, additions.String())
	}
	return text + deletions.String()
}

func (r *Ruleset) chain(name string) int {
	return slices.IndexFunc(r.chains, func(c chain) bool { return c.name == name })
}

func (r *Ruleset) hasObject(o object) bool {
	return slices.ContainsFunc(r.objects, func(x object) bool { return x.kind == o.kind && x.name == o.name })
}

func (o object) String() string {
	return fmt.Sprintf("\t%s %s {\n%s\t}\n", o.kind, o.name, indent(o.text))
}

func (c chain) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "\tchain %s {\n", c.name)
	if c.hook != "" {
		b.WriteString(indent(c.hook))
	}
	for _, rule := range c.rules {
		b.WriteString(indent(rule))
	}
	b.WriteString("\t}\n")
	return b.String()
}

func indent(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString("\t\t" + strings.TrimSuffix(line, "\n") + "\n")
	}
	return b.String()
}

// lineWidth is where the elements of a set go on in the next line.
const lineWidth = 120

// elements writes a set or map in place.
func elements(list []string) string {
	var b strings.Builder
	b.WriteString("{")
	width := 0
	for i, e := range list {
		if width+len(e) > lineWidth {
			b.WriteString("\n\t")
			width = 0
		} else {
			b.WriteString(" ")
		}
		b.WriteString(e)
		width += len(e) + 2
		if i < len(list)-1 {
			b.WriteString(",")
		}
	}
	b.WriteString(" }")
	return b.String()
}
