package compute

import (
	"errors"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/octavo-lb/octavo/localcloud/httpx"
)

// setQuotas is the operator's request.
func (c *cloud) setQuotas(project, body string) error {
	r := httptest.NewRequest("PUT", "/", strings.NewReader(body))
	r.SetPathValue("project", project)
	return c.service.updateQuotas(httptest.NewRecorder(), r, httpx.Caller{IsAdmin: true}, httpx.Microversion{})
}

func TestQuotasAreEnforced(t *testing.T) {
	c := newCloud(t)
	const mine = "/os-quota-sets/p"
	if status, answer := c.do("PUT", mine, `{"quota_set": {"instances": 100}}`); status != 403 {
		t.Errorf("a tenant sets its own quota: %d %s", status, answer)
	}
	for _, body := range []string{`{"quota_set": {"instances": "x"}}`, `{"quota_set": {"fixed_ips": 1}}`, `{"quota_set": {"instances": -2}}`, `{"quota_set": {"cores": 1.5}}`} {
		var refused *httpx.Error
		if err := c.setQuotas("p", body); !errors.As(err, &refused) || refused.Status != 400 {
			t.Errorf("%s: %v", body, err)
		}
	}
	const server = `{"server": {"name": "x", "imageRef": "web", "flavorRef": "tiny", "networks": [{"uuid": "n1", "fixed_ip": "10.0.0.9"}]}}`
	for limits, why := range map[string]string{`"instances": 0`: "Quota exceeded for instances: Requested 1, but already used 0 of 0 instances",
		`"cores": 0`: "Quota exceeded for cores", `"ram": 63`: "Requested 64, but already used 0 of 63 ram"} {
		c.ok(c.setQuotas("p", `{"quota_set": {"instances": -1, "cores": -1, "ram": -1}}`))
		c.ok(c.setQuotas("p", `{"quota_set": {`+limits+`}}`))
		if status, answer := c.do("POST", "/servers", server); status != 403 || !strings.Contains(string(answer), why) {
			t.Errorf("%s: %d %s", limits, status, answer)
		}
	}
	c.ok(c.setQuotas("p", `{"quota_set": {"server_groups": 0, "ram": -1}}`))
	if status, answer := c.do("POST", "/os-server-groups", `{"server_group": {"name": "g", "policies": ["anti-affinity"]}}`); status != 403 {
		t.Errorf("a server group: %d %s", status, answer)
	}
	c.ok(c.setQuotas("p", `{"quota_set": {"instances": 1, "cores": 1, "ram": 64}}`))
	if status, answer := c.do("POST", "/servers", server); status != 202 {
		t.Errorf("what fits: %d %s", status, answer)
	}
	if _, answer := c.do("GET", "/limits", ""); !strings.Contains(string(answer), `"maxTotalInstances":1`) || !strings.Contains(string(answer), `"totalInstancesUsed":1`) {
		t.Errorf("limits: %s", answer)
	}
	if _, answer := c.do("GET", mine+"/defaults", ""); !strings.Contains(string(answer), `"instances":-1`) {
		t.Errorf("defaults: %s", answer)
	}
}
