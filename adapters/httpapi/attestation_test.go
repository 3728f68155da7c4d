package httpapi_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/filature/filature/adapters/httpapi"
	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

var errForged = errors.New("is not signed by the worker")

// asking is an Attestation that asks worker 07 something.
type asking struct {
	fail     error
	answered bool
	got      []byte
	hold     chan struct{}
}

func (a *asking) Answer(_ context.Context, signed []byte) (bool, error) {
	if a.hold != nil {
		<-a.hold
	}
	if a.hold == nil {
		a.got = signed
	}
	return a.answered, a.fail
}

func (*asking) Challenge(worker domain.WorkerID) (*v1.AttestationRequest, bool) {
	return &v1.AttestationRequest{
		Position: &v1.FactPosition{Offset: 41, Fact: 2}, AtMs: 5, Worker: worker[:], Challenge: bytes.Repeat([]byte{9}, 32), ExpiresAtMs: 300_005,
	}, worker[0] == 7
}

func attesting(a httpapi.Attestation) http.Handler {
	return httpapi.NewHandler(httpapi.Config{Attestation: a, Status: func(err error) int {
		if errors.Is(err, errForged) {
			return http.StatusForbidden
		}
		return 0
	}})
}

func TestAnAnswerIsTakenAndSaysWhatBecameOfIt(t *testing.T) {
	for name, test := range map[string]struct {
		attestation asking
		body        string
		status      int
		says        string
	}{
		"taken":     {asking{}, "an answer", http.StatusAccepted, `{"status":"taken"}`},
		"answered":  {asking{answered: true}, "an answer", http.StatusAccepted, `{"status":"answered"}`},
		"forged":    {asking{fail: errForged}, "an answer", http.StatusForbidden, `{"error":"is not signed by the worker"}`},
		"odd":       {asking{fail: errOdd}, "an answer", http.StatusInternalServerError, `{"error":"odd"}`},
		"largest":   {asking{}, strings.Repeat("x", httpapi.MaxAnswerBytes), http.StatusAccepted, `{"status":"taken"}`},
		"too large": {asking{}, strings.Repeat("x", httpapi.MaxAnswerBytes+1), http.StatusRequestEntityTooLarge, "too large"},
	} {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/attestation/answers", strings.NewReader(test.body))
			attesting(&test.attestation).ServeHTTP(w, r)
			if w.Code != test.status || !strings.Contains(w.Body.String(), test.says) {
				t.Errorf("status %d, %s", w.Code, w.Body)
			}
			if test.status == http.StatusAccepted && string(test.attestation.got) != test.body {
				t.Error("the answer is another one")
			}
		})
	}
}

// TestAnswersUnderWayAreBounded: who comes beyond that is to come again, and others are not held up for long.
func TestAnswersUnderWayAreBounded(t *testing.T) {
	a := &asking{hold: make(chan struct{})}
	h := attesting(a)
	codes := make(chan int)
	post := func() {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/attestation/answers", strings.NewReader("x")))
		codes <- w.Code
	}
	for range httpapi.MaxAnswers + 1 {
		go post()
	}
	if code := <-codes; code != http.StatusServiceUnavailable {
		t.Errorf("status %d beyond the bound", code)
	}
	a.fail = errOdd // all see the same
	close(a.hold)
	for range httpapi.MaxAnswers {
		if code := <-codes; code != http.StatusInternalServerError {
			t.Errorf("status %d within the bound", code)
		}
	}
}

func TestAWorkerLearnsWhatItIsAsked(t *testing.T) {
	seven := "07" + strings.Repeat("00", 31)
	for path, want := range map[string]struct {
		status int
		says   string
	}{
		"/v1/workers/" + seven + "/challenge": {http.StatusOK, `{"position":{"offset":41,"fact":2},"at_ms":5,"worker":"` + seven + `","challenge":"` +
			strings.Repeat("09", 32) + `","expires_at_ms":300005}`},
		"/v1/workers/" + strings.Repeat("08", 32) + "/challenge": {http.StatusNotFound, "is asked nothing now"},
		"/v1/workers/x/challenge":                                {http.StatusBadRequest, "worker: "},
	} {
		w := httptest.NewRecorder()
		attesting(&asking{}).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		body, err := io.ReadAll(w.Body)
		if err != nil || w.Code != want.status || !strings.Contains(string(body), want.says) {
			t.Errorf("%s: status %d, %s, %v", path, w.Code, body, err)
		}
	}
	w := httptest.NewRecorder()
	httpapi.NewHandler(httpapi.Config{}).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/workers/"+seven+"/challenge", nil))
	if w.Code != http.StatusNotFound {
		t.Errorf("without anybody who asks: status %d", w.Code)
	}
}
