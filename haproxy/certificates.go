package haproxy

import (
	"slices"
	"strings"
)

// List is a list of certificates that the configuration refers to, in Environment.SecretDir. The first one is shown to
// clients that ask for no name, or for none of the others', and only a reload replaces it.
type List struct {
	Name  string
	Files []string
}

// Content is what the file holds.
func (l List) Content() string { return strings.Join(l.Files, "\n") + "\n" }

// Changes tells which files a process whose list has these must forget and which it must learn, in that order, to have the
// same list as a process that reads it. ok is false when that takes a reload: what is learned comes last.
func (l List) Changes(have []string) (forget, learn []string, ok bool) {
	var kept []string
	for _, f := range have {
		if slices.Contains(l.Files, f) {
			kept = append(kept, f)
		} else {
			forget = append(forget, f)
		}
	}
	if len(kept) == 0 || len(kept) > len(l.Files) || kept[0] != have[0] || !slices.Equal(kept, l.Files[:len(kept)]) {
		return nil, nil, false
	}
	return forget, l.Files[len(kept):], true
}

// ParseFiles reads what `show ssl crt-list FILE` and `show ssl cert` print: the names of files.
func ParseFiles(text string) (files []string) {
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) > 0 && f[0] != "#" && !strings.HasPrefix(f[0], "*") {
			files = append(files, f[0])
		}
	}
	return files
}
