package health_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/ca"
	"github.com/octavo-lb/octavo/health"
	"github.com/octavo-lb/octavo/health/agenttest"
	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/store"
	"github.com/octavo-lb/octavo/test/dbtest"
)

func TestTokenEnrolsOneKeyOnce(t *testing.T) {
	w := newWorld(t)
	b := w.newBalancer(2)
	a := w.agent(b.amphorae[0])
	must(t, a.Enrol(t.Context()))
	if row := w.amphora(b.amphorae[0]); row.EnrolUsedAt == nil || row.CertSerial == "" || row.CertExpiration == nil {
		t.Errorf("the row does not show it: %+v", row)
	}
	// The answer was lost, or the agent was killed before it kept the certificate: its key is the same.
	must(t, a.Enrol(t.Context()))
	if _, _, err := a.Poll(t.Context(), 0, 0); err != nil {
		t.Errorf("after enrolling again: %v", err)
	}
	thief := w.agent(b.amphorae[0])
	if err := thief.Enrol(t.Context()); agenttest.Code(err) != http.StatusForbidden {
		t.Errorf("the token was good for a second key: %v", err)
	}
	w.clock.Advance(61 * time.Minute)
	if err := a.Enrol(t.Context()); agenttest.Code(err) != http.StatusForbidden {
		t.Errorf("the token outlived its expiry: %v", err)
	}
	late := w.agent(b.amphorae[1])
	if err := late.Enrol(t.Context()); agenttest.Code(err) != http.StatusForbidden {
		t.Errorf("an unused token outlived its expiry: %v", err)
	}
}

func TestTokenThatIsNotTheAmphorasIsRefused(t *testing.T) {
	w := newWorld(t)
	b := w.newBalancer(2)
	mine, other := w.boot(b.amphorae[0]).Token, w.boot(b.amphorae[1]).Token
	_, mineSecret, _ := strings.Cut(mine, ".")
	for name, token := range map[string]string{
		"none":                      "",
		"no token at all":           "x",
		"another amphora's secret":  b.amphorae[1] + "." + mineSecret,
		"of an amphora unknown":     "00000000-0000-4000-8000-000000000000." + mineSecret,
		"cut":                       other[:len(other)-1],
		"longer":                    other + "A",
		"the stored hash":           b.amphorae[1] + "." + w.amphora(b.amphorae[1]).EnrolHash,
		"empty secret":              b.amphorae[1] + ".",
		"a certificate of ours too": b.amphorae[1] + ".x",
	} {
		a := w.agent(b.amphorae[1])
		a.Boot.Token = token
		if err := a.Enrol(t.Context()); agenttest.Code(err) != http.StatusForbidden {
			t.Errorf("%s: %v", name, err)
		}
	}
	if row := w.amphora(b.amphorae[1]); row.EnrolUsedAt != nil {
		t.Error("a wrong token used the right one up")
	}
	must(t, w.agent(b.amphorae[1]).Enrol(t.Context()))
}

func TestStateIsAnsweredTheMomentThereIsANewerOne(t *testing.T) {
	w := newWorld(t)
	b := w.newBalancer(1)
	unrelated := w.newBalancer(0)
	a := w.enrolled(b.amphorae[0])
	first, found, err := a.Poll(t.Context(), 0, time.Minute)
	if err != nil || !found || first.Generation < 1 || len(first.Members) != 2 {
		t.Fatalf("%+v, %v, %v", first, found, err)
	}
	if _, found, err := a.Poll(t.Context(), first.Generation, 0); found || err != nil {
		t.Errorf("a state that is not newer was answered: %v", err)
	}
	type answer struct {
		state agentapi.State
		found bool
		err   error
		at    time.Time
	}
	answered := make(chan answer, 1)
	go func() {
		s, found, err := a.Poll(t.Context(), first.Generation, time.Minute)
		answered <- answer{s, found, err, time.Now()}
	}()
	w.waitFor(1)
	unrelated.touch()
	select {
	case got := <-answered:
		t.Fatalf("another load balancer's change was answered: %+v", got)
	case <-time.After(100 * time.Millisecond):
	}
	written := time.Now()
	b.touch()
	got := <-answered
	if got.err != nil || !got.found || got.state.Generation != first.Generation+1 {
		t.Errorf("%+v", got)
	}
	if took := got.at.Sub(written); took > time.Second {
		t.Errorf("answered %v after the write", took)
	}
}

// TestWhoJoinsWaitsForItsPeerToKnow holds that an amphora is told nothing until the other one of its pair has applied what names
// it, and that this wait has an end.
func TestWhoJoinsWaitsForItsPeerToKnow(t *testing.T) {
	w := newWorld(t, func(o *health.Options) {
		o.JoinPatience = 2 * time.Second
		o.Unheard = func(tree *lb.Tree, amphorae []store.Amphora, id string) bool {
			return slices.ContainsFunc(amphorae, func(a store.Amphora) bool { return a.ID != id && a.AppliedGeneration < tree.LB.Generation })
		}
	})
	b := w.newBalancer(2)
	serving, joining := w.enrolled(b.amphorae[0]), w.enrolled(b.amphorae[1])
	answered := make(chan time.Time, 1)
	ask := func() {
		_, found, err := joining.Poll(t.Context(), 0, time.Minute)
		if !found || err != nil {
			t.Errorf("found %t, %v", found, err)
		}
		answered <- time.Now()
	}
	began := time.Now()
	go ask()
	w.waitFor(1)
	select {
	case <-answered:
		t.Fatal("it was told although the other one does not know of it")
	case <-time.After(100 * time.Millisecond):
	}
	_, err := serving.Report(t.Context(), agentapi.Report{Applied: b.tree().LB.Generation})
	must(t, err)
	if at := <-answered; at.Sub(began) > time.Second {
		t.Errorf("it was told %v after it asked", at.Sub(began))
	}
	b.touch() // the other one never applies this
	began = time.Now()
	go ask()
	if took := (<-answered).Sub(began); took < time.Second {
		t.Errorf("it was told %v after it asked, although the other one does not know of it", took)
	}
}

func TestStateOfAmphoraToBeDeletedIsGone(t *testing.T) {
	w := newWorld(t)
	b := w.newBalancer(1)
	a := w.enrolled(b.amphorae[0])
	waiting := make(chan error, 1)
	go func() {
		_, _, err := a.Poll(t.Context(), 1<<40, time.Minute)
		waiting <- err
	}()
	w.waitFor(1)
	b.write(func(ctx context.Context, tx *store.Tx) error {
		row := w.amphora(b.amphorae[0])
		row.Deleting = true
		return tx.UpdateAmphora(ctx, &row)
	})
	if _, _, err := a.Poll(t.Context(), 0, 0); agenttest.Code(err) != http.StatusGone {
		t.Errorf("state: %v", err)
	}
	if err := <-waiting; agenttest.Code(err) != http.StatusGone {
		t.Errorf("who waited: %v", err)
	}
	if _, err := a.Report(t.Context(), agentapi.Report{}); agenttest.Code(err) != http.StatusGone {
		t.Errorf("report: %v", err)
	}
}

func TestBadQuestionsAreRefused(t *testing.T) {
	w := newWorld(t)
	a := w.enrolled(w.newBalancer(1).amphorae[0])
	if _, _, err := a.Poll(t.Context(), -5, 0); agenttest.Code(err) != http.StatusBadRequest {
		t.Errorf("negative generation: %v", err)
	}
	if _, _, err := a.Poll(t.Context(), 0, -time.Second); agenttest.Code(err) != http.StatusBadRequest {
		t.Errorf("negative wait: %v", err)
	}
	if _, err := a.Report(t.Context(), agentapi.Report{Applied: -1}); agenttest.Code(err) != http.StatusBadRequest {
		t.Errorf("bad report: %v", err)
	}
	huge := agentapi.Report{Failure: strings.Repeat("x", 5<<20)}
	if _, err := a.Report(t.Context(), huge); agenttest.Code(err) != http.StatusRequestEntityTooLarge && err == nil {
		t.Errorf("huge report: %v", err)
	}
	if _, err := a.Report(t.Context(), agentapi.Report{}); err != nil {
		t.Errorf("a good report after bad ones: %v", err)
	}
}

func TestNewCertificateReplacesTheOldOneOnceItWasUsed(t *testing.T) {
	w := newWorld(t)
	b := w.newBalancer(1)
	a := w.enrolled(b.amphorae[0])
	old := a.Certificate()
	must(t, a.Renew(t.Context()))
	lost := a.Certificate()
	a.Use(old) // the answer was lost
	must(t, a.Renew(t.Context()))
	current := a.Certificate()
	if _, _, err := a.Poll(t.Context(), 0, 0); err != nil {
		t.Errorf("the new certificate: %v", err)
	}
	a.Use(old)
	if _, _, err := a.Poll(t.Context(), 0, 0); agenttest.Code(err) != http.StatusForbidden {
		t.Errorf("the old certificate after the new one was used: %v", err)
	}
	a.Use(lost)
	if _, _, err := a.Poll(t.Context(), 0, 0); agenttest.Code(err) != http.StatusForbidden {
		t.Errorf("the certificate that never arrived: %v", err)
	}
	a.Use(current)
	if _, _, err := a.Poll(t.Context(), 0, 0); err != nil {
		t.Errorf("the newest certificate: %v", err)
	}
}

// A request that was authenticated before a renewal may settle the certificate after it.
func TestRenewalSurvivesARequestThatCameBeforeIt(t *testing.T) {
	w := newWorld(t)
	b := w.newBalancer(1)
	a := w.enrolled(b.amphorae[0])
	before := w.amphora(b.amphorae[0]).CertSerial
	must(t, a.Renew(t.Context()))
	must(t, w.store.DropPreviousCertificate(t.Context(), b.amphorae[0], before))
	if row := w.amphora(b.amphorae[0]); row.CertSerial == before || row.CertPrevious != before {
		t.Errorf("serial %s, previous %s", row.CertSerial, row.CertPrevious)
	}
	if _, _, err := a.Poll(t.Context(), 0, 0); err != nil {
		t.Error(err)
	}
}

func TestCertificateExpiresOnAnOpenConnectionToo(t *testing.T) {
	w := newWorld(t)
	a := w.enrolled(w.newBalancer(1).amphorae[0])
	if _, _, err := a.Poll(t.Context(), 0, 0); err != nil {
		t.Fatal(err)
	}
	if left := a.RenewAfter().Sub(w.clock.Now()); left < 19*24*time.Hour || left > 21*24*time.Hour {
		t.Errorf("to be renewed in %v", left)
	}
	w.clock.Advance(31 * 24 * time.Hour)
	if _, _, err := a.Poll(t.Context(), 0, 0); err == nil {
		t.Error("an expired certificate is accepted")
	}
}

// unsealed is what a test stores in clear.
type unsealed struct{}

func (unsealed) Open(sealed []byte, _ string) ([]byte, error) { return sealed, nil }

func TestSecretIsGivenToTheLoadBalancerThatUsesIt(t *testing.T) {
	w := newWorld(t, func(o *health.Options) { o.Secrets = unsealed{} })
	mine, other := w.newBalancer(1), w.newBalancer(1)
	must(t, w.store.Write(t.Context(), func(tx *store.Tx) error {
		if _, err := tx.Lock(t.Context(), mine.id); err != nil {
			return err
		}
		return tx.PutSecrets(t.Context(), lb.Secret{Ref: "r", Kind: lb.CertificateSecret, Digest: "abc", Sealed: []byte("key")})
	}))
	agent := w.enrolled(mine.amphorae[0])
	if bundle, err := agent.Secret(t.Context(), "abc"); err != nil || string(bundle.PEM) != "key" {
		t.Errorf("%q, %v", bundle.PEM, err)
	}
	if _, err := agent.Secret(t.Context(), "abd"); agenttest.Code(err) != http.StatusNotFound {
		t.Errorf("an unknown digest: %v", err)
	}
	if _, err := w.enrolled(other.amphorae[0]).Secret(t.Context(), "abc"); agenttest.Code(err) != http.StatusNotFound {
		t.Errorf("another load balancer's secret: %v", err)
	}
}

func TestAgentLivesThroughAnOutageOfTheDatabase(t *testing.T) {
	server, err := dbtest.StartMariaDB()
	must(t, err)
	t.Cleanup(func() { must(t, server.Close()) })
	dsn, err := server.NewDatabase("outage")
	must(t, err)
	w := newWorldOn(t, dsn)
	b := w.newBalancer(1)
	a := w.enrolled(b.amphorae[0])
	generation := b.tree().LB.Generation
	send(t, a, b.good(generation))
	waiting := make(chan error, 1)
	go func() {
		_, _, err := a.Poll(t.Context(), generation, time.Minute)
		waiting <- err
	}()
	w.waitFor(1)
	must(t, server.Stop())
	_, err = a.Report(t.Context(), b.good(generation))
	var status *agenttest.StatusError
	if !errors.As(err, &status) || status.Code != http.StatusServiceUnavailable || status.RetryAfter < 2*time.Second || status.RetryAfter > 10*time.Second {
		t.Errorf("report: %v", err)
	}
	if _, _, err := a.Poll(t.Context(), 0, 0); agenttest.Code(err) != http.StatusServiceUnavailable {
		t.Errorf("state: %v", err)
	}
	if err := a.Enrol(t.Context()); agenttest.Code(err) != http.StatusServiceUnavailable {
		t.Errorf("enrolment: %v", err)
	}
	must(t, server.Start())
	eventually(t, "reports are taken in again", func() bool {
		_, err := a.Report(t.Context(), b.good(generation))
		return err == nil
	})
	b.touch()
	if err := <-waiting; err != nil {
		t.Errorf("who waited through the outage: %v", err)
	}
	b.inCloud()
	send(t, a, b.good(generation+1))
	if tree := b.tree(); tree.LB.Provisioning() != lb.Active {
		t.Errorf("afterwards: %s", tree.LB.Provisioning())
	}
}

// touch writes a change of what is wanted.
func (b *balancer) touch() {
	b.w.t.Helper()
	must(b.w.t, b.w.store.Write(b.w.t.Context(), func(tx *store.Tx) error { return tx.Touch(b.w.t.Context(), b.id) }))
}

// write runs fn with the load balancer locked.
func (b *balancer) write(fn func(context.Context, *store.Tx) error) {
	b.w.t.Helper()
	ctx := b.w.t.Context()
	must(b.w.t, b.w.store.Write(ctx, func(tx *store.Tx) error {
		if _, err := tx.Lock(ctx, b.id); err != nil {
			return err
		}
		return fn(ctx, tx)
	}))
}

// An agent learns that a CA has changed with its next report, renews, and is up to date.
func TestAgentIsAskedToRenewWhenACAHasChanged(t *testing.T) {
	w := newWorld(t)
	b := w.newBalancer(1)
	a := w.enrolled(b.amphorae[0])
	outdated := func() bool {
		t.Helper()
		answer, err := a.Report(t.Context(), agentapi.Report{Time: w.clock.Now()})
		must(t, err)
		return answer.Renew
	}
	if outdated() {
		t.Error("an agent that has just enrolled is asked to renew")
	}
	for _, role := range []ca.Role{ca.Controller, ca.Issuing} {
		_, err := w.ca.Rotate(t.Context(), role)
		must(t, err)
		w.clock.Advance(time.Minute) // the new issuing CA signs
		must(t, w.ca.Refresh(t.Context()))
		if !outdated() {
			t.Errorf("nobody asks to renew after the %s CA was rotated", role)
		}
		before := w.amphora(b.amphorae[0])
		must(t, a.Renew(t.Context()))
		if outdated() {
			t.Errorf("an agent that has renewed after the %s CA was rotated is asked again", role)
		}
		after := w.amphora(b.amphorae[0])
		if role == ca.Issuing && after.CertIssuer == before.CertIssuer || after.Trust != w.ca.Trust().ID() {
			t.Errorf("the row does not show it: signed by %s, trusts %s", after.CertIssuer, after.Trust)
		}
	}
	// What it trusts is a short name.
	if answer, err := a.Report(t.Context(), agentapi.Report{Time: w.clock.Now(), Trust: strings.Repeat("x", 300)}); err == nil {
		t.Errorf("a trust that is no name was taken in: %v", answer)
	}
}
