package settler

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/settlement"
	"github.com/filature/filature/internal/rig"
	"github.com/filature/filature/projections"
)

// deaf is a vault whose wallet says that it sent the claims, while nothing came of them.
type deaf struct {
	*rig.Vault
	listens bool
	asked   [][]domain.ProviderID
}

func (d *deaf) Claim(ctx context.Context, tree settlement.Tree, payees []domain.ProviderID) (int, error) {
	if d.listens {
		return d.Vault.Claim(ctx, tree, payees)
	}
	d.asked = append(d.asked, payees)
	return len(payees), nil
}

func keeping(w *rig.World, chain Chain, policy settlement.ClaimPolicy) *Settler {
	lots := rand.New(rand.NewPCG(1, 1))
	return New(Config{
		Chain: chain, Books: worldBooks{w.Store, w}, Reporter: &unreliable{Vault: w.Vault, world: w, lots: lots}, Claims: &policy, Now: w.Now,
	})
}

// batch brings a batch to where the vault pays from its root, and no further.
func batch(t *testing.T, w *rig.World) uint32 {
	t.Helper()
	w.Live(60)
	w.Work()
	w.Mature()
	w.Work()
	sealed := w.Seal()
	if sealed == nil {
		t.Fatal("nobody is owed anything")
	}
	if err := w.Vault.Propose(t.Context(), settlement.OnChainOf(sealed)); err != nil {
		t.Fatal(err)
	}
	w.Pass(w.VaultDelay)
	if err := w.Vault.Activate(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.Watch()
	w.Work()
	w.Fold()
	return sealed.Number
}

func turns(t *testing.T, s *Settler, count int) {
	t.Helper()
	for range count {
		if _, err := s.turn(t.Context()); err != nil && !errors.Is(err, errChain) {
			t.Fatal(err)
		}
	}
}

func TestAClaimCountsWhenThePaymentIsInTheBooksAndNotBefore(t *testing.T) {
	w := rig.New(t, rig.Options{Seed: 21})
	batch(t, w)
	d := &deaf{Vault: w.Vault}
	s := keeping(w, d, settlement.ClaimPolicy{FeeNano: 1, BudgetNano: domain.Coin})
	turns(t, s, 5)
	if len(d.asked) != 1 || len(d.asked[0]) == 0 {
		t.Fatalf("claimed %d times within its patience, want once: %v", len(d.asked), d.asked)
	}
	w.Pass(claimPatience)
	turns(t, s, 5)
	if len(d.asked) != 2 || len(d.asked[1]) != len(d.asked[0]) {
		t.Fatalf("after its patience it claimed %v, want for the same %d again", d.asked[1:], len(d.asked[0]))
	}
	d.listens = true
	w.Pass(claimPatience)
	for range 10 {
		turns(t, s, 2)
		w.Watch()
		w.Work()
	}
	if committed, _, paid := owed(t, w); paid != committed {
		t.Errorf("committed %s, paid %s", committed, paid)
	}
}

// Nor do restarts give it more to spend, once the books have what it spent before.
func TestAKeeperSpendsItsBudgetUnderARootAndGoesOnUnderTheNext(t *testing.T) {
	w := rig.New(t, rig.Options{Seed: 22})
	const each = 2
	policy := settlement.ClaimPolicy{FeeNano: 3, BudgetNano: 3*each + 2}
	paid := map[domain.ProviderID]int64{}
	for range 3 {
		number := batch(t, w)
		before := payments(t, w)
		for range 4 {
			turns(t, keeping(w, w.Vault, policy), 3)
			w.Watch()
			w.Work()
			w.Pass(claimPatience)
		}
		under := 0
		for payee, count := range payments(t, w) {
			under += int(count - before[payee])
			paid[payee] = count
		}
		if under != each {
			t.Errorf("%d payments under batch %d, its budget is for %d", under, number, each)
		}
	}
	if len(paid) < 3 {
		t.Errorf("only %d payees were ever paid, in 6 payments", len(paid))
	}
}

// payments is how often each payee was paid, by the books.
func payments(t *testing.T, w *rig.World) map[domain.ProviderID]int64 {
	t.Helper()
	w.Fold()
	counts := map[domain.ProviderID]int64{}
	if err := w.Store.View(t.Context(), func(view projections.View) error {
		for p, err := range projections.RowsOf(t.Context(), view, projections.Payouts) {
			if err != nil {
				return err
			}
			if p.Payments > 0 {
				counts[p.Payee] = p.Payments
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return counts
}

// While a batch is open its lines are in the rows of its payees already; the vault still pays from the one before.
func TestTheActiveTreeIsTheOneBeforeTheOpenBatch(t *testing.T) {
	w := rig.New(t, rig.Options{Seed: 23})
	number := batch(t, w)
	before, err := ReadActive(t.Context(), w.Store)
	if err != nil || before.Batch.Number != number {
		t.Fatalf("active is batch %d (%v), want %d", before.Batch.Number, err, number)
	}
	w.Live(60)
	w.Work()
	w.Mature()
	w.Work()
	if w.Seal() == nil {
		t.Fatal("nobody is owed anything")
	}
	w.Fold()
	after, err := ReadActive(t.Context(), w.Store)
	if err != nil || after.Tree.Root() != before.Tree.Root() {
		t.Fatalf("root of the active tree %s (%v), before another batch was sealed %s", after.Tree.Root(), err, before.Tree.Root())
	}
	// By the lines of all batches it is the same.
	if err := w.Store.View(t.Context(), func(view projections.View) error {
		tree, err := ReadTree(t.Context(), view, number)
		if err == nil && tree.Root() != before.Tree.Root() {
			t.Errorf("by its lines %s, by payouts %s", tree.Root(), before.Tree.Root())
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadActive(t.Context(), rig.New(t, rig.Options{Seed: 24}).Store); !errors.Is(err, projections.ErrNotFound) {
		t.Errorf("without a batch: %v", err)
	}
}
