package store

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/octavo-lb/octavo/agentapi"
)

// ProgramPart is how long the parts are that an agent program is stored in, but for the last.
const ProgramPart = 512 << 10

const programMaterial = "agent program"

func partName(digest string, part int) string {
	return fmt.Sprintf("%s %s %d", programMaterial, digest, part)
}

// PutProgramPart stores a part of an agent program. It counts only when SetProgram names the whole.
func (s *Store) PutProgramPart(ctx context.Context, digest string, part int, data []byte) error {
	err := s.Write(ctx, func(tx *Tx) error { return tx.putMaterial(ctx, partName(digest, part), data) })
	if err != nil {
		return fmt.Errorf("cannot store an agent program: %w", err)
	}
	return nil
}

// SetProgram makes a program whose parts are stored the one that agents are to run, and drops the parts of others.
func (s *Store) SetProgram(ctx context.Context, p agentapi.Program) error {
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	err = s.Write(ctx, func(tx *Tx) error {
		if err := tx.putMaterial(ctx, programMaterial, text); err != nil {
			return err
		}
		_, err := tx.r.exec(ctx, `DELETE FROM "material" WHERE "name" LIKE ? AND NOT "name" LIKE ?`,
			programMaterial+" %", programMaterial+" "+p.Digest+" %")
		return err
	})
	if err != nil {
		return fmt.Errorf("cannot store which agent program is wanted: %w", err)
	}
	return nil
}

func (tx *Tx) putMaterial(ctx context.Context, name string, data []byte) error {
	_, err := tx.r.exec(ctx, insertMaterial+tx.r.dialect.onConflict([]string{"name"}, "data", "updated_at"), name, notNil(data), formatTime(tx.now))
	return err
}

// Program reads which program agents are to run. ErrNotFound when that is the one of their image.
func (s *Store) Program(ctx context.Context) (agentapi.Program, error) {
	var p agentapi.Program
	text, err := s.Material(ctx, programMaterial)
	if err == nil {
		err = json.Unmarshal(text, &p)
	}
	return p, err
}

// CopyProgram writes a program's parts. ErrNotFound when one is missing.
func (s *Store) CopyProgram(ctx context.Context, digest string, size int64, to io.Writer) error {
	for part := 0; int64(part)*ProgramPart < size; part++ {
		data, err := s.Material(ctx, partName(digest, part))
		if err == nil {
			_, err = to.Write(data)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// WantProgram has amphorae of the transaction's load balancer run a program; nil for the one that they do. No ids are all.
func (tx *Tx) WantProgram(ctx context.Context, p *agentapi.Program, ids ...string) error {
	b, err := tx.locked()
	if err != nil {
		return err
	}
	var wanted any
	if p != nil {
		text, err := json.Marshal(p)
		if err != nil {
			return err
		}
		wanted = string(text)
	}
	statement, args := `UPDATE "amphora" SET "wanted_program" = ? WHERE "loadbalancer_id" = ?`, []any{wanted, b.id}
	if len(ids) > 0 {
		condition, in := tx.r.dialect.isIn(quote("id"), ids)
		statement, args = statement+" AND "+condition, append(args, in...)
	}
	if _, err := tx.r.exec(ctx, statement, args...); err != nil {
		return fmt.Errorf("cannot choose the program of amphorae of load balancer %s: %w", b.id, err)
	}
	b.news = true
	return nil
}
