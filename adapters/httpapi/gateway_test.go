package httpapi_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/filature/filature/adapters/httpapi"
	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

var (
	errBusy    = errors.New("gateway is busy")
	errTooMuch = errors.New("too much at once")
	errLost    = errors.New("no such job")
	errOdd     = errors.New("odd")
)

// gateway answers each report with its length, or fails.
type gateway struct {
	fail error
	got  [][]byte
}

func (g *gateway) Submit(_ context.Context, records [][]byte) ([]*v1.Receipt, error) {
	if g.fail != nil {
		return nil, g.fail
	}
	receipts := make([]*v1.Receipt, len(records))
	for i, r := range records {
		g.got = append(g.got, bytes.Clone(r))
		receipts[i] = &v1.Receipt{Status: v1.ReceiptStatus_RECEIPT_STATUS_ACCEPTED, Shard: 1, Offset: int64(len(r))}
	}
	return receipts, nil
}

func (g *gateway) Network(context.Context) (domain.NetworkID, int, error) {
	return domain.NetworkID{0xab}, 4, g.fail
}

// handler is the API over a gateway.
func handler(g httpapi.Gateway) http.Handler {
	return httpapi.NewHandler(httpapi.Config{
		Gateway: g,
		Ready: func(ctx context.Context) error {
			_, _, err := g.Network(ctx)
			return err
		},
		Status: func(err error) int {
			switch {
			case errors.Is(err, errBusy):
				return http.StatusServiceUnavailable
			case errors.Is(err, errTooMuch):
				return http.StatusRequestEntityTooLarge
			case errors.Is(err, errLost):
				return http.StatusNotFound
			default:
				return 0
			}
		},
	})
}

func ask(h http.Handler, method, path string, body []byte) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(context.Background(), method, path, bytes.NewReader(body)))
	return w
}

func framed(records ...[]byte) []byte {
	var body []byte
	for _, r := range records {
		body = v1.AppendFrame(body, r)
	}
	return body
}

func TestReportsAreCutAsTheyWereFramedAndAnsweredInOrder(t *testing.T) {
	g := &gateway{}
	records := [][]byte{[]byte("one"), {}, bytes.Repeat([]byte{7}, 300), []byte("last")}
	w := ask(handler(g), http.MethodPost, "/v1/reports", framed(records...))
	want := `{"receipts":[{"status":"accepted","shard":1,"offset":3},{"status":"accepted","shard":1},` +
		`{"status":"accepted","shard":1,"offset":300},{"status":"accepted","shard":1,"offset":4}]}`
	if w.Code != http.StatusOK || strings.TrimSpace(w.Body.String()) != want || w.Header().Get("Content-Type") != "application/json" {
		t.Errorf("status %d, %s; want %s", w.Code, w.Body, want)
	}
	for i := range records {
		if !bytes.Equal(g.got[i], records[i]) {
			t.Errorf("report %d is %q, want %q", i, g.got[i], records[i])
		}
	}
}

func TestEachKindOfReceiptHasAForm(t *testing.T) {
	for want, receipt := range map[string]*v1.Receipt{
		`{"status":"duplicate","shard":2,"offset":7,"first_offset":7}`: {
			Status: v1.ReceiptStatus_RECEIPT_STATUS_DUPLICATE, Shard: 2, Offset: 7, FirstOffset: 7,
		},
		`{"status":"conflict","shard":2,"offset":9,"first_offset":7}`: {
			Status: v1.ReceiptStatus_RECEIPT_STATUS_CONFLICT, Shard: 2, Offset: 9, FirstOffset: 7,
		},
		`{"status":"refused","shard":2,"reason":"unknown_signer","field":"signer"}`: {
			Status: v1.ReceiptStatus_RECEIPT_STATUS_REFUSED, Shard: 2, Reason: v1.Reason_REASON_UNKNOWN_SIGNER, Field: "signer",
		},
	} {
		w := ask(handler(fixed{receipt}), http.MethodPost, "/v1/reports", framed([]byte("x")))
		if have := strings.TrimSpace(w.Body.String()); have != `{"receipts":[`+want+`]}` {
			t.Errorf("receipt is %s, want %s", have, want)
		}
	}
}

// fixed gives one receipt.
type fixed struct{ receipt *v1.Receipt }

func (f fixed) Submit(context.Context, [][]byte) ([]*v1.Receipt, error) {
	return []*v1.Receipt{f.receipt}, nil
}

func (f fixed) Network(context.Context) (domain.NetworkID, int, error) {
	return domain.NetworkID{}, 0, nil
}

func TestEachTroubleHasItsStatus(t *testing.T) {
	good := framed([]byte("x"))
	for _, c := range []struct {
		name         string
		fail         error
		method, path string
		body         []byte
		status       int
		says         string
	}{
		{"well", nil, "POST", "/v1/reports", good, 200, `"receipts"`},
		{"an empty body", nil, "POST", "/v1/reports", nil, 200, `{"receipts":[]}`},
		{"half a length", nil, "POST", "/v1/reports", []byte{0x80}, 400, "body[0]: wants the length of a record"},
		{"a length without record", nil, "POST", "/v1/reports", append(good, 5, 'a'), 400, "body[2]: wants the length of a record"},
		{"a length that is no number", nil, "POST", "/v1/reports", bytes.Repeat([]byte{0xff}, 11), 400, "body[0]"},
		{"a length of all there is", nil, "POST", "/v1/reports", binary.AppendUvarint(nil, 1<<63), 400, "body[0]"},
		{"most records", nil, "POST", "/v1/reports", make([]byte, httpapi.MaxReports), 200, `"receipts"`},
		{"a record too many", nil, "POST", "/v1/reports", make([]byte, httpapi.MaxReports+1), 400, "body: has more than 1000 records"},
		{"a body too large", nil, "POST", "/v1/reports", make([]byte, httpapi.MaxBodyBytes+1), 413, "too large"},
		{"too much for the gateway", errTooMuch, "POST", "/v1/reports", good, 413, "too much"},
		{"busy", fmt.Errorf("submit: %w", errBusy), "POST", "/v1/reports", good, 503, "submit: gateway is busy"},
		{"odd", errOdd, "POST", "/v1/reports", good, 500, "odd"},
		{"not a POST", nil, "GET", "/v1/reports", nil, 405, ""},
		{"network", nil, "GET", "/v1/network", nil, 200, `"data_shards":4,"network":"ab00`},
		{"network, busy", errBusy, "GET", "/v1/network", nil, 503, "busy"},
		{"network, lost", errLost, "GET", "/v1/network", nil, 404, "no such job"},
		{"alive", errBusy, "GET", "/healthz", nil, 200, "alive"},
		{"ready", nil, "GET", "/readyz", nil, 200, "ready"},
		{"not ready", errOdd, "GET", "/readyz", nil, 503, "odd"},
		{"nothing there", nil, "GET", "/", nil, 404, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := ask(handler(&gateway{fail: c.fail}), c.method, c.path, c.body)
			if w.Code != c.status || !strings.Contains(w.Body.String(), c.says) {
				t.Errorf("status %d, %s; want %d and %q", w.Code, w.Body, c.status, c.says)
			}
			if again := w.Header().Get("Retry-After"); (again != "") != (errors.Is(c.fail, errBusy) && c.status == 503) {
				t.Errorf("Retry-After is %q", again)
			}
			if c.says != "" && !json.Valid(w.Body.Bytes()) {
				t.Errorf("the answer is not JSON: %s", w.Body)
			}
		})
	}
}

// A sender who lies about the length, or leaves in the middle, is told so and nothing is taken.
func TestABodyThatBreaksOffIsNotTaken(t *testing.T) {
	g := &gateway{}
	body := io.MultiReader(bytes.NewReader(framed([]byte("one"))), broken{})
	w := httptest.NewRecorder()
	handler(g).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/reports", body))
	if w.Code != http.StatusBadRequest || len(g.got) != 0 {
		t.Errorf("status %d, and %d reports were taken", w.Code, len(g.got))
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// held is a gateway that answers when it is let go.
type held struct {
	gateway
	letGo chan struct{}
}

func (h *held) Submit(context.Context, [][]byte) ([]*v1.Receipt, error) {
	<-h.letGo
	return nil, nil
}

// Whether they are still on the way or the gateway works on them: what does not fit is not begun.
func TestBodiesUnderWayAreBounded(t *testing.T) {
	const fit = httpapi.MaxBodiesBytes / httpapi.MaxBodyBytes
	for _, c := range []struct {
		name   string
		length int64 // as the header says
		arrive bool  // all of the body, before the next one comes
	}{
		{"a length is promised, and nothing comes", httpapi.MaxBodyBytes, false},
		{"no length, and nothing comes", -1, false},
		{"more is promised than is taken", 1 << 40, false},
		{"all has come, and the gateway works", -1, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := &held{letGo: make(chan struct{})}
				h := handler(g)
				post := func(body io.Reader, length int64) *httptest.ResponseRecorder {
					r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/reports", body)
					r.ContentLength = length
					w := httptest.NewRecorder()
					h.ServeHTTP(w, r)
					return w
				}
				var wg sync.WaitGroup
				var senders []*io.PipeWriter
				for range fit {
					body, sender := io.Pipe()
					senders = append(senders, sender)
					wg.Go(func() {
						if w := post(body, c.length); w.Code != http.StatusOK {
							t.Errorf("a body that fits: status %d, %s", w.Code, w.Body)
						}
					})
					if c.arrive {
						_ = sender.Close()
					}
				}
				synctest.Wait()
				if w := post(broken{}, httpapi.MaxBodyBytes); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
					t.Errorf("a body too many: status %d, Retry-After %q, %s", w.Code, w.Header().Get("Retry-After"), w.Body)
				}
				close(g.letGo)
				if w := post(strings.NewReader(""), 0); w.Code != http.StatusOK {
					t.Errorf("an empty body beside them: status %d, %s", w.Code, w.Body)
				}
				for _, sender := range senders {
					_ = sender.Close()
				}
				wg.Wait()
				for range 2 * fit {
					if w := post(broken{}, httpapi.MaxBodyBytes); w.Code != http.StatusBadRequest {
						t.Errorf("a body after them that breaks off: status %d, %s", w.Code, w.Body)
					}
				}
			})
		})
	}
}

// slowReader takes an answer when it is let go.
type slowReader struct {
	*httptest.ResponseRecorder
	letGo chan struct{}
}

func (s slowReader) Write(p []byte) (int, error) {
	<-s.letGo
	return s.ResponseRecorder.Write(p)
}

func TestWhoReadsReceiptsSlowlyKeepsNobodyOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := handler(fixed{&v1.Receipt{}})
		post := func(w http.ResponseWriter, body io.Reader) {
			h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/reports", body))
		}
		letGo := make(chan struct{})
		var wg sync.WaitGroup
		for range httpapi.MaxBodiesBytes / httpapi.MaxBodyBytes {
			wg.Go(func() { post(slowReader{httptest.NewRecorder(), letGo}, io.MultiReader()) }) // of unknown length
		}
		synctest.Wait()
		w := httptest.NewRecorder()
		if post(w, io.MultiReader()); w.Code != http.StatusOK {
			t.Errorf("status %d, %s", w.Code, w.Body)
		}
		close(letGo)
		wg.Wait()
	})
}

func TestAServerHasItsTimesAndSizesBounded(t *testing.T) {
	s := httpapi.NewServer(httpapi.Config{Gateway: &gateway{}})
	if s.ReadTimeout <= 0 || s.WriteTimeout <= 0 || s.IdleTimeout <= 0 || s.MaxHeaderBytes <= 0 {
		t.Errorf("a bound is missing: %+v", s)
	}
}

// Whatever arrives is cut into records that are together the body, or refused.
func FuzzFrames(f *testing.F) {
	f.Add(framed([]byte("one"), nil, []byte("two")))
	f.Add([]byte{0x80, 0x00})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01})
	f.Add(bytes.Repeat([]byte{0}, 20))
	f.Fuzz(func(t *testing.T, body []byte) {
		const limit = 10
		records, err := v1.Frames(bytes.Clone(body), limit)
		if err != nil {
			if len(records) != 0 {
				t.Fatalf("records and an error: %v", err)
			}
			return
		}
		if len(records) > limit {
			t.Fatalf("%d records, at most %d are allowed", len(records), limit)
		}
		again, err := v1.Frames(framed(records...), limit)
		if err != nil || len(again) != len(records) {
			t.Fatalf("what was cut can't be framed again: %v", err)
		}
		size := 0
		for i := range records {
			if size += len(records[i]); !bytes.Equal(records[i], again[i]) {
				t.Fatalf("record %d changed", i)
			}
		}
		if size+len(records) > len(body) {
			t.Fatalf("records of %d bytes came out of %d", size, len(body))
		}
	})
}
