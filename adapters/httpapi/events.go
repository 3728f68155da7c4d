package httpapi

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/filature/filature/eventstore/completions"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// events writes server-sent events to one reader. It is a completions.Sink.
type events struct {
	to      http.ResponseWriter
	control *http.ResponseController
	block   []byte
}

// open begins the answer with an id, so that a reader whose connection breaks before the first event
// misses none. It fails where the connection can't be bounded in time; nothing was written then.
func (e *events) open(cursor string) error {
	// Reading was over with the request. A deadline that passes would look like a reader who left.
	if err := e.control.SetReadDeadline(time.Time{}); err != nil {
		return fmt.Errorf("begin a stream: %w", err)
	}
	header := e.to.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Accel-Buffering", "no") // what nginx would do
	e.to.WriteHeader(http.StatusOK)
	e.id(cursor)
	e.block = append(e.block, '\n')
	return nil
}

func (e *events) id(cursor string) {
	e.block = append(e.block, "id: "...)
	e.block = append(e.block, cursor...)
	e.block = append(e.block, '\n')
}

// Completion implements completions.Sink.
func (e *events) Completion(completion *v1.Completion, cursor string) error {
	e.id(cursor)
	e.block = append(e.block, "event: completion\ndata: "...)
	e.block = v1.AppendJSON(e.block, completion)
	e.block = append(e.block, "\n\n"...)
	if len(e.block) < blockBytes {
		return nil
	}
	return e.Flush()
}

// Beat implements completions.Sink.
func (e *events) Beat(cursor string) error {
	e.block = append(e.block, ":\n"...)
	e.id(cursor)
	e.block = append(e.block, '\n')
	return nil
}

// comment says why the stream ends. Whoever is not there any more does not hear it.
func (e *events) comment(why error) {
	e.block = fmt.Appendf(e.block, ": %s\n\n", strings.ReplaceAll(why.Error(), "\n", " "))
	_ = e.Flush()
}

// Flush implements completions.Sink. A reader who does not take it in time is disconnected.
func (e *events) Flush() error {
	if len(e.block) == 0 {
		return nil
	}
	err := e.control.SetWriteDeadline(time.Now().Add(completions.Slowest))
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
		return fmt.Errorf("%w: %w", completions.ErrGone, err)
	}
	e.block = e.block[:0]
	return nil
}
