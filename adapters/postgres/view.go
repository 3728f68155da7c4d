package postgres

import (
	"context"
	"fmt"
	"iter"

	"github.com/jackc/pgx/v5"

	"github.com/filature/filature/projections"
)

// fetchRows is how many rows of a whole table are in memory at once: a fetch takes about a millisecond.
const fetchRows = 1000

// View shows one moment; see projections.Store.
func (s *Store) View(ctx context.Context, see func(projections.View) error) error {
	return s.read(ctx, func(v *view) error { return see(v) })
}

// read begins a transaction that sees one moment; its first query fixes it. What do returns is returned
// as it is.
func (s *Store) read(ctx context.Context, do func(*view) error) error {
	tx, err := s.reading.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return fmt.Errorf("begin to read: %w", explain(err))
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
		defer cancel()
		_ = tx.Rollback(ctx) // it has nothing to undo
	}()
	return do(&view{tx: tx})
}

// view is one moment. It is one goroutine's, as a connection is.
type view struct {
	tx      pgx.Tx
	cursors int // how many were opened: their names differ
}

func (v *view) Checkpoint(ctx context.Context, table projections.Table) (projections.Checkpoint, error) {
	all, err := readCheckpoints(ctx, v.tx)
	return all[tableName(table)], explain(err)
}

// Rows reads through a cursor, so that a reader may ask for something else between two rows, and may stop
// early at no cost.
func (v *view) Rows(ctx context.Context, table projections.Table) iter.Seq2[projections.Row, error] {
	return func(yield func(projections.Row, error) bool) {
		if err := v.eachRow(ctx, table, func(row projections.Row) bool { return yield(row, nil) }); err != nil {
			yield(nil, fmt.Errorf("read rows of %s: %w", table, explain(err)))
		}
	}
}

func (v *view) eachRow(ctx context.Context, table projections.Table, yield func(projections.Row) bool) error {
	return v.eachOf(ctx, table, selectStatement(table, tableName(table), inKeyOrder(table)), yield)
}

// eachOf yields the rows of a model that a query selects, some at a time.
func (v *view) eachOf(ctx context.Context, table projections.Table, query string, yield func(projections.Row) bool) error {
	v.cursors++
	cursor := fmt.Sprintf("rows_%d", v.cursors)
	conn := v.tx.Conn().PgConn()
	if _, err := conn.Exec(ctx, "DECLARE "+cursor+" NO SCROLL CURSOR FOR "+query).ReadAll(); err != nil {
		return err
	}
	row := table.New()
	columns := row.Columns(nil)
	fetch := fmt.Sprintf("FETCH %d FROM %s", fetchRows, cursor)
	for {
		fetched := conn.ExecParams(ctx, fetch, nil, nil, nil, binaryFormat).Read()
		if fetched.Err != nil {
			return fetched.Err
		}
		for _, values := range fetched.Rows {
			if err := setColumns(columns, values); err != nil {
				return err
			}
			if !yield(row) {
				return nil // the cursor ends with the view
			}
		}
		if len(fetched.Rows) < fetchRows {
			_, err := conn.Exec(ctx, "CLOSE "+cursor).ReadAll()
			return err
		}
	}
}
