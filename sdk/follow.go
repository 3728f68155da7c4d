package sdk

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

const (
	// firstReconnect is waited before the first try to connect again, then twice as long each time, up to
	// lastReconnect. Everything that arrives makes it short again.
	firstReconnect = 250 * time.Millisecond
	lastReconnect  = 15 * time.Second
	// silence is how long a stream may bring nothing. A server writes every 15 seconds.
	silence = 50 * time.Second
	// maxFollowedAccounts is as many as a server takes in one query.
	maxFollowedAccounts = 200
)

// ErrStreamRefused: the server will not answer this question, however often it is asked: a filter or a cursor
// that it does not know, or no stream at this address. The error has its words.
var ErrStreamRefused = errors.New("the stream was refused")

// Completion is the end of a job, and where it stands in the stream.
type Completion struct {
	*v1.Completion

	// Cursor is where to go on behind this one. It is the server's; hand it back as it is.
	Cursor string
}

// Cursor keeps how far a follower is. It is called by one goroutine at a time.
type Cursor interface {
	// Load returns what was stored last; "" if nothing ever was.
	Load(ctx context.Context) (string, error)
	// Store keeps a cursor. It is called after the handler returned nil, with the cursor of that completion, and
	// besides that as the stream moves on over completions of others. What it loses is told again.
	Store(ctx context.Context, cursor string) error
}

// FollowConfig says what to follow.
type FollowConfig struct {
	// API is the base URL of a Filature that serves /v1/completions, such as http://127.0.0.1:8420.
	API string
	// Accounts or Client narrow the stream down, one of the two; without both it is everybody's. A cursor belongs
	// to the filter that it was made with.
	Accounts []domain.AccountID
	Client   domain.ClientID
	Cursor   Cursor
	// FromStart begins with the first completion ever, where Cursor has nothing; otherwise with the next one.
	FromStart bool
	// HTTP is for proxies, certificates and tests; nil is a client of our own. It must have no Timeout, which
	// would end every stream.
	HTTP *http.Client
	// Trouble is told why a stream ended that Follow will connect to again. It may be nil.
	Trouble func(error)
}

// Follow calls handle for each completion of a stream, one after the other, those of an account in the order in
// which they happened, until the context ends; then it returns nil. It connects again as often as it takes and
// goes on where it was.
//
// Each completion is handled at least once: after a crash between handle and Store it comes again. A handler that
// keeps Completion.Cursor with its own data in one transaction, and a Cursor that loads it from there (see
// HandlerKeeps), make it exactly once.
//
// Follow returns an error if handle or the Cursor does, if the configuration is wrong (ErrConfig), the server will
// never answer it (ErrStreamRefused), or it tells what this program is too old to understand.
func Follow(ctx context.Context, cfg FollowConfig, handle func(context.Context, Completion) error) error {
	f, err := newFollower(cfg, handle)
	if err != nil {
		return err
	}
	if f.at, err = cfg.Cursor.Load(ctx); err != nil {
		return fmt.Errorf("follow completions: load the cursor: %w", err)
	}
	wait := firstReconnect
	for {
		before := f.heard
		err := f.connect(ctx)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // the end that was asked for
		}
		passing, passes := errors.AsType[*passingError](err)
		if !passes {
			return fmt.Errorf("follow completions: %w", err)
		}
		if cfg.Trouble != nil {
			cfg.Trouble(fmt.Errorf("follow completions: %w", err))
		}
		if f.heard > before {
			wait = firstReconnect
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(max(wait, min(passing.after, lastReconnect))):
		}
		wait = min(2*wait, lastReconnect)
	}
}

// HandlerKeeps is the Cursor for a handler that keeps Completion.Cursor by itself, in the transaction of
// its own data. load reads it there; "" if nothing was kept yet.
func HandlerKeeps(load func(context.Context) (string, error)) Cursor { return handlerKeeps(load) }

type handlerKeeps func(context.Context) (string, error)

func (load handlerKeeps) Load(ctx context.Context) (string, error) { return load(ctx) }

func (handlerKeeps) Store(context.Context, string) error { return nil }

// passingError is trouble that may pass: the server is down, restarting, or busy.
type passingError struct {
	err   error
	after time.Duration // when the server wants to be asked again
}

func (e *passingError) Error() string { return e.err.Error() }

func (e *passingError) Unwrap() error { return e.err }

// follower is a Follow. One goroutine owns it.
type follower struct {
	cfg    FollowConfig
	url    string
	query  url.Values
	client *http.Client
	handle func(context.Context, Completion) error
	at     string // the cursor behind everything that was handled
	heard  int    // blocks of events
}

func newFollower(cfg FollowConfig, handle func(context.Context, Completion) error) (*follower, error) {
	base, err := url.Parse(cfg.API)
	switch {
	case err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Host == "":
		return nil, fmt.Errorf("%w: API %q, want a URL such as http://127.0.0.1:8420", ErrConfig, cfg.API)
	case cfg.Cursor == nil:
		return nil, fmt.Errorf("%w: no Cursor: a follower has to remember where it was", ErrConfig)
	case len(cfg.Accounts) > 0 && cfg.Client != domain.ClientID{}:
		return nil, fmt.Errorf("%w: Accounts and Client, want one of the two", ErrConfig)
	case len(cfg.Accounts) > maxFollowedAccounts:
		return nil, fmt.Errorf("%w: %d Accounts, want at most %d, or the Client", ErrConfig, len(cfg.Accounts), maxFollowedAccounts)
	case cfg.HTTP != nil && cfg.HTTP.Timeout != 0:
		return nil, fmt.Errorf("%w: HTTP has a Timeout of %v, which would end every stream", ErrConfig, cfg.HTTP.Timeout)
	}
	f := &follower{cfg: cfg, url: base.JoinPath("v1/completions").String(), query: url.Values{}, client: cfg.HTTP, handle: handle}
	for _, account := range cfg.Accounts {
		f.query.Add("account", account.String())
	}
	if cfg.Client != (domain.ClientID{}) {
		f.query.Set("client", cfg.Client.String())
	}
	if f.client == nil {
		f.client = &http.Client{}
	}
	return f, nil
}

// take handles one block of the stream.
func (f *follower) take(ctx context.Context, b block) error {
	f.heard++
	if b.event == "completion" {
		completion, err := v1.ParseCompletion([]byte(b.data))
		if err != nil {
			return fmt.Errorf("an event that this program does not understand: %w", err)
		}
		if err := f.handle(ctx, Completion{completion, b.id}); err != nil {
			p := completion.Position
			return fmt.Errorf("handle completion %d/%d/%d: %w", p.GetShard(), p.GetOffset(), p.GetFact(), err)
		}
	}
	if b.id == "" || b.id == f.at {
		return nil
	}
	if err := f.cfg.Cursor.Store(ctx, b.id); err != nil {
		return fmt.Errorf("store the cursor: %w", err)
	}
	f.at = b.id
	return nil
}

// noStream reads an answer that is no stream.
func noStream(response *http.Response, body []byte) error {
	err := fmt.Errorf("%s: %s", response.Status, said(body))
	if response.StatusCode == http.StatusTooManyRequests || response.StatusCode >= http.StatusInternalServerError {
		after, _ := time.ParseDuration(strings.TrimSpace(response.Header.Get("Retry-After")) + "s") // zero if it is not there
		return &passingError{err, after}
	}
	return fmt.Errorf("%w: %w", ErrStreamRefused, err)
}
