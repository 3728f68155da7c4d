package bigbooks

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/filature/filature/adapters/sqlite"
	"github.com/filature/filature/projections"
)

const (
	// rowsAtOnce go into a table by one statement. The widest row has fifty columns, and SQLite takes 32,766 parameters.
	rowsAtOnce = 100
	// hoursPerCommit are written in one go: then the pages that they changed go to disk, each once.
	hoursPerCommit = 24
)

// unsafely are what makes a file quick to write and worth nothing after a crash.
var unsafely = url.Values{"_pragma": {
	"journal_mode(OFF)", "synchronous(OFF)", "locking_mode(EXCLUSIVE)",
	"cache_size(-1048576)", // KiB: ids of jobs come in all over their index
}}

// file is a file that is being filled.
type file struct {
	path    string
	db      *sql.DB
	conn    *sql.Conn
	indexes []string // as they are to be made in the end
	inserts map[string]*sql.Stmt
	hours   int // since the last commit
}

// filling is the name of books that are not finished.
func filling(path string) string { return path + ".filling" }

func newFile(ctx context.Context, path string) (_ *file, err error) {
	f := &file{path: path, inserts: map[string]*sql.Stmt{}}
	defer func() {
		if err != nil {
			f.drop(ctx)
			err = fmt.Errorf("begin %s: %w", path, err)
		}
	}()
	for _, left := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(filling(path) + left); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
	store, err := sqlite.Open(ctx, filling(path)) // which makes the tables
	if err != nil {
		return nil, err
	}
	if err := store.Close(); err != nil {
		return nil, err
	}
	source := url.URL{Scheme: "file", Path: filepath.ToSlash(filling(path)), RawQuery: unsafely.Encode()}
	if f.db, err = sql.Open("sqlite", source.String()); err != nil {
		return nil, err
	}
	if f.conn, err = f.db.Conn(ctx); err != nil {
		return nil, err
	}
	if err := f.withoutIndexes(ctx); err != nil {
		return nil, err
	}
	return f, f.execute(ctx, "BEGIN")
}

func (f *file) execute(ctx context.Context, statement string) error {
	if _, err := f.conn.ExecContext(ctx, statement); err != nil {
		return fmt.Errorf("%s: %w", statement, err)
	}
	return nil
}

// withoutIndexes drops all indexes but the primary keys, and keeps how to make them.
func (f *file) withoutIndexes(ctx context.Context) error {
	found, err := f.conn.QueryContext(ctx, "SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL ORDER BY rowid")
	if err != nil {
		return err
	}
	defer found.Close()
	var names []string
	for found.Next() {
		var name, how string
		if err := found.Scan(&name, &how); err != nil {
			return err
		}
		names, f.indexes = append(names, name), append(f.indexes, how)
	}
	if err := found.Err(); err != nil {
		return err
	}
	for _, name := range names {
		if err := f.execute(ctx, "DROP INDEX "+name); err != nil {
			return err
		}
	}
	return nil
}

func (f *file) rows(ctx context.Context, changes []projections.Change) error {
	for _, change := range changes {
		if err := f.insert(ctx, change.Table, change.Rows); err != nil {
			return err
		}
	}
	if f.hours++; f.hours%hoursPerCommit == 0 {
		return f.commit(ctx)
	}
	return nil
}

func (f *file) commit(ctx context.Context) error {
	return errors.Join(f.execute(ctx, "COMMIT"), f.execute(ctx, "BEGIN"))
}

func (f *file) insert(ctx context.Context, table projections.Table, rows []projections.Row) error {
	var columns []projections.Column
	var values []any
	for len(rows) > 0 {
		some := rows[:min(rowsAtOnce, len(rows))]
		rows = rows[len(some):]
		values = values[:0]
		for _, row := range some {
			columns = row.Columns(columns[:0])
			for _, c := range columns {
				values = append(values, c.Value())
			}
		}
		if err := f.write(ctx, table, len(columns), len(some), values); err != nil {
			return fmt.Errorf("write rows of %s: %w", table, err)
		}
	}
	return nil
}

// write writes values as rows. The statement for rowsAtOnce is prepared once for each table.
func (f *file) write(ctx context.Context, table projections.Table, columns, rows int, values []any) error {
	row := "(" + strings.TrimSuffix(strings.Repeat("?,", columns), ",") + "),"
	all := strings.TrimSuffix(strings.Repeat(row, rows), ",")
	insert := fmt.Sprintf("INSERT INTO %s_v%d VALUES %s", table.Name, table.Version, all) //nolint:gosec // a table of ours
	if rows < rowsAtOnce {
		_, err := f.conn.ExecContext(ctx, insert, values...)
		return err
	}
	if f.inserts[table.Name] == nil {
		statement, err := f.conn.PrepareContext(ctx, insert) //nolint:sqlclosecheck // close closes it
		if err != nil {
			return err
		}
		f.inserts[table.Name] = statement
	}
	_, err := f.inserts[table.Name].ExecContext(ctx, values...)
	return err
}

func (f *file) finish(ctx context.Context, to projections.Checkpoint, tell Tell) error {
	if err := f.execute(ctx, "COMMIT"); err != nil {
		return err
	}
	for i, index := range f.indexes {
		if err := f.execute(ctx, index); err != nil {
			return err
		}
		tell("SQLite: indexes built", i+1, len(f.indexes))
	}
	if err := f.close(); err != nil {
		return err
	}
	store, err := sqlite.Open(ctx, filling(f.path))
	if err != nil {
		return err
	}
	if err := errors.Join(arrived(ctx, store, to), store.Close()); err != nil {
		return err
	}
	return os.Rename(filling(f.path), f.path)
}

func (f *file) close() error {
	var errs []error
	for _, statement := range f.inserts {
		errs = append(errs, statement.Close())
	}
	clear(f.inserts)
	if f.conn != nil {
		errs = append(errs, f.conn.Close())
	}
	if f.db != nil {
		errs = append(errs, f.db.Close())
	}
	f.conn, f.db = nil, nil
	return errors.Join(errs...)
}

// drop gives the file up. It is begun again next time.
func (f *file) drop(context.Context) { _ = f.close() }
