package api

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/octavo-lb/octavo/lb/attr"
)

// versions are those of the API with their dates, the current one last (octavia/api/root_controller.py).
var versions = []string{
	"2016-12-11T00:00:00Z", "2018-04-20T00:00:00Z", "2018-07-31T00:00:00Z", "2018-12-18T00:00:00Z", "2018-12-19T00:00:00Z",
	"2019-01-21T00:00:00Z", "2019-01-25T00:00:00Z", "2018-01-25T12:00:00Z", "2019-02-12T00:00:00Z", "2019-03-04T00:00:00Z",
	"2019-03-05T00:00:00Z", "2019-06-24T00:00:00Z", "2019-09-11T00:00:00Z", "2019-09-13T00:00:00Z", "2019-11-10T00:00:00Z",
	"2020-03-10T00:00:00Z", "2020-03-15T00:00:00Z", "2020-04-29T00:00:00Z", "2020-04-29T01:00:00Z", "2020-05-12T00:00:00Z",
	"2020-08-02T00:00:00Z", "2020-09-03T00:00:00Z", "2020-09-04T00:00:00Z", "2020-09-07T00:00:00Z", "2020-10-15T00:00:00Z",
	"2021-10-02T00:00:00Z", "2022-08-29T00:00:00Z", "2023-05-05T00:00:00Z", "2023-11-08T00:00:00Z", "2024-10-15T00:00:00Z",
	"2025-02-26T00:00:00Z",
}

// showVersions needs no token: clients ask it first.
func (s *Server) showVersions(c *call) error {
	if c.Method != http.MethodGet && c.Method != http.MethodHead {
		return s.notAllowed(c.Method)
	}
	b := []byte(`{"versions":[`)
	for i, updated := range versions {
		status := "SUPPORTED"
		if i == len(versions)-1 {
			status = "CURRENT"
		}
		b = append(b, `{"id":"v2.`...)
		b = strconv.AppendInt(b, int64(i), 10)
		b = append(b, `","status":"`+status+`","updated":"`+updated+`","links":[{"href":`...)
		b = attr.AppendString(b, c.base+"v2")
		b = append(b, `,"rel":"self"}]},`...)
	}
	return c.write(http.StatusOK, append(attr.Close(b, ']'), '}'))
}

// clientBase is the URL of the API's root as the client sees it, through proxies that say what they do.
func (s *Server) clientBase(r *http.Request) string {
	if s.BaseURI != "" {
		return strings.TrimSuffix(s.BaseURI, "/") + "/"
	}
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	if proto := firstOf(r, "X-Forwarded-Proto"); proto == "http" || proto == "https" {
		scheme = proto
	}
	host := r.Host
	if h := firstOf(r, "X-Forwarded-Host"); h != "" {
		host = h
	}
	if port := firstOf(r, "X-Forwarded-Port"); port != "" && !strings.Contains(host, ":") && !isDefaultPort(scheme, port) {
		host += ":" + port
	}
	prefix := strings.Trim(firstOf(r, "X-Forwarded-Prefix"), "/")
	if prefix == "" && strings.HasPrefix(r.URL.Path, s.BasePath) {
		prefix = strings.Trim(s.BasePath, "/")
	}
	if prefix != "" {
		prefix += "/"
	}
	return scheme + "://" + host + "/" + prefix
}

func isDefaultPort(scheme, port string) bool {
	return scheme == "http" && port == "80" || scheme == "https" && port == "443"
}

// firstOf is what the proxy nearest to the client said.
func firstOf(r *http.Request, header string) string {
	first, _, _ := strings.Cut(r.Header.Get(header), ",")
	return strings.TrimSpace(first)
}
