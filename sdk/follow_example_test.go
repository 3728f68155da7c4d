package sdk_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite" // any database that has transactions

	"github.com/filature/filature/sdk"
)

// A backend that books what each account spent, exactly once: the cursor stands in the same database as the bookings
// and moves in the same transaction. It dies right behind a commit, before anybody could be told of it.
func ExampleFollow() {
	if err := keepBooks(context.Background()); err != nil {
		fmt.Println(err)
	}
	// Output:
	// died behind 3 bookings
	// 5 bookings, 514 nanotons
}

const tables = `
	create table spending (job blob primary key, account blob not null, nano integer not null);
	create table place (only_one integer primary key check (only_one = 1), cursor text not null);
	insert into place values (1, '');`

func keepBooks(ctx context.Context) (err error) {
	folder, err := os.MkdirTemp("", "books") // a real one stays
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	books, err := sql.Open("sqlite", filepath.Join(folder, "books.db"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, books.Close()) }()
	if _, err := books.ExecContext(ctx, tables); err != nil {
		return err
	}
	ctx, done := context.WithCancel(ctx)
	defer done()
	errDied := errors.New("died")
	booked, lives := 0, 0
	for {
		lives++
		err := sdk.Follow(ctx, sdk.FollowConfig{
			API:       "http://127.0.0.1:8420",
			FromStart: true,
			Cursor: sdk.HandlerKeeps(func(ctx context.Context) (cursor string, err error) {
				err = books.QueryRowContext(ctx, `select cursor from place`).Scan(&cursor)
				return cursor, err
			}),
			HTTP: &http.Client{Transport: newServer(7)}, // plays the server; leave it out
		}, func(ctx context.Context, c sdk.Completion) error {
			if err := book(ctx, books, c); err != nil {
				return err
			}
			switch booked++; {
			case booked == 3 && lives == 1:
				return errDied
			case booked == 5:
				done() // a real one goes on for ever
			}
			return nil
		})
		if !errors.Is(err, errDied) {
			return errors.Join(err, balance(context.WithoutCancel(ctx), books))
		}
		fmt.Println("died behind", booked, "bookings")
	}
}

// book is one transaction: what a job cost, and how far we are.
func book(ctx context.Context, books *sql.DB, c sdk.Completion) error {
	tx, err := books.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // does nothing behind a commit
	if _, err := tx.ExecContext(ctx, `insert into spending values (?, ?, ?)`, c.Job, c.Account, c.ChargeNano); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `update place set cursor = ?`, c.Cursor); err != nil {
		return err
	}
	return tx.Commit()
}

func balance(ctx context.Context, books *sql.DB) error {
	var bookings, nano int64
	err := books.QueryRowContext(ctx, `select count(*), sum(nano) from spending`).Scan(&bookings, &nano)
	fmt.Println(bookings, "bookings,", nano, "nanotons")
	return err
}
