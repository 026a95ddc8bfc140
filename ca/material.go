package ca

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// load reads what is kept under name, sealed and plain. On the first start there is nothing: what first makes is kept then,
// unless another controller was faster, whose material counts.
func (a *Authorities) load(ctx context.Context, name string, first func() ([]byte, error)) (sealed, plain []byte, err error) {
	sealed, err = a.shelf.Material(ctx, name)
	if err != nil && !a.options.ReadOnly {
		sealed, err = a.create(ctx, name, first)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("cannot load %s: %w", name, err)
	}
	if plain, err = a.sealer.Open(sealed, name); err != nil {
		return nil, nil, err
	}
	if a.sealer.Stale(sealed) && !a.options.ReadOnly { // the key file has a newer key since
		anew, err := a.sealer.Seal(plain, name)
		if err != nil {
			return nil, nil, err
		}
		if _, err := a.shelf.SwapMaterial(ctx, name, sealed, anew); err != nil {
			return nil, nil, fmt.Errorf("cannot store %s: %w", name, err)
		}
		sealed = anew
	}
	return sealed, plain, nil
}

func (a *Authorities) create(ctx context.Context, name string, first func() ([]byte, error)) ([]byte, error) {
	plain, err := first()
	if err != nil {
		return nil, err
	}
	sealed, err := a.sealer.Seal(plain, name)
	if err != nil {
		return nil, err
	}
	return a.shelf.CreateMaterial(ctx, name, sealed)
}

// errUnchanged ends a change that has nothing to do.
var errUnchanged = errors.New("nothing to change")

// change changes the list of an authority's generations. Who changes it meanwhile is not overwritten: decide is asked again
// then. Generations that nobody can still have use for are dropped.
func (a *Authorities) change(ctx context.Context, name string, decide func([]material) ([]material, error)) error {
	for {
		sealed, plain, err := a.load(ctx, name, func() ([]byte, error) { return a.firstGeneration(name) })
		if err != nil {
			return err
		}
		var stored []material
		if err := json.Unmarshal(plain, &stored); err != nil {
			return fmt.Errorf("%s in the database is damaged: %w", name, err)
		}
		if stored, err = decide(stored); errors.Is(err, errUnchanged) {
			return nil
		}
		if err != nil {
			return err
		}
		if plain, err = json.Marshal(a.withoutOver(stored)); err != nil {
			return err
		}
		anew, err := a.sealer.Seal(plain, name)
		if err != nil {
			return err
		}
		if swapped, err := a.shelf.SwapMaterial(ctx, name, sealed, anew); err != nil || swapped {
			return err
		}
	}
}

// withoutOver drops generations whose certificates have expired, but never the newest one.
func (a *Authorities) withoutOver(stored []material) []material {
	last := len(stored) - 1
	return append(slices.DeleteFunc(slices.Clone(stored[:last]), func(m material) bool {
		g, err := m.decode()
		return err == nil && g.certificate.NotAfter.Before(a.options.Clock())
	}), stored[last])
}
