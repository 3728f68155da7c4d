// Package sqlite knows how to keep the rows of read models in one SQLite file, and how to answer the
// questions that people and programs ask of them.
//
// It writes through one connection, whose owner is the Store's mutex, and reads through others, each of
// which sees one moment for as long as it looks (write-ahead log). Commits are not synced one by one: a
// power cut may take back the latest ones, whole and in order, and then the ledger, which is synced, has
// what it takes to make them again. What matters is that rows and checkpoint go back together, and they do.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"sync"

	_ "modernc.org/sqlite" // the driver

	"github.com/filature/filature/projections"
	sqliteschema "github.com/filature/filature/schemas/sql/sqlite"
)

// readers bounds how many views are open at once; further ones wait. Each may use a core.
const readers = 4

// Store keeps read models in a file. It implements projections.Store.
type Store struct {
	path    string
	writing *sql.DB
	reading *sql.DB

	mu         sync.Mutex // owns what follows
	closed     bool
	writer     *sql.Conn
	statements map[string]*sql.Stmt // on writer
}

var _ projections.Store = (*Store)(nil)

// Open opens the file, makes it if there is none, and brings its schema up to date. It is ErrNewerSchema
// where a newer program was here.
func Open(ctx context.Context, path string) (*Store, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open projections %s: %w", path, err)
	}
	s := &Store{path: absolute, statements: map[string]*sql.Stmt{}}
	if err := s.open(ctx, "NORMAL"); err != nil {
		return nil, errors.Join(fmt.Errorf("open projections %s: %w", absolute, err), s.Close())
	}
	return s, nil
}

// OpenScratch opens a file that nobody misses: nothing of it is waited for, and after a crash it may be no database any
// more. It is for rows that are compared once and thrown away.
func OpenScratch(ctx context.Context, path string) (*Store, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open scratch file %s: %w", path, err)
	}
	s := &Store{path: absolute, statements: map[string]*sql.Stmt{}}
	if err := s.open(ctx, "OFF"); err != nil {
		return nil, errors.Join(fmt.Errorf("open scratch file %s: %w", absolute, err), s.Close())
	}
	return s, nil
}

func (s *Store) open(ctx context.Context, synchronous string) (err error) {
	if s.writing, err = sql.Open("sqlite", dataSource(s.path,
		"journal_mode(WAL)",
		"synchronous("+synchronous+")",
		"temp_store(MEMORY)",       // what a statement would need to undo itself
		"busy_timeout(10000)",      // ms; another process's commit takes less
		"cache_size(-65536)",       // KiB: the upper levels of the large trees
		"wal_autocheckpoint(8192)", // pages: copying back less often is cheaper
	)); err != nil {
		return err
	}
	if s.writer, err = s.writing.Conn(ctx); err != nil {
		return err
	}
	if err := migrate(ctx, s.writer, sqliteschema.Migrations); err != nil {
		return err
	}
	s.reading, err = sql.Open("sqlite", dataSource(s.path, "query_only(1)", "busy_timeout(10000)"))
	if err != nil {
		return err
	}
	s.reading.SetMaxOpenConns(readers)
	s.reading.SetMaxIdleConns(readers)
	return nil
}

// OpenReadOnly opens a file to read it, and changes nothing in it: Load, View and the questions work, writing fails. It is
// ErrOlderSchema or ErrNewerSchema where another program's schema is there.
func OpenReadOnly(ctx context.Context, path string) (*Store, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open projections %s to read: %w", path, err)
	}
	s := &Store{path: absolute, statements: map[string]*sql.Stmt{}}
	if err := s.openToRead(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open projections %s to read: %w", absolute, err), s.Close())
	}
	return s, nil
}

func (s *Store) openToRead(ctx context.Context) (err error) {
	source := dataSource(s.path, "query_only(1)", "busy_timeout(10000)") + "&mode=ro" // which makes no file
	if s.writing, err = sql.Open("sqlite", source); err != nil {
		return err
	}
	if s.writer, err = s.writing.Conn(ctx); err != nil {
		return err
	}
	if err := checkSchema(ctx, s.writer, sqliteschema.Migrations); err != nil {
		return err
	}
	if s.reading, err = sql.Open("sqlite", source); err != nil {
		return err
	}
	s.reading.SetMaxOpenConns(readers)
	s.reading.SetMaxIdleConns(readers)
	return nil
}

func dataSource(path string, pragmas ...string) string {
	query := url.Values{"_pragma": pragmas}
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: query.Encode()}).String()
}

// Close waits for what is under way, and closes the file. Closing again does nothing.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	var errs []error
	for _, statement := range s.statements {
		errs = append(errs, statement.Close())
	}
	clear(s.statements)
	if s.reading != nil {
		errs = append(errs, s.reading.Close())
	}
	if s.writer != nil {
		errs = append(errs, s.writer.Close())
	}
	if s.writing != nil {
		errs = append(errs, s.writing.Close())
	}
	return errors.Join(errs...)
}

// prepare returns a statement of the writer, which stays open until Close; it needs mu.
func (s *Store) prepare(ctx context.Context, query string) (*sql.Stmt, error) {
	if statement, ok := s.statements[query]; ok {
		return statement, nil
	}
	statement, err := s.writer.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	s.statements[query] = statement
	return statement, nil
}

// execute runs a statement that will be run again; it needs mu.
func (s *Store) execute(ctx context.Context, query string, args ...any) error {
	statement, err := s.prepare(ctx, query) //nolint:sqlclosecheck // Close closes it
	if err != nil {
		return err
	}
	_, err = statement.ExecContext(ctx, args...)
	return err
}

// Load fills rows; see projections.Store.
func (s *Store) Load(ctx context.Context, table projections.Table, rows []projections.Row) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := chunks(rows, func(some []projections.Row) error { return s.load(ctx, table, some) }); err != nil {
		return fmt.Errorf("load rows of %s: %w", table, err)
	}
	return nil
}

func (s *Store) load(ctx context.Context, table projections.Table, rows []projections.Row) error {
	statement, err := s.prepare(ctx, loadStatement(table, len(rows))) //nolint:sqlclosecheck // Close closes it
	if err != nil {
		return err
	}
	var columns []projections.Column
	keys := make([]any, 0, len(rows)*table.KeyColumns)
	for _, row := range rows {
		columns = row.Columns(columns[:0])
		for _, c := range columns[:table.KeyColumns] {
			keys = append(keys, c.Value())
		}
	}
	found, err := statement.QueryContext(ctx, keys...)
	if err != nil {
		return err
	}
	defer found.Close()
	var place int64
	values := newValues(1 + len(columns))
	for found.Next() {
		if err := found.Scan(values.pointers...); err != nil {
			return err
		}
		place, _ = values.read[0].(int64)
		columns = rows[place].Columns(columns[:0])
		if err := setColumns(columns, values.read[1:]); err != nil {
			return err
		}
	}
	return found.Err()
}

// Commit writes changes; see projections.Store.
func (s *Store) Commit(ctx context.Context, changes []projections.Change) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return inTransaction(ctx, s.writer, func() error {
		standing, err := readCheckpoints(ctx, s.writer)
		if err != nil {
			return err
		}
		for _, change := range changes {
			if !standing[tableName(change.Table)].Equal(change.From) {
				return fmt.Errorf("commit %s: %w", change.Table, projections.ErrConflict)
			}
			if err := s.write(ctx, change); err != nil {
				return fmt.Errorf("commit %s: %w", change.Table, err)
			}
		}
		return nil
	})
}

const writeCheckpoint = `INSERT OR REPLACE INTO checkpoints
	(model, version, shard, ledger_offset, intake_offset) VALUES (?, ?, ?, ?, ?)`

// write writes the rows and the checkpoint of one model; it needs mu and a transaction.
func (s *Store) write(ctx context.Context, change projections.Change) error {
	err := chunks(change.Rows, func(some []projections.Row) error { return s.insert(ctx, change.Table, some) })
	if err != nil {
		return err
	}
	for shard, p := range change.To {
		if shard < len(change.From) && p == change.From[shard] {
			continue
		}
		if err := s.execute(ctx, writeCheckpoint, change.Table.Name, change.Table.Version, shard, p.Ledger, p.Intake); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) insert(ctx context.Context, table projections.Table, rows []projections.Row) error {
	var columns []projections.Column
	var args []any
	for _, row := range rows {
		columns = row.Columns(columns[:0])
		for _, c := range columns {
			args = append(args, c.Value())
		}
	}
	return s.execute(ctx, insertStatement(table, len(rows)), args...)
}

// Forget throws rows away; see projections.Store.
func (s *Store) Forget(ctx context.Context, table projections.Table) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := inTransaction(ctx, s.writer, func() error {
		if err := s.execute(ctx, fmt.Sprintf("DELETE FROM %s", tableName(table))); err != nil {
			return err
		}
		return s.execute(ctx, "DELETE FROM checkpoints WHERE model = ? AND version = ?", table.Name, table.Version)
	})
	if err != nil {
		return fmt.Errorf("forget %s: %w", table, err)
	}
	return nil
}

// Publish points the view of a model at this version; see projections.Store.
func (s *Store) Publish(ctx context.Context, table projections.Table) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	//nolint:unqueryvet // all of a table is what the view is for
	view := fmt.Sprintf("CREATE VIEW %s AS SELECT * FROM %s", table.Name, tableName(table))
	var published string
	err := s.writer.QueryRowContext(ctx, "SELECT sql FROM sqlite_schema WHERE type = 'view' AND name = ?", table.Name).Scan(&published)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("publish %s: %w", table, err)
	}
	if published == view {
		return nil
	}
	err = inTransaction(ctx, s.writer, func() error {
		statements := []string{"DROP VIEW IF EXISTS " + table.Name, view}
		for older := 1; older < table.Version; older++ {
			statements = append(statements, "DROP TABLE IF EXISTS "+tableName(projections.Table{Name: table.Name, Version: older}))
		}
		for _, statement := range statements {
			if _, err := s.writer.ExecContext(ctx, statement); err != nil {
				return err
			}
		}
		_, err := s.writer.ExecContext(ctx, "DELETE FROM checkpoints WHERE model = ? AND version < ?", table.Name, table.Version)
		return err
	})
	if err != nil {
		return fmt.Errorf("publish %s: %w", table, err)
	}
	return nil
}

// inTransaction does all or nothing. The write lock is taken first, so that what is read inside is still
// so at the commit.
func inTransaction(ctx context.Context, conn *sql.Conn, do func() error) error {
	if _, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	err := do()
	if err == nil {
		if _, err = conn.ExecContext(ctx, "COMMIT"); err == nil {
			return nil
		}
		err = fmt.Errorf("commit: %w", err)
	}
	// The connection must be usable again even where the context has ended. Where the database has
	// rolled back by itself there is nothing to roll back, which is an error that says nothing new.
	_, _ = conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
	return err
}
