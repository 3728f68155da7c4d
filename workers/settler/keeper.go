package settler

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/settlement"
	"github.com/filature/filature/projections"
)

const (
	// claimPatience is how long a claim may take to be seen before it is sent again: a slow minute on the
	// chain, and the watcher's pace.
	claimPatience = time.Minute
	// maxAsked is how many claims may be on their way, so that a keeper is no further ahead of the watcher than
	// one look at the books can tell.
	maxAsked = 4096
)

// keeper claims for payees under the active root. All that it knows it read from the books, when the root became
// active or when it began; and to claim twice pays once. A claim has succeeded when the books have the payment,
// which the watcher took from the vault's own final transactions: that the wallet sent it says nothing.
type keeper struct {
	cfg    *Config
	number uint32 // of the batch that the rest is of
	tree   settlement.Tree
	unpaid map[domain.ProviderID]settlement.Unpaid
	claims int64                           // that the budget paid for, under this root
	asked  map[domain.ProviderID]time.Time // claimed for, and not in the books yet
	due    []domain.ProviderID             // still to be claimed for, in order
}

// claim claims for some of those who are due, and tells whether there are more.
func (k *keeper) claim(ctx context.Context, seen settlement.Seen) (bool, error) {
	if k.cfg.Claims == nil {
		return false, nil
	}
	if k.number != seen.Active.Epoch {
		if err := k.open(ctx); err != nil {
			return false, err
		}
		if k.number != seen.Active.Epoch {
			return true, nil // the books have moved on: look again
		}
	}
	if err := k.settleAsked(ctx); err != nil {
		return false, err
	}
	if len(k.due) == 0 {
		k.due = k.nowDue(seen.ClaimFee)
	}
	if len(k.due) == 0 || len(k.asked) >= maxAsked {
		return false, nil
	}
	sent, err := k.cfg.Chain.Claim(ctx, k.tree, k.due)
	if err != nil {
		k.due = nil // it is decided anew who is due
		return false, fmt.Errorf("claim for payees under batch %d: %w: %w", k.number, errChain, err)
	}
	now := k.cfg.Now()
	for _, payee := range k.due[:sent] {
		k.asked[payee] = now
	}
	k.claims += int64(sent)
	k.due = k.due[sent:]
	return len(k.due) > 0, nil
}

// open reads whom the root that became active gives more than they got.
func (k *keeper) open(ctx context.Context) error {
	active, err := ReadActive(ctx, k.cfg.Books)
	if err != nil {
		return fmt.Errorf("for whom to claim: %w", err)
	}
	k.number, k.tree, k.claims, k.due = active.Batch.Number, active.Tree, 0, nil
	k.unpaid, k.asked = map[domain.ProviderID]settlement.Unpaid{}, map[domain.ProviderID]time.Time{}
	for _, p := range active.Payouts {
		if p.LastPaid.AtMs >= active.Batch.Activated.AtMs {
			k.claims++ // by whomever: the books don't say
		}
		if owed := k.tree.Of(p.Payee) - p.Paid; owed > 0 {
			k.unpaid[p.Payee] = settlement.Unpaid{Payee: p.Payee, Owed: owed, LastPaidMs: p.LastPaid.AtMs}
		}
	}
	return nil
}

// settleAsked looks up what became of those who were claimed for. Who has the money is forgotten; who has not, after
// some patience, is due again like anybody else.
func (k *keeper) settleAsked(ctx context.Context) error {
	if len(k.asked) == 0 {
		return nil
	}
	rows := make([]projections.Row, 0, len(k.asked))
	for payee := range k.asked {
		rows = append(rows, &projections.Payout{Payee: payee})
	}
	if err := k.cfg.Books.Load(ctx, projections.Payouts.Table(), rows); err != nil {
		return fmt.Errorf("what became of claims: %w", err)
	}
	now := k.cfg.Now()
	for _, row := range rows {
		p, ok := row.(*projections.Payout)
		if !ok {
			panic(fmt.Sprintf("settler: a %T among payouts", row))
		}
		switch {
		case p.Paid >= k.tree.Of(p.Payee):
			delete(k.unpaid, p.Payee)
			delete(k.asked, p.Payee)
		case now.Sub(k.asked[p.Payee]) >= claimPatience:
			delete(k.asked, p.Payee)
		}
	}
	return nil
}

// nowDue is for whom to claim now, at what a claim costs now.
func (k *keeper) nowDue(fee domain.Nano) []domain.ProviderID {
	policy := *k.cfg.Claims
	policy.FeeNano = max(1, cmp.Or(policy.FeeNano, fee))
	waiting := make([]settlement.Unpaid, 0, len(k.unpaid))
	for payee, u := range k.unpaid {
		if _, is := k.asked[payee]; !is {
			waiting = append(waiting, u)
		}
	}
	return settlement.Due(waiting, k.claims, policy, k.cfg.Now().UnixMilli())
}
