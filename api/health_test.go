package api_test

import (
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"log/slog"

	"github.com/octavo-lb/octavo/api"
	"github.com/octavo-lb/octavo/policy"
)

func TestHealthcheckTellsWhetherTheDatabaseAnswers(t *testing.T) {
	var now atomic.Int64
	s := newSite(t, func(c *api.Config) {
		c.Healthcheck, c.BasePath = true, "/load-balancer"
		c.Clock = func() time.Time { return time.Unix(now.Load(), 0) }
	})
	ask := func(method, path, accept string) answer {
		q, _ := http.NewRequestWithContext(t.Context(), method, s.server.URL+path, nil)
		if accept != "" {
			q.Header.Set("Accept", accept)
		}
		return s.as("").send(q)
	}
	for accept, want := range map[string]string{"": "OK", "text/plain": "OK", "*/*": "OK", "application/json": `{"detailed":false,"reasons":["OK"]}`,
		"text/html, application/json": "<html><head><title>Healthcheck Status</title></head><body><p>OK</p></body></html>\n"} {
		if a := ask("GET", "/healthcheck", accept); a.status != 200 || a.raw != want {
			t.Errorf("%q: %d %s", accept, a.status, a.raw)
		}
	}
	if a := ask("HEAD", "/load-balancer/healthcheck", ""); a.status != 204 {
		t.Error(a.status)
	}
	ask("POST", "/healthcheck", "").want(405)

	s.store.Close()
	if a := ask("GET", "/healthcheck", ""); a.status != 200 {
		t.Errorf("the answer is not kept: %d", a.status)
	}
	now.Add(6)
	if a := ask("GET", "/healthcheck", ""); a.status != 503 || a.raw != "The database cannot be reached." {
		t.Errorf("%d %s", a.status, a.raw)
	}
	if a := ask("HEAD", "/healthcheck", ""); a.status != 503 {
		t.Error(a.status)
	}
	newSite(t).as("").get("/healthcheck").want(404)
}

func TestAPolicyFileIsFollowed(t *testing.T) {
	dir := t.TempDir()
	file, more := filepath.Join(dir, "policy.yaml"), filepath.Join(dir, "policy.d")
	put := func(path, text string, at int) {
		t.Helper()
		os.MkdirAll(filepath.Dir(path), 0o755)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		os.Chtimes(path, time.Unix(int64(at), 0), time.Unix(int64(at), 0))
	}
	synctest.Test(t, func(t *testing.T) {
		p, err := api.NewLivePolicy(api.PolicyFiles{File: file, Dirs: []string{more}}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		go p.Run(t.Context(), 10*time.Second)
		allowed := func(role string) bool {
			time.Sleep(11 * time.Second)
			synctest.Wait()
			return p.Allows(policy.Action("loadbalancer", policy.Create), policy.Caller{ProjectID: "p", Roles: []string{role}}, policy.Target{"project_id": "p"})
		}
		if !allowed("member") || allowed("dancer") {
			t.Error("the defaults are not in force without a file")
		}
		put(file, `"os_load-balancer_api:loadbalancer:post": "role:dancer"`, 1)
		if allowed("member") || !allowed("dancer") {
			t.Error("the file's rule is not in force")
		}
		put(filepath.Join(more, "50-ours.json"), `{"os_load-balancer_api:loadbalancer:post": [["role:singer", "project_id:%(project_id)s"], ["role:admin"]]}`, 1)
		if allowed("dancer") || !allowed("singer") || !allowed("admin") {
			t.Error("the directory's rule is not in force")
		}
		put(filepath.Join(more, "50-ours.json"), `{"os_load-balancer_api:loadbalancer:post": "role:"}`, 2)
		if !allowed("singer") {
			t.Error("a broken rule replaced the one in force")
		}
		os.RemoveAll(more)
		if !allowed("dancer") {
			t.Error("a file that is gone still counts")
		}
	})
	put(file, "- a list", 3)
	if _, err := api.NewLivePolicy(api.PolicyFiles{File: file}, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a file that is no policy was taken")
	}
}
