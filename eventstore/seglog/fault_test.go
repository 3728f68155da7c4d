package seglog

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore"
)

const testShards = 3

func testOptions() Options {
	return Options{
		Shards: testShards, SegmentBytes: MinSegmentBytes,
		Now:    func() time.Time { return time.UnixMilli(1_700_000_000_000) },
		Random: bytes.NewReader(bytes.Repeat([]byte{7}, 16)),
	}
}

// model is what a log must hold: for each shard what was acknowledged, or seen by a reader, and
// batches of which nobody knows.
type model struct {
	sure  [testShards][][]byte
	maybe [testShards][][]byte
}

// failer is what rapid and testing have in common.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// check reads a log and compares. What it saw is sure from then on.
func (m *model) check(t failer, r eventstore.Reader) {
	t.Helper()
	for shard := range m.sure {
		var got [][]byte
		for {
			records, err := r.Read(context.Background(), domain.Shard(shard), domain.Offset(len(got)), 7)
			if err != nil {
				t.Fatalf("read shard %d from %d: %v", shard, len(got), err)
			}
			if len(records) == 0 {
				break
			}
			for _, rec := range records {
				got = append(got, rec.Value)
			}
		}
		want := m.sure[shard]
		if len(got) != len(want) { // all of the batch in doubt, then, or none
			want = append(slices.Clip(want), m.maybe[shard]...)
		}
		if len(got) != len(want) {
			t.Fatalf("shard %d: got %d records; want %d acknowledged, or %d more", shard, len(got), len(m.sure[shard]), len(m.maybe[shard]))
		}
		for i := range got {
			if !bytes.Equal(got[i], want[i]) {
				t.Fatalf("record %d/%d: got %.40x; want %.40x", shard, i, got[i], want[i])
			}
		}
		m.sure[shard], m.maybe[shard] = want, nil
	}
}

// appendTogether appends a batch to each of some shards at once, so that they share groups, and
// says whether all were acknowledged.
func (m *model) appendTogether(log *Log, batches map[int][][]byte) bool {
	var mu sync.Mutex
	var wg sync.WaitGroup
	ok := true
	for shard, batch := range batches {
		wg.Go(func() {
			_, err := log.Append(context.Background(), domain.Shard(shard), batch)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				ok, m.maybe[shard] = false, batch
				return
			}
			m.sure[shard] = append(m.sure[shard], batch...)
		})
	}
	wg.Wait()
	return ok
}

// kill ends a log as the death of its process would: what it wrote stays in the cache.
func kill(log *Log) {
	log.shut()
	<-log.stopped
}

func TestEveryCallFailingEveryWayLosesNothingAcknowledged(t *testing.T) {
	work := func(d *memDisk, m *model) {
		log, err := open(d, "log", testOptions())
		if err != nil {
			return
		}
		defer kill(log)
		for i := range 12 {
			batches := map[int][][]byte{}
			for shard := range i%testShards + 1 {
				batches[shard] = [][]byte{bytes.Repeat([]byte{byte(i + 1)}, 100*shard+i), fmt.Appendf(nil, "%d", i)}
			}
			if !m.appendTogether(log, batches) {
				return
			}
		}
	}
	undisturbed := newMemDisk()
	work(undisturbed, &model{})
	calls := undisturbed.calls
	if calls < 50 {
		t.Fatalf("the work makes %d calls; it tests little", calls)
	}
	for at := 1; at <= calls; at++ {
		for _, how := range []failure{failLost, failKept, failShort} {
			for cut := range uint64(6) { // 0: the process dies, else the power is cut
				d, m := newMemDisk(), &model{}
				d.failAt, d.how = at, how
				work(d, m)
				d.failAt = 0
				if cut > 0 {
					d = d.powerCut(rand.New(rand.NewPCG(cut, uint64(at))))
				}
				reopenTwice(t, fmt.Sprintf("call %d, failure %d, cut %d", at, how, cut), d, m)
			}
		}
	}
}

// reopenTwice checks a log after a crash, then cuts the power at once and checks that what was seen
// is still there.
func reopenTwice(t failer, what string, d *memDisk, m *model) {
	t.Helper()
	for again := range uint64(2) {
		log, err := open(d, "log", testOptions())
		if err != nil {
			t.Fatalf("%s: reopen: %v", what, err)
		}
		m.check(t, log)
		kill(log)
		if r, err := verify(d, "log"); err != nil {
			t.Fatalf("%s: verify after reopen: %v, %v", what, r, err)
		}
		d = d.powerCut(rand.New(rand.NewPCG(again, 1)))
	}
}

func TestAnyHistoryOfCrashesLosesNothingAcknowledged(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d, m := newMemDisk(), &model{}
		for range rapid.IntRange(1, 6).Draw(t, "lives") {
			d.failAt = 0
			if rapid.Bool().Draw(t, "fails") {
				d.failAt = d.calls + rapid.IntRange(1, 40).Draw(t, "call")
				d.how = rapid.SampledFrom([]failure{failLost, failKept, failShort}).Draw(t, "how")
			}
			log, err := open(d, "log", testOptions())
			if err == nil {
				m.check(t, log)
				for range rapid.IntRange(0, 10).Draw(t, "appends") {
					batches := map[int][][]byte{}
					for _, shard := range rapid.SliceOfNDistinct(rapid.IntRange(0, testShards-1), 1, testShards, rapid.ID).Draw(t, "shards") {
						// Zeros look like sectors that were never written: the hard case.
						value := rapid.OneOf(
							rapid.SliceOfN(rapid.Byte(), 0, 40),
							rapid.Map(rapid.IntRange(0, 1500), func(n int) []byte { return make([]byte, n) }),
						)
						batches[shard] = rapid.SliceOfN(value, 1, 5).Draw(t, "batch")
					}
					if !m.appendTogether(log, batches) {
						break
					}
				}
				kill(log)
			} else if d.failAt == 0 {
				t.Fatalf("open: %v", err)
			}
			if rapid.Bool().Draw(t, "power cut") {
				d = d.powerCut(rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0)))
			}
			d.calls, d.failAt = 0, 0
		}
		reopenTwice(t, "at the end", d, m)
	})
}

func TestAFailedLogStaysFailedAndReadable(t *testing.T) {
	for _, how := range []failure{failLost, failKept, failShort} {
		d, m := newMemDisk(), &model{}
		log, err := open(d, "log", testOptions())
		if err != nil {
			t.Fatal(err)
		}
		if !m.appendTogether(log, map[int][][]byte{0: {[]byte("kept")}}) {
			t.Fatal("first append failed")
		}
		d.failAt, d.how = d.calls+1, how
		for range 3 {
			_, err := log.Append(t.Context(), 0, [][]byte{[]byte("lost")})
			wantIs(t, err, eventstore.ErrFailed)
		}
		calls := d.calls
		_, err = log.Append(t.Context(), 1, [][]byte{[]byte("lost")})
		wantIs(t, err, eventstore.ErrFailed)
		if d.calls != calls {
			t.Error("a failed log touched its disk")
		}
		m.check(t, log)
		kill(log)
	}
}
