// Package eventstoretest knows what every eventstore.Log must do, and how an Append can go wrong.
// Exercise holds an engine to the contract; Faulty gives others a log that fails on demand.
package eventstoretest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore"
)

// Shards is how many shards a log under test must have.
const Shards = 3

// patience is how long a claim may take to come true. It is only ever waited for in full when the
// claim is false.
const patience = 30 * time.Second

// Log is what the suite opens: a log that it can close.
type Log interface {
	eventstore.Log
	io.Closer
}

// Open opens one log, always the same. The suite closes it before it opens it again.
type Open func(t *testing.T) Log

// Exercise runs the whole suite. fresh makes a new, empty log with as many shards as Shards says,
// and returns how to open it.
func Exercise(t *testing.T, fresh func(t *testing.T) Open) {
	claims := []struct {
		name string
		hold func(*testing.T, Open)
	}{
		{"NewLogIsEmpty", newLogIsEmpty},
		{"OffsetsHaveNoGapsAndOrderIsKept", offsetsHaveNoGaps},
		{"ValuesComeBackByteForByte", valuesComeBack},
		{"ValuesAreNotTheCallersMemory", valuesAreNotAliased},
		{"ReopenKeepsAll", reopenKeepsAll},
		{"ReadKeepsItsBounds", readKeepsItsBounds},
		{"LimitsAreCheckedBeforeWriting", limitsAreChecked},
		{"LargestRecordAndBatchAreTaken", largestAreTaken},
		{"UnknownShardIsRefused", unknownShardIsRefused},
		{"EmptyBatchWritesNothing", emptyBatchWritesNothing},
		{"EndedContextIsObeyed", endedContextIsObeyed},
		{"TimeIsInWholeMillisecondsAndNeverGoesBack", timeNeverGoesBack},
		{"WaitWakes", waitWakes},
		{"WaitEndsWithItsContext", waitEndsWithContext},
		{"WaitEndsWhenTheLogIsClosed", waitEndsOnClose},
		{"ClosedLogRefuses", closedLogRefuses},
		{"ConcurrentAppendsToOneShardStayWhole", concurrentAppendsStayWhole},
		{"ConcurrentShardsAreIndependent", concurrentShards},
		{"ReadersFollowAWriter", readersFollow},
		{"CloseUnderLoadLosesNothingAcknowledged", closeUnderLoad},
		{"CloseLetsReadsFinish", closeLetsReadsFinish},
	}
	for _, c := range claims {
		t.Run(c.name, func(t *testing.T) { c.hold(t, fresh(t)) })
	}
}

func opened(t *testing.T, open Open) Log {
	t.Helper()
	log := open(t)
	t.Cleanup(func() {
		if err := log.Close(); err != nil && !errors.Is(err, eventstore.ErrClosed) {
			t.Errorf("close: %v", err)
		}
	})
	if log.Shards() != Shards {
		t.Fatalf("log has %d shards; the suite needs %d", log.Shards(), Shards)
	}
	return log
}

// values makes n values that say what they are.
func values(what string, n int) [][]byte {
	out := make([][]byte, n)
	for i := range out {
		out[i] = fmt.Appendf(nil, "%s %d", what, i)
	}
	return out
}

func mustAppend(t *testing.T, log eventstore.Log, shard domain.Shard, values [][]byte) domain.Offset {
	t.Helper()
	first, err := log.Append(t.Context(), shard, values)
	if err != nil {
		t.Fatalf("append %d values to shard %d: %v", len(values), shard, err)
	}
	return first
}

func mustEnd(t *testing.T, log eventstore.Reader, shard domain.Shard) domain.Offset {
	t.Helper()
	end, err := log.End(t.Context(), shard)
	if err != nil {
		t.Fatalf("end of shard %d: %v", shard, err)
	}
	return end
}

// ReadAll reads a shard from its first record to its end, at most limit at once, and fails the test
// if offsets have a gap or a Read returns more than it was asked for.
func ReadAll(t testing.TB, log eventstore.Reader, shard domain.Shard, limit int) []eventstore.Record {
	t.Helper()
	var all []eventstore.Record
	for {
		got, err := log.Read(t.Context(), shard, domain.Offset(len(all)), limit)
		if err != nil {
			t.Fatalf("read shard %d from %d: %v", shard, len(all), err)
		}
		if len(got) == 0 {
			break
		}
		if len(got) > limit {
			t.Fatalf("read shard %d from %d: got %d records; limit is %d", shard, len(all), len(got), limit)
		}
		for _, r := range got {
			if r.Offset != domain.Offset(len(all)) {
				t.Fatalf("shard %d: got offset %d; want %d", shard, r.Offset, len(all))
			}
			all = append(all, r)
		}
	}
	end, err := log.End(t.Context(), shard)
	if err != nil {
		t.Fatalf("end of shard %d: %v", shard, err)
	}
	if int(end) < len(all) {
		t.Fatalf("shard %d: end is %d, and %d records were read", shard, end, len(all))
	}
	return all
}

func wantValues(t *testing.T, got []eventstore.Record, want [][]byte) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("got %d records; want %d", len(got), len(want))
	}
	for i, r := range got {
		if !bytes.Equal(r.Value, want[i]) {
			t.Fatalf("record %d: got %.60q (%d bytes); want %.60q (%d bytes)", i, r.Value, len(r.Value), want[i], len(want[i]))
		}
	}
}

func wantError(t *testing.T, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: got error %v; want %v", what, got, want)
	}
}

// soon returns what a goroutine of the test sends, or fails the test.
func soon[T any](t *testing.T, what string, c <-chan T) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	select {
	case v := <-c:
		return v
	case <-ctx.Done():
		t.Fatalf("%s: nothing happened for %v", what, patience)
		panic("unreachable")
	}
}
