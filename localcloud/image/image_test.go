package image

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"

	"github.com/octavo-lb/octavo/localcloud/httpx"
	"github.com/octavo-lb/octavo/localcloud/state"
)

// tokens are the names of projects; that of the project admin is an admin's.
type tokens struct{}

func (tokens) Authenticate(_ context.Context, token string) (httpx.Caller, error) {
	if token == "" {
		return httpx.Caller{}, httpx.ErrBadToken
	}
	return httpx.Caller{UserID: "user of " + token, ProjectID: token, Roles: []string{"member"}, IsAdmin: token == "admin"}, nil
}

type glance struct {
	*Service
	t   *testing.T
	url string
	now time.Time
}

func newGlance(t *testing.T) *glance {
	t.Helper()
	dir := t.TempDir()
	st, err := state.Open(filepath.Join(dir, "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	g := &glance{t: t, now: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)}
	clock := func() time.Time { g.now = g.now.Add(time.Second); return g.now }
	g.Service, err = New(Options{State: st, Dir: filepath.Join(dir, "images"), Tokens: tokens{}, Clock: clock, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(g.Handler())
	t.Cleanup(server.Close)
	g.url = server.URL + "/image"
	return g
}

// call answers the status and the body; a JSON body is decoded into a map.
func (g *glance) call(who, method, path, body string, headers ...string) (int, map[string]any, string) {
	g.t.Helper()
	r, err := http.NewRequestWithContext(g.t.Context(), method, g.url+path, strings.NewReader(body))
	if err != nil {
		g.t.Fatal(err)
	}
	r.Header.Set("X-Auth-Token", who)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		g.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	var decoded map[string]any
	json.Unmarshal(text, &decoded) // not everything is JSON
	return resp.StatusCode, decoded, string(text)
}

func (g *glance) create(who, body string) string {
	g.t.Helper()
	status, image, text := g.call(who, "POST", "/v2/images", body)
	if status != http.StatusCreated {
		g.t.Fatalf("create %s: %d %s", body, status, text)
	}
	return image["id"].(string)
}

const octets = "application/octet-stream"

func (g *glance) names(who, query string) string {
	g.t.Helper()
	status, list, text := g.call(who, "GET", "/v2/images?"+query, "")
	if status != http.StatusOK {
		return fmt.Sprint(status)
	}
	var names []string
	for _, i := range list["images"].([]any) {
		name, ok := i.(map[string]any)["name"].(string)
		if !ok {
			g.t.Errorf("an image without name in %s", text)
		}
		names = append(names, name)
	}
	return strings.Join(names, " ")
}

func TestImageIsShownFlatWithItsProperties(t *testing.T) {
	g := newGlance(t)
	id := g.create("demo", `{"name": "a", "colour": "red", "tags": ["x", "x", "y"], "min_disk": 1}`)
	_, image, text := g.call("demo", "GET", "/v2/images/"+id, "")
	for attribute, want := range map[string]any{
		"name": "a", "colour": "red", "status": "queued", "visibility": "shared", "owner": "demo", "min_disk": 1.0, "size": nil,
		"file": "/v2/images/" + id + "/file", "created_at": "2030-01-01T00:00:01Z", "protected": false,
	} {
		if got, there := image[attribute]; !there || got != want {
			t.Errorf("%s is %v, want %v: %s", attribute, got, want, text)
		}
	}
	if fmt.Sprint(image["tags"]) != "[x y]" || image["properties"] != nil {
		t.Errorf("tags %v, properties %v", image["tags"], image["properties"])
	}
}

func TestContentIsKeptAndHashed(t *testing.T) {
	g := newGlance(t)
	id := g.create("demo", `{"name": "a", "disk_format": "raw", "container_format": "bare"}`)
	if status, _, _ := g.call("demo", "GET", "/v2/images/"+id+"/file", ""); status != 204 {
		t.Errorf("content before the upload: %d, want 204", status)
	}
	if status, _, text := g.call("demo", "PUT", "/v2/images/"+id+"/file", "abc", "Content-Type", octets); status != 204 {
		t.Fatalf("upload: %d %s", status, text)
	}
	_, image, _ := g.call("demo", "GET", "/v2/images/"+id, "")
	if image["status"] != "active" || image["size"] != 3.0 || image["checksum"] != "900150983cd24fb0d6963f7d28e17f72" ||
		image["os_hash_algo"] != "sha512" || !strings.HasPrefix(image["os_hash_value"].(string), "ddaf35a193617aba") {
		t.Errorf("after the upload: %v", image)
	}
	if _, _, text := g.call("demo", "GET", "/v2/images/"+id+"/file", ""); text != "abc" {
		t.Errorf("downloaded %q", text)
	}
	if status, _, _ := g.call("demo", "PUT", "/v2/images/"+id+"/file", "abd", "Content-Type", octets); status != 409 {
		t.Errorf("second upload: %d, want 409", status)
	}
	g.call("demo", "DELETE", "/v2/images/"+id, "")
	if files, err := os.ReadDir(g.opts.Dir); err != nil || len(files) != 0 {
		t.Errorf("after the deletion: %v %v", files, err)
	}
}

func TestUploadNeedsFormats(t *testing.T) {
	g := newGlance(t)
	id := g.create("demo", `{"name": "a"}`)
	if status, _, text := g.call("demo", "PUT", "/v2/images/"+id+"/file", "abc", "Content-Type", octets); status != 400 || !strings.Contains(text, "disk_format") {
		t.Errorf("%d %s", status, text)
	}
	if status, _, _ := g.call("demo", "PUT", "/v2/images/"+id+"/file", "abc", "Content-Type", "text/plain"); status != 415 {
		t.Errorf("%d, want 415", status)
	}
}

func TestProjectsSeeTheirOwnAndWhatIsPublic(t *testing.T) {
	g := newGlance(t)
	mine := g.create("demo", `{"name": "mine"}`)
	public := g.create("admin", `{"name": "public", "visibility": "public"}`)
	g.create("other", `{"name": "community", "visibility": "community"}`)
	for who, want := range map[string]string{"demo": "public mine", "other": "community public", "third": "public"} {
		if got := g.names(who, ""); got != want {
			t.Errorf("%s sees %s, want %s", who, got, want)
		}
	}
	if got := g.names("third", "visibility=community"); got != "community" {
		t.Errorf("community images: %s", got)
	}
	for _, test := range []struct {
		who, method, id string
		want            int
	}{
		{"other", "GET", mine, 404}, {"other", "DELETE", mine, 404}, {"demo", "DELETE", public, 403}, {"demo", "GET", public, 200},
		{"admin", "GET", mine, 200}, {"", "GET", mine, 401}, {"admin", "DELETE", mine, 204}, {"admin", "DELETE", mine, 404},
	} {
		if status, _, text := g.call(test.who, test.method, "/v2/images/"+test.id, ""); status != test.want {
			t.Errorf("%s %s %s: %d %s, want %d", test.who, test.method, test.id, status, text, test.want)
		}
	}
}

func TestListFilters(t *testing.T) {
	g := newGlance(t)
	a := g.create("demo", `{"name": "a", "tags": ["x", "y"], "colour": "red"}`)
	g.create("demo", `{"name": "b", "tags": ["x"], "disk_format": "raw", "visibility": "private"}`)
	g.create("demo", `{"name": "c, d", "os_hidden": true}`)
	for query, want := range map[string]string{
		"":                                      "b a",
		"tag=x":                                 "b a",
		"tag=x&tag=y":                           "a",
		"name=a":                                "a",
		"name=in:a,b":                           "b a",
		`name=in:%22c,%20d%22&os_hidden=true`:   "c, d",
		"id=" + a:                               "a",
		"id=in:" + a + ",x":                     "a",
		"status=active":                         "",
		"owner=demo":                            "b a",
		"owner=other":                           "",
		"visibility=private":                    "b",
		"colour=red":                            "a",
		"colour=blue":                           "",
		"disk_format=raw":                       "b",
		"sort=name:asc":                         "a b",
		"sort_key=name&sort_dir=asc":            "a b",
		"sort_key=name":                         "b a",
		"sort=created_at:asc,name":              "a b",
		"limit=1":                               "b",
		"sort=name:sideways":                    "400",
		"sort=nothing":                          "400",
		"limit=x":                               "400",
		"marker=nothing":                        "400",
		"sort=name&sort_key=name":               "400",
		"visibility=all&member_status=accepted": "b a",
	} {
		if got := g.names("demo", query); got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
}

// gophercloud follows the pages.
func TestPagesLeadToAllImages(t *testing.T) {
	g := newGlance(t)
	for i := range 5 {
		g.create("demo", fmt.Sprintf(`{"name": "%d", "tags": ["x"]}`, i))
	}
	client := &gophercloud.ServiceClient{ProviderClient: &gophercloud.ProviderClient{TokenID: "demo"}, Endpoint: g.url + "/", ResourceBase: g.url + "/v2/"}
	pages, err := images.List(client, images.ListOpts{Limit: 2, Tags: []string{"x"}, Sort: "name:asc"}).AllPages(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	all, err := images.ExtractImages(pages)
	if err != nil {
		t.Fatal(err)
	}
	names := ""
	for _, i := range all {
		names += i.Name
	}
	if names != "01234" {
		t.Errorf("pages hold %s", names)
	}
}

func TestPatch(t *testing.T) {
	const contentType = "application/openstack-images-v2.1-json-patch"
	tests := []struct {
		patch  string
		status int
		want   string // of name, colour and tags
	}{
		{`[{"op": "replace", "path": "/name", "value": "b"}]`, 200, "b red [x]"},
		{`[{"op": "add", "path": "/colour", "value": "blue"}, {"op": "replace", "path": "/tags", "value": ["z"]}]`, 200, "a blue [z]"},
		{`[{"op": "remove", "path": "/colour"}]`, 200, "a <nil> [x]"},
		{`[{"op": "remove", "path": "/colour"}, {"op": "remove", "path": "/colour"}]`, 409, "a red [x]"},
		{`[{"op": "replace", "path": "/name", "value": "b"}, {"op": "replace", "path": "/status", "value": "active"}]`, 403, "a red [x]"},
		{`[{"op": "replace", "path": "/id", "value": "b"}]`, 403, "a red [x]"},
		{`[{"op": "replace", "path": "/colour", "value": 1}]`, 400, "a red [x]"},
		{`[{"op": "replace", "path": "/min_disk", "value": -1}]`, 400, "a red [x]"},
		{`[{"op": "replace", "path": "/disk_format", "value": "floppy"}]`, 400, "a red [x]"},
		{`[{"op": "replace", "path": "/visibility", "value": "public"}]`, 403, "a red [x]"},
		{`[{"op": "replace", "path": "/owner", "value": "other"}]`, 403, "a red [x]"},
		{`[{"op": "move", "path": "/name"}]`, 400, "a red [x]"},
		{`{}`, 400, "a red [x]"},
	}
	for _, test := range tests {
		g := newGlance(t)
		id := g.create("demo", `{"name": "a", "colour": "red", "tags": ["x"]}`)
		status, _, text := g.call("demo", "PATCH", "/v2/images/"+id, test.patch, "Content-Type", contentType)
		if status != test.status {
			t.Errorf("%s: %d %s, want %d", test.patch, status, text, test.status)
		}
		_, image, _ := g.call("demo", "GET", "/v2/images/"+id, "")
		if got := fmt.Sprint(image["name"], " ", image["colour"], " ", image["tags"]); got != test.want {
			t.Errorf("%s: then %s, want %s", test.patch, got, test.want)
		}
	}
}

func TestProtectedImageStays(t *testing.T) {
	g := newGlance(t)
	id := g.create("demo", `{"name": "a", "protected": true}`)
	if status, _, _ := g.call("demo", "DELETE", "/v2/images/"+id, ""); status != 403 {
		t.Errorf("%d, want 403", status)
	}
}

func TestOnlyOneUploadWins(t *testing.T) {
	g := newGlance(t)
	id := g.create("demo", `{"name": "a", "disk_format": "raw", "container_format": "bare"}`)
	body, finish := io.Pipe()
	first := make(chan int)
	go func() {
		r, _ := http.NewRequestWithContext(t.Context(), "PUT", g.url+"/v2/images/"+id+"/file", body)
		r.Header.Set("X-Auth-Token", "demo")
		r.Header.Set("Content-Type", octets)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Error(err)
			first <- 0
			return
		}
		resp.Body.Close()
		first <- resp.StatusCode
	}()
	finish.Write([]byte("the "))                   // returns when the client has read it ...
	finish.Write(bytes.Repeat([]byte("x"), 1<<20)) // ... and this when the server has begun to read
	status, _, _ := g.call("demo", "PUT", "/v2/images/"+id+"/file", "second", "Content-Type", octets)
	finish.Close()
	if winner := <-first; winner != 204 || status != 409 {
		t.Errorf("first %d, second %d; want 204 and 409", winner, status)
	}
	if _, _, text := g.call("demo", "GET", "/v2/images/"+id+"/file", ""); !strings.HasPrefix(text, "the xxx") {
		t.Errorf("content %.20q", text)
	}
}

func TestUploadOfAnImageThatIsDeletedMeanwhileLeavesNothing(t *testing.T) {
	g := newGlance(t)
	id := g.create("demo", `{"name": "a", "disk_format": "raw", "container_format": "bare"}`)
	i, _ := g.Get(id)
	if err := g.receive(&i, strings.NewReader("abc")); err != nil {
		t.Fatal(err)
	}
	g.call("demo", "DELETE", "/v2/images/"+id, "")
	if err := g.activate(i); err == nil {
		t.Error("the deleted image came back")
	}
}

func TestLeftoversOfAKilledUploadGoAtTheNextStart(t *testing.T) {
	g := newGlance(t)
	if err := g.Seed("web", "service", "web", true); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"upload-123", "7f3a0000-0000-0000-0000-000000000000"} {
		if err := os.WriteFile(filepath.Join(g.opts.Dir, name), []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := New(g.opts); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(g.opts.Dir)
	if err != nil || len(files) != 1 {
		t.Errorf("left: %v, %v; want only the seeded image", files, err)
	}
}

func TestSeedIsMadeOnce(t *testing.T) {
	g := newGlance(t)
	for range 2 {
		if err := g.Seed("web", "service", "web", true, "a", "b"); err != nil {
			t.Fatal(err)
		}
	}
	if got := g.names("demo", "tag=a&tag=b&status=active&octavo_program=web"); got != "web" {
		t.Errorf("seeded: %s", got)
	}
}
