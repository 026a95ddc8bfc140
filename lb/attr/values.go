package attr

import (
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// str reads and checks one string: the attribute itself, or an item of a list or map.
func (a *Attr) str(raw json.RawMessage) (string, error) {
	var s string
	if err := json.Unmarshal(raw, &s); err != nil || isNull(raw) {
		return "", Invalid(a.Name, show(raw), "Value should be string")
	}
	if reason := a.length(utf8.RuneCountInString(s)); reason != "" {
		return "", Invalid(a.Name, s, reason)
	}
	if a.Kind != "text" {
		if _, reason := oneLine(s); reason != "" {
			return "", Invalid(a.Name, s, reason)
		}
	}
	if a.Enum != nil && !slices.Contains(a.Enum, s) {
		return "", Invalid(a.Name, s, a.oneOf())
	}
	if a.check != nil {
		kept, reason := a.check(s)
		if reason != "" {
			return "", Invalid(a.Name, s, reason)
		}
		s = kept
	}
	return s, nil
}

// ID reads an id that is no attribute of an object.
func ID(name string, raw json.RawMessage) (string, error) {
	a := Attr{Name: name, Kind: "uuid", check: uuid}
	return a.str(raw)
}

func (a *Attr) length(n int) string {
	switch {
	case a.Min != nil && int64(n) < *a.Min:
		return fmt.Sprintf("Value should have a minimum character requirement of %d", *a.Min)
	case a.Max != nil && int64(n) > *a.Max:
		return fmt.Sprintf("Value should have a maximum character requirement of %d", *a.Max)
	}
	return ""
}

func (a *Attr) oneOf() string { return "Value should be one of: " + strings.Join(a.Enum, ", ") }

// integer accepts a whole number and, as Octavia does, its digits in a string.
func (a *Attr) integer(raw json.RawMessage) (int64, error) {
	text := show(raw)
	n, exact := new(big.Float).SetString(text)
	if !exact || !n.IsInt() || strings.ContainsAny(text, "xXpP_iI") {
		return 0, Invalid(a.Name, text, "Value should be an integer")
	}
	value, accuracy := n.Int64()
	switch {
	case a.Min != nil && (value < *a.Min || accuracy > 0 && n.Sign() < 0):
		return 0, Invalid(a.Name, text, fmt.Sprintf("Value should be greater or equal to %d", *a.Min))
	case a.Max != nil && (value > *a.Max || accuracy < 0 && n.Sign() > 0):
		return 0, Invalid(a.Name, text, fmt.Sprintf("Value should be lower or equal to %d", *a.Max))
	case accuracy != big.Exact:
		return 0, Invalid(a.Name, text, "Value should be an integer of 64 bits")
	case a.Enum != nil && !slices.Contains(a.Enum, strconv.FormatInt(value, 10)):
		return 0, Invalid(a.Name, text, a.oneOf())
	}
	return value, nil
}

func (a *Attr) float(raw json.RawMessage) (float64, error) {
	text := show(raw)
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0, Invalid(a.Name, text, "Value should be a number")
	}
	if a.Enum != nil && !slices.Contains(a.Enum, quoteFloat(f)) {
		return 0, Invalid(a.Name, text, a.oneOf())
	}
	return f, nil
}

// boolean accepts what wsme takes for unambiguous (wsme.rest.json): words of yes and no, and numbers.
func (a *Attr) boolean(raw json.RawMessage) (bool, error) {
	text := show(raw)
	switch text {
	case "True", "true", "t", "yes", "y", "on", "1":
		return true, nil
	case "False", "false", "f", "no", "n", "off", "0":
		return false, nil
	}
	return false, Invalid(a.Name, text, "Value not an unambiguous boolean: "+text)
}
