package seglog_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"testing"
	"time"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore"
	"github.com/filature/filature/eventstore/eventstoretest"
	"github.com/filature/filature/eventstore/seglog"
)

func TestAReadOnlyLogFollowsALiveWriter(t *testing.T) {
	dir := t.TempDir()
	log := mustOpen(t, dir)
	reader, err := seglog.OpenReadOnly(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := reader.Close(); err != nil {
			t.Error(err)
		}
	}()
	const batches, batch, shard = 60, 50, 2
	done := make(chan error, 1)
	go func() {
		for next := domain.Offset(0); next < batches*batch; {
			if err := reader.Wait(t.Context(), shard, next); err != nil {
				done <- err
				return
			}
			records, err := reader.Read(t.Context(), shard, next, 70)
			if err != nil || len(records) == 0 {
				done <- fmt.Errorf("read from %d: %d records, %w", next, len(records), err)
				return
			}
			for _, r := range records {
				if r.Offset != next || string(r.Value) != string(ackedValue(1, int(next))) {
					done <- fmt.Errorf("got record %d, %.40q; want %d", r.Offset, r.Value, next)
					return
				}
				next++
			}
		}
		done <- nil
	}()
	for i := range batches {
		values := make([][]byte, batch)
		for j := range values {
			values[j] = ackedValue(1, i*batch+j)
		}
		if _, err := log.Append(t.Context(), shard, values); err != nil {
			t.Fatal(err)
		}
		end, err := reader.End(t.Context(), shard)
		if err != nil || int(end) != (i+1)*batch {
			t.Fatalf("after append %d: reader's end is %d, %v; want %d", i, end, err, (i+1)*batch)
		}
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if r, err := seglog.Verify(dir); err != nil || !r.Live || r.Segments < 3 || r.Ends[shard] != batches*batch {
		t.Errorf("verify: %+v, %v; want a live log of several segments", r, err)
	}
}

func TestAReadOnlyLogEndsItsWaits(t *testing.T) {
	dir := t.TempDir()
	mustOpen(t, dir)
	reader, err := seglog.OpenReadOnly(dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	waits := make(chan error, 1)
	go func() { waits <- reader.Wait(ctx, 0, 0) }()
	cancel()
	if err := <-waits; !errors.Is(err, context.Canceled) {
		t.Errorf("wait: got %v; want %v", err, context.Canceled)
	}
	go func() { waits <- reader.Wait(t.Context(), 0, 0) }()
	if err := reader.Close(); err != nil {
		t.Error(err)
	}
	if err := <-waits; !errors.Is(err, eventstore.ErrClosed) {
		t.Errorf("wait: got %v; want %v", err, eventstore.ErrClosed)
	}
	if _, err := reader.End(t.Context(), 0); !errors.Is(err, eventstore.ErrClosed) {
		t.Errorf("end: got %v; want %v", err, eventstore.ErrClosed)
	}
}

func TestReadingMakesNoLog(t *testing.T) {
	dir := t.TempDir()
	if _, err := seglog.OpenReadOnly(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("open to read: got %v; want %v", err, fs.ErrNotExist)
	}
	if _, err := seglog.Verify(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("verify: got %v; want %v", err, fs.ErrNotExist)
	}
}

func TestTimeStandsWhenTheClockGoesBack(t *testing.T) {
	now := time.UnixMilli(1_000_000)
	o := options()
	o.Now = func() time.Time { return now }
	dir := t.TempDir()
	var want []int64
	last := int64(0)
	for _, step := range []time.Duration{0, -time.Hour, 1500 * time.Microsecond, 2 * time.Hour, -time.Minute} {
		now = now.Add(step)
		log, err := seglog.Open(dir, o) // even over a restart
		if err != nil {
			t.Fatal(err)
		}
		for shard := range domain.Shard(2) {
			if _, err := log.Append(t.Context(), shard, [][]byte{nil}); err != nil {
				t.Fatal(err)
			}
		}
		last = max(last, now.UnixMilli())
		want = append(want, last)
		for shard := range domain.Shard(2) {
			for i, r := range eventstoretest.ReadAll(t, log, shard, 10) {
				if r.Time.UnixMilli() != want[i] || r.Time.Location() != time.UTC {
					t.Errorf("record %d/%d has time %v; want %v", shard, i, r.Time, time.UnixMilli(want[i]).UTC())
				}
			}
		}
		if err := log.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for what, change := range map[string]func(*seglog.Options){
		"no shards":      func(o *seglog.Options) { o.Shards = 0 },
		"many shards":    func(o *seglog.Options) { o.Shards = 4097 },
		"no clock":       func(o *seglog.Options) { o.Now = nil },
		"small segments": func(o *seglog.Options) { o.SegmentBytes = seglog.MinSegmentBytes - 1 },
		"large segments": func(o *seglog.Options) { o.SegmentBytes = 1<<30 + 1 },
	} {
		o := options()
		change(&o)
		if log, err := seglog.Open(t.TempDir(), o); err == nil {
			t.Errorf("%s: opened", what)
			_ = log.Close()
		}
	}
}
