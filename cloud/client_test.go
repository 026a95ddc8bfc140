package cloud_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/octavo-lb/octavo/cloud"
	"github.com/octavo-lb/octavo/cloud/cloudfake"
	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/plan"
	"github.com/octavo-lb/octavo/secrets"
)

func port(target string) plan.Port {
	return plan.Port{Name: plan.VRRPPortName(uuid.NewString()), NetworkID: target, DeviceOwner: plan.Owner}
}

func TestRefusalsAreToldApart(t *testing.T) {
	var refusal error
	_, target := target(t, cloudfake.Options{Before: func(_ context.Context, call string) error {
		if call == "POST /network/v2.0/ports" {
			return refusal
		}
		return nil
	}})
	for _, c := range []struct {
		status    int
		faultType string
		message   string
		want      cloud.Kind
	}{
		{409, "OverQuota", "Quota exceeded for resources: ['port'].", cloud.Quota},
		{409, "IpAddressGenerationFailure", "No more IP addresses available on network x.", cloud.Capacity},
		{409, "IpAddressAlreadyAllocated", "IP address 192.168.21.9 already allocated in subnet x", cloud.Conflict},
		{404, "NetworkNotFound", "Network x could not be found.", cloud.NotFound},
		{400, "InvalidIpForSubnet", "IP address x is not a valid IP for the specified subnet.", cloud.Invalid},
		{403, "PolicyNotAuthorized", "rule:create_port is disallowed by policy", cloud.Denied},
		{403, "", "Quota exceeded for instances: Requested 1, but already used 10 of 10 instances", cloud.Quota},
		{500, "", "No valid host was found. There are not enough hosts available.", cloud.Capacity},
		{500, "", "Unexpected API Error.", cloud.Temporary},
		{503, "", "Service Unavailable", cloud.Temporary},
		{429, "", "Too Many Requests", cloud.Temporary},
	} {
		refusal = &cloudfake.Refusal{Status: c.status, Type: c.faultType, Message: c.message}
		_, err := target.Client.EnsurePort(t.Context(), port(target.NetworkID))
		var e *cloud.Error
		if !errors.As(err, &e) || e.Kind != c.want || e.Message != c.message || e.Status != c.status {
			t.Errorf("%d %s %q: %#v, want %s", c.status, c.faultType, c.message, e, c.want)
		}
	}
	refusal = errors.New("connection refused")
	if _, err := target.Client.EnsurePort(t.Context(), port(target.NetworkID)); cloud.KindOf(err) != cloud.Temporary {
		t.Errorf("a connection that is refused: %v", err)
	}
}

func TestTokenThatHasRunOutIsRenewed(t *testing.T) {
	fake, target := target(t, cloudfake.Options{})
	for range 3 {
		if _, err := target.Client.Network(t.Context(), target.NetworkID); err != nil {
			t.Fatal(err)
		}
		fake.RevokeTokens()
	}
}

func TestWrongPasswordIsDenied(t *testing.T) {
	fake, _ := target(t, cloudfake.Options{})
	client := cloud.New(cloud.Options{Transport: fake, Auth: cloud.Auth{URL: "http://cloud.test/identity/v3", UserName: "octavia",
		UserDomainName: "Default", Password: secrets.New("wrong"), ProjectName: "service", ProjectDomainName: "Default"}})
	if _, err := client.Network(t.Context(), "x"); cloud.KindOf(err) != cloud.Denied {
		t.Errorf("%v", err)
	}
}

// TestServicesAreFoundByTypeAndName: in the fake's catalog a service's name is its type.
func TestServicesAreFoundByTypeAndName(t *testing.T) {
	fake, target := target(t, cloudfake.Options{})
	for _, c := range []struct {
		service cloud.Service
		lacks   string
	}{
		{cloud.Service{Name: "network"}, ""},
		{cloud.Service{Name: "neutron"}, "endpoint for it named neutron"},
		{cloud.Service{Type: "image", Name: "network"}, "endpoint for it named network"},
	} {
		options := fake.ClientOptions()
		options.Services = map[string]cloud.Service{"network": c.service}
		client := cloud.New(options)
		_, err := client.Network(t.Context(), target.NetworkID)
		if c.lacks == "" && err != nil || c.lacks != "" && (err == nil || !strings.Contains(err.Error(), c.lacks)) {
			t.Errorf("%+v: %v", c.service, err)
		}
	}
}

// TestImmunity13_CloudThatNeverAnswers holds that one deadline bounds a call as a whole, whatever it consists of.
func TestImmunity13_CloudThatNeverAnswers(t *testing.T) {
	client := cloud.New(cloud.Options{Timeout: 50 * time.Millisecond, Transport: blackHole{}, Auth: cloud.Auth{URL: "http://cloud.test/identity"}})
	began := time.Now()
	for range 3 {
		if _, err := client.EnsurePort(t.Context(), plan.Port{Name: "x"}); cloud.KindOf(err) != cloud.Temporary {
			t.Errorf("%v", err)
		}
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("three calls took %s", took)
	}
}

type blackHole struct{}

func (blackHole) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// TestImmunity05_LostAnswersMakeNothingTwice repeats calls whose answers were lost, after the cloud had carried them out.
func TestImmunity05_LostAnswersMakeNothingTwice(t *testing.T) {
	lose := true
	fake, target := target(t, cloudfake.Options{After: func(string) error {
		if lose = !lose; !lose {
			return errors.New("connection reset by peer")
		}
		return nil
	}})
	id := uuid.NewString()
	group := plan.SecurityGroup{Name: plan.GroupName(id), Rules: []plan.Rule{{Egress: true}, {Egress: true, IPv6: true},
		{Protocol: "tcp", Port: 80}, {Protocol: "tcp", Port: 81}, {Protocol: "udp", Port: 82}}}
	balancer := &lb.LoadBalancer{Meta: lb.Meta{ID: id, ProjectID: user}, VipNetworkID: &target.NetworkID, VipSubnetID: &target.SubnetID, VipPortOwned: true}
	insist(t, func(ctx context.Context) error { _, err := target.Client.EnsureSecurityGroup(ctx, group); return err })
	insist(t, func(ctx context.Context) error { return target.Client.EnsureVIP(ctx, balancer) })
	insist(t, func(ctx context.Context) error {
		_, err := target.Client.EnsurePort(ctx, plan.Port{Name: plan.VRRPPortName(id), NetworkID: target.NetworkID})
		return err
	})
	if ports, groups := fake.Objects("ports"), fake.Objects("security-groups"); len(ports) != 2 || len(groups) != 1 {
		t.Errorf("ports %v, groups %v", ports, groups)
	}
	insist(t, func(ctx context.Context) error { return target.Client.DeletePort(ctx, plan.VIPPort(balancer, nil)) })
	insist(t, func(ctx context.Context) error {
		return target.Client.DeletePort(ctx, plan.Port{Name: plan.VRRPPortName(id), NetworkID: target.NetworkID})
	})
	insist(t, func(ctx context.Context) error { return target.Client.DeleteSecurityGroup(ctx, group.Name) })
	if ports, groups := fake.Objects("ports"), fake.Objects("security-groups"); len(ports)+len(groups) != 0 {
		t.Errorf("ports %v and groups %v are left", ports, groups)
	}
}

// insist repeats a call until it succeeds, and once more.
func insist(t *testing.T, call func(context.Context) error) {
	t.Helper()
	for range 20 {
		if call(t.Context()) == nil {
			return
		}
	}
	t.Fatal("the call never succeeds")
}

func TestImageOfAnotherOwnerIsNotBooted(t *testing.T) {
	fake, target := target(t, cloudfake.Options{})
	ours := fake.AddImage(cloudfake.ServiceProject, "octavia-amphora")
	fake.AddImage("attacker", "octavia-amphora") // newer
	got, err := target.Client.Image(t.Context(), plan.Image{Tag: "octavia-amphora", Owner: cloudfake.ServiceProject})
	if err != nil || got != ours {
		t.Errorf("%s, %v, want %s", got, err, ours)
	}
}

// TestImageThatWasExchangedIsNotBooted holds that no older image is taken silently in the place of a newer one that is not
// what its uploader said.
func TestImageThatWasExchangedIsNotBooted(t *testing.T) {
	fake, target := target(t, cloudfake.Options{})
	fake.AddImage(cloudfake.ServiceProject, "octavia-amphora")
	fake.Spoil(fake.AddImage(cloudfake.ServiceProject, "octavia-amphora"))
	_, err := target.Client.Image(t.Context(), plan.Image{Tag: "octavia-amphora", Owner: cloudfake.ServiceProject})
	if cloud.KindOf(err) != cloud.Invalid || !strings.Contains(err.Error(), "not what was uploaded") {
		t.Errorf("%v", err)
	}
}

// TestInstanceThatFailsSaysWhatIsScarce holds that an operator sees from the reason whether to raise a quota or to add hosts.
func TestInstanceThatFailsSaysWhatIsScarce(t *testing.T) {
	fake, target := target(t, cloudfake.Options{})
	for fault, want := range map[string]string{
		"No valid host was found. There are not enough hosts available.":                                                         "the cloud has no room: ",
		"Build of instance x aborted: VolumeLimitExceeded: Maximum number of volumes allowed (10) exceeded for quota 'volumes'.": "a quota is used up: ",
		"Exceeded maximum number of retries. Exhausted all hosts available for retrying build failures for instance x.":          "the cloud has no room: ",
		"internal error: qemu unexpectedly closed the monitor":                                                                   "",
	} {
		fake.Doom(fault)
		made, err := target.Client.CreateServer(t.Context(), plan.Server{Name: plan.ServerName(uuid.NewString()), FlavorID: "f", Image: target.Image}, nil)
		if err != nil {
			t.Fatal(err)
		}
		found, err := target.Client.Server(t.Context(), made.ID)
		if err != nil || found.State != plan.ServerFailed || found.Fault != want+fault {
			t.Errorf("%+v, %v", found, err)
		}
	}
}
