package api

import (
	"errors"
	"io"
	"mime"
	"net/http"

	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/lb/attr"
	"github.com/octavo-lb/octavo/policy"
)

// defaultMaxBody is how long a request may be, as in oslo.middleware.
const defaultMaxBody = 114688

// body reads the object that a request wraps in one member, such as {"listener": {...}}. argument is the name that
// error messages have for the outer object.
func (c *call) body(argument, member string) (attr.Body, error) {
	raw, err := c.member(argument, member)
	if err != nil {
		return nil, err
	}
	return attr.ParseBody(argument+"."+member, raw)
}

// member reads the request's body and takes the one member out.
func (c *call) member(argument, member string) ([]byte, error) {
	raw, err := io.ReadAll(http.MaxBytesReader(c.w, c.Request.Body, c.maxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, lb.Refuse(lb.TooLarge, "Request is too large.")
	case err != nil:
		return nil, lb.Refuse(lb.InvalidInput, "The request's body could not be read: %v", err)
	case len(raw) == 0:
		return nil, lb.Refuse(lb.InvalidInput, `Missing argument: "%s"`, argument)
	}
	media, _, _ := mime.ParseMediaType(c.Header.Get("Content-Type"))
	switch media {
	case "application/json", "text/javascript", "application/javascript":
	default:
		return nil, lb.Refuse(lb.UnknownMedia, "Unknown mimetype: %s", media)
	}
	outer, err := attr.ParseBody(argument, raw)
	if err != nil {
		return nil, err
	}
	inner, ok := outer.Take(member)
	if err := outer.Empty(argument); err != nil {
		return nil, err
	}
	if !ok || inner == nil {
		return nil, &absentMember{member}
	}
	return inner, nil
}

// absentMember is the error of a body without the one member that it is for.
type absentMember struct{ name string }

func (a *absentMember) Error() string { return a.name + " is missing" }

// Unwrap is what the client is told.
func (a *absentMember) Unwrap() error {
	return attr.Invalid(a.name, "None", "Mandatory field missing.")
}

// allow asks the policy whether the caller may do what the action names to an object of that project.
func (s *Server) allow(c *call, resource, verb, projectID string) error {
	if s.may(c, resource, verb, projectID) {
		return nil
	}
	return forbidden
}

var forbidden = lb.Refuse(lb.Forbidden, "Policy does not allow this request to be performed.")

func (s *Server) may(c *call, resource, verb, projectID string) bool {
	who := policy.Caller{
		UserID: c.who.UserID, ProjectID: c.who.ProjectID, DomainID: c.who.DomainID, Roles: c.who.Roles,
		SystemScope: c.who.SystemScope, IsAdmin: c.who.IsAdmin,
	}
	return s.Policy.Allows(policy.Action(resource, verb), who, policy.Target{"project_id": projectID})
}
