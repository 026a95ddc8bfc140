package policy

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Read reads the rules of a policy file: a YAML or JSON object of names and expressions. A list of lists, the older form,
// is some of all. What names no rule of this service is kept: it may be what another rule refers to.
func Read(data []byte) (map[string]string, error) {
	var file map[string]any
	if err := yaml.Unmarshal(data, &file); err != nil {
		return nil, fmt.Errorf("it is no YAML object of rules: %w", err)
	}
	rules := make(map[string]string, len(file))
	for name, value := range file {
		text, err := expression(value)
		if err != nil {
			return nil, fmt.Errorf("rule %q: %w", name, err)
		}
		rules[name] = text
	}
	return rules, nil
}

func expression(value any) (string, error) {
	switch v := value.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	case []any:
		return join(v, " or ", func(item any) (string, error) {
			if list, ok := item.([]any); ok {
				return join(list, " and ", expression)
			}
			return expression(item)
		})
	}
	return "", fmt.Errorf("%v is neither an expression nor a list of them", value)
}

func join(list []any, word string, text func(any) (string, error)) (string, error) {
	parts := make([]string, len(list))
	for i, item := range list {
		var err error
		if parts[i], err = text(item); err != nil {
			return "", err
		}
	}
	if len(parts) == 0 {
		return "", nil
	}
	return "(" + strings.Join(parts, word) + ")", nil
}
