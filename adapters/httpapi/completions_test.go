package httpapi_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/filature/filature/adapters/httpapi"
	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore"
	"github.com/filature/filature/eventstore/completions"
	"github.com/filature/filature/projections/projectionstest"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// However the ledger grows, and wherever the reader leaves and comes back, with whatever it asks for.
func TestAReaderWhoResumesGetsEachCompletionOnceAndInOrder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		const shards = 3
		ledger := jobsOf(rt, shards)
		server := httptest.NewUnstartedServer(nil)
		server.Config = httpapi.NewServer(httpapi.Config{Completions: completions.New(ledger)})
		server.Start()
		defer server.Close()

		ask, wants := drawFilter(rt, shards)
		cursor, inHeader := "", false
		var got []*v1.Completion
		for range rapid.IntRange(1, 4).Draw(rt, "visits") {
			grow(rt, ledger, shards)
			after := query("after", "start")
			lastID := ""
			switch {
			case cursor != "" && inHeader:
				lastID = cursor
			case cursor != "":
				after = query("after", cursor)
			}
			r := connect(rt, server.URL, ask+"&"+after, lastID)
			left := len(matching(all(rt, ledger), wants)) - len(got)
			for range rapid.IntRange(0, left).Draw(rt, "events") {
				e := r.event(rt)
				cursor, got = e.id, append(got, e.completion(rt))
			}
			r.leave()
			inHeader = rapid.Bool().Draw(rt, "in header")
		}
		after := "after=start"
		if cursor != "" {
			after = query("after", cursor)
		}
		r := connect(rt, server.URL, ask+"&"+after, "")
		defer r.leave()
		want := matching(all(rt, ledger), wants)
		for len(got) < len(want) {
			got = append(got, r.event(rt).completion(rt))
		}
		byShard := map[domain.Shard][]*v1.Completion{}
		for _, c := range got {
			shard := domain.Shard(c.Position.Shard)
			byShard[shard] = append(byShard[shard], c)
		}
		for shard, want := range all(rt, ledger) {
			want = slices.DeleteFunc(want, func(c *v1.Completion) bool { return !wants(c) })
			if !slices.EqualFunc(byShard[shard], want, func(a, b *v1.Completion) bool { return proto.Equal(a, b) }) {
				rt.Fatalf("shard %d: got %v, want %v", shard, byShard[shard], want)
			}
		}
	})
}

// grow adds entries, with ends of jobs and without.
func grow(rt *rapid.T, ledger *projectionstest.Ledger, shards int) {
	for range rapid.IntRange(0, 8).Draw(rt, "entries") {
		shard := domain.Shard(rapid.IntRange(0, shards).Draw(rt, "shard"))
		var facts []*v1.Fact
		for i := range rapid.IntRange(0, 4).Draw(rt, "facts") {
			fact := &v1.Fact{Body: &v1.Fact_Ticked{Ticked: &v1.Tick{}}}
			if shard != domain.Control && rapid.IntRange(0, 3).Draw(rt, "tick") > 0 {
				account := accountIn(shard, shards, rapid.IntRange(0, 1).Draw(rt, "account"))
				client := rapid.SampledFrom([]string{"tg", "other"}).Draw(rt, "client")
				fact = ended(fmt.Sprintf("job %d/%d/%d", shard, ledger.Cut()[shard], i), account, client)
			}
			facts = append(facts, fact)
		}
		if rapid.IntRange(0, 4).Draw(rt, "void") == 0 {
			ledger.Void(shard, facts...)
		} else {
			ledger.Answer(shard, "alice", 1, facts...)
		}
	}
}

// drawFilter returns a query, and what it asks for.
func drawFilter(rt *rapid.T, shards int) (ask string, wants func(*v1.Completion) bool) {
	switch rapid.SampledFrom([]string{"all", "client", "accounts"}).Draw(rt, "filter") {
	case "client":
		return query("client", hexOf("tg")), func(c *v1.Completion) bool { return domain.ClientID(c.Client).String() == hexOf("tg") }
	case "accounts":
		var pairs, accounts []string
		for range rapid.IntRange(1, 3).Draw(rt, "accounts") {
			shard := domain.Shard(rapid.IntRange(1, shards).Draw(rt, "of"))
			account := hexOf(accountIn(shard, shards, rapid.IntRange(0, 1).Draw(rt, "nth")))
			pairs, accounts = append(pairs, "account", account), append(accounts, account)
		}
		return query(pairs...), func(c *v1.Completion) bool {
			return slices.Contains(accounts, domain.AccountID(c.Account).String())
		}
	default:
		return "", func(*v1.Completion) bool { return true }
	}
}

func matching(all map[domain.Shard][]*v1.Completion, wants func(*v1.Completion) bool) (found []*v1.Completion) {
	for _, completions := range all {
		for _, c := range completions {
			if wants(c) {
				found = append(found, c)
			}
		}
	}
	return found
}

func TestAnEventIsOneLineOfJSONBehindItsCursor(t *testing.T) {
	ledger := jobsOf(t, 2)
	account := accountIn(1, 2, 0)
	ledger.Answer(1, "w1", 1, ended("job", account, "tg"))
	r := connect(t, serve(t, ledger), "after=start", "")
	defer r.leave()
	first, _ := r.next()
	if first.id == "" || first.data != "" {
		t.Errorf("the stream begins with %+v, want an id alone", first)
	}
	id32 := func(name string) string { return fmt.Sprintf(`"%x"`, projectionstest.Bytes(name)) }
	want := `{"position":{"shard":1,"fact":1},"at_ms":1767225600000,"outcome":"completed","job":` + id32("job") +
		`,"account":` + id32(account) + `,"client":` + id32("tg") + `,"model":` + id32("qwen") + `,"worker":` + id32("w1") +
		`,"provider":` + id32("prov-a") + `,"usage":{},"charge_nano":6,"released_nano":3,"rate_card":` + id32("card") + `,"coefficient":1000}`
	e, _ := r.next()
	if e.event != "completion" || e.data != want || e.id == first.id {
		t.Errorf("event %+v, want data\n%s", e, want)
	}
}

func TestWithoutAPlaceTheStreamBeginsNow(t *testing.T) {
	ledger := jobsOf(t, 2)
	server := serve(t, ledger)
	ledger.Answer(1, "w1", 1, ended("before", accountIn(1, 2, 0), "tg"))
	r := connect(t, server, "", "")
	defer r.leave()
	opened, _ := r.next()
	ledger.Answer(2, "w1", 1, ended("then", accountIn(2, 2, 0), "tg"))
	if got := r.event(t).completion(t); string(got.Job) != string(projectionstest.Bytes("then")) {
		t.Errorf("the first event is of %q", got.Job)
	}
	// Who only saw the stream open, and was cut off, has a cursor all the same.
	again := connect(t, server, "", opened.id)
	defer again.leave()
	if got := again.event(t).completion(t); string(got.Job) != string(projectionstest.Bytes("then")) {
		t.Errorf("resumed, the first event is of %q", got.Job)
	}
}

func TestAQueryThatIsWrongIsToldTheFieldAndTheRule(t *testing.T) {
	ledger := jobsOf(t, 3)
	ledger.Answer(1, "w1", 1, ended("job", accountIn(1, 3, 0), "tg"))
	server := serve(t, ledger)
	cursorOf := func(ask string) string {
		r := connect(t, server, ask+"&after=start", "")
		defer r.leave()
		e, _ := r.next()
		return e.id
	}
	everything := cursorOf("")
	raw, err := base64.RawURLEncoding.DecodeString(everything)
	if err != nil {
		t.Fatal(err)
	}
	changed := func(change func(raw []byte) []byte) string {
		return base64.RawURLEncoding.EncodeToString(change(slices.Clone(raw)))
	}
	account := hexOf(accountIn(1, 3, 0))
	many := make([]string, 0, 2*completions.MaxAccounts+2)
	for range completions.MaxAccounts + 1 {
		many = append(many, "account", account)
	}
	const noCursor = `want the cursor of a completion of this stream, or \"start\"`
	for _, c := range []struct {
		name, ask, header string
		status            int
		says              string
	}{
		{"an unknown field", "acount=" + account, "", 400, "acount=" + account + ": this stream knows account, client, provider and after"},
		{"no account", "account=", "", 400, "account=: want 64 hexadecimal digits"},
		{"half an account", "account=" + account[:62], "", 400, "want 64 hexadecimal digits"},
		{"too many accounts", query(many...), "", 400, "want at most 200 accounts"},
		{"no client", "client=0x07", "", 400, "client=0x07: want 64 hexadecimal digits"},
		{"two clients", "client=" + account + "&client=" + account, "", 400, "is given twice"},
		{"no provider", "provider=", "", 400, "provider=: want 64 hexadecimal digits"},
		{"a query that is none", "a;b=%", "", 400, "query: "},
		{"no place", "after=", "", 400, "after=: " + noCursor},
		{"an offset", "after=17", "", 400, "after=17: " + noCursor},
		{"in the header", "after=start", "17", 400, "Last-Event-ID=17: " + noCursor},
		{"padding", "after=" + everything + "=", "", 400, noCursor},
		{"cut off", "after=" + everything[:len(everything)-4], "", 400, "another filter"},
		{"cut off in a number", "after=" + changed(func(r []byte) []byte { return append(r[:len(r)-1], 0x80) }), "", 400, noCursor},
		{"longer", "after=" + changed(func(r []byte) []byte { return append(r, 1, 0, 0) }), "", 400, "another filter"},
		{"a later version", "after=" + changed(func(r []byte) []byte { r[0]++; return r }), "", 400, noCursor},
		{"another network", "after=" + changed(func(r []byte) []byte { r[1]++; return r }), "", 400, "it is a cursor of another network"},
		{"a number in two bytes", "after=" + changed(func(r []byte) []byte { return append(r[:len(r)-1], 0x80, 0) }), "", 400, noCursor},
		{"of another filter", "after=" + cursorOf("account="+account), "", 400, "it was given to a stream with another filter"},
		{"for another filter", query("account", account, "after", everything), "", 400, "it was given to a stream with another filter"},
		{"ahead", "after=" + changed(func(r []byte) []byte { r[len(r)-2] = 1; return r }), "", 503, "after: it is at 1 of shard 3, and here the shard ends at 0"},
		{"ahead by a fact", "after=" + changed(func(r []byte) []byte { r[len(r)-1] = 1; return r }), "", 503, "the cursor is ahead of this ledger"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			request := httptest.NewRequestWithContext(ctx, http.MethodGet, "/v1/completions", http.NoBody)
			request.URL.RawQuery = c.ask
			if c.header != "" {
				request.Header.Set("Last-Event-ID", c.header)
			}
			w := httptest.NewRecorder()
			httpapi.NewHandler(httpapi.Config{Completions: completions.New(ledger)}).ServeHTTP(w, request)
			if w.Code != c.status || !strings.Contains(w.Body.String(), c.says) {
				t.Errorf("status %d, %s; want %d and %s", w.Code, w.Body, c.status, c.says)
			}
			if (w.Header().Get("Retry-After") != "") != (c.status == 503) {
				t.Errorf("Retry-After is %q", w.Header().Get("Retry-After"))
			}
		})
	}
}

// follow runs a stream on a page, until the context ends or the handler ends it.
func follow(ctx context.Context, h http.Handler, p *page, ask string) chan struct{} {
	over := make(chan struct{})
	go func() {
		defer close(over)
		h.ServeHTTP(p, httptest.NewRequestWithContext(ctx, http.MethodGet, "/v1/completions?"+ask, http.NoBody))
	}()
	return over
}

func TestAQuietStreamBeatsAndMovesTheCursor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ledger := jobsOf(t, 2)
		ctx, leave := context.WithCancel(t.Context())
		p := newPage()
		over := follow(ctx, httpapi.NewHandler(httpapi.Config{Completions: completions.New(ledger)}), p, "account="+hexOf(accountIn(1, 2, 0)))
		synctest.Wait()
		opened := p.take()
		time.Sleep(completions.Heartbeat - time.Second) //nolint:forbidigo // in a bubble it is a condition
		synctest.Wait()
		if text := p.take(); text != "" {
			t.Errorf("before its time: %q", text)
		}
		ledger.Answer(1, "w1", 1, ended("of another", accountIn(1, 2, 1), "tg"))
		time.Sleep(2 * time.Second) //nolint:forbidigo // in a bubble it is a condition
		synctest.Wait()
		beat := p.take()
		if !strings.HasPrefix(opened, "id: ") || !strings.HasPrefix(beat, ":\nid: ") || !strings.HasSuffix(beat, "\n\n") || beat == ":\n"+opened {
			t.Errorf("opened with %q, and beat %q", opened, beat)
		}
		leave()
		<-over
	})
}

func TestWhoReadsTooSlowlyIsLeftBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ledger := jobsOf(t, 1)
		p := newPage()
		over := follow(t.Context(), httpapi.NewHandler(httpapi.Config{Completions: completions.New(ledger)}), p, "")
		synctest.Wait()
		p.mu.Lock()
		p.stuck = true
		p.mu.Unlock()
		began := time.Now()
		ledger.Answer(1, "w1", 1, ended("job", accountIn(1, 1, 0), "tg"))
		<-over
		if took := time.Since(began); took < time.Second || took > 30*time.Second {
			t.Errorf("it was waited for %v", took)
		}
	})
}

func TestStreamsAreBoundedAndTheirPlacesComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ledger := jobsOf(t, 2)
		h := httpapi.NewHandler(httpapi.Config{Completions: completions.New(ledger)})
		for range 2 {
			ctx, leave := context.WithCancel(t.Context())
			var over []chan struct{}
			for i := range completions.MaxFollowers {
				p := newPage()
				over = append(over, follow(ctx, h, p, ""))
				if synctest.Wait(); p.status != http.StatusOK {
					t.Fatalf("stream %d: status %d", i, p.status)
				}
			}
			w := ask(h, http.MethodGet, "/v1/completions", nil)
			if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), "128 streams are open") {
				t.Errorf("one too many: %d, %s", w.Code, w.Body)
			}
			leave()
			for _, ended := range over {
				<-ended
			}
		}
	})
}

// watched counts who waits for the log.
type watched struct {
	eventstore.Reader

	waiting, most atomic.Int32
}

func (w *watched) Wait(ctx context.Context, shard domain.Shard, from domain.Offset) error {
	now := w.waiting.Add(1)
	defer w.waiting.Add(-1)
	for most := w.most.Load(); now > most && !w.most.CompareAndSwap(most, now); most = w.most.Load() {
	}
	return w.Reader.Wait(ctx, shard, from)
}

func TestManyReadersWaitForAShardAsOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ledger := jobsOf(t, 2)
		log := &watched{Reader: ledger}
		h := httpapi.NewHandler(httpapi.Config{Completions: completions.New(log)})
		ctx, leave := context.WithCancel(t.Context())
		var pages []*page
		var over []chan struct{}
		for i := range 20 {
			p := newPage()
			pages = append(pages, p)
			ask := ""
			if i%2 == 0 {
				ask = "account=" + hexOf(accountIn(1, 2, 0))
			}
			over = append(over, follow(ctx, h, p, ask))
			synctest.Wait()
		}
		for range 3 {
			for _, p := range pages {
				p.take()
			}
			ledger.Answer(1, "w1", 1, ended("job", accountIn(1, 2, 0), "tg"))
			synctest.Wait()
			for i, p := range pages {
				if n := strings.Count(p.take(), "event: completion"); n != 1 {
					t.Errorf("reader %d got %d events", i, n)
				}
			}
		}
		leave()
		for _, ended := range over {
			<-ended
		}
		if log.most.Load() != 2 || log.waiting.Load() != 0 {
			t.Errorf("%d waited at once for two shards, and %d do so still", log.most.Load(), log.waiting.Load())
		}
	})
}

var errLog = errors.New("the log is away")

// away is a log that can't be read, or waited for.
type away struct {
	eventstore.Reader

	read, wait, end atomic.Bool
}

func (a *away) Read(ctx context.Context, shard domain.Shard, from domain.Offset, limit int) ([]eventstore.Record, error) {
	if a.read.Load() {
		return nil, errLog
	}
	return a.Reader.Read(ctx, shard, from, limit)
}

func (a *away) End(ctx context.Context, shard domain.Shard) (domain.Offset, error) {
	if a.end.Load() {
		return 0, errLog
	}
	return a.Reader.End(ctx, shard)
}

func (a *away) Wait(ctx context.Context, shard domain.Shard, from domain.Offset) error {
	err := a.Reader.Wait(ctx, shard, from)
	if a.wait.Load() {
		return errLog
	}
	return err
}

// A ledger that is away ends streams, with a reason; when it is back, so are they.
func TestTroubleWithTheLedgerEndsStreamsAndNotTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ledger := jobsOf(t, 2)
		log := &away{Reader: ledger}
		h := httpapi.NewHandler(httpapi.Config{Completions: completions.New(log), Status: func(err error) int {
			if errors.Is(err, errLog) {
				return http.StatusServiceUnavailable
			}
			return 0
		}})
		for _, trouble := range []*atomic.Bool{&log.read, &log.wait} {
			ctx, leave := context.WithCancel(t.Context())
			var pages []*page
			var over []chan struct{}
			for range 3 {
				p := newPage()
				pages, over = append(pages, p), append(over, follow(ctx, h, p, ""))
			}
			synctest.Wait()
			trouble.Store(true)
			ledger.Answer(1, "w1", 1, ended("job", accountIn(1, 2, 0), "tg"))
			for i, ended := range over {
				<-ended
				if text := pages[i].take(); !strings.HasSuffix(text, ": the log is away\n\n") {
					t.Errorf("stream %d ended with %q", i, text)
				}
			}
			trouble.Store(false)
			leave()
		}
		log.end.Store(true)
		if w := ask(h, http.MethodGet, "/v1/completions", nil); w.Code != http.StatusServiceUnavailable {
			t.Errorf("without a log: %d, %s", w.Code, w.Body)
		}
		log.end.Store(false)
		ctx, leave := context.WithCancel(t.Context())
		p := newPage()
		over := follow(ctx, h, p, "after=start")
		synctest.Wait()
		if n := strings.Count(p.take(), "event: completion"); n != 2 {
			t.Errorf("after all that a reader gets %d events, want 2", n)
		}
		ledger.Answer(1, "w1", 1, ended("job", accountIn(1, 2, 0), "tg"))
		synctest.Wait()
		if n := strings.Count(p.take(), "event: completion"); n != 1 {
			t.Errorf("and then %d events, want 1", n)
		}
		leave()
		<-over
	})
}

// A watch that failed is not left to those who come while somebody has not heard of it yet.
func TestWhoComesAfterTroubleDoesNotInheritIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ledger := jobsOf(t, 1)
		log := &away{Reader: ledger}
		h := httpapi.NewHandler(httpapi.Config{Completions: completions.New(log)})
		ctx, leave := context.WithCancel(t.Context())
		busy := newPage()
		first := follow(ctx, h, busy, "")
		synctest.Wait()
		busy.mu.Lock()
		busy.stuck = true
		busy.mu.Unlock()
		for range 2 { // the first one keeps the reader busy, the second wakes up who waits
			ledger.Answer(1, "w1", 1, ended("job", accountIn(1, 1, 0), "tg"))
			synctest.Wait()
			log.wait.Store(!log.wait.Load())
		}
		p := newPage()
		second := follow(ctx, h, p, "")
		synctest.Wait()
		ledger.Answer(1, "w1", 1, ended("job", accountIn(1, 1, 0), "tg"))
		synctest.Wait()
		if n := strings.Count(p.take(), "event: completion"); n != 1 {
			t.Errorf("who came later got %d events, want 1", n)
		}
		leave()
		<-first
		<-second
	})
}

// A reader who was away for long gets everything without anything happening meanwhile.
func TestALongHistoryIsReadToItsEnd(t *testing.T) {
	ledger := jobsOf(t, 2)
	const jobs = 3000
	for range jobs {
		ledger.Answer(1, "w1", 1, ended("job", accountIn(1, 2, 0), "tg"))
	}
	r := connect(t, serve(t, ledger), "after=start", "")
	defer r.leave()
	for i := range jobs {
		if at := r.event(t).completion(t).Position.Offset; at != int64(i) {
			t.Fatalf("event %d is of entry %d", i, at)
		}
	}
}

func TestBeforeTheNetworkBeginsThereIsNoStream(t *testing.T) {
	ledger := projectionstest.NewLedger(t, 2)
	h := httpapi.NewHandler(httpapi.Config{Completions: completions.New(ledger)})
	if w := ask(h, http.MethodGet, "/v1/completions", nil); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
		t.Errorf("status %d, %s", w.Code, w.Body)
	}
	ledger.Begin()
	if w := ask(h, http.MethodHead, "/v1/completions", nil); w.Code != http.StatusInternalServerError {
		t.Errorf("a connection that can't be bounded: status %d, %s", w.Code, w.Body)
	}
	p := newPage()
	h.ServeHTTP(p, httptest.NewRequestWithContext(t.Context(), http.MethodHead, "/v1/completions", http.NoBody))
	if p.status != http.StatusOK || p.take() != "" {
		t.Errorf("the head alone: status %d", p.status)
	}
}

// The times of a server are for requests that end.
func TestAStreamOutlivesTheTimesOfARequest(t *testing.T) {
	ledger := jobsOf(t, 1)
	server := httptest.NewUnstartedServer(nil)
	server.Config = httpapi.NewServer(httpapi.Config{Completions: completions.New(ledger)})
	server.Config.ReadTimeout, server.Config.WriteTimeout = 50*time.Millisecond, 50*time.Millisecond
	server.Start()
	defer server.Close()
	r := connect(t, server.URL, "", "")
	defer r.leave()
	if _, ok := r.next(); !ok {
		t.Fatal("the stream did not open")
	}
	<-time.After(4 * server.Config.ReadTimeout)
	ledger.Answer(1, "w1", 1, ended("job", accountIn(1, 1, 0), "tg"))
	r.event(t)
}

func TestAServerThatStopsEndsItsStreamsAtOnce(t *testing.T) {
	ledger := jobsOf(t, 1)
	server := httptest.NewUnstartedServer(nil)
	server.Config = httpapi.NewServer(httpapi.Config{Completions: completions.New(ledger)})
	server.Start()
	defer server.Close()
	r := connect(t, server.URL, "", "")
	defer r.leave()
	if _, ok := r.next(); !ok {
		t.Fatal("the stream did not open")
	}
	var stopped sync.WaitGroup
	stopped.Go(func() {
		grace, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		if err := server.Config.Shutdown(grace); err != nil {
			t.Errorf("shutdown: %v", err)
		}
	})
	if e, ok := r.next(); ok {
		t.Errorf("the stream went on with %+v", e)
	}
	if err := r.lines.Err(); err != nil {
		t.Errorf("the stream broke off: %v", err)
	}
	stopped.Wait()
	if err := server.Config.Shutdown(t.Context()); err != nil {
		t.Errorf("a second shutdown: %v", err)
	}
}

// Each role has the paths that it can answer.
func TestAPathIsThereIfSomethingIsBehindIt(t *testing.T) {
	for _, c := range []struct {
		name  string
		cfg   httpapi.Config
		paths map[string]int
	}{
		{"nothing", httpapi.Config{}, map[string]int{"/v1/network": 404, "/v1/completions?x=": 404, "/readyz": 200, "/healthz": 200}},
		{"a gateway", httpapi.Config{Gateway: &gateway{}}, map[string]int{"/v1/network": 200, "/v1/completions?x=": 404}},
		{"the books", httpapi.Config{OpenAPI: []byte("{}")}, map[string]int{"/v1/network": 404, "/openapi.json": 200, "/v1/completions?x=": 404}},
		{"the ledger", httpapi.Config{Completions: completions.New(jobsOf(t, 1))}, map[string]int{"/v1/network": 404, "/v1/completions?x=": 400}},
	} {
		for path, want := range c.paths {
			if w := ask(httpapi.NewHandler(c.cfg), http.MethodGet, path, nil); w.Code != want {
				t.Errorf("%s: %s is %d, want %d", c.name, path, w.Code, want)
			}
		}
	}
}
