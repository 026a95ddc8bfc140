// Package httpx holds the conventions that OpenStack's HTTP APIs share and in which they differ, for localcloud's
// services: routing with request ids, tokens to callers, each service's error bodies, list queries, microversions.
//
// A service makes one Router under its path prefix and registers handlers by net/http's patterns, written without the
// prefix. A handler returns its error instead of writing it:
//
//	r := httpx.NewRouter("/network", httpx.Neutron, tokens, logger)
//	r.Public("GET /", s.versions) // no token needed
//	r.Handle("GET /v2.0/ports/{id}", s.showPort)
//
//	func (s *Service) showPort(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
//		port, err := state.Get[Port](s.state, r.PathValue("id"))
//		if err != nil || !who.Sees(port.ProjectID) {
//			return httpx.NotFound("PortNotFound", "Port %s could not be found.", r.PathValue("id"))
//		}
//		return httpx.Write(w, http.StatusOK, map[string]any{"port": port})
//	}
//
// An *Error reaches the client in the service's form (Dialect); any other error is logged in full and shown as a plain
// 500. A body is read with Read, which refuses what is not JSON or too large. Absolute links start with BaseURL(r), the
// address that the client itself used.
//
// Lists:
//
//	page, err := httpx.Select(r, visiblePorts, httpx.Strict)    // filters, sort_key, sort_dir, limit, marker, page_reverse
//	return page.Write(w, "ports")                               // {"ports": [...], "ports_links": [...]}, honours fields
//
// Select compares the query's values with the fields that have that JSON name. A filter that means something else
// (fixed_ips=subnet_id=..., Nova's name as a pattern) is taken out first:
//
//	q, taken := httpx.TakeQuery(r, "fixed_ips")
//	page, err := httpx.SelectQuery(q, portsWith(taken["fixed_ips"]), httpx.Strict)
package httpx
