package app

import (
	"fmt"
	"slices"
	"strings"
)

// roles are what a controller does. Several controllers on one database share the work of each.
type roles []string

const (
	roleAPI          = "api"
	roleWorker       = "worker"
	roleHealth       = "health"
	roleHousekeeping = "housekeeping"
)

var allRoles = roles{roleAPI, roleWorker, roleHealth, roleHousekeeping}

// parseRoles takes nothing for all roles.
func parseRoles(names []string) (roles, error) {
	if len(names) == 0 {
		return allRoles, nil
	}
	for _, name := range names {
		if !allRoles.has(name) {
			return nil, fmt.Errorf("there is no role %q: the roles are %s", name, strings.Join(allRoles, ", "))
		}
	}
	return names, nil
}

func (r roles) has(name string) bool { return slices.Contains(r, name) }
