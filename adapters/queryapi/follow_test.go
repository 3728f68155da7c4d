package queryapi_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect"

	"github.com/filature/filature/adapters/queryapi"
	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore"
	"github.com/filature/filature/eventstore/completions"
	"github.com/filature/filature/projections/projectionstest"
	queryv1 "github.com/filature/filature/schemas/filature/query/v1"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// pipes are connections without a network, so that their time is the test's.
type pipes struct {
	dialed chan net.Conn
	closed chan struct{}
}

func (p pipes) dial(context.Context, string, string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	p.dialed <- theirs
	return ours, nil
}

// Accept implements net.Listener.
func (p pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.dialed:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (p pipes) Close() error {
	close(p.closed)
	return nil
}

// Addr implements net.Listener.
func (pipes) Addr() net.Addr { return &net.IPAddr{} }

// reads counts how often a log is read.
type reads struct {
	eventstore.Reader

	count atomic.Int64
}

func (r *reads) Read(ctx context.Context, shard domain.Shard, from domain.Offset, limit int) ([]eventstore.Record, error) {
	r.count.Add(1)
	return r.Reader.Read(ctx, shard, from, limit)
}

// codes hears how questions end.
type codes struct {
	slog.Handler

	ended chan string
}

func (codes) Enabled(context.Context, slog.Level) bool { return true }

func (c codes) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "code" {
			c.ended <- a.Value.String()
		}
		return true
	})
	return nil
}

// TestWhoDoesNotReadItsStreamIsLeftBehind: nothing is kept for it meanwhile, and the log says how it ended.
func TestWhoDoesNotReadItsStreamIsLeftBehind(t *testing.T) {
	t.Parallel()
	for way, speaking := range map[string]struct {
		connect.ClientOption

		over func(*http.Protocols, bool)
	}{
		"Connect over HTTP/1.1": {connect.WithProtoJSON(), (*http.Protocols).SetHTTP1},
		"gRPC over HTTP/2":      {connect.WithGRPC(), (*http.Protocols).SetUnencryptedHTTP2},
	} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { leaveBehind(t, speaking.ClientOption, speaking.over) })
		})
	}
}

// beyondWindows is more completions than fit what a connection takes that nobody reads: in Go's HTTP/2, 4 MiB.
const beyondWindows = 10_000

func leaveBehind(t *testing.T, speaking connect.ClientOption, over func(*http.Protocols, bool)) {
	ledger := projectionstest.NewLedger(t, 2)
	ledger.Begin()
	log := &reads{Reader: ledger}
	ended := make(chan string, 1)
	mux := http.NewServeMux()
	for path, service := range queryapi.New(queryapi.Config{
		Ledger: ledger, Completions: completions.New(log), Now: time.Now, Log: slog.New(codes{slog.DiscardHandler, ended}),
	}) {
		mux.Handle(path, service)
	}
	protocols := new(http.Protocols)
	over(protocols, true)
	wire := pipes{make(chan net.Conn), make(chan struct{})}
	server := &http.Server{Handler: mux, Protocols: protocols, ReadTimeout: time.Minute}
	go func() { _ = server.Serve(wire) }()
	transport := &http.Transport{DialContext: wire.dial, Protocols: protocols}
	defer func() {
		transport.CloseIdleConnections()
		_ = server.Close()
	}()
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	client := queryv1.NewCompletionServiceClient(&http.Client{Transport: transport}, "http://filature.example", speaking,
		connect.WithAcceptCompression("gzip", nil, nil))
	stream, err := client.FollowCompletions(ctx, &queryv1.FollowCompletionsRequest{After: completions.FromStart})
	if err != nil || !stream.Receive() {
		t.Fatalf("the stream does not begin: %v", err)
	}
	facts := make([]*v1.Fact, 0, 100)
	for n := range beyondWindows {
		facts = append(facts, projectionstest.Job{
			Name: fmt.Sprint("job ", n), Account: "account", Client: "client", Model: "model", Worker: "w1", Provider: "provider", Reserve: 9, Charge: 6, Part: 5,
		}.Completed())
		if len(facts) == cap(facts) {
			ledger.Answer(1, "w1", uint64(n+1), facts...)
			facts = facts[:0]
		}
	}
	synctest.Wait()
	before := log.count.Load()
	if code := <-ended; code != connect.CodeResourceExhausted.String() {
		t.Errorf("the stream ended with %s", code)
	}
	if after := log.count.Load(); after != before {
		t.Errorf("the log was read %d times for who does not read", after-before)
	}
	for stream.Receive() { // what was on the way
	}
	if stream.Err() == nil {
		t.Error("the reader believes that it has all")
	}
}
