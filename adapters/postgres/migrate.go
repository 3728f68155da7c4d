package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

var (
	// ErrNewerSchema: a newer program brought the database to its schema. Use that program, or give this
	// one a database of its own: its rows are folded again from the ledger.
	ErrNewerSchema = errors.New("a newer program has changed the schema: use that program, or give this one a database of its own")
	// ErrOldServer: the server is too old.
	ErrOldServer = errors.New("the server is too old: use a newer PostgreSQL")

	errMisnumbered = errors.New("migrations are numbered without a gap")
)

// migrationLock keeps two programs that start at once from migrating at once: an advisory lock, whose
// number is nothing but unlikely to be somebody else's.
const migrationLock = 0x46696c6174757265 // "Filature"

// migration is one step of the schema.
type migration struct {
	number     int
	name       string
	statements string
}

func readMigrations(files fs.FS) ([]migration, error) {
	names, err := fs.Glob(files, "*.sql")
	if err != nil {
		return nil, fmt.Errorf("list migrations: %w", err)
	}
	slices.Sort(names)
	migrations := make([]migration, len(names))
	for i, name := range names {
		digits, _, _ := strings.Cut(name, "_")
		number, err := strconv.Atoi(digits)
		if err != nil || number != i+1 {
			return nil, fmt.Errorf("migration %s: want number %04d: %w", name, i+1, errMisnumbered)
		}
		statements, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, fmt.Errorf("read migration %s: %w", name, err)
		}
		migrations[i] = migration{number, name, string(statements)}
	}
	return migrations, nil
}

// setUp brings the database to the schema of this program, forward only, and lets the reader read. It is
// one transaction: a crash leaves the schema as it was.
func setUp(ctx context.Context, conn *pgx.Conn, files fs.FS, reader string) error {
	migrations, err := readMigrations(files)
	if err != nil {
		return err
	}
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if err := checkServer(ctx, tx); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", int64(migrationLock)); err != nil {
			return fmt.Errorf("wait for another program's migration: %w", err)
		}
		if err := migrate(ctx, tx, migrations); err != nil {
			return err
		}
		if reader == "" {
			return nil
		}
		if err := admit(ctx, tx, reader); err != nil {
			return fmt.Errorf("let %s read: %w", reader, err)
		}
		return nil
	})
}

func checkServer(ctx context.Context, tx pgx.Tx) error {
	var version int
	if err := tx.QueryRow(ctx, "SELECT current_setting('server_version_num')::integer / 10000").Scan(&version); err != nil {
		return fmt.Errorf("ask for the server's version: %w", err)
	}
	if version < oldestServer {
		return fmt.Errorf("it is version %d, want %d or newer: %w", version, oldestServer, ErrOldServer)
	}
	return nil
}

func migrate(ctx context.Context, tx pgx.Tx, migrations []migration) error {
	const registry = `CREATE TABLE filature.migrations (
		number integer PRIMARY KEY, name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())`
	have, registered, err := versionOf(ctx, tx)
	if err != nil {
		return fmt.Errorf("read schema version: %w", err)
	}
	if have > len(migrations) {
		return newerSchema(have, len(migrations))
	}
	if !registered {
		for _, statement := range []string{"CREATE SCHEMA IF NOT EXISTS filature", registry} {
			if _, err := tx.Exec(ctx, statement); err != nil {
				return fmt.Errorf("make schema filature: %w", err)
			}
		}
	}
	for _, m := range migrations[have:] {
		// Without parameters a string may hold many statements.
		if _, err := tx.Conn().PgConn().Exec(ctx, m.statements).ReadAll(); err != nil {
			return fmt.Errorf("migration %s: %w", m.name, err)
		}
		if _, err := tx.Exec(ctx, "INSERT INTO filature.migrations (number, name) VALUES ($1, $2)", m.number, m.name); err != nil {
			return fmt.Errorf("migration %s: %w", m.name, err)
		}
	}
	return nil
}

// Conditions of a role that another database's program makes at the same time.
const (
	uniqueViolation = "23505"
	duplicateObject = "42710"
)

// admit lets a role read finance and nothing else, and makes it if it is not there.
func admit(ctx context.Context, tx pgx.Tx, reader string) error {
	role := pgx.Identifier{reader}.Sanitize()
	var there bool
	if err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", reader).Scan(&there); err != nil {
		return err
	}
	if !there {
		var refused *pgconn.PgError
		err := pgx.BeginFunc(ctx, tx, func(tx pgx.Tx) error { // a savepoint
			_, err := tx.Exec(ctx, "CREATE ROLE "+role+" NOLOGIN")
			return err
		})
		// Roles are the server's, so our lock keeps nobody from making one in another database.
		if err != nil && (!errors.As(err, &refused) || refused.Code != uniqueViolation && refused.Code != duplicateObject) {
			return fmt.Errorf("make the role (or have it made by somebody who may): %w", err)
		}
	}
	for _, grant := range []string{"USAGE ON SCHEMA finance", "SELECT ON ALL TABLES IN SCHEMA finance", "EXECUTE ON ALL FUNCTIONS IN SCHEMA finance"} {
		if _, err := tx.Exec(ctx, "GRANT "+grant+" TO "+role); err != nil {
			return err
		}
	}
	return nil
}
