package config

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"strings"
	"unicode"
)

// PEM is certificates or keys: the name of a file, or the text itself, in PEM or in base64 of PEM, as Juju's charm has it.
type PEM string

const pemMark = "-----BEGIN "

// Read answers the text in PEM, nil for nothing.
func (p PEM) Read() ([]byte, error) {
	if p == "" {
		return nil, nil
	}
	if text, ok := unwrap([]byte(p)); ok {
		return text, nil
	}
	if p.inline() {
		return nil, fmt.Errorf("it is neither PEM nor base64 of PEM, and too long for the name of a file")
	}
	content, err := os.ReadFile(string(p))
	if err != nil {
		return nil, fmt.Errorf("it is neither PEM nor base64 of PEM, nor a file that can be read: %w", err)
	}
	text, ok := unwrap(content)
	if !ok {
		return nil, fmt.Errorf("there is no PEM in the file %s", p)
	}
	return text, nil
}

// unwrap answers the PEM in a text that is PEM or base64 of it.
func unwrap(text []byte) ([]byte, bool) {
	if bytes.Contains(text, []byte(pemMark)) {
		return text, true
	}
	packed := strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return r
	}, string(text))
	decoded, err := base64.StdEncoding.DecodeString(packed)
	return decoded, err == nil && bytes.Contains(decoded, []byte(pemMark))
}

// inline tells whether the text is the material itself and not the name of a file.
func (p PEM) inline() bool {
	return len(p) > 200 || strings.ContainsAny(string(p), "\n") || strings.Contains(string(p), pemMark)
}

// String shows the name of a file, and nothing of a text.
func (p PEM) String() string {
	if p.inline() {
		return mask
	}
	return string(p)
}
