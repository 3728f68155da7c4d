package verifier

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/signing"
	v1 "github.com/filature/filature/schemas/filature/v1"
	"github.com/filature/filature/workers/courier"
)

const (
	// MaxAnswerBytes is the longest message that is decoded: an answer at its schema's limit, and its signature.
	MaxAnswerBytes = 256<<10 + 128
	// cachedKeys is how many workers' keys are kept in the form that makes the next check faster: 1.5 KiB each.
	cachedKeys = 4096
)

// Why an answer is not looked at. All but ErrNotYet are for good: the same bytes won't be looked at later, either.
var (
	// ErrMalformed: it is no SignedAnswer of this network's.
	ErrMalformed = errors.New("is malformed")
	// ErrNoWorker: there is no such worker, or it is retired.
	ErrNoWorker = errors.New("there is no such worker")
	// ErrNotSigned: the signature is not the worker's.
	ErrNotSigned = errors.New("is not signed by the worker")
	// ErrNotYet: the challenge of an answer is not known. The request may be on its way to us.
	ErrNotYet = errors.New("the challenge is not known yet")
	// ErrTooLate: the challenge has run out. The worker is asked again.
	ErrTooLate = errors.New("comes too late")
	// ErrTooOften: the worker has sent more answers than it may in a while.
	ErrTooOften = errors.New("comes too soon after others")
	// ErrAnswered: the challenge was used up before.
	ErrAnswered = errors.New("answered already")
)

// screen makes the checks that cost microseconds.
type screen struct {
	network    domain.NetworkID
	directory  Directory
	book       *Book
	now        func() time.Time
	signatures *signing.Verifier
	pace       pace
}

// refuse says why an answer is not looked at again.
func refuse(why error, format string, args ...any) error {
	return fmt.Errorf("answer "+format+": %w: %w", append(args, why, courier.ErrRefused)...)
}

// look checks an answer, in the order of what the checks cost.
func (s *screen) look(ctx context.Context, raw []byte) (*v1.AttestationAnswer, domain.Challenge, error) {
	var nothing domain.Challenge
	if len(raw) > MaxAnswerBytes {
		return nil, nothing, refuse(ErrMalformed, "has %d bytes, at most %d are read", len(raw), MaxAnswerBytes)
	}
	signed, answer := new(v1.SignedAnswer), new(v1.AttestationAnswer)
	if err := v1.Decode(raw, signed); err != nil {
		return nil, nothing, refuse(ErrMalformed, "%w", err)
	}
	if err := v1.Decode(signed.Answer, answer); err != nil {
		return nil, nothing, refuse(ErrMalformed, "%w", err)
	}
	worker, nonce := domain.WorkerID(answer.Worker), domain.Digest(answer.Challenge)
	if domain.NetworkID(answer.Network) != s.network {
		return nil, nothing, refuse(ErrMalformed, "is for network %x", answer.Network)
	}
	key, found, err := s.directory.Key(ctx, worker)
	switch {
	case err != nil:
		return nil, nothing, fmt.Errorf("look up worker %s: %w", worker, err)
	case !found:
		return nil, nothing, refuse(ErrNoWorker, "of worker %s", worker)
	case !s.signatures.VerifyAnswer(key, signed.Answer, signed.Signature):
		return nil, nothing, refuse(ErrNotSigned, "of worker %s", worker)
	}
	now := s.now()
	challenge, known := s.book.find(worker)
	switch {
	case !known || challenge.nonce != nonce:
		return nil, nothing, fmt.Errorf("answer of worker %s to %s: %w", worker, nonce, ErrNotYet)
	case challenge.answered:
		return nil, nothing, refuse(ErrAnswered, "of worker %s to %s", worker, nonce)
	case challenge.expiresMs <= now.UnixMilli():
		return nil, nothing, refuse(ErrTooLate, "of worker %s", worker)
	case !s.pace.allow(worker, now):
		return nil, nothing, refuse(ErrTooOften, "of worker %s is one of more than %d in %s", worker, paceBurst, paceWindow)
	}
	return answer, domain.Challenge{
		Network: s.network, Worker: worker, Key: key, Nonce: nonce, Epoch: uint64(challenge.at.Offset), ExpiresMs: challenge.expiresMs,
	}, nil
}
