package image

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/octavo-lb/octavo/localcloud/httpx"
	"github.com/octavo-lb/octavo/localcloud/state"
)

// own are the parameters of a list that are not equality with an attribute.
var own = []string{"tag", "sort", "visibility", "os_hidden", "member_status", "protected", "id", "name", "status",
	"container_format", "disk_format"}

// list answers images, newest first. Filters are those of Glance: tag, repeated for all of several; visibility, which also
// keeps community images of others from the list unless asked for; in:a,b for any of several; and any property by name.
func (s *Service) list(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	query, taken := httpx.TakeQuery(r, own...)
	if err := order(query, r.URL.Query()); err != nil {
		return err
	}
	images := state.List(s.state, func(i *Image) bool { return i.SeenBy(who) && i.fits(taken, who) && i.hasProperties(r.URL.Query()) })
	slices.Reverse(images)
	page, err := httpx.SelectQuery(query, images, httpx.Lenient)
	if err != nil {
		return err
	}
	answer := map[string]any{"first": "/v2/images", "schema": "/v2/schemas/images"}
	if marker := page.NextMarker(); marker != "" {
		next := r.URL.Query()
		next.Set("marker", marker)
		answer["next"] = "/v2/images?" + next.Encode()
	}
	rendered := []any{}
	for _, i := range page.Items {
		one, err := i.render()
		if err != nil {
			return err
		}
		rendered = append(rendered, one)
	}
	answer["images"] = rendered
	return httpx.Write(w, http.StatusOK, answer)
}

// order translates sort=name:asc,created_at and supplies Glance's default direction, which is descending.
func order(query httpx.Query, asked url.Values) error {
	keys, directions := asked["sort_key"], asked["sort_dir"]
	if sort := asked.Get("sort"); sort != "" {
		if len(keys) > 0 || len(directions) > 0 {
			return httpx.BadRequest("", "Old and new sorting syntax cannot be combined.")
		}
		for part := range strings.SplitSeq(sort, ",") {
			key, direction, _ := strings.Cut(strings.TrimSpace(part), ":")
			keys, directions = append(keys, key), append(directions, direction)
		}
	}
	for n := range keys {
		direction := "desc"
		if n < len(directions) && directions[n] != "" {
			direction = directions[n]
		} else if len(directions) == 1 {
			direction = directions[0]
		}
		if direction != "asc" && direction != "desc" {
			return httpx.BadRequest("", "Invalid sort direction: %s", direction)
		}
		if n < len(directions) {
			directions[n] = direction
		} else {
			directions = append(directions, direction)
		}
	}
	query.Set("sort_key", keys...)
	query.Set("sort_dir", directions...)
	return nil
}

func (i *Image) fits(asked url.Values, who httpx.Caller) bool {
	for _, tag := range asked["tag"] {
		if !slices.Contains(i.Tags, tag) {
			return false
		}
	}
	hidden := strings.EqualFold(asked.Get("os_hidden"), "true")
	return i.Hidden == hidden && i.fitsVisibility(asked.Get("visibility"), who) &&
		anyOf(asked, "id", i.ID) && anyOf(asked, "name", text(i.Name)) && anyOf(asked, "status", i.Status) &&
		anyOf(asked, "container_format", text(i.ContainerFormat)) && anyOf(asked, "disk_format", text(i.DiskFormat)) &&
		(!asked.Has("protected") || i.Protected == strings.EqualFold(asked.Get("protected"), "true"))
}

func (i *Image) fitsVisibility(asked string, who httpx.Caller) bool {
	switch asked {
	case "all":
		return true
	case "":
		return i.Visibility != "community" || i.Owner == who.ProjectID
	}
	return i.Visibility == asked
}

// anyOf understands in:a,b, with quotes around a value that has a comma.
func anyOf(asked url.Values, name, have string) bool {
	if !asked.Has(name) {
		return true
	}
	wanted, several := strings.CutPrefix(asked.Get(name), "in:")
	if !several {
		return have == wanted
	}
	for wanted != "" {
		var one string
		if quoted, ok := strings.CutPrefix(wanted, `"`); ok {
			one, wanted, _ = strings.Cut(quoted, `"`)
			wanted = strings.TrimPrefix(wanted, ",")
		} else {
			one, wanted, _ = strings.Cut(wanted, ",")
		}
		if one == have {
			return true
		}
	}
	return false
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// notProperties are the parameters of a list that name no property.
var notProperties = append([]string{"limit", "marker", "sort_key", "sort_dir", "owner", "size_min", "size_max", "checksum",
	"os_hash_value", "os_hash_algo", "min_disk", "min_ram", "size", "created_at", "updated_at", "virtual_size", "tags", "page_reverse", "fields"}, own...)

func (i *Image) hasProperties(asked url.Values) bool {
	for name, values := range asked {
		if !slices.Contains(notProperties, name) && i.Properties[name] != values[0] {
			return false
		}
	}
	return true
}
