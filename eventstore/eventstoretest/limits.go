package eventstoretest

import (
	"bytes"
	"testing"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore"
)

func limitsAreChecked(t *testing.T, open Open) {
	log := opened(t, open)
	mustAppend(t, log, 1, values("v", 1))
	large := make([]byte, eventstore.MaxRecordBytes)
	larger := make([]byte, eventstore.MaxRecordBytes+1)
	heavy := make([][]byte, eventstore.MaxBatchBytes/len(large)+1)
	for i := range heavy {
		heavy[i] = large
	}
	for what, batch := range map[string][][]byte{
		"large record": {[]byte("small"), larger},
		"many records": make([][]byte, eventstore.MaxBatch+1),
		"heavy batch":  heavy,
	} {
		_, err := log.Append(t.Context(), 1, batch)
		wantError(t, what, err, eventstore.ErrTooLarge)
	}
	wantValues(t, ReadAll(t, log, 1, 10), values("v", 1))
	if first := mustAppend(t, log, 1, values("w", 1)); first != 1 {
		t.Errorf("a refused batch took offsets: the next one is %d; want 1", first)
	}
}

func largestAreTaken(t *testing.T, open Open) {
	log := opened(t, open)
	heavy := make([][]byte, eventstore.MaxBatchBytes/eventstore.MaxRecordBytes)
	for i := range heavy {
		heavy[i] = bytes.Repeat([]byte{byte(i + 1)}, eventstore.MaxRecordBytes)
	}
	mustAppend(t, log, 0, heavy)
	wantValues(t, ReadAll(t, log, 0, eventstore.MaxBatch), heavy)

	many := values("v", eventstore.MaxBatch)
	mustAppend(t, log, 1, many)
	wantValues(t, ReadAll(t, log, 1, eventstore.MaxBatch), many)

	if err := log.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	log = opened(t, open)
	wantValues(t, ReadAll(t, log, 0, 5), heavy)
	wantValues(t, ReadAll(t, log, 1, 777), many)
}

func unknownShardIsRefused(t *testing.T, open Open) {
	log := opened(t, open)
	for _, shard := range []domain.Shard{-1, Shards, 1 << 30} {
		_, err := log.Append(t.Context(), shard, values("v", 1))
		wantError(t, "append", err, eventstore.ErrNoShard)
		_, err = log.Read(t.Context(), shard, 0, 1)
		wantError(t, "read", err, eventstore.ErrNoShard)
		_, err = log.End(t.Context(), shard)
		wantError(t, "end", err, eventstore.ErrNoShard)
		wantError(t, "wait", log.Wait(t.Context(), shard, 0), eventstore.ErrNoShard)
	}
	for shard := range domain.Shard(Shards) {
		wantValues(t, ReadAll(t, log, shard, 1), nil)
	}
}

func emptyBatchWritesNothing(t *testing.T, open Open) {
	log := opened(t, open)
	mustAppend(t, log, 1, values("v", 3))
	if first := mustAppend(t, log, 1, nil); first != 3 {
		t.Errorf("append of nothing returned %d; want the end, 3", first)
	}
	wantValues(t, ReadAll(t, log, 1, 10), values("v", 3))
}

func closedLogRefuses(t *testing.T, open Open) {
	log := opened(t, open)
	mustAppend(t, log, 0, values("v", 1))
	if err := log.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	_, err := log.Append(t.Context(), 0, values("w", 1))
	wantError(t, "append", err, eventstore.ErrClosed)
	_, err = log.Read(t.Context(), 0, 0, 1)
	wantError(t, "read", err, eventstore.ErrClosed)
	_, err = log.End(t.Context(), 0)
	wantError(t, "end", err, eventstore.ErrClosed)
	wantError(t, "wait", log.Wait(t.Context(), 0, 0), eventstore.ErrClosed)
	wantValues(t, ReadAll(t, opened(t, open), 0, 10), values("v", 1))
}
