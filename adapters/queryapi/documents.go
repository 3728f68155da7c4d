package queryapi

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"connectrpc.com/connect"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/projections"
	"github.com/filature/filature/projections/documents"
	queryv1 "github.com/filature/filature/schemas/filature/query/v1"
)

// GetStatement implements queryv1.DocumentServiceHandler.
func (s *server) GetStatement(ctx context.Context, asked *queryv1.GetStatementRequest) (*queryv1.GetStatementResponse, error) {
	provider, err := idOf[domain.ProviderID]("provider", asked.Provider)
	if err != nil {
		return nil, err
	}
	month, err := monthOf(asked.Month)
	if err != nil {
		return nil, err
	}
	if err := may(ctx, provider, domain.ClientID{}); err != nil {
		return nil, err
	}
	return answer(ctx, s, asked.Reading, func(r projections.Reader, at *queryv1.Position) (*queryv1.GetStatementResponse, error) {
		statement, err := documents.Statement(ctx, r, provider, month, s.in(asked.Currency))
		return &queryv1.GetStatementResponse{Position: at, Statement: statement}, unpriced(err)
	})
}

// GetInvoice implements queryv1.DocumentServiceHandler.
func (s *server) GetInvoice(ctx context.Context, asked *queryv1.GetInvoiceRequest) (*queryv1.GetInvoiceResponse, error) {
	client, err := idOf[domain.ClientID]("client", asked.Client)
	if err != nil {
		return nil, err
	}
	month, err := monthOf(asked.Month)
	if err != nil {
		return nil, err
	}
	if err := may(ctx, domain.ProviderID{}, client); err != nil {
		return nil, err
	}
	return answer(ctx, s, asked.Reading, func(r projections.Reader, at *queryv1.Position) (*queryv1.GetInvoiceResponse, error) {
		invoice, err := documents.Invoice(ctx, r, client, month, s.in(asked.Currency))
		return &queryv1.GetInvoiceResponse{Position: at, Invoice: invoice}, unpriced(err)
	})
}

// GetTrialBalanceAt implements queryv1.DocumentServiceHandler.
func (s *server) GetTrialBalanceAt(ctx context.Context, asked *queryv1.GetTrialBalanceAtRequest) (*queryv1.GetTrialBalanceAtResponse, error) {
	if err := isMoment("at_ms", asked.AtMs); err != nil {
		return nil, err
	}
	return answer(ctx, s, asked.Reading, func(r projections.Reader, at *queryv1.Position) (*queryv1.GetTrialBalanceAtResponse, error) {
		balance, err := documents.TrialBalance(ctx, r, asked.AtMs, s.in(asked.Currency))
		return &queryv1.GetTrialBalanceAtResponse{Position: at, TrialBalance: balance}, unpriced(err)
	})
}

func (s *server) in(currency string) documents.Options {
	return documents.Options{Currency: currency, Prices: s.Prices}
}

func monthOf(text string) (documents.Month, error) {
	month, err := documents.ParseMonth(text)
	if err != nil {
		return month, wrong("month", "want a year and a month, as 2026-11")
	}
	return month, nil
}

// unpriced gives the want of a rate its field. The server's own words name the day.
func unpriced(err error) error {
	if errors.Is(err, documents.ErrNoRate) {
		return problem(connect.CodeFailedPrecondition, "currency", err.Error())
	}
	return err
}

// Paths of documents as files, for browsers and for links that stay. The name ends in .html, .csv or .json; ?currency=EUR asks
// for amounts in it, too. Who may read them is as in the services.
const (
	statementPath    = "GET /statements/{party}/{file}" // /statements/PROVIDER/2026-11.html
	invoicePath      = "GET /invoices/{party}/{file}"   // /invoices/CLIENT/2026-11.csv
	trialBalancePath = "GET /trial-balance/{file}"      // /trial-balance/now.html, /trial-balance/1767225599999.json
)

// paper makes the document that a request's path names; name is the file's without its ending.
type paper func(ctx context.Context, r *http.Request, name string) (documents.Document, error)

func (s *server) papers() map[string]http.Handler {
	return map[string]http.Handler{
		statementPath:    s.paper(queryv1.DocumentServiceGetStatementProcedure, s.statement),
		invoicePath:      s.paper(queryv1.DocumentServiceGetInvoiceProcedure, s.invoice),
		trialBalancePath: s.paper(queryv1.DocumentServiceGetTrialBalanceAtProcedure, s.trialBalance),
	}
}

func (s *server) statement(ctx context.Context, r *http.Request, name string) (documents.Document, error) {
	said, err := s.GetStatement(ctx, &queryv1.GetStatementRequest{Provider: r.PathValue("party"), Month: name, Currency: r.FormValue("currency")})
	return said.GetStatement(), err
}

func (s *server) invoice(ctx context.Context, r *http.Request, name string) (documents.Document, error) {
	said, err := s.GetInvoice(ctx, &queryv1.GetInvoiceRequest{Client: r.PathValue("party"), Month: name, Currency: r.FormValue("currency")})
	return said.GetInvoice(), err
}

func (s *server) trialBalance(ctx context.Context, r *http.Request, name string) (documents.Document, error) {
	asked := &queryv1.GetTrialBalanceAtRequest{Currency: r.FormValue("currency")}
	if name != "now" {
		atMs, err := strconv.ParseInt(name, 10, 64)
		if err != nil || atMs <= 0 {
			return nil, wrong("at_ms", "want Unix milliseconds, or now")
		}
		asked.AtMs = atMs
	}
	said, err := s.GetTrialBalanceAt(ctx, asked)
	return said.GetTrialBalance(), err
}

// paper serves documents as files. It goes through the same doors as the method that it asks.
func (s *server) paper(procedure string, makeIt paper) http.Handler {
	return s.logged(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), answerWithin)
		defer cancel()
		err := s.print(ctx, w, r, procedure, makeIt)
		hear(ctx).ended(err)
		if err != nil {
			http.Error(w, err.Error(), httpStatus(err))
		}
	}))
}

func (s *server) print(ctx context.Context, w http.ResponseWriter, r *http.Request, procedure string, makeIt paper) error {
	ctx, err := s.gate(ctx, connect.Spec{Procedure: procedure}, connect.Peer{Protocol: "file"}, r.Header)
	if err != nil {
		return err
	}
	name, ending, _ := strings.Cut(r.PathValue("file"), ".")
	format := documents.Format(ending)
	if format.MediaType() == "" {
		return wrong("file", "want a name that ends in .html, .csv or .json")
	}
	document, err := makeIt(ctx, r, name)
	if err != nil {
		return err
	}
	var file bytes.Buffer // an error must still be able to say so
	if err := documents.Write(&file, document, format); err != nil {
		return connect.NewError(connect.CodeInternal, err)
	}
	header := w.Header()
	header.Set("Content-Type", format.MediaType())
	header.Set("Content-Security-Policy", documents.StylePolicy)
	header.Set("Cache-Control", "private, no-cache")
	if format != documents.HTML {
		header.Set("Content-Disposition", `attachment; filename="`+document.GetHeading().Number+"."+ending+`"`)
	}
	_, _ = w.Write(file.Bytes()) // a reader who has gone is told nothing
	return nil
}

// httpStatus is what Connect's own JSON gives for an error's code.
func httpStatus(err error) int {
	switch connect.CodeOf(err) { //nolint:exhaustive // codes that documents do not have are our fault
	case connect.CodeInvalidArgument, connect.CodeFailedPrecondition:
		return http.StatusBadRequest
	case connect.CodeUnauthenticated:
		return http.StatusUnauthorized
	case connect.CodePermissionDenied:
		return http.StatusForbidden
	case connect.CodeNotFound:
		return http.StatusNotFound
	case connect.CodeResourceExhausted:
		return http.StatusTooManyRequests
	case connect.CodeUnavailable:
		return http.StatusServiceUnavailable
	case connect.CodeDeadlineExceeded:
		return http.StatusGatewayTimeout
	default:
		return http.StatusInternalServerError
	}
}
