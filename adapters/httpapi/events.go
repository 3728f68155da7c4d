package httpapi

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// events writes server-sent events to one reader.
type events struct {
	to      http.ResponseWriter
	control *http.ResponseController
	network domain.NetworkID
	at      cursor // behind what was written
	block   []byte
}

// open begins the answer with an id, so that a reader whose connection breaks before the first event
// misses none. It fails where the connection can't be bounded in time; nothing was written then.
func (e *events) open() error {
	// Reading was over with the request. A deadline that passes would look like a reader who left.
	if err := e.control.SetReadDeadline(time.Time{}); err != nil {
		return fmt.Errorf("begin a stream: %w", err)
	}
	header := e.to.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Accel-Buffering", "no") // what nginx would do
	e.to.WriteHeader(http.StatusOK)
	e.id()
	e.block = append(e.block, '\n')
	return nil
}

func (e *events) id() {
	e.block = append(e.block, "id: "...)
	e.block = append(e.block, e.at.encode(e.network)...)
	e.block = append(e.block, '\n')
}

// write adds an event, behind which e.at is.
func (e *events) write(completion *v1.Completion) error {
	e.id()
	e.block = append(e.block, "event: completion\ndata: "...)
	e.block = v1.AppendJSON(e.block, completion)
	e.block = append(e.block, "\n\n"...)
	if len(e.block) < blockBytes {
		return nil
	}
	return e.flush()
}

// heartbeat adds what shows that we live, and how far we have looked.
func (e *events) heartbeat() {
	e.block = append(e.block, ":\n"...)
	e.id()
	e.block = append(e.block, '\n')
}

// comment says why the stream ends. Whoever is not there any more does not hear it.
func (e *events) comment(why error) {
	e.block = fmt.Appendf(e.block, ": %s\n\n", strings.ReplaceAll(why.Error(), "\n", " "))
	_ = e.flush()
}

// errGone: the reader has left, or takes too long.
var errGone = errors.New("the reader is gone")

// flush sends what was written. A reader who does not take it in time is disconnected.
func (e *events) flush() error {
	if len(e.block) == 0 {
		return nil
	}
	err := e.control.SetWriteDeadline(time.Now().Add(slowest))
	if err == nil {
		_, err = e.to.Write(e.block)
	}
	if err == nil {
		err = e.control.Flush()
	}
	if err == nil { // the next block has a time of its own; one that passed meanwhile would end a stream of HTTP/2
		err = e.control.SetWriteDeadline(time.Time{})
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errGone, err)
	}
	e.block = e.block[:0]
	return nil
}
