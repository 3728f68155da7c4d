// Package settler knows how batches get to the chain and payouts to their payees. It decides with
// domain/settlement, from the books and from what it sees on chain, and does one thing at a time.
//
// It keeps nothing that can't be read again. Killed on any line it goes on: a batch is in the log
// before anything is sent, the vault takes each number once, and a payee can't be paid twice because
// the tree holds cumulative amounts.
package settler

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/settlement"
	"github.com/filature/filature/projections"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// Chain is the vault, as a settler uses it.
type Chain interface {
	// Look returns the vault as of the newest final block.
	Look(ctx context.Context) (settlement.Seen, error)
	// Propose, Activate and Claim send a message and return when it has landed, or can't land any
	// more; that is no promise that the vault did as told, so the caller looks again. They send the
	// same bytes until then. An error leaves all open; the caller looks again then, too.
	Propose(ctx context.Context, root settlement.OnChain) error
	Activate(ctx context.Context) error
	// Claim claims for the first of payees, at least one, what the tree gives them, and returns for how many: as
	// many as one message can carry.
	Claim(ctx context.Context, tree settlement.Tree, payees []domain.ProviderID) (int, error)
}

// Books is what the projections say.
type Books interface {
	// Fresh returns when the projections have taken in all that the ledger held when it was called.
	Fresh(ctx context.Context) error
	projections.Store
}

// Reporter gets claims into the intake of a shard, durably.
type Reporter interface {
	Report(ctx context.Context, shard domain.Shard, claims ...*v1.Claim) (domain.Offset, error)
}

// Config says what a settler works on and at what pace.
type Config struct {
	Chain    Chain
	Books    Books
	Reporter Reporter
	// Every is the least time between two batches, Poll the pause between two looks.
	Every, Poll time.Duration
	// Claims says for whom the settler claims, and so pays their fees. Nil: for nobody.
	Claims *settlement.ClaimPolicy
	Now    func() time.Time
	// Notice is told of each decision that differs from the last, and of the chain's troubles, which
	// the settler waits out. It may be nil.
	Notice func(settlement.Decision, error)
}

// Settler is the worker. Run owns it.
type Settler struct {
	cfg    Config
	last   settlement.Decision
	sealed time.Time
	tree   settlement.Tree // with the batch that was sealed last, if the books have it: see warm
	keeper keeper
}

// New returns a settler that has not looked yet.
func New(cfg Config) *Settler {
	s := &Settler{cfg: cfg}
	s.keeper.cfg = &s.cfg
	return s
}

// Run settles until the context ends, and then returns nil. It returns an error only if its claims
// can't be brought in or the books can't be read. Where the numbers can't be, it stays and sends
// nothing, and says so through Notice.
func (s *Settler) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		busy, err := s.turn(ctx)
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // it was told to stop
		case errors.Is(err, errChain):
			s.notice(s.last, err)
		case err != nil:
			return fmt.Errorf("settler: %w", err)
		}
		if busy {
			continue
		}
		select {
		case <-ctx.Done():
		case <-time.After(s.cfg.Poll):
		}
	}
	return nil
}

// errChain marks what the chain or the way to it did; it passes.
var errChain = errors.New("chain")

func (s *Settler) notice(d settlement.Decision, err error) {
	if s.cfg.Notice != nil && (err != nil || d != s.last) {
		s.cfg.Notice(d, err)
	}
	s.last = d
}

// turn does one thing, and tells whether there may be more to do at once.
func (s *Settler) turn(ctx context.Context) (busy bool, err error) {
	before, err := s.read(ctx)
	if err != nil {
		return false, err
	}
	seen, err := s.cfg.Chain.Look(ctx)
	if err != nil {
		return false, fmt.Errorf("%w: %w", errChain, err)
	}
	after, err := s.read(ctx)
	if err != nil {
		return false, err
	}
	// A deposit in between changes no decision, and with many of them it would never be quiet.
	after.ChainLT = before.ChainLT
	if before != after {
		return true, nil // something was booked in between: what was seen may be older or newer
	}
	decision := settlement.Next(after.books(), seen)
	s.notice(decision, nil)
	switch decision.Step {
	case settlement.StepHalt:
		return false, nil
	case settlement.StepPropose:
		err = s.cfg.Chain.Propose(ctx, *after.books().Open)
	case settlement.StepActivate:
		err = s.cfg.Chain.Activate(ctx)
	case settlement.StepSeal:
		if s.isTime(after) {
			if err := s.seal(ctx, after.Last); err != nil {
				return false, err
			}
		}
		return s.claim(ctx, after, seen)
	case settlement.StepWait:
		return s.claim(ctx, after, seen)
	}
	if err != nil {
		return false, fmt.Errorf("%s: %w: %w", decision.Step, errChain, err)
	}
	return true, nil
}

// isTime tells whether the last batch is old enough: by the log, which outlives us, and by our own clock,
// which knows of one that is not answered yet.
func (s *Settler) isTime(b standing) bool {
	now := s.cfg.Now()
	return now.Sub(time.UnixMilli(b.SealedMs)) >= s.cfg.Every && now.Sub(s.sealed) >= s.cfg.Every
}

// seal makes the batch after the last one and reports it. Nothing is sent before the ledger has it: the next turn
// finds it in the books, or, if the report was lost, makes it again. If the books have moved on, control refuses the
// number.
func (s *Settler) seal(ctx context.Context, last uint32) error {
	var b projections.Settlement
	if err := s.cfg.Books.View(ctx, func(view projections.View) (err error) {
		b, err = projections.ReadSettlement(ctx, view)
		return err
	}); err != nil {
		return fmt.Errorf("seal batch %d: %w", last+1, err)
	}
	batch, err := s.assemble(last+1, b)
	if errors.Is(err, settlement.ErrNothingOwed) {
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := s.cfg.Reporter.Report(ctx, domain.Control, &v1.Claim{Body: &v1.Claim_SealBatch{SealBatch: batch}}); err != nil {
		return fmt.Errorf("seal batch %d: %w", batch.Number, err)
	}
	s.sealed = s.cfg.Now()
	return nil
}

// assemble makes the batch after what the books have, and keeps its tree for the next one. It is what settlement.Seal makes, which
// builds the tree of all payees anew.
func (s *Settler) assemble(number uint32, b projections.Settlement) (*v1.SealBatch, error) {
	committed, err := s.warm(b)
	if err != nil {
		return nil, fmt.Errorf("seal batch %d: %w", number, err)
	}
	batch, tree, err := settlement.SealOn(committed, number, b.Cut, b.Owed, b.Policy)
	if err != nil {
		return nil, err
	}
	s.tree = tree
	return batch, nil
}

// warm is the tree of all that was committed. The kept one is that if its root is the last batch's, whoever sealed it, and that
// batch was not vetoed: two trees with one root are the same. Otherwise it is built.
func (s *Settler) warm(b projections.Settlement) (settlement.Tree, error) {
	last := b.Last
	if last.Number != 0 && last.State != projections.BatchVetoed && last.State != projections.BatchVoided && s.tree.Root() == last.PayoutRoot {
		return s.tree, nil
	}
	return settlement.CommittedTree(b.Owed)
}

// claim claims for payees while the vault pays from the root that the books know as active.
func (s *Settler) claim(ctx context.Context, b standing, seen settlement.Seen) (bool, error) {
	if seen.Paused || seen.Active.Epoch == 0 || seen.Active != b.books().Active || b.Paid == seen.Active.Total {
		return false, nil
	}
	return s.keeper.claim(ctx, seen)
}
