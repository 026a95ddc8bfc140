package config

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// decode writes the texts of an option (one, but for multi) into its field. Its error says what is wrong with the value
// and what is allowed, without repeating the value.
func (o *option) decode(field reflect.Value, texts []string) error {
	if o.multi {
		list := reflect.MakeSlice(o.typ, 0, len(texts))
		for _, text := range texts {
			element := reflect.New(o.typ.Elem()).Elem()
			if err := o.scalar(element, text); err != nil {
				return err
			}
			list = reflect.Append(list, element)
		}
		field.Set(list)
		return nil
	}
	text := texts[len(texts)-1]
	switch o.typ.Kind() {
	case reflect.Slice:
		return o.list(field, text)
	case reflect.Map:
		return o.dict(field, text)
	case reflect.Pointer:
		if strings.TrimSpace(text) == "" {
			field.SetZero()
			return nil
		}
		field.Set(reflect.New(o.typ.Elem()))
		return o.scalar(field.Elem(), text)
	}
	return o.scalar(field, text)
}

func (o *option) list(field reflect.Value, text string) error {
	list := reflect.MakeSlice(o.typ, 0, 4)
	if text = strings.TrimRight(strings.TrimSpace(text), ","); text != "" {
		for part := range strings.SplitSeq(text, ",") {
			element := reflect.New(o.typ.Elem()).Elem()
			if err := o.scalar(element, strings.TrimSpace(part)); err != nil {
				return err
			}
			list = reflect.Append(list, element)
		}
	}
	field.Set(list)
	return nil
}

func (o *option) dict(field reflect.Value, text string) error {
	dict := map[string]string{}
	if text = strings.TrimRight(strings.TrimSpace(text), ","); text != "" {
		for part := range strings.SplitSeq(text, ",") {
			name, value, ok := strings.Cut(part, ":")
			if !ok {
				return errors.New("it must be a list of NAME:VALUE, separated by commas")
			}
			dict[strings.TrimSpace(name)] = strings.TrimSpace(value)
		}
	}
	field.Set(reflect.ValueOf(dict))
	return nil
}

func (o *option) scalar(field reflect.Value, text string) error {
	if u, ok := field.Addr().Interface().(encoding.TextUnmarshaler); ok {
		if u.UnmarshalText([]byte(text)) != nil {
			return fmt.Errorf("it must be %s", kindOf(field.Type()))
		}
		return nil
	}
	if field.Type() == reflect.TypeFor[time.Duration]() {
		return o.duration(field, text)
	}
	switch field.Kind() {
	case reflect.String:
		field.SetString(text)
		return o.chosen(text)
	case reflect.Bool:
		return boolean(field, text)
	}
	return o.numeric(field, text)
}

func (o *option) chosen(text string) error {
	if len(o.choices) == 0 || slices.Contains(o.choices, text) {
		return nil
	}
	return fmt.Errorf("it must be one of %s", strings.Join(o.choices, ", "))
}

func boolean(field reflect.Value, text string) error {
	switch strings.ToLower(strings.TrimSpace(text)) {
	case "true", "1", "on", "yes":
		field.SetBool(true)
	case "false", "0", "off", "no":
		field.SetBool(false)
	default:
		return errors.New("it must be true or false")
	}
	return nil
}

func (o *option) numeric(field reflect.Value, text string) error {
	if field.Kind() == reflect.Float64 {
		n, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
		if err != nil {
			return errors.New("it must be a number" + o.bounds())
		}
		field.SetFloat(n)
		return o.within(n)
	}
	n, err := strconv.Atoi(strings.ReplaceAll(strings.TrimSpace(text), "_", "")) // Python allows 1_000
	if err != nil {
		return errors.New("it must be a whole number" + o.bounds())
	}
	field.SetInt(int64(n))
	return o.within(float64(n))
}

func (o *option) duration(field reflect.Value, text string) error {
	n, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil {
		return fmt.Errorf("it must be a number of %s%s", unitName(o.unit), o.bounds())
	}
	field.SetInt(int64(n * float64(unitOf(o.unit))))
	return o.within(n)
}

func unitOf(unit string) time.Duration {
	if unit == "ms" {
		return time.Millisecond
	}
	return time.Second
}

func unitName(unit string) string {
	if unit == "ms" {
		return "milliseconds"
	}
	return "seconds"
}

func (o *option) within(n float64) error {
	if o.min != nil && n < *o.min || o.max != nil && n > *o.max {
		return errors.New("it must be a number" + o.bounds())
	}
	return nil
}

func (o *option) bounds() string {
	switch {
	case o.min != nil && o.max != nil:
		return fmt.Sprintf(" from %v to %v", *o.min, *o.max)
	case o.min != nil:
		return fmt.Sprintf(" of at least %v", *o.min)
	case o.max != nil:
		return fmt.Sprintf(" of at most %v", *o.max)
	}
	return ""
}

// kindOf says what a text that unmarshals itself must be.
func kindOf(t reflect.Type) string {
	if t.String() == "netip.Addr" {
		return "an IP address"
	}
	return "a " + t.String()
}
