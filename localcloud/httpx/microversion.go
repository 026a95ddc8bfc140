package httpx

import (
	"fmt"
	"net/http"
	"strings"
)

// Microversion is an API version such as 2.79.
type Microversion struct{ Major, Minor int }

func (v Microversion) String() string { return fmt.Sprintf("%d.%d", v.Major, v.Minor) }

// AtLeast tells whether v is major.minor or newer.
func (v Microversion) AtLeast(major, minor int) bool {
	return v.Major > major || v.Major == major && v.Minor >= minor
}

// Microversions is the range that a service has.
type Microversions struct {
	Service  string // "compute": OpenStack-API-Version: compute 2.79
	Legacy   string // "X-OpenStack-Nova-API-Version", empty for none
	Min, Max Microversion
}

// Negotiate answers the version that the request asks for (Min when it asks for none, Max for "latest") and tells the
// client which one it got. It answers a 406 *Error for one out of the range and a 400 for what is no version.
func (m Microversions) Negotiate(w http.ResponseWriter, r *http.Request) (Microversion, error) {
	asked := m.asked(r.Header)
	version := m.Min
	switch {
	case asked == "latest":
		version = m.Max
	case asked != "":
		var err error
		if version, err = parseMicroversion(asked); err != nil {
			return version, BadRequest("", "API Version String %s is of invalid format. Must be of format MajorNum.MinorNum.", asked)
		}
	}
	if !version.AtLeast(m.Min.Major, m.Min.Minor) || !m.Max.AtLeast(version.Major, version.Minor) {
		return version, Errorf(http.StatusNotAcceptable, "",
			"Version %v is not supported by the API. Minimum is %v and maximum is %v.", version, m.Min, m.Max)
	}
	w.Header().Set("OpenStack-API-Version", m.Service+" "+version.String())
	w.Header().Add("Vary", "OpenStack-API-Version")
	if m.Legacy != "" {
		w.Header().Set(m.Legacy, version.String())
		w.Header().Add("Vary", m.Legacy)
	}
	return version, nil
}

func (m Microversions) asked(h http.Header) string {
	for _, value := range h.Values("OpenStack-API-Version") {
		for one := range strings.SplitSeq(value, ",") {
			if f := strings.Fields(one); len(f) == 2 && strings.EqualFold(f[0], m.Service) {
				return f[1]
			}
		}
	}
	if m.Legacy != "" {
		return h.Get(m.Legacy)
	}
	return ""
}

func parseMicroversion(s string) (v Microversion, err error) {
	var rest string
	if n, _ := fmt.Sscanf(s+" ", "%d.%d%s", &v.Major, &v.Minor, &rest); n != 2 {
		return v, fmt.Errorf("%q is no version", s)
	}
	return v, nil
}
