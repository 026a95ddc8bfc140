package ca_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/octavo-lb/octavo/ca"
	"github.com/octavo-lb/octavo/secrets"
)

// followed runs a guide's commands with the real openssl and answers what an operator would configure then. The shell goes on
// after a failed command, as one at a prompt does.
func followed(t *testing.T, script string, env ...string) (ca.Operator, string) {
	t.Helper()
	guide, err := filepath.Abs("testdata/guide")
	if err != nil {
		t.Fatal(err)
	}
	out := t.TempDir()
	c := exec.Command("bash", filepath.Join(guide, script))
	c.Dir = t.TempDir()
	c.Env = append(append(os.Environ(), "guide="+guide, "out="+out), env...)
	said, _ := c.CombinedOutput()
	t.Logf("%s says:\n%s", script, said)
	read := func(name string) []byte {
		text, err := os.ReadFile(filepath.Join(out, name))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	return ca.Operator{IssuingCA: read("issuing_ca.pem"), IssuingKey: read("issuing_key.pem"), IssuingPassphrase: secrets.New("geheim"),
		ControllerCA: read("controller_ca.pem"), ControllerCert: read("controller.pem")}, out
}

// atWork opens authorities with what the operator brings, and has an agent and a controller prove themselves to each other.
func atWork(t *testing.T, o ca.Options) *ca.Authorities {
	t.Helper()
	d := newDeployment(t)
	d.clock.now = time.Now()
	keyring, err := secrets.OpenKeyring(d.keyFile)
	if err != nil {
		t.Fatal(err)
	}
	o.Clock = d.clock.Now
	a, err := ca.Open(t.Context(), d.shelf, keyring, o)
	if err != nil {
		t.Fatal(err)
	}
	meet(t, a, d.clock.now)
	return a
}

func meet(t *testing.T, a *ca.Authorities, now time.Time) {
	t.Helper()
	given, err := a.SignAgent(request(t, newKey(t, elliptic.P256()), &x509.CertificateRequest{}), amphoraA)
	if err != nil {
		t.Fatal(err)
	}
	if err := verifyClient(a, parse(t, given.PEM), now); err != nil {
		t.Errorf("the controller refuses its agent: %v", err)
	}
	if a.Outdated(parse(t, given.PEM), a.Trust().ID()) {
		t.Error("an agent that has just enrolled is to renew")
	}
	trust := a.Trust()
	shown, err := a.ServerCertificate(&tls.ClientHelloInfo{ServerName: trust.SNI(ca.DefaultServerName)})
	if err != nil {
		t.Fatal(err)
	}
	if err := trust.Verify(chainOf(t, shown), ca.DefaultServerName, now); err != nil {
		t.Errorf("the agent refuses its controller: %v", err)
	}
	if err := trust.Verify([]*x509.Certificate{parse(t, given.PEM)}, ca.DefaultServerName, now); err == nil {
		t.Error("an amphora passes as a controller")
	}
}

func chainOf(t *testing.T, c *tls.Certificate) (chain []*x509.Certificate) {
	t.Helper()
	for _, der := range c.Certificate {
		parsed, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		chain = append(chain, parsed)
	}
	return chain
}

func TestOctaviasGuideWorksAsPrinted(t *testing.T) {
	o, _ := followed(t, "octavia.sh")
	var log bytes.Buffer
	a := atWork(t, ca.Options{Operator: o, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	for _, d := range a.Describe() {
		if !d.Imported || !d.Signs {
			t.Errorf("%+v", d)
		}
		if d.Role == ca.Controller && (!d.Lax || d.Server == nil || d.KeyHere) {
			t.Errorf("%+v", d)
		}
	}
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	a.Run(stopped)
	if strings.Contains(log.String(), "ends soon") {
		t.Errorf("what is good for twenty years is warned of:\n%s", log.String())
	}
	for _, want := range []string{"every certificate of the operator's controller CA", "subjectAltName = DNS:octavo-controller", "serverAuth"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("%q is not in the warning:\n%s", want, log.String())
		}
	}
	stranger, _ := newDeployment(t).controller(t).ServerCertificate(nil)
	if err := a.Trust().Verify(chainOf(t, stranger), ca.DefaultServerName, stranger.Leaf.NotBefore.Add(time.Hour)); err == nil {
		t.Error("the controller of another deployment passes")
	}
}

// The charm's guide is followed once, for all that is tried with what it makes.
func TestCharmsGuide(t *testing.T) {
	o, out := followed(t, "charm.sh", "subject=/C=US/ST=Somestate/O=Org/CN=www.example.com")
	for name, test := range map[string]func(*testing.T, ca.Operator, string){
		"works with its common name":                            worksWithItsCommonName,
		"hands over one CA for both":                            handsOverOneCAForBoth,
		"mistakes are told clearly":                             mistakesAreToldClearly,
		"a server's certificate is checked by name and usage":   serverCertificateIsCheckedByNameAndUsage,
		"a controller CA with its key makes certificates here":  controllerCAWithItsKeyMakesCertificatesHere,
		"is imported beside what is there, with agents at work": isImportedBesideWhatIsThere,
		"keeps no controller from starting when it has ended":   keepsNoControllerFromStarting,
	} {
		t.Run(name, func(t *testing.T) { test(t, o, out) })
	}
}

func worksWithItsCommonName(t *testing.T, o ca.Operator, _ string) {
	if err := ca.CheckOperator(ca.Options{Operator: o}); err != nil {
		t.Error(err)
	}
	var log bytes.Buffer
	a := atWork(t, ca.Options{Operator: o, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	a.Run(stopped)
	if strings.Count(log.String(), "ends soon") != 3 { // both CAs and the controllers' certificate: the guide makes them for 30 days
		t.Errorf("nobody is told of their end:\n%s", log.String())
	}
}

// What the guide's juju command hands over, though: the controller CA in both places.
func handsOverOneCAForBoth(t *testing.T, o ca.Operator, out string) {
	key, err := os.ReadFile(filepath.Join(out, "controller_ca_key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	o.IssuingCA, o.IssuingKey = o.ControllerCA, key
	err = ca.CheckOperator(ca.Options{Operator: o})
	if err == nil || !strings.Contains(err.Error(), "an amphora could pose as the controller") || !strings.Contains(err.Error(), "allow_shared_ca") {
		t.Errorf("not refused with the reason: %v", err)
	}
	var log bytes.Buffer
	if a := atWork(t, ca.Options{Operator: o, AllowShared: true, Logger: slog.New(slog.NewTextHandler(&log, nil))}); !a.Shared() {
		t.Error("the CA that is shared is not told to be")
	}
	if !strings.Contains(log.String(), "share a key") {
		t.Errorf("no warning:\n%s", log.String())
	}
}

func TestCharmsOlderGuideMakesABundleWithoutACertificate(t *testing.T) {
	o, _ := followed(t, "charm.sh", "subject=/C=US/ST=Somestate/O=Org")
	err := ca.CheckOperator(ca.Options{Operator: o})
	if err == nil || !strings.Contains(err.Error(), "there is a private key and no certificate") || !strings.Contains(err.Error(), "-subj /CN=octavo-controller") {
		t.Errorf("got %v", err)
	}
}

func mistakesAreToldClearly(t *testing.T, o ca.Operator, out string) {
	good := o
	make := func(script string) []byte {
		t.Helper()
		c := exec.Command("bash", "-euc", script)
		c.Dir = out
		text, err := c.Output()
		if err != nil {
			t.Fatalf("%s: %v", script, err)
		}
		return text
	}
	const sign = "openssl req -x509 -new -passin pass:geheim -key issuing_key.pem -subj /CN=x "
	for name, c := range map[string]struct {
		change func(*ca.Operator)
		want   string
	}{
		"a wrong passphrase": {func(o *ca.Operator) { o.IssuingPassphrase = secrets.New("falsch") }, "the issuing CA's private key: the passphrase is wrong"},
		"no passphrase":      {func(o *ca.Operator) { o.IssuingPassphrase = secrets.Secret{} }, "the issuing CA's private key: it has a passphrase, which is not there"},
		"another's key": {func(o *ca.Operator) { o.IssuingKey = make("openssl genrsa 2048 2>/dev/null") },
			"the issuing CA: the private key is not that of the certificate"},
		"no CA": {func(o *ca.Operator) { o.IssuingCA = make(sign + "-addext basicConstraints=CA:FALSE") }, "lacks the basic constraint CA:TRUE"},
		"expired": {func(o *ca.Operator) {
			o.IssuingCA = make("openssl req -new -passin pass:geheim -key issuing_key.pem -subj /CN=x -out old.csr && " +
				"printf 'basicConstraints=CA:TRUE' > old.ext && mkdir -p demoCA/newcerts && touch demoCA/index.txt && " +
				"openssl ca -batch -selfsign -passin pass:geheim -keyfile issuing_key.pem -config /etc/ssl/openssl.cnf -policy policy_anything -extfile old.ext " +
				"-rand_serial -startdate 20200101000000Z -enddate 20210101000000Z -in old.csr 2>/dev/null")
		}, "has expired on 2021-01-01: make a new CA"},
		"a CA for servers only": {func(o *ca.Operator) {
			o.IssuingCA = make(sign + "-addext basicConstraints=critical,CA:TRUE -addext extendedKeyUsage=serverAuth")
		}, "cannot sign certificates for agents, which are clients"},
		"a CA that may not sign": {func(o *ca.Operator) {
			o.IssuingCA = make(sign + "-addext basicConstraints=critical,CA:TRUE -addext keyUsage=digitalSignature")
		}, "lacks keyCertSign"},
		"another CA's controller": {func(o *ca.Operator) { o.ControllerCA = make(sign + "-addext basicConstraints=critical,CA:TRUE") },
			"the controllers' certificate was not issued by the controller CA"},
		"text": {func(o *ca.Operator) { o.ControllerCA = []byte("hello") }, "the controller CA's certificate: there is no certificate in PEM"},
	} {
		o := good
		c.change(&o)
		if err := ca.CheckOperator(ca.Options{Operator: o, AllowShared: true}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
	if err := ca.CheckOperator(ca.Options{Operator: good}); err != nil {
		t.Error(err)
	}
}

// A bundle that is made for a server of our name is checked as strictly as one of our own.
func serverCertificateIsCheckedByNameAndUsage(t *testing.T, o ca.Operator, out string) {
	c := exec.Command("bash", "-euc", `openssl req -newkey rsa:2048 -nodes -keyout k.pem -subj /CN=octavo -out c.csr 2>/dev/null
		printf 'subjectAltName=DNS:octavo-controller\nextendedKeyUsage=serverAuth' > ext
		openssl x509 -req -in c.csr -CA controller_ca.pem -CAkey controller_ca_key.pem -passin pass:geheim -CAcreateserial -extfile ext -days 20 2>/dev/null; cat k.pem`)
	c.Dir = out
	text, err := c.Output()
	if err != nil {
		t.Fatal(err)
	}
	o.ControllerCert = text
	a := atWork(t, ca.Options{Operator: o})
	if a.Trust().OperatorCA != "" {
		t.Error("agents would accept any certificate of the CA")
	}
}

func controllerCAWithItsKeyMakesCertificatesHere(t *testing.T, o ca.Operator, out string) {
	key, err := os.ReadFile(filepath.Join(out, "controller_ca_key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	o.ControllerCert, o.ControllerKey, o.ControllerPassphrase = nil, key, secrets.New("geheim")
	if a := atWork(t, ca.Options{Operator: o}); a.Trust().OperatorCA != "" {
		t.Error("agents would accept any certificate of the CA")
	}
}

// An agent that knows nothing of a rotation keeps being served, one that renews is on the new CAs at once, and what is retired
// is trusted no more.
func TestRotationLosesNobodyAndRetiringEndsTrust(t *testing.T) {
	d := newDeployment(t)
	a, other := d.controller(t), d.controller(t)
	csr := request(t, newKey(t, elliptic.P256()), &x509.CertificateRequest{})
	away, err := a.SignAgent(csr, amphoraA)
	if err != nil {
		t.Fatal(err)
	}
	old := a.Trust()
	before := a.Describe()
	for _, role := range []ca.Role{ca.Issuing, ca.Controller} {
		if _, err := other.Rotate(t.Context(), role); err != nil {
			t.Fatal(err)
		}
	}
	refresh := func() {
		for _, c := range []*ca.Authorities{a, other} {
			if err := c.Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	refresh()
	if !a.Outdated(parse(t, away.PEM), old.ID()) {
		t.Error("an agent with the old trust is not asked to renew")
	}
	if signed, err := a.SignAgent(csr, amphoraA); err != nil || signed.Issuer != away.Issuer {
		t.Errorf("signed by %s before every controller knows the new CA, %v", signed.Issuer, err)
	}
	d.clock.Advance(time.Minute)
	refresh()
	next, err := a.SignAgent(csr, amphoraB)
	if err != nil || next.Issuer == away.Issuer {
		t.Fatalf("still signed by %s, %v", next.Issuer, err)
	}
	d.clock.Advance(20 * 24 * time.Hour) // the old certificate is good for ten days more
	for _, c := range []*ca.Authorities{a, other} {
		for who, given := range map[string]string{"that was away": away.PEM, "that renewed": next.PEM} {
			if err := verifyClient(c, parse(t, given), d.clock.now); err != nil {
				t.Errorf("the controller refuses the agent %s: %v", who, err)
			}
		}
		shown, err := c.ServerCertificate(&tls.ClientHelloInfo{ServerName: old.SNI(ca.DefaultServerName)})
		if err != nil {
			t.Fatal(err)
		}
		if err := old.Verify(chainOf(t, shown), ca.DefaultServerName, d.clock.now); err != nil {
			t.Errorf("the agent that was away refuses the controller: %v", err)
		}
	}
	meet(t, a, d.clock.now)
	for _, was := range before {
		if err := other.Retire(t.Context(), was.Label); err != nil {
			t.Fatal(err)
		}
	}
	refresh()
	meet(t, a, d.clock.now)
	if verifyClient(a, parse(t, away.PEM), d.clock.now) == nil {
		t.Error("a certificate of the retired CA is good")
	}
	shown, err := a.ServerCertificate(&tls.ClientHelloInfo{ServerName: old.SNI(ca.DefaultServerName)})
	if err != nil {
		t.Fatal(err)
	}
	if old.Verify(chainOf(t, shown), ca.DefaultServerName, d.clock.now) == nil {
		t.Error("the retired controller CA is in use")
	}
	for _, now := range a.Describe() {
		if err := a.Retire(t.Context(), now.Label); !errors.Is(err, ca.ErrInUse) {
			t.Errorf("retired the only CA: %v", err)
		}
	}
}

// A running service takes over what an operator imports, agent by agent.
func isImportedBesideWhatIsThere(t *testing.T, o ca.Operator, _ string) {
	d := newDeployment(t)
	d.clock.now = time.Now()
	a := d.controller(t)
	old, before := a.Trust(), signed(t, a, amphoraA)
	changed, err := a.Import(t.Context(), o)
	if err != nil || len(changed) != 2 {
		t.Fatal(changed, err)
	}
	if again, err := a.Import(t.Context(), o); err != nil || len(again) != 0 {
		t.Errorf("imported twice: %v, %v", again, err)
	}
	d.clock.Advance(time.Minute)
	if err := a.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !a.Outdated(before, old.ID()) {
		t.Error("agents are not asked to renew")
	}
	shown, err := a.ServerCertificate(&tls.ClientHelloInfo{ServerName: old.SNI(ca.DefaultServerName)})
	if err != nil {
		t.Fatal(err)
	}
	if err := old.Verify(chainOf(t, shown), ca.DefaultServerName, d.clock.now); err != nil {
		t.Errorf("an agent that knows nothing of it yet refuses the controller: %v", err)
	}
	meet(t, a, d.clock.now)
	if err := verifyClient(a, before, d.clock.now); err != nil {
		t.Errorf("the controller refuses an agent that has not renewed: %v", err)
	}
}

func TestCertificatesAreRenewedWhenTheOperatorWants(t *testing.T) {
	const day = 24 * time.Hour
	for _, c := range []struct{ before, after time.Duration }{{0, 20 * day}, {14 * day, 16 * day}, {29 * day, 10 * day}} {
		d := newDeployment(t)
		keyring, err := secrets.OpenKeyring(d.keyFile)
		if err != nil {
			t.Fatal(err)
		}
		a, err := ca.Open(t.Context(), d.shelf, keyring, ca.Options{Clock: d.clock.Now, RenewBefore: c.before})
		if err != nil {
			t.Fatal(err)
		}
		given, err := a.SignAgent(request(t, newKey(t, elliptic.P256()), &x509.CertificateRequest{}), amphoraA)
		if err != nil {
			t.Fatal(err)
		}
		if got := given.RenewAfter.Sub(d.clock.now); got != c.after {
			t.Errorf("%v before the end: renewed after %v, not %v", c.before, got, c.after)
		}
	}
}

func TestDigestOfSignaturesIsTheOperators(t *testing.T) {
	for digest, want := range map[crypto.Hash]x509.SignatureAlgorithm{0: x509.ECDSAWithSHA256, crypto.SHA384: x509.ECDSAWithSHA384, crypto.SHA512: x509.ECDSAWithSHA512} {
		a := atWork(t, ca.Options{Digest: digest})
		if got := signed(t, a, amphoraA).SignatureAlgorithm; got != want {
			t.Errorf("signed by %v, not %v", got, want)
		}
	}
}

// The guide's CAs live for 30 days, and the configuration that names them for longer.
func keepsNoControllerFromStarting(t *testing.T, o ca.Operator, _ string) {
	d := newDeployment(t)
	d.clock.now = time.Now()
	keyring, err := secrets.OpenKeyring(d.keyFile)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	options := ca.Options{Clock: d.clock.Now, Operator: o, Logger: slog.New(slog.NewTextHandler(&log, nil))}
	a, err := ca.Open(t.Context(), d.shelf, keyring, options)
	if err != nil {
		t.Fatal(err)
	}
	for _, role := range []ca.Role{ca.Issuing, ca.Controller} {
		if _, err := a.Rotate(t.Context(), role); err != nil {
			t.Fatal(err)
		}
	}
	d.clock.Advance(31 * 24 * time.Hour)
	if a, err = ca.Open(t.Context(), d.shelf, keyring, options); err != nil {
		t.Fatal(err)
	}
	meet(t, a, d.clock.now)
	if !strings.Contains(log.String(), "level=ERROR") || !strings.Contains(log.String(), "has expired on") {
		t.Errorf("nobody is told:\n%s", log.String())
	}
	stranger := newDeployment(t)
	stranger.clock.now = d.clock.now
	if keyring, err = secrets.OpenKeyring(stranger.keyFile); err != nil {
		t.Fatal(err)
	}
	options.Clock = stranger.clock.Now
	if _, err := ca.Open(t.Context(), stranger.shelf, keyring, options); err == nil || !strings.Contains(err.Error(), "has expired on") {
		t.Errorf("a first start with what has expired: %v", err)
	}
}
