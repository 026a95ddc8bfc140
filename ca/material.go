package ca

import (
	"context"
	"fmt"
)

// load reads what is kept under name, sealed. On the first start there is nothing: what first makes is kept then, unless
// another controller was faster, whose material counts.
func (a *Authorities) load(ctx context.Context, name string, first func() ([]byte, error)) ([]byte, error) {
	sealed, err := a.shelf.Material(ctx, name)
	if err != nil {
		sealed, err = a.create(ctx, name, first)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot load %s: %w", name, err)
	}
	plain, err := a.sealer.Open(sealed, name)
	if err != nil {
		return nil, err
	}
	if a.sealer.Stale(sealed) { // the key file has a newer key since
		return plain, a.put(ctx, name, plain)
	}
	return plain, nil
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

func (a *Authorities) put(ctx context.Context, name string, plain []byte) error {
	sealed, err := a.sealer.Seal(plain, name)
	if err != nil {
		return err
	}
	if err := a.shelf.PutMaterial(ctx, name, sealed); err != nil {
		return fmt.Errorf("cannot store %s: %w", name, err)
	}
	return nil
}
