package seglog

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore"
)

// pollEvery is how often a Wait of a ReadOnly looks for new records: the writer may be another
// process, which can't wake us. It costs one read of 44 bytes.
const pollEvery = 10 * time.Millisecond

// ReadOnly is a log that is only read. It implements eventstore.Reader and sees what a live writer,
// in this process or another, goes on to acknowledge.
type ReadOnly struct {
	*reader
	disk disk
	dir  string
	mark file
	tail tail // guarded by mu
}

var _ eventstore.Reader = (*ReadOnly)(nil)

// OpenReadOnly opens a log to read it. It changes nothing and takes no lock. If a writer is live it
// shows what was acknowledged, else all whole groups: a torn end is passed over, and any other
// damage is refused as Open does.
func OpenReadOnly(dir string) (*ReadOnly, error) {
	r, err := openReadOnly(osDisk(dir), dir)
	if err != nil {
		return nil, fmt.Errorf("open log %s to read: %w", dir, err)
	}
	return r, nil
}

func openReadOnly(d disk, dir string) (*ReadOnly, error) {
	h, _, err := look(d, dir)
	if err != nil {
		return nil, err
	}
	var mark file
	if err = h.judge(); err == nil {
		mark, err = d.open(watermarkName, false)
	}
	if err != nil {
		return nil, errors.Join(err, h.close())
	}
	return &ReadOnly{reader: newReader(h), disk: d, dir: dir, mark: mark, tail: h.tail}, nil
}

// look reads a folder that somebody may be writing, and says whether somebody is.
func look(d disk, dir string) (_ *history, writing bool, err error) {
	for {
		if writing, err = d.live(); err != nil {
			return nil, false, err
		}
		h, err := load(d, dir, false, writing)
		if err != nil {
			return nil, false, err
		}
		if len(h.segments) == 0 {
			return nil, false, fmt.Errorf("folder has no log: %w", fs.ErrNotExist)
		}
		if writing {
			return h, true, nil
		}
		came, err := d.live()
		if err == nil && !came {
			return h, false, nil
		}
		// A writer that came meanwhile may have let us see the half of a group. Look again.
		if err = errors.Join(err, h.close()); err != nil {
			return nil, false, err
		}
	}
}

// End implements eventstore.Reader.
func (r *ReadOnly) End(ctx context.Context, shard domain.Shard) (domain.Offset, error) {
	if err := r.refresh(); err != nil {
		return 0, err
	}
	return r.reader.End(ctx, shard)
}

// Read implements eventstore.Reader.
func (r *ReadOnly) Read(ctx context.Context, shard domain.Shard, from domain.Offset, limit int) ([]eventstore.Record, error) {
	records, err := r.reader.Read(ctx, shard, from, limit)
	if len(records) > 0 || err != nil && !errors.Is(err, eventstore.ErrGap) {
		return records, err
	}
	if err := r.refresh(); err != nil {
		return nil, err
	}
	return r.reader.Read(ctx, shard, from, limit)
}

// Wait implements eventstore.Reader.
func (r *ReadOnly) Wait(ctx context.Context, shard domain.Shard, from domain.Offset) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		if err := r.refresh(); err != nil {
			return err
		}
		if grown, err := r.waiting(shard, from); err != nil || grown == nil {
			return err
		}
		select {
		case <-tick.C:
		case <-r.over:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// refresh takes in what was acknowledged since.
func (r *ReadOnly) refresh() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return eventstore.ErrClosed
	}
	m, err := watermarkOf(r.mark, filepath.Join(r.dir, watermarkName), true)
	if err != nil {
		return err
	}
	for {
		s := r.segments[len(r.segments)-1]
		switch {
		case m.segment < s.head.number:
			return nil // all whole groups were taken in when no writer was live
		case m.segment == s.head.number:
			return r.take(s, m.bytes)
		}
		next, err := r.openNext(s)
		if err != nil {
			return err
		}
		if err := r.take(s, next.head.before); err != nil {
			return errors.Join(err, next.file.Close())
		}
		if why := next.head.joins(m.id, s.head.number+1, s.size, r.tail); why != "" {
			return errors.Join(&Damage{File: next.path, Why: why}, next.file.Close())
		}
		r.segments = append(r.segments, next)
	}
}

func (r *ReadOnly) openNext(s *segment) (*segment, error) {
	name := segmentName(s.head.number + 1)
	f, err := r.disk.open(name, false)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &Damage{File: filepath.Join(r.dir, name), Why: "file is missing"}
	}
	if err != nil {
		return nil, err
	}
	next, err := openSegment(filepath.Join(r.dir, name), f, int64(segmentHeadBytes(r.shards)))
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return next, nil
}

// take scans a segment on to a place up to which it was acknowledged.
func (r *ReadOnly) take(s *segment, to int64) error {
	t, f, err := s.scan(r.tail, to)
	if err != nil {
		return err
	}
	r.tail = t
	for shard, end := range t.next {
		r.ends[shard] = end
		r.wake(domain.Shard(shard))
	}
	if f != nil {
		return f.damage(s.path)
	}
	return nil
}

// Close lets running Reads finish and closes the files. Only the first call does anything.
func (r *ReadOnly) Close() error {
	if !r.shut() {
		return nil
	}
	if err := errors.Join(r.mark.Close(), r.release()); err != nil {
		return fmt.Errorf("close log %s: %w", r.dir, err)
	}
	return nil
}

// Report says what Verify found whole.
type Report struct {
	Segments int
	Groups   uint64
	Bytes    int64           // of segments
	Ends     []domain.Offset // per shard
	// Live: somebody is writing the log, and it was verified as far as it was acknowledged.
	Live bool
}

// Verify reads every byte of a log that nobody changes and finds it whole, or returns an error: a
// *Damage (eventstore.ErrCorrupt) for the first byte that is not as it was written. It is stricter
// than Open: what is left of a torn write is damage, too.
func Verify(dir string) (Report, error) {
	r, err := verify(osDisk(dir), dir)
	if err != nil {
		return Report{}, fmt.Errorf("verify log %s: %w", dir, err)
	}
	return r, nil
}

func verify(d disk, dir string) (_ Report, err error) {
	h, writing, err := look(d, dir)
	if err != nil {
		return Report{}, err
	}
	defer func() { err = errors.Join(err, h.close()) }()
	if h.rest != nil {
		return Report{}, h.rest.damage(h.last().path)
	}
	if len(h.unborn) > 0 && !writing {
		return Report{}, &Damage{File: filepath.Join(dir, h.unborn[0]), Why: "file was never completed"}
	}
	r := Report{Segments: len(h.segments), Groups: h.tail.group, Ends: h.tail.next, Live: writing}
	for _, s := range h.segments {
		r.Bytes += s.size
	}
	return r, nil
}
