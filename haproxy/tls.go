package haproxy

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/octavo-lb/octavo/lb"
)

// Secret is a file that the configuration refers to, in Environment.SecretDir. Its name stays the same when the secret is
// renewed, so that HAProxy can be given the new one at run time.
type Secret struct {
	Name   string
	Digest string
	Kind   string // as HAProxy's commands call it: cert, ca-file, crl-file
}

var hexDigest = regexp.MustCompile(`^[0-9a-f]{64}$`)

// cipherList is what a list in OpenSSL's language is made of.
var cipherList = regexp.MustCompile(`^[0-9A-Za-z:+!@=_.-]+$`)

// tlsFiles collects what the configuration refers to.
type tlsFiles struct {
	dir     string
	secrets map[string]Secret
	lists   []List
}

// secret returns the path of the secret of that reference.
func (t *tree) secret(files *tlsFiles, attribute string, ref *string, kind string) (string, error) {
	if ref == nil || *ref == "" {
		return "", nil
	}
	s, ok := t.state.Secrets[*ref]
	if !ok || !hexDigest.MatchString(s.Digest) {
		return "", fmt.Errorf("%s: the state has no secret %q", attribute, *ref)
	}
	sum := sha256.Sum256([]byte(kind + " " + *ref))
	name := hex.EncodeToString(sum[:16]) + ".pem"
	files.secrets[name] = Secret{Name: name, Digest: s.Digest, Kind: kind}
	return filepath.Join(files.dir, name), nil
}

func terminates(l lb.Listener) bool {
	return l.Protocol == "TERMINATED_HTTPS" || l.Protocol == "PROMETHEUS" && len(certificates(l)) > 0
}

// certificates are a listener's, the one first that clients get which name no server or another one: the default, or the first
// of those by name where there is no default.
func certificates(l lb.Listener) []string {
	if l.DefaultTLSContainerRef == nil || *l.DefaultTLSContainerRef == "" {
		return l.SniContainerRefs
	}
	return append([]string{*l.DefaultTLSContainerRef}, l.SniContainerRefs...)
}

// bindTLS is what the bind lines of a listener that terminates TLS say after the address.
func (t *tree) bindTLS(l lb.Listener, files *tlsFiles) (string, error) {
	if !terminates(l) {
		return "", nil
	}
	refs := certificates(l)
	if len(refs) == 0 {
		return "", fmt.Errorf("neither default_tls_container_ref nor sni_container_refs")
	}
	list := List{Name: "certificates-" + l.ID}
	for _, ref := range refs {
		attribute := "sni_container_refs"
		if l.DefaultTLSContainerRef != nil && ref == *l.DefaultTLSContainerRef {
			attribute = "default_tls_container_ref"
		}
		path, err := t.secret(files, attribute, &ref, "cert")
		if err != nil {
			return "", err
		}
		if !slices.Contains(list.Files, path) {
			list.Files = append(list.Files, path)
		}
	}
	files.lists = append(files.lists, list)
	options := []string{"ssl crt-list " + filepath.Join(files.dir, list.Name)}
	auth, err := t.clientAuth(l, files)
	if err != nil {
		return "", err
	}
	options = append(options, auth...)
	more, err := tlsOptions(l.TLSCiphers, l.TLSVersions, l.AlpnProtocols)
	if err != nil {
		return "", err
	}
	return " " + strings.Join(append(options, more...), " "), nil
}

func (t *tree) clientAuth(l lb.Listener, files *tlsFiles) ([]string, error) {
	verify := map[string]string{"NONE": "none", "OPTIONAL": "optional", "MANDATORY": "required"}[l.ClientAuthentication]
	ca, err := t.secret(files, "client_ca_tls_container_ref", l.ClientCATLSContainerRef, "ca-file")
	switch {
	case err != nil:
		return nil, err
	case ca == "" && verify != "none" && verify != "":
		return nil, fmt.Errorf("client_authentication is %s without a client_ca_tls_container_ref", l.ClientAuthentication)
	case ca == "" || verify == "":
		return nil, nil
	}
	options := []string{"ca-file " + ca, "verify " + verify}
	crl, err := t.secret(files, "client_crl_container_ref", l.ClientCRLContainerRef, "crl-file")
	if crl != "" {
		options = append(options, "crl-file "+crl)
	}
	return options, err
}

// serverTLS is what server lines say about TLS to the members.
func (t *tree) serverTLS(p lb.Pool, files *tlsFiles) ([]string, error) {
	if !p.TLSEnabled {
		return nil, nil
	}
	// The name that the client asked for is asked of the member, and is what its certificate is checked against.
	options := []string{"ssl", "sni ssl_fc_sni"}
	crt, err := t.secret(files, "tls_container_ref", p.TLSContainerRef, "cert")
	if err != nil {
		return nil, err
	}
	if crt != "" {
		options = append(options, "crt "+crt)
	}
	ca, err := t.secret(files, "ca_tls_container_ref", p.CATLSContainerRef, "ca-file")
	if err != nil {
		return nil, err
	}
	if ca == "" {
		options = append(options, "verify none")
	} else {
		options = append(options, "ca-file "+ca, "verify required")
		crl, err := t.secret(files, "crl_container_ref", p.CRLContainerRef, "crl-file")
		if err != nil {
			return nil, err
		}
		if crl != "" {
			options = append(options, "crl-file "+crl)
		}
	}
	more, err := tlsOptions(p.TLSCiphers, p.TLSVersions, p.AlpnProtocols)
	if err != nil {
		return nil, err
	}
	if len(p.AlpnProtocols) > 0 {
		more = append(more, "check-alpn "+strings.Join(p.AlpnProtocols, ","))
	}
	return append(options, more...), nil
}

func tlsOptions(ciphers *string, versions, alpn []string) ([]string, error) {
	if ciphers != nil && !cipherList.MatchString(*ciphers) {
		return nil, fmt.Errorf("tls_ciphers %q is not a list of ciphers", *ciphers)
	}
	old, new13 := splitCiphers(ciphers)
	options, err := tlsVersions(versions, ciphers != nil && old == "")
	if err != nil {
		return nil, err
	}
	for _, c := range []struct{ keyword, list string }{{"ciphers", old}, {"ciphersuites", new13}} {
		if c.list == "" {
			continue
		}
		list, err := word(c.list)
		if err != nil {
			return nil, fmt.Errorf("tls_ciphers: %w", err)
		}
		options = append(options, c.keyword+" "+list)
	}
	if len(alpn) > 0 {
		for _, p := range alpn {
			if !slices.Contains([]string{"h2", "http/1.1", "http/1.0"}, p) {
				return nil, fmt.Errorf("alpn_protocols: unknown protocol %q", p)
			}
		}
		options = append(options, "alpn "+strings.Join(alpn, ","))
	}
	return options, nil
}

// splitCiphers takes the cipher suites of TLS 1.3 out of a list: OpenSSL has a list of its own for them and ignores them in
// the other.
func splitCiphers(list *string) (old, new13 string) {
	if list == nil {
		return "", ""
	}
	var olds, news []string
	for c := range strings.SplitSeq(*list, ":") {
		if strings.HasPrefix(c, "TLS_") {
			news = append(news, c)
		} else if c != "" {
			olds = append(olds, c)
		}
	}
	return strings.Join(olds, ":"), strings.Join(news, ":")
}

// tlsVersions allows the newest of the listed versions and those right below it: TLS has no way to offer versions with a gap
// between them. Without a list HAProxy's own range holds, whose oldest is 1.2. SSLv3 is not among what today's OpenSSL can
// speak.
func tlsVersions(list []string, only13 bool) ([]string, error) {
	known := []struct{ api, haproxy string }{
		{"TLSv1", "TLSv1.0"}, {"TLSv1.1", "TLSv1.1"}, {"TLSv1.2", "TLSv1.2"}, {"TLSv1.3", "TLSv1.3"},
	}
	if only13 {
		if len(list) > 0 && !slices.Contains(list, "TLSv1.3") {
			return nil, fmt.Errorf("tls_ciphers are for TLSv1.3 only, which is not among tls_versions")
		}
		list = []string{"TLSv1.3"}
	}
	if len(list) == 0 {
		return nil, nil
	}
	oldest, newest := "", ""
	for _, v := range slices.Backward(known) {
		if slices.Contains(list, v.api) {
			oldest = v.haproxy
			newest = cmp.Or(newest, v.haproxy)
		} else if newest != "" {
			break
		}
	}
	if newest == "" {
		return nil, fmt.Errorf("tls_versions: none of %v can be served", list)
	}
	return []string{"ssl-min-ver " + oldest, "ssl-max-ver " + newest}, nil
}

// hsts is the value of the Strict-Transport-Security header, empty for none.
func hsts(l lb.Listener) string {
	if l.HstsMaxAge == nil || !terminates(l) {
		return ""
	}
	value := fmt.Sprintf("max-age=%d", *l.HstsMaxAge)
	if l.HstsIncludeSubdomains {
		value += "; includeSubDomains"
	}
	if l.HstsPreload {
		value += "; preload"
	}
	return value
}

// clientHeaders tell members about the client's certificate.
func clientHeaders(l lb.Listener) []string {
	if l.Protocol != "TERMINATED_HTTPS" {
		return nil
	}
	var out []string
	for _, h := range []struct{ name, value string }{
		{"X-SSL-Client-Verify", "%[ssl_c_verify]"},
		{"X-SSL-Client-Has-Cert", "%[ssl_c_used]"},
		{"X-SSL-Client-DN", "%{+Q}[ssl_c_s_dn]"},
		{"X-SSL-Client-CN", "%{+Q}[ssl_c_s_dn(cn)]"},
		{"X-SSL-Issuer", "%{+Q}[ssl_c_i_dn]"},
		{"X-SSL-Client-SHA1", "%{+Q}[ssl_c_sha1,hex]"},
		{"X-SSL-Client-Not-Before", "%{+Q}[ssl_c_notbefore]"},
		{"X-SSL-Client-Not-After", "%{+Q}[ssl_c_notafter]"},
	} {
		if isTrue(l.InsertHeaders, h.name) {
			out = append(out, "http-request set-header "+h.name+" "+h.value)
		}
	}
	return out
}
