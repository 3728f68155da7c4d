package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

const (
	// MaxAnswerBytes is the longest body of an answer: one at its schema's limit, and its signature.
	MaxAnswerBytes = 256<<10 + 128
	// MaxAnswers bounds the answers that one handler holds at once; who comes then is to come again.
	MaxAnswers = 128
	// AnswerType is the content type of a SignedAnswer.
	AnswerType = "application/vnd.filature.answer"
)

var (
	errTooManyAnswers = errors.New("too many answers are under way")
	errNotAsked       = errors.New("the worker is asked nothing now")
)

// Attestation is how workers are asked what they run, and answer; see workers/verifier for its errors.
type Attestation interface {
	// Answer takes an encoded v1.SignedAnswer in. It returns true where its challenge was used up before, and the answer was
	// not looked at.
	Answer(ctx context.Context, signed []byte) (answered bool, err error)
	// Challenge returns the challenge that a worker is to answer now, or false if there is none.
	Challenge(worker domain.WorkerID) (*v1.AttestationRequest, bool)
}

// answers takes one answer in.
func (cfg Config) answers(w http.ResponseWriter, r *http.Request, slots chan struct{}) {
	select {
	case slots <- struct{}{}:
		defer func() { <-slots }()
	default:
		w.Header().Set("Retry-After", retryAfterSeconds)
		fail(w, http.StatusServiceUnavailable, errTooManyAnswers)
		return
	}
	signed, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxAnswerBytes))
	if err != nil {
		status := http.StatusBadRequest
		if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
			status = http.StatusRequestEntityTooLarge
		}
		fail(w, status, err)
		return
	}
	answered, err := cfg.Attestation.Answer(r.Context(), signed)
	switch {
	case err != nil:
		cfg.failed(w, err)
	case answered:
		answer(w, http.StatusAccepted, map[string]string{"status": "answered"})
	default:
		answer(w, http.StatusAccepted, map[string]string{"status": "taken"})
	}
}

// challenge tells a worker what it is asked: a v1.AttestationRequest in its JSON form.
func (cfg Config) challenge(w http.ResponseWriter, r *http.Request) {
	worker, err := domain.ParseID[domain.WorkerID](r.PathValue("worker"))
	if err != nil {
		fail(w, http.StatusBadRequest, fmt.Errorf("worker: %w", err))
		return
	}
	request, asked := cfg.Attestation.Challenge(worker)
	if !asked {
		fail(w, http.StatusNotFound, fmt.Errorf("worker %s: %w", worker, errNotAsked))
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	answer(w, http.StatusOK, json.RawMessage(v1.AppendJSON(nil, request)))
}
