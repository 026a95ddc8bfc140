package config

import (
	"reflect"
	"strconv"
	"strings"
)

// option is one key of the configuration: a field of a section's struct, declared by its tags:
//
//	key      its name in the file
//	old      a name it had before, still read
//	default  as it would be written in the file; none for nothing
//	unit     of a time.Duration: s (default) or ms
//	choices  what is allowed, separated by |; of a list, for each element
//	min, max range of a number, and of the number in a Duration's unit
//	multi    "true": each assignment in the files is one element
//	doc      one sentence
type option struct {
	section, key, old string
	fallback          string
	hasFallback       bool
	unit              string
	choices           []string
	min, max          *float64
	multi             bool
	doc               string
	index             []int // in Config
	typ               reflect.Type
}

func (o *option) name() string { return "[" + o.section + "] " + o.key }

// options are all options, in the order of declaration.
func options() []option {
	var all []option
	for _, section := range reflect.VisibleFields(reflect.TypeFor[Config]()) {
		name, ok := section.Tag.Lookup("section")
		if !ok {
			continue
		}
		for _, field := range reflect.VisibleFields(section.Type) {
			if key, ok := field.Tag.Lookup("key"); ok {
				all = append(all, declared(name, key, field, append(append([]int{}, section.Index...), field.Index...)))
			}
		}
	}
	return all
}

func declared(section, key string, field reflect.StructField, index []int) option {
	o := option{section: section, key: key, old: field.Tag.Get("old"), unit: field.Tag.Get("unit"),
		min: number(field.Tag.Get("min")), max: number(field.Tag.Get("max")), multi: field.Tag.Get("multi") == "true",
		doc: field.Tag.Get("doc"), index: index, typ: field.Type}
	o.fallback, o.hasFallback = field.Tag.Lookup("default")
	if choices := field.Tag.Get("choices"); choices != "" {
		o.choices = strings.Split(choices, "|")
	}
	return o
}

// number panics for a tag that is none: the tests read every tag.
func number(tag string) *float64 {
	if tag == "" {
		return nil
	}
	n, err := strconv.ParseFloat(tag, 64)
	if err != nil {
		panic(err)
	}
	return &n
}
