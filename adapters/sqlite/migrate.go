package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
)

// ErrNewerSchema: a newer program wrote this file. Use that program, or delete the file: its rows are
// folded again from the ledger.
var ErrNewerSchema = errors.New("the file has a newer schema than this program knows")

// ErrOlderSchema: an older program wrote this file, and it was opened to be read only. Run this version's engine on it
// once, or delete the file: its rows are folded again from the ledger.
var ErrOlderSchema = errors.New("the file has an older schema than this program reads")

// migration is one step of the schema. Its number is kept in the file as user_version, in the same
// transaction as what it does, so a crash between two of them is harmless.
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

var errMisnumbered = errors.New("migrations are numbered without a gap")

// migrate brings the file to the schema of this program, forward only.
func migrate(ctx context.Context, conn *sql.Conn, files fs.FS) error {
	migrations, err := readMigrations(files)
	if err != nil {
		return err
	}
	return inTransaction(ctx, conn, func() error { // one writer at a time: a second process waits here
		var have int
		if err := conn.QueryRowContext(ctx, "PRAGMA user_version").Scan(&have); err != nil {
			return fmt.Errorf("read schema version: %w", err)
		}
		if have > len(migrations) {
			return fmt.Errorf("schema %d, this program knows %d: %w", have, len(migrations), ErrNewerSchema)
		}
		for _, m := range migrations[have:] {
			if _, err := conn.ExecContext(ctx, m.statements); err != nil {
				return fmt.Errorf("migration %s: %w", m.name, err)
			}
			if _, err := conn.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", m.number)); err != nil {
				return fmt.Errorf("migration %s: %w", m.name, err)
			}
		}
		return nil
	})
}

// checkSchema wants the file to have the schema of this program.
func checkSchema(ctx context.Context, conn *sql.Conn, files fs.FS) error {
	migrations, err := readMigrations(files)
	if err != nil {
		return err
	}
	var have int
	if err := conn.QueryRowContext(ctx, "PRAGMA user_version").Scan(&have); err != nil {
		return fmt.Errorf("read schema version: %w", err)
	}
	switch want := len(migrations); {
	case have > want:
		return fmt.Errorf("schema %d, this program knows %d: %w", have, want, ErrNewerSchema)
	case have < want:
		return fmt.Errorf("schema %d, this program reads %d: %w", have, want, ErrOlderSchema)
	}
	return nil
}
