package seglog

import (
	"cmp"
	"errors"
	"fmt"
	"hash/crc32"
	"path/filepath"
	"slices"
	"time"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore"
)

// writer is the end of the log. It belongs to the goroutine that runs the log.
type writer struct {
	disk         disk
	dir          string
	now          func() time.Time
	segmentBytes int64

	mark    file // the watermark
	segment *segment
	tail    tail
	group   []byte  // the last group built; its memory is used again
	blocks  []block // its headers
	failed  error   // why nothing is written any more, or nil
}

// run takes Appends off the queue until the log is closed.
func (l *Log) run() {
	defer close(l.stopped)
	var requests []request
	for {
		select {
		case r := <-l.queue:
			requests = l.gather(append(requests[:0], r))
			l.commit(requests)
		case <-l.over:
			return
		}
	}
}

// gather adds to a group the Appends that wait already, up to gatherBytes.
func (l *Log) gather(requests []request) []request {
	for bytes := len(*requests[0].frames); bytes < gatherBytes; {
		select {
		case r := <-l.queue:
			bytes += len(*r.frames)
			requests = append(requests, r)
		default:
			return requests
		}
	}
	return requests
}

// commit makes a group of requests durable, shows it to the readers and answers.
func (l *Log) commit(requests []request) {
	w := &l.writer
	// Stable: Appends to one shard keep the order in which they came.
	slices.SortStableFunc(requests, func(a, b request) int { return cmp.Compare(a.shard, b.shard) })
	rolled, err := w.commit(requests)
	if err == nil {
		l.publish(rolled)
	}
	var next domain.Offset
	for i, r := range requests {
		framesPool.Put(r.frames)
		if err != nil {
			r.answer <- answer{err: err}
			continue
		}
		if i == 0 || requests[i-1].shard != r.shard {
			next = w.tail.next[r.shard]
		}
		r.answer <- answer{first: next}
		next += domain.Offset(r.count)
	}
	if err == nil {
		w.tail.advance(w.blocks)
	}
}

// publish shows the group to readers.
func (l *Log) publish(rolled bool) {
	w := &l.writer
	l.mu.Lock()
	defer l.mu.Unlock()
	if rolled {
		l.segments = append(l.segments, w.segment)
	}
	w.segment.take(w.group, w.blocks)
	for _, b := range w.blocks {
		l.ends[b.shard] += domain.Offset(b.count)
		l.wake(b.shard)
	}
}

// commit writes a group and syncs it. After an error the log is failed: what is on the disk is not
// known, and only reading it again can tell.
func (w *writer) commit(requests []request) (rolled bool, err error) {
	if w.failed != nil {
		return false, w.failed
	}
	defer func() {
		if err != nil {
			w.failed = fmt.Errorf("%w: %w", eventstore.ErrFailed, err)
			err = w.failed
		}
	}()
	bytes := groupBytes(requests)
	full := w.segment.size+int64(bytes) > w.segmentBytes
	if full && w.segment.size > int64(segmentHeadBytes(len(w.tail.next))) {
		if err := w.roll(); err != nil {
			return false, fmt.Errorf("begin segment %d: %w", w.segment.head.number+1, err)
		}
		rolled = true
	}
	w.build(requests, bytes)
	s := w.segment
	if _, err := s.file.WriteAt(w.group, s.size); err != nil {
		return false, fmt.Errorf("append to %s: %w", s.path, err)
	}
	if err := s.file.Sync(); err != nil {
		return false, fmt.Errorf("append to %s: %w", s.path, err)
	}
	// If we crash here the group is durable and nobody was told. It will be there on reopen, which
	// is what "may or may not have been kept" allows.
	acked := watermark{id: s.head.id, segment: s.head.number, bytes: s.size + int64(len(w.group))}
	if _, err := w.mark.WriteAt(acked.encode(), 0); err != nil {
		return false, fmt.Errorf("move watermark: %w", err)
	}
	return rolled, nil
}

// roll begins the next segment. All before it is synced, so whoever finds the new one knows that.
func (w *writer) roll() error {
	h := segmentHead{
		id:     w.segment.head.id,
		number: w.segment.head.number + 1,
		before: w.segment.size,
		start:  w.tail.clone(),
	}
	s, err := createSegment(w.disk, w.dir, h)
	if err != nil {
		return err
	}
	w.segment = s
	return nil
}

// sameShard returns how many of the requests, which are in order of shards, have that of the first.
func sameShard(requests []request) int {
	n := 1
	for n < len(requests) && requests[n].shard == requests[0].shard {
		n++
	}
	return n
}

// groupBytes is how long the group of some requests is: a block for each shard.
func groupBytes(requests []request) int {
	bytes := 0
	for len(requests) > 0 {
		n := sameShard(requests)
		bytes += blockHeaderBytes
		for _, r := range requests[:n] {
			bytes += len(*r.frames) - blockHeaderBytes
		}
		requests = requests[n:]
	}
	return bytes
}

// build lays out the group of some requests, so many bytes long.
func (w *writer) build(requests []request, bytes int) {
	w.blocks, w.group = w.blocks[:0], w.group[:0]
	alone := len(requests) == 1
	if alone {
		// Its frames are the group already, but for the header: a large batch is not copied again.
		w.group, *requests[0].frames = *requests[0].frames, w.group
	} else {
		w.group = slices.Grow(w.group, bytes)
	}
	s := w.segment
	segSeed := segmentSeed(s.head.id.seed(), s.head.number)
	timeMS, chain := max(w.now().UnixMilli(), w.tail.timeMS), w.tail.chain
	for start := 0; len(requests) > 0; start = len(w.group) {
		n := sameShard(requests)
		b := block{shard: requests[0].shard, first: w.tail.next[requests[0].shard], timeMS: timeMS, group: w.tail.group, chain: chain}
		for i, r := range requests[:n] {
			b.count += uint32(r.count)
			switch {
			case alone:
			case i == 0:
				w.group = append(w.group, *r.frames...)
			default:
				w.group = append(w.group, (*r.frames)[blockHeaderBytes:]...)
			}
		}
		requests = requests[n:]
		frames := w.group[start+blockHeaderBytes:]
		b.bytes, b.frames = uint32(len(frames)), crc32.Checksum(frames, castagnoli)
		b.left = uint32(bytes - len(w.group))
		b.sum = b.put(w.group[start:], segSeed)
		chain = b.sum
		w.blocks = append(w.blocks, b)
	}
}

// createFile makes a file that is there whole or not at all, whenever we crash. It is durable when
// this returns.
func createFile(d disk, name string, content []byte) (file, error) {
	f, err := d.create(name + newSuffix)
	if err != nil {
		return nil, err
	}
	_, err = f.WriteAt(content, 0)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = d.rename(name+newSuffix, name)
	}
	if err == nil {
		err = d.sync()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("create %s: %w", name, err), f.Close())
	}
	return f, nil
}

func createSegment(d disk, dir string, h segmentHead) (*segment, error) {
	content := h.encode()
	f, err := createFile(d, segmentName(h.number), content)
	if err != nil {
		return nil, err
	}
	return &segment{
		path: filepath.Join(dir, segmentName(h.number)), file: f, head: h,
		size: int64(len(content)), index: make([]shardIndex, len(h.start.next)),
	}, nil
}
