// Package projections knows what the facts of the ledger add up to: balances, jobs, usage, batches
// and payouts, and for every claim why it was paid, held, rejected, or is still pending.
//
// A read model is one pure function, its Fold, from an entry to rows. Nothing here knows how rows are
// kept: a Store does, in memory (MemStore), or in SQL (adapters). The Runner moves entries from the log
// through the folds into a store, in batches, and commits rows together with the place in the log that
// they are of. So a crash on any line loses nothing and counts nothing twice, and throwing all rows
// away and folding from the first entry gives the same rows again.
//
// To add a read model: write one file here with its row and its Fold, one migration under schemas/sql,
// and one line in All.
package projections

import (
	"errors"
	"fmt"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/ledger"
	"github.com/filature/filature/eventstore"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// Entry is one record of a ledger shard, read.
type Entry struct {
	domain.Position
	// Stored is the record byte for byte: what the shard's Merkle tree is made of.
	Stored []byte
	// AtMs is the log time of the decision in Unix milliseconds.
	AtMs int64
	// Void says that the entry does not count, because another clerk wrote first. Then, and where the
	// entry is of another kind, the parts below are nil.
	Void    bool
	Genesis *v1.Genesis
	Answer  *v1.Answer
	Pin     *v1.Pin

	// leaf is the hash of Stored, once it was asked for. The fold of LogTrees owns it and asks twice.
	leaf domain.Digest
}

// leafHash is the entry's leaf in its shard's tree.
func (e *Entry) leafHash() domain.Digest {
	if e.leaf == (domain.Digest{}) {
		e.leaf = hashLeaf(e.Stored)
	}
	return e.leaf
}

// Facts returns what was decided; none for a void entry. Tables number facts from 1 in this order;
// 0 stands for the entry as a whole.
func (e *Entry) Facts() []*v1.Fact { return e.Answer.GetFacts() }

// Progress says how far a reader of one ledger shard has come. The zero value is the very start.
type Progress struct {
	// Ledger is the offset of the next entry to read: every one below it was read.
	Ledger domain.Offset
	// Intake is the offset of the next intake record to be answered: every one below it was.
	Intake domain.Offset
}

// Checkpoint says how far a reader has come in every shard, control first.
type Checkpoint []Progress

// Cut returns the ledger offsets alone, one per shard, each exclusive.
func (c Checkpoint) Cut() []domain.Offset {
	cut := make([]domain.Offset, len(c))
	for shard, p := range c {
		cut[shard] = p.Ledger
	}
	return cut
}

// Equal reports that two checkpoints are the same place. Shards that are not listed are at the start.
func (c Checkpoint) Equal(other Checkpoint) bool {
	for shard := range max(len(c), len(other)) {
		if c.at(shard) != other.at(shard) {
			return false
		}
	}
	return true
}

// Covers reports that everything below a cut was read.
func (c Checkpoint) Covers(cut []domain.Offset) bool {
	for shard, offset := range cut {
		if c.at(shard).Ledger < offset {
			return false
		}
	}
	return true
}

func (c Checkpoint) at(shard int) Progress {
	if shard < len(c) {
		return c[shard]
	}
	return Progress{}
}

// ErrOutOfOrder says that an entry does not follow from the ones before it. The log was changed or
// lost a record: stop.
var ErrOutOfOrder = errors.New("entry does not follow from the one before it")

// EntryError says which entry of the ledger can't be right, and why.
type EntryError struct {
	At  domain.Position
	Err error
}

func (e *EntryError) Error() string { return fmt.Sprintf("ledger entry %s: %v", e.At, e.Err) }

// Unwrap returns the reason.
func (e *EntryError) Unwrap() error { return e.Err }

// Advance reads the next record of a shard and moves on. It is the one place that says which entries
// count (a second clerk's are void) and in which order they must come: ledger offsets without a gap,
// and each intake record answered once, in order. Errors are *EntryError; p has not moved then.
func (p *Progress) Advance(shard domain.Shard, record eventstore.Record) (Entry, error) {
	entry := Entry{Position: domain.Position{Shard: shard, Offset: record.Offset}, Stored: record.Value}
	fail := func(err error) (Entry, error) { return entry, &EntryError{At: entry.Position, Err: err} }
	if record.Offset != p.Ledger {
		return fail(fmt.Errorf("expected offset %d: %w", p.Ledger, eventstore.ErrGap))
	}
	var decoded v1.Entry
	if err := v1.Decode(record.Value, &decoded); err != nil {
		return fail(err)
	}
	entry.AtMs = decoded.AtMs
	if ledger.Void(record.Offset, &decoded) {
		entry.Void = true
		p.Ledger++
		return entry, nil
	}
	next := Progress{Ledger: p.Ledger + 1, Intake: p.Intake}
	switch body := decoded.Body.(type) {
	case *v1.Entry_Genesis:
		if shard != domain.Control || record.Offset != 0 {
			return fail(fmt.Errorf("a genesis anywhere but first in control: %w", ErrOutOfOrder))
		}
		entry.Genesis = body.Genesis
	case *v1.Entry_Answer:
		if have := domain.Offset(body.Answer.IntakeOffset); have != p.Intake {
			return fail(fmt.Errorf("answers intake %d, expected %d: %w", have, p.Intake, ErrOutOfOrder))
		}
		entry.Answer = body.Answer
		next.Intake++
	case *v1.Entry_Pin:
		entry.Pin = body.Pin
	}
	*p = next
	return entry, nil
}
