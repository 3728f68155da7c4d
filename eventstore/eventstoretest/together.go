package eventstoretest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"testing"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore"
)

func waitWakes(t *testing.T, open Open) {
	log := opened(t, open)
	mustAppend(t, log, 1, values("v", 2))
	if err := log.Wait(t.Context(), 1, 1); err != nil {
		t.Fatalf("wait for a record that is there: %v", err)
	}
	woken := make(chan error, 2)
	for range cap(woken) {
		go func() { woken <- log.Wait(t.Context(), 1, 3) }()
	}
	mustAppend(t, log, 1, values("w", 1)) // end is 3: not yet above 3
	mustAppend(t, log, 2, values("x", 9)) // another shard
	select {
	case err := <-woken:
		t.Fatalf("wait for end above 3 returned at end 3: %v", err)
	default:
	}
	mustAppend(t, log, 1, values("y", 1))
	for range cap(woken) {
		if err := soon(t, "wait", woken); err != nil {
			t.Errorf("wait: %v", err)
		}
	}
	if end := mustEnd(t, log, 1); end != 4 {
		t.Errorf("end is %d; want 4", end)
	}
}

func waitEndsWithContext(t *testing.T, open Open) {
	log := opened(t, open)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- log.Wait(ctx, 0, 0) }()
	cancel()
	wantError(t, "wait", soon(t, "wait", done), context.Canceled)
}

func waitEndsOnClose(t *testing.T, open Open) {
	log := opened(t, open)
	done := make(chan error, 1)
	go func() { done <- log.Wait(t.Context(), 0, 0) }()
	if err := log.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	wantError(t, "wait", soon(t, "wait", done), eventstore.ErrClosed)
}

// appendAll runs writers that append batches of several values, and returns where each batch went.
func appendAll(t *testing.T, log eventstore.Log, writers, batches int, shardOf func(writer int) domain.Shard) map[domain.Position][][]byte {
	t.Helper()
	var mu sync.Mutex
	placed := map[domain.Position][][]byte{}
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			last := domain.Offset(-1)
			for i := range batches {
				shard, batch := shardOf(w), values(fmt.Sprintf("writer %d batch %d value", w, i), i%4+1)
				first, err := log.Append(t.Context(), shard, batch)
				if err != nil {
					t.Errorf("writer %d, batch %d: %v", w, i, err)
					return
				}
				if first <= last {
					t.Errorf("writer %d, batch %d: offset %d after %d", w, i, first, last)
				}
				last = first
				mu.Lock()
				placed[domain.Position{Shard: shard, Offset: first}] = batch
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return placed
}

// checkPlaced reads a shard and checks that its batches are there, whole, and nothing else.
func checkPlaced(t *testing.T, log eventstore.Log, shard domain.Shard, placed map[domain.Position][][]byte) {
	t.Helper()
	all := ReadAll(t, log, shard, 97)
	for at := 0; at < len(all); {
		batch := placed[domain.Position{Shard: shard, Offset: domain.Offset(at)}]
		if batch == nil {
			t.Fatalf("no batch was acknowledged at %d/%d", shard, at)
		}
		wantValues(t, all[at:min(len(all), at+len(batch))], batch)
		at += len(batch)
	}
	sum := 0
	for p, batch := range placed {
		if p.Shard == shard {
			sum += len(batch)
		}
	}
	if sum != len(all) {
		t.Fatalf("shard %d has %d records; %d were acknowledged", shard, len(all), sum)
	}
}

func concurrentAppendsStayWhole(t *testing.T, open Open) {
	log := opened(t, open)
	placed := appendAll(t, log, 16, 25, func(int) domain.Shard { return 1 })
	checkPlaced(t, log, 1, placed)
	if err := log.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	checkPlaced(t, opened(t, open), 1, placed)
}

func concurrentShards(t *testing.T, open Open) {
	log := opened(t, open)
	placed := appendAll(t, log, 4*Shards, 20, func(w int) domain.Shard { return domain.Shard(w % Shards) })
	for shard := range domain.Shard(Shards) {
		checkPlaced(t, log, shard, placed)
	}
}

func readersFollow(t *testing.T, open Open) {
	log := opened(t, open)
	const records = 500
	type result struct {
		shard domain.Shard
		got   []eventstore.Record
		err   error
	}
	results := make(chan result, 2*Shards)
	for i := range 2 * Shards {
		shard := domain.Shard(i % Shards)
		go func() {
			r := result{shard: shard}
			for len(r.got) < records && r.err == nil {
				next := domain.Offset(len(r.got))
				if r.err = log.Wait(t.Context(), shard, next); r.err != nil {
					break
				}
				var more []eventstore.Record
				if more, r.err = log.Read(t.Context(), shard, next, 10+i); r.err == nil && len(more) == 0 {
					r.err = errors.New("wait returned, and there was nothing to read")
				}
				r.got = append(r.got, more...)
			}
			results <- r
		}()
	}
	want := make([][][]byte, Shards)
	for i := 0; len(want[Shards-1]) < records; i++ {
		shard := domain.Shard(i % Shards)
		batch := values(fmt.Sprint(i), min(i%17+1, records-len(want[shard])))
		if len(batch) > 0 {
			mustAppend(t, log, shard, batch)
			want[shard] = append(want[shard], batch...)
		}
	}
	for shard := range domain.Shard(Shards) {
		if missing := records - len(want[shard]); missing > 0 {
			batch := values("rest", missing)
			mustAppend(t, log, shard, batch)
			want[shard] = append(want[shard], batch...)
		}
	}
	for range cap(results) {
		r := soon(t, "follow", results)
		if r.err != nil {
			t.Errorf("reader of shard %d after %d records: %v", r.shard, len(r.got), r.err)
			continue
		}
		wantValues(t, r.got, want[r.shard])
	}
}

// closeUnderLoad: an Append that races with Close is acknowledged and kept, or refused and not, and
// never hangs.
func closeUnderLoad(t *testing.T, open Open) {
	log := opened(t, open)
	const writers = 8
	acked := make(chan map[domain.Offset][]byte, writers)
	started := make(chan struct{}, writers)
	for w := range writers {
		go func() {
			mine := map[domain.Offset][]byte{}
			for i := 0; ; i++ {
				v := fmt.Appendf(nil, "writer %d value %d", w, i)
				first, err := log.Append(t.Context(), 0, [][]byte{v})
				if err != nil {
					if !errors.Is(err, eventstore.ErrClosed) {
						t.Errorf("append while closing: %v; want %v", err, eventstore.ErrClosed)
					}
					break
				}
				if mine[first] = v; i == 2 {
					started <- struct{}{}
				}
			}
			acked <- mine
		}()
	}
	for range writers {
		soon(t, "first appends", started)
	}
	if err := log.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	want := map[domain.Offset][]byte{}
	for range writers {
		maps.Copy(want, soon(t, "append on a closed log", acked))
	}
	all := ReadAll(t, opened(t, open), 0, 1000)
	if len(all) != len(want) {
		t.Errorf("got %d records; want the %d acknowledged", len(all), len(want))
	}
	for _, r := range all {
		if string(want[r.Offset]) != string(r.Value) {
			t.Errorf("record %d is %q; want %q", r.Offset, r.Value, want[r.Offset])
		}
	}
}

// closeLetsReadsFinish: a Read that races with Close gives its records or eventstore.ErrClosed.
func closeLetsReadsFinish(t *testing.T, open Open) {
	log := opened(t, open)
	want := values("v", 5000)
	mustAppend(t, log, 1, want)
	const readers = 8
	ended, started := make(chan error, readers), make(chan struct{}, readers)
	for range readers {
		go func() {
			for i := 0; ; i++ {
				got, err := log.Read(t.Context(), 1, 0, len(want))
				if err != nil {
					ended <- err
					return
				}
				for _, r := range got {
					if string(r.Value) != string(want[r.Offset]) {
						ended <- fmt.Errorf("record %d is %.40q", r.Offset, r.Value)
						return
					}
				}
				if i == 0 {
					started <- struct{}{}
				}
			}
		}()
	}
	for range readers {
		soon(t, "first reads", started)
	}
	if err := log.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	for range readers {
		wantError(t, "read while closing", soon(t, "read on a closed log", ended), eventstore.ErrClosed)
	}
}
