package config

import (
	"fmt"
	"regexp"
	"strings"
)

// reference is $name, ${name}, $section.name or ${section.name}, or the $$ that stands for a dollar sign.
var reference = regexp.MustCompile(`(?i)\$(?:(\$)|([_a-z][._a-z0-9]*)|\{([_a-z][._a-z0-9]*)\})`)

// lookup answers the text of a key for a reference to it, and whether there is such a key.
type lookup func(section, key string) (text string, ok bool)

// substitute replaces the references in a value of section. A key without a section is looked for in the value's own and
// then in [DEFAULT].
func substitute(text, section string, look lookup, depth int) (string, error) {
	if !strings.Contains(text, "$") {
		return text, nil
	}
	if depth > 20 {
		return "", fmt.Errorf("its references go round in a circle")
	}
	var failure error
	text = reference.ReplaceAllStringFunc(strings.ReplaceAll(text, `\$`, "$$"), func(match string) string {
		parts := reference.FindStringSubmatch(match)
		if parts[1] != "" {
			return "$"
		}
		name := parts[2] + parts[3]
		from, found, ok := resolve(name, section, look)
		if !ok {
			failure = fmt.Errorf("there is no key %s for %s to refer to (a dollar sign is written $$)", name, match)
			return match
		}
		found, err := substitute(found, from, look, depth+1)
		if err != nil {
			failure = err
		}
		return found
	})
	return text, failure
}

func resolve(name, section string, look lookup) (from, text string, ok bool) {
	if group, key, dotted := strings.Cut(name, "."); dotted {
		if text, ok = look(normalSection(group), key); ok {
			return normalSection(group), text, true
		}
	} else if text, ok = look(section, name); ok {
		return section, text, true
	}
	text, ok = look("DEFAULT", name)
	return "DEFAULT", text, ok
}
