package auditor_test

import (
	"context"
	"errors"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/settlement"
	"github.com/filature/filature/internal/rig"
	v1 "github.com/filature/filature/schemas/filature/v1"
	"github.com/filature/filature/workers/auditor"
)

// earned is a world in which providers are owed something and no batch was made yet.
func earned(t *testing.T, seed uint64) *rig.World {
	t.Helper()
	w := rig.New(t, rig.Options{Seed: seed})
	w.Live(60)
	w.Work()
	w.Mature()
	w.Work()
	return w
}

// end is the place of the last entry of a shard.
func end(t *testing.T, w *rig.World, shard domain.Shard) *auditor.Place {
	t.Helper()
	return place(domain.Position{Shard: shard, Offset: w.Ends()[shard] - 1})
}

func TestABatchThatIsNotWhatTheLedgerOwedIsNamed(t *testing.T) {
	w := earned(t, 11)
	batch := w.NextBatch()
	// The settler's key holder gives one payee what is another's. The tree and the commitment are right,
	// so control can't tell.
	batch.Lines[0].DeltaNano--
	batch.Lines[0].CumulativeNano--
	batch.Lines[1].DeltaNano++
	batch.Lines[1].CumulativeNano++
	var leaves []settlement.Leaf
	for _, line := range batch.Lines {
		leaves = append(leaves, settlement.Leaf{Payee: domain.ProviderID(line.Payee), Cumulative: domain.Nano(line.CumulativeNano)})
	}
	root, err := settlement.Root(leaves)
	if err != nil {
		t.Fatal(err)
	}
	batch.PayoutRoot = root[:]
	commitment := settlement.CommitmentOf(batch, settlement.Policy{ThresholdNano: 1000, MaxPayees: 100})
	batch.Commitment = commitment[:]
	w.SealThis(batch)
	w.Fold()
	r := audit(t, config(w))
	names(t, r, auditor.Offence{
		Kind: auditor.ChangedBatch, Log: auditor.Ledger, At: end(t, w, domain.Control), Batch: 1, Field: "payout_root",
	})
	if len(r.Batches) != 1 || r.Batches[0].State != "sealed" || r.Batches[0].Root == r.Batches[0].LogRoot {
		t.Fatalf("the batch must be listed with both roots:\n%s", text(t, r))
	}
}

func TestABatchWithAnotherLogRootIsNamed(t *testing.T) {
	w := earned(t, 12)
	batch := w.NextBatch()
	batch.LogRoots[1] = make([]byte, 32)
	commitment := settlement.CommitmentOf(batch, settlement.Policy{ThresholdNano: 1000, MaxPayees: 100})
	batch.Commitment = commitment[:]
	w.SealThis(batch)
	w.Fold()
	names(t, audit(t, config(w)), auditor.Offence{
		Kind: auditor.ChangedBatch, Log: auditor.Ledger, At: end(t, w, domain.Control), Batch: 1, Field: "log_roots[1]",
	})
}

func TestABatchCutBeyondTheLedgerIsNamed(t *testing.T) {
	w := earned(t, 13)
	batch := w.NextBatch()
	batch.Cut[2] += 1000
	commitment := settlement.CommitmentOf(batch, settlement.Policy{ThresholdNano: 1000, MaxPayees: 100})
	batch.Commitment = commitment[:]
	w.SealThis(batch)
	w.Fold()
	names(t, audit(t, config(w)), auditor.Offence{
		Kind: auditor.ChangedBatch, Log: auditor.Ledger, At: end(t, w, domain.Control), Batch: 1,
	})
}

func TestARootThatTheVaultTookAndNobodySealedIsNamed(t *testing.T) {
	w := earned(t, 14)
	batch := w.Seal()
	sealedAt := end(t, w, domain.Control)
	other := settlement.OnChainOf(batch)
	other.Root[0] ^= 1
	if err := w.Vault.Propose(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	w.Watch() // the ledger rejects it
	w.Work()
	w.Fold()
	r := audit(t, config(w))
	names(t, r, auditor.Offence{
		Kind: auditor.BatchOnChain, Log: auditor.Ledger, At: sealedAt, Batch: 1, Field: "payout_root", Have: other.Root.String(),
	})
	names(t, r, auditor.Offence{Kind: auditor.UnbookedEvent, Log: auditor.OnChain, LT: uint64(len(w.Accounts)+1) * 1000})
	if r.Batches[0].Equal || r.Batches[0].ChainRoot != other.Root.String() {
		t.Fatalf("the batch's line must show both roots:\n%s", text(t, r))
	}
}

func TestARootThatTheVaultTookAndThenThrewAwayIsNamed(t *testing.T) {
	w := earned(t, 14)
	other := settlement.OnChainOf(w.Seal())
	sealedAt := end(t, w, domain.Control)
	other.Root[0] ^= 1
	if err := w.Vault.Propose(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	if err := w.Vault.Veto(); err != nil {
		t.Fatal(err)
	}
	w.Fold()
	names(t, audit(t, config(w)), auditor.Offence{
		Kind: auditor.BatchOnChain, Log: auditor.Ledger, At: sealedAt, Batch: 1, Field: "payout_root", Have: other.Root.String(),
	})
}

func TestAVaultThatContradictsItsHistoryIsNamed(t *testing.T) {
	for field, lie := range map[string]func(*settlement.Seen){
		"paid":   func(s *settlement.Seen) { s.Paid++ },
		"number": func(s *settlement.Seen) { s.Active = settlement.OnChain{} },
	} {
		w := lived(t, rig.Options{Seed: 28}, 20)
		chain := chainOf(t, w)
		lie(&chain.seen)
		cfg := config(w)
		cfg.Chain = chain
		r := audit(t, cfg)
		if len(r.Offences) != 1 || r.Offences[0].Kind != auditor.BatchOnChain || r.Offences[0].Field != field {
			t.Errorf("%s:\n%s", field, text(t, r))
		}
	}
}

func TestAHistoryThatTellsTwiceLeavesTheAuditIncomplete(t *testing.T) {
	w := lived(t, rig.Options{Seed: 29}, 20)
	for name, claim := range map[string]*v1.Claim{
		"an event twice": chainOf(t, w).claims[0],
		"no event":       {Body: &v1.Claim_Tick{Tick: &v1.Tick{}}},
	} {
		chain := chainOf(t, w)
		chain.claims = append(chain.claims, claim)
		cfg := config(w)
		cfg.Chain = chain
		if r := audit(t, cfg); r.Verdict != auditor.Incomplete {
			t.Errorf("%s:\n%s", name, text(t, r))
		}
	}
}

func TestABatchOfTheVaultThatTheLedgerDoesNotHaveIsNamed(t *testing.T) {
	w := earned(t, 30)
	if err := w.Vault.Propose(t.Context(), settlement.OnChain{Epoch: 1, Total: 5}); err != nil {
		t.Fatal(err)
	}
	w.Fold()
	names(t, audit(t, config(w)), auditor.Offence{Kind: auditor.BatchOnChain, Log: auditor.OnChain, Batch: 1})
}

func TestACommitmentOrTotalThatTheVaultTookAndNobodySealedIsNamed(t *testing.T) {
	for field, change := range map[string]func(*settlement.OnChain){
		"commitment": func(o *settlement.OnChain) { o.Commitment[0] ^= 1 },
		"total_nano": func(o *settlement.OnChain) { o.Total++ },
	} {
		for _, active := range []bool{false, true} {
			w := earned(t, 15)
			batch := w.Seal()
			sealedAt := end(t, w, domain.Control)
			other := settlement.OnChainOf(batch)
			change(&other)
			if err := w.Vault.Propose(t.Context(), other); err != nil {
				t.Fatal(err)
			}
			if active {
				w.Pass(w.VaultDelay)
				if err := w.Vault.Activate(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			w.Watch()
			w.Work()
			w.Fold()
			r := audit(t, config(w))
			names(t, r, auditor.Offence{Kind: auditor.BatchOnChain, Log: auditor.Ledger, At: sealedAt, Batch: 1, Field: field})
			if r.Batches[0].Equal {
				t.Error("the batch is shown as equal")
			}
		}
	}
}

func TestAVetoedBatchIsNoOffence(t *testing.T) {
	w := earned(t, 16)
	batch := w.Seal()
	if err := w.Vault.Propose(t.Context(), settlement.OnChainOf(batch)); err != nil {
		t.Fatal(err)
	}
	if err := w.Vault.Veto(); err != nil {
		t.Fatal(err)
	}
	w.Watch()
	w.Work()
	if w.Settle() == nil {
		t.Fatal("what was vetoed is owed again")
	}
	r := audit(t, config(w))
	if r.Verdict != auditor.Pass || r.Batches[0].State != "vetoed" || r.Batches[1].State != "activated" || !r.Batches[1].Equal {
		t.Fatalf("a vetoed batch and the next:\n%s", text(t, r))
	}
}

// Somebody with the treasury's key proposes roots of his own: one under a number that nobody sealed, one under a
// batch's number before the batch got there.
func TestAThiefsRootsThatWereVetoedAreNoOffence(t *testing.T) {
	w := earned(t, 16)
	rob := func(number uint32) {
		t.Helper()
		err := w.Vault.Propose(t.Context(), settlement.OnChain{Epoch: number, Root: domain.Digest{66}, Total: 1})
		if err = errors.Join(err, w.Vault.Veto()); err != nil {
			t.Fatal(err)
		}
	}
	rob(1)
	w.Watch()
	w.Work()
	w.Seal()
	rob(2)
	w.Watch()
	w.Work()
	if w.Settle() == nil {
		t.Fatal("what was vetoed is owed again")
	}
	r := audit(t, config(w))
	if r.Verdict != auditor.Pass || len(r.Batches) != 2 || r.Batches[0].State != "vetoed" || r.Batches[1].State != "activated" || r.Batches[1].Number != 3 {
		t.Fatalf("two vetoed roots and a batch:\n%s", text(t, r))
	}
}

func TestABatchThatIsOnItsWayIsNoOffence(t *testing.T) {
	w := earned(t, 17)
	batch := w.Seal()
	if r := audit(t, config(w)); r.Verdict != auditor.Pass || r.Batches[0].Equal || r.Batches[0].ChainRoot != "" {
		t.Fatalf("a batch before its proposal:\n%s", text(t, r))
	}
	if err := w.Vault.Propose(t.Context(), settlement.OnChainOf(batch)); err != nil {
		t.Fatal(err)
	}
	w.Fold()
	r := audit(t, config(w))
	if r.Verdict != auditor.Pass || !r.Batches[0].Equal || r.Batches[0].State != "sealed" {
		t.Fatalf("a batch whose proposal is not booked yet:\n%s", text(t, r))
	}
}

func TestWhatTheVaultDidSinceIsPendingAndNoOffence(t *testing.T) {
	w := lived(t, rig.Options{Seed: 18}, 60)
	w.Mature()
	w.Work()
	batch := w.Seal()
	if err := w.Vault.Propose(t.Context(), settlement.OnChainOf(batch)); err != nil {
		t.Fatal(err)
	}
	w.Pass(w.VaultDelay)
	if err := w.Vault.Activate(t.Context()); err != nil {
		t.Fatal(err)
	}
	before, _ := w.Vault.Look(t.Context())
	w.PayAll()
	w.Vault.Deposit(w.Accounts[0].ID, 7)
	after, _ := w.Vault.Look(t.Context())
	w.Fold()
	r := audit(t, config(w))
	if r.Verdict != auditor.Pass {
		t.Fatalf("events that nobody has booked yet:\n%s", text(t, r))
	}
	if v := r.Money.Vault; v.PendingInNano != 7 || v.PendingOutNano != after.Paid-before.Paid || v.SurplusNano != 0 {
		t.Fatalf("pending money is %+v, paid since %s", v, after.Paid-before.Paid)
	}
}

func TestAPayoutThatTheLedgerPassedOverIsNamed(t *testing.T) {
	w := lived(t, rig.Options{Seed: 19}, 60)
	chain := chainOf(t, w)
	// An earlier payout that the books do not have.
	for i, claim := range chain.claims {
		if payout := claim.GetObservePayout(); payout != nil {
			extra := proto.CloneOf(payout)
			extra.Lt--
			chain.claims = append(chain.claims[:i:i], append([]*v1.Claim{{Body: &v1.Claim_ObservePayout{ObservePayout: extra}}}, chain.claims[i:]...)...)
			chain.seen.Paid += domain.Nano(extra.AmountNano)
			cfg := config(w)
			cfg.Chain = chain
			names(t, audit(t, cfg), auditor.Offence{Kind: auditor.UnbookedEvent, Log: auditor.OnChain, LT: extra.Lt})
			return
		}
	}
	t.Fatal("nobody was paid")
}

func TestADepositThatTheLedgerRejectedIsNamed(t *testing.T) {
	w := rig.New(t, rig.Options{Seed: 20})
	account := w.Accounts[0]
	w.Vault.Deposit(account.ID, 1<<62)
	w.Vault.Deposit(account.ID, 1<<62) // no account can hold both
	w.Watch()
	w.Work()
	w.Fold()
	names(t, audit(t, config(w)), auditor.Offence{Kind: auditor.UnbookedEvent, Log: auditor.OnChain, LT: uint64(len(w.Accounts)+2) * 1000})
}

func TestAPayoutThatTheChainDoesNotKnowIsNamed(t *testing.T) {
	w := earned(t, 21)
	batch := w.Seal()
	if err := w.Vault.Propose(t.Context(), settlement.OnChainOf(batch)); err != nil {
		t.Fatal(err)
	}
	w.Pass(w.VaultDelay)
	if err := w.Vault.Activate(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.Watch()
	w.Say(w.Watcher, domain.Control, &v1.Claim{Body: &v1.Claim_ObservePayout{ObservePayout: &v1.ObservePayout{
		Payee: batch.Lines[0].Payee, AmountNano: 1, TxHash: make([]byte, 32), Lt: 1 << 40,
	}}})
	w.Work()
	w.Fold()
	r := audit(t, config(w))
	names(t, r, auditor.Offence{Kind: auditor.InventedEvent, Log: auditor.Ledger, At: end(t, w, domain.Control), LT: 1 << 40})
}

func TestAnEventBookedTwiceIsNamed(t *testing.T) {
	w := lived(t, rig.Options{Seed: 22}, 20)
	chain := chainOf(t, w)
	again := proto.CloneOf(chain.claims[0].GetObserveDeposit())
	shard := domain.ShardOf(domain.AccountID(again.Account), w.DataShards)
	again.Lt = 1 << 40 // the ledger takes no logical time twice
	w.Say(w.Watcher, shard, &v1.Claim{Body: &v1.Claim_ObserveDeposit{ObserveDeposit: again}})
	w.Work()
	w.Fold()
	r := audit(t, config(w))
	names(t, r, auditor.Offence{Kind: auditor.BookedTwice, Log: auditor.Ledger, At: end(t, w, shard), LT: 1 << 40})
	names(t, r, auditor.Offence{Kind: auditor.VaultShort, Log: auditor.OnChain})
}

func TestAnEventBookedOtherwiseThanItWasIsNamed(t *testing.T) {
	w := rig.New(t, rig.Options{Seed: 23})
	account := w.Accounts[0]
	w.Say(w.Watcher, account.Shard, &v1.Claim{Body: &v1.Claim_ObserveDeposit{ObserveDeposit: &v1.ObserveDeposit{
		Account: account.ID[:], AmountNano: 8, TxHash: make([]byte, 32), Lt: uint64(len(w.Accounts)+1) * 1000,
	}}})
	w.Vault.Deposit(account.ID, 7)
	w.Work()
	w.Fold()
	r := audit(t, config(w))
	names(t, r, auditor.Offence{
		Kind: auditor.ChangedEvent, Log: auditor.Ledger, At: end(t, w, account.Shard), Field: "observe_deposit.amount_nano", Have: "8", Want: "7",
	})
}

func TestAVaultThatHoldsLessThanItOwesIsNamed(t *testing.T) {
	w := lived(t, rig.Options{Seed: 24}, 20)
	w.Vault.TopUp(5)
	if r := audit(t, config(w)); r.Verdict != auditor.Pass || r.Money.Vault.SurplusNano != 5 {
		t.Fatalf("a vault with more than it owes:\n%s", text(t, r))
	}
	w.Vault.TopUp(-6)
	r := audit(t, config(w))
	names(t, r, auditor.Offence{Kind: auditor.VaultShort, Log: auditor.OnChain})
	if r.Money.Vault.SurplusNano != -1 {
		t.Fatalf("short by %s, want one nanoton", r.Money.Vault.SurplusNano)
	}
}

// TestAHistoryRewrittenByAllWhoHoldKeysDoesNotMatchTheChain has everybody conspire: the same network
// lives again, otherwise, with valid signatures and right answers throughout. Only the chain
// remembers.
func TestAHistoryRewrittenByAllWhoHoldKeysDoesNotMatchTheChain(t *testing.T) {
	was, told := rig.New(t, rig.Options{Seed: 25}), rig.New(t, rig.Options{Seed: 25})
	for i, w := range []*rig.World{was, told} {
		w.Live(60 + i)
		w.Work()
		w.Mature()
		w.Work()
		w.Settle()
	}
	if r := audit(t, config(told)); r.Verdict != auditor.Pass {
		t.Fatalf("with a chain of its own the new history is whole:\n%s", text(t, r))
	}
	cfg := config(told)
	cfg.Chain = was.Vault.History()
	r := audit(t, cfg)
	if r.Verdict != auditor.Fail || r.Batches[0].Equal {
		t.Fatalf("with the real chain it must not be:\n%s", text(t, r))
	}
	var found bool
	for _, o := range r.Offences {
		found = found || o.Kind == auditor.BatchOnChain && o.Batch == 1 && o.Log == auditor.Ledger
	}
	if !found {
		t.Fatalf("batch 1 must be named:\n%s", text(t, r))
	}
}

var errOut = errors.New("no answer")

// outOf is a chain that does not answer.
type outOf struct{ auditor.Chain }

func (outOf) Look(context.Context) (settlement.Seen, error) { return settlement.Seen{}, errOut }

func TestAChainThatDoesNotAnswerLeavesTheAuditIncomplete(t *testing.T) {
	w := lived(t, rig.Options{Seed: 26}, 20)
	cfg := config(w)
	cfg.Chain = outOf{w.Vault.History()}
	if r := audit(t, cfg); r.Verdict != auditor.Incomplete {
		t.Fatalf("without the chain's answer:\n%s", text(t, r))
	}
	cfg.Chain, cfg.Store = nil, nil
	r := audit(t, cfg)
	skipped := 0
	for _, step := range r.Steps {
		if step.State == auditor.StepSkipped && step.Why != "" {
			skipped++
		}
	}
	if r.Verdict != auditor.Incomplete || skipped != 3 {
		t.Fatalf("what was not given must be called skipped, and batches want a chain:\n%s", text(t, r))
	}
}

// busyVault does something whenever it is looked at.
type busyVault struct {
	*rig.History
	account domain.AccountID
	left    int
}

func (b *busyVault) Look(ctx context.Context) (settlement.Seen, error) {
	seen, err := b.History.Look(ctx)
	if b.left > 0 {
		b.left--
		b.Deposit(b.account, 1)
	}
	return seen, err
}

func TestTheVaultIsSeenAtOneMoment(t *testing.T) {
	w := lived(t, rig.Options{Seed: 27}, 20)
	cfg := config(w)
	cfg.Chain = &busyVault{w.Vault.History(), w.Accounts[0].ID, 3}
	r := audit(t, cfg)
	if r.Verdict != auditor.Pass || r.Money.Vault.PendingInNano != 3 || r.Money.Vault.SurplusNano != 0 {
		t.Fatalf("three deposits while the auditor looked:\n%s", text(t, r))
	}
	cfg.Chain = &busyVault{w.Vault.History(), w.Accounts[0].ID, 1000}
	if r := audit(t, cfg); r.Verdict != auditor.Incomplete {
		t.Fatalf("a vault that never holds still:\n%s", text(t, r))
	}
}
