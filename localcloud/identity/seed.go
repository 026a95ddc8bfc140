package identity

import (
	"github.com/octavo-lb/octavo/localcloud/state"
)

// Seed is what a cloud starts with.
type Seed struct {
	Projects []string
	Roles    []string
	Users    []SeedUser
}

// SeedUser is a user with a password and the roles in each project, all by name.
type SeedUser struct {
	Name     string
	Password string
	Grants   map[string][]string // project → roles
}

// Ensure makes those of the seed's projects, roles and users that don't exist, in one transaction. Users that exist keep
// their passwords and lose nothing; a grant that was taken from them is not given again.
func (s *Service) Ensure(seed Seed) error {
	hashes := map[string][]byte{}
	for _, u := range seed.Users {
		if _, found := state.Find(s.state, func(a *account) bool { return a.Name == u.Name }); found {
			continue
		}
		hash, err := s.hash(u.Password)
		if err != nil {
			return err
		}
		hashes[u.Name] = hash
	}
	return s.state.Update(func(tx *state.Tx) error {
		if err := ensureNames(tx, seed); err != nil {
			return err
		}
		for _, u := range seed.Users {
			if hashes[u.Name] == nil {
				continue
			}
			if err := s.seedUser(tx, u, hashes[u.Name]); err != nil {
				return err
			}
		}
		return nil
	})
}

func ensureNames(tx *state.Tx, seed Seed) error {
	for _, name := range seed.Projects {
		if _, found := state.Find(tx, func(p *Project) bool { return p.Name == name }); !found {
			if err := tx.Put(newProject(name)); err != nil {
				return err
			}
		}
	}
	for _, name := range seed.Roles {
		if _, found := state.Find(tx, func(r *Role) bool { return r.Name == name }); !found {
			if err := tx.Put(Role{ID: newID(), Name: name}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Service) seedUser(tx *state.Tx, u SeedUser, hash []byte) error {
	a := account{User: User{ID: newID(), Name: u.Name, DomainID: DefaultDomain, Enabled: true},
		PasswordHash: hash, ValidFrom: s.now()}
	if err := s.putUser(tx, a); err != nil {
		return err
	}
	for project, roles := range u.Grants {
		p, found := state.Find(tx, func(p *Project) bool { return p.Name == project })
		if !found {
			return notFound("project", project)
		}
		for _, name := range roles {
			role, found := state.Find(tx, func(r *Role) bool { return r.Name == name })
			if !found {
				return notFound("role", name)
			}
			if err := tx.Put(assignment{a.ID, p.ID, role.ID}); err != nil {
				return err
			}
		}
	}
	return nil
}

// ProjectID answers the id of the project with that name, empty when there is none.
func (s *Service) ProjectID(name string) string {
	p, _ := state.Find(s.state, func(p *Project) bool { return p.Name == name })
	return p.ID
}
