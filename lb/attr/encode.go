package attr

import (
	"reflect"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
)

// TimeLayout is how times are shown: UTC, without saying so, as Octavia does.
const TimeLayout = "2006-01-02T15:04:05"

// AppendMembers appends the shown attributes of the struct that src points to as members of a JSON object, each
// followed by a comma, without the braces: callers add what is not an attribute (see AppendName). Where only is not nil
// it picks the attributes.
func (t *Table) AppendMembers(dst []byte, src any, only func(name string) bool) []byte {
	v := reflect.ValueOf(src).Elem()
	for _, a := range t.Attrs {
		if a.Access&Shown == 0 {
			continue
		}
		if only == nil || only(a.Name) {
			dst = a.appendMember(dst, a.Name, v)
		}
		if a.Alias != "" && (only == nil || only(a.Alias)) {
			dst = a.appendMember(dst, a.Alias, v)
		}
	}
	return dst
}

func (a *Attr) appendMember(dst []byte, name string, object reflect.Value) []byte {
	dst = a.appendValue(AppendName(dst, name), object.FieldByIndex(a.index))
	return append(dst, ',')
}

// AppendObject appends a struct's shown attributes as a JSON object.
func (t *Table) AppendObject(dst []byte, src any) []byte {
	dst = t.AppendMembers(append(dst, '{'), src, nil)
	return Close(dst, '}')
}

// Close ends a JSON object or array of which each member was followed by a comma.
func Close(dst []byte, end byte) []byte {
	if last := len(dst) - 1; dst[last] == ',' {
		dst[last] = end
		return dst
	}
	return append(dst, end)
}

// AppendName appends a member's name and the colon.
func AppendName(dst []byte, name string) []byte {
	dst = append(append(dst, '"'), name...)
	return append(dst, '"', ':')
}

func (a *Attr) appendValue(dst []byte, v reflect.Value) []byte {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return append(dst, "null"...)
		}
		v = v.Elem()
	}
	switch a.Type {
	case String:
		return a.appendString(dst, v.String())
	case Integer:
		return strconv.AppendInt(dst, v.Int(), 10)
	case Float:
		return append(dst, quoteFloat(v.Float())...)
	case Boolean:
		return strconv.AppendBool(dst, v.Bool())
	case Time:
		t := v.Addr().Interface().(*time.Time)
		return append(t.UTC().AppendFormat(append(dst, '"'), TimeLayout), '"')
	case Strings:
		return a.appendStrings(dst, *v.Addr().Interface().(*[]string))
	case StringMap:
		return appendStringMap(dst, v.Interface().(map[string]string))
	case Object:
		return a.Nested.AppendObject(dst, v.Addr().Interface())
	default:
		dst = append(dst, '[')
		for i := range v.Len() {
			dst = append(a.Nested.AppendObject(dst, v.Index(i).Addr().Interface()), ',')
		}
		return Close(dst, ']')
	}
}

// appendString shows an empty id or address as null: there is none (yet).
func (a *Attr) appendString(dst []byte, s string) []byte {
	if s == "" && (a.Kind == "uuid" || a.Kind == "ip") {
		return append(dst, "null"...)
	}
	return AppendString(dst, s)
}

// appendStrings shows an empty list as null where the attribute may be null: both mean the same.
func (a *Attr) appendStrings(dst []byte, list []string) []byte {
	if len(list) == 0 && a.Nullable {
		return append(dst, "null"...)
	}
	dst = append(dst, '[')
	for _, s := range list {
		dst = append(AppendString(dst, s), ',')
	}
	return Close(dst, ']')
}

func appendStringMap(dst []byte, m map[string]string) []byte {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	dst = append(dst, '{')
	for _, k := range keys {
		dst = append(AppendString(dst, k), ':')
		dst = append(AppendString(dst, m[k]), ',')
	}
	return Close(dst, '}')
}

// AppendString appends a JSON string.
func AppendString(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	done := 0 // up to where s is appended
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c < 0x7f && c != '"' && c != '\\' {
			i++
			continue
		}
		dst = append(dst, s[done:i]...)
		size := 1
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < utf8.RuneSelf:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			var r rune
			r, size = utf8.DecodeRuneInString(s[i:])
			dst = utf8.AppendRune(dst, r)
		}
		i += size
		done = i
	}
	return append(append(dst, s[done:]...), '"')
}

// Append appends the attribute's value in the struct that src points to, as JSON.
func (a *Attr) Append(dst []byte, src any) []byte {
	return a.appendValue(dst, a.field(src))
}
