package httpapi_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/filature/filature/adapters/httpapi"
	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/stream"
	"github.com/filature/filature/eventstore"
	"github.com/filature/filature/eventstore/completions"
	"github.com/filature/filature/projections/projectionstest"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// told is one event as a reader gets it, or an id alone, which has no data.
type told struct{ id, event, data string }

func (e told) completion(t projectionstest.Fataler) *v1.Completion {
	t.Helper()
	completion, err := v1.ParseCompletion([]byte(e.data))
	if err != nil {
		t.Fatalf("data %s: %v", e.data, err)
	}
	return completion
}

// reader is a client of server-sent events.
type reader struct {
	*http.Response

	lines  *bufio.Scanner
	cancel context.CancelFunc
}

// connect asks a server for a stream. It fails the test if there is none.
func connect(t projectionstest.Fataler, server, query, lastID string) *reader {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, server+"/v1/completions?"+query, http.NoBody)
	if err != nil {
		t.Fatalf("request: %v", err)
	}
	if lastID != "" {
		request.Header.Set("Last-Event-ID", lastID)
	}
	response, err := http.DefaultClient.Do(request) //nolint:bodyclose // leave closes it
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	r := &reader{response, bufio.NewScanner(response.Body), cancel}
	if response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != "text/event-stream" {
		r.lines.Scan()
		t.Fatalf("connect: %s, %s: %s", response.Status, response.Header.Get("Content-Type"), r.lines.Text())
	}
	return r
}

// leave closes the connection.
func (r *reader) leave() {
	r.cancel()
	_ = r.Body.Close()
}

// next reads up to the next empty line; ok is false at the end of the stream.
func (r *reader) next() (e told, ok bool) {
	for r.lines.Scan() {
		line := r.lines.Text()
		if line == "" {
			return e, true
		}
		field, value, _ := strings.Cut(line, ": ")
		switch field {
		case "id":
			e.id = value
		case "event":
			e.event = value
		case "data":
			e.data = value
		}
	}
	return e, false
}

// event reads up to the next event, and keeps the id that it passes.
func (r *reader) event(t projectionstest.Fataler) told {
	t.Helper()
	for {
		e, ok := r.next()
		if !ok {
			t.Fatalf("the stream ended: %v", r.lines.Err())
		}
		if e.data != "" {
			return e
		}
	}
}

// serve runs a server over a ledger, as it is made for production.
func serve(t testing.TB, ledger eventstore.Reader) string {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	server.Config = httpapi.NewServer(httpapi.Config{Completions: completions.New(ledger)})
	server.Start()
	t.Cleanup(server.Close)
	return server.URL
}

// jobsOf is a ledger of some data shards, without a job.
func jobsOf(t projectionstest.Fataler, dataShards int) *projectionstest.Ledger {
	ledger := projectionstest.NewLedger(t, dataShards+1)
	ledger.Begin()
	return ledger
}

// accountIn returns the n-th account of a shard.
func accountIn(shard domain.Shard, dataShards, n int) string {
	for i := 0; ; i++ {
		name := fmt.Sprintf("account %d", i)
		if domain.ShardOf(projectionstest.ID[domain.AccountID](name), dataShards) != shard {
			continue
		}
		if n--; n < 0 {
			return name
		}
	}
}

func hexOf(name string) string { return projectionstest.ID[domain.AccountID](name).String() }

// ended is the end of a job.
func ended(name, account, client string) *v1.Fact {
	return projectionstest.Job{
		Name: name, Account: account, Client: client, Model: "qwen", Worker: "w1", Provider: "prov-a", Reserve: 9, Charge: 6, Part: 5,
	}.Completed()
}

// all is what a ledger tells of completions, by shard.
func all(t projectionstest.Fataler, ledger *projectionstest.Ledger) map[domain.Shard][]*v1.Completion {
	t.Helper()
	found := map[domain.Shard][]*v1.Completion{}
	for shard, end := range ledger.Cut() {
		shard := domain.Shard(shard)
		err := eventstore.Each(context.Background(), ledger, shard, 0, end, func(record eventstore.Record) error {
			entry, err := eventstore.DecodeEntry(shard, record)
			for _, m := range stream.Of(shard, record.Offset, entry) {
				if completion, ok := m.Body.(*v1.Completion); ok {
					found[shard] = append(found[shard], completion)
				}
			}
			return err
		})
		if err != nil {
			t.Fatalf("read the ledger: %v", err)
		}
	}
	return found
}

func query(pairs ...string) string {
	values := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		values.Add(pairs[i], pairs[i+1])
	}
	return values.Encode()
}

// page is a connection whose other end is the test: what was written, and the deadline for it.
type page struct {
	header http.Header

	mu       sync.Mutex
	text     string
	status   int
	deadline time.Time
	stuck    bool // takes nothing until the deadline
}

func newPage() *page { return &page{header: http.Header{}} }

func (p *page) Header() http.Header { return p.header }

func (p *page) WriteHeader(status int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status = status
}

func (p *page) Write(b []byte) (int, error) {
	p.mu.Lock()
	stuck, deadline := p.stuck, p.deadline
	if !stuck {
		p.text += string(b)
	}
	p.mu.Unlock()
	if !stuck {
		return len(b), nil
	}
	if deadline.IsZero() {
		select {}
	}
	<-time.After(time.Until(deadline))
	return 0, os.ErrDeadlineExceeded
}

func (p *page) FlushError() error { return nil }

func (p *page) SetReadDeadline(time.Time) error { return nil }

func (p *page) SetWriteDeadline(deadline time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deadline = deadline
	return nil
}

// take returns what was written since the last time.
func (p *page) take() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	text := p.text
	p.text = ""
	return text
}
