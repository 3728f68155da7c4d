// Package httpapi knows how Filature is reached over HTTP: paths, bodies, and the status code that
// each trouble has.
package httpapi

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// Bounds of a request.
const (
	// MaxBodyBytes is a little more than a gateway takes at once, so that a full load with its framing
	// fits.
	MaxBodyBytes = 4<<20 + 8<<10
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

// Gateway takes signed reports in; see workers/gateway for its errors.
type Gateway interface {
	Submit(ctx context.Context, records [][]byte) ([]*v1.Receipt, error)
	Network(ctx context.Context) (id domain.NetworkID, dataShards int, err error)
}

// Config says what a server answers from.
type Config struct {
	Gateway Gateway
	// Ready tells whether reports can be taken now; its error says why not.
	Ready func(context.Context) error
	// Explain answers why a job, report or provider stands as it does; see the why subcommand.
	Explain func(ctx context.Context, kind, id string) (any, error)
	// Status is the HTTP status for an error of Gateway or Explain; 0 is for one it does not know.
	Status func(error) int
}

// NewServer returns an HTTP server with bounded bodies, headers and times. The caller runs it.
func NewServer(cfg Config) *http.Server {
	return &http.Server{
		Handler: NewHandler(cfg), ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: headerBytes,
	}
}

// NewHandler returns the paths:
//
//	POST /v1/reports           signed reports in, receipts out, in order
//	GET  /v1/network           the network's id and number of shards
//	GET  /v1/why/{kind}/{id}   why a job, report or provider is paid, held, rejected or pending
//	GET  /healthz, /readyz     the process lives; it takes reports
func NewHandler(cfg Config) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/reports", cfg.reports)
	mux.HandleFunc("GET /v1/network", cfg.network)
	mux.HandleFunc("GET /v1/why/{kind}/{id}", cfg.why)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]string{"status": "alive"})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if err := cfg.Ready(r.Context()); err != nil {
			fail(w, http.StatusServiceUnavailable, err)
			return
		}
		answer(w, http.StatusOK, map[string]string{"status": "ready"})
	})
	return mux
}

// receipts answer a body of reports, one each, in order: v1.Receipt in its JSON form.
type receipts struct {
	Receipts []json.RawMessage `json:"receipts"`
}

func (cfg Config) reports(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBodyBytes))
	if err != nil {
		status := http.StatusBadRequest
		if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
			status = http.StatusRequestEntityTooLarge
		}
		fail(w, status, err)
		return
	}
	records, err := v1.Frames(body, MaxReports)
	if err != nil {
		fail(w, http.StatusBadRequest, err)
		return
	}
	result, err := cfg.Gateway.Submit(r.Context(), records)
	if err != nil {
		cfg.failed(w, err)
		return
	}
	out := receipts{Receipts: make([]json.RawMessage, len(result))}
	for i, receipt := range result {
		out.Receipts[i] = v1.AppendJSON(nil, receipt)
	}
	answer(w, http.StatusOK, out)
}

func (cfg Config) network(w http.ResponseWriter, r *http.Request) {
	id, shards, err := cfg.Gateway.Network(r.Context())
	if err != nil {
		cfg.failed(w, err)
		return
	}
	answer(w, http.StatusOK, map[string]any{"network": hex.EncodeToString(id[:]), "data_shards": shards})
}

func (cfg Config) why(w http.ResponseWriter, r *http.Request) {
	explanation, err := cfg.Explain(r.Context(), r.PathValue("kind"), r.PathValue("id"))
	if err != nil {
		cfg.failed(w, err)
		return
	}
	answer(w, http.StatusOK, explanation)
}

func (cfg Config) failed(w http.ResponseWriter, err error) {
	status := cfg.Status(err)
	if status == 0 {
		status = http.StatusInternalServerError
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
	if err != nil { // an explanation that has no JSON form
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(raw, '\n'))
}
