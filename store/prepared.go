package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"strings"
)

// prepared makes SQLite connections that keep the statements they have parsed and planned, which takes longer than most
// take to run. PostgreSQL's driver does so by itself; MySQL gets each statement with its parameters written in.
type prepared struct{ driver.Connector }

// keptStatements bounds what a connection keeps; there are far fewer texts than that, but for inserts of many lengths.
const keptStatements = 200

// sqliteConn is what database/sql uses of the driver's connections.
type sqliteConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

func (p prepared) Connect(ctx context.Context) (driver.Conn, error) {
	c, err := p.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &preparedConn{sqliteConn: c.(sqliteConn), kept: map[string]*keptStatement{}}, nil
}

type preparedConn struct {
	sqliteConn
	kept map[string]*keptStatement
}

type keptStatement struct {
	driver.Stmt
	reading bool // its rows are not yet closed
}

func (c *preparedConn) QueryContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Rows, error) {
	s, err := c.statement(ctx, text)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return c.sqliteConn.QueryContext(ctx, text, args)
	}
	rows, err := s.Stmt.(driver.StmtQueryContext).QueryContext(ctx, args)
	if err != nil {
		return nil, err
	}
	s.reading = true
	return &keptRows{rows, s}, nil
}

func (c *preparedConn) ExecContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Result, error) {
	s, err := c.statement(ctx, text)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return c.sqliteConn.ExecContext(ctx, text, args)
	}
	return s.Stmt.(driver.StmtExecContext).ExecContext(ctx, args)
}

// statement finds or parses a statement; nil is one that is not kept: a change of the schema, or one that is being read.
func (c *preparedConn) statement(ctx context.Context, text string) (*keptStatement, error) {
	if s := c.kept[text]; s != nil {
		if s.reading {
			return nil, nil
		}
		return s, nil
	}
	if verb, _, _ := strings.Cut(text, " "); verb != "SELECT" && verb != "INSERT" && verb != "UPDATE" && verb != "DELETE" {
		return nil, nil
	}
	if len(c.kept) >= keptStatements {
		c.forgetOne()
	}
	s, err := c.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	c.kept[text] = &keptStatement{Stmt: s}
	return c.kept[text], nil
}

// forgetOne drops any statement; those in use come back at once.
func (c *preparedConn) forgetOne() {
	for text, s := range c.kept {
		if !s.reading {
			s.Close()
			delete(c.kept, text)
			return
		}
	}
}

func (c *preparedConn) Close() error {
	var errs []error
	for _, s := range c.kept {
		errs = append(errs, s.Close())
	}
	clear(c.kept)
	return errors.Join(append(errs, c.sqliteConn.Close())...)
}

// keptRows frees the statement when the rows are closed, which database/sql does at their end.
type keptRows struct {
	driver.Rows
	statement *keptStatement
}

func (r *keptRows) Close() error {
	r.statement.reading = false
	return r.Rows.Close()
}
