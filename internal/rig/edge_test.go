package rig_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/filature/filature/adapters/httpapi"
	"github.com/filature/filature/adapters/queryapi"
	"github.com/filature/filature/internal/mutate"
	"github.com/filature/filature/projections/projectionstest"
	queryv1 "github.com/filature/filature/schemas/filature/query/v1"
)

// make mutations sets these.
var (
	edgeFor  = flag.Duration("edge.for", 0, "ask spoiled questions for so long")
	edgeSeed = flag.Uint64("edge.seed", 1, "which spoiled questions")
)

// spoiledInTest is how many spoiled questions are asked at least.
const spoiledInTest = 2000

// said is how an error looks in JSON.
type said struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Details []struct {
		Type  string `json:"type"`
		Value string `json:"value"`
	} `json:"details"`
}

// problem is the field and the rule that an error names.
func (s said) problem(t *testing.T) *queryv1.Problem {
	t.Helper()
	p := &queryv1.Problem{}
	for _, detail := range s.Details {
		raw, err := base64.RawStdEncoding.DecodeString(detail.Value)
		if err != nil || detail.Type != "filature.query.v1.Problem" || proto.Unmarshal(raw, p) != nil {
			t.Fatalf("a detail is %+v", detail)
		}
	}
	return p
}

// paths has every method with a question that it answers, in JSON.
func (l *library) paths(t testing.TB) map[string][]byte {
	t.Helper()
	listening := *l
	ear := &ear{next: l.http.Transport, heard: map[string][]byte{}}
	listening.http = &http.Client{Transport: ear}
	for name, ask := range l.questions() {
		if _, err := ask(projectionstest.Context(t), listening.clients(ways["JSON"], "")); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	return ear.heard
}

// ear keeps the body of each request by its path.
type ear struct {
	next  http.RoundTripper
	heard map[string][]byte
}

func (e *ear) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	e.heard[r.URL.Path] = body
	r.Body = io.NopCloser(bytes.NewReader(body))
	return e.next.RoundTrip(r)
}

// post asks with a body of JSON, and returns the status and what was said.
func (l *library) post(t *testing.T, path, contentType, body string) (status int, raw []byte) {
	t.Helper()
	request, err := http.NewRequestWithContext(projectionstest.Context(t), http.MethodPost, l.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", contentType)
	status, _, raw = l.send(t, request)
	return status, raw
}

func (l *library) send(t *testing.T, request *http.Request) (status int, tag string, raw []byte) {
	t.Helper()
	response, err := l.http.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if raw, err = io.ReadAll(response.Body); err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, response.Header.Get("ETag"), raw
}

// get follows a link, and says which answers it has already.
func (l *library) get(t *testing.T, link, has string) (status int, tag string, raw []byte) {
	t.Helper()
	request, err := http.NewRequestWithContext(projectionstest.Context(t), http.MethodGet, link, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if has != "" {
		request.Header.Set("If-None-Match", has)
	}
	return l.send(t, request)
}

const methodPath = "/filature.query.v1."

func TestAQuestionInJSONIsReadStrictly(t *testing.T) {
	t.Parallel()
	store := openSQLite(t)
	l := openLibrary(t, live(t, store), store, nil)
	for _, one := range []struct{ method, body, field, rule string }{
		{"JobService/GetJob", `{"jobb":"12"}`, "jobb", "GetJobRequest has no such field, it has reading, job"},
		{"JobService/GetJob", `{"job":12}`, "job", "want a string"},
		{"JobService/GetJob", `{"job":"12","job":"13"}`, "job", "want it once"},
		{"JobService/GetJob", `{"job":"12"} {}`, "body", "nothing behind it"},
		{"JobService/GetJob", `{"job":"12"`, "body", "want a JSON object"},
		{"JobService/GetJob", `[]`, "body", "want a JSON object"},
		{"JobService/GetJob", `null`, "body", "want a JSON object"},
		{"JobService/GetJob", ``, "body", "want a JSON object"},
		{"JobService/GetJob", "{\"job\":\"\xff\"}", "job", "want a string"},
		{"JobService/GetJob", `{"job":{"a":{"b":{"c":{}}}}}`, "job", "want a string"},
		{"JobService/GetJob", `{"reading":{"atLeast":{"offsets":["1"]}}}`, "reading.at_least.offsets", "Position has no such field, it has ledgerOffsets"},
		{"JobService/GetJob", `{"reading":{"at_least":{"ledger_offsets":["1",2,1.5]}}}`, "reading.at_least.ledger_offsets[2]", "whole number"},
		{"JobService/GetJob", `{"reading":{"atLeast":{"ledgerOffsets":7}}}`, "reading.at_least.ledger_offsets", "want a list"},
		{"JobService/GetJob", `{"reading":{"atLeast":{"ledgerOffsets":[null]}}}`, "reading.at_least.ledger_offsets[0]", "whole number"},
		{"JobService/ListUsage", `{"by":["USAGE_COLUMN_WEEK"]}`, "by[0]", "USAGE_COLUMN_HOUR"},
		{"JobService/ListUsage", `{"fromMs":"9223372036854775808"}`, "from_ms", "2^63-1"},
		{"SettlementService/ListBatches", `{"page":{"size":-1}}`, "page.size", "2^32-1"},
		{"SettlementService/ListBatches", `{"page":[]}`, "page", "want a JSON object"},
		{"SettlementService/ListBatches", `{"page":` + strings.Repeat("[", 11_000) + strings.Repeat("]", 11_000) + `}`, "body", "want a JSON object"},
	} {
		for _, contentType := range []string{"application/json", "application/json; charset=utf-8"} {
			status, raw := l.post(t, methodPath+one.method, contentType, one.body)
			var e said
			if err := json.Unmarshal(raw, &e); err != nil || status != http.StatusBadRequest || e.Code != "invalid_argument" {
				t.Errorf("%.80s: %d %s", one.body, status, raw)
				continue
			}
			if p := e.problem(t); p.Field != one.field || !strings.Contains(p.Rule, one.rule) {
				t.Errorf("%.80s: %q breaks %q, want %q and %q", one.body, p.Field, p.Rule, one.field, one.rule)
			}
		}
	}
	if status, raw := l.post(t, methodPath+"NetworkService/GetNetwork", "application/json", `{"reading":null}`); status != http.StatusOK {
		t.Errorf("null is for what is not given: %d %s", status, raw)
	}
	large := `{"reading":{"x":"` + strings.Repeat("a", 1<<16) + `"}}`
	status, raw := l.post(t, methodPath+"NetworkService/GetNetwork", "application/json", large)
	if status != http.StatusTooManyRequests || !bytes.Contains(raw, []byte("65536")) {
		t.Errorf("too large a question: %d %.200s", status, raw)
	}
}

// TestAFieldOfALaterSchemaIsRefusedInEveryEncoding: it could be a filter, and an answer without it would be wrong.
func TestAFieldOfALaterSchemaIsRefusedInEveryEncoding(t *testing.T) {
	t.Parallel()
	store := openSQLite(t)
	l := openLibrary(t, live(t, store), store, nil)
	later := &queryv1.Page{Size: 3}
	later.ProtoReflect().SetUnknown([]byte{0x78, 1}) // field 15
	fine := &queryv1.Reading{AtLeast: &queryv1.Position{}}
	raw, err := proto.Marshal(&queryv1.ListBatchesRequest{Reading: fine, Page: later})
	if err != nil {
		t.Fatal(err)
	}
	status, raw := l.post(t, methodPath+"SettlementService/ListBatches", "application/proto", string(raw))
	var e said
	if err := json.Unmarshal(raw, &e); err != nil || status != http.StatusBadRequest || e.problem(t).Field != "page.15" {
		t.Errorf("%d %s", status, raw)
	}
	_, err = l.clients(ways["gRPC"], "").ListBatches(projectionstest.Context(t), &queryv1.ListBatchesRequest{Reading: fine, Page: later})
	if err == nil || !strings.Contains(err.Error(), "page.15") {
		t.Errorf("gRPC: %v", err)
	}
}

// TestAQuestionThatChangesNothingIsALink: GET gives what POST gives, and a tag by which a cache asks again.
func TestAQuestionThatChangesNothingIsALink(t *testing.T) {
	t.Parallel()
	store := openSQLite(t)
	l := openLibrary(t, live(t, store), store, nil)
	tags := map[string]bool{}
	for path, body := range l.paths(t) {
		link := l.url + path + "?" + url.Values{"connect": {"v1"}, "encoding": {"json"}, "message": {string(body)}}.Encode()
		status, tag, raw := l.get(t, link, "")
		if path == queryv1.ClaimServiceClaimProcedure {
			if status != http.StatusMethodNotAllowed {
				t.Errorf("%s changes something, and a link to it says %d", path, status)
			}
			continue
		}
		_, posted := l.post(t, path, "application/json", string(body))
		if status != http.StatusOK || !bytes.Equal(raw, posted) {
			t.Errorf("%s: %d %s\nby POST: %s", path, status, raw, posted)
		}
		tags[tag] = true
		if status, _, raw := l.get(t, link, `"another", `+tag); tag == "" || status != http.StatusNotModified || len(raw) != 0 {
			t.Errorf("%s with the tag %s: %d, %d bytes", path, tag, status, len(raw))
		}
	}
	if len(tags) < 20 { // two that have nothing to say may say it alike
		t.Errorf("all answers together have %d tags", len(tags))
	}
}

// TestWhatIsNoQuestionIsToldSo: what no method gets to see is refused with a code, a field and a rule, too.
func TestWhatIsNoQuestionIsToldSo(t *testing.T) {
	t.Parallel()
	store := openSQLite(t)
	l := openLibrary(t, live(t, store), store, nil)
	for _, one := range []struct {
		how, path, contentType string
		status                 int
		code, field, rule      string
	}{
		{http.MethodPost, "MoneyService/GetTrialBalances", "application/json", http.StatusNotFound, "unimplemented", "method", "MoneyService/GetTrialBalances"},
		{http.MethodPut, "MoneyService/GetTrialBalance", "application/json", http.StatusMethodNotAllowed, "unimplemented", "method", "POST"},
		{http.MethodGet, "ClaimService/Claim", "", http.StatusMethodNotAllowed, "unimplemented", "method", "POST"},
		{http.MethodGet, "MoneyService/GetTrialBalance", "", http.StatusUnsupportedMediaType, "invalid_argument", "encoding", "encoding=json"},
		{http.MethodPost, "MoneyService/GetTrialBalance", "text/plain", http.StatusUnsupportedMediaType, "invalid_argument", "Content-Type", "application/json"},
		{http.MethodPost, "JobService/GetJob", "application/json", http.StatusBadRequest, "invalid_argument", "job", "64"},
	} {
		request, err := http.NewRequestWithContext(projectionstest.Context(t), one.how, l.url+methodPath+one.path, strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", one.contentType)
		status, _, raw := l.send(t, request)
		var e said
		if err := json.Unmarshal(raw, &e); err != nil || status != one.status || e.Code != one.code {
			t.Errorf("%s %s: %d %s", one.how, one.path, status, raw)
			continue
		}
		if p := e.problem(t); p.Field != one.field || !strings.Contains(p.Rule, one.rule) {
			t.Errorf("%s %s: %q breaks %q", one.how, one.path, p.Field, p.Rule)
		}
	}
	for way, speaking := range ways {
		ask := connect.NewClient[queryv1.GetJobRequest, queryv1.GetJobResponse](l.http, l.url+methodPath+"JobService/GetJobs", speaking)
		_, err := ask.CallUnary(projectionstest.Context(t), connect.NewRequest(&queryv1.GetJobRequest{}))
		if connect.CodeOf(err) != connect.CodeUnimplemented {
			t.Errorf("%s: %v", way, err)
		}
	}
}

// TestEachQuestionIsALineInTheLogHoweverItEnds.
func TestEachQuestionIsALineInTheLogHoweverItEnds(t *testing.T) {
	t.Parallel()
	store := openSQLite(t)
	world := live(t, store)
	var lines bytes.Buffer
	keys := queryapi.Keys{sha256.Sum256([]byte("secret")): {Name: "the office", Role: queryapi.RoleFinance}}
	handler := httpapi.NewHandler(httpapi.Config{Queries: queryapi.New(queryapi.Config{
		Source: store, Ledger: world.Ledger, Keys: keys, Now: time.Now, Log: slog.New(slog.NewJSONHandler(&lines, nil)),
	})})
	for _, one := range []struct{ key, contentType, body, want, name string }{
		{"secret", "application/json", `{}`, "ok", "the office"},
		{"secret", "application/json", `{"networks":1}`, "invalid_argument", "the office"},
		{"wrong", "application/json", `{}`, "unauthenticated", ""},
		{"", "application/json", `{"networks":1}`, "unauthenticated", ""}, // who is nobody is not told what is wrong
		{"secret", "application/json", strings.Repeat(" ", 1<<17), "unread", "the office"},
		{"secret", "text/plain", `{}`, "unread", ""},
	} {
		lines.Reset()
		request := httptest.NewRequestWithContext(context.Background(), http.MethodPost, queryv1.NetworkServiceGetNetworkProcedure, strings.NewReader(one.body))
		request.Header.Set("Content-Type", one.contentType)
		if one.key != "" {
			request.Header.Set("Authorization", "Bearer "+one.key)
		}
		handler.ServeHTTP(httptest.NewRecorder(), request)
		var line struct {
			Code string `json:"code"`
			Key  string `json:"key"`
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil || line.Code != one.want || line.Key != one.name {
			t.Errorf("%q with %.20s: %s, want %s of %q", one.key, one.body, lines.String(), one.want, one.name)
		}
		if strings.Contains(lines.String(), "secret") {
			t.Errorf("the log has a key: %s", lines.String())
		}
	}
}

// stack is all that stands between a request and the books, keys and limits included.
type stack struct {
	handler http.Handler
	paths   []string
	bodies  [][]byte // a question for each path
}

// newStack opens the books of a world to a key of finance.
func newStack(t testing.TB) *stack {
	t.Helper()
	store := openSQLite(t)
	world := live(t, store)
	asked := openLibrary(t, world, store, nil).paths(t)
	s := &stack{paths: slices.Sorted(maps.Keys(asked))}
	for _, path := range s.paths {
		s.bodies = append(s.bodies, asked[path])
	}
	s.handler = httpapi.NewHandler(httpapi.Config{Queries: queryapi.New(queryapi.Config{
		Source: store, Ledger: world.Ledger, Claims: desk{store}, Now: (&ticking{at: time.Unix(1<<31, 0)}).now, Wait: 1,
		Keys: queryapi.Keys{sha256.Sum256([]byte("key")): {Name: "fuzz", Role: queryapi.RoleFinance}},
	})})
	return s
}

// ticking is a clock of which a second passes with each look, so that nobody asks too often.
type ticking struct {
	mu sync.Mutex
	at time.Time
}

func (c *ticking) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(time.Second)
	return c.at
}

// How a body is asked with.
const (
	withPOST = iota
	withPOSTAndCharset
	withGET
	withGETAndBase64
	howMany
)

// ask sends a body in some way, and returns what is wrong with the answer: bad input is never our fault, and never without
// a code.
func (s *stack) ask(which, how int, body []byte) error {
	path := s.paths[which%len(s.paths)]
	var request *http.Request
	switch how % howMany {
	case withPOST, withPOSTAndCharset:
		request = httptest.NewRequestWithContext(context.Background(), http.MethodPost, path, bytes.NewReader(body))
		request.Header.Set("Content-Type", []string{"application/json", "application/json; charset=utf-8"}[how%howMany])
	default:
		message := url.Values{"encoding": {"json"}, "message": {string(body)}}
		if how%howMany == withGETAndBase64 {
			message.Set("message", base64.URLEncoding.EncodeToString(body))
			message.Set("base64", "1")
		}
		request = httptest.NewRequestWithContext(context.Background(), http.MethodGet, path+"?"+message.Encode(), http.NoBody)
	}
	request.Header.Set("Authorization", "Bearer key")
	answer := httptest.NewRecorder()
	s.handler.ServeHTTP(answer, request)
	var e said
	switch {
	case answer.Code == http.StatusOK, answer.Code == http.StatusMethodNotAllowed:
		return nil
	case answer.Code >= http.StatusInternalServerError && answer.Code != http.StatusServiceUnavailable: // a position far ahead
		return fmt.Errorf("%s: %d %s", path, answer.Code, answer.Body)
	case json.Unmarshal(answer.Body.Bytes(), &e) != nil || e.Code == "" || e.Message == "":
		return fmt.Errorf("%s: %d without a code and words: %s", path, answer.Code, answer.Body)
	default:
		return nil
	}
}

// TestTheEdgeStandsWhateverIsAsked spoils questions for -edge.for, and asks them of every method.
func TestTheEdgeStandsWhateverIsAsked(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	mutator := mutate.New(*edgeSeed)
	asked := 0
	for began := time.Now(); asked < spoiledInTest || time.Since(began) < *edgeFor; asked++ {
		body := mutator.Mutant(s.bodies)
		if err := s.ask(asked, asked/len(s.paths), body); err != nil {
			t.Fatalf("seed %d, question %d: %v\n%q", *edgeSeed, asked, err, body)
		}
	}
	t.Logf("%d spoiled questions", asked)
}

// FuzzTheEdge looks for a question that makes a server panic, or say that the fault is its own.
func FuzzTheEdge(f *testing.F) {
	s := newStack(f)
	f.Add(0, 0, []byte(`{}`))
	f.Add(3, 1, []byte(`{"reading":{"atLeast":{"ledgerOffsets":["1",2]}},"page":{"size":7,"cursor":"bAI"}}`))
	f.Add(5, 2, []byte(`{"job":null,"job":"\u0000"}`))
	f.Add(7, 3, []byte(`{"by":["USAGE_COLUMN_HOUR",2],"fromMs":1e3,"toMs":"-1"}`))
	f.Fuzz(func(t *testing.T, which, how int, body []byte) {
		if err := s.ask(max(0, which), max(0, how), body); err != nil {
			t.Fatalf("%v\n%q", err, body)
		}
	})
}
