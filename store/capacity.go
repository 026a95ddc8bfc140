package store

import (
	"context"
	"fmt"
)

// Capacity is how many connections amphorae carry at once, of those whose agents say so. A listener without a limit is
// limited by that.
type Capacity struct {
	Least, Most int64 // of one amphora; 0 when nobody says
	// Excessive is how many listeners allow more connections than an amphora of theirs carries.
	Excessive int
}

// Capacity asks for it.
func (s *Store) Capacity(ctx context.Context) (c Capacity, err error) {
	err = s.read.row(ctx, `SELECT COALESCE(MIN("max_connections"), 0), COALESCE(MAX("max_connections"), 0) FROM "amphora"`+
		` WHERE "max_connections" > 0 AND NOT "deleting"`, nil, &c.Least, &c.Most)
	if err == nil && c.Least > 0 {
		err = s.read.row(ctx, `SELECT COUNT(*) FROM "listener" l WHERE l."connection_limit" > 0 AND NOT l."deleting" AND EXISTS (SELECT 1 FROM "amphora" a`+
			` WHERE a."loadbalancer_id" = l."loadbalancer_id" AND NOT a."deleting" AND a."max_connections" > 0 AND a."max_connections" < l."connection_limit")`,
			nil, &c.Excessive)
	}
	if err != nil {
		return c, fmt.Errorf("cannot find out how many connections amphorae carry: %w", err)
	}
	return c, nil
}
