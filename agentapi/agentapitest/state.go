// Package agentapitest writes wanted states briefly, for the tests of those who carry them out.
package agentapitest

import (
	"encoding/json"
	"fmt"
	"maps"

	"go.yaml.in/yaml/v3"

	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/lb/attr"
)

// State reads a wanted state from YAML, in the state's own names. Attributes that are not given have the defaults that the
// API would have given them; the generation is 1 and the load balancer is called lb1 unless said otherwise.
func State(text string) (*agentapi.State, error) {
	var given map[string]any
	if err := yaml.Unmarshal([]byte(text), &given); err != nil {
		return nil, fmt.Errorf("reading a state: %w", err)
	}
	for kind, table := range map[string]func(map[string]any) map[string]any{
		"listeners": withDefaults[lb.Listener], "pools": withDefaults[lb.Pool], "members": withDefaults[lb.Member],
		"monitors": withDefaults[lb.HealthMonitor], "policies": withDefaults[lb.L7Policy], "rules": withDefaults[lb.L7Rule],
	} {
		objects, _ := given[kind].([]any)
		for i := range objects {
			object, ok := objects[i].(map[string]any)
			if !ok {
				return nil, fmt.Errorf("%s[%d] is not an object", kind, i)
			}
			objects[i] = table(object)
		}
	}
	raw, err := json.Marshal(given)
	if err != nil {
		return nil, fmt.Errorf("reading a state: %w", err)
	}
	state := &agentapi.State{Version: 1, Generation: 1, LB: "lb1"}
	if err := json.Unmarshal(raw, state); err != nil {
		return nil, fmt.Errorf("reading a state: %w", err)
	}
	return state, nil
}

func withDefaults[T any](given map[string]any) map[string]any {
	object := map[string]any{}
	for _, a := range attr.Of[T]().Attrs {
		if a.Default != nil {
			object[a.Name] = a.Default
		}
	}
	maps.Copy(object, given)
	return object
}
