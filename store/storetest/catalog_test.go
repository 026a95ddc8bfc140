package storetest_test

import (
	"errors"
	"testing"

	"github.com/google/uuid"

	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/store"
	"github.com/octavo-lb/octavo/store/storetest"
)

func TestCatalogEntriesLastUntilNothingRefersToThem(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		do := func(want error, f func(tx *store.Tx) error) {
			t.Helper()
			if err := s.Write(ctx, f); !errors.Is(err, want) {
				t.Fatalf("%v, want %v", err, want)
			}
		}
		profile := lb.FlavorProfile{ID: uuid.NewString(), Name: "p", ProviderName: "amphora", FlavorData: `{"a": "ü"}`}
		flavor := lb.Flavor{ID: uuid.NewString(), Name: "gold", Enabled: true, FlavorProfileID: profile.ID}
		twin := lb.Flavor{ID: uuid.NewString(), Name: "gold", FlavorProfileID: profile.ID}
		do(nil, func(tx *store.Tx) error {
			return errors.Join(store.AddEntry(ctx, tx, &profile), store.AddEntry(ctx, tx, &flavor))
		})
		do(store.ErrConflict, func(tx *store.Tx) error { return store.AddEntry(ctx, tx, &twin) })
		flavor.Description, flavor.Enabled = "shiny", false
		do(nil, func(tx *store.Tx) error { return store.ChangeEntry(ctx, tx, flavor.ID, &flavor) })
		if got, err := store.GetEntry[lb.Flavor](ctx, s, flavor.ID); err != nil || got != flavor {
			t.Fatalf("%+v, %v", got, err)
		}
		if list, err := store.Entries[lb.Flavor](ctx, s); err != nil || len(list) != 1 || list[0] != flavor {
			t.Fatalf("%+v, %v", list, err)
		}
		do(store.ErrInUse, func(tx *store.Tx) error { return store.DropEntry[lb.FlavorProfile](ctx, tx, profile.ID) })
		storetest.Create(t, s, "project", func(tree *lb.Tree) { tree.LB.FlavorID = &flavor.ID })
		do(store.ErrInUse, func(tx *store.Tx) error { return store.DropEntry[lb.Flavor](ctx, tx, flavor.ID) })

		zoneProfile := lb.AvailabilityZoneProfile{ID: uuid.NewString(), Name: "p", ProviderName: "amphora", AvailabilityZoneData: "{}"}
		zone := lb.AvailabilityZone{Name: "east", Enabled: true, AvailabilityZoneProfileID: zoneProfile.ID}
		do(nil, func(tx *store.Tx) error {
			return errors.Join(store.AddEntry(ctx, tx, &zoneProfile), store.AddEntry(ctx, tx, &zone))
		})
		do(store.ErrConflict, func(tx *store.Tx) error { return store.AddEntry(ctx, tx, &zone) })
		do(nil, func(tx *store.Tx) error { return store.DropEntry[lb.AvailabilityZone](ctx, tx, "east") })
		do(nil, func(tx *store.Tx) error { return store.DropEntry[lb.AvailabilityZoneProfile](ctx, tx, zoneProfile.ID) })
		do(store.ErrNotFound, func(tx *store.Tx) error { return store.DropEntry[lb.AvailabilityZone](ctx, tx, "east") })
		do(store.ErrNotFound, func(tx *store.Tx) error { return store.ChangeEntry(ctx, tx, "west", &zone) })
		if _, err := store.GetEntry[lb.AvailabilityZone](ctx, s, "east"); !errors.Is(err, store.ErrNotFound) {
			t.Fatal(err)
		}
	})
}
