package haproxy

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/lb"
)

// expectedCodes is what Octavia accepts: a code, a list of codes or ranges of codes.
var expectedCodes = regexp.MustCompile(`^\d{3}(-\d{3})?(,\d{3}(-\d{3})?)*$`)

// checks writes a health monitor: the backend's directives and what goes on each server line. The option is empty when
// it is the agent and not HAProxy that checks.
func checks(m agentapi.Monitor, p lb.Pool) (directives []string, option string, err error) {
	if AgentChecks(m.Type) {
		return nil, "", nil
	}
	directives = []string{fmt.Sprintf("timeout check %ds", max(m.Timeout, 1))}
	option = fmt.Sprintf("check inter %ds fall %d rise %d", max(m.Delay, 1), max(m.MaxRetriesDown, 1), max(m.MaxRetries, 1))
	switch m.Type {
	case "TCP":
	case "TLS-HELLO":
		option, err = checkTLS(option, m, p)
		return directives, option, err
	case "HTTPS":
		if option, err = checkTLS(option, m, p); err != nil {
			return nil, "", err
		}
		fallthrough
	case "HTTP":
		http, err := httpCheck(m)
		if err != nil {
			return nil, "", err
		}
		directives = append(directives, http...)
	default:
		return nil, "", fmt.Errorf("type %q cannot be served", m.Type)
	}
	return directives, option, nil
}

// checkTLS lets a check speak TLS. It takes any certificate, unless the pool's own connections do not.
func checkTLS(option string, m agentapi.Monitor, p lb.Pool) (string, error) {
	option += " check-ssl"
	if !p.TLSEnabled {
		option += " verify none"
	}
	if m.DomainName != nil {
		name, err := word(*m.DomainName)
		if err != nil || hasControl(*m.DomainName) {
			return "", fmt.Errorf("domain_name %q is not a name", *m.DomainName)
		}
		option += " check-sni " + name
	}
	return option, nil
}

// AgentChecks tells whether a monitor's checks are the agent's work, because HAProxy has none of that kind.
func AgentChecks(monitorType string) bool { return monitorType == "PING" }

func httpCheck(m agentapi.Monitor) ([]string, error) {
	method, path, version := "GET", "/", "1.0"
	if m.HTTPMethod != nil {
		method = *m.HTTPMethod
	}
	if m.URLPath != nil {
		path = *m.URLPath
	}
	if m.HTTPVersion != nil {
		version = fmt.Sprintf("%.1f", *m.HTTPVersion)
	}
	if _, ok := argument(method); !ok {
		return nil, fmt.Errorf("http_method %q is not a method", method)
	}
	target, err := word(uri(path))
	if err != nil {
		return nil, fmt.Errorf("url_path: %w", err)
	}
	send := "http-check send meth " + method + " uri " + target + " ver HTTP/" + version
	if m.DomainName != nil && version == "1.1" {
		if hasControl(*m.DomainName) {
			return nil, fmt.Errorf("domain_name %w", errControl)
		}
		name, err := format(*m.DomainName)
		if err != nil {
			return nil, fmt.Errorf("domain_name: %w", err)
		}
		send += " hdr Host " + name
	}
	codes := "200"
	if m.ExpectedCodes != nil {
		codes = strings.ReplaceAll(*m.ExpectedCodes, " ", "")
	}
	if !expectedCodes.MatchString(codes) {
		return nil, fmt.Errorf("expected_codes %q is not a list of codes", codes)
	}
	return []string{"option httpchk", send, "http-check expect status " + codes}, nil
}
