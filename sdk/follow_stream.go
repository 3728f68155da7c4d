package sdk

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"
)

// maxLineBytes bounds a line of a stream: a completion has below 2 KiB, a cursor of a thousand shards 11.
const maxLineBytes = 64 << 10

// block is what stands between two empty lines of a stream of server-sent events (the WHATWG's HTML standard,
// section 9.2): an event, or an id alone.
type block struct{ id, event, data string }

// connect follows one connection to its end. What ended it is a *passingError if it is worth another try.
func (f *follower) connect(ctx context.Context) error {
	connection, cancel := context.WithCancel(ctx)
	defer cancel()
	quiet := time.AfterFunc(silence, cancel)
	defer quiet.Stop()
	response, err := f.ask(connection)
	if err != nil {
		return &passingError{err: err}
	}
	defer func() { _ = response.Body.Close() }() // was read only
	kind, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if response.StatusCode != http.StatusOK || kind != "text/event-stream" {
		body, err := io.ReadAll(io.LimitReader(response.Body, answerBytes))
		if err != nil {
			return &passingError{err: fmt.Errorf("%s: %w", response.Status, err)}
		}
		return noStream(response, body)
	}
	lines := bufio.NewScanner(&timedReader{response.Body, quiet})
	lines.Buffer(nil, maxLineBytes)
	err = f.read(ctx, lines)
	if _, passes := errors.AsType[*passingError](err); passes && connection.Err() != nil {
		return &passingError{err: fmt.Errorf("nothing came for %v: %w", silence, err)}
	}
	return err
}

func (f *follower) ask(ctx context.Context) (*http.Response, error) {
	query := f.query.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, f.url, http.NoBody)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "text/event-stream")
	switch {
	case f.at != "":
		request.Header.Set("Last-Event-ID", f.at)
	case f.cfg.FromStart:
		query = strings.TrimPrefix(query+"&after=start", "&")
	}
	request.URL.RawQuery = query
	return f.client.Do(request)
}

// read takes blocks until the stream ends. A block that is not ended by an empty line did not arrive.
func (f *follower) read(ctx context.Context, lines *bufio.Scanner) error {
	var (
		b      block
		remark string // the server's last words
	)
	for lines.Scan() {
		line := lines.Text()
		if line == "" {
			if err := ctx.Err(); err != nil {
				return err // who ended it wants no more, not even of what is here already
			}
			if err := f.take(ctx, b); err != nil {
				return err
			}
			b = block{}
			continue
		}
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "":
			if value != "" { // a heartbeat says nothing
				remark = ": " + value
			}
		case "id":
			b.id = value
		case "event":
			b.event = value
		case "data":
			if b.data != "" {
				b.data += "\n"
			}
			b.data += value
		}
	}
	err := lines.Err()
	if err == nil {
		err = fmt.Errorf("the stream ended%s", remark)
	}
	return &passingError{err: err}
}

// timedReader cuts a connection off that brings nothing for too long. The time that is spent on what it
// brought does not count.
type timedReader struct {
	from  io.Reader
	quiet *time.Timer
}

func (r *timedReader) Read(p []byte) (int, error) {
	r.quiet.Reset(silence)
	defer r.quiet.Stop()
	return r.from.Read(p)
}
