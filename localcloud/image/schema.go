package image

import (
	"net/http"

	"github.com/octavo-lb/octavo/localcloud/httpx"
)

func (s *Service) showVersions(w http.ResponseWriter, r *http.Request) error {
	version := map[string]any{"id": "v2.9", "status": "CURRENT",
		"links": []httpx.Link{{Rel: "self", Href: httpx.BaseURL(r) + "/v2/"}}}
	status := http.StatusMultipleChoices
	if r.URL.Path != "/" {
		status = http.StatusOK
	}
	return httpx.Write(w, status, map[string]any{"versions": []any{version}})
}

// showImport answers that content is uploaded, not imported.
func (s *Service) showImport(w http.ResponseWriter, _ *http.Request, _ httpx.Caller) error {
	return httpx.Write(w, http.StatusOK, map[string]any{"import-methods": map[string]any{
		"description": "Import methods available.", "type": "array", "value": []string{}}})
}

// attributes of an image by their JSON type; those in readOnly cannot be set.
var attributes = map[string]any{
	"id": "string", "name": []string{"null", "string"}, "status": "string", "visibility": "string", "owner": []string{"null", "string"},
	"protected": "boolean", "os_hidden": "boolean", "tags": "array", "disk_format": []string{"null", "string"},
	"container_format": []string{"null", "string"}, "min_disk": "integer", "min_ram": "integer", "size": []string{"null", "integer"},
	"virtual_size": []string{"null", "integer"}, "checksum": []string{"null", "string"}, "os_hash_algo": []string{"null", "string"},
	"os_hash_value": []string{"null", "string"}, "created_at": "string", "updated_at": "string", "self": "string", "file": "string", "schema": "string",
}

func imageSchema() map[string]any {
	properties := map[string]any{}
	for name, kind := range attributes {
		property := map[string]any{"type": kind}
		for _, r := range readOnly {
			if r == name {
				property["readOnly"] = true
			}
		}
		properties[name] = property
	}
	return map[string]any{"name": "image", "properties": properties, "additionalProperties": map[string]string{"type": "string"},
		"links": []map[string]string{{"rel": "self", "href": "{self}"}, {"rel": "enclosure", "href": "{file}"}, {"rel": "describedby", "href": "{schema}"}}}
}

func (s *Service) showImageSchema(w http.ResponseWriter, _ *http.Request, _ httpx.Caller) error {
	return httpx.Write(w, http.StatusOK, imageSchema())
}

func (s *Service) showImagesSchema(w http.ResponseWriter, _ *http.Request, _ httpx.Caller) error {
	return httpx.Write(w, http.StatusOK, map[string]any{"name": "images", "properties": map[string]any{
		"images": map[string]any{"type": "array", "items": imageSchema()}, "next": map[string]string{"type": "string"},
		"first": map[string]string{"type": "string"}, "schema": map[string]string{"type": "string"}},
		"links": []map[string]string{{"rel": "first", "href": "{first}"}, {"rel": "next", "href": "{next}"}, {"rel": "describedby", "href": "{schema}"}}})
}
