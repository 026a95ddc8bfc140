package haproxy

import (
	"fmt"
	"strconv"

	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/lb"
)

// condition is one L7 rule: what is looked at, how it is compared, with what.
type condition struct {
	Name  string
	Fetch string // a sample fetch, with its flags
	Value string // empty: the fetch is a yes or no by itself
}

// action is one L7 policy.
type action struct {
	Policy    string
	Statement string
	If        []string // conditions, which must all hold
}

// addPolicies writes a listener's policies. A policy without enabled rules matches nothing, and one that leads to a
// disabled pool does not apply.
func (t *tree) addPolicies(f *frontend, l lb.Listener) error {
	for _, p := range t.policies[l.ID] {
		rules := t.rules[p.ID]
		if len(rules) == 0 {
			continue
		}
		statement, err := t.statement(p, l)
		if err != nil {
			return fmt.Errorf("l7policy %s: %w", p.ID, err)
		}
		if statement == "" {
			continue
		}
		var terms []string
		for _, r := range rules {
			c, err := ruleCondition(r)
			if err != nil {
				return fmt.Errorf("l7rule %s: %w", r.ID, err)
			}
			f.Conditions = append(f.Conditions, c)
			if r.Invert {
				terms = append(terms, "!"+c.Name)
			} else {
				terms = append(terms, c.Name)
			}
		}
		f.addAction(p.ID, statement, terms)
	}
	return nil
}

// maxTerms is how many conditions are put into one line, which takes at most 64 words.
const maxTerms = 40

// addAction adds what is done if all conditions hold. Where they are too many for a line, a variable carries over that those
// of the lines before held.
func (f *frontend) addAction(policy, statement string, terms []string) {
	for part := 0; len(terms) > maxTerms; part++ {
		variable := fmt.Sprintf("txn.policy%d_%d", len(f.Actions), part)
		f.Actions = append(f.Actions, action{policy, "http-request set-var(" + variable + ") bool(true)", terms[:maxTerms]})
		terms = append([]string{"{ var(" + variable + ") -m bool }"}, terms[maxTerms:]...)
	}
	f.Actions = append(f.Actions, action{policy, statement, terms})
}

func (t *tree) statement(p lb.L7Policy, l lb.Listener) (string, error) {
	switch p.Action {
	case "REJECT":
		return "http-request deny", nil
	case "REDIRECT_TO_URL":
		return redirect("location", "redirect_url", p.RedirectURL, p.RedirectHTTPCode)
	case "REDIRECT_PREFIX":
		return redirect("prefix", "redirect_prefix", p.RedirectPrefix, p.RedirectHTTPCode)
	case "REDIRECT_TO_POOL":
		if p.RedirectPoolID == nil {
			return "", fmt.Errorf("no redirect_pool_id")
		}
		if _, enabled := t.pools[*p.RedirectPoolID]; !enabled {
			return "", nil
		}
		return "use_backend " + backendName(*p.RedirectPoolID, l.ID), nil
	}
	return "", fmt.Errorf("unknown action %q", p.Action)
}

func redirect(kind, attribute string, url *string, code *int) (string, error) {
	if url == nil {
		return "", fmt.Errorf("no %s", attribute)
	}
	// The text goes into a response header.
	if hasControl(*url) {
		return "", fmt.Errorf("%s %w", attribute, errControl)
	}
	to, err := format(*url)
	if err != nil {
		return "", fmt.Errorf("%s: %w", attribute, err)
	}
	statement := "http-request redirect " + kind + " " + to
	if code != nil {
		statement += fmt.Sprintf(" code %d", *code)
	}
	return statement, nil
}

func ruleCondition(r agentapi.Rule) (condition, error) {
	c := condition{Name: r.ID, Value: r.Value}
	key := ""
	if r.Key != nil {
		key = *r.Key
	}
	if r.Type == "SSL_CONN_HAS_CERT" {
		return condition{Name: r.ID, Fetch: "ssl_c_used"}, nil
	}
	if r.Value == "" {
		return c, fmt.Errorf("value: %w", errEmpty)
	}
	match, err := matchFlag(r.CompareType)
	if err != nil {
		return c, err
	}
	switch r.Type {
	case "HOST_NAME":
		c.Fetch = "req.hdr(host) -i " + match
	case "PATH":
		c.Fetch = "path " + match
	case "FILE_TYPE":
		// path_end compares the end of the path; with "-m str" it would compare the whole of it.
		c.Fetch = "path_end"
		if r.CompareType != "EQUAL_TO" {
			c.Fetch += " " + match
		}
	case "HEADER":
		return keyed(c, "req.hdr", key, match), nil
	case "COOKIE":
		return keyed(c, "req.cook", key, match), nil
	case "SSL_DN_FIELD":
		return keyed(c, "ssl_c_s_dn", key, match), nil
	case "SSL_VERIFY_RESULT":
		if _, err := strconv.ParseUint(r.Value, 10, 16); err != nil {
			return c, fmt.Errorf("value %q is not a number", r.Value)
		}
		c.Fetch = "ssl_c_verify"
	default:
		return c, fmt.Errorf("unknown type %q", r.Type)
	}
	return c, nil
}

// keyed compares a header or cookie. No request has one whose name is not a token, so that such a rule never matches.
func keyed(c condition, fetch, key, match string) condition {
	arg, ok := argument(key)
	if !ok {
		return condition{Name: c.Name, Fetch: "always_false"}
	}
	w, err := word(fetch + "(" + arg + ")")
	if err != nil {
		return condition{Name: c.Name, Fetch: "always_false"}
	}
	c.Fetch = w + " " + match
	return c
}

func matchFlag(compare string) (string, error) {
	switch compare {
	case "REGEX":
		return "-m reg", nil
	case "STARTS_WITH":
		return "-m beg", nil
	case "ENDS_WITH":
		return "-m end", nil
	case "CONTAINS":
		return "-m sub", nil
	case "EQUAL_TO":
		return "-m str", nil
	}
	return "", fmt.Errorf("unknown compare_type %q", compare)
}
