package verifier

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

const (
	// ChallengeLife is how long a worker has for its answer: a report takes seconds, GPUs' a minute.
	ChallengeLife = 5 * time.Minute
	// renewBefore is how long before its end a result is renewed: two challenges may run out unanswered before a worker
	// that is only slow stops earning.
	renewBefore = 3 * ChallengeLife
	// maxChallenges is how many are issued at a time: one report's.
	maxChallenges = 1000
)

// Standing is until when a worker counts as attested; zero where it does not.
type Standing struct {
	Worker          domain.WorkerID
	AttestedUntilMs int64
}

// Roster lists the workers of the network that are not retired, as the ledger has them, perhaps a moment late.
type Roster interface {
	Standings(ctx context.Context) ([]Standing, error)
}

// Challenger has workers prove what they run, again and again. Run owns it. One is enough for a network: with two, a
// worker is asked twice, and the second challenge takes the place of the first.
type Challenger struct {
	Roster   Roster
	Reporter Reporter
	Now      func() time.Time
	Entropy  io.Reader // draws nonces: crypto/rand's
	// Every is how often the workers are looked at.
	Every time.Duration
	// Trouble is told of an error that the next look may get over.
	Trouble func(error)

	asked map[domain.WorkerID]time.Time
}

// Due returns whom to ask now, those first whose result ends first: whose result is not there or ends soon, and who was
// not asked while its last challenge may still be answered.
func Due(workers []Standing, asked map[domain.WorkerID]time.Time, now time.Time) []domain.WorkerID {
	soon := now.Add(renewBefore).UnixMilli()
	var due []Standing
	for _, w := range workers {
		if at, before := asked[w.Worker]; w.AttestedUntilMs <= soon && (!before || now.Sub(at) >= ChallengeLife) {
			due = append(due, w)
		}
	}
	slices.SortFunc(due, func(a, b Standing) int {
		return cmp.Or(cmp.Compare(a.AttestedUntilMs, b.AttestedUntilMs), bytes.Compare(a.Worker[:], b.Worker[:]))
	})
	due = due[:min(len(due), maxChallenges)]
	ids := make([]domain.WorkerID, len(due))
	for i, w := range due {
		ids[i] = w.Worker
	}
	return ids
}

// Run asks until the context ends, and then returns nil.
func (c *Challenger) Run(ctx context.Context) error {
	ticker := time.NewTicker(c.Every)
	defer ticker.Stop()
	for {
		if err := c.look(ctx); err != nil && ctx.Err() == nil {
			c.Trouble(err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// look asks whoever is due. If we crash here, some are asked again by the next challenger, which costs them one answer.
func (c *Challenger) look(ctx context.Context) error {
	workers, err := c.Roster.Standings(ctx)
	if err != nil {
		return fmt.Errorf("list the workers to challenge: %w", err)
	}
	now := c.Now()
	kept := make(map[domain.WorkerID]time.Time, len(workers)) // who is retired is forgotten
	for _, w := range workers {
		if at, before := c.asked[w.Worker]; before {
			kept[w.Worker] = at
		}
	}
	c.asked = kept
	due := Due(workers, c.asked, now)
	if len(due) == 0 {
		return nil
	}
	claims := make([]*v1.Claim, 0, len(due))
	for _, worker := range due {
		nonce := make([]byte, 32)
		if _, err := io.ReadFull(c.Entropy, nonce); err != nil {
			return fmt.Errorf("draw a challenge: %w", err)
		}
		claims = append(claims, &v1.Claim{Body: &v1.Claim_ChallengeAttestation{ChallengeAttestation: &v1.ChallengeAttestation{
			Worker: worker[:], Challenge: nonce, ExpiresAtMs: now.Add(ChallengeLife).UnixMilli(),
		}}})
	}
	if _, err := c.Reporter.Report(ctx, domain.Control, claims...); err != nil {
		return fmt.Errorf("challenge %d workers: %w", len(due), err)
	}
	for _, worker := range due {
		c.asked[worker] = now
	}
	return nil
}
