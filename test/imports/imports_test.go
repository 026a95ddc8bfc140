// Package imports holds the direction of imports: the picture in ARCHITECTURE.md stays true because this test fails
// when it does not.
package imports

import (
	"encoding/json"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/octavo-lb/octavo/"

// layers are listed from the top. A package may import from layers below its own and, where peers says so, from its own.
var layers = []struct {
	packages []string
	peers    bool
	why      string
}{
	{[]string{"cmd", "bench", "test"}, true, "programs wire nothing themselves: they hand flags to app"},
	{[]string{"app"}, true, "the one place that knows every part"},
	{[]string{"api", "worker", "health", "housekeeping", "provider", "agent", "localcloud"}, false,
		"the parts of the service meet in the store and over the wire only, so that each may live in a process of its own"},
	{[]string{"store", "cloud", "identity", "ca", "notify", "config", "image"}, false, "one outside system each"},
	{[]string{"secrets"}, false, "what must not be shown, and sealing it: for whoever holds such a thing"},
	{[]string{"plan", "haproxy", "keepalived", "firewall", "agentapi", "policy"}, true, "pure: decisions and text, no servers"},
	{[]string{"lb"}, true, "the nouns, which know nobody"},
}

// impure are the imports that a pure package must not have.
var impure = []string{"net/http", "os/exec", "database/sql", "net"}

type goPackage struct {
	ImportPath string
	Imports    []string
}

func TestImportsPointDown(t *testing.T) {
	for _, p := range listPackages(t) {
		from := area(p.ImportPath)
		fromLayer := layerOf(from)
		if fromLayer < 0 {
			t.Errorf("%s belongs to no layer: add it to the picture in this test and in ARCHITECTURE.md", p.ImportPath)
			continue
		}
		for _, imported := range p.Imports {
			if !strings.HasPrefix(imported, module) {
				continue
			}
			to := area(imported)
			toLayer := layerOf(to)
			switch {
			case to == from, toLayer > fromLayer:
			case toLayer == fromLayer && layers[fromLayer].peers:
			default:
				t.Errorf("%s imports %s, which is not below it: %s", p.ImportPath, imported, layers[fromLayer].why)
			}
		}
	}
}

func TestAgentReachesNeitherStoreNorCloud(t *testing.T) {
	for _, p := range listPackages(t) {
		if a := area(p.ImportPath); a != "agent" && p.ImportPath != module+"cmd/octavo-agent" {
			continue
		}
		for _, imported := range p.Imports {
			for _, forbidden := range []string{"store", "cloud", "api", "app", "localcloud"} {
				if area(imported) == forbidden && strings.HasPrefix(imported, module) {
					t.Errorf("%s imports %s: the program inside an instance knows the controller by its protocol only", p.ImportPath, imported)
				}
			}
		}
	}
}

func TestPurePackagesOpenNothing(t *testing.T) {
	pure := slices.Concat(layers[5].packages, layers[6].packages)
	for _, p := range listPackages(t) {
		if !slices.Contains(pure, area(p.ImportPath)) {
			continue
		}
		for _, imported := range p.Imports {
			if slices.Contains(impure, imported) {
				t.Errorf("%s imports %s: a pure package opens no socket, database or process", p.ImportPath, imported)
			}
		}
	}
}

func TestNounsKnowTheStandardLibraryOnly(t *testing.T) {
	for _, p := range listPackages(t) {
		if area(p.ImportPath) != "lb" {
			continue
		}
		for _, imported := range p.Imports {
			if strings.Contains(imported, ".") && !strings.HasPrefix(imported, module+"lb") {
				t.Errorf("%s imports %s: package lb is for everybody and brings nobody along", p.ImportPath, imported)
			}
		}
	}
}

// area is the top folder, or test for the packages that only tests import, wherever they are.
func area(importPath string) string {
	if strings.HasSuffix(importPath, "test") {
		return "test"
	}
	a, _, _ := strings.Cut(strings.TrimPrefix(importPath, module), "/")
	return a
}

func layerOf(area string) int {
	return slices.IndexFunc(layers, func(l struct {
		packages []string
		peers    bool
		why      string
	}) bool {
		return slices.Contains(l.packages, area)
	})
}

func listPackages(t *testing.T) []goPackage {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports", module+"...")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var packages []goPackage
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := d.Decode(&p); err == io.EOF {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}
