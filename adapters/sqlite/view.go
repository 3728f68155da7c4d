package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"iter"

	"github.com/filature/filature/projections"
)

// View shows one moment; see projections.Store.
func (s *Store) View(ctx context.Context, see func(projections.View) error) error {
	return s.read(ctx, func(tx *sql.Tx) error { return see(view{moment{tx: tx}}) })
}

// read runs queries on one moment: the first of them fixes it.
func (s *Store) read(ctx context.Context, do func(*sql.Tx) error) error {
	tx, err := s.reading.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return fmt.Errorf("begin to read: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // it has nothing to undo
	return do(tx)
}

type view struct{ tx moment }

// moment is a transaction that only reads. A test may listen to what it is asked.
type moment struct {
	tx    *sql.Tx
	asked func(statement string, args []any)
}

func (m moment) heard(statement string, args []any) {
	if m.asked != nil {
		m.asked(statement, args)
	}
}

// QueryContext asks for rows.
func (m moment) QueryContext(ctx context.Context, statement string, args ...any) (*sql.Rows, error) {
	m.heard(statement, args)
	return m.tx.QueryContext(ctx, statement, args...)
}

// QueryRowContext asks for one row.
func (m moment) QueryRowContext(ctx context.Context, statement string, args ...any) *sql.Row {
	m.heard(statement, args)
	return m.tx.QueryRowContext(ctx, statement, args...)
}

func (v view) Checkpoint(ctx context.Context, table projections.Table) (projections.Checkpoint, error) {
	all, err := readCheckpoints(ctx, v.tx)
	return all[tableName(table)], err
}

func (v view) Rows(ctx context.Context, table projections.Table) iter.Seq2[projections.Row, error] {
	return rows(ctx, v.tx, table, selectStatement(table, tableName(table), inKeyOrder(table)))
}

// rows yields what a query selects, all columns of the table. The row is the same one each time.
func rows(ctx context.Context, from querier, table projections.Table, query string, args ...any) iter.Seq2[projections.Row, error] {
	return func(yield func(projections.Row, error) bool) {
		fail := func(err error) { yield(nil, fmt.Errorf("read rows of %s: %w", table, err)) }
		found, err := from.QueryContext(ctx, query, args...)
		if err != nil {
			fail(err)
			return
		}
		defer found.Close()
		row := table.New()
		columns := row.Columns(nil)
		values := newValues(len(columns))
		for found.Next() {
			if err := found.Scan(values.pointers...); err != nil {
				fail(err)
				return
			}
			if err := setColumns(columns, values.read); err != nil {
				fail(err)
				return
			}
			if !yield(row, nil) {
				return
			}
		}
		if err := found.Err(); err != nil {
			fail(err)
		}
	}
}

// querier is a connection or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// readCheckpoints returns where all models stand, by tableName.
func readCheckpoints(ctx context.Context, from querier) (map[string]projections.Checkpoint, error) {
	rows, err := from.QueryContext(ctx, `SELECT model, version, shard, ledger_offset, intake_offset FROM checkpoints ORDER BY shard`)
	if err != nil {
		return nil, fmt.Errorf("read checkpoints: %w", err)
	}
	defer rows.Close()
	all := map[string]projections.Checkpoint{}
	for rows.Next() {
		var table projections.Table
		var shard int
		var p projections.Progress
		if err := rows.Scan(&table.Name, &table.Version, &shard, &p.Ledger, &p.Intake); err != nil {
			return nil, fmt.Errorf("read checkpoints: %w", err)
		}
		at := all[tableName(table)]
		for len(at) < shard { // no entry of the shards between was ever folded
			at = append(at, projections.Progress{})
		}
		all[tableName(table)] = append(at, p)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read checkpoints: %w", err)
	}
	return all, nil
}

// values are where database/sql puts what it read.
type values struct{ read, pointers []any }

func newValues(n int) values {
	v := values{make([]any, n), make([]any, n)}
	for i := range v.read {
		v.pointers[i] = &v.read[i]
	}
	return v
}

func setColumns(columns []projections.Column, values []any) error {
	for i, c := range columns {
		if err := c.Set(values[i]); err != nil {
			return err
		}
	}
	return nil
}
