package seglog

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/filature/filature/domain"
)

const (
	watermarkName = "watermark"
	segmentSuffix = ".seg"
	newSuffix     = ".new" // a file that was not complete when its name was given
)

func segmentName(number uint64) string { return fmt.Sprintf("%012d%s", number, segmentSuffix) }

// history is what a folder holds, read and checked from the first byte to the last.
type history struct {
	mark     watermark
	hasMark  bool
	segments []*segment // by number, from 0; none in a new log
	tail     tail       // after the last whole group
	rest     *flaw      // what follows the last whole group, or nil; not yet judged
	length   int64      // of the last segment's file
	unborn   []string   // files that a crash kept from getting their names
}

func (h *history) last() *segment { return h.segments[len(h.segments)-1] }

func (h *history) close() error {
	var errs []error
	for _, s := range h.segments {
		errs = append(errs, s.file.Close())
	}
	return errors.Join(errs...)
}

// acked is how far the last segment was acknowledged, as far as the watermark knows.
func (h *history) acked() int64 {
	head := int64(segmentHeadBytes(len(h.last().index)))
	if h.mark.segment != h.last().head.number {
		return head
	}
	return max(head, h.mark.bytes)
}

// load reads a folder. If acked, it stops at the watermark, because a writer is at work beyond it;
// else it reads all there is. It decides about everything but the end of the last segment.
func load(d disk, dir string, write, acked bool) (_ *history, err error) {
	h := &history{}
	// The watermark is read before the folder is listed: what it names is there by then.
	if h.mark, h.hasMark, err = loadWatermark(d, dir, acked); err != nil {
		return nil, err
	}
	files, err := d.list()
	if err != nil {
		return nil, err
	}
	numbers, unborn, err := sortOut(files, dir)
	if err != nil {
		return nil, err
	}
	h.unborn = unborn
	if acked {
		// Later segments were begun since; nothing in them was acknowledged when we looked.
		maps.DeleteFunc(numbers, func(n uint64, _ int64) bool { return n > h.mark.segment })
	}
	if err := h.complete(numbers, dir); err != nil || len(numbers) == 0 {
		return h, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, h.close())
		}
	}()
	for n := range uint64(len(numbers)) {
		f, err := d.open(segmentName(n), write)
		if err != nil {
			return nil, err
		}
		s, err := openSegment(filepath.Join(dir, segmentName(n)), f, numbers[n])
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		h.segments = append(h.segments, s)
		h.length = numbers[n]
	}
	if acked {
		if h.length < h.mark.bytes {
			return nil, &Damage{File: h.last().path, Byte: h.length, Why: "acknowledged bytes are missing"}
		}
		h.length = h.acked()
	}
	return h, h.scan(numbers)
}

func loadWatermark(d disk, dir string, live bool) (watermark, bool, error) {
	files, err := d.list()
	if err != nil {
		return watermark{}, false, err
	}
	for _, f := range files {
		if f.name == watermarkName {
			m, err := readWatermark(d, dir, f.bytes, live)
			return m, true, err
		}
	}
	return watermark{}, false, nil
}

func readWatermark(d disk, dir string, length int64, live bool) (watermark, error) {
	path := filepath.Join(dir, watermarkName)
	if length != watermarkBytes {
		return watermark{}, &Damage{File: path, Why: fmt.Sprintf("file has %d bytes; want %d", length, watermarkBytes)}
	}
	f, err := d.open(watermarkName, false)
	if err != nil {
		return watermark{}, err
	}
	m, err := watermarkOf(f, path, live)
	return m, errors.Join(err, f.Close())
}

// watermarkOf reads an open watermark. A live writer may be in the middle of writing it, so one that
// does not make sense is then read again before it is called damaged.
func watermarkOf(f io.ReaderAt, path string, live bool) (watermark, error) {
	const (
		tries = 10
		pause = time.Millisecond
	)
	b := make([]byte, watermarkBytes)
	for try := 1; ; try++ {
		if _, err := f.ReadAt(b, 0); err != nil {
			return watermark{}, fmt.Errorf("read watermark %s: %w", path, err)
		}
		m, err := decodeWatermark(b)
		if err == nil {
			return m, nil
		}
		if !live || try == tries {
			return watermark{}, &Damage{File: path, Why: err.Error()}
		}
		<-time.After(pause)
	}
}

// sortOut tells segments, by number with their lengths, from files that were being created. Other
// files are none of ours, unless they look like a segment.
func sortOut(files []listed, dir string) (segments map[uint64]int64, unborn []string, err error) {
	segments = map[uint64]int64{}
	for _, f := range files {
		name, born := f.name, true
		if before, ok := strings.CutSuffix(name, newSuffix); ok {
			name, born = before, false
		}
		n, err := strconv.ParseUint(strings.TrimSuffix(name, segmentSuffix), 10, 63)
		ours := err == nil && segmentName(n) == name
		switch {
		case !born && (ours || name == watermarkName):
			unborn = append(unborn, f.name)
		case born && ours:
			segments[n] = f.bytes
		case born && strings.HasSuffix(name, segmentSuffix):
			return nil, nil, &Damage{File: filepath.Join(dir, f.name), Why: "no segment has such a name"}
		}
	}
	return segments, unborn, nil
}

// complete checks that no segment, nor the watermark, is missing.
func (h *history) complete(numbers map[uint64]int64, dir string) error {
	missing := func(name string) error {
		return &Damage{File: filepath.Join(dir, name), Why: "file is missing"}
	}
	if !h.hasMark && len(numbers) > 0 {
		return missing(watermarkName)
	}
	want := uint64(len(numbers))
	if h.mark.bytes > 0 {
		want = max(want, h.mark.segment+1)
	}
	for n := range want {
		if _, ok := numbers[n]; !ok {
			return missing(segmentName(n))
		}
	}
	return nil
}

// scan reads all segments, several at once since each says what it starts from, and then checks in
// order that each starts from where the one before it ended.
func (h *history) scan(lengths map[uint64]int64) error {
	ends, flaws := make([]tail, len(h.segments)), make([]*flaw, len(h.segments))
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i, s := range h.segments {
		limit := lengths[uint64(i)]
		if i == len(h.segments)-1 {
			limit = h.length
		}
		g.Go(func() (err error) {
			ends[i], flaws[i], err = s.scan(s.head.start, limit)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	before, from := int64(0), tail{next: make([]domain.Offset, len(h.segments[0].index))}
	for i, s := range h.segments {
		if why := s.head.joins(h.mark.id, uint64(i), before, from); why != "" {
			return &Damage{File: s.path, Why: why}
		}
		acked := i < len(h.segments)-1 || s.size < h.acked()
		if f := flaws[i]; f != nil && acked {
			return f.damage(s.path)
		}
		if h.mark.segment == uint64(i) && s.size < h.mark.bytes {
			return &Damage{File: s.path, Byte: s.size, Why: "acknowledged bytes are missing"}
		}
		before, from = s.size, ends[i]
	}
	h.tail, h.rest = ends[len(ends)-1], flaws[len(flaws)-1]
	return nil
}

// joins says why a segment does not follow what was read before it; or nothing.
func (h segmentHead) joins(id logID, number uint64, before int64, from tail) string {
	switch {
	case h.id != id:
		return "segment belongs to another log"
	case h.number != number:
		return fmt.Sprintf("segment has number %d; want %d", h.number, number)
	case h.before != before:
		return fmt.Sprintf("segment before has %d bytes; want %d", before, h.before)
	case !h.start.equal(from):
		return "segment does not follow the one before"
	}
	return ""
}
