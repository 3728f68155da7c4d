package verifier

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/ledger"
	"github.com/filature/filature/eventstore"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

const (
	// maxOpen bounds the challenges that are remembered. Each ends after minutes, and a network has fewer workers.
	maxOpen = 1 << 17
	// readEntries is how many entries are read at once.
	readEntries = 1024
)

// open is a challenge that a worker may answer.
type open struct {
	nonce     domain.Digest
	at        domain.FactPosition
	atMs      int64 // log time
	expiresMs int64
	answered  bool
}

// Book holds the last challenge of each worker, as control's ledger tells it: when it was issued, and that a result for it
// was taken. Follow fills it. The zero value knows of none. Safe for many goroutines.
type Book struct {
	mu   sync.Mutex
	last map[domain.WorkerID]*open
}

// Follow hears control's ledger until the context ends, and then returns nil. It begins where challenges are that may
// still be open; to begin again hears them again, which changes nothing.
func (b *Book) Follow(ctx context.Context, log eventstore.Reader, now time.Time) error {
	next, err := since(ctx, log, now.Add(-2*ChallengeLife).UnixMilli())
	for err == nil && ctx.Err() == nil {
		var records []eventstore.Record
		if records, err = log.Read(ctx, domain.Control, next, readEntries); err != nil {
			break
		}
		if len(records) == 0 {
			err = log.Wait(ctx, domain.Control, next)
			continue
		}
		for _, record := range records {
			entry, err := eventstore.DecodeEntry(domain.Control, record)
			if err != nil {
				return err
			}
			b.Hear(record.Offset, entry)
			next = record.Offset + 1
		}
	}
	if ctx.Err() != nil {
		return nil //nolint:nilerr // it was told to stop
	}
	return fmt.Errorf("follow control's ledger: %w", err)
}

// since finds the first entry of control that is not older than a time. Log time never goes back, but for void entries, which
// are a moment older at most.
func since(ctx context.Context, log eventstore.Reader, atMs int64) (domain.Offset, error) {
	high, err := log.End(ctx, domain.Control)
	low := domain.Offset(0)
	for err == nil && low < high {
		middle := low + (high-low)/2
		var records []eventstore.Record
		if records, err = log.Read(ctx, domain.Control, middle, 1); err != nil {
			break
		}
		if len(records) == 0 {
			return 0, fmt.Errorf("nothing at %d of control: %w", middle, eventstore.ErrGap)
		}
		entry, failed := eventstore.DecodeEntry(domain.Control, records[0])
		if failed != nil {
			return 0, failed
		}
		if entry.AtMs < atMs {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low, err
}

// Hear takes in an entry of control. Entries come in order, and may come again.
func (b *Book) Hear(offset domain.Offset, entry *v1.Entry) {
	if ledger.Void(offset, entry) {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, fact := range entry.GetAnswer().GetFacts() {
		switch body := fact.Body.(type) {
		case *v1.Fact_AttestationChallenged:
			asked := body.AttestationChallenged
			b.issue(domain.WorkerID(asked.Worker), open{
				nonce: domain.Digest(asked.Challenge), atMs: entry.AtMs, expiresMs: asked.ExpiresAtMs,
				at: domain.FactPosition{Position: domain.Position{Shard: domain.Control, Offset: offset}, Fact: i + 1},
			})
		case *v1.Fact_AttestationPassed:
			b.settle(body.AttestationPassed.Worker, body.AttestationPassed.Challenge)
		case *v1.Fact_AttestationFailed:
			b.settle(body.AttestationFailed.Worker, body.AttestationFailed.Challenge)
		case *v1.Fact_AttestationRevoked:
			delete(b.last, domain.WorkerID(body.AttestationRevoked.Worker))
		case *v1.Fact_KeyRotated: // what is bound to the old key proves nothing of the new one
			if body.KeyRotated.Kind == v1.SubjectKind_SUBJECT_KIND_WORKER {
				delete(b.last, domain.WorkerID(body.KeyRotated.Subject))
			}
		case *v1.Fact_Retired:
			if body.Retired.Kind == v1.SubjectKind_SUBJECT_KIND_WORKER {
				delete(b.last, domain.WorkerID(body.Retired.Subject))
			}
		}
	}
}

// issue notes a challenge. One that is older than what is known is an old entry that came again. It needs mu.
func (b *Book) issue(worker domain.WorkerID, c open) {
	if known := b.last[worker]; known != nil && known.at.Compare(c.at) >= 0 {
		return
	}
	if b.last == nil {
		b.last = map[domain.WorkerID]*open{}
	}
	if len(b.last) >= maxOpen {
		for other, old := range b.last {
			if old.expiresMs <= c.atMs {
				delete(b.last, other)
			}
		}
	}
	if len(b.last) < maxOpen { // else the worker is asked again when this one has run out
		b.last[worker] = &c
	}
}

// settle notes that the ledger has a result. It needs mu.
func (b *Book) settle(worker, nonce []byte) {
	if known := b.last[domain.WorkerID(worker)]; known != nil && known.nonce == domain.Digest(nonce) {
		known.answered = true
	}
}

// find returns the last challenge of a worker.
func (b *Book) find(worker domain.WorkerID) (open, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if known := b.last[worker]; known != nil {
		return *known, true
	}
	return open{}, false
}

// answer notes that a challenge was used up, before the ledger says so.
func (b *Book) answer(worker domain.WorkerID, nonce domain.Digest) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.settle(worker[:], nonce[:])
}

// Open returns the challenge that a worker may answer now, or false if there is none.
func (b *Book) Open(worker domain.WorkerID, now time.Time) (*v1.AttestationRequest, bool) {
	c, known := b.find(worker)
	if !known || c.answered || c.expiresMs <= now.UnixMilli() {
		return nil, false
	}
	return &v1.AttestationRequest{
		Position: &v1.FactPosition{Shard: uint32(c.at.Shard), Offset: int64(c.at.Offset), Fact: uint32(c.at.Fact)},
		AtMs:     c.atMs, Worker: worker[:], Challenge: c.nonce[:], ExpiresAtMs: c.expiresMs,
	}, true
}
