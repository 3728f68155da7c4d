package seglog

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// sectorBytes is what a disk writes whole or not at all.
const sectorBytes = 512

// judge decides what the bytes after the last whole group are: the remains of one write that was
// never acknowledged (nil), or damage to something that was.
//
// A group is written only after the one before it was synced. So what comes after the group that
// can't be read proves that it was acknowledged. Without such a proof there is one more: a crash
// leaves each sector of a new part of a file either written or empty, so a group that is all there
// and has no empty sector did arrive, and was changed later.
//
// That the watermark does not vouch for these bytes is known already.
func (h *history) judge() error {
	if h.rest == nil {
		return nil
	}
	s := h.last()
	damage := h.rest.damage(s.path)
	if h.rest.whole {
		return damage
	}
	segSeed := segmentSeed(s.head.id.seed(), s.head.number)
	at, found, err := later(s.file, s.size, h.length, segSeed, h.tail.group)
	if err != nil {
		return fmt.Errorf("%s: %w", s.path, err)
	}
	if found {
		damage.Why += fmt.Sprintf("; a later write is at byte %d", at)
		return damage
	}
	if end := h.rest.groupEnd; end > 0 && end <= h.length {
		hole, err := hasHole(s.file, s.size, end)
		if err != nil {
			return fmt.Errorf("%s: %w", s.path, err)
		}
		beyond, err := countEmpty(s.file, end, h.length)
		if err != nil {
			return fmt.Errorf("%s: %w", s.path, err)
		}
		if !hole || end+beyond < h.length {
			damage.Why += "; all of its group was written"
			return damage
		}
	}
	return nil
}

// hasHole reports whether between two places of a file there is a sector, or the part of one that
// lies between them, with nothing in it.
func hasHole(r io.ReaderAt, from, to int64) (bool, error) {
	w := window{file: r, limit: to, ahead: scanAhead}
	for from < to {
		n := min(sectorBytes-from%sectorBytes, to-from)
		b, err := w.bytes(from, int(n))
		if err != nil || empty(b) {
			return true, err
		}
		from += n
	}
	return false, nil
}

// countEmpty returns how many bytes from a place on, and before another, are zero.
func countEmpty(r io.ReaderAt, from, to int64) (int64, error) {
	w := window{file: r, limit: to, ahead: scanAhead}
	for at := from; at < to; at++ {
		b, err := w.bytes(at, 1)
		if err != nil || b[0] != 0 {
			return at - from, err
		}
	}
	return to - from, nil
}

func empty(b []byte) bool {
	for _, x := range b {
		if x != 0 {
			return false
		}
	}
	return true
}

// cut removes the remains of a torn write, if any, and says what it removed.
func (h *history) cut() (Repair, error) {
	if h.rest == nil {
		return Repair{}, nil
	}
	s := h.last()
	if err := s.file.Truncate(s.size); err != nil {
		return Repair{}, fmt.Errorf("cut torn write: %w", err)
	}
	r := Repair{File: s.path, Byte: s.size, Dropped: h.length - s.size}
	h.length, h.rest = s.size, nil
	return r, nil
}

// harden makes sure that what was read beyond the watermark is on the disk before anybody builds
// on it. Such bytes may have been written and never synced; or the sync failed, which leaves them
// in the kernel's cache looking clean. So they are written again, which makes them dirty, and
// synced.
func (h *history) harden() error {
	s := h.last()
	const chunk = 1 << 20
	w := window{file: s.file, limit: s.size, ahead: chunk}
	for at := h.acked(); at < s.size; at += chunk {
		b, err := w.bytes(at, int(min(chunk, s.size-at)))
		if err != nil {
			return fmt.Errorf("%s: %w", s.path, err)
		}
		if _, err := s.file.WriteAt(b, at); err != nil {
			return fmt.Errorf("write the unacknowledged end again: %w", err)
		}
	}
	if err := s.file.Sync(); err != nil {
		return fmt.Errorf("sync the unacknowledged end: %w", err)
	}
	return nil
}

// makeDir makes a folder and those above it, each durable in the one above.
func makeDir(dir string) error {
	if info, err := os.Stat(dir); err == nil {
		if !info.IsDir() {
			return fmt.Errorf("log folder %s is a file", dir)
		}
		return nil
	}
	above := filepath.Dir(dir)
	if above != dir {
		if err := makeDir(above); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o750); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("make log folder: %w", err)
	}
	return osDisk(above).sync()
}
