package seglog

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore"
)

const (
	// DefaultSegmentBytes keeps the files of a terabyte below 4,096, all of which stay open.
	DefaultSegmentBytes = 256 << 20
	// MinSegmentBytes is for tests that want many segments.
	MinSegmentBytes = 1 << 10
)

// Options say how a folder is opened for writing.
type Options struct {
	// Shards is how many shards the log has, control included: 1..4096. A folder with another
	// number is refused.
	Shards int
	// Now is the log's clock. It may jump; times of records never go back.
	Now func() time.Time
	// SegmentBytes is the length at which a new segment is begun: MinSegmentBytes..1 GiB, or 0 for
	// DefaultSegmentBytes. It may differ from one Open to the next.
	SegmentBytes int64
	// Random gives the 16 bytes that tell a new log from all others; nil is crypto/rand.
	Random io.Reader
	// Unsynced writes without waiting for the disk, hundreds of times faster. After a power cut the log may be lost. It is
	// for a copy that can be made again, and that whoever makes it syncs at the end.
	Unsynced bool
}

// OtherShardsError says that a folder was made with another number of shards than it is opened with. The
// log is whole; open it with Have.
type OtherShardsError struct{ Have, Asked int }

func (e *OtherShardsError) Error() string {
	return fmt.Sprintf("log has %d shards, control included, and was opened with %d", e.Have, e.Asked)
}

func (o *Options) check() error {
	if o.SegmentBytes == 0 {
		o.SegmentBytes = DefaultSegmentBytes
	}
	if o.Random == nil {
		o.Random = rand.Reader
	}
	switch {
	case o.Shards < 1 || o.Shards > maxShards:
		return fmt.Errorf("option Shards is %d; want 1..%d", o.Shards, maxShards)
	case o.SegmentBytes < MinSegmentBytes || o.SegmentBytes > maxSegmentBytes:
		return fmt.Errorf("option SegmentBytes is %d; want %d..%d", o.SegmentBytes, MinSegmentBytes, maxSegmentBytes)
	case o.Now == nil:
		return errors.New("option Now is missing")
	}
	return nil
}

// Log is a log in a folder, open for writing. It implements eventstore.Log.
type Log struct {
	*reader
	lock    *os.File // nil in tests without a folder
	repair  Repair   // Dropped is 0 if there was none
	queue   chan request
	writer  writer
	stopped chan struct{} // closed when the writer's goroutine has ended
}

var _ eventstore.Log = (*Log)(nil)

// Open opens the log in a folder, and makes both if there is none. It reads and checks all of the
// log. It fails with ErrInUse if somebody else writes it, and with *Damage (eventstore.ErrCorrupt)
// if its bytes are not what was written; Close it when done.
func Open(dir string, o Options) (*Log, error) {
	if err := makeDir(dir); err != nil {
		return nil, err
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	l, err := open(osDisk(dir), dir, o)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open log %s: %w", dir, err), lock.Close())
	}
	l.lock = lock
	return l, nil
}

func open(d disk, dir string, o Options) (*Log, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if o.Unsynced {
		d = unsyncedDisk{d}
	}
	h, err := load(d, dir, true, false)
	if err != nil {
		return nil, err
	}
	mark, repair, err := h.settle(d, dir, o)
	if err != nil {
		return nil, errors.Join(err, h.close())
	}
	l := &Log{
		reader:  newReader(h),
		repair:  repair,
		queue:   make(chan request, queueLength),
		stopped: make(chan struct{}),
		writer: writer{
			disk: d, dir: dir, now: o.Now, segmentBytes: o.SegmentBytes,
			mark: mark, segment: h.last(), tail: h.tail,
		},
	}
	go l.run()
	return l, nil
}

// settle makes a loaded folder ready to be written: it creates what a new log lacks, removes the
// remains of a torn write, and makes all that is left durable. It returns the open watermark. A
// folder that it refuses, it leaves untouched.
func (h *history) settle(d disk, dir string, o Options) (file, Repair, error) {
	if len(h.segments) > 0 {
		if n := len(h.tail.next); n != o.Shards {
			return nil, Repair{}, &OtherShardsError{Have: n, Asked: o.Shards}
		}
		if err := h.judge(); err != nil {
			return nil, Repair{}, err
		}
	}
	for _, name := range h.unborn {
		if err := d.remove(name); err != nil {
			return nil, Repair{}, err
		}
	}
	mark, err := h.openMark(d, o.Random)
	if err != nil {
		return nil, Repair{}, err
	}
	repair, err := h.settleSegments(d, dir, o.Shards)
	if err == nil {
		// A file may have its name in the kernel's cache only, if we crashed right after it got it.
		err = d.sync()
	}
	if err == nil {
		err = h.moveMark(mark)
	}
	if err != nil {
		return nil, Repair{}, errors.Join(err, mark.Close())
	}
	return mark, repair, nil
}

// openMark opens the watermark. A new log gets it first, before any segment, so that a folder with
// segments and without it has lost it.
func (h *history) openMark(d disk, random io.Reader) (file, error) {
	if h.hasMark {
		return d.open(watermarkName, true)
	}
	if _, err := io.ReadFull(random, h.mark.id[:]); err != nil {
		return nil, fmt.Errorf("name a new log: %w", err)
	}
	return createFile(d, watermarkName, h.mark.encode())
}

func (h *history) settleSegments(d disk, dir string, shards int) (Repair, error) {
	if len(h.segments) > 0 {
		repair, err := h.cut()
		if err != nil {
			return Repair{}, err
		}
		return repair, h.harden()
	}
	h.tail = tail{next: make([]domain.Offset, shards)}
	s, err := createSegment(d, dir, segmentHead{id: h.mark.id, start: h.tail.clone()})
	if err != nil {
		return Repair{}, err
	}
	h.segments = []*segment{s}
	return Repair{}, nil
}

func (h *history) moveMark(mark file) error {
	s := h.last()
	if _, err := mark.WriteAt(watermark{id: s.head.id, segment: s.head.number, bytes: s.size}.encode(), 0); err != nil {
		return fmt.Errorf("move watermark: %w", err)
	}
	if err := mark.Sync(); err != nil {
		return fmt.Errorf("sync watermark: %w", err)
	}
	return nil
}

// Repaired returns what Open cut off the end of the log, if anything. None of it was acknowledged,
// within the limits that the package comment gives.
func (l *Log) Repaired() (Repair, bool) {
	return l.repair, l.repair.Dropped > 0
}

// Close stops the writer, lets running Reads finish and gives the folder free. Appends that were
// not yet begun fail with eventstore.ErrClosed. Only the first call does anything.
func (l *Log) Close() error {
	if !l.shut() {
		return nil
	}
	<-l.stopped
	// From here on a changed byte can't be taken for a torn write, not even after a power cut.
	errs := []error{l.writer.mark.Sync(), l.writer.mark.Close(), l.release()}
	if l.lock != nil {
		errs = append(errs, l.lock.Close())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close log %s: %w", l.writer.dir, err)
	}
	return nil
}
