package store

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/octavo-lb/octavo/lb"
)

// Entry is one of the things that an operator offers and users choose by id, or an availability zone by name. There are
// few of them, they change rarely, and no load balancer's generation depends on them.
type Entry interface {
	lb.Flavor | lb.FlavorProfile | lb.AvailabilityZone | lb.AvailabilityZoneProfile
}

// ErrInUse tells that something refers to the entry.
var ErrInUse = errors.New("in use")

// shelf is the table of a kind of entry.
type shelf struct {
	name    string
	key     string
	columns []column
	userOf  string // the table and column that refer to an entry
	user    string
}

func shelfOf[T Entry]() *shelf {
	s := &shelf{key: "id", columns: columnsOf(reflect.TypeFor[T]())}
	switch any((*T)(nil)).(type) {
	case *lb.Flavor:
		s.name, s.userOf, s.user = "flavor", "load_balancer", "flavor_id"
	case *lb.FlavorProfile:
		s.name, s.userOf, s.user = "flavor_profile", "flavor", "flavor_profile_id"
	case *lb.AvailabilityZone:
		s.name, s.key, s.userOf, s.user = "availability_zone", "name", "load_balancer", "availability_zone"
	default:
		s.name, s.userOf, s.user = "availability_zone_profile", "availability_zone", "availability_zone_profile_id"
	}
	return s
}

func (s *shelf) names() string {
	names := make([]string, len(s.columns))
	for i, c := range s.columns {
		names[i] = quote(c.name)
	}
	return strings.Join(names, ", ")
}

func (s *shelf) values(object any) []any {
	values := make([]any, len(s.columns))
	for i := range s.columns {
		values[i] = s.columns[i].value(reflect.ValueOf(object).Elem())
	}
	return values
}

func (s *shelf) destinations(object any) []any {
	out := make([]any, len(s.columns))
	for i := range s.columns {
		out[i] = s.columns[i].destination(reflect.ValueOf(object).Elem())
	}
	return out
}

// Entries lists all entries of a kind, by key.
func Entries[T Entry](ctx context.Context, r Reader) ([]T, error) {
	s := shelfOf[T]()
	var object T
	list := []T{}
	err := r.reader().each(ctx, `SELECT `+s.names()+` FROM `+quote(s.name)+` ORDER BY `+quote(s.key), nil,
		func() { list = append(list, object) }, s.destinations(&object)...)
	if err != nil {
		return nil, fmt.Errorf("cannot list table %s: %w", s.name, err)
	}
	return list, nil
}

// GetEntry reads an entry by its key. ErrNotFound.
func GetEntry[T Entry](ctx context.Context, r Reader, key string) (T, error) {
	s := shelfOf[T]()
	var object T
	err := r.reader().row(ctx, `SELECT `+s.names()+` FROM `+quote(s.name)+` WHERE `+quote(s.key)+` = ?`, []any{key}, s.destinations(&object)...)
	if err != nil {
		return object, fmt.Errorf("%s %s: %w", s.name, key, err)
	}
	return object, nil
}

// AddEntry adds an entry. ErrConflict when its key or unique name is taken.
func AddEntry[T Entry](ctx context.Context, tx *Tx, object *T) error {
	s := shelfOf[T]()
	_, err := tx.r.exec(ctx, `INSERT INTO `+quote(s.name)+` (`+s.names()+`) VALUES `+placeholders(len(s.columns)), s.values(object)...)
	if err != nil {
		return fmt.Errorf("cannot add to table %s: %w", s.name, err)
	}
	return nil
}

// ChangeEntry writes an entry's attributes. ErrNotFound, ErrConflict.
func ChangeEntry[T Entry](ctx context.Context, tx *Tx, key string, object *T) error {
	s := shelfOf[T]()
	set := make([]string, len(s.columns))
	for i, c := range s.columns {
		set[i] = quote(c.name) + ` = ?`
	}
	found, err := tx.r.exec(ctx, `UPDATE `+quote(s.name)+` SET `+strings.Join(set, ", ")+` WHERE `+quote(s.key)+` = ?`, append(s.values(object), key)...)
	if err == nil && found == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("cannot change %s %s: %w", s.name, key, err)
	}
	return nil
}

// DropEntry removes an entry that nothing refers to. ErrNotFound, ErrInUse.
func DropEntry[T Entry](ctx context.Context, tx *Tx, key string) error {
	s := shelfOf[T]()
	used, err := EntryInUse[T](ctx, tx, key)
	if err == nil && used {
		err = ErrInUse
	}
	if err == nil {
		var found int64
		found, err = tx.r.exec(ctx, `DELETE FROM `+quote(s.name)+` WHERE `+quote(s.key)+` = ?`, key)
		if err == nil && found == 0 {
			err = ErrNotFound
		}
	}
	if err != nil {
		return fmt.Errorf("cannot drop %s %s: %w", s.name, key, err)
	}
	return nil
}

// EntryInUse tells whether a load balancer, or for a profile a flavor or zone, refers to the entry.
func EntryInUse[T Entry](ctx context.Context, r Reader, key string) (bool, error) {
	s := shelfOf[T]()
	var n int
	err := r.reader().row(ctx, `SELECT COUNT(*) FROM `+quote(s.userOf)+` WHERE `+quote(s.user)+` = ?`, []any{key}, &n)
	return n > 0, err
}

// Choices are the data of the profiles that a load balancer's flavor and availability zone have, in this order. What does
// not exist any more says nothing.
func Choices(ctx context.Context, r Reader, b *lb.LoadBalancer) ([]string, error) {
	var said []string
	for _, choice := range []struct {
		key       *string
		statement string
	}{
		{b.FlavorID, `SELECT p."flavor_data" FROM "flavor" f JOIN "flavor_profile" p ON p."id" = f."flavor_profile_id" WHERE f."id" = ?`},
		{b.AvailabilityZone, `SELECT p."availability_zone_data" FROM "availability_zone" z JOIN "availability_zone_profile" p` +
			` ON p."id" = z."availability_zone_profile_id" WHERE z."name" = ?`},
	} {
		if choice.key == nil {
			continue
		}
		var data string
		err := r.reader().row(ctx, choice.statement, []any{*choice.key}, &data)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("cannot read the choices of load balancer %s: %w", b.ID, err)
		}
		said = append(said, data)
	}
	return said, nil
}
