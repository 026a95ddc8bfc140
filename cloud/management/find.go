package management

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/attributestags"

	"github.com/octavo-lb/octavo/cloud"
)

// mark is the description of what this package made. An object that has it and its name, but not its tags yet, is one
// whose maker was killed in between.
const mark = "Made by octavo configure-resources"

// object is what all kinds of objects have.
type object struct {
	ID          string   `json:"id"`
	Name        string   `json:"name"`
	Description string   `json:"description"`
	ProjectID   string   `json:"project_id"`
	Tags        []string `json:"tags"`
}

func (o object) String() string { return fmt.Sprintf("%s (%s)", o.Name, o.ID) }

func (o object) itself() object { return o }

// kind is one kind of object.
type kind struct {
	plural  string // in the API's paths
	noun    string // for people, and in the openstack command
	project string // of which objects are taken; empty for all
}

func (s *setup) kind(plural, noun string) kind { return kind{plural, noun, s.ProjectID} }

// find lists the objects that have all of the tags, or else those that were made with that name and not tagged yet, which
// it tags. Other projects' are not taken: anybody can give an object a tag, and share it.
func find[T interface{ itself() object }](ctx context.Context, s *setup, k kind, name string, tags []string, query url.Values) ([]T, error) {
	tagged, err := list[T](ctx, s, k, merge(query, "tags", strings.Join(tags, ",")))
	if err != nil || len(tagged) > 0 {
		return tagged, err
	}
	named, err := list[T](ctx, s, k, merge(query, "name", name))
	if err != nil {
		return nil, err
	}
	named = slices.DeleteFunc(named, func(o T) bool { return o.itself().Description != mark })
	if len(named) > 1 {
		named = named[:1]
	}
	for _, o := range named {
		if err := s.tag(ctx, k, o.itself().ID, tags); err != nil {
			return nil, err
		}
		s.made("%s %s: tagged", k.noun, o.itself())
	}
	return named, nil
}

func merge(query url.Values, key, value string) url.Values {
	merged := url.Values{key: {value}}
	for k, v := range query {
		merged[k] = v
	}
	return merged
}

// list is asked with few words, so that one page holds the answer. It comes in the same order always.
func list[T interface{ itself() object }](ctx context.Context, s *setup, k kind, query url.Values) ([]T, error) {
	if k.project != "" {
		query.Set("project_id", k.project)
	}
	var answer map[string][]T
	_, err := s.api.Get(ctx, s.api.ServiceURL(k.plural)+"?"+query.Encode(), &answer, nil)
	if err != nil {
		return nil, cloud.Explain(err, "list %s", k.plural)
	}
	found := slices.DeleteFunc(answer[strings.ReplaceAll(k.plural, "-", "_")], func(o T) bool {
		return k.project != "" && o.itself().ProjectID != k.project
	})
	slices.SortFunc(found, func(a, b T) int { return strings.Compare(a.itself().ID, b.itself().ID) })
	return found, nil
}

// one is for kinds of which there is one.
func one[T interface{ itself() object }](k kind, tag string, found []T) (T, error) {
	if len(found) == 1 {
		return found[0], nil
	}
	var names []string
	for _, o := range found {
		names = append(names, o.itself().String())
	}
	var none T
	return none, fmt.Errorf("%d objects of kind %s have the tag %s: %s. Take it off all but one: openstack %s unset --tag %s ID",
		len(found), k.noun, tag, strings.Join(names, ", "), k.noun, tag)
}

func (s *setup) tag(ctx context.Context, k kind, id string, tags []string) error {
	err := attributestags.ReplaceAll(ctx, s.api, k.plural, id, attributestags.ReplaceAllOpts{Tags: tags}).Err
	return cloud.Explain(err, "tag %s %s", k.noun, id)
}
