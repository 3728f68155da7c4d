// Package queryapi knows how the books are asked: the services of schemas/filature/query over Connect, so that the same
// answers go out as gRPC, gRPC-Web and plain JSON, who may ask what, and how long an answer may take.
package queryapi

import (
	"log/slog"
	"maps"
	"net/http"
	"time"

	"connectrpc.com/connect"

	"github.com/filature/filature/eventstore"
	"github.com/filature/filature/eventstore/completions"
	"github.com/filature/filature/projections"
	"github.com/filature/filature/projections/documents"
	queryv1 "github.com/filature/filature/schemas/filature/query/v1"
)

// Bounds of a question.
const (
	// maxRequestBytes is far more than any question has: ids, a position of as many shards as there can be, a cursor.
	maxRequestBytes = 64 << 10
	// DefaultWait is how long a question waits for the tables to come to a position. A projector is behind by
	// milliseconds; who asks for more than this lets it catch up and asks again.
	DefaultWait = 5 * time.Second
	// answerWithin bounds one answer, waiting included.
	answerWithin = 20 * time.Second
	// pageRows is a page that nobody gave a size, maxPageRows the largest.
	pageRows, maxPageRows = 100, 1000
)

// Config says what questions are answered from.
type Config struct {
	// Source is the read models.
	Source projections.Source
	// Ledger is what Explain looks reports up in. It also says how many shards there are.
	Ledger eventstore.Reader
	// Completions are the ends of jobs; nil where the ledger is not here.
	Completions *completions.Stream
	// Findings are what an audit came to and what the vault held; nil: nobody looks.
	Findings projections.Findings
	// Claims makes claims on the vault; nil where nobody here knows it.
	Claims Claims
	// Keys say who may ask. Without keys anyone may ask anything, as finance.
	Keys Keys
	// Prices turn coins into currencies in documents; nil: there are none.
	Prices *documents.Prices
	// Wait is how long a question waits for a position; 0 is DefaultWait.
	Wait time.Duration
	// Log gets one line for each question: who asked, what, how it ended and how long it took. Nil: none.
	Log *slog.Logger
	Now func() time.Time
}

// server answers all services.
type server struct {
	Config
	pace pace
}

// New returns the services by their paths.
func New(cfg Config) map[string]http.Handler {
	if cfg.Wait == 0 {
		cfg.Wait = DefaultWait
	}
	s := &server{Config: cfg}
	options := append([]connect.HandlerOption{
		connect.WithReadMaxBytes(maxRequestBytes), connect.WithRequestGate(s.gate), connect.WithInterceptors(edge{answerWithin}),
	}, strictJSON...)
	services := map[string]http.Handler{}
	serve := func(path string, service http.Handler) { services[path] = s.logged(spoken(service)) }
	serve(queryv1.NewMoneyServiceHandler(s, options...))
	serve(queryv1.NewJobServiceHandler(s, options...))
	serve(queryv1.NewSettlementServiceHandler(s, options...))
	serve(queryv1.NewNetworkServiceHandler(s, options...))
	serve(queryv1.NewAuditServiceHandler(s, options...))
	serve(queryv1.NewClaimServiceHandler(s, options...))
	serve(queryv1.NewDocumentServiceHandler(s, options...))
	serve(queryv1.NewCompletionServiceHandler(s, options...))
	maps.Copy(services, s.papers())
	return services
}
