// Package httpapi knows how Filature is reached over HTTP: paths, bodies, and the status code that
// each trouble has.
package httpapi

import (
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore/completions"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// Bounds of a request.
const (
	// MaxBodyBytes is a little more than a gateway takes at once, so that a full load with its framing
	// fits.
	MaxBodyBytes = 4<<20 + 8<<10
	// MaxBodiesBytes bounds the bodies that one handler holds at once, from before the first byte is read
	// until the gateway has answered. A body counts with its Content-Length, or with MaxBodyBytes if it
	// has none, and its buffer is made that large and never grows. So many open connections can't take
	// the memory: 15 of the largest bodies fit, and a slow sender holds its share for readTimeout.
	// What is decoded of a body comes on top.
	MaxBodiesBytes = 64 << 20
	// MaxReports in one request.
	MaxReports = 1000
	// ContentType of a body of reports: SignedReports, each behind its length as a varint.
	ContentType = "application/vnd.filature.reports"

	readTimeout  = 30 * time.Second
	writeTimeout = 60 * time.Second
	idleTimeout  = 2 * time.Minute
	headerBytes  = 16 << 10
	// retryAfterSeconds is what a busy gateway asks for.
	retryAfterSeconds = "1"
)

// errTooManyBodies: MaxBodiesBytes are under way. Nothing of the body was read.
var errTooManyBodies = errors.New("too many bytes of reports are under way, at most 64 MiB")

// Gateway takes signed reports in; see workers/gateway for its errors.
type Gateway interface {
	Submit(ctx context.Context, records [][]byte) ([]*v1.Receipt, error)
	Network(ctx context.Context) (id domain.NetworkID, dataShards int, err error)
}

// Config says what a server answers from. What is nil has no path.
type Config struct {
	Gateway Gateway
	// Queries answer questions about the books, each below its path, and log them.
	Queries map[string]http.Handler
	// OpenAPI describes them.
	OpenAPI []byte
	// AtAddress answers only who asks for an IP address or localhost: where nobody is asked for a key, a page of a
	// stranger must not reach us by a name of its own.
	AtAddress bool
	// Log gets a line for each request that is no question: at level info for what was refused, else at debug. Nil: none.
	Log *slog.Logger
	// Completions are the ends of jobs. NewServer's Shutdown stops them.
	Completions *completions.Stream
	// Attestation asks workers what they run, and takes their answers.
	Attestation Attestation
	// Sees says whose completions a caller may follow, a client's or a provider's, or that it may see everything; an error that it
	// is nobody. Nil: everybody sees everything.
	Sees func(http.Header) (own completions.Filter, everything bool, err error)
	// Metrics answers a scrape of Prometheus.
	Metrics http.Handler
	// Pages are for people, at every path that nothing else here has.
	Pages http.Handler
	// Ready tells whether the others can do their work now; its error says why not.
	Ready func(context.Context) error
	// Status is the HTTP status for an error of Gateway or Completions; 0 is for one it does not know.
	Status func(error) int
}

// NewServer returns an HTTP server with bounded bodies, headers and times. The caller runs it. Its Shutdown ends
// the streams at once and waits for all other requests.
func NewServer(cfg Config) *http.Server {
	server := &http.Server{
		Handler: NewHandler(cfg), ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: headerBytes, Protocols: new(http.Protocols),
	}
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetHTTP2(true)
	server.Protocols.SetUnencryptedHTTP2(true) // gRPC behind a proxy that ends TLS
	if cfg.Completions != nil {
		server.RegisterOnShutdown(cfg.Completions.Stop)
	}
	return server
}

// NewHandler returns the paths:
//
//	POST /v1/reports           signed reports in, receipts out, in order    (with a Gateway)
//	GET  /v1/network           the network's id and number of shards        (with a Gateway)
//	POST /filature.query.v1.…  questions about the books                    (with Queries)
//	GET  /openapi.json         what they are                                (with OpenAPI)
//	GET  /v1/completions       the ends of jobs, as server-sent events      (with Completions)
//	POST /v1/attestation/answers         a worker's answer to its challenge (with Attestation)
//	GET  /v1/workers/{worker}/challenge  the challenge that a worker is to answer now
//	                                                                        (with Attestation)
//	GET  /metrics              what Prometheus counts                       (with Metrics)
//	GET  /healthz, /readyz     the process lives; it can do its work
//	GET  /…                    the dashboard                                (with Pages)
//
// Streams of a handler without NewServer end with their requests, or when Completions is stopped.
func NewHandler(cfg Config) http.Handler {
	mux := http.NewServeMux()
	if cfg.Gateway != nil {
		bodies := semaphore.NewWeighted(MaxBodiesBytes)
		mux.HandleFunc("POST /v1/reports", func(w http.ResponseWriter, r *http.Request) { cfg.reports(w, r, bodies) })
		mux.HandleFunc("GET /v1/network", cfg.network)
	}
	for path, queries := range cfg.Queries {
		mux.Handle(path, queries)
	}
	if cfg.Completions != nil {
		mux.HandleFunc("GET /v1/completions", cfg.completions)
	}
	if cfg.Attestation != nil {
		slots := make(chan struct{}, MaxAnswers)
		mux.HandleFunc("POST /v1/attestation/answers", func(w http.ResponseWriter, r *http.Request) { cfg.answers(w, r, slots) })
		mux.HandleFunc("GET /v1/workers/{worker}/challenge", cfg.challenge)
	}
	if cfg.Metrics != nil {
		mux.Handle("GET /metrics", cfg.Metrics)
	}
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]string{"status": "alive"})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if cfg.Ready != nil {
			if err := cfg.Ready(r.Context()); err != nil {
				fail(w, http.StatusServiceUnavailable, err)
				return
			}
		}
		answer(w, http.StatusOK, map[string]string{"status": "ready"})
	})
	if len(cfg.OpenAPI) > 0 {
		mux.HandleFunc("GET /openapi.json", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write(cfg.OpenAPI)
		})
	}
	return cfg.logged(mux, cfg.guarded(cfg.besides(mux)))
}

// receipts answer a body of reports, one each, in order: v1.Receipt in its JSON form.
type receipts struct {
	Receipts []json.RawMessage `json:"receipts"`
}

func (cfg Config) reports(w http.ResponseWriter, r *http.Request, bodies *semaphore.Weighted) {
	result, ok := cfg.take(w, r, bodies)
	if !ok {
		return
	}
	out := receipts{Receipts: make([]json.RawMessage, len(result))}
	for i, receipt := range result {
		out.Receipts[i] = v1.AppendJSON(nil, receipt)
	}
	answer(w, http.StatusOK, out)
}

// take reads the body and hands it to the gateway, and answers if that fails. It holds the body's share
// of bodies for as long, and no longer: who reads receipts slowly keeps nobody else out.
func (cfg Config) take(w http.ResponseWriter, r *http.Request, bodies *semaphore.Weighted) (result []*v1.Receipt, ok bool) {
	share := int64(MaxBodyBytes)
	if r.ContentLength >= 0 {
		share = min(share, r.ContentLength)
	}
	if !bodies.TryAcquire(share) {
		w.Header().Set("Retry-After", retryAfterSeconds)
		fail(w, http.StatusServiceUnavailable, errTooManyBodies)
		return nil, false
	}
	defer bodies.Release(share)
	body := bytes.NewBuffer(make([]byte, 0, share+bytes.MinRead)) // ReadFrom wants MinRead free to see the end
	if _, err := body.ReadFrom(http.MaxBytesReader(w, r.Body, MaxBodyBytes)); err != nil {
		status := http.StatusBadRequest
		if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
			status = http.StatusRequestEntityTooLarge
		}
		fail(w, status, err)
		return nil, false
	}
	records, err := v1.Frames(body.Bytes(), MaxReports)
	if err != nil {
		fail(w, http.StatusBadRequest, err)
		return nil, false
	}
	if result, err = cfg.Gateway.Submit(r.Context(), records); err != nil {
		cfg.failed(w, err)
		return nil, false
	}
	return result, true
}

func (cfg Config) network(w http.ResponseWriter, r *http.Request) {
	id, shards, err := cfg.Gateway.Network(r.Context())
	if err != nil {
		cfg.failed(w, err)
		return
	}
	answer(w, http.StatusOK, map[string]any{"network": hex.EncodeToString(id[:]), "data_shards": shards})
}

func (cfg Config) failed(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	if cfg.Status != nil {
		status = cmp.Or(cfg.Status(err), status)
	}
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", retryAfterSeconds)
	}
	fail(w, status, err)
}

func fail(w http.ResponseWriter, status int, err error) {
	answer(w, status, map[string]string{"error": err.Error()})
}

// answer writes JSON. An error of the connection has nobody left to be told.
func answer(w http.ResponseWriter, status int, body any) {
	raw, err := json.Marshal(body)
	if err != nil { // it has no JSON form
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(raw, '\n'))
}
