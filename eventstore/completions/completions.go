// Package completions knows how the ends of jobs are followed in the ledger, from any place on and by many readers at once,
// whatever they speak. Completions of one account come in the order of the ledger.
package completions

import (
	"context"
	"errors"
	"fmt"
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

// Bounds.
const (
	// MaxFollowers is how many readers one Stream has at once. Each reads the ledger by itself.
	MaxFollowers = 128
	// MaxAccounts is how many accounts one reader may ask for: as many as fit the bytes of a header.
	MaxAccounts = 200
	// Heartbeat is how often something is written, so that a reader notices a dead connection, and keeps a cursor that is
	// not far behind.
	Heartbeat = 15 * time.Second
	// Slowest is how long a reader may take for what is written at once before it is disconnected. It can resume.
	Slowest = 10 * time.Second
	// readEntries is how many entries of a shard are read before the next shard gets its turn.
	readEntries = 256
)

// Why nobody is followed. A CursorError is the reader's own fault.
var (
	// ErrFull: MaxFollowers are there. It passes.
	ErrFull = fmt.Errorf("%d streams are open, which is all there are", MaxFollowers)
	// ErrNotBegun: there is no network yet. It passes.
	ErrNotBegun = errors.New("the network has not begun")
	// ErrAhead: this process is behind another one, or the ledger lost records. The first passes, and the second is not the
	// reader's fault.
	ErrAhead = errors.New("the cursor is ahead of this ledger")
	// ErrNotYours: what is asked for is somebody else's.
	ErrNotYours = errors.New("a key of a client or a provider follows its own completions")
	// ErrGone is for a Sink: the reader has left, or takes too long.
	ErrGone = errors.New("the reader is gone")
)

// CursorError says what is wrong with a cursor.
type CursorError struct{ rule string }

func (e *CursorError) Error() string { return e.rule }

// ErrNoCursor is the CursorError of what was never a cursor.
var ErrNoCursor = &CursorError{`want the cursor of a completion of this stream, or "start"`}

// FromStart asks for the stream from its first completion on.
const FromStart = "start"

// Filter says which completions are wanted: those that meet all of it. A cursor belongs to the shards of its filter.
type Filter struct {
	Accounts map[domain.AccountID]bool // nil: all
	Client   domain.ClientID           // zero: all
	Provider domain.ProviderID         // zero: all
}

// Within narrows a filter to what is a client's own, or a provider's. It is ErrNotYours where the filter asks for another's, or
// own is nobody's.
func (f *Filter) Within(own Filter) error {
	switch {
	case own.Client != (domain.ClientID{}) && (f.Client == domain.ClientID{} || f.Client == own.Client):
		f.Client = own.Client
	case own.Provider != (domain.ProviderID{}) && (f.Provider == domain.ProviderID{} || f.Provider == own.Provider):
		f.Provider = own.Provider
	default:
		return ErrNotYours
	}
	return nil
}

func (f Filter) wants(c *v1.Completion) bool {
	return (f.Accounts == nil || f.Accounts[domain.AccountID(c.Account)]) &&
		(f.Client == domain.ClientID{} || f.Client == domain.ClientID(c.Client)) &&
		(f.Provider == domain.ProviderID{} || len(c.Provider) > 0 && f.Provider == domain.ProviderID(c.Provider))
}

// shards are where the completions are, in ascending order.
func (f Filter) shards(dataShards int) (shards []domain.Shard) {
	if f.Accounts == nil {
		for shard := domain.Shard(1); int(shard) <= dataShards; shard++ {
			shards = append(shards, shard)
		}
		return shards
	}
	for account := range f.Accounts {
		shards = append(shards, domain.ShardOf(account, dataShards))
	}
	slices.Sort(shards)
	return slices.Compact(shards)
}

// Sink writes to one reader. Its errors wrap ErrGone where the reader is not there any more. cursor is where to go on
// behind what was written.
type Sink interface {
	// Completion adds a completion.
	Completion(c *v1.Completion, cursor string) error
	// Beat adds what shows that we live, and how far we have looked.
	Beat(cursor string) error
	// Flush sends what was added, within Slowest.
	Flush() error
}

// Stream is a ledger's completions. It is safe for many goroutines.
type Stream struct {
	log    eventstore.Reader
	bell   *bell
	places *semaphore.Weighted

	stopping chan struct{}
	stop     func()

	mu      sync.Mutex
	network domain.NetworkID // zero until it is known
}

// New returns the stream of a ledger. Its Shards count control.
func New(log eventstore.Reader) *Stream {
	s := &Stream{
		log: log, bell: &bell{log: log, watches: map[domain.Shard]*watch{}}, places: semaphore.NewWeighted(MaxFollowers),
		stopping: make(chan struct{}),
	}
	s.stop = sync.OnceFunc(func() { close(s.stopping) })
	return s
}

// Stop ends the streams of all readers, who can come back to another process.
func (s *Stream) Stop() { s.stop() }

// Follower is one reader's place in the stream. One goroutine owns it, and calls Leave in the end.
type Follower struct {
	stream  *Stream
	filter  Filter
	network domain.NetworkID
	at      cursor
}

// Follow returns a follower behind a cursor; FromStart is the first completion ever, "" the next one that happens. Errors
// are ErrFull, ErrNotBegun, ErrAhead, a *CursorError, or the ledger's.
func (s *Stream) Follow(ctx context.Context, filter Filter, after string) (*Follower, error) {
	if !s.places.TryAcquire(1) {
		return nil, ErrFull
	}
	f := &Follower{stream: s, filter: filter}
	var err error
	if f.network, err = s.networkOf(ctx); err == nil {
		f.at, err = s.begin(ctx, filter.shards(s.log.Shards()-1), after, f.network)
	}
	if err != nil {
		f.Leave()
		return nil, err
	}
	return f, nil
}

// Leave gives the follower's place to others.
func (f *Follower) Leave() { f.stream.places.Release(1) }

// Cursor is where to go on behind all that was written.
func (f *Follower) Cursor() string { return f.at.encode(f.network) }

// networkOf reads the network's id from the first entry of control.
func (s *Stream) networkOf(ctx context.Context) (domain.NetworkID, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.network != (domain.NetworkID{}) {
		return s.network, nil
	}
	records, err := s.log.Read(ctx, domain.Control, 0, 1)
	if err != nil {
		return domain.NetworkID{}, fmt.Errorf("read the genesis: %w", err)
	}
	if len(records) == 0 {
		return domain.NetworkID{}, ErrNotBegun
	}
	entry, err := eventstore.DecodeEntry(domain.Control, records[0])
	if err != nil {
		return domain.NetworkID{}, err
	}
	s.network, err = ledger.NetworkIDOf(entry.GetGenesis())
	return s.network, err
}

// begin returns where a reader begins.
func (s *Stream) begin(ctx context.Context, shards []domain.Shard, after string, network domain.NetworkID) (cursor, error) {
	at := make(cursor, len(shards))
	if after != "" && after != FromStart {
		var err error
		if at, err = decodeCursor(after, network, shards); err != nil {
			return nil, err
		}
	}
	for i, shard := range shards {
		at[i].shard = shard
		if after == FromStart {
			continue
		}
		end, err := s.log.End(ctx, shard)
		if err != nil {
			return nil, err
		}
		if after == "" {
			at[i].offset = end
		}
		if at[i].offset > end || at[i].offset == end && at[i].facts > 0 {
			return nil, fmt.Errorf("it is at %d of shard %d, and here the shard ends at %d: %w", at[i].offset, shard, end, ErrAhead)
		}
	}
	return at, nil
}

// Run writes completions until the reader leaves or the stream stops, which give nil. An error is the ledger's.
func (f *Follower) Run(ctx context.Context, out Sink) error {
	shards := make([]domain.Shard, len(f.at))
	for i, p := range f.at {
		shards[i] = p.shard
	}
	ringing, leave := f.stream.bell.follow(ctx, shards)
	defer leave()
	heartbeat := time.NewTicker(Heartbeat)
	defer heartbeat.Stop()
	for {
		behind := false
		for i := range f.at {
			more, err := f.advance(ctx, out, i, ringing)
			if err != nil {
				return unlessGone(ctx, err)
			}
			behind = behind || more
		}
		if err := out.Flush(); err != nil {
			return unlessGone(ctx, err)
		}
		rest := ringing.heard
		if behind {
			rest = closedChannel
		}
		select {
		case <-ctx.Done():
			return nil
		case <-f.stream.stopping:
			return nil
		case <-heartbeat.C:
			if err := out.Beat(f.Cursor()); err != nil {
				return unlessGone(ctx, err)
			}
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
	if ctx.Err() == nil && !errors.Is(err, ErrGone) {
		return err
	}
	return nil
}

// advance reads on in one shard, if there is something to read, and says whether there may be more.
func (f *Follower) advance(ctx context.Context, out Sink, i int, ringing *ringing) (more bool, err error) {
	shard := f.at[i].shard
	if rang, err := ringing.take(shard); err != nil || !rang {
		return false, err
	}
	records, err := f.stream.log.Read(ctx, shard, f.at[i].offset, readEntries)
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
			if !ok || m.Position.Fact <= f.at[i].facts || !f.filter.wants(completion) {
				continue
			}
			f.at[i].facts = m.Position.Fact
			if err := out.Completion(completion, f.Cursor()); err != nil {
				return false, err
			}
		}
		f.at[i].offset, f.at[i].facts = record.Offset+1, 0
	}
	if len(records) > 0 {
		ringing.ring(shard)
	}
	return len(records) > 0, nil
}
