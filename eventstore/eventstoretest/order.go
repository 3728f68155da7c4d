package eventstoretest

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore"
)

func newLogIsEmpty(t *testing.T, open Open) {
	log := opened(t, open)
	for shard := range domain.Shard(Shards) {
		if end := mustEnd(t, log, shard); end != 0 {
			t.Errorf("shard %d: end is %d; want 0", shard, end)
		}
		wantValues(t, ReadAll(t, log, shard, 10), nil)
	}
}

func offsetsHaveNoGaps(t *testing.T, open Open) {
	log := opened(t, open)
	want := make([][][]byte, Shards)
	for i, size := range []int{1, 2, 1, 100, 7, 1000, 3, 1, 1, 50} {
		shard := domain.Shard(i % Shards)
		batch := values(time.Duration(i).String(), size)
		if first := mustAppend(t, log, shard, batch); int(first) != len(want[shard]) {
			t.Fatalf("append %d: first offset is %d; want %d", i, first, len(want[shard]))
		}
		want[shard] = append(want[shard], batch...)
		if end := mustEnd(t, log, shard); int(end) != len(want[shard]) {
			t.Fatalf("append %d: end is %d; want %d", i, end, len(want[shard]))
		}
	}
	for shard := range domain.Shard(Shards) {
		for _, limit := range []int{1, 3, eventstore.MaxBatch} {
			wantValues(t, ReadAll(t, log, shard, limit), want[shard])
		}
	}
}

func valuesComeBack(t *testing.T, open Open) {
	log := opened(t, open)
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	batch := [][]byte{every, {}, {0}, bytes.Repeat([]byte{0}, 5000), bytes.Repeat([]byte{0xff}, 5000), []byte("end")}
	mustAppend(t, log, 1, batch)
	wantValues(t, ReadAll(t, log, 1, 2), batch)
}

func valuesAreNotAliased(t *testing.T, open Open) {
	log := opened(t, open)
	mine := []byte("before")
	mustAppend(t, log, 0, [][]byte{mine})
	copy(mine, "after!")
	wantValues(t, ReadAll(t, log, 0, 1), [][]byte{[]byte("before")})

	// What was read stays as it is while others read and write.
	kept := ReadAll(t, log, 0, 1)
	for range 50 {
		mustAppend(t, log, 0, values("later", 20))
		ReadAll(t, log, 0, 100)
	}
	wantValues(t, kept, [][]byte{[]byte("before")})
}

func reopenKeepsAll(t *testing.T, open Open) {
	want := make([][][]byte, Shards)
	var times [Shards][]time.Time
	for round := range 4 {
		log := opened(t, open)
		for shard := range domain.Shard(Shards) {
			got := ReadAll(t, log, shard, 7)
			wantValues(t, got, want[shard])
			for i, before := range times[shard] {
				if !got[i].Time.Equal(before) {
					t.Fatalf("round %d: record %d/%d has time %v; had %v", round, shard, i, got[i].Time, before)
				}
			}
			batch := values("round", 10*round+int(shard)+1)
			if first := mustAppend(t, log, shard, batch); int(first) != len(want[shard]) {
				t.Fatalf("round %d: first offset is %d; want %d", round, first, len(want[shard]))
			}
			want[shard] = append(want[shard], batch...)
			times[shard] = nil
			for _, r := range ReadAll(t, log, shard, eventstore.MaxBatch) {
				times[shard] = append(times[shard], r.Time)
			}
		}
		if err := log.Close(); err != nil {
			t.Fatalf("close: %v", err)
		}
	}
}

func readKeepsItsBounds(t *testing.T, open Open) {
	log := opened(t, open)
	mustAppend(t, log, 2, values("v", 10))
	ctx := t.Context()
	for from := range domain.Offset(10) {
		got, err := log.Read(ctx, 2, from, 3)
		if err != nil || len(got) == 0 || len(got) > 3 || got[0].Offset != from {
			t.Errorf("read from %d: got %v, %v; want 1 to 3 records from there on", from, got, err)
		}
	}
	if got, err := log.Read(ctx, 2, 10, 3); err != nil || len(got) != 0 {
		t.Errorf("read at the end: got %v, %v; want nothing", got, err)
	}
	_, err := log.Read(ctx, 2, 11, 3)
	wantError(t, "read beyond the end", err, eventstore.ErrGap)
	_, err = log.Read(ctx, 2, -1, 3)
	wantError(t, "read before the first", err, eventstore.ErrGap)
	for _, limit := range []int{0, -1, eventstore.MaxBatch + 1} {
		if got, err := log.Read(ctx, 2, 0, limit); err == nil {
			t.Errorf("read %d records: got %d and no error", limit, len(got))
		}
	}
}

func timeNeverGoesBack(t *testing.T, open Open) {
	var last time.Time
	for range 2 {
		log := opened(t, open)
		for i := range 20 {
			mustAppend(t, log, 0, values("v", i%3+1))
		}
		last = time.Time{}
		for _, r := range ReadAll(t, log, 0, 5) {
			if !r.Time.Equal(r.Time.Truncate(time.Millisecond)) {
				t.Errorf("record %d: time %v is not in whole milliseconds", r.Offset, r.Time)
			}
			if r.Time.Before(last) {
				t.Errorf("record %d: time goes back from %v to %v", r.Offset, last, r.Time)
			}
			last = r.Time
		}
		if err := log.Close(); err != nil {
			t.Fatalf("close: %v", err)
		}
	}
	if last.IsZero() {
		t.Error("records have no time")
	}
}

func endedContextIsObeyed(t *testing.T, open Open) {
	log := opened(t, open)
	mustAppend(t, log, 0, values("v", 1))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := log.Append(ctx, 0, values("never", 1))
	wantError(t, "append", err, context.Canceled)
	_, err = log.Read(ctx, 0, 0, 1)
	wantError(t, "read", err, context.Canceled)
	_, err = log.End(ctx, 0)
	wantError(t, "end", err, context.Canceled)
	wantValues(t, ReadAll(t, log, 0, 10), values("v", 1))
}
