package localcloud

import (
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/octavo-lb/octavo/localcloud/clitest"
)

var passwords = map[string]string{"admin": "adminpw", "demo": "demopw", "octavia": "octaviapw"}

// start serves a cloud until the test ends or stop is called.
func start(t *testing.T, dir string) (c *Cloud, url string, stop func()) {
	t.Helper()
	c, err := New(Config{Dir: dir, Region: "RegionOne", Passwords: passwords, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(c.Handler())
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			server.Close()
			c.Close()
		}
	}
	t.Cleanup(stop)
	return c, server.URL, stop
}

func TestClientManagesImages(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, url, _ := start(t, dir)
	demo := clitest.New(t, url+"/identity/v3", "demo", "demopw", "demo")
	if names := demo.Names("image", "list", "--sort", "name:asc"); names != "amphora-x64-haproxy web" {
		t.Fatalf("images at the start: %s", names)
	}
	if names := demo.Names("image", "list", "--tag", "octavia-amphora"); names != "amphora-x64-haproxy" {
		t.Errorf("images with the tag: %s", names)
	}
	if shown := demo.Run("image", "show", "web", "-c", "properties", "-f", "json"); !strings.Contains(shown, `"octavo_program": "web"`) {
		t.Errorf("properties of web: %s", shown)
	}

	content := filepath.Join(t.TempDir(), "content")
	if err := os.WriteFile(content, []byte("what the image holds"), 0o600); err != nil {
		t.Fatal(err)
	}
	id := demo.Value("id", "image", "create", "--file", content, "--disk-format", "qcow2", "--private", "--tag", "mine", "--property", "colour=red", "own")
	if status := demo.Value("status", "image", "show", "own"); status != "active" {
		t.Errorf("status %s after the upload", status)
	}
	saved := filepath.Join(t.TempDir(), "saved")
	demo.Run("image", "save", "--file", saved, "own") // checks the hash
	if got, err := os.ReadFile(saved); err != nil || string(got) != "what the image holds" {
		t.Errorf("saved %q, %v", got, err)
	}
	demo.Run("image", "set", "--name", "renamed", "--property", "colour=blue", "--tag", "more", "own")
	demo.Run("image", "unset", "--tag", "mine", "renamed")
	if tags := demo.Value("tags", "image", "show", id); tags != "['more']" {
		t.Errorf("tags %s", tags)
	}
	demo.Refused("403", "image", "set", "--public", "renamed")
	demo.Refused("403", "image", "delete", "web")
	demo.Run("image", "delete", "renamed")
	if left, err := os.ReadDir(filepath.Join(dir, "images")); err != nil || len(left) != 2 {
		t.Errorf("files of images: %v, %v, want the two of the start", left, err)
	}
}

func TestCloudSurvivesARestartAsItsOperatorLeftIt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c, url, stop := start(t, dir)
	project := c.ProjectID(DemoProject)
	admin := clitest.New(t, url+"/identity/v3", "admin", "adminpw", "admin")
	admin.Run("image", "delete", "web")
	stop()
	c, url, _ = start(t, dir)
	if c.ProjectID(DemoProject) != project {
		t.Error("project demo has another id")
	}
	admin = clitest.New(t, url+"/identity/v3", "admin", "adminpw", "admin")
	if names := admin.Names("image", "list"); names != AmphoraImage {
		t.Errorf("images: %s, want only the one that was not deleted", names)
	}
}

func TestNewSaysWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	_, err := New(Config{Dir: dir, Logger: slog.New(slog.DiscardHandler)})
	if err == nil || !strings.Contains(err.Error(), "password for the user admin") {
		t.Errorf("without passwords: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "state.db"), []byte(strings.Repeat("?", 4096)), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = New(Config{Dir: dir, Logger: slog.New(slog.DiscardHandler), Passwords: passwords})
	if err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("damaged: %v", err)
	}
}

func TestClientKeepsSecrets(t *testing.T) {
	t.Parallel()
	_, url, _ := start(t, t.TempDir())
	demo := clitest.New(t, url+"/identity/v3", "demo", "demopw", "demo")
	stored := demo.Value("Secret href", "secret", "store", "--name", "tls", "-t", "application/octet-stream", "-e", "base64", "--payload", "AAEC")
	if !strings.HasPrefix(stored, url+"/key-manager/v1/secrets/") {
		t.Fatalf("stored at %s", stored)
	}
	if rows := demo.Rows("secret", "list"); len(rows) != 1 || rows[0]["Secret href"] != stored || rows[0]["Name"] != "tls" {
		t.Errorf("list: %v", rows)
	}
	container := demo.Value("Container href", "secret", "container", "create", "--type", "generic", "--name", "all", "--secret", "one="+stored)
	demo.Run("acl", "user", "add", "--user", "somebody", stored)
	if out := demo.Run("acl", "get", stored); !strings.Contains(out, "somebody") {
		t.Errorf("acl: %s", out)
	}
	demo.Run("secret", "container", "delete", container)
	demo.Run("secret", "delete", stored)
	demo.Refused("Not Found", "secret", "get", stored)
}
