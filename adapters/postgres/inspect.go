package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	postgresschema "github.com/filature/filature/schemas/sql/postgres"
)

// SchemaVersion tells which schema a database has, 0 for none, and which one Open would bring it to. It changes
// nothing. It is ErrNewerSchema where a newer program was here, and ErrOldServer where Open would refuse the
// server. An error that an operator can do something about says what.
func SchemaVersion(ctx context.Context, c Config) (have, want int, err error) {
	config, err := pgx.ParseConfig(c.URL)
	if err != nil {
		return 0, 0, fmt.Errorf("look at the schema: %w", err) // pgx takes the password out of it
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectTimeout
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("look at the schema in PostgreSQL at %s:%d/%s: %w", config.Host, config.Port, config.Database, explain(err))
		}
	}()
	migrations, err := readMigrations(postgresschema.Migrations)
	if err != nil {
		return 0, 0, err
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // it has nothing to lose
	err = pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) (err error) {
		if err := checkServer(ctx, tx); err != nil {
			return err
		}
		if have, _, err = versionOf(ctx, tx); err != nil {
			return fmt.Errorf("read schema version: %w", err)
		}
		return nil
	})
	if err == nil && have > len(migrations) {
		err = newerSchema(have, len(migrations))
	}
	return have, len(migrations), err
}

// versionOf is the number of the last migration, and whether there is a register of them at all.
func versionOf(ctx context.Context, tx pgx.Tx) (have int, registered bool, err error) {
	if err := tx.QueryRow(ctx, "SELECT to_regclass('filature.migrations') IS NOT NULL").Scan(&registered); err != nil || !registered {
		return 0, false, err
	}
	err = tx.QueryRow(ctx, "SELECT coalesce(max(number), 0) FROM filature.migrations").Scan(&have)
	return have, true, err
}

func newerSchema(have, known int) error {
	return fmt.Errorf("schema %d, this program knows %d: %w", have, known, ErrNewerSchema)
}
