package sdk_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
	"github.com/filature/filature/sdk"
)

// mishap is what becomes of one connection to a stream.
type mishap int

const (
	well    mishap = iota // it stays open
	refused               // nobody is there
	full                  // 503, come back in 5 seconds
	cut                   // it ends in the middle of an event
	over                  // it ends behind an event, with a reason
	numb                  // it stays open and brings nothing
	endless               // it brings a line without end
	odd                   // 400
	portal                // 200, and it is a page of somebody else's
)

var errNobody = errors.New("connection refused")

// server plays /v1/completions: event n has the cursor "c<n>", and every third event is of others, of whom only the
// cursor is told. It is an http.RoundTripper, so that it works in a bubble.
type server struct {
	mu      sync.Mutex
	events  int
	plan    []mishap // of the next connections
	asked   []string // by the connections: query and Last-Event-ID
	when    []time.Time
	variant func(n int, completion *v1.Completion) string // the data; nil: as it is
}

func newServer(events int) *server { return &server{events: events} }

func ofOthers(n int) bool { return n%3 == 2 }

func completionOf(n int) *v1.Completion {
	id := func(b byte) []byte { return []byte(strings.Repeat(string([]byte{b}), 32)) }
	return &v1.Completion{
		Position: &v1.FactPosition{Shard: uint32(1 + n%2), Offset: int64(n), Fact: 1}, AtMs: 1_767_225_600_000,
		Outcome: v1.Outcome_OUTCOME_COMPLETED, Job: id(byte(n)), Account: id(7), Client: id(8), Model: id(9), RateCard: id(10),
		Usage: &v1.Usage{PromptTokens: int64(n)}, ChargeNano: int64(100 + n),
	}
}

func (s *server) block(n int) string {
	if ofOthers(n) {
		return fmt.Sprintf(":\nid: c%d\n\n", n)
	}
	data := string(v1.AppendJSON(nil, completionOf(n)))
	if s.variant != nil {
		data = s.variant(n, completionOf(n))
	}
	return fmt.Sprintf("id: c%d\nevent: completion\ndata: %s\n\n", n, data)
}

func (s *server) RoundTrip(request *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, request.URL.RawQuery+" "+request.Header.Get("Last-Event-ID"))
	s.when = append(s.when, time.Now())
	m := well
	if len(s.plan) > 0 {
		m, s.plan = s.plan[0], s.plan[1:]
	}
	w := httptest.NewRecorder()
	switch m {
	case refused:
		return nil, errNobody
	case full:
		w.Header().Set("Retry-After", "5")
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprint(w, `{"error":"128 streams are open"}`)
		return w.Result(), nil
	case odd:
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"error":"after=c7: no such cursor"}`)
		return w.Result(), nil
	case portal:
		fmt.Fprint(w, "<html>please log in</html>")
		return w.Result(), nil
	case well, cut, over, numb, endless: // see body
	}
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	response := w.Result()
	next := s.events
	if last := request.Header.Get("Last-Event-ID"); last != "" {
		n, err := strconv.Atoi(strings.TrimPrefix(last, "c"))
		if err != nil {
			return nil, fmt.Errorf("a cursor of nobody's: %q", last)
		}
		next = n + 1
	} else if request.URL.Query().Get("after") == "start" {
		next = 0
	}
	response.Body = &body{server: s, ctx: request.Context(), m: m, next: next, text: fmt.Sprintf("id: c%d\n\n", next-1)}
	return response, nil
}

// body is what a connection brings.
type body struct {
	server *server
	ctx    context.Context //nolint:containedctx // the request's, as in net/http
	m      mishap
	next   int
	text   string
	sent   int // events
}

func (b *body) Close() error { return nil }

func (b *body) Read(p []byte) (int, error) {
	for {
		if b.text != "" {
			n := copy(p, b.text[:min(len(b.text), 100)])
			b.text = b.text[n:]
			return n, nil
		}
		switch {
		case b.m == endless:
			b.text = strings.Repeat("x", 100)
			continue
		case b.sent == 2 && b.m == over:
			b.text, b.m, b.sent = ": the log is away\n\n", well, 3
			continue
		case b.sent == 3:
			return 0, fmt.Errorf("end: %w", errNobody)
		case b.m == numb || b.next >= b.server.events:
			<-b.ctx.Done()
			return 0, b.ctx.Err()
		}
		b.text = b.server.block(b.next)
		if b.next++; b.m != well {
			b.sent++
		}
		if b.sent == 2 && b.m == cut {
			b.text, b.sent, b.m = b.text[:len(b.text)/2], 3, well
		}
	}
}

// memory is a cursor in memory.
type memory struct {
	mu     sync.Mutex
	cursor string
	stored []string
	fail   error
}

func (m *memory) Load(context.Context) (string, error) { return m.cursor, m.fail }

func (m *memory) Store(_ context.Context, cursor string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return m.fail
	}
	m.cursor, m.stored = cursor, append(m.stored, cursor)
	return nil
}

func (s *server) config(cursor sdk.Cursor) sdk.FollowConfig {
	return sdk.FollowConfig{API: "http://filature.test/base", Cursor: cursor, FromStart: true, HTTP: &http.Client{Transport: s}}
}

// mine are the events that a follower of these many is told.
func mine(events int) (all []int) {
	for n := range events {
		if !ofOthers(n) {
			all = append(all, n)
		}
	}
	return all
}

var errCrash = errors.New("the program died")

// Whatever becomes of connections, and wherever the program dies, nothing is missed and nothing is out of order. A
// handler that keeps the cursor beside its data has each completion once.
func TestNothingIsMissedAndWithACursorBesideTheDataNothingDoubled(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		events := rapid.IntRange(1, 20).Draw(rt, "events")
		plan := rapid.SliceOfN(rapid.SampledFrom([]mishap{well, refused, full, cut, over, numb, endless}), 0, 6).Draw(rt, "mishaps")
		beside := rapid.Bool().Draw(rt, "cursor beside the data")
		deaths := rapid.SliceOfN(rapid.IntRange(0, 3), 0, 4).Draw(rt, "deaths")
		var handled []int
		synctest.Test(t, func(t *testing.T) {
			s := newServer(events)
			s.plan = plan
			handled = liveAndDie(t, s, beside, deaths)
		})
		if !beside {
			handled = slices.Compact(handled) // told again, one behind the other
		}
		if !slices.Equal(handled, mine(events)) {
			rt.Fatalf("handled %v, want %v", handled, mine(events))
		}
	})
}

// liveAndDie follows a stream to its end, in several lives: each but the last ends after so many completions.
func liveAndDie(t *testing.T, s *server, beside bool, deaths []int) (handled []int) {
	t.Helper()
	kept := &memory{}
	cursor := sdk.Cursor(kept)
	if beside {
		cursor = sdk.HandlerKeeps(kept.Load)
	}
	for {
		left := -1
		if len(deaths) > 0 {
			left, deaths = deaths[0], deaths[1:]
		}
		ctx, stop := context.WithTimeout(t.Context(), time.Hour)
		err := sdk.Follow(ctx, s.config(cursor), func(ctx context.Context, c sdk.Completion) error {
			n := int(c.Position.Offset)
			if !proto.Equal(c.Completion, completionOf(n)) {
				t.Errorf("event %d is %v", n, c.Completion)
			}
			if handled = append(handled, n); beside {
				if err := kept.Store(ctx, c.Cursor); err != nil {
					return err
				}
			}
			if left--; left == -1 {
				return errCrash
			}
			return nil
		})
		stop()
		if errors.Is(err, errCrash) {
			continue
		}
		if err != nil {
			t.Errorf("follow: %v", err)
		}
		return handled
	}
}

func TestPausesGrowAndAreBoundedAndTheServersWishIsHeard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(3)
		s.plan = append(slices.Repeat([]mishap{refused}, 9), full, cut, well)
		s.plan[0] = full
		var troubles []string
		cfg := s.config(&memory{})
		cfg.Trouble = func(err error) { troubles = append(troubles, err.Error()) }
		ctx, stop := context.WithTimeout(t.Context(), 10*time.Minute)
		defer stop()
		if err := sdk.Follow(ctx, cfg, func(context.Context, sdk.Completion) error { return nil }); err != nil {
			t.Fatal(err)
		}
		var pauses []time.Duration
		for i := range len(s.when) - 1 {
			pauses = append(pauses, s.when[i+1].Sub(s.when[i]))
		}
		ms := time.Millisecond
		want := []time.Duration{5000 * ms, 500 * ms, 1000 * ms, 2000 * ms, 4000 * ms, 8000 * ms, 15000 * ms, 15000 * ms, 15000 * ms, 15000 * ms, 250 * ms}
		if !slices.Equal(pauses[:11], want) {
			t.Errorf("pauses are %v, want %v", pauses, want)
		}
		if !strings.Contains(troubles[0], "follow completions: 503 Service Unavailable: 128 streams are open") ||
			!strings.Contains(troubles[1], "connection refused") {
			t.Errorf("troubles are %q", troubles[:2])
		}
	})
}

func TestASilentServerIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(2)
		s.plan = []mishap{numb}
		var troubles []string
		cfg := s.config(&memory{})
		cfg.Trouble = func(err error) { troubles = append(troubles, err.Error()) }
		ctx, stop := context.WithTimeout(t.Context(), 70*time.Second)
		defer stop()
		var handled int
		if err := sdk.Follow(ctx, cfg, func(context.Context, sdk.Completion) error { handled++; return nil }); err != nil {
			t.Fatal(err)
		}
		if handled != 2 || len(troubles) != 1 || !strings.Contains(troubles[0], "nothing came for 50s") {
			t.Errorf("handled %d, troubles %q", handled, troubles)
		}
	})
}

// The time that a handler takes is not the server's silence.
func TestASlowHandlerIsNotInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(2)
		ctx, stop := context.WithTimeout(t.Context(), 4*time.Minute+30*time.Second)
		defer stop()
		err := sdk.Follow(ctx, s.config(&memory{}), func(ctx context.Context, _ sdk.Completion) error {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(2 * time.Minute):
				return nil
			}
		})
		if err != nil || len(s.asked) != 1 {
			t.Errorf("%v, and asked %d times", err, len(s.asked))
		}
	})
}

func TestTheCursorMovesBehindTheHandlerAndOverOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, kept := newServer(6), &memory{}
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		var seen []string
		err := sdk.Follow(ctx, s.config(kept), func(_ context.Context, c sdk.Completion) error {
			seen = append(seen, kept.cursor+"<"+c.Cursor)
			return nil
		})
		if want := []string{"c-1<c0", "c0<c1", "c2<c3", "c3<c4"}; err != nil || !slices.Equal(seen, want) || kept.cursor != "c5" {
			t.Errorf("seen %v, want %v; at the end %s, %v", seen, want, kept.cursor, err)
		}
	})
}

func TestAFollowerAsksForWhatItIsToFollow(t *testing.T) {
	account, client := domain.AccountID{1}, domain.ClientID{2}
	for _, c := range []struct {
		name   string
		change func(*sdk.FollowConfig)
		cursor string
		want   string
	}{
		{"everything from the start", func(*sdk.FollowConfig) {}, "", "after=start "},
		{"everything from now on", func(cfg *sdk.FollowConfig) { cfg.FromStart = false }, "", " "},
		{"resumed", func(*sdk.FollowConfig) {}, "c7", " c7"},
		{
			"accounts", func(cfg *sdk.FollowConfig) { cfg.Accounts = []domain.AccountID{account, {3}} }, "",
			"account=" + account.String() + "&account=" + domain.AccountID{3}.String() + "&after=start ",
		},
		{"a client", func(cfg *sdk.FollowConfig) { cfg.Client = client }, "c7", "client=" + client.String() + " c7"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(0)
				cfg := s.config(&memory{cursor: c.cursor})
				c.change(&cfg)
				ctx, stop := context.WithTimeout(t.Context(), time.Second)
				defer stop()
				if err := sdk.Follow(ctx, cfg, nil); err != nil || len(s.asked) != 1 || s.asked[0] != c.want {
					t.Errorf("asked %q, want %q; %v", s.asked, c.want, err)
				}
			})
		})
	}
}

func TestWhatWillNeverWorkEndsAFollow(t *testing.T) {
	errDisk := errors.New("the disk is full")
	ok := func(context.Context, sdk.Completion) error { return nil }
	for _, c := range []struct {
		name   string
		change func(*server, *sdk.FollowConfig)
		handle func(context.Context, sdk.Completion) error
		want   error
		says   string
	}{
		{
			"a question that is refused", func(s *server, _ *sdk.FollowConfig) { s.plan = []mishap{odd} }, ok, sdk.ErrStreamRefused,
			"400 Bad Request: after=c7: no such cursor",
		},
		{"somebody else's page", func(s *server, _ *sdk.FollowConfig) { s.plan = []mishap{portal} }, ok, sdk.ErrStreamRefused, "200 OK: <html>please log in"},
		{
			"a handler that fails", func(*server, *sdk.FollowConfig) {},
			func(context.Context, sdk.Completion) error { return errDisk }, errDisk, "handle completion 1/0/1",
		},
		{"a cursor that can't be stored", func(_ *server, cfg *sdk.FollowConfig) { cfg.Cursor = &failsLater{err: errDisk} }, ok, errDisk, "store the cursor"},
		{"a cursor that can't be loaded", func(_ *server, cfg *sdk.FollowConfig) { cfg.Cursor = &memory{fail: errDisk} }, ok, errDisk, "load the cursor"},
		{
			"an outcome from the future",
			func(s *server, _ *sdk.FollowConfig) {
				s.variant = func(int, *v1.Completion) string { return `{"outcome":"forgiven"}` }
			},
			ok, nil, "an event that this program does not understand: position: is missing",
		},
		{"no URL", func(_ *server, cfg *sdk.FollowConfig) { cfg.API = "filature.test" }, ok, sdk.ErrConfig, `API "filature.test", want a URL`},
		{"no cursor", func(_ *server, cfg *sdk.FollowConfig) { cfg.Cursor = nil }, ok, sdk.ErrConfig, "no Cursor"},
		{"two filters", func(_ *server, cfg *sdk.FollowConfig) {
			cfg.Client, cfg.Accounts = domain.ClientID{1}, make([]domain.AccountID, 1)
		}, ok, sdk.ErrConfig, "one of the two"},
		{
			"too many accounts", func(_ *server, cfg *sdk.FollowConfig) { cfg.Accounts = make([]domain.AccountID, 201) }, ok, sdk.ErrConfig,
			"201 Accounts, want at most 200",
		},
		{"a client with a timeout", func(_ *server, cfg *sdk.FollowConfig) { cfg.HTTP.Timeout = time.Minute }, ok, sdk.ErrConfig, "would end every stream"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(3)
				cfg := s.config(&memory{})
				c.change(s, &cfg)
				err := sdk.Follow(t.Context(), cfg, c.handle)
				if err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
					t.Errorf("follow: %v; want %v, and %q", err, c.want, c.says)
				}
			})
		})
	}
}

// failsLater loads and does not store.
type failsLater struct{ err error }

func (f *failsLater) Load(context.Context) (string, error) { return "", nil }

func (f *failsLater) Store(context.Context, string) error { return f.err }

func TestAFileKeepsTheCursorOverALife(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "cursor")
	if got, err := sdk.FileCursor(path).Load(t.Context()); got != "" || err != nil {
		t.Errorf("no file is %q, %v", got, err)
	}
	for _, cursor := range []string{"AQ", "AQIDBA", "B"} {
		if err := sdk.FileCursor(path).Store(t.Context(), cursor); err != nil {
			t.Fatal(err)
		}
		if got, err := sdk.FileCursor(path).Load(t.Context()); got != cursor || err != nil {
			t.Errorf("stored %q, loaded %q, %v", cursor, got, err)
		}
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if err := sdk.FileCursor(filepath.Join(folder, "no", "folder")).Store(t.Context(), "AQ"); err == nil {
		t.Error("stored into nowhere")
	}
	for _, content := range []string{"", "\n", "AQ\nAQ\n", strings.Repeat("A", 1<<20)} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := sdk.FileCursor(path).Load(t.Context()); err == nil {
			t.Errorf("a damaged file is the cursor %.20q", got)
		}
	}
}

func TestAFollowThatIsEndedHandlesNoMoreOfWhatHasArrived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, kept := newServer(6), &memory{}
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		handled := 0
		err := sdk.Follow(ctx, s.config(kept), func(context.Context, sdk.Completion) error {
			handled++
			stop()
			return nil
		})
		if err != nil || handled != 1 || kept.cursor != "c0" {
			t.Errorf("handled %d, the cursor is %s: %v", handled, kept.cursor, err)
		}
	})
}
