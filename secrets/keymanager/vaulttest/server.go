package vaulttest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
)

const rootToken, unsealKey = "root", "5ea1"

// vault is as much of Vault as the tests use: key/value stores of both versions, AppRole, tokens that end, policies, and
// sealing.
type vault struct {
	namespace string // all of it is in this one; empty for none

	mu       sync.Mutex
	sealed   bool
	mounts   map[string]string // versions by name
	values   map[string]any    // nil for what was deleted
	policies map[string][]rule
	roles    map[string]*role
	tokens   map[string]*token
}

type rule struct {
	path string // with a * at its end for all that begins so
	can  []string
}

type role struct {
	id       string
	secrets  map[string]bool
	policies []string
	ttl, max time.Duration
}

type token struct {
	policies   []string
	until, end time.Time // zero for never; until may be moved up to end
	ttl        time.Duration
}

func newVault(namespace string) *vault {
	return &vault{namespace: namespace, mounts: map[string]string{}, values: map[string]any{}, policies: map[string][]rule{}, roles: map[string]*role{},
		tokens: map[string]*token{rootToken: {policies: []string{"root"}}}}
}

type body map[string]any

func (b body) text(key string) string { s, _ := b[key].(string); return s }

func (b body) duration(key string) time.Duration {
	d, _ := time.ParseDuration(b.text(key))
	return d
}

// refusal is an answer of Vault's that is an error.
type refusal struct {
	status int
	why    string
}

func (r refusal) Error() string { return r.why }

var denied = refusal{http.StatusForbidden, "permission denied"}

func (v *vault) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	v.mu.Lock()
	defer v.mu.Unlock()
	var b body
	_ = json.NewDecoder(q.Body).Decode(&b)
	path := strings.TrimPrefix(q.URL.Path, "/v1/")
	w.Header().Set("Content-Type", "application/json")
	if path == "sys/health" {
		v.health(w, q)
		return
	}
	answer, err := v.answer(q, path, b)
	switch r, refused := err.(refusal); {
	case refused:
		w.WriteHeader(r.status)
		_ = json.NewEncoder(w).Encode(map[string]any{"errors": []string{r.why}})
	case answer == nil:
		w.WriteHeader(http.StatusNoContent)
	case q.Header.Get("X-Vault-Wrap-TTL") != "":
		_ = json.NewEncoder(w).Encode(map[string]any{"wrap_info": map[string]any{"token": uuid.NewString()}})
	default:
		_ = json.NewEncoder(w).Encode(answer)
	}
}

// health tells how the server is to anybody, but not within a namespace.
func (v *vault) health(w http.ResponseWriter, q *http.Request) {
	switch {
	case q.Header.Get("X-Vault-Namespace") != "":
		w.WriteHeader(http.StatusBadRequest)
		_ = json.NewEncoder(w).Encode(map[string]any{"errors": []string{"unsupported path"}})
		return
	case v.sealed:
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"initialized": true, "sealed": v.sealed, "standby": false, "version": "1.15.0"})
}

func (v *vault) answer(q *http.Request, path string, b body) (map[string]any, error) {
	if path == "sys/unseal" && b.text("key") == unsealKey {
		v.sealed = false
		return map[string]any{}, nil
	}
	if v.sealed {
		return nil, refusal{http.StatusServiceUnavailable, "Vault is sealed"}
	}
	if strings.Trim(q.Header.Get("X-Vault-Namespace"), "/") != v.namespace && path != "sys/seal" {
		return nil, refusal{http.StatusNotFound, "no handler for route " + path + ". route entry not found."}
	}
	if path == "auth/approle/login" {
		return v.login(b)
	}
	t := v.live(q.Header.Get("X-Vault-Token"))
	if t == nil {
		return nil, denied
	}
	switch path {
	case "auth/token/lookup-self":
		return map[string]any{"data": map[string]any{"ttl": int(t.left().Seconds()), "renewable": !t.until.IsZero()}}, nil
	case "auth/token/renew-self":
		t.until = time.Now().Add(t.ttl)
		if t.until.After(t.end) {
			t.until = t.end
		}
		return auth(q.Header.Get("X-Vault-Token"), t), nil
	}
	if mount, asked := strings.CutPrefix(path, "sys/internal/ui/mounts/"); asked {
		return v.mount(mount, t)
	}
	if slices.Contains(t.policies, "root") && (strings.HasPrefix(path, "sys/") || strings.HasPrefix(path, "auth/")) {
		return v.operate(path, b)
	}
	return v.value(q.Method, path, b, t)
}

func (v *vault) live(id string) *token {
	t := v.tokens[id]
	if t != nil && !t.until.IsZero() && time.Now().After(t.until) {
		delete(v.tokens, id)
		return nil
	}
	return t
}

func (t *token) left() time.Duration {
	if t.until.IsZero() {
		return 0
	}
	return time.Until(t.until)
}

func auth(id string, t *token) map[string]any {
	return map[string]any{"auth": map[string]any{"client_token": id, "lease_duration": int(t.left().Round(time.Second).Seconds()), "renewable": true}}
}

func (v *vault) issue(policies []string, ttl, most time.Duration) map[string]any {
	t := &token{policies: policies, ttl: ttl, until: time.Now().Add(ttl), end: time.Now().Add(max(ttl, most))}
	id := uuid.NewString()
	v.tokens[id] = t
	return auth(id, t)
}

func (v *vault) login(b body) (map[string]any, error) {
	for r := range maps.Values(v.roles) {
		if r.id == b.text("role_id") && r.secrets[b.text("secret_id")] {
			return v.issue(r.policies, r.ttl, r.max), nil
		}
	}
	return nil, refusal{http.StatusBadRequest, "invalid role or secret ID"}
}

// operate is what the operator does.
func (v *vault) operate(path string, b body) (map[string]any, error) {
	first, last := path[:strings.LastIndex(path, "/")+1], path[strings.LastIndex(path, "/")+1:]
	switch {
	case path == "sys/seal":
		v.sealed = true
	case first == "sys/mounts/":
		options, _ := b["options"].(map[string]any)
		v.mounts[last] = fmt.Sprint(options["version"])
	case first == "sys/policies/acl/":
		v.policies[last] = parsePolicy(b.text("policy"))
	case path == "auth/token/create":
		var policies []string
		for _, p := range b["policies"].([]any) {
			policies = append(policies, p.(string))
		}
		return v.issue(policies, b.duration("ttl"), 0), nil
	case path == "auth/token/revoke":
		delete(v.tokens, b.text("token"))
	case first == "auth/approle/role/":
		v.roles[last] = &role{id: uuid.NewString(), secrets: map[string]bool{}, policies: strings.Split(b.text("token_policies"), ","),
			ttl: b.duration("token_ttl"), max: b.duration("token_max_ttl")}
	case strings.HasPrefix(path, "auth/approle/role/"):
		return v.roles[strings.Split(path, "/")[3]].about(last), nil
	}
	return nil, nil
}

func (r *role) about(what string) map[string]any {
	if what == "role-id" {
		return map[string]any{"data": map[string]any{"role_id": r.id}}
	}
	id := uuid.NewString()
	r.secrets[id] = true
	return map[string]any{"data": map[string]any{"secret_id": id}}
}

// mount tells what an engine is to those who may use anything in it.
func (v *vault) mount(name string, t *token) (map[string]any, error) {
	usable := slices.Contains(t.policies, "root")
	for _, p := range t.policies {
		usable = usable || slices.ContainsFunc(v.policies[p], func(r rule) bool { return strings.HasPrefix(r.path, name+"/") })
	}
	if v.mounts[name] == "" || !usable {
		return nil, denied
	}
	return map[string]any{"data": map[string]any{"type": "kv", "options": map[string]any{"version": v.mounts[name]}}}, nil
}

var policyPath = regexp.MustCompile(`path "([^"]*)" \{ capabilities = \[([^\]]*)\] \}`)

func parsePolicy(text string) (rules []rule) {
	for _, m := range policyPath.FindAllStringSubmatch(text, -1) {
		rules = append(rules, rule{m[1], strings.Split(strings.ReplaceAll(strings.ReplaceAll(m[2], `"`, ""), " ", ""), ",")})
	}
	return rules
}

// may follows the rule that fits best in each policy: the longest.
func (v *vault) may(t *token, path, capability string) bool {
	allowed := false
	for _, name := range t.policies {
		if name == "root" {
			return true
		}
		var best rule
		for _, r := range v.policies[name] {
			prefix, glob := strings.CutSuffix(r.path, "*")
			if (r.path == path || glob && strings.HasPrefix(path, prefix)) && len(r.path) > len(best.path) {
				best = r
			}
		}
		if slices.Contains(best.can, "deny") {
			return false
		}
		allowed = allowed || slices.Contains(best.can, capability)
	}
	return allowed
}

// value reads and writes the key/value stores.
func (v *vault) value(method, path string, b body, t *token) (map[string]any, error) {
	capability := map[string]string{http.MethodGet: "read", http.MethodPost: "create", http.MethodDelete: "delete"}[method]
	if !v.may(t, path, capability) {
		return nil, denied
	}
	mount, _, _ := strings.Cut(path, "/")
	absent := refusal{http.StatusNotFound, ""}
	if v.mounts[mount] == "" {
		return nil, absent
	}
	switch method {
	case http.MethodPost:
		v.values[path] = map[string]any(b)
		if v.mounts[mount] == "2" {
			v.values[path] = b["data"]
			return map[string]any{"data": map[string]any{"version": 1}}, nil
		}
	case http.MethodDelete:
		v.values[path] = nil
	default:
		value := v.values[path]
		if value == nil {
			return nil, absent
		}
		if v.mounts[mount] == "2" {
			value = map[string]any{"data": value, "metadata": map[string]any{}}
		}
		return map[string]any{"data": value}, nil
	}
	return nil, nil
}
