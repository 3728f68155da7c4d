// Package verifier knows when a worker has to prove what it runs, and how its answer becomes a claim in the ledger.
//
// It hears two streams. Requests are challenges that the ledger took, each with its place. Answers are what workers
// send, signed by the key that signs their metered events. What is cheap to check comes first: form, network,
// signature, challenge, the worker's pace. Then a bounded number of answers at a time is appraised. The appraisal, and
// the claim that follows from it, are pure functions (adapters/attestation, Decide); this is the loop around them.
//
// A challenge counts once: when its claim is in intake it is used up, and the ledger itself takes one result for it. If
// we crash before that, the answer comes again. If we crash after it, the answer comes again as well, and the ledger
// rejects the second claim. What is kept in memory (which challenges are open, how often a worker answered) is made
// again from the request stream, or the worker is asked once more. So several verifiers may share the answers, and each
// reads all requests.
package verifier

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/signing"
	"github.com/filature/filature/domain/stream"
	v1 "github.com/filature/filature/schemas/filature/v1"
	"github.com/filature/filature/workers/courier"
)

const (
	// maxAnswerBytes is the longest message that is decoded: an answer at its schema's limit, and its signature.
	maxAnswerBytes = 256<<10 + 128
	// maxMissing is how many files one appraisal may ask for. TDX needs six.
	maxMissing = 16
	// cachedKeys is how many workers' keys are kept in the form that makes the next check faster: 1.5 KiB each.
	cachedKeys = 4096
)

// Appraiser says what evidence proves. It is a function of its arguments, its policy and its collateral: it opens no
// connection, never panics, and returns a result whatever the evidence is. Safe for many goroutines.
type Appraiser interface {
	Appraise(challenge domain.Challenge, evidence *v1.Evidence, now time.Time) *v1.AttestationResult
}

// Fetcher brings a file of collateral that an appraiser lacks or can't use; when it returns nil, the appraiser has it. An error
// means that it may be asked again later. Safe for many goroutines.
type Fetcher interface {
	Fetch(ctx context.Context, name string) error
}

// Directory knows the workers of the network as the ledger has them, perhaps a moment late.
type Directory interface {
	// Key returns the key that signs a worker's events, or false if there is no such worker, or it is retired.
	Key(ctx context.Context, worker domain.WorkerID) (key domain.KeyID, found bool, err error)
}

// Archive keeps evidence with its result, by the evidence's digest, so that an audit can appraise it again. When Keep
// returns nil both are durable. Keeping the same twice is as good as once.
type Archive interface {
	Keep(ctx context.Context, evidence []byte, result *v1.AttestationResult) error
}

// Reporter makes claims; workers/reporter is one. When Report returns nil they are durable in intake.
type Reporter interface {
	Report(ctx context.Context, shard domain.Shard, claims ...*v1.Claim) (domain.Offset, error)
}

// Config says what a verifier works with. All is needed.
type Config struct {
	Network   domain.NetworkID
	Appraiser Appraiser
	Fetcher   Fetcher
	Directory Directory
	Archive   Archive
	Reporter  Reporter
	Now       func() time.Time
	// Concurrency is how many answers are appraised at a time: one a core is enough, since an appraisal waits for nothing.
	Concurrency int
}

// Errors that have an answer looked at again, by whoever delivers messages.
var (
	// ErrNotYet: the challenge of an answer is not known. The request may be on its way to us.
	ErrNotYet = errors.New("the challenge is not known yet")
	// ErrCantTell: the verifier lacks collateral, or has another fault.
	ErrCantTell = errors.New("the verifier can't tell")
)

// Verifier handles requests and answers. Safe for many goroutines.
type Verifier struct {
	cfg        Config
	signatures *signing.Verifier
	challenges book
	pace       pace
	slots      chan struct{}
}

// New returns a verifier that knows of no challenge yet. It panics if it may appraise nothing at a time.
func New(cfg Config) *Verifier {
	if cfg.Concurrency < 1 {
		panic(fmt.Sprintf("verifier: %d appraisals at a time", cfg.Concurrency))
	}
	return &Verifier{cfg: cfg, signatures: signing.NewVerifier(cachedKeys), slots: make(chan struct{}, cfg.Concurrency)}
}

// HandleRequest notes a challenge. Messages are encoded [v1.AttestationRequest]s, in any order and as often as they come.
func (v *Verifier) HandleRequest(_ context.Context, m *message.Message) error {
	request := new(v1.AttestationRequest)
	if err := v1.Decode(m.Payload, request); err != nil {
		return fmt.Errorf("attestation request: %w: %w", courier.ErrRefused, err)
	}
	v.challenges.issue(domain.WorkerID(request.Worker), open{
		nonce: domain.Digest(request.Challenge), at: stream.PositionOf(request.Position), expiresMs: request.ExpiresAtMs,
	}, v.cfg.Now().UnixMilli())
	return nil
}

// HandleAnswer appraises an answer and claims what came of it. Messages are encoded [v1.SignedAnswer]s. An error that is
// no courier.ErrRefused may go away: the same message is to be handled again for a while.
func (v *Verifier) HandleAnswer(ctx context.Context, m *message.Message) (err error) {
	answer, challenge, err := v.screen(ctx, m.Payload)
	if errors.Is(err, errAnswered) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() {
		if err != nil { // the message comes again, and that is not the worker's doing
			v.pace.giveBack(challenge.Worker)
		}
	}()
	result, err := v.appraise(ctx, challenge, answer.Evidence)
	if err != nil {
		return fmt.Errorf("answer of worker %s: %w", challenge.Worker, err)
	}
	claim, decided := Decide(result)
	if !decided {
		return v.learn(ctx, challenge, result)
	}
	evidence, err := v1.Encode(answer.Evidence)
	if err != nil {
		return fmt.Errorf("answer of worker %s: %w", challenge.Worker, err)
	}
	if err := v.cfg.Archive.Keep(ctx, evidence, result); err != nil {
		return fmt.Errorf("keep the evidence of worker %s: %w", challenge.Worker, err)
	}
	// The claim names the evidence by its digest, so the evidence is durable first.
	if _, err := v.cfg.Reporter.Report(ctx, domain.Control, claim); err != nil {
		return fmt.Errorf("claim the result of worker %s: %w", challenge.Worker, err)
	}
	v.challenges.answer(challenge.Worker, challenge.Nonce)
	return nil
}

// errAnswered says that a challenge was used up before.
var errAnswered = errors.New("answered already")

// refuse says why an answer is not looked at again.
func refuse(format string, args ...any) error {
	return fmt.Errorf("answer: "+format+": %w", append(args, courier.ErrRefused)...)
}

// screen makes the checks that cost microseconds, in the order of what they cost.
func (v *Verifier) screen(ctx context.Context, raw []byte) (*v1.AttestationAnswer, domain.Challenge, error) {
	var nothing domain.Challenge
	if len(raw) > maxAnswerBytes {
		return nil, nothing, refuse("has %d bytes, at most %d are read", len(raw), maxAnswerBytes)
	}
	signed, answer := new(v1.SignedAnswer), new(v1.AttestationAnswer)
	if err := v1.Decode(raw, signed); err != nil {
		return nil, nothing, refuse("%w", err)
	}
	if err := v1.Decode(signed.Answer, answer); err != nil {
		return nil, nothing, refuse("%w", err)
	}
	worker, nonce := domain.WorkerID(answer.Worker), domain.Digest(answer.Challenge)
	if domain.NetworkID(answer.Network) != v.cfg.Network {
		return nil, nothing, refuse("is for network %x", answer.Network)
	}
	key, found, err := v.cfg.Directory.Key(ctx, worker)
	switch {
	case err != nil:
		return nil, nothing, fmt.Errorf("look up worker %s: %w", worker, err)
	case !found:
		return nil, nothing, refuse("there is no worker %s", worker)
	case !v.signatures.VerifyAnswer(key, signed.Answer, signed.Signature):
		return nil, nothing, refuse("is not signed by worker %s", worker)
	}
	now := v.cfg.Now()
	challenge, known := v.challenges.find(worker)
	switch {
	case !known || challenge.nonce != nonce:
		return nil, nothing, fmt.Errorf("answer of worker %s to %s: %w", worker, nonce, ErrNotYet)
	case challenge.answered:
		return nil, nothing, errAnswered
	case challenge.expiresMs <= now.UnixMilli():
		return nil, nothing, refuse("of worker %s comes too late", worker)
	case !v.pace.allow(worker, now):
		return nil, nothing, refuse("of worker %s is one of more than %d in %s", worker, paceBurst, paceWindow)
	}
	return answer, domain.Challenge{
		Network: v.cfg.Network, Worker: worker, Key: key, Nonce: nonce, Epoch: uint64(challenge.at.Offset), ExpiresMs: challenge.expiresMs,
	}, nil
}

// appraise waits for its turn.
func (v *Verifier) appraise(ctx context.Context, challenge domain.Challenge, evidence *v1.Evidence) (*v1.AttestationResult, error) {
	select {
	case v.slots <- struct{}{}:
		defer func() { <-v.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return v.cfg.Appraiser.Appraise(challenge, evidence, v.cfg.Now()), nil
}

// learn brings what the appraisal lacked, or had in a form that is no good, and has the answer looked at again.
func (v *Verifier) learn(ctx context.Context, challenge domain.Challenge, result *v1.AttestationResult) error {
	err := ErrCantTell
	missing := 0
	for _, use := range result.Collateral {
		if len(use.Digest) != 0 && !use.Unusable {
			continue
		}
		if missing++; missing > maxMissing {
			break
		}
		if failed := v.cfg.Fetcher.Fetch(ctx, use.Name); failed != nil {
			err = fmt.Errorf("%w: %w", err, failed)
		}
	}
	if missing == 0 {
		for _, check := range result.Checks {
			if check.Outcome == v1.CheckOutcome_CHECK_OUTCOME_FAULT {
				err = fmt.Errorf("%w: %s: %s", err, check.Name, check.Says)
			}
		}
	}
	return fmt.Errorf("answer of worker %s: %w", challenge.Worker, err)
}
