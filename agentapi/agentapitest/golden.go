package agentapitest

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the expected texts of golden cases anew")

// Golden compares what is written for each testdata/NAME.yaml with the file NAME and the extension, and lets the program that
// it is written for judge it; a nil judge is for what no program is to read. With -update the texts become what is expected.
func Golden(t *testing.T, extension string, write func(t *testing.T, input string) (text string, judge func() (says string, err error))) {
	t.Helper()
	cases, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(cases) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range cases {
		base := strings.TrimSuffix(file, ".yaml")
		t.Run(filepath.Base(base), func(t *testing.T) {
			t.Parallel()
			input, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			text, judge := write(t, string(input))
			if *update {
				if err := os.WriteFile(base+extension, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(base + extension)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), text); diff != "" {
				t.Errorf("%s differs (-want +got):\n%s", base+extension, diff)
			}
			if judge == nil {
				return
			}
			if says, err := judge(); err != nil {
				t.Errorf("what it is for refuses it: %v\n%s", err, says)
			}
		})
	}
}
