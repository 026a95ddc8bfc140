package api

import (
	"time"

	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/lb/attr"
	"github.com/octavo-lb/octavo/store"
)

// conditionsMember is not Octavia's: it says why an object has its provisioning status, and when the service tries again.
// Its name keeps out of the way of clients that know every attribute.
const conditionsMember = "octavo:conditions"

// appendConditions adds the conditions of one object that is shown by itself. What is in force needs no further look.
func (k *kind[T]) appendConditions(b []byte, s *Server, c *call, o *T) ([]byte, error) {
	m := k.meta(o)
	if m.ProvisioningStatus == lb.Active {
		return appendCondition(b, true, "InForce", "What was asked for is in force.", nil, nil), nil
	}
	lbID, err := k.owner(c, s, o)
	if err != nil {
		return nil, err
	}
	p, err := s.Store.Progress(c.Context(), lbID)
	if err != nil {
		return nil, k.absent(m.ID, err)
	}
	switch {
	case p.Failure != "":
		return appendCondition(b, false, "Failed", p.Failure, p.FailureAt, p.NextTryAt), nil
	case m.Told == lb.ProvError:
		return appendCondition(b, false, "Failed", "The load balancer's provider reports an error.", nil, nil), nil
	case m.Deleting:
		return appendCondition(b, false, "Deleting", "The object is being taken out of service.", m.UpdatedAt, nil), nil
	}
	return appendCondition(b, false, "Converging", "The last change is being brought in force.", m.UpdatedAt, nil), nil
}

// owner is the id of the object's load balancer.
func (k *kind[T]) owner(c *call, s *Server, o *T) (string, error) {
	if k.balancer != nil {
		return k.balancer(o), nil
	}
	id := k.meta(o).ID
	lbID, err := store.OwnerOf[T](c.Context(), s.Store, id)
	if err != nil {
		err = k.absent(id, err)
	}
	return lbID, err
}

func appendCondition(b []byte, holds bool, reason, message string, since, nextTry *time.Time) []byte {
	status := "False"
	if holds {
		status = "True"
	}
	b = append(attr.AppendName(b, conditionsMember), `[{"type":"InForce","status":"`+status+`","reason":"`+reason+`","message":`...)
	b = attr.AppendString(b, message)
	b = appendTime(append(b, `,"since":`...), since)
	b = appendTime(append(b, `,"next_try_at":`...), nextTry)
	return append(b, "}],"...)
}

func appendTime(b []byte, t *time.Time) []byte {
	if t == nil {
		return append(b, "null"...)
	}
	return append(t.UTC().AppendFormat(append(b, '"'), attr.TimeLayout), '"')
}
