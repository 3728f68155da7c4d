package seglog

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"syscall"
)

// memDisk is a folder with a page cache above a disk, both in memory, that can fail any call and
// cut the power. What a program reads is the cache; what outlives a power cut is what was synced,
// and of the rest whatever sectors the disk happened to write.
type memDisk struct {
	mu      sync.Mutex
	names   map[string]*memFile // as programs see them
	durable map[string]*memFile // as they are after a power cut
	journal []func(map[string]*memFile)
	writing bool

	calls  int // that change something, so far
	failAt int // the call that fails, counted from 1; 0 is none
	how    failure
}

// failure is how a call fails.
type failure int

const (
	failLost  failure = iota // nothing was done
	failKept                 // all was done
	failShort                // half of a write was done, and the disk is full; else as failLost
)

var errDisk = errors.New("disk says no")

func newMemDisk() *memDisk {
	return &memDisk{names: map[string]*memFile{}, durable: map[string]*memFile{}}
}

// call counts one changing call and returns how it fails, if it does.
func (d *memDisk) call() (failure, bool) {
	d.calls++
	return d.how, d.calls == d.failAt
}

// change does something to the names, in the cache at once, on the disk at the next sync.
func (d *memDisk) change(do func(map[string]*memFile)) error {
	how, fails := d.call()
	if !fails || how == failKept {
		do(d.names)
		d.journal = append(d.journal, do)
	}
	if fails {
		return errDisk
	}
	return nil
}

func (d *memDisk) list() ([]listed, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var files []listed
	for _, name := range slices.Sorted(maps.Keys(d.names)) {
		files = append(files, listed{name: name, bytes: int64(len(d.names[name].cache))})
	}
	return files, nil
}

func (d *memDisk) open(name string, write bool) (file, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f, ok := d.names[name]
	if !ok {
		return nil, fmt.Errorf("open %s: %w", name, fs.ErrNotExist)
	}
	return &memHandle{memFile: f, write: write}, nil
}

func (d *memDisk) create(name string) (file, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := &memFile{disk: d, dirty: map[int64]bool{}}
	if err := d.change(func(m map[string]*memFile) { m[name] = f }); err != nil {
		return nil, err
	}
	return &memHandle{memFile: f, write: true}, nil
}

func (d *memDisk) rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.change(func(m map[string]*memFile) {
		m[to] = m[from]
		delete(m, from)
	})
}

func (d *memDisk) remove(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.change(func(m map[string]*memFile) { delete(m, name) })
}

func (d *memDisk) sync() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	how, fails := d.call()
	if !fails || how == failKept {
		for _, do := range d.journal {
			do(d.durable)
		}
		d.journal = nil
	}
	if fails {
		return errDisk
	}
	return nil
}

func (d *memDisk) live() (bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.writing, nil
}

// powerCut returns the folder as it may be found after the power comes back.
func (d *memDisk) powerCut(r *rand.Rand) *memDisk {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, do := range d.journal[:r.IntN(len(d.journal)+1)] { // a journal is kept in order
		do(d.durable)
	}
	found := newMemDisk()
	for _, name := range slices.Sorted(maps.Keys(d.durable)) {
		found.add(name, d.durable[name].afterPowerCut(r))
	}
	return found
}

// add puts a file in the folder, durable.
func (d *memDisk) add(name string, content []byte) {
	f := &memFile{disk: d, cache: slices.Clone(content), disked: slices.Clone(content), dirty: map[int64]bool{}}
	d.names[name], d.durable[name] = f, f
}

// clone copies the folder as programs see it.
func (d *memDisk) clone() *memDisk {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := newMemDisk()
	for name, f := range d.names {
		c.add(name, f.cache)
	}
	return c
}

// memFile is one file.
type memFile struct {
	disk   *memDisk
	cache  []byte
	disked []byte
	dirty  map[int64]bool // sectors that the cache has and the disk may not have
}

func (f *memFile) afterPowerCut(r *rand.Rand) []byte {
	length := len(f.disked)
	if more := len(f.cache) - length; more > 0 {
		length += []int{0, r.IntN(more + 1), more}[r.IntN(3)]
	} else if more < 0 && r.IntN(2) == 0 {
		length = len(f.cache)
	}
	found := make([]byte, length)
	copy(found, f.disked)
	for _, sector := range slices.Sorted(maps.Keys(f.dirty)) {
		if r.IntN(2) == 0 {
			f.writeBack(found, sector)
		}
	}
	return found
}

func (f *memFile) writeBack(to []byte, sector int64) {
	from := sector * sectorBytes
	if from < int64(min(len(to), len(f.cache))) {
		copy(to[from:], f.cache[from:min(int64(len(f.cache)), from+sectorBytes)])
	}
}

// memHandle is an open file.
type memHandle struct {
	*memFile
	write bool
}

func (h *memHandle) ReadAt(p []byte, off int64) (int, error) {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	if off >= int64(len(h.cache)) {
		return 0, io.EOF
	}
	n := copy(p, h.cache[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (h *memHandle) WriteAt(p []byte, off int64) (int, error) {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	if !h.write {
		return 0, errors.New("write to a file that was opened to read")
	}
	how, fails := h.disk.call()
	if fails {
		switch how {
		case failLost:
			return 0, errDisk
		case failShort:
			h.put(p[:len(p)/2], off)
			return len(p) / 2, syscall.ENOSPC
		case failKept:
			h.put(p, off)
			return 0, errDisk
		}
	}
	h.put(p, off)
	return len(p), nil
}

func (h *memHandle) put(p []byte, off int64) {
	if grow := off + int64(len(p)) - int64(len(h.cache)); grow > 0 {
		h.cache = append(h.cache, make([]byte, grow)...)
	}
	copy(h.cache[off:], p)
	for s := off / sectorBytes; s*sectorBytes < off+int64(len(p)); s++ {
		h.dirty[s] = true
	}
}

// Sync that fails has lost the writes it was to make durable, and the cache calls them clean.
func (h *memHandle) Sync() error {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	how, fails := h.disk.call()
	if !fails || how == failKept {
		if grow := len(h.cache) - len(h.disked); grow > 0 {
			h.disked = append(h.disked, make([]byte, grow)...)
		}
		h.disked = h.disked[:len(h.cache)]
		for s := range h.dirty {
			h.writeBack(h.disked, s)
		}
	}
	clear(h.dirty)
	if fails {
		return errDisk
	}
	return nil
}

func (h *memHandle) Truncate(size int64) error {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	how, fails := h.disk.call()
	if !fails || how == failKept {
		h.cache = h.cache[:size]
	}
	if fails {
		return errDisk
	}
	return nil
}

func (h *memHandle) Close() error { return nil }
