package openstack

import (
	"os"
	"strings"
	"testing"
)

// section is a part of a document with the commands in it.
type section struct{ title, commands string }

// readDocument takes the blocks that are marked sh out of a document, by section.
func readDocument(t *testing.T, path string) []section {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var sections []section
	inside := false
	for line := range strings.Lines(string(text)) {
		switch {
		case inside && line == "```\n":
			inside = false
		case inside:
			sections[len(sections)-1].commands += line
		case line == "```sh\n":
			inside = true
		case strings.HasPrefix(line, "## "):
			sections = append(sections, section{title: strings.TrimSpace(line[3:])})
		}
	}
	if inside || len(sections) == 0 {
		t.Fatalf("%s has no sections, or a block that does not end", path)
	}
	return sections
}
