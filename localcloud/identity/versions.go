package identity

import (
	"net/http"

	"github.com/octavo-lb/octavo/localcloud/httpx"
)

func version(r *http.Request) map[string]any {
	return map[string]any{
		"id": "v3.14", "status": "stable", "updated": "2020-04-07T00:00:00Z",
		"links":       []httpx.Link{{Rel: "self", Href: httpx.BaseURL(r) + "/v3/"}},
		"media-types": []map[string]string{{"base": "application/json", "type": "application/vnd.openstack.identity-v3+json"}},
	}
}

// showVersions answers 300: there would be a choice.
func (s *Service) showVersions(w http.ResponseWriter, r *http.Request) error {
	return httpx.Write(w, http.StatusMultipleChoices,
		map[string]any{"versions": map[string]any{"values": []any{version(r)}}})
}

func (s *Service) showVersion(w http.ResponseWriter, r *http.Request) error {
	return httpx.Write(w, http.StatusOK, map[string]any{"version": version(r)})
}
