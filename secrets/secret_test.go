package secrets_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/octavo-lb/octavo/secrets"
)

const canary = "canary-7f3a91c0"

type holder struct {
	Public  secrets.Secret
	private secrets.Secret
	Pointer *secrets.Secret
	Map     map[string]secrets.Secret
}

func TestSecretShowsNowhere(t *testing.T) {
	s := secrets.New(canary)
	h := holder{Public: s, private: s, Pointer: &s, Map: map[string]secrets.Secret{"k": s}}
	var out bytes.Buffer
	for _, v := range []any{s, &s, h, &h, []secrets.Secret{s}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%p"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		encoded, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(encoded)
		slog.New(slog.NewTextHandler(&out, nil)).Info("m", "v", v)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("m", "v", v)
	}
	encoded, err := xml.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(encoded)
	fmt.Fprintln(&out, s, &s, errors.New("refused "+s.String()))
	if _, err := s.Value(); err == nil {
		t.Error("a secret was handed to the database in clear")
	}
	for _, form := range []string{canary, fmt.Sprintf("%x", canary), fmt.Sprintf("%X", canary)} {
		if strings.Contains(out.String(), form) {
			t.Errorf("%q shows in the output", form)
		}
	}
	if !strings.Contains(out.String(), "***") {
		t.Error("nothing was printed at all")
	}
}

func TestSecretHoldsItsValue(t *testing.T) {
	var s secrets.Secret
	if !s.Empty() || s.Reveal() != "" || !secrets.New("").Empty() {
		t.Error("the zero Secret is not empty")
	}
	if err := json.Unmarshal([]byte(`"`+canary+`"`), &s); err != nil || s.Reveal() != canary {
		t.Errorf("read %q, %v", s.Reveal(), err)
	}
	if !s.Equal(secrets.New(canary)) || s.Equal(secrets.New("other")) || s.Equal(secrets.Secret{}) {
		t.Error("Equal compares something else than the values")
	}
}
