// Package bigbooks knows how to write the tables of a large network to disk quickly, and where to find them again: what benchmarks of
// ten million jobs ask.
//
// The rows are those of projectionstest.Big, and the tables end as if the projections had committed them, indexes and all: a test
// compares them. What is quick is the way there: no index while rows come in, no log of what to undo, rows in the order of their
// keys. Books that were not finished have another name, and are begun again.
package bigbooks

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/filature/filature/adapters/postgres"
	"github.com/filature/filature/adapters/sqlite"
	"github.com/filature/filature/projections"
	"github.com/filature/filature/projections/projectionstest"
)

// hoursAhead is how many hours of rows are made before a store has written them: about 20 MB each.
const hoursAhead = 2

// Tell is told how far it has come, one thing at a time: "jobs written", 2 of 10.
type Tell func(what string, done, of int)

// Books say where the tables are.
type Books struct {
	SQLite   string // path of the file
	Postgres string // URL of the database
}

// Open returns the books of a network, the file in a folder and the database on a server, which should have ServerSettings. What is
// not there yet, it writes.
func Open(ctx context.Context, big projectionstest.Big, folder, server string, tell Tell) (Books, error) {
	name := fmt.Sprintf("big_%d", big.Jobs)
	books := Books{SQLite: filepath.Join(folder, name+".db")}
	var err error
	if books.Postgres, err = databaseURL(server, name); err != nil {
		return books, err
	}
	var shelves []shelf
	defer func() {
		for _, s := range shelves {
			s.drop(ctx)
		}
	}()
	if _, err := os.Stat(books.SQLite); errors.Is(err, os.ErrNotExist) {
		f, err := newFile(ctx, books.SQLite)
		if err != nil {
			return books, err
		}
		shelves = append(shelves, f)
	}
	there, err := thereAlready(ctx, server, name)
	if err != nil {
		return books, fmt.Errorf("look for database %s: %w", name, err)
	}
	if !there {
		d, err := newDatabase(ctx, server, name)
		if err != nil {
			return books, err
		}
		shelves = append(shelves, d)
	}
	if len(shelves) > 0 {
		err = fill(ctx, big, shelves, tell)
	} else {
		err = complete(ctx, big, books, tell)
	}
	return books, err
}

// complete brings books that were made by an older program up to date: their tables, and the rows of models that they lack.
func complete(ctx context.Context, big projectionstest.Big, books Books, tell Tell) error {
	file, err := sqlite.Open(ctx, books.SQLite)
	if err != nil {
		return err
	}
	defer file.Close()
	database, err := postgres.Open(ctx, postgres.Config{URL: books.Postgres})
	if err != nil {
		return err
	}
	defer database.Close()
	for _, store := range []projections.Store{file, database} {
		lacking, err := lackingIn(ctx, store)
		if err != nil {
			return err
		}
		if len(lacking) == 0 {
			continue
		}
		tell("models that are new", 0, len(lacking))
		if err := big.Fill(ctx, store, lacking); err != nil {
			return err
		}
		tell("models that are new", len(lacking), len(lacking))
	}
	return nil
}

// lackingIn are the models of which a store has nothing.
func lackingIn(ctx context.Context, store projections.Store) (lacking []projections.Model, err error) {
	err = store.View(ctx, func(v projections.View) error {
		for _, model := range projections.All() {
			at, err := v.Checkpoint(ctx, model.Table())
			if err != nil {
				return err
			}
			if len(at) == 0 {
				lacking = append(lacking, model)
			}
		}
		return nil
	})
	return lacking, err
}

// shelf is books that are being made.
type shelf interface {
	// rows takes an hour's rows, all that are asked for.
	rows(ctx context.Context, changes []projections.Change) error
	// finish is called after the last of them.
	finish(ctx context.Context, to projections.Checkpoint, tell Tell) error
	// drop gives up what was not finished; after finish it does nothing.
	drop(ctx context.Context)
}

// fill makes the rows once for all shelves.
func fill(ctx context.Context, big projectionstest.Big, shelves []shelf, tell Tell) error {
	var telling sync.Mutex
	told := tell
	tell = func(what string, done, of int) {
		telling.Lock()
		defer telling.Unlock()
		told(what, done, of)
	}
	group, ctx := errgroup.WithContext(ctx)
	feeds := make([]chan []projections.Change, len(shelves))
	for i, s := range shelves {
		feeds[i] = make(chan []projections.Change, hoursAhead)
		group.Go(func() error { return write(ctx, s, feeds[i], tell) })
	}
	group.Go(func() error {
		done, of := 0, big.Hours()
		for changes, err := range big.Changes(projections.All()) {
			if err != nil {
				return err
			}
			for _, feed := range feeds {
				select {
				case feed <- changes:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			done++
			tell("hours made", done, of)
		}
		for _, feed := range feeds {
			close(feed)
		}
		return nil
	})
	return group.Wait()
}

func write(ctx context.Context, s shelf, feed <-chan []projections.Change, tell Tell) error {
	var to projections.Checkpoint
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case changes, more := <-feed:
			if !more {
				return s.finish(ctx, to, tell)
			}
			if err := s.rows(ctx, changes); err != nil {
				return err
			}
			to = changes[0].To
		}
	}
}

// arrived notes in a store that is full how far each model has come, as its own commits would have.
func arrived(ctx context.Context, store projections.Store, to projections.Checkpoint) error {
	changes := make([]projections.Change, 0, len(projections.All()))
	for _, model := range projections.All() {
		changes = append(changes, projections.Change{Table: model.Table(), From: make(projections.Checkpoint, len(to)), To: to})
	}
	if err := store.Commit(ctx, changes); err != nil {
		return fmt.Errorf("note how far the books go: %w", err)
	}
	return nil
}
