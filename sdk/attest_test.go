package sdk_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/signing"
	v1 "github.com/filature/filature/schemas/filature/v1"
	"github.com/filature/filature/sdk"
)

// asker is a gateway that asks Ann's worker something.
type asker struct {
	status int // of the next answers; 0: they are taken
	took   []*v1.AttestationAnswer
}

var annsWorker = domain.WorkerID(sha256.Sum256([]byte("ann's worker")))

func (a *asker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/v1/network":
		fmt.Fprintf(w, `{"network":"%s","data_shards":%d}`, network.ID, network.DataShards)
	case "/v1/workers/" + annsWorker.String() + "/challenge":
		fmt.Fprintf(w, `{"position":{"offset":41,"fact":2},"worker":"%s","challenge":"%s","expires_at_ms":9,"news":1}`, annsWorker, strings.Repeat("09", 32))
	case "/v1/attestation/answers":
		raw, err := io.ReadAll(r.Body)
		signed, answer := new(v1.SignedAnswer), new(v1.AttestationAnswer)
		if err != nil || v1.Decode(raw, signed) != nil || v1.Decode(signed.Answer, answer) != nil ||
			!signing.NewVerifier(1).VerifyAnswer(signing.KeyOf(annsKey()), signed.Answer, signed.Signature) {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		if a.status != 0 {
			w.WriteHeader(a.status)
			fmt.Fprint(w, `{"error":"not so"}`)
			return
		}
		a.took = append(a.took, answer)
		w.WriteHeader(http.StatusAccepted)
		fmt.Fprint(w, `{"status":"taken"}`)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func attestTo(t *testing.T, a *asker) *sdk.HTTP {
	t.Helper()
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	gateway, err := sdk.NewHTTP(server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	return gateway
}

func TestAWorkerAnswersWhatItIsAsked(t *testing.T) {
	a := new(asker)
	gateway := attestTo(t, a)
	c, err := gateway.Challenge(t.Context(), annsWorker, signing.KeyOf(annsKey()))
	if err != nil {
		t.Fatal(err)
	}
	nonce, _ := hex.DecodeString(strings.Repeat("09", 32))
	want := domain.Challenge{
		Network: network.ID, Worker: annsWorker, Key: signing.KeyOf(annsKey()), Nonce: domain.Digest(nonce), Epoch: 41, ExpiresMs: 9,
	}
	if c != want {
		t.Fatalf("it is asked %+v, want %+v", c, want)
	}
	data := c.ReportData(domain.Digest{})
	if err := gateway.Answer(t.Context(), annsKey(), c, &v1.Evidence{Tee: v1.Tee_TEE_TDX, Report: data[:]}); err != nil {
		t.Fatal(err)
	}
	if len(a.took) != 1 || domain.WorkerID(a.took[0].Worker) != annsWorker || domain.Digest(a.took[0].Challenge) != c.Nonce {
		t.Errorf("it took %v", a.took)
	}
	if _, err := gateway.Challenge(t.Context(), domain.WorkerID{8}, domain.KeyID{}); !errors.Is(err, sdk.ErrNotAsked) {
		t.Errorf("another worker: %v", err)
	}
}

func TestWhyAnAnswerIsNotTakenDecidesWhatToDo(t *testing.T) {
	a := new(asker)
	gateway := attestTo(t, a)
	for status, want := range map[int]struct{ over, permanent bool }{
		http.StatusConflict: {true, false}, http.StatusGone: {true, false}, http.StatusTooManyRequests: {}, http.StatusServiceUnavailable: {},
		http.StatusForbidden: {false, true}, http.StatusBadRequest: {false, true}, http.StatusNotFound: {false, true},
	} {
		a.status = status
		err := gateway.Answer(t.Context(), annsKey(), domain.Challenge{Network: network.ID}, &v1.Evidence{Tee: v1.Tee_TEE_TDX})
		var marked interface{ Permanent() bool }
		if err == nil || errors.Is(err, sdk.ErrChallengeOver) != want.over || errors.As(err, &marked) != want.permanent ||
			!strings.Contains(err.Error(), "not so") {
			t.Errorf("status %d: %v", status, err)
		}
	}
}
