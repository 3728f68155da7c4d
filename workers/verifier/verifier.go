// Package verifier knows when a worker has to prove what it runs, and how its answer becomes a claim in the ledger.
//
// Which challenges are open, each with its place, a [Book] reads out of control's ledger. Answers are what workers send,
// signed by the key that signs their metered events: a [Door] lets them in, and a [Verifier] handles them. What is cheap to
// check comes first, at both: form, network, signature, challenge, the worker's pace. Then a bounded number of answers at
// a time is appraised. The appraisal, and the claim that follows from it, are pure functions (adapters/attestation,
// Decide); this is the loop around them. [Audit] looks at all of it again, later, with what was archived.
//
// A challenge counts once: when its claim is in intake it is used up, and the ledger itself takes one result for it. If
// we crash before that, the answer comes again, or the worker is asked once more. If we crash after it, the answer may
// come again as well, and the ledger rejects the second claim. What is kept in memory (which challenges are open, how
// often a worker answered) is made again from the ledger. So several verifiers may share the answers.
package verifier

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/signing"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// maxMissing is how many files one appraisal may ask for. TDX needs six.
const maxMissing = 16

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
	Book      *Book
	Appraiser Appraiser
	Fetcher   Fetcher
	Directory Directory
	Archive   Archive
	Reporter  Reporter
	Now       func() time.Time
	// Concurrency is how many answers are appraised at a time: one a core is enough, since an appraisal waits for nothing.
	Concurrency int
	// Appraised is told of each result, for those who count. It must not wait.
	Appraised func(*v1.AttestationResult)
}

// admitBefore is how long before the end of a challenge a verifier that can't tell says so in the ledger: longer than the
// longest pause between two tries of a courier, so that one of them falls into it.
const admitBefore = 2 * time.Minute

// ErrCantTell: the verifier lacks collateral, or has another fault. The same answer is looked at again.
var ErrCantTell = errors.New("the verifier can't tell")

// Verifier handles answers. Safe for many goroutines.
type Verifier struct {
	cfg Config
	screen
	slots chan struct{}
}

// New returns a verifier. It panics if it may appraise nothing at a time.
func New(cfg Config) *Verifier {
	if cfg.Concurrency < 1 {
		panic(fmt.Sprintf("verifier: %d appraisals at a time", cfg.Concurrency))
	}
	return &Verifier{
		cfg: cfg, slots: make(chan struct{}, cfg.Concurrency),
		screen: screen{
			network: cfg.Network, directory: cfg.Directory, book: cfg.Book, now: cfg.Now, signatures: signing.NewVerifier(cachedKeys),
		},
	}
}

// HandleAnswer appraises an answer and claims what came of it. Messages are encoded [v1.SignedAnswer]s. An error that is
// no courier.ErrRefused may go away: the same message is to be handled again for a while.
func (v *Verifier) HandleAnswer(ctx context.Context, m *message.Message) (err error) {
	answer, challenge, err := v.look(ctx, m.Payload)
	if errors.Is(err, ErrAnswered) {
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
	v.cfg.Appraised(result)
	claim, decided := Decide(result)
	if !decided {
		err := v.learn(ctx, challenge, result)
		if challenge.ExpiresMs-v.cfg.Now().UnixMilli() > admitBefore.Milliseconds() {
			return err
		}
		claim = Admit(result)
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
	v.book.answer(challenge.Worker, challenge.Nonce)
	return nil
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
