package seglog

import (
	"fmt"
	"io"
)

// window reads ahead in the first limit bytes of a file, so that walking over many small pieces
// costs few system calls. It belongs to one goroutine.
type window struct {
	file  io.ReaderAt
	limit int64
	ahead int // bytes to read at once, unless more are asked for
	from  int64
	buf   []byte
}

// bytes returns n bytes of the file. They are valid until the next call. The caller makes sure
// that place+n is within the limit.
func (w *window) bytes(place int64, n int) ([]byte, error) {
	if at := place - w.from; at >= 0 && at+int64(n) <= int64(len(w.buf)) {
		return w.buf[at : at+int64(n)], nil
	}
	want := int(min(int64(max(n, w.ahead)), w.limit-place))
	if want < n {
		return nil, fmt.Errorf("read %d bytes at %d of %d: %w", n, place, w.limit, io.ErrUnexpectedEOF)
	}
	if cap(w.buf) < want {
		w.buf = make([]byte, want)
	}
	w.from, w.buf = place, w.buf[:want]
	if _, err := w.file.ReadAt(w.buf, place); err != nil {
		w.buf = w.buf[:0]
		return nil, fmt.Errorf("read %d bytes at %d: %w", want, place, err)
	}
	return w.buf[:n], nil
}
