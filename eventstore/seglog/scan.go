package seglog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/filature/filature/domain"
)

// scanAhead is read at once by a scan: large enough to keep a disk busy, small beside the groups.
const scanAhead = 1 << 20

// flaw is why the bytes at a place of a segment do not carry the log on.
type flaw struct {
	place  int64
	why    string
	record domain.Position
	placed bool
	// whole: the bytes are what some writer wrote, in the wrong place. No crash does that.
	whole bool
	// groupEnd is where the group that holds the flaw ends, if its first header tells; or 0.
	groupEnd int64
}

func (f *flaw) damage(file string) *Damage {
	return &Damage{File: file, Byte: f.place, Record: f.record, Placed: f.placed, Why: f.why}
}

// checkGroup reads the group that starts b and returns its block headers, or the first flaw. b
// starts at a place of a segment and ends where the segment ends, or later than the group does.
func checkGroup(b []byte, place int64, logSeed, segSeed uint32, from tail) ([]block, *flaw) {
	var blocks []block
	var groupEnd int64
	chain, last := from.chain, domain.Shard(-1)
	for at := 0; ; {
		here := place + int64(at)
		if at+blockHeaderBytes > len(b) {
			return nil, &flaw{place: here, why: "group is incomplete", groupEnd: groupEnd}
		}
		h, err := decodeBlock(b[at:], segSeed)
		if err != nil {
			f := &flaw{place: here, why: "block header: " + err.Error(), groupEnd: groupEnd, whole: !errors.Is(err, errBroken)}
			f.record, f.placed = likelyRecord(b[at:], segSeed, from.next)
			return nil, f
		}
		if at == 0 {
			groupEnd = h.end(place) + int64(h.left)
		}
		record := domain.Position{Shard: h.shard, Offset: h.first}
		if why := follows(h, here, groupEnd, chain, last, from); why != "" {
			return nil, &flaw{place: here, why: why, record: record, placed: true, whole: true, groupEnd: groupEnd}
		}
		if groupEnd > place+int64(len(b)) {
			return nil, &flaw{place: here, why: "group is incomplete", record: record, placed: true, groupEnd: groupEnd}
		}
		at += blockHeaderBytes
		frames := b[at : at+int(h.bytes)]
		if f := checkFrames(frames, h, logSeed); f != nil {
			f.place += place + int64(at)
			f.groupEnd = groupEnd
			return nil, f
		}
		blocks = append(blocks, h)
		at += int(h.bytes)
		if h.left == 0 {
			return blocks, nil
		}
		chain, last = h.sum, h.shard
	}
}

// follows says why a block, whole in itself, does not carry the log on; or nothing.
func follows(h block, here, groupEnd int64, chain uint32, last domain.Shard, from tail) string {
	switch {
	case int(h.shard) >= len(from.next):
		return fmt.Sprintf("shard is %d; the log has %d", h.shard, len(from.next))
	case h.group != from.group:
		return fmt.Sprintf("group is %d; want %d", h.group, from.group)
	case h.chain != chain:
		return "block does not follow the one before"
	case h.shard <= last:
		return fmt.Sprintf("shard %d after %d in one group", h.shard, last)
	case h.first != from.next[h.shard]:
		return fmt.Sprintf("first offset is %d; want %d", h.first, from.next[h.shard])
	case h.timeMS < from.timeMS:
		return fmt.Sprintf("time goes back from %d to %d ms", from.timeMS, h.timeMS)
	case h.end(here)+int64(h.left) != groupEnd:
		return "block and group end in different places"
	}
	return ""
}

// checkFrames returns the first flaw of a block's frames; its place counts from the first of them.
func checkFrames(b []byte, h block, logSeed uint32) *flaw {
	at := 0
	for i := range h.count {
		_, n, err := decodeFrame(b[at:], logSeed)
		if err != nil {
			return &flaw{place: int64(at), why: "frame: " + err.Error(), placed: true,
				record: domain.Position{Shard: h.shard, Offset: h.first + domain.Offset(i)}}
		}
		at += n
	}
	if at != len(b) || crc32.Checksum(b, castagnoli) != h.frames {
		return &flaw{why: "frames are not those of their block", placed: true, whole: true,
			record: domain.Position{Shard: h.shard, Offset: h.first}}
	}
	return nil
}

// likelyRecord tells which record a broken block header begins, if the damage left enough of it: the
// shard and offset that mend it, or else those that it names, if they are due.
func likelyRecord(b []byte, segSeed uint32, next []domain.Offset) (domain.Position, bool) {
	if len(b) < blockHeaderBytes {
		return domain.Position{}, false
	}
	h := looseBlock(b)
	for shard, offset := range next {
		mended := h
		mended.shard, mended.first = domain.Shard(shard), offset
		if mended.put(make([]byte, blockHeaderBytes), segSeed) == h.sum {
			return domain.Position{Shard: mended.shard, Offset: offset}, true
		}
	}
	due := h.shard >= 0 && int(h.shard) < len(next) && h.first == next[h.shard]
	if !due || h.count == 0 { // of a zero page, every field but the count makes sense
		return domain.Position{}, false
	}
	return domain.Position{Shard: h.shard, Offset: h.first}, true
}

// segment is one file of a log and what is known of it.
type segment struct {
	path  string
	file  file
	head  segmentHead
	size  int64        // bytes that were scanned or written and hold whole groups
	index []shardIndex // per shard
}

// openSegment reads the header of a segment. The error is *Damage if the header is at fault.
func openSegment(path string, f file, length int64) (*segment, error) {
	w := window{file: f, limit: length, ahead: segmentHeadBytes(maxShards)}
	broken := func(err error) error { return &Damage{File: path, Why: err.Error()} }
	if length < segmentFixed {
		return nil, broken(errors.New("segment header is incomplete"))
	}
	fixed, err := w.bytes(0, segmentFixed)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	shards, err := segmentShards(fixed)
	if err != nil {
		return nil, broken(err)
	}
	n := segmentHeadBytes(shards)
	if length < int64(n) {
		return nil, broken(errors.New("segment header is incomplete"))
	}
	b, err := w.bytes(0, n)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	head, err := decodeSegmentHead(b)
	if err != nil {
		return nil, broken(err)
	}
	return &segment{path: path, file: f, head: head, size: int64(n), index: make([]shardIndex, shards)}, nil
}

// scan takes in the whole groups from s.size up to limit and returns the state of the log after
// them. If it met bytes that are no such group, it returns the flaw as well. t is not kept.
func (s *segment) scan(t tail, limit int64) (tail, *flaw, error) {
	t = t.clone()
	logSeed := s.head.id.seed()
	segSeed := segmentSeed(logSeed, s.head.number)
	w := window{file: s.file, limit: limit, ahead: scanAhead}
	for s.size < limit {
		n := int(min(blockHeaderBytes, limit-s.size))
		b, err := w.bytes(s.size, n)
		if err != nil {
			return t, nil, fmt.Errorf("%s: %w", s.path, err)
		}
		if h, err := decodeBlock(b, segSeed); err == nil {
			n = int(min(h.end(s.size)+int64(h.left), limit) - s.size)
			if b, err = w.bytes(s.size, n); err != nil {
				return t, nil, fmt.Errorf("%s: %w", s.path, err)
			}
		}
		blocks, f := checkGroup(b, s.size, logSeed, segSeed, t)
		if f != nil {
			return t, f, nil
		}
		s.take(b, blocks)
		t.advance(blocks)
	}
	return t, nil, nil
}

// take adds a whole group, which starts at s.size, to the index and to the size.
func (s *segment) take(group []byte, blocks []block) {
	at := 0
	for _, h := range blocks {
		frames := group[at+blockHeaderBytes:][:h.bytes]
		s.index[h.shard].add(h, s.size+int64(at), frames)
		at += blockHeaderBytes + int(h.bytes)
	}
	s.size += int64(at)
}

// advance is the state after one more group.
func (t *tail) advance(blocks []block) {
	for _, h := range blocks {
		t.next[h.shard] += domain.Offset(h.count)
	}
	end := blocks[len(blocks)-1]
	t.chain, t.timeMS = end.sum, end.timeMS
	t.group++
}

// later reports whether between two places of a segment there is the header of a block of a group
// after the given one.
func later(r io.ReaderAt, from, to int64, segSeed uint32, group uint64) (int64, bool, error) {
	magic := binary.LittleEndian.AppendUint32(nil, blockMagic)
	w := window{file: r, limit: to, ahead: scanAhead}
	for from+blockHeaderBytes <= to {
		b, err := w.bytes(from, int(min(scanAhead, to-from)))
		if err != nil {
			return 0, false, err
		}
		for at := 0; at+blockHeaderBytes <= len(b); at++ {
			i := bytes.Index(b[at:], magic)
			if i < 0 {
				break
			}
			at += i
			if h, err := decodeBlock(b[at:], segSeed); err == nil && h.group > group {
				return from + int64(at), true, nil
			}
		}
		from += int64(len(b) - blockHeaderBytes + 1)
	}
	return 0, false, nil
}
