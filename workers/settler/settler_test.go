package settler

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/settlement"
	"github.com/filature/filature/internal/rig"
	"github.com/filature/filature/projections"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

var errInjected = errors.New("injected fault")

// unreliable is a world's vault and intake behind a bad line: a call may be lost on its way, or its
// answer on the way back.
type unreliable struct {
	*rig.Vault
	world *rig.World
	lots  *rand.Rand
	badly int // in a hundred calls, how many go wrong
}

// call does something, or not, and tells the truth about it, or not.
func (u *unreliable) call(do func() error) error {
	if u.lots.IntN(100) >= u.badly {
		return do()
	}
	if u.lots.IntN(2) == 0 {
		return errInjected // lost
	}
	return errors.Join(do(), errInjected) // kept
}

func (u *unreliable) Look(ctx context.Context) (seen settlement.Seen, err error) {
	err = u.call(func() (err error) { seen, err = u.Vault.Look(ctx); return err })
	return seen, err
}

func (u *unreliable) Propose(ctx context.Context, root settlement.OnChain) error {
	return u.call(func() error { return u.Vault.Propose(ctx, root) })
}

func (u *unreliable) Activate(ctx context.Context) error {
	return u.call(func() error { return u.Vault.Activate(ctx) })
}

func (u *unreliable) Claim(ctx context.Context, tree settlement.Tree, payees []domain.ProviderID) (sent int, err error) {
	err = u.call(func() (err error) { sent, err = u.Vault.Claim(ctx, tree, payees); return err })
	return sent, err
}

func (u *unreliable) Report(_ context.Context, shard domain.Shard, claims ...*v1.Claim) (at domain.Offset, err error) {
	err = u.call(func() error { at = u.world.Say(u.world.Settler, shard, claims...); return nil })
	return at, err
}

type worldBooks struct {
	projections.Store
	world *rig.World
}

func (b worldBooks) Fresh(context.Context) error {
	b.world.Fold()
	return nil
}

func start(w *rig.World, u *unreliable, notice func(settlement.Decision, error)) *Settler {
	return New(Config{
		Chain: u, Books: worldBooks{w.Store, w}, Reporter: u, Claims: &settlement.ClaimPolicy{FeeNano: 1, BudgetNano: domain.Coin}, Now: w.Now, Notice: notice,
	})
}

// owed is what the ledger has promised and not seen paid, and what it has yet to promise.
func owed(t *testing.T, w *rig.World) (committed, payable, paid domain.Nano) {
	t.Helper()
	w.Fold()
	err := w.Store.View(t.Context(), func(view projections.View) error {
		for p, err := range projections.RowsOf(t.Context(), view, projections.Payables) {
			if err != nil {
				return err
			}
			payable += p.Owed
		}
		for p, err := range projections.RowsOf(t.Context(), view, projections.Payouts) {
			if err != nil {
				return err
			}
			committed += p.Committed
			paid += p.Paid
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return committed, payable, paid
}

// The vault of the rig refuses a used number, a foreign root and a second payment, so a settler that did
// anything twice with another meaning would show.
func TestASettlerThatDiesAnywhereOnABadLineStillPaysEverybodyOnce(t *testing.T) {
	for seed := range uint64(12) {
		w := rig.New(t, rig.Options{Seed: seed})
		lots := rand.New(rand.NewPCG(seed, 9))
		u := &unreliable{Vault: w.Vault, world: w, lots: lots, badly: 35}
		halted := func(d settlement.Decision, _ error) {
			if d.Step == settlement.StepHalt {
				t.Fatalf("seed %d: halted: %s", seed, d.Why)
			}
		}
		s := start(w, u, halted)
		for step := range 300 {
			if step == 250 {
				u.badly = 0 // the line is repaired; what is left must come to its end
				w.Work()
				w.Mature()
			}
			switch lots.IntN(8) {
			case 0:
				if step < 200 {
					w.Live(5)
				}
			case 1:
				w.Work()
			case 2:
				w.Watch()
			case 3:
				w.Pass(time.Duration(lots.Int64N(int64(90 * time.Second))))
				w.Tick()
			case 4:
				s = start(w, u, halted) // killed and started again
			case 5:
				if step < 200 && lots.IntN(6) == 0 {
					_ = w.Vault.Veto() // refused where nothing is pending
				}
			default:
				if _, err := s.turn(t.Context()); err != nil && !errors.Is(err, errInjected) && !errors.Is(err, errChain) {
					t.Fatalf("seed %d, step %d: %v", seed, step, err)
				}
			}
		}
		for range 40 { // to the end
			w.Work()
			w.Watch()
			w.Work()
			w.Mature()
			w.Work()
			if _, err := s.turn(t.Context()); err != nil && !errors.Is(err, errChain) {
				t.Fatalf("seed %d: %v", seed, err)
			}
			w.Pass(2 * time.Minute)
		}
		committed, payable, paid := owed(t, w)
		if committed == 0 || paid != committed || payable != 0 {
			t.Errorf("seed %d: committed %s, paid %s, still payable %s; want all paid", seed, committed, paid, payable)
		}
	}
}

func TestTwoSettlersDoNoHarm(t *testing.T) {
	w := rig.New(t, rig.Options{Seed: 5})
	u := &unreliable{Vault: w.Vault, world: w, lots: rand.New(rand.NewPCG(1, 1))}
	settlers := []*Settler{start(w, u, nil), start(w, u, nil)}
	for range 3 {
		w.Live(30)
		w.Work()
		w.Mature()
		for range 12 {
			for _, s := range settlers {
				if _, err := s.turn(t.Context()); err != nil && !errors.Is(err, errChain) {
					t.Fatal(err)
				}
			}
			w.Work()
			w.Watch()
			w.Work()
			w.Pass(time.Minute)
		}
	}
	committed, payable, paid := owed(t, w)
	if committed == 0 || paid != committed || payable != 0 {
		t.Errorf("committed %s, paid %s, still payable %s; want all paid", committed, paid, payable)
	}
}

func TestASettlerHaltsAndSendsNothingWhereTheVaultHoldsARootThatWasNeverSealed(t *testing.T) {
	w := rig.New(t, rig.Options{Seed: 7})
	if err := w.Vault.Propose(t.Context(), settlement.OnChain{Epoch: 1, Root: domain.Digest{1}, Total: 1}); err != nil {
		t.Fatal(err)
	}
	w.Live(20)
	w.Work()
	w.Mature()
	w.Work()
	var last settlement.Decision
	u := &unreliable{Vault: w.Vault, world: w, lots: rand.New(rand.NewPCG(1, 1))}
	s := start(w, u, func(d settlement.Decision, _ error) { last = d })
	before := w.Ends()[domain.Control]
	for range 5 {
		if _, err := s.turn(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.Work()
	}
	if last.Step != settlement.StepHalt {
		t.Errorf("decided %s (%s), want halt", last.Step, last.Why)
	}
	if after := w.Ends()[domain.Control]; after != before {
		t.Errorf("control grew from %d to %d: something was sealed", before, after)
	}

	// The guardian vetoes it, and that is all that has to be done.
	if err := w.Vault.Veto(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.turn(t.Context()); err != nil || last.Step != settlement.StepWait {
		t.Errorf("before the veto is booked it decides %s (%s), %v; want wait", last.Step, last.Why, err)
	}
	for range 20 {
		w.Watch()
		w.Work()
		if _, err := s.turn(t.Context()); err != nil && !errors.Is(err, errChain) {
			t.Fatal(err)
		}
		w.Work()
		w.Mature()
		w.Pass(2 * time.Minute)
	}
	committed, payable, paid := owed(t, w)
	if committed == 0 || paid != committed || payable != 0 || last.Step == settlement.StepHalt {
		t.Errorf("it ends with %s (%s), committed %s, paid %s, still payable %s; want all paid", last.Step, last.Why, committed, paid, payable)
	}
}

// A payee of a vetoed batch need not be in the next one: a treasurer may have taken the amount back.
func TestATreeLeavesOutWhatWasVetoed(t *testing.T) {
	a, b := domain.ProviderID{1}, domain.ProviderID{2}
	root, err := settlement.Root([]settlement.Leaf{{Payee: a, Cumulative: 30}})
	if err != nil {
		t.Fatal(err)
	}
	line := func(number uint32, payee domain.ProviderID, cumulative domain.Nano) projections.BatchLine {
		return projections.BatchLine{BatchLineKey: projections.BatchLineKey{Number: number, Payee: payee}, Cumulative: cumulative}
	}
	r := reading{
		batches: []projections.Batch{
			{Number: 1, State: projections.BatchActivated},
			{Number: 2, State: projections.BatchVetoed},
			{Number: 3, State: projections.BatchSealed, PayoutRoot: root},
		},
		lines: []projections.BatchLine{line(1, a, 10), line(2, a, 20), line(2, b, 5), line(3, a, 30)},
	}
	tree, err := r.tree(3)
	if err != nil || tree.Payees() != 1 {
		t.Errorf("tree of batch 3 is %v, %v; want payee a alone", tree, err)
	}
	r.lines = append(r.lines, line(3, b, 5))
	if _, err := r.tree(3); err == nil {
		t.Error("leaves that do not make the batch's root were taken")
	}
}
