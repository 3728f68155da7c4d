package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore/completions"
)

const (
	// blockBytes is how much is written at once.
	blockBytes = 16 << 10
	// fullSeconds is when who came too late may ask again.
	fullSeconds = "5"
)

// completions is GET /v1/completions: the ends of jobs as server-sent events (the WHATWG's HTML standard, section 9.2),
// for as long as the reader stays. An event is
//
//	id: a cursor: where to go on behind this event
//	event: completion
//	data: v1.Completion in its JSON form
//
// and between them stand ids alone, which move the cursor and are no events. Events of one account come in the
// order of the ledger. The query is
//
//	account=64 hex digits   only this account; may be given several times
//	client=64 hex digits    only the accounts of this client
//	provider=64 hex digits  only jobs of this provider
//	after=cursor            go on behind it; "start" is the first; without it the next one that happens
//
// Where several are given, only what has them all. The header Last-Event-ID is stronger than after, since a browser asks again with the same URL.
func (cfg Config) completions(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	asked, err := parseFilter(r)
	if err != nil {
		fail(w, http.StatusBadRequest, err)
		return
	}
	if status, err := cfg.mayFollow(r, &asked); err != nil {
		fail(w, status, err)
		return
	}
	follower, err := cfg.Completions.Follow(ctx, asked.Filter, asked.after)
	if err != nil {
		cfg.refuse(w, asked, err)
		return
	}
	defer follower.Leave()
	out := &events{to: w, control: http.NewResponseController(w)}
	if err := out.open(follower.Cursor()); err != nil {
		fail(w, http.StatusInternalServerError, err)
		return
	}
	if r.Method == http.MethodHead {
		return
	}
	if err := follower.Run(ctx, out); err != nil {
		out.comment(err) // a reader goes on from its cursor; there is no status left to tell it with
	}
}

// refuse answers a request that can't become a stream.
func (cfg Config) refuse(w http.ResponseWriter, asked filter, err error) {
	_, misasked := errors.AsType[*completions.CursorError](err)
	switch {
	case misasked:
		fail(w, http.StatusBadRequest, &queryError{asked.afterIn, asked.after, err.Error()})
	case errors.Is(err, completions.ErrFull):
		w.Header().Set("Retry-After", fullSeconds)
		fail(w, http.StatusServiceUnavailable, err)
	case errors.Is(err, completions.ErrNotBegun):
		w.Header().Set("Retry-After", retryAfterSeconds)
		fail(w, http.StatusServiceUnavailable, err)
	case errors.Is(err, completions.ErrAhead):
		w.Header().Set("Retry-After", retryAfterSeconds)
		fail(w, http.StatusServiceUnavailable, fmt.Errorf("%s: %w", asked.afterIn, err))
	default:
		cfg.failed(w, err)
	}
}

// filter is what a query asks for.
type filter struct {
	completions.Filter

	after   string
	afterIn string // where after was found
}

// queryError says what is wrong with a query.
type queryError struct{ field, value, rule string }

func (e *queryError) Error() string { return fmt.Sprintf("%s=%.100s: %s", e.field, e.value, e.rule) }

func parseFilter(r *http.Request) (filter, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return filter{}, fmt.Errorf("query: %w", err)
	}
	asked := filter{afterIn: "after"}
	for field, values := range query {
		if !slices.Contains([]string{"account", "client", "provider", "after"}, field) {
			return filter{}, &queryError{field, values[0], "this stream knows account, client, provider and after"}
		}
		if field != "account" && len(values) > 1 {
			return filter{}, &queryError{field, values[1], "is given twice"}
		}
	}
	if asked.after = query.Get("after"); query.Has("after") && asked.after == "" {
		return filter{}, &queryError{"after", "", completions.ErrNoCursor.Error()}
	}
	if last := r.Header.Get("Last-Event-ID"); last != "" {
		asked.after, asked.afterIn = last, "Last-Event-ID"
	}
	if err := asked.parseWho(query); err != nil {
		return filter{}, err
	}
	return asked, nil
}

func (f *filter) parseWho(query url.Values) error {
	for _, of := range []struct {
		field string
		id    *[32]byte
	}{{"client", (*[32]byte)(&f.Client)}, {"provider", (*[32]byte)(&f.Provider)}} {
		if !query.Has(of.field) {
			continue
		}
		var err error
		if *of.id, err = domain.ParseID[[32]byte](query.Get(of.field)); err != nil || *of.id == ([32]byte{}) {
			return &queryError{of.field, query.Get(of.field), "want 64 hexadecimal digits, not all of them 0"}
		}
	}
	accounts := query["account"]
	if len(accounts) == 0 {
		return nil
	}
	if len(accounts) > completions.MaxAccounts {
		return &queryError{"account", accounts[completions.MaxAccounts], fmt.Sprintf("want at most %d accounts", completions.MaxAccounts)}
	}
	f.Accounts = map[domain.AccountID]bool{}
	for _, text := range accounts {
		account, err := domain.ParseID[domain.AccountID](text)
		if err != nil {
			return &queryError{"account", text, "want 64 hexadecimal digits"}
		}
		f.Accounts[account] = true
	}
	return nil
}
