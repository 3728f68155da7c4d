package seglog

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"sync"
	"time"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore"
)

const (
	// readBytes ends a Read: enough to keep a folding loop busy for milliseconds, little enough
	// to hold for each reader.
	readBytes = 4 << 20
	// A Read looks this far ahead: little where it wants but the next header, much where the records
	// lie that it wants.
	aheadLeast = 4 << 10
	aheadMost  = 256 << 10
	// hopBytes: it pays to leave out a block of other shards that is longer than this.
	hopBytes = 16 << 10
)

// aheadPool keeps the memory that Reads look ahead in.
var aheadPool = sync.Pool{New: func() any {
	b := make([]byte, aheadMost)
	return &b
}}

// reader is the part of a log that readers see: whole groups that are durable.
type reader struct {
	shards int
	seed   uint32 // of the log

	mu       sync.RWMutex
	segments []*segment      // their size and index change under mu
	ends     []domain.Offset // per shard
	closed   bool
	grown    []chan struct{} // per shard: closed when the shard grows; nil if nobody waits
	over     chan struct{}   // closed by close
	reads    sync.WaitGroup  // Reads that hold files open
}

func newReader(h *history) *reader {
	return &reader{
		shards:   len(h.tail.next),
		seed:     h.last().head.id.seed(),
		segments: h.segments,
		ends:     h.tail.clone().next,
		grown:    make([]chan struct{}, len(h.tail.next)),
		over:     make(chan struct{}),
	}
}

// Shards implements eventstore.Reader.
func (r *reader) Shards() int { return r.shards }

// End implements eventstore.Reader.
func (r *reader) End(ctx context.Context, shard domain.Shard) (domain.Offset, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.end(shard)
}

// end needs mu.
func (r *reader) end(shard domain.Shard) (domain.Offset, error) {
	if r.closed {
		return 0, eventstore.ErrClosed
	}
	if shard < 0 || int(shard) >= r.shards {
		return 0, fmt.Errorf("shard %d of %d: %w", shard, r.shards, eventstore.ErrNoShard)
	}
	return r.ends[shard], nil
}

// Read implements eventstore.Reader. Every value is checked against its CRC. The values of one Read
// share memory: who keeps one for long should copy it.
func (r *reader) Read(ctx context.Context, shard domain.Shard, from domain.Offset, limit int) ([]eventstore.Record, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if limit < 1 || limit > eventstore.MaxBatch {
		return nil, fmt.Errorf("read %d records: want 1..%d", limit, eventstore.MaxBatch)
	}
	walk, some, err := r.walk(shard, from, limit)
	if err != nil || !some {
		return nil, err
	}
	defer r.reads.Done()
	ahead := aheadPool.Get().(*[]byte)
	defer aheadPool.Put(ahead)
	walk.window.buf = (*ahead)[:0]
	return walk.records()
}

// walk prepares a Read, if there is something to read, and then keeps the files open for it until
// reads.Done.
func (r *reader) walk(shard domain.Shard, from domain.Offset, limit int) (_ walk, some bool, _ error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	end, err := r.end(shard)
	if err != nil {
		return walk{}, false, err
	}
	if from < 0 || from > end {
		return walk{}, false, fmt.Errorf("read shard %d from %d of %d: %w", shard, from, end, eventstore.ErrGap)
	}
	if from == end {
		return walk{}, false, nil
	}
	// The last segment that starts at or before the record holds it.
	n := sort.Search(len(r.segments), func(i int) bool { return r.segments[i].head.start.next[shard] > from }) - 1
	if n+1 < len(r.segments) {
		end = r.segments[n+1].head.start.next[shard]
	}
	s := r.segments[n]
	entries := s.index[shard].entries
	r.reads.Add(1)
	return walk{
		path: s.path, shard: shard, next: from, end: min(end, from+domain.Offset(limit)),
		logSeed: r.seed, segSeed: segmentSeed(r.seed, s.head.number),
		entries: entries[before(entries, from):],
		window:  window{file: s.file, limit: s.size, ahead: aheadLeast},
	}, true, nil
}

// Wait implements eventstore.Reader.
func (r *reader) Wait(ctx context.Context, shard domain.Shard, from domain.Offset) error {
	for {
		grown, err := r.waiting(shard, from)
		if err != nil || grown == nil {
			return err
		}
		select {
		case <-grown:
		case <-r.over:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// waiting returns a channel that is closed when the shard grows, or nil if it is past from.
func (r *reader) waiting(shard domain.Shard, from domain.Offset) (<-chan struct{}, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	end, err := r.end(shard)
	if err != nil || end > from {
		return nil, err
	}
	if r.grown[shard] == nil {
		r.grown[shard] = make(chan struct{})
	}
	return r.grown[shard], nil
}

// wake needs mu, and comes after the shard's end was moved.
func (r *reader) wake(shard domain.Shard) {
	if r.grown[shard] != nil {
		close(r.grown[shard])
		r.grown[shard] = nil
	}
}

// shut ends all Waits and lets nothing new begin. It reports whether this call did it.
func (r *reader) shut() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return false
	}
	r.closed = true
	close(r.over)
	return true
}

// release closes the files when the last Read is done. It comes after shut, and after the writer.
func (r *reader) release() error {
	r.reads.Wait()
	var errs []error
	for _, s := range r.segments {
		errs = append(errs, s.file.Close())
	}
	return errors.Join(errs...)
}

// walk collects records of one shard in one segment.
type walk struct {
	path             string
	shard            domain.Shard
	next, end        domain.Offset
	logSeed, segSeed uint32
	entries          []entry // from the one at or before next
	window           window
	kept             []byte
}

func (w *walk) records() ([]eventstore.Record, error) {
	out := make([]eventstore.Record, 0, w.end-w.next)
	place, bytes := int64(w.entries[0].block), 0
	for w.next < w.end && bytes < readBytes {
		b, err := w.window.bytes(place, int(min(blockHeaderBytes, w.window.limit-place)))
		if err != nil {
			return nil, w.failed(err)
		}
		h, err := decodeBlock(b, w.segSeed)
		if err != nil {
			return nil, w.damaged(place, "block header: "+err.Error())
		}
		if h.end(place) > w.window.limit {
			return nil, w.damaged(place, "block is incomplete")
		}
		if h.shard == w.shard {
			if out, bytes, err = w.block(out, bytes, h, place); err != nil {
				return nil, err
			}
		}
		place = w.hop(h, place)
	}
	return out, nil
}

// block collects the records of one block.
func (w *walk) block(out []eventstore.Record, bytes int, h block, place int64) ([]eventstore.Record, int, error) {
	end := h.end(place)
	offset, at := h.first, place+blockHeaderBytes
	for len(w.entries) > 1 && w.entries[1].offset <= w.next {
		w.entries = w.entries[1:]
	}
	if e := w.entries[0]; int64(e.block) == place {
		offset, at = e.offset, int64(e.frame)
	}
	when := time.UnixMilli(h.timeMS).UTC()
	stop := min(w.end, h.first+domain.Offset(h.count))
	if offset > w.next {
		return nil, 0, w.damaged(place, "block is not the next of its shard")
	}
	// The frames that are wanted are as long as others of their block, more or less.
	want := int64(stop-offset) * int64(h.bytes) / int64(h.count)
	w.window.ahead = int(min(max(want, aheadLeast), aheadMost, end-at))
	for ; offset < stop && bytes < readBytes; offset++ {
		frame, err := w.frame(at, end)
		if err != nil {
			return nil, 0, err
		}
		if at += int64(len(frame)); offset < w.next {
			continue
		}
		value, _, err := decodeFrame(frame, w.logSeed)
		if err != nil {
			return nil, 0, w.damaged(at-int64(len(frame)), "frame: "+err.Error())
		}
		out = append(out, eventstore.Record{Offset: offset, Time: when, Value: w.keep(value)})
		bytes += len(value)
		w.next++
	}
	return out, bytes, nil
}

// keep copies a value out of the window. Values share memory, since thousands of small allocations
// would cost more than the reading.
func (w *walk) keep(value []byte) []byte {
	if cap(w.kept)-len(w.kept) < len(value) {
		const most = 256 << 10
		size := int64(w.end-w.next) * int64(len(value)) // right, if all are this long
		w.kept = make([]byte, 0, max(int64(len(value)), min(size, most)))
	}
	from := len(w.kept)
	w.kept = append(w.kept, value...)
	return w.kept[from:len(w.kept):len(w.kept)]
}

// frame returns the bytes of the frame at a place; it must lie before end.
func (w *walk) frame(at, end int64) ([]byte, error) {
	if at+frameHeaderBytes > end {
		return nil, w.damaged(at, "block has too few frames")
	}
	b, err := w.window.bytes(at, frameHeaderBytes)
	if err != nil {
		return nil, w.failed(err)
	}
	n, err := frameBytes(b)
	if err != nil || at+int64(n) > end {
		return nil, w.damaged(at, "frame: "+errBroken.Error())
	}
	if b, err = w.window.bytes(at, n); err != nil {
		return nil, w.failed(err)
	}
	return b, nil
}

// hop returns the next place to look at: behind the block, or far behind it if the index knows that
// the next record is there.
func (w *walk) hop(h block, place int64) int64 {
	w.window.ahead = aheadMost / 4
	if h.bytes >= hopBytes {
		w.window.ahead = aheadLeast
	}
	if len(w.entries) > 1 && w.entries[1].offset == w.next {
		w.entries = w.entries[1:]
		w.window.ahead = aheadLeast
		return int64(w.entries[0].block)
	}
	return h.end(place)
}

func (w *walk) failed(err error) error {
	return fmt.Errorf("read record %d/%d: %s: %w", w.shard, w.next, w.path, err)
}

func (w *walk) damaged(place int64, why string) error {
	return &Damage{File: w.path, Byte: place, Why: why, Placed: true,
		Record: domain.Position{Shard: w.shard, Offset: w.next}}
}
