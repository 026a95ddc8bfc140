package network

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

func TestQuotasAreEnforced(t *testing.T) {
	c := newCloud(t)
	project := c.id.ProjectID("demo")
	network := c.create("demo", "networks", object{"name": "n"}).str("id")
	if status, _ := c.call("demo", "PUT", "quotas/"+project, object{"quota": object{"port": 100}}); status != http.StatusForbidden {
		t.Errorf("a tenant sets its own quota: %d", status)
	}
	for _, bad := range []object{{"ports": 1}, {"port": -2}, {"port": "many"}} {
		if status, answer := c.call("admin", "PUT", "quotas/"+project, object{"quota": bad}); status != http.StatusBadRequest {
			t.Errorf("%v: %d %v", bad, status, answer)
		}
	}
	c.call("demo", "GET", "security-groups", nil) // makes the default one
	_, before := c.call("demo", "GET", "quotas/"+project+"/details", nil)
	limit := int(before["quota"].(map[string]any)["port"].(map[string]any)["used"].(float64)) + 1
	if status, answer := c.call("admin", "PUT", "quotas/"+project, object{"quota": object{"port": limit, "security_group": 1}}); status != http.StatusOK ||
		answer["quota"].(map[string]any)["port"] != float64(limit) {
		t.Fatalf("%d %v", status, answer)
	}
	port := object{"port": object{"network_id": network}}
	status, made := c.call("demo", "POST", "ports", port)
	if status != http.StatusCreated {
		t.Fatalf("the first port: %d %v", status, made)
	}
	for plural, body := range map[string]object{"ports": port, "security-groups": {"security_group": object{"name": "g"}}} {
		status, answer := c.call("demo", "POST", plural, body)
		wrong, _ := answer["NeutronError"].(map[string]any)
		want := fmt.Sprintf("Quota exceeded for resources: ['%s'].", singulars[plural])
		if status != http.StatusConflict || wrong["type"] != "OverQuota" || wrong["message"] != want {
			t.Errorf("%s: %d %v", plural, status, answer)
		}
	}
	if status, answer := c.call("other", "POST", "security-groups", object{"security_group": object{"name": "g"}}); status != http.StatusCreated {
		t.Errorf("another project: %d %v", status, answer)
	}
	_, details := c.call("demo", "GET", "quotas/"+project+"/details", nil)
	if got := fmt.Sprint(details["quota"].(map[string]any)["port"]); !strings.Contains(got, fmt.Sprint("limit:", limit)) || !strings.Contains(got, fmt.Sprint("used:", limit)) {
		t.Errorf("details: %s", got)
	}
	if status, _ := c.call("admin", "DELETE", "quotas/"+project, nil); status != http.StatusNoContent {
		t.Errorf("reset: %d", status)
	}
	if status, answer := c.call("demo", "POST", "ports", port); status != http.StatusCreated {
		t.Errorf("after the reset: %d %v", status, answer)
	}
}
