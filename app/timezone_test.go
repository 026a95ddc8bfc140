package app

import (
	"os"
	"path/filepath"
	"testing"
)

func TestRulesOfTimeZones(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{"Berlin": "TZif2\x00body\x00\nCET-1CEST,M3.5.0,M10.5.0/3\n", "text": "CET-1\n", "old": "TZif\x00body", "none": "TZif2\x00\n\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{"": "", "UTC": "", "Berlin": "CET-1CEST,M3.5.0,M10.5.0/3", "text": "error", "old": "error", "none": "error", "missing": "error",
		"../Berlin": "error", "/etc/passwd": "error"} {
		got, err := zoneRule(dir, name)
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("%q: %q (%v), want %q", name, got, err, want)
		}
	}
}
