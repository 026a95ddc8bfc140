package api

import (
	"cmp"
	"errors"
	"fmt"
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
	dropped  string // the title where an entry cannot be deleted, which Octavia spells in its own way
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
		argument: "flavor_profile_", title: "Flavor Profile", dropped: "Flavor profile",
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
	f.dropped = cmp.Or(f.dropped, f.title)
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

func (f *shelf[T]) write(s *Server, c *call, status int, object *T) error {
	b := attr.AppendName([]byte{'{'}, f.member)
	b = attr.Close(f.table.AppendMembers(append(b, '{'), object, s.fieldsOf(c)), '}')
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
	return f.write(s, c, 200, &object)
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
	return f.write(s, c, 201, &object)
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
	return f.write(s, c, 200, &now)
}

func dropEntry[T store.Entry](s *Server, c *call, f *shelf[T]) error {
	if err := s.allow(c, f.resource, policy.Delete, c.who.ProjectID); err != nil {
		return err
	}
	id := c.PathValue("id")
	err := s.Store.Write(c.Context(), func(tx *store.Tx) error { return store.DropEntry[T](c.Context(), tx, id) })
	if err != nil {
		return absentEntry(f.dropped, id, err)
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
		return writePicked(s, c, list, memoryList[T]{f.table, f.key, f.plural, f.links}, q)
	})
}
