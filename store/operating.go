package store

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/octavo-lb/octavo/lb"
)

// SetOperatingStatuses stores those observed statuses, by object id, that are not what the tree has.
func (tx *Tx) SetOperatingStatuses(ctx context.Context, tree *lb.Tree, statuses map[string]lb.OperatingStatus) error {
	for kind, known := range operatingStatuses(tree) {
		changed := map[string]lb.OperatingStatus{}
		for id, old := range known {
			if status, ok := statuses[id]; ok && status != old {
				changed[id] = status
			}
		}
		if len(changed) == 0 {
			continue
		}
		if err := tx.SetOperatingStatus(ctx, kind, changed); err != nil {
			return err
		}
	}
	return nil
}

// operatingStatuses are those that are stored, by id.
func operatingStatuses(t *lb.Tree) map[Kind]map[string]lb.OperatingStatus {
	return map[Kind]map[string]lb.OperatingStatus{
		LoadBalancer:  {t.LB.ID: t.LB.OperatingStatus},
		Listener:      statusesOf(t.Listeners),
		Pool:          statusesOf(t.Pools),
		Member:        statusesOf(t.Members),
		HealthMonitor: statusesOf(t.Monitors),
		L7Policy:      statusesOf(t.Policies),
		L7Rule:        statusesOf(t.Rules),
	}
}

func statusesOf[T Resource](objects []T) map[string]lb.OperatingStatus {
	statuses := make(map[string]lb.OperatingStatus, len(objects))
	for i := range objects {
		m := MetaOf(&objects[i])
		statuses[m.ID] = m.OperatingStatus
	}
	return statuses
}

// SetOperatingStatus stores observed statuses by object id. Ids that are gone are ignored.
func (tx *Tx) SetOperatingStatus(ctx context.Context, k Kind, status map[string]lb.OperatingStatus) error {
	t := tableOfKind(k)
	b, err := tx.locked()
	if t == nil || err != nil {
		return errors.Join(err, fmt.Errorf("cannot set the operating status of a %s", k))
	}
	ids := map[lb.OperatingStatus][]any{}
	for id, s := range status {
		ids[s] = append(ids[s], id)
	}
	for s, ids := range ids {
		for chunk := range slices.Chunk(ids, 1000) {
			args := append([]any{string(s), b.id, string(s)}, chunk...)
			changed, err := tx.r.exec(ctx, `UPDATE `+quote(t.name)+` SET "operating_status" = ? WHERE `+quote(t.owner)+
				` = ? AND "operating_status" <> ? AND "id" IN `+placeholders(len(chunk)), args...)
			if err != nil {
				return fmt.Errorf("cannot set the operating status of %s: %w", k, err)
			}
			b.news = b.news || changed > 0
		}
	}
	return nil
}
