package reconciler_test

import (
	"context"
	"errors"
	"iter"
	"slices"
	"testing"
	"time"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/settlement"
	"github.com/filature/filature/internal/rig"
	"github.com/filature/filature/projections"
	v1 "github.com/filature/filature/schemas/filature/v1"
	"github.com/filature/filature/workers/reconciler"
)

const admin = "EQadmin"

// vault is a world's vault as a reconciler looks at it, and lies where a test says so.
type vault struct {
	world   *rig.World
	history *rig.History
	extra   []settlement.Movement // told besides
	stolen  domain.Nano
	claims  map[domain.ProviderID]domain.Nano // what claim accounts say beyond the truth
	asked   int
	away    error
}

func (v *vault) Snapshot(ctx context.Context) (reconciler.Snapshot, error) {
	seen, err := v.world.Vault.Look(ctx)
	seen.Free -= v.stolen
	return snapshot{v, seen}, errors.Join(err, v.away)
}

type snapshot struct {
	vault *vault
	seen  settlement.Seen
}

func (s snapshot) Seen() settlement.Seen { return s.seen }
func (snapshot) Admin() string           { return admin }

func (s snapshot) Claimed(_ context.Context, payee domain.ProviderID) (domain.Nano, error) {
	s.vault.asked++
	return s.vault.world.Vault.Claimed(payee) + s.vault.claims[payee], nil
}

// Next implements reconciler.History.
func (v *vault) Next(ctx context.Context) (moved []settlement.Movement, upTo uint64, err error) {
	claims, upTo, err := v.history.Next(ctx)
	for _, claim := range claims {
		switch body := claim.Body.(type) {
		case *v1.Claim_ObserveDeposit:
			moved = append(moved, settlement.Movement{
				Kind: settlement.DepositMoved, LT: body.ObserveDeposit.Lt, AtMs: v.world.Now().UnixMilli(),
				Amount: domain.Nano(body.ObserveDeposit.AmountNano), Account: domain.AccountID(body.ObserveDeposit.Account),
			})
		case *v1.Claim_ObservePayout:
			moved = append(moved, settlement.Movement{
				Kind: settlement.PayoutMoved, LT: body.ObservePayout.Lt, AtMs: v.world.Now().UnixMilli(),
				Amount: domain.Nano(body.ObservePayout.AmountNano), Payee: domain.ProviderID(body.ObservePayout.Payee),
			})
		}
	}
	moved = append(moved, v.extra...)
	v.extra = nil
	return moved, upTo, err
}

type books struct {
	projections.Store
	world *rig.World
}

func (b books) Fresh(context.Context) error {
	b.world.Fold()
	return nil
}

// settled is a world in which a batch was paid and booked, and one that compares it.
func settled(t *testing.T, payees int) (*rig.World, *vault, *reconciler.Reconciler) {
	t.Helper()
	w := rig.New(t, rig.Options{Seed: 4, Honest: true})
	w.Live(40)
	w.Work()
	w.Mature()
	w.Work()
	if w.Settle() == nil {
		t.Fatal("nobody is owed anything")
	}
	v := &vault{world: w, history: w.Vault.History(), claims: map[domain.ProviderID]domain.Nano{}}
	return w, v, reconciler.New(reconciler.Config{
		Chain: v, History: v, Books: books{w.Store, w}, DataShards: w.DataShards, Payees: payees, Every: time.Minute,
	})
}

func round(t *testing.T, r *reconciler.Reconciler, want ...settlement.DifferenceKind) *reconciler.Report {
	t.Helper()
	report, err := r.Round(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var have []settlement.DifferenceKind
	for _, d := range report.Differences {
		have = append(have, d.Kind)
	}
	if !slices.Equal(have, want) {
		t.Fatalf("found %+v, want %v", report.Differences, want)
	}
	return report
}

func TestWhatIsBookedAgrees(t *testing.T) {
	_, v, r := settled(t, 0)
	report := round(t, r)
	if report.Payees == 0 || report.Asked != report.Payees || v.asked != report.Payees ||
		report.Movements < int64(report.Payees) || report.HasToHold != report.Holds {
		t.Errorf("it compared %+v", report)
	}
}

func TestWhatIsNotBookedIsNamedUntilItIs(t *testing.T) {
	w, _, r := settled(t, 0)
	round(t, r)
	w.Vault.Deposit(w.Accounts[0].ID, 7*domain.Coin)
	if report := round(t, r, settlement.DepositUnbooked); report.Differences[0].State != settlement.InFlight {
		t.Errorf("a deposit of this moment is %+v", report.Differences[0])
	}
	w.Pass(time.Hour)
	if report := round(t, r, settlement.DepositUnbooked); report.Alarms() != 1 {
		t.Errorf("a deposit that was not booked for an hour is %+v", report.Differences[0])
	}
	w.Watch()
	w.Work()
	round(t, r)
}

func TestADepositThatWasPassedOverIsNeverForgotten(t *testing.T) {
	w, _, r := settled(t, 0)
	w.Vault.Deposit(w.Accounts[0].ID, 7*domain.Coin)
	lost := w.Vault.History() // somebody's watcher skips it
	for {
		claims, _, err := lost.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(claims) == 0 {
			break
		}
	}
	w.Vault.Deposit(w.Accounts[0].ID, 2*domain.Coin)
	claims, _, err := lost.Next(t.Context())
	if err != nil || len(claims) != 1 {
		t.Fatalf("%d claims, %v", len(claims), err)
	}
	w.Say(w.Watcher, w.Accounts[0].Shard, claims...)
	w.Work()
	report := round(t, r, settlement.DepositUnbooked)
	if report.Differences[0].Chain != (7 * domain.Coin).String() {
		t.Errorf("what is missing is %+v", report.Differences[0])
	}
}

func TestMissingCoinsAreAnAlarmAtOnce(t *testing.T) {
	_, v, r := settled(t, 0)
	v.stolen = 1
	if report := round(t, r, settlement.VaultShort); report.Alarms() != 1 {
		t.Errorf("a coin that is gone is %+v", report.Differences[0])
	}
}

func TestAStrangersCoinsAreNamedAndTheNetworksAreNot(t *testing.T) {
	w, v, r := settled(t, 0)
	lt := uint64(1)
	for _, from := range []string{admin, "EQstranger"} {
		w.Vault.TopUp(domain.Coin)
		v.extra = append(v.extra, settlement.Movement{Kind: settlement.TopUpMoved, LT: lt, Amount: domain.Coin, From: from})
		lt++
	}
	report := round(t, r, settlement.ToppedUp)
	if d := report.Differences[0]; d.Subject != "EQstranger at 2" || d.State != settlement.Noted || report.ToppedUp != 2*domain.Coin {
		t.Errorf("found %+v, %s in all", d, report.ToppedUp)
	}
}

func TestClaimAccountsAreAskedInTurnAndWhatDifferedStays(t *testing.T) {
	_, v, r := settled(t, 1)
	first := round(t, r)
	if first.Asked != 1 || first.Payees < 2 {
		t.Fatalf("asked %d of %d", first.Asked, first.Payees)
	}
	wrong := v.world.Providers[0].ID
	v.claims[wrong] = 5
	found := 0
	for range 2 * first.Payees {
		report, err := r.Round(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(report.Differences) == 1 && report.Differences[0].Kind == settlement.ClaimedDiffers {
			found++
		} else if found > 0 {
			t.Fatalf("it was found and is forgotten: %+v", report)
		}
	}
	if found < first.Payees {
		t.Errorf("it was named in %d rounds", found)
	}
	delete(v.claims, wrong)
	for range first.Payees {
		if _, err := r.Round(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	round(t, r)
}

// It did not read what was topped up before it began. What the vault had then is right; what comes later without a movement
// is not.
func TestOneThatGoesOnTakesTheVaultAsItIsAndMissesNothingLater(t *testing.T) {
	w, v, _ := settled(t, 0)
	w.Vault.TopUp(3 * domain.Coin)
	r := reconciler.New(reconciler.Config{
		Chain: v, History: v, SinceLT: 1, Books: books{w.Store, w}, DataShards: w.DataShards,
	})
	if report := round(t, r); report.ToppedUp != 3*domain.Coin || report.SinceLT != 1 {
		t.Errorf("it compared %+v", report)
	}
	w.Vault.TopUp(domain.Coin) // no movement tells of it
	round(t, r, settlement.MoneyUnknown)
	v.stolen = 5 * domain.Coin
	if report := round(t, r, settlement.VaultShort); report.Alarms() != 1 {
		t.Errorf("found %+v", report)
	}
}

// counted counts how often all payees are read.
type counted struct {
	books
	scans *int
}

func (c counted) View(ctx context.Context, see func(projections.View) error) error {
	return c.books.View(ctx, func(view projections.View) error { return see(countedView{view, c.scans}) })
}

type countedView struct {
	projections.View
	scans *int
}

func (v countedView) Rows(ctx context.Context, table projections.Table) iter.Seq2[projections.Row, error] {
	if table.Name == projections.Payouts.Name {
		*v.scans++
	}
	return v.View.Rows(ctx, table)
}

func TestAllPayeesAreReadOncePerTurnAndNotInEachRound(t *testing.T) {
	w, v, _ := settled(t, 0)
	scans := 0
	r := reconciler.New(reconciler.Config{
		Chain: v, History: v, Books: counted{books{w.Store, w}, &scans}, DataShards: w.DataShards, Payees: 1,
	})
	payees := round(t, r).Payees
	for range 2*payees - 1 {
		round(t, r)
	}
	if payees < 2 || scans != 2 {
		t.Errorf("in %d rounds with %d payees all were read %d times, want twice", 2*payees, payees, scans)
	}
}

// moving are books in which a payout is booked whenever somebody has read payouts.
type moving struct {
	books
	moves *int
}

func (m moving) Load(ctx context.Context, table projections.Table, rows []projections.Row) error {
	err := m.books.Load(ctx, table, rows)
	if table.Name == projections.Payouts.Name && *m.moves > 0 {
		*m.moves--
		m.world.Vault.Deposit(m.world.Accounts[0].ID, domain.Coin)
		m.world.Watch()
		m.world.Work() //nolint:contextcheck // a world never waits
		m.world.Fold()
	}
	return err
}

func TestBooksThatMoveWhileTheyAreReadAreReadAgain(t *testing.T) {
	w, v, _ := settled(t, 0)
	moves := 3
	r := reconciler.New(reconciler.Config{Chain: v, History: v, Books: moving{books{w.Store, w}, &moves}, DataShards: w.DataShards})
	round(t, r)
	if moves != 0 {
		t.Errorf("%d moves are left", moves)
	}
	moves = 100
	if _, err := r.Round(t.Context()); err == nil {
		t.Error("books that never rest were compared")
	}
	moves = 0
	round(t, r)
}

func TestARoundThatFailsLosesNothing(t *testing.T) {
	w, v, r := settled(t, 0)
	w.Vault.Deposit(w.Accounts[0].ID, domain.Coin)
	v.away = errors.New("lite-server does not answer")
	if _, err := r.Round(t.Context()); !errors.Is(err, v.away) {
		t.Errorf("round: %v", err)
	}
	v.away = nil
	round(t, r, settlement.DepositUnbooked)
}
