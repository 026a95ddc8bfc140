// Package secrets keeps what must not be shown: a type that prints nothing of its value, and the keyring that seals what
// is stored outside of this process.
package secrets

import (
	"crypto/subtle"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

const mask = "***"

// Secret is a value that shows as *** in fmt, encoding/json, log/slog and whatever else prints values. The zero Secret is
// empty. Compare with Equal: == compares identity.
type Secret struct {
	// A pointer, because fmt calls no methods on unexported fields: inside such a field it prints an address and not the
	// value.
	value *string
}

// New hides value.
func New(value string) Secret {
	if value == "" {
		return Secret{}
	}
	return Secret{value: &value}
}

// Reveal returns the value. Each call of it is a place where a secret may leak, so it is called where the value is used
// and nowhere else.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// Empty tells whether there is no value.
func (s Secret) Empty() bool { return s.value == nil }

// Equal compares in constant time.
func (s Secret) Equal(other Secret) bool {
	return subtle.ConstantTimeCompare([]byte(s.Reveal()), []byte(other.Reveal())) == 1
}

// Format prints *** for every verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, mask) }

// String returns ***.
func (s Secret) String() string { return mask }

// LogValue logs ***.
func (s Secret) LogValue() slog.Value { return slog.StringValue(mask) }

// MarshalText gives ***, so that a dump of a configuration shows that something is set and not what.
func (s Secret) MarshalText() ([]byte, error) { return []byte(mask), nil }

// UnmarshalText takes the value, as from a configuration file.
func (s *Secret) UnmarshalText(text []byte) error {
	*s = New(string(text))
	return nil
}

// Value refuses to store a secret in clear: seal it first.
func (s Secret) Value() (driver.Value, error) {
	return nil, errors.New("a secret is not stored in clear: seal it with a Keyring")
}
