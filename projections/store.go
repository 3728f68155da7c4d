package projections

import (
	"context"
	"errors"
	"iter"
)

var (
	// ErrConflict: somebody else moved a model on, or threw its rows away. Nothing was written. Read
	// the checkpoint again and go on from there.
	ErrConflict = errors.New("another writer moved the model on")
	// ErrNotFound: the ledger, as far as it was read, knows nothing of what was asked for.
	ErrNotFound = errors.New("not found")
	// ErrNotTogether: models that must be read at one place in the log stand at different ones, as one of
	// them is being rebuilt. Ask again when it has caught up.
	ErrNotTogether = errors.New("models stand at different places in the log")

	errWrittenTwice = errors.New("a write-once row is there already")
)

// Store keeps the rows of read models, and for each model how far it has come. Rows of a model and its
// checkpoint change together or not at all. Safe for many goroutines.
type Store interface {
	// View shows rows and checkpoints as of one moment, while others go on writing. What it shows is
	// not to be used after the function has returned.
	View(ctx context.Context, see func(View) error) error

	// Load fills rows, whose keys are set, with what is kept. Rows that are not kept stay as they are.
	// It may read any number of rows at once and no others.
	Load(ctx context.Context, table Table, rows []Row) error

	// Commit writes all changes and all checkpoints, or nothing. It is durable enough when a crash can
	// only take back whole commits, the latest first: the log has what it takes to make them again.
	//
	// If a model does not stand where its change starts, in all shards, nothing is written and the error
	// is ErrConflict: rows were loaded as of that place, so writing them would undo what came since.
	// After any other error the changes may have been kept or not: read the checkpoint.
	// Commit never retries. The rows belong to the store from here on, whatever it returns.
	Commit(ctx context.Context, changes []Change) error

	// Forget throws a model's rows and checkpoint away, so that they are folded again from the start.
	Forget(ctx context.Context, table Table) error

	// Publish lets readers find this version of a model under its name, and throws older versions
	// away. Publishing what is published does nothing.
	Publish(ctx context.Context, table Table) error
}

// View is what a store holds at one moment.
type View interface {
	// Checkpoint returns how far a model has come: as many elements as there were shards with
	// entries, none for a model that was never folded.
	Checkpoint(ctx context.Context, table Table) (Checkpoint, error)

	// Rows yields all rows of a model in the order of their keys. A row is good until the next one is
	// asked for. An error ends the sequence.
	Rows(ctx context.Context, table Table) iter.Seq2[Row, error]
}

// Change is what one batch of entries does to one model.
type Change struct {
	Table    Table
	From, To Checkpoint // one element per shard
	// Rows are inserted, or take the place of those with the same key. Each key is there once, and none
	// is blank.
	Rows []Row
}
