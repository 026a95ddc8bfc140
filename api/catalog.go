package api

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/lb/attr"
	"github.com/octavo-lb/octavo/policy"
	"github.com/octavo-lb/octavo/store"
)

// shelf is what the four kinds of entries of the operator's catalog differ in.
type shelf[T store.Entry] struct {
	resource string // in policies
	member   string
	plural   string
	links    string // the member with links between pages, which Octavia spells in its own way
	argument string
	title    string
	unique   string // what two of a name are called in the error
	table    *attr.Table
	key      func(*T) *string
	// check looks at an entry as it shall be; given tells what the request said.
	check func(c *call, tx *store.Tx, now, was *T, given attr.Given) error
}

func (s *Server) addShelves() {
	addShelf(s, "flavors", shelf[lb.Flavor]{
		resource: "flavor", member: "flavor", plural: "flavors", links: "flavors_links", argument: "flavor_", title: "Flavor", unique: "flavor",
		key: func(f *lb.Flavor) *string { return &f.ID },
		check: func(c *call, tx *store.Tx, now, _ *lb.Flavor, _ attr.Given) error {
			_, err := store.GetEntry[lb.FlavorProfile](c.Context(), tx, now.FlavorProfileID)
			return absentEntry("Flavor Profile", now.FlavorProfileID, err)
		},
	})
	addShelf(s, "flavorprofiles", shelf[lb.FlavorProfile]{
		resource: "flavor-profile", member: "flavorprofile", plural: "flavorprofiles", links: "flavorprofile_links",
		argument: "flavor_profile_", title: "Flavor Profile",
		key: func(p *lb.FlavorProfile) *string { return &p.ID },
		check: func(c *call, tx *store.Tx, now, was *lb.FlavorProfile, given attr.Given) error {
			if was != nil && (given["flavor_data"] || given["provider_name"]) {
				if err := notInUse[lb.FlavorProfile](c, tx, "Flavor profile", was.ID); err != nil {
					return err
				}
			}
			return s.checkSettings(now.ProviderName, "flavor_data", now.FlavorData, func(p *Provider) []Setting { return p.FlavorSettings })
		},
	})
	addShelf(s, "availabilityzones", shelf[lb.AvailabilityZone]{
		resource: "availability-zone", member: "availability_zone", plural: "availability_zones", links: "availability_zones_links",
		argument: "availability_zone_", title: "Availability Zone", unique: "availability zone",
		key: func(z *lb.AvailabilityZone) *string { return &z.Name },
		check: func(c *call, tx *store.Tx, now, _ *lb.AvailabilityZone, _ attr.Given) error {
			_, err := store.GetEntry[lb.AvailabilityZoneProfile](c.Context(), tx, now.AvailabilityZoneProfileID)
			return absentEntry("Availability Zone Profile", now.AvailabilityZoneProfileID, err)
		},
	})
	addShelf(s, "availabilityzoneprofiles", shelf[lb.AvailabilityZoneProfile]{
		resource: "availability-zone-profile", member: "availability_zone_profile", plural: "availability_zone_profiles",
		links: "availability_zone_profile_links", argument: "availability_zone_profile_", title: "Availability Zone Profile",
		key: func(p *lb.AvailabilityZoneProfile) *string { return &p.ID },
		check: func(c *call, tx *store.Tx, now, was *lb.AvailabilityZoneProfile, given attr.Given) error {
			if was != nil && (given["availability_zone_data"] || given["provider_name"]) {
				if err := notInUse[lb.AvailabilityZoneProfile](c, tx, "Availability Zone Profile", was.ID); err != nil {
					return err
				}
			}
			return s.checkSettings(now.ProviderName, "availability_zone_data", now.AvailabilityZoneData, func(p *Provider) []Setting { return p.ZoneSettings })
		},
	})
}

func addShelf[T store.Entry](s *Server, path string, f shelf[T]) {
	f.table = attr.Of[T]()
	what, m := strings.ToLower(f.title), f.member
	s.handle("GET /"+path, "List "+what+"s", "-> 200 "+m+"[]", func(c *call) error { return listEntries(s, c, &f) })
	s.handle("POST /"+path, "Create a "+what, m+"+ -> 201 "+m, func(c *call) error { return addEntry(s, c, &f) })
	s.handle("GET /"+path+"/{id}", "Show a "+what, "-> 200 "+m, func(c *call) error { return showEntry(s, c, &f) })
	s.handle("PUT /"+path+"/{id}", "Update a "+what, m+"= -> 200 "+m, func(c *call) error { return changeEntry(s, c, &f) })
	s.handle("DELETE /"+path+"/{id}", "Delete a "+what, "-> 204", func(c *call) error { return dropEntry(s, c, &f) })
}

// absentEntry turns the store's errors into what the client is told.
func absentEntry(title, key string, err error) error {
	switch {
	case errors.Is(err, store.ErrNotFound):
		return lb.Missing(title, key)
	case errors.Is(err, store.ErrInUse):
		return lb.Refuse(lb.InUse, "%s %s is in use and cannot be modified.", title, key)
	}
	return err
}

func notInUse[T store.Entry](c *call, tx *store.Tx, title, key string) error {
	used, err := store.EntryInUse[T](c.Context(), tx, key)
	if err == nil && used {
		err = store.ErrInUse
	}
	return absentEntry(title, key, err)
}

// taken tells of two entries of one name.
func (f *shelf[T]) taken(name string, err error) error {
	if errors.Is(err, store.ErrConflict) {
		return lb.Refuse(lb.Duplicate, "A %s of %s already exists.", f.unique, name)
	}
	return err
}

func (f *shelf[T]) write(c *call, status int, object *T) error {
	b := attr.AppendName([]byte{'{'}, f.member)
	b = attr.Close(f.table.AppendMembers(append(b, '{'), object, fieldsOf(c)), '}')
	return c.write(status, append(b, '}'))
}

func showEntry[T store.Entry](s *Server, c *call, f *shelf[T]) error {
	if err := s.allow(c, f.resource, policy.Show, c.who.ProjectID); err != nil {
		return err
	}
	object, err := store.GetEntry[T](c.Context(), s.Store, c.PathValue("id"))
	if err != nil {
		return absentEntry(f.title, c.PathValue("id"), err)
	}
	return f.write(c, 200, &object)
}

func addEntry[T store.Entry](s *Server, c *call, f *shelf[T]) error {
	body, err := c.body(f.argument, f.member)
	if err != nil {
		return err
	}
	var object T
	given, err := f.table.Decode(f.argument+"."+f.member, body, &object, attr.Create)
	if err != nil {
		return err
	}
	if err := s.allow(c, f.resource, policy.Create, c.who.ProjectID); err != nil {
		return err
	}
	if key := f.key(&object); *key == "" {
		*key = s.NewID()
	}
	err = s.Store.Write(c.Context(), func(tx *store.Tx) error {
		if err := f.check(c, tx, &object, nil, given); err != nil {
			return err
		}
		return store.AddEntry(c.Context(), tx, &object)
	})
	if err != nil {
		return f.taken(fmt.Sprint(f.table.Find("name").Get(&object)), err)
	}
	return f.write(c, 201, &object)
}

func changeEntry[T store.Entry](s *Server, c *call, f *shelf[T]) error {
	body, err := c.body(f.argument, f.member)
	if err != nil {
		return err
	}
	if err := s.allow(c, f.resource, policy.Update, c.who.ProjectID); err != nil {
		return err
	}
	id := c.PathValue("id")
	var now T
	err = s.Store.Write(c.Context(), func(tx *store.Tx) error {
		was, err := store.GetEntry[T](c.Context(), tx, id)
		if err != nil {
			return absentEntry(f.title, id, err)
		}
		now = was
		given, err := f.table.Decode(f.argument+"."+f.member, body, &now, attr.Update)
		if err != nil {
			return err
		}
		if err := f.check(c, tx, &now, &was, given); err != nil {
			return err
		}
		return store.ChangeEntry(c.Context(), tx, id, &now)
	})
	if err != nil {
		return f.taken(fmt.Sprint(f.table.Find("name").Get(&now)), err)
	}
	return f.write(c, 200, &now)
}

func dropEntry[T store.Entry](s *Server, c *call, f *shelf[T]) error {
	if err := s.allow(c, f.resource, policy.Delete, c.who.ProjectID); err != nil {
		return err
	}
	id := c.PathValue("id")
	err := s.Store.Write(c.Context(), func(tx *store.Tx) error { return store.DropEntry[T](c.Context(), tx, id) })
	if err != nil {
		return absentEntry(f.title, id, err)
	}
	return c.done(204)
}

// listEntries selects and pages in memory: there are a handful.
func listEntries[T store.Entry](s *Server, c *call, f *shelf[T]) error {
	if err := s.allow(c, f.resource, policy.List, c.who.ProjectID); err != nil {
		return err
	}
	return s.list(c, func(q store.Query) error {
		list, err := store.Entries[T](c.Context(), s.Store)
		if err != nil {
			return err
		}
		list, more, err := pick(list, f.table, f.key, q)
		if err != nil {
			return err
		}
		b := append(attr.AppendName([]byte{'{'}, f.plural), '[')
		for i := range list {
			b = append(attr.Close(f.table.AppendMembers(append(b, '{'), &list[i], fieldsOf(c)), '}'), ',')
		}
		b = append(attr.AppendName(append(attr.Close(b, ']'), ','), f.links), '[')
		if more {
			b = c.appendLink(b, "next", *f.key(&list[len(list)-1]), q.Limit, false)
		}
		return c.write(200, append(attr.Close(b, ']'), '}'))
	})
}

// pick applies a query to a list that is in memory.
func pick[T any](list []T, table *attr.Table, key func(*T) *string, q store.Query) (picked []T, more bool, err error) {
	for _, f := range q.Filters {
		a := table.Find(f.Name)
		if a == nil || a.Access&attr.Shown == 0 {
			return nil, false, &store.QueryError{Part: "filter", Name: f.Name}
		}
		list = slices.DeleteFunc(list, func(o T) bool {
			have := fmt.Sprint(a.Get(&o))
			return !slices.ContainsFunc(f.Values, func(v string) bool { return strings.EqualFold(v, have) && (v == have || a.Type == attr.Boolean) })
		})
	}
	for _, k := range slices.Backward(q.Sort) {
		a := table.Find(k.Name)
		if a == nil {
			return nil, false, &store.QueryError{Part: "sort_key", Name: k.Name}
		}
		slices.SortStableFunc(list, func(x, y T) int {
			order := cmp.Compare(fmt.Sprint(a.Get(&x)), fmt.Sprint(a.Get(&y)))
			if k.Desc {
				return -order
			}
			return order
		})
	}
	if q.Marker != "" {
		at := slices.IndexFunc(list, func(o T) bool { return *key(&o) == q.Marker })
		if at < 0 {
			return nil, false, &store.QueryError{Part: "marker", Name: q.Marker}
		}
		list = list[at+1:]
	}
	if len(list) > q.Limit {
		return list[:q.Limit], true, nil
	}
	return list, false, nil
}
