package store

import "context"

// Material reads a blob that was sealed by its owner, such as a CA's key. ErrNotFound.
func (s *Store) Material(ctx context.Context, name string) ([]byte, error) {
	panic("store: not built yet")
}

// CreateMaterial stores a blob unless one of that name exists, and returns the one that is stored then: of several nodes
// that start for the first time, all go on with the same.
func (s *Store) CreateMaterial(ctx context.Context, name string, data []byte) ([]byte, error) {
	panic("store: not built yet")
}

// PutMaterial stores a blob in place of any of that name.
func (s *Store) PutMaterial(ctx context.Context, name string, data []byte) error {
	panic("store: not built yet")
}
