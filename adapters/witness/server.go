package witness

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"sync"
	"time"

	"github.com/filature/filature/eventstore/tlog"
)

// Witness is one: it cosigns, for logs whose keys a policy lists, whatever goes on from what it cosigned last.
type Witness struct {
	name string
	key  ed25519.PrivateKey
	logs *tlog.Policy // its quorum is none
	now  func() time.Time

	mu    sync.Mutex // check, write and sign are one step, or a slower request could roll back a faster one
	files tlog.Files // per log the last checkpoint that was cosigned
}

// New returns a witness that remembers in files. It is alone there.
func New(name string, key ed25519.PrivateKey, logs *tlog.Policy, files tlog.Files, now func() time.Time) *Witness {
	return &Witness{name: name, key: key, logs: logs, files: files, now: now}
}

// ServeHTTP answers add-checkpoint, with the status codes of tlog-witness.
func (w *Witness) ServeHTTP(out http.ResponseWriter, in *http.Request) {
	if in.URL.Path != addCheckpoint {
		http.NotFound(out, in)
		return
	}
	if in.Method != http.MethodPost {
		http.Error(out, "want POST", http.StatusMethodNotAllowed)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(out, in.Body, maxBodyBytes))
	if err != nil {
		http.Error(out, err.Error(), http.StatusBadRequest)
		return
	}
	a := w.answer(body)
	if a.seen != nil {
		out.Header().Set("Content-Type", sizeType)
		out.WriteHeader(a.status)
		fmt.Fprintf(out, "%d\n", *a.seen)
		return
	}
	if a.err != nil {
		http.Error(out, a.err.Error(), a.status)
		return
	}
	out.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = out.Write(a.lines) // whoever asked is gone, and asks again
}

// answer is lines, or a status and an error, or a status and the size that was seen.
type answer struct {
	status int
	lines  []byte
	seen   *int64
	err    error
}

func (w *Witness) answer(body []byte) answer {
	r, err := parseRequest(body)
	if err != nil {
		return answer{status: http.StatusBadRequest, err: err}
	}
	checkpoint, err := w.logs.Open(r.checkpoint)
	switch {
	case errors.Is(err, tlog.ErrUnknownLog):
		return answer{status: http.StatusNotFound, err: err}
	case err != nil:
		return answer{status: http.StatusForbidden, err: err}
	case r.seen > checkpoint.Head.Size:
		return answer{status: http.StatusBadRequest, err: fmt.Errorf("old size %d is above the checkpoint's %d", r.seen, checkpoint.Head.Size)}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	last, err := w.last(checkpoint.Log)
	switch {
	case err != nil:
		return answer{status: http.StatusInternalServerError, err: err}
	case last.Size != r.seen:
		return answer{status: http.StatusConflict, seen: &last.Size}
	case last.Size == checkpoint.Head.Size && last != checkpoint.Head:
		return answer{status: http.StatusConflict, err: fmt.Errorf("another tree of %d was cosigned", last.Size)}
	}
	if err := tlog.VerifyConsistency(last, checkpoint.Head, r.consistency); err != nil {
		return answer{status: http.StatusUnprocessableEntity, err: err}
	}
	line, err := tlog.Cosign(r.checkpoint, w.name, w.key, w.now())
	if err == nil {
		err = w.remember(checkpoint.Log, r.checkpoint) // before anybody sees the signature
	}
	if err != nil {
		return answer{status: http.StatusInternalServerError, err: err}
	}
	return answer{status: http.StatusOK, lines: line}
}

func (w *Witness) last(log tlog.Log) (tlog.Head, error) {
	signed, err := w.files.Read(log.Origin())
	if errors.Is(err, fs.ErrNotExist) {
		return tlog.EmptyHead(), nil
	}
	if err != nil {
		return tlog.Head{}, err
	}
	checkpoint, err := w.logs.Open(signed)
	if err != nil {
		return tlog.Head{}, fmt.Errorf("what was cosigned last: %w", err)
	}
	return checkpoint.Head, nil
}

func (w *Witness) remember(log tlog.Log, signed []byte) error {
	if err := w.files.Write(log.Origin(), signed); err != nil {
		return err
	}
	return w.files.Sync()
}
