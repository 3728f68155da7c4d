package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/ledger"
	"github.com/filature/filature/domain/stream"
	"github.com/filature/filature/eventstore"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// Bounds of the stream of completions.
const (
	// MaxFollowers is how many streams one handler serves at once. Each reads the ledger by itself.
	MaxFollowers = 128
	// MaxAccounts is how many accounts one stream may ask for: as many as fit the bytes of a header.
	MaxAccounts = 200
	// Heartbeat is how often something is written, so that a reader notices a dead connection, and keeps a
	// cursor that is not far behind.
	Heartbeat = 15 * time.Second
	// slowest is how long a reader may take for a block of events before it is disconnected. It can resume.
	slowest = 10 * time.Second
	// readEntries is how many entries of a shard are read before the next shard gets its turn.
	readEntries = 256
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
//	client=64 hex digits    only the accounts of this client; not together with account
//	after=cursor            go on behind it; "start" is the first; without it the next one that happens
//
// The header Last-Event-ID is stronger than after, since a browser asks again with the same URL.
type completions struct {
	cfg      Config
	places   *semaphore.Weighted
	bell     *bell
	stopping <-chan struct{}

	mu      sync.Mutex
	network domain.NetworkID // zero until it is known
}

func newCompletions(cfg Config, stopping <-chan struct{}) *completions {
	return &completions{
		cfg: cfg, places: semaphore.NewWeighted(MaxFollowers), stopping: stopping,
		bell: &bell{log: cfg.Completions, watches: map[domain.Shard]*watch{}},
	}
}

var (
	errTooManyFollowers = fmt.Errorf("%d streams are open, which is all there are", MaxFollowers)
	errNotBegun         = errors.New("the network has not begun")
	// errAhead: this process is behind another one, or the ledger lost records. The first passes, and the second
	// is not the reader's fault.
	errAhead = errors.New("the cursor is ahead of this ledger")
)

// ServeHTTP implements http.Handler.
func (c *completions) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !c.places.TryAcquire(1) {
		w.Header().Set("Retry-After", fullSeconds)
		fail(w, http.StatusServiceUnavailable, errTooManyFollowers)
		return
	}
	defer c.places.Release(1)
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	asked, err := parseFilter(r, c.cfg.Completions.Shards()-1)
	if err != nil {
		fail(w, http.StatusBadRequest, err)
		return
	}
	if status, err := c.cfg.mayFollow(r, &asked); err != nil {
		fail(w, status, err)
		return
	}
	network, err := c.networkOf(ctx)
	var at cursor
	if err == nil {
		at, err = c.begin(ctx, asked, network)
	}
	if err != nil {
		c.refuse(w, err)
		return
	}
	out := &events{to: w, control: http.NewResponseController(w), network: network, at: at}
	if err := out.open(); err != nil {
		fail(w, http.StatusInternalServerError, err)
		return
	}
	if r.Method == http.MethodHead {
		return
	}
	if err := c.pour(ctx, asked, out); err != nil {
		out.comment(err) // a reader goes on from its cursor; there is no status left to tell it with
	}
}

// refuse answers a request that can't become a stream.
func (c *completions) refuse(w http.ResponseWriter, err error) {
	_, misasked := errors.AsType[*queryError](err)
	switch {
	case misasked:
		fail(w, http.StatusBadRequest, err)
	case errors.Is(err, errNotBegun), errors.Is(err, errAhead):
		w.Header().Set("Retry-After", retryAfterSeconds)
		fail(w, http.StatusServiceUnavailable, err)
	default:
		c.cfg.failed(w, err)
	}
}

// networkOf reads the network's id from the first entry of control.
func (c *completions) networkOf(ctx context.Context) (domain.NetworkID, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.network != (domain.NetworkID{}) {
		return c.network, nil
	}
	records, err := c.cfg.Completions.Read(ctx, domain.Control, 0, 1)
	if err != nil {
		return domain.NetworkID{}, fmt.Errorf("read the genesis: %w", err)
	}
	if len(records) == 0 {
		return domain.NetworkID{}, errNotBegun
	}
	entry, err := eventstore.DecodeEntry(domain.Control, records[0])
	if err != nil {
		return domain.NetworkID{}, err
	}
	c.network, err = ledger.NetworkIDOf(entry.GetGenesis())
	return c.network, err
}

// begin returns where a stream begins.
func (c *completions) begin(ctx context.Context, asked filter, network domain.NetworkID) (cursor, error) {
	at := make(cursor, len(asked.shards))
	if asked.after != "" && asked.after != afterStart {
		var err error
		if at, err = decodeCursor(asked.after, network, asked.shards); err != nil {
			return nil, &queryError{asked.afterIn, asked.after, err.Error()}
		}
	}
	for i, shard := range asked.shards {
		at[i].shard = shard
		if asked.after == afterStart {
			continue
		}
		end, err := c.cfg.Completions.End(ctx, shard)
		if err != nil {
			return nil, err
		}
		if asked.after == "" {
			at[i].offset = end
		}
		if at[i].offset > end || at[i].offset == end && at[i].facts > 0 {
			return nil, fmt.Errorf("%s: it is at %d of shard %d, and here the shard ends at %d: %w", asked.afterIn, at[i].offset, shard, end, errAhead)
		}
	}
	return at, nil
}

// pour writes events until the reader leaves or the server stops, which give nil. An error is the ledger's.
func (c *completions) pour(ctx context.Context, asked filter, out *events) error {
	ringing, leave := c.bell.follow(ctx, asked.shards)
	defer leave()
	heartbeat := time.NewTicker(Heartbeat)
	defer heartbeat.Stop()
	for {
		behind := false
		for i := range out.at {
			more, err := c.advance(ctx, asked, out, i, ringing)
			if err != nil {
				return unlessGone(ctx, err)
			}
			behind = behind || more
		}
		if err := out.flush(); err != nil {
			return unlessGone(ctx, err)
		}
		rest := ringing.heard
		if behind {
			rest = closedChannel
		}
		select {
		case <-ctx.Done():
			return nil
		case <-c.stopping:
			return nil
		case <-heartbeat.C:
			out.heartbeat()
		case <-rest:
		}
	}
}

// closedChannel never blocks who waits for it.
var closedChannel = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// unlessGone is an error, but nil where the reader has left: nobody is there to be told.
func unlessGone(ctx context.Context, err error) error {
	if ctx.Err() == nil && !errors.Is(err, errGone) {
		return err
	}
	return nil
}

// advance reads on in one shard, if there is something to read, and says whether there may be more.
func (c *completions) advance(ctx context.Context, asked filter, out *events, i int, ringing *ringing) (more bool, err error) {
	shard := out.at[i].shard
	if rang, err := ringing.take(shard); err != nil || !rang {
		return false, err
	}
	records, err := c.cfg.Completions.Read(ctx, shard, out.at[i].offset, readEntries)
	if err != nil {
		return false, err
	}
	for _, record := range records {
		entry, err := eventstore.DecodeEntry(shard, record)
		if err != nil {
			return false, err
		}
		for _, m := range stream.Of(shard, record.Offset, entry) {
			completion, ok := m.Body.(*v1.Completion)
			if !ok || m.Position.Fact <= out.at[i].facts || !asked.wants(completion) {
				continue
			}
			out.at[i].facts = m.Position.Fact
			if err := out.write(completion); err != nil {
				return false, err
			}
		}
		out.at[i].offset, out.at[i].facts = record.Offset+1, 0
	}
	if len(records) > 0 {
		ringing.ring(shard)
	}
	return len(records) > 0, nil
}

// filter is what a query asks for.
type filter struct {
	accounts map[domain.AccountID]bool // nil: all
	client   domain.ClientID           // zero: all
	shards   []domain.Shard            // where they are, in ascending order
	after    string
	afterIn  string // where after was found
}

func (f filter) wants(c *v1.Completion) bool {
	return (f.accounts == nil || f.accounts[domain.AccountID(c.Account)]) &&
		(f.client == domain.ClientID{} || f.client == domain.ClientID(c.Client))
}

// afterStart asks for the stream from its first event on.
const afterStart = "start"

// queryError says what is wrong with a query.
type queryError struct{ field, value, rule string }

func (e *queryError) Error() string { return fmt.Sprintf("%s=%.100s: %s", e.field, e.value, e.rule) }

func parseFilter(r *http.Request, dataShards int) (filter, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return filter{}, fmt.Errorf("query: %w", err)
	}
	asked := filter{afterIn: "after"}
	for field, values := range query {
		if field != "account" && field != "client" && field != "after" {
			return filter{}, &queryError{field, values[0], "this stream knows account, client and after"}
		}
		if field != "account" && len(values) > 1 {
			return filter{}, &queryError{field, values[1], "is given twice"}
		}
	}
	if asked.after = query.Get("after"); query.Has("after") && asked.after == "" {
		return filter{}, &queryError{"after", "", errNoCursor.Error()}
	}
	if last := r.Header.Get("Last-Event-ID"); last != "" {
		asked.after, asked.afterIn = last, "Last-Event-ID"
	}
	if err := asked.parseWho(query, dataShards); err != nil {
		return filter{}, err
	}
	return asked, nil
}

func (f *filter) parseWho(query url.Values, dataShards int) error {
	accounts := query["account"]
	if query.Has("client") {
		if len(accounts) > 0 {
			return &queryError{"client", query.Get("client"), "stands beside account, want one of the two"}
		}
		client, err := domain.ParseID[domain.ClientID](query.Get("client"))
		if err != nil || client == (domain.ClientID{}) {
			return &queryError{"client", query.Get("client"), "want 64 hexadecimal digits, not all of them 0"}
		}
		f.client = client
	}
	if len(accounts) == 0 {
		for shard := domain.Shard(1); int(shard) <= dataShards; shard++ {
			f.shards = append(f.shards, shard)
		}
		return nil
	}
	if len(accounts) > MaxAccounts {
		return &queryError{"account", accounts[MaxAccounts], fmt.Sprintf("want at most %d accounts", MaxAccounts)}
	}
	f.accounts = map[domain.AccountID]bool{}
	for _, text := range accounts {
		account, err := domain.ParseID[domain.AccountID](text)
		if err != nil {
			return &queryError{"account", text, "want 64 hexadecimal digits"}
		}
		f.accounts[account] = true
		f.shards = append(f.shards, domain.ShardOf(account, dataShards))
	}
	slices.Sort(f.shards)
	f.shards = slices.Compact(f.shards)
	return nil
}
