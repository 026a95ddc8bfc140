// Package immunity holds docs/immunity.md and docs/reference/data-plane.md to the truth: every test that they name exists.
package immunity

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const (
	root     = "../.."
	document = root + "/docs/immunity.md"
	classes  = 34
)

// row is one line of a table: what has bitten, the tests that prove that it cannot bite here, and what is missing.
type row struct {
	id      string
	proofs  []string // package.Test
	missing string
}

var proofPattern = regexp.MustCompile("`([a-z0-9/]+\\.(?:Test|Fuzz|Benchmark)[A-Za-z0-9_]+)`")

func readRows(t *testing.T) []row {
	t.Helper()
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	var rows []row
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != 4 || strings.Contains(cells[0], "---") || strings.TrimSpace(cells[0]) == "#" {
			continue
		}
		r := row{id: strings.TrimSpace(cells[0]), missing: strings.TrimSpace(cells[3])}
		for _, match := range proofPattern.FindAllStringSubmatch(cells[2], -1) {
			r.proofs = append(r.proofs, match[1])
		}
		if bare := strings.Trim(proofPattern.ReplaceAllString(cells[2], ""), " ,"); bare != "" {
			t.Errorf("row %s: %q is not the name of a test, such as `health.TestX`", r.id, bare)
		}
		rows = append(rows, r)
	}
	return rows
}

func TestEveryTestNamedExists(t *testing.T) {
	known := testsInTree(t)
	for _, r := range readRows(t) {
		for _, proof := range r.proofs {
			if !slices.Contains(known, proof) {
				t.Errorf("row %s names %s, which does not exist", r.id, proof)
			}
		}
	}
}

// TestEveryOptionIsShown: each row of the reference names a test that exists.
func TestEveryOptionIsShown(t *testing.T) {
	text, err := os.ReadFile(root + "/docs/reference/data-plane.md")
	if err != nil {
		t.Fatal(err)
	}
	known, rows := testsInTree(t), 0
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "|---") || strings.HasPrefix(line, "| option") {
			continue
		}
		rows++
		proofs := proofPattern.FindAllStringSubmatch(line, -1)
		if len(proofs) == 0 {
			t.Errorf("nothing shows %.60s", line)
		}
		for _, proof := range proofs {
			if !slices.Contains(known, proof[1]) {
				t.Errorf("%s does not exist", proof[1])
			}
		}
	}
	if rows < 30 {
		t.Errorf("only %d rows were read", rows)
	}
}

func TestEveryRowIsThereAndSaysWhatIsMissing(t *testing.T) {
	var ids []string
	for _, r := range readRows(t) {
		if slices.Contains(ids, r.id) {
			t.Errorf("row %s is there twice", r.id)
		}
		ids = append(ids, r.id)
		if len(r.proofs) == 0 && r.missing == "" {
			t.Errorf("row %s has no proof and does not say so", r.id)
		}
	}
	for n := 1; n <= classes; n++ {
		if !slices.Contains(ids, fmt.Sprint(n)) {
			t.Errorf("row %d is missing", n)
		}
	}
}

// testsInTree are all tests of the module, as package.Test.
func testsInTree(t *testing.T) []string {
	t.Helper()
	var tests []string
	err := fs.WalkDir(os.DirFS(root), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(name, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path.Join(root, name), nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, declaration := range file.Decls {
			if f, ok := declaration.(*ast.FuncDecl); ok && f.Recv == nil {
				tests = append(tests, path.Dir(name)+"."+f.Name.Name)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return tests
}
