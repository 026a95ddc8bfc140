package image

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/octavo-lb/octavo/localcloud/httpx"
)

const (
	queued      = "queued" // has no content yet
	active      = "active"
	deactivated = "deactivated"
)

// Image is an image as it is kept. On the wire its properties stand beside the other attributes (render).
type Image struct {
	ID              string    `json:"id"`
	Name            *string   `json:"name"`
	Status          string    `json:"status"`
	Visibility      string    `json:"visibility"`
	Owner           string    `json:"owner"`
	Protected       bool      `json:"protected"`
	Hidden          bool      `json:"os_hidden"`
	Tags            []string  `json:"tags"`
	DiskFormat      *string   `json:"disk_format"`
	ContainerFormat *string   `json:"container_format"`
	MinDisk         int       `json:"min_disk"`
	MinRAM          int       `json:"min_ram"`
	Size            *int64    `json:"size"`
	VirtualSize     *int64    `json:"virtual_size"`
	Checksum        *string   `json:"checksum"` // MD5, which clients still show
	HashAlgo        *string   `json:"os_hash_algo"`
	HashValue       *string   `json:"os_hash_value"`
	CreatedAt       time.Time `json:"created_at"`
	UpdatedAt       time.Time `json:"updated_at"`

	Properties map[string]string `json:"properties"`
}

func (Image) Kind() string  { return "image" }
func (i Image) Key() string { return i.ID }

// Program is what an instance of the image runs, empty when it cannot run here.
func (i Image) Program() string { return i.Properties[ProgramProperty] }

// SeenBy tells whether the caller sees the image: everybody sees what is public or community, projects their own, admins all.
func (i *Image) SeenBy(who httpx.Caller) bool {
	return who.Sees(i.Owner) || i.Visibility == "public" || i.Visibility == "community"
}

// render answers the image in Glance's flat form.
func (i *Image) render() (map[string]any, error) {
	body, err := json.Marshal(i)
	if err != nil {
		return nil, err
	}
	flat := map[string]any{}
	if err := json.Unmarshal(body, &flat); err != nil {
		return nil, err
	}
	delete(flat, "properties")
	for name, value := range i.Properties {
		flat[name] = value
	}
	path := "/v2/images/" + i.ID
	flat["self"], flat["file"], flat["schema"] = path, path+"/file", "/v2/schemas/image"
	return flat, nil
}

// readOnly are the attributes that callers cannot set.
var readOnly = []string{"status", "size", "virtual_size", "checksum", "os_hash_algo", "os_hash_value", "created_at", "updated_at",
	"self", "file", "schema", "direct_url", "locations", "stores", "properties"}

var (
	diskFormats      = []string{"ami", "ari", "aki", "vhd", "vhdx", "vmdk", "raw", "qcow2", "vdi", "iso", "ploop"}
	containerFormats = []string{"ami", "ari", "aki", "bare", "ovf", "ova", "docker", "compressed"}
	visibilities     = []string{"private", "shared", "community", "public"}
)

// assign sets one attribute as the caller wrote it.
func (i *Image) assign(attribute string, value json.RawMessage, who httpx.Caller) error {
	switch attribute {
	case "id":
		return decodeID(value, &i.ID)
	case "name":
		return decodeInto(attribute, value, &i.Name)
	case "visibility":
		return i.publish(value, who)
	case "owner":
		return i.giveTo(value, who)
	case "protected":
		return decodeInto(attribute, value, &i.Protected)
	case "os_hidden":
		return decodeInto(attribute, value, &i.Hidden)
	case "min_disk":
		return decodeSize(attribute, value, &i.MinDisk)
	case "min_ram":
		return decodeSize(attribute, value, &i.MinRAM)
	case "disk_format":
		return decodeFormat(attribute, value, &i.DiskFormat, diskFormats)
	case "container_format":
		return decodeFormat(attribute, value, &i.ContainerFormat, containerFormats)
	case "tags":
		return i.decodeTags(value)
	}
	return i.assignProperty(attribute, value)
}

func (i *Image) assignProperty(name string, value json.RawMessage) error {
	if slices.Contains(readOnly, name) {
		return httpx.Forbidden("", "Attribute '%s' is read-only.", name)
	}
	if strings.HasPrefix(name, "os_glance") {
		return httpx.Forbidden("", "Attribute '%s' is reserved.", name)
	}
	if len(i.Properties) >= 128 {
		return httpx.Errorf(http.StatusRequestEntityTooLarge, "", "The limit of 128 properties has been exceeded.")
	}
	var text string
	if err := decodeInto(name, value, &text); err != nil {
		return err
	}
	i.Properties[name] = text
	return nil
}

func decodeInto(attribute string, value json.RawMessage, into any) error {
	if err := json.Unmarshal(value, into); err != nil {
		return httpx.BadRequest("", "Provided object does not match schema 'image': %s is not of the right type.", attribute)
	}
	return nil
}

func decodeID(value json.RawMessage, into *string) error {
	var text string
	if err := decodeInto("id", value, &text); err != nil {
		return err
	}
	id, err := uuid.Parse(text)
	if err != nil || id.String() != text {
		return httpx.BadRequest("", "Provided object does not match schema 'image': id is no UUID.")
	}
	*into = text
	return nil
}

func decodeSize(attribute string, value json.RawMessage, into *int) error {
	if err := decodeInto(attribute, value, into); err != nil {
		return err
	}
	if *into < 0 {
		return httpx.BadRequest("", "Provided object does not match schema 'image': %s is less than 0.", attribute)
	}
	return nil
}

func decodeFormat(attribute string, value json.RawMessage, into **string, allowed []string) error {
	if err := decodeInto(attribute, value, into); err != nil {
		return err
	}
	if *into != nil && !slices.Contains(allowed, **into) {
		return httpx.BadRequest("", "Provided object does not match schema 'image': %s is not one of %s.", attribute, strings.Join(allowed, ", "))
	}
	return nil
}

func (i *Image) publish(value json.RawMessage, who httpx.Caller) error {
	if err := decodeInto("visibility", value, &i.Visibility); err != nil {
		return err
	}
	if !slices.Contains(visibilities, i.Visibility) {
		return httpx.BadRequest("", "Provided object does not match schema 'image': visibility is not one of %s.", strings.Join(visibilities, ", "))
	}
	if i.Visibility == "public" && !who.IsAdmin {
		return httpx.Forbidden("", "You are not authorized to complete publicize_image action.")
	}
	return nil
}

func (i *Image) giveTo(value json.RawMessage, who httpx.Caller) error {
	var owner string
	if err := decodeInto("owner", value, &owner); err != nil {
		return err
	}
	if owner != i.Owner && !who.IsAdmin {
		return httpx.Forbidden("", "You are not permitted to create images owned by '%s'.", owner)
	}
	i.Owner = owner
	return nil
}

func (i *Image) decodeTags(value json.RawMessage) error {
	var tags []string
	if err := decodeInto("tags", value, &tags); err != nil {
		return err
	}
	i.Tags = []string{}
	for _, tag := range tags {
		if err := i.tag(tag); err != nil {
			return err
		}
	}
	return nil
}

func (i *Image) tag(tag string) error {
	if tag == "" || len(tag) > 255 {
		return httpx.BadRequest("", "Provided object does not match schema 'image': a tag has 1 to 255 characters.")
	}
	if len(i.Tags) >= 128 {
		return httpx.Errorf(http.StatusRequestEntityTooLarge, "", "The limit of 128 tags has been exceeded.")
	}
	if !slices.Contains(i.Tags, tag) {
		i.Tags = append(i.Tags, tag)
	}
	return nil
}

// remove takes a property away; other attributes cannot be removed.
func (i *Image) remove(attribute string) error {
	if _, ok := i.Properties[attribute]; !ok {
		return httpx.Conflict("", "Property %s does not exist.", attribute)
	}
	delete(i.Properties, attribute)
	return nil
}
