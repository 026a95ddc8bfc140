package e2e

import (
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack/loadbalancer/v2/listeners"
	"github.com/gophercloud/gophercloud/v2/openstack/loadbalancer/v2/pools"
)

// TestOptionsThroughAFloatingIP tries with real requests what the command line sets: policies, who is let in, weights and
// persistence.
func TestOptionsThroughAFloatingIP(t *testing.T) {
	o := start(t)
	n := o.tenant(t)
	lb, url := n.serving("lb1")
	n.server("web3", "192.168.21.102")
	client := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	in := func(t *testing.T) { n.t = t }

	t.Run("policies", func(t *testing.T) {
		in(t)
		o.shell(t, `
openstack loadbalancer pool create --name images --lb-algorithm ROUND_ROBIN --loadbalancer lb1 --protocol HTTP
openstack loadbalancer member create --subnet-id private_subnet --address 192.168.21.102 --protocol-port 80 images
openstack loadbalancer l7policy create --name no --action REJECT --position 1 l
openstack loadbalancer l7rule create --type PATH --compare-type STARTS_WITH --value /secret no
openstack loadbalancer l7policy create --name moved --action REDIRECT_TO_URL --redirect-url http://example.org/new --redirect-http-code 301 --position 2 l
openstack loadbalancer l7rule create --type PATH --compare-type EQUAL_TO --value /old moved
openstack loadbalancer l7policy create --name host --action REDIRECT_PREFIX --redirect-prefix https://secure.example.org --position 3 l
openstack loadbalancer l7rule create --type HOST_NAME --compare-type EQUAL_TO --value plain.example.org host
openstack loadbalancer l7policy create --name pictures --action REDIRECT_TO_POOL --redirect-pool images --position 4 l
openstack loadbalancer l7rule create --type FILE_TYPE --compare-type REGEX --value 'png|gif' pictures
openstack loadbalancer l7rule create --type HEADER --compare-type EQUAL_TO --key X-Who --value crawler --invert pictures`)
		n.active(lb.ID)
		for _, c := range []struct {
			path, host, who string
			answer          string
		}{
			{path: "secret/x", answer: "403"},
			{path: "old", answer: "301 http://example.org/new"},
			{path: "a/b?c=d", host: "plain.example.org", answer: "302 https://secure.example.org/a/b?c=d"},
			{path: "a.png", answer: "200 web3"},
			{path: "a.png", who: "crawler", answer: "200 web1 or web2"},
			{path: "a.html", answer: "200 web1 or web2"},
		} {
			eventually(t, 10*time.Second, c.path+" is answered "+c.answer, func() error {
				req, err := http.NewRequest("GET", url+c.path, nil)
				n.ok(err)
				if c.host != "" {
					req.Host = c.host
				}
				req.Header.Set("X-Who", c.who)
				if got, err := answer(client, req); err != nil || !matches(got, c.answer) {
					return fmt.Errorf("answered %s, %v", got, err)
				}
				return nil
			})
		}
	})

	t.Run("weight 0 drains", func(t *testing.T) {
		in(t)
		tr := send(t, url, 4)
		pool := n.poolNamed("p")
		pages, err := pools.ListMembers(n.c.lb, pool, pools.ListMembersOpts{Address: "192.168.21.100"}).AllPages(n.cx)
		n.ok(err)
		members, err := pools.ExtractMembers(pages)
		n.ok(err)
		weight := func(w int) {
			_, err = pools.UpdateMember(n.cx, n.c.lb, pool, members[0].ID, pools.UpdateMemberOpts{Weight: &w}).Extract()
			n.ok(err)
			n.active(lb.ID)
		}
		weight(0)
		eventually(t, 10*time.Second, "only web2 answers", func() error { return served(client, url, "web2") })
		eventually(t, 10*time.Second, "the member is DRAINING", func() error {
			return shows(o, "loadbalancer member show -f value -c operating_status p m0", "DRAINING", "")
		})
		weight(5)
		eventually(t, 10*time.Second, "both answer", func() error { return served(client, url, "web1", "web2") })
		tr.mustNotHaveFailed(t, 200)
	})

	t.Run("a cookie keeps a client with its member", func(t *testing.T) {
		in(t)
		o.shell(t, "openstack loadbalancer pool set --session-persistence type=HTTP_COOKIE p")
		n.active(lb.ID)
		for range 4 {
			jar, err := cookiejar.New(nil)
			n.ok(err)
			sticky := &http.Client{Timeout: 2 * time.Second, Jar: jar, Transport: &http.Transport{DisableKeepAlives: true}}
			eventually(t, 10*time.Second, "there is a cookie", func() error {
				_, err := get(sticky, url)
				if err == nil && len(jar.Cookies(mustParse(t, url))) == 0 {
					err = fmt.Errorf("there is none")
				}
				return err
			})
			first, err := get(sticky, url)
			n.ok(err)
			n.ok(served(sticky, url, first))
		}
		n.ok(served(client, url, "web1", "web2")) // who has no cookie goes anywhere
	})

	t.Run("who is let in", func(t *testing.T) {
		in(t)
		pages, err := listeners.List(n.c.lb, listeners.ListOpts{LoadbalancerID: lb.ID}).AllPages(n.cx)
		n.ok(err)
		all, err := listeners.ExtractListeners(pages)
		n.ok(err)
		allow := func(cidrs ...string) {
			_, err = listeners.Update(n.cx, n.c.lb, all[0].ID, listeners.UpdateOpts{AllowedCIDRs: &cidrs}).Extract()
			n.ok(err)
			n.active(lb.ID)
		}
		impatient := &http.Client{Timeout: 500 * time.Millisecond, Transport: &http.Transport{DisableKeepAlives: true}}
		allow("203.0.113.0/24")
		eventually(t, 10*time.Second, "nobody is let in", func() error {
			if got, err := get(impatient, url); err == nil {
				return fmt.Errorf("answered by %s", got)
			}
			return nil
		})
		allow("203.0.113.0/24", "198.18.0.0/15")
		eventually(t, 10*time.Second, "this machine is let in", func() error { return served(impatient, url, "web1", "web2") })
		allow("192.168.21.0/24")
		eventually(t, 10*time.Second, "this machine is kept out again", func() error {
			if got, err := get(impatient, url); err == nil {
				return fmt.Errorf("answered by %s", got)
			}
			return nil
		})
		neighbour := o.clientIn(t, n.server("neighbour", "192.168.21.105"))
		n.ok(served(neighbour, "http://"+lb.VipAddress+"/", "web1", "web2"))
	})
}

// answer is the status of an answer, and its body or where it leads.
func answer(client *http.Client, req *http.Request) (string, error) {
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var body [64]byte
	size, _ := resp.Body.Read(body[:])
	switch text := strings.TrimSpace(string(body[:size])); {
	case resp.StatusCode == http.StatusOK:
		return "200 " + text, nil
	case resp.Header.Get("Location") != "":
		return fmt.Sprint(resp.StatusCode, " ", resp.Header.Get("Location")), nil
	default:
		return fmt.Sprint(resp.StatusCode), nil
	}
}

func matches(got, want string) bool {
	if want == "200 web1 or web2" {
		return got == "200 web1" || got == "200 web2"
	}
	return got == want
}

func mustParse(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func (n *tenant) poolNamed(name string) string {
	n.t.Helper()
	pages, err := pools.List(n.c.lb, pools.ListOpts{Name: name}).AllPages(n.cx)
	n.ok(err)
	all, err := pools.ExtractPools(pages)
	n.ok(err)
	return all[0].ID
}
