package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud/v2"

	"github.com/octavo-lb/octavo/ca"
	"github.com/octavo-lb/octavo/cloud"
	"github.com/octavo-lb/octavo/config"
	"github.com/octavo-lb/octavo/identity"
	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/plan"
	"github.com/octavo-lb/octavo/store"
)

// examineKeystone signs in with both accounts, validates a token as the API does and looks for the service in the catalog.
func (d *doctor) examineKeystone(ctx context.Context, cfg *config.Config) {
	if cfg.API.AuthStrategy != "keystone" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	k := &cfg.KeystoneToken
	const hint = "check auth_url, the account and cafile in [keystone_authtoken]"
	trust, err := k.TLS("")
	if d.failed("keystone", hint, err) {
		return
	}
	began := time.Now()
	client, err := identityClient(ctx, k.Options(), trust)
	if d.failed("keystone", hint, err) {
		return
	}
	account, err := identity.NewAccount(k.Options(), trust)
	if d.failed("keystone", hint, err) {
		return
	}
	caller, err := account.Validate(ctx, client.Token())
	if d.failed("keystone", "the account of [keystone_authtoken] must be allowed to validate tokens: give it the role service or admin", err) {
		return
	}
	d.say(Fine, "keystone", "", "%s validates tokens as %s of project %s, in %v with signing in", k.AuthURL, caller.UserName, caller.ProjectName,
		time.Since(began).Round(time.Millisecond))
	d.examineEndpoint(ctx, cfg, client)
}

// examineEndpoint looks for the service in the catalog and asks it who it is.
func (d *doctor) examineEndpoint(ctx context.Context, cfg *config.Config, client *gophercloud.ServiceClient) {
	const what, hint = "endpoint", "octavo bootstrap --public-url URL registers it"
	at, err := client.EndpointLocator(gophercloud.EndpointOpts{Type: "load-balancer", Region: cfg.KeystoneToken.RegionName, Availability: gophercloud.AvailabilityPublic})
	if err != nil {
		d.say(Warning, what, hint, "Keystone's catalog has no public endpoint of type load-balancer: %v", err)
		return
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if d.failed(what, hint, err) {
		return
	}
	answer, err := client.HTTPClient.Do(request)
	if err != nil {
		d.say(Warning, what, "is a controller with the role api running? From here it may just not be reachable", "%s does not answer: %v", at, plainly(err))
		return
	}
	answer.Body.Close()
	if answer.StatusCode >= 400 && answer.StatusCode != http.StatusUnauthorized {
		d.say(Warning, what, hint, "%s answers %s", at, answer.Status)
		return
	}
	d.say(Fine, what, "", "%s answers", at)
}

// plainly leaves out what net/http repeats.
func plainly(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		return wrapped.Err
	}
	return err
}

// examineCloud looks for what amphorae are made of.
func (d *doctor) examineCloud(ctx context.Context, cfg *config.Config, st *store.Store) {
	ctx, cancel := context.WithTimeout(ctx, 2*patience)
	defer cancel()
	const account = "check the account and the endpoints in [service_auth], [neutron], [nova] and [glance]"
	client, err := newCloudClient(cfg)
	if d.failed("cloud", account, err) {
		return
	}
	if _, _, err := client.Neutron(ctx); d.failed("cloud", account, err) {
		return
	}
	d.say(Fine, "cloud", "", "signed in, and the catalog has network, compute and image services")
	c := &cfg.ControllerWorker
	d.examineImage(ctx, cfg, client, st)
	if !d.failed("flavor", "openstack flavor create makes one for [controller_worker] amp_flavor_id: 1 vCPU, 1 GB of memory", client.Flavor(ctx, c.FlavorID)) {
		d.say(Fine, "flavor", "", "%s is there", c.FlavorID)
	}
	d.examineNetworks(ctx, cfg, client.Network)
	if cfg.Certificates.CertManager == "barbican_cert_manager" {
		if _, err := client.KeyManager(ctx); err != nil {
			d.say(Warning, "key manager", "TERMINATED_HTTPS listeners need it", "%v", err)
		} else {
			d.say(Fine, "key manager", "", "the catalog has it")
		}
	}
}

// staleImage is the age at which the packages in an image have had corrections for long.
const staleImage = 180 * 24 * time.Hour

// examineImage looks at what new amphorae boot from, and which ones run something else.
func (d *doctor) examineImage(ctx context.Context, cfg *config.Config, client *cloud.Client, st *store.Store) {
	const what, hint = "image", "octavo image build and octavo image upload make one with [controller_worker] amp_image_tag"
	c := &cfg.ControllerWorker
	if c.ImageOwner == "" {
		d.say(Warning, what, "set [controller_worker] amp_image_owner_id to the project that uploads it", "whoever may share an image with the service can choose what amphorae boot from")
	}
	list, err := client.TaggedImages(ctx, c.ImageTag, c.ImageOwner)
	if d.failed(what, hint, err) {
		return
	}
	i := slices.IndexFunc(list, func(i cloud.StoredImage) bool { return i.Status == "active" })
	if i < 0 {
		d.say(Failure, what, hint, "no active image has the tag %q%s: no amphora can be made", c.ImageTag, of(c.ImageOwner))
		return
	}
	newest := list[i]
	if d.failed(what, "delete it, and upload it again: no amphora can be made", newest.Genuine()) {
		return
	}
	digest := "without octavo_digest, so that nothing tells whether it is what was uploaded"
	if newest.Properties[cloud.DigestProperty] != "" {
		digest = "with the digest that its uploader computed"
	}
	severity, old := Fine, d.now.Sub(newest.CreatedAt)
	if old > staleImage {
		severity = Warning
	}
	d.say(severity, what, "octavo image build makes one of today's packages", "amphorae boot from %s (%s), the newest with the tag %s, of project %s, %s old, %s", newest.ID,
		newest.Name, c.ImageTag, newest.Owner, age(old), digest)
	if st != nil {
		d.examineImageUse(ctx, cfg, client, st)
	}
}

// examineImageUse counts amphorae that run another image than a new one of their load balancer would: flavors may choose.
func (d *doctor) examineImageUse(ctx context.Context, cfg *config.Config, client *cloud.Client, st *store.Store) {
	const what = "amphorae"
	all, err := st.AllAmphorae(ctx)
	if d.failed(what, "", err) {
		return
	}
	page, err := store.List[lb.LoadBalancer](ctx, st, store.Query{})
	if d.failed(what, "", err) {
		return
	}
	served := map[string]*lb.LoadBalancer{}
	for i := range page.Items {
		served[page.Items[i].ID] = &page.Items[i]
	}
	work := imageWork(st, planSettings(cfg), client)
	if d.failed(what, "", work.Begin(ctx)) {
		return
	}
	running, outdated := 0, 0
	for i := range all {
		b := served[all[i].LoadBalancerID]
		if b == nil || all[i].Deleting {
			continue
		}
		stage, err := work.Look(ctx, b, &all[i])
		if d.failed(what, "", err) {
			return
		}
		running++
		if stage.Outdated {
			outdated++
		}
	}
	if outdated > 0 {
		d.say(Warning, what, "octavo image rollout replaces them, without losing a request", "%d of %d amphorae run another image than new ones would", outdated, running)
	} else {
		d.say(Fine, what, "", "all of %d amphorae run the image that new ones would", running)
	}
}

func (d *doctor) examineNetworks(ctx context.Context, cfg *config.Config, find func(context.Context, string) (plan.Network, error)) {
	const what, hint = "management network", "octavo configure-resources finds or makes it and says what to write into [controller_worker] amp_boot_network_list"
	if len(cfg.ControllerWorker.BootNetworks) == 0 {
		d.say(Failure, what, hint, "amp_boot_network_list is empty")
		return
	}
	for _, id := range cfg.ControllerWorker.BootNetworks {
		if _, err := find(ctx, id); !d.failed(what, hint, err) {
			d.say(Fine, what, "", "%s is there", id)
		}
	}
}

// examineAgentsEndpoint calls each controller as an agent would.
func (d *doctor) examineAgentsEndpoint(ctx context.Context, cfg *config.Config, authorities *ca.Authorities) {
	const what, hint = "agents' endpoint", "is a controller with the role health running, and are [health_manager] bind_ip and controller_ip_port_list right?"
	h := &cfg.HealthManager
	urls, err := controllerURLs(cfg, net.TCPAddrFromAddrPort(netip.AddrPortFrom(h.BindIP, uint16(h.BindPort))))
	if d.failed(what, hint, err) || authorities == nil {
		return
	}
	trust := authorities.Trust()
	for _, at := range urls {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		dialer := tls.Dialer{Config: &tls.Config{MinVersion: tls.VersionTLS13, ServerName: trust.SNI(ca.DefaultServerName), InsecureSkipVerify: true,
			VerifyConnection: func(s tls.ConnectionState) error {
				return trust.Verify(s.PeerCertificates, ca.DefaultServerName, d.now)
			}}}
		conn, err := dialer.DialContext(ctx, "tcp", strings.TrimPrefix(at, "https://"))
		cancel()
		if d.failed(what, hint, err) {
			continue
		}
		leaf := conn.(*tls.Conn).ConnectionState().PeerCertificates[0]
		conn.Close()
		d.say(Fine, what, "", "%s answers with a certificate that agents trust (%s)", at, leafOf(leaf))
	}
}

func leafOf(c *x509.Certificate) string {
	return c.Subject.String() + ", until " + c.NotAfter.UTC().Format(time.DateOnly)
}
