// Package eventstore knows how records are kept for ever: a log of shards, each an ordered, gapless
// sequence of opaque byte strings. It says what any such log must promise; seglog keeps the
// promise on a local disk, adapters/kafka on a cluster, and eventstoretest holds both to it.
package eventstore

import (
	"context"
	"errors"
	"time"

	"github.com/filature/filature/domain"
)

// Record is one entry of one shard as a reader gets it.
type Record struct {
	Offset domain.Offset
	// Time is when the log accepted the record, in whole milliseconds: the log's clock, which is the
	// only clock that a decision may use. A log on several machines may give an earlier time after its leader
	// moved; whoever decides takes the latest so far.
	Time time.Time
	// Value is what was appended, byte for byte. It is shared: nobody may change it.
	Value []byte
}

// Limits that hold for every Log, so that a record accepted by one engine fits the other.
const (
	MaxRecordBytes = 1 << 20 // Kafka's default message size
	MaxBatch       = 10_000  // records in one Append or one Read
	// MaxBatchBytes bounds the values of one Append together: it is held in memory whole, and a
	// log that recovers must hold it once more.
	MaxBatchBytes = 16 << 20
)

var (
	// ErrClosed: the log was closed; open it again.
	ErrClosed = errors.New("log is closed")
	// ErrFailed: an earlier write failed in a way that leaves its fate unknown, so the log refuses
	// all further writes. Close it, open it again, and read what was kept.
	ErrFailed = errors.New("log failed; reopen it")
	// ErrTooLarge: a record above MaxRecordBytes, or a batch above MaxBatch or MaxBatchBytes. Nothing
	// was written.
	ErrTooLarge = errors.New("record or batch too large")
	// ErrNoShard: the log has no such shard. Nothing was written.
	ErrNoShard = errors.New("no such shard")
	// ErrGap: the offset asked for is behind the first record kept, or beyond the end, so that
	// somebody once saw records that the log no longer has. History is missing; stop.
	ErrGap = errors.New("records are missing from the log")
	// ErrCorrupt: stored bytes are not what was written. Stop, and restore from an archive.
	ErrCorrupt = errors.New("log is corrupt")
)

// Appender writes to a log.
type Appender interface {
	// Append adds values to a shard, in order and next to each other, and returns the offset of the
	// first. When it returns nil the batch is durable and readable. When it returns an error the
	// batch may or may not have been kept, unless the error is ErrTooLarge, ErrNoShard or ErrClosed,
	// which say that it was not. It never retries: the caller reads the log to learn what happened,
	// because a second Append of the same values is a second batch. A batch is kept whole or not at
	// all; an empty one writes nothing and returns the end.
	//
	// Safe for many goroutines; their batches may share one sync, in any order between shards.
	Append(ctx context.Context, shard domain.Shard, values [][]byte) (domain.Offset, error)
}

// Reader reads a log. Safe for many goroutines.
type Reader interface {
	// Shards returns how many shards the log has, control included. It never changes.
	Shards() int

	// End returns the offset that the next appended record will get: every record below it is
	// durable.
	End(ctx context.Context, shard domain.Shard) (domain.Offset, error)

	// Read returns up to limit durable records from an offset on, in order, without gaps. At the end
	// it returns none and nil, beyond it ErrGap. limit is 1..MaxBatch; a Read may return fewer than
	// there are.
	Read(ctx context.Context, shard domain.Shard, from domain.Offset, limit int) ([]Record, error)

	// Wait blocks until End is above the offset, the context ends (its error) or the log is closed
	// (ErrClosed).
	Wait(ctx context.Context, shard domain.Shard, from domain.Offset) error
}

// Log is a log that one can read and write.
type Log interface {
	Reader
	Appender
}
