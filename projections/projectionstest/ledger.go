// Package projectionstest knows what every store of read models must promise, and makes ledgers to fold:
// by hand, for tests of one thing, and at random, for properties.
package projectionstest

import (
	"context"
	"crypto/sha256"
	"testing"
	"time"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore/memlog"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// StartMs is the log time of the first entry of a Ledger: 2026-01-01T00:00:00Z.
const StartMs = 1_767_225_600_000

// patience is for a slow machine with other work and the race detector on.
const patience = 5 * time.Minute

// Fataler is the part of *testing.T and *rapid.T that ends a test.
type Fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

// Ledger writes a ledger entry by entry, without deciding anything: it is for tests of readers. Every
// entry is encoded strictly, so that what no clerk could write can't be written here either.
type Ledger struct {
	*memlog.Log
	t Fataler

	// NowMs is the log time of the next entry.
	NowMs  int64
	intake []domain.Offset
	next   []domain.Offset
}

// NewLedger returns an empty ledger. Begin writes its genesis.
func NewLedger(t Fataler, shards int) *Ledger {
	return &Ledger{
		Log: memlog.New(shards, time.Now), t: t, NowMs: StartMs,
		intake: make([]domain.Offset, shards), next: make([]domain.Offset, shards),
	}
}

// ID is an id that reads as a name: its bytes, then zeros.
func ID[T ~[32]byte](name string) T {
	var id T
	copy(id[:], name)
	return id
}

// Bytes is an ID as messages hold it.
func Bytes(name string) []byte {
	id := ID[[32]byte](name)
	return id[:]
}

// Begin writes the genesis.
func (l *Ledger) Begin() {
	l.Write(domain.Control, &v1.Entry{Body: &v1.Entry_Genesis{Genesis: &v1.Genesis{
		Name: "test", Shards: uint32(l.Shards() - 1), Operator: Bytes("admin"), CreatedAtMs: l.NowMs,
	}}})
}

// Answer writes what one report of a signer led to, and returns where.
func (l *Ledger) Answer(shard domain.Shard, signer string, sequence uint64, facts ...*v1.Fact) domain.Position {
	l.t.Helper()
	return l.answer(shard, &v1.Answer{Signer: Bytes(signer), Sequence: sequence, Facts: facts})
}

// Refuse writes that a whole report was refused.
func (l *Ledger) Refuse(shard domain.Shard, signer string, sequence uint64, why *v1.Rejection) domain.Position {
	l.t.Helper()
	return l.answer(shard, &v1.Answer{Signer: Bytes(signer), Sequence: sequence, Refusal: why})
}

func (l *Ledger) answer(shard domain.Shard, answer *v1.Answer) domain.Position {
	l.t.Helper()
	digest := sha256.Sum256([]byte{byte(shard), byte(l.intake[shard]), byte(l.intake[shard] >> 8)})
	answer.IntakeOffset, answer.IntakeDigest = int64(l.intake[shard]), digest[:]
	l.intake[shard]++
	return l.Write(shard, &v1.Entry{Body: &v1.Entry_Answer{Answer: answer}})
}

// Pin writes that a shard knows control up to where it is now.
func (l *Ledger) Pin(shard domain.Shard) domain.Position {
	l.t.Helper()
	return l.Write(shard, &v1.Entry{Body: &v1.Entry_Pin{Pin: &v1.Pin{ControlOffset: int64(l.next[domain.Control])}}})
}

// Void writes an entry as a second clerk would, who did not see the last one: it answers once more what
// was answered, and means to stand where something stands.
func (l *Ledger) Void(shard domain.Shard, facts ...*v1.Fact) domain.Position {
	l.t.Helper()
	digest := sha256.Sum256([]byte("void"))
	return l.append(shard, &v1.Entry{
		AtMs: l.NowMs, Offset: int64(l.next[shard]) - 1,
		Body: &v1.Entry_Answer{Answer: &v1.Answer{
			IntakeOffset: max(int64(l.intake[shard])-1, 0), IntakeDigest: digest[:], Signer: Bytes("second clerk"), Facts: facts,
		}},
	})
}

// Write writes an entry at the end of a shard, and sets its offset and time.
func (l *Ledger) Write(shard domain.Shard, entry *v1.Entry) domain.Position {
	l.t.Helper()
	entry.AtMs, entry.Offset = l.NowMs, int64(l.next[shard])
	return l.append(shard, entry)
}

func (l *Ledger) append(shard domain.Shard, entry *v1.Entry) domain.Position {
	l.t.Helper()
	raw, err := v1.Encode(entry)
	if err != nil {
		l.t.Fatalf("encode an entry: %v", err)
	}
	at, err := l.Append(context.Background(), shard, [][]byte{raw})
	if err != nil {
		l.t.Fatalf("append an entry: %v", err)
	}
	if at != l.next[shard] {
		l.t.Fatalf("entry of shard %d stands at %d, expected %d", shard, at, l.next[shard])
	}
	l.next[shard]++
	return domain.Position{Shard: shard, Offset: at}
}

// Cut is the end of every shard.
func (l *Ledger) Cut() []domain.Offset { return append([]domain.Offset(nil), l.next...) }

// Context ends with the test, and in any case before the test binary does (go test allows ten minutes).
func Context(t testing.TB) context.Context {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), patience)
	t.Cleanup(stop)
	return ctx
}
