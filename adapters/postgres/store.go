// Package postgres knows how to keep the rows of read models in PostgreSQL, how to answer the questions
// that people and programs ask of them, and what finance may see of them (schema finance).
//
// Any number of processes may fold into one database: a commit begins by locking the checkpoints of its
// models and comparing them with where its rows were loaded, so of two appliers one writes and the other
// is told ErrConflict, however long it slept. Rows and checkpoint are one transaction. Views are
// transactions of their own that see one moment and hold nobody up.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/filature/filature/projections"
)

const (
	// rollbackTimeout bounds how long a transaction is taken back for. Then the connection is dropped,
	// which takes it back too.
	rollbackTimeout = 5 * time.Second
	// publishLockTimeout bounds how long Publish waits for readers of the old version. While it waits, new
	// readers wait behind it.
	publishLockTimeout = "5s"
)

var errMalformed = errors.New("the server sent what it was not asked for")

// Store keeps read models in a database. It implements projections.Store and projections.Source.
type Store struct {
	// Readers have connections of their own, so that many of them can't keep the applier from its work.
	writing, reading *pgxpool.Pool
}

var (
	_ projections.Store  = (*Store)(nil)
	_ projections.Source = (*Store)(nil)
)

// Close waits for what is under way and closes all connections. Closing again does nothing.
func (s *Store) Close() {
	for _, pool := range []*pgxpool.Pool{s.writing, s.reading} {
		if pool != nil { // Open has failed before it was made
			pool.Close()
		}
	}
}

// Load fills rows; see projections.Store. It takes one round trip.
func (s *Store) Load(ctx context.Context, table projections.Table, rows []projections.Row) error {
	if len(rows) == 0 {
		return nil
	}
	err := s.writing.AcquireFunc(ctx, func(conn *pgxpool.Conn) error { return load(ctx, conn.Conn(), table, rows) })
	if err != nil {
		return fmt.Errorf("load rows of %s: %w", table, explain(err))
	}
	return nil
}

func load(ctx context.Context, conn *pgx.Conn, table projections.Table, rows []projections.Row) error {
	keys := columnArrays(rows, table.KeyColumns)
	// Not prepared: tables grow fast, and a plan that was made for a small one reads all of a large one.
	found := conn.PgConn().ExecParams(ctx, loadStatement(table), keys, nil, binaryFormat, binaryFormat)
	err := fill(rows, found)
	_, failed := found.Close()
	return errors.Join(failed, err)
}

func fill(rows []projections.Row, found *pgconn.ResultReader) error {
	var columns []projections.Column
	for found.NextRow() {
		values := found.Values()
		place, err := readBigint(values[0])
		if err != nil {
			return err
		}
		columns = rows[place-1].Columns(columns[:0])
		if err := setColumns(columns, values[1:]); err != nil {
			return err
		}
	}
	return nil
}

// Commit writes changes; see projections.Store. The server writes one model's rows while the next one's
// are made ready.
func (s *Store) Commit(ctx context.Context, changes []projections.Change) error {
	err := inTransaction(ctx, s.writing, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) error {
		standing, err := lockCheckpoints(ctx, tx, changes)
		if err != nil {
			return err
		}
		for _, change := range changes {
			if at := standing[tableName(change.Table)]; !at.Equal(change.From) {
				return fmt.Errorf("%s stands at %v, not at %v: %w", change.Table, at.Cut(), change.From.Cut(), projections.ErrConflict)
			}
		}
		return write(ctx, tx.Conn(), changes)
	})
	if err != nil {
		return fmt.Errorf("commit: %w", explain(err))
	}
	return nil
}

// written is one statement of a commit, with all its rows.
type written struct {
	what      string
	statement *pgconn.StatementDescription
	rows      []projections.Row
	columns   int
}

// write sends rows and checkpoints, and then sees how all that went. Each statement ends with a sync, so
// that the server sees a writer that stops in the middle as idle: see stalledWriter.
func write(ctx context.Context, conn *pgx.Conn, changes []projections.Change) error {
	all := make([]written, 0, len(changes)+1)
	add := func(what, query string, rows []projections.Row) error {
		if len(rows) == 0 {
			return nil
		}
		statement, err := conn.Prepare(ctx, query, query) // the connection keeps it
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		all = append(all, written{what, statement, rows, len(statement.ParamOIDs)})
		return nil
	}
	for _, change := range changes {
		if err := add(change.Table.String(), insertStatement(change.Table), change.Rows); err != nil {
			return err
		}
	}
	if err := add("checkpoints", moveStatement, moves(changes)); err != nil {
		return err
	}
	pipeline := conn.PgConn().StartPipeline(ctx)
	err := send(pipeline, all)
	return errors.Join(err, pipeline.Close())
}

func send(pipeline *pgconn.Pipeline, all []written) error {
	for _, w := range all {
		pipeline.SendQueryPrepared(w.statement.Name, columnArrays(w.rows, w.columns), binaryFormat, nil)
		if err := pipeline.Sync(); err != nil {
			return fmt.Errorf("%s: %w", w.what, err)
		}
	}
	for _, w := range all {
		if err := succeeded(pipeline); err != nil {
			return fmt.Errorf("%s: %w", w.what, err) // the rest fails because of it, which Close reads over
		}
	}
	return nil
}

// succeeded reads how one statement and its sync went.
func succeeded(pipeline *pgconn.Pipeline) error {
	for {
		result, err := pipeline.GetResults()
		if err != nil {
			return err
		}
		switch result := result.(type) {
		case *pgconn.ResultReader:
			if _, err := result.Close(); err != nil {
				return err
			}
		case *pgconn.PipelineSync:
			return nil
		default:
			return fmt.Errorf("%T: %w", result, errMalformed)
		}
	}
}

// Forget throws rows away; see projections.Store. It waits for whoever is writing them.
func (s *Store) Forget(ctx context.Context, table projections.Table) error {
	err := inTransaction(ctx, s.writing, pgx.TxOptions{}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "DELETE FROM filature.checkpoints WHERE model = $1 AND version = $2", table.Name, table.Version); err != nil {
			return err
		}
		// TRUNCATE is faster, but an open view would no longer see its moment.
		_, err := tx.Exec(ctx, "DELETE FROM "+tableName(table))
		return err
	})
	if err != nil {
		return fmt.Errorf("forget %s: %w", table, explain(err))
	}
	return nil
}

// Publish points the view of a model at this version; see projections.Store. All that is made of the
// view, finance's views among it, follows. It fails if somebody reads the old version for long.
func (s *Store) Publish(ctx context.Context, table projections.Table) error {
	err := s.publish(ctx, table)
	if err != nil {
		return fmt.Errorf("publish %s: %w", table, explain(err))
	}
	return nil
}

func (s *Store) publish(ctx context.Context, table projections.Table) error {
	const query = "SELECT version FROM filature.published WHERE model = $1"
	var version int
	if err := s.writing.QueryRow(ctx, query, table.Name).Scan(&version); err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return err
	}
	if version == table.Version {
		return nil
	}
	return inTransaction(ctx, s.writing, pgx.TxOptions{}, func(tx pgx.Tx) error {
		batch := &pgx.Batch{}
		batch.Queue("SET LOCAL lock_timeout = '" + publishLockTimeout + "'")
		batch.Queue(`INSERT INTO filature.published (model, version) VALUES ($1, $2)
			ON CONFLICT (model) DO UPDATE SET version = excluded.version`, table.Name, table.Version)
		batch.Queue("DELETE FROM filature.checkpoints WHERE model = $1 AND version < $2", table.Name, table.Version)
		batch.Queue("CREATE OR REPLACE VIEW " + viewName(table) + " AS " + selectStatement(table, tableName(table), ""))
		for older := 1; older < table.Version; older++ {
			batch.Queue("DROP TABLE IF EXISTS " + tableName(projections.Table{Name: table.Name, Version: older}))
		}
		return tx.SendBatch(ctx, batch).Close()
	})
}

// inTransaction does all or nothing.
func inTransaction(ctx context.Context, pool *pgxpool.Pool, options pgx.TxOptions, do func(pgx.Tx) error) error {
	tx, err := pool.BeginTx(ctx, options)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	if err = do(tx); err == nil {
		return tx.Commit(ctx) // which gives the connection back, whatever it returns
	}
	// The context may have ended. If this fails too, the connection is dropped, and the server rolls back.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
	defer cancel()
	_ = tx.Rollback(ctx)
	return err
}
