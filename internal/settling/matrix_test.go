package settling

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/filature/filature/adapters/ton"
	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/settlement"
	"github.com/filature/filature/projections"
	"github.com/filature/filature/workers/reconciler"
)

// How long a wallet stays poor and a vault paused, in looks: long enough for a settler that goes on sending meanwhile to
// use up more externals than a cell may.
const (
	poorLooks   = 2 * externals
	pausedLooks = 60
)

// TestEveryStepComesThroughEveryFault ends each cell with everybody paid once and everything booked once, whatever went
// wrong on the way. A cell whose fault did not strike does not end.
func TestEveryStepComesThroughEveryFault(t *testing.T) {
	c := openChain(t)
	word := map[Cell]string{}
	for _, cell := range Cells() {
		word[cell] = "not played"
		if t.Run(cell.Name(), func(t *testing.T) { word[cell] = "FAILED"; play(t, c, cell.Step, cell.Fault) }) && word[cell] == "FAILED" {
			word[cell] = "ok"
		}
	}
	t.Log(Table(func(cell Cell) string { return word[cell] }))
}

// play brings a world through one cell.
func play(t *testing.T, c *chain, step, fault string) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	s := newStage(ctx, t, c, step, fault)
	s.line = &line{stage: s}
	config, end, err := c.Serve(s.line.answer)
	if err != nil {
		t.Fatal(err)
	}
	workers := 1
	if fault == "two at once" {
		workers = 2
	}
	clients := make([]*ton.Client, workers)
	for i := range clients {
		if clients[i], err = ton.Connect(ctx, ton.Config{GlobalConfigFile: config, Look: poll, Resend: 4 * poll}); err != nil {
			t.Fatal(err)
		}
	}
	defer func() {
		stop()
		s.works.Wait()
		for _, client := range clients {
			client.Close()
		}
		if err := end(); err != nil {
			t.Error(err)
		}
	}()
	account := domain.AccountID{}
	if step == "book deposit" {
		account = s.world.Accounts[0].ID
		before := s.newest()
		s.send(s.guardian, s.vault.DepositMessage(account, 7*domain.Coin))
		s.armWith(before)
	}
	if step == "book void" { // a thief was there first
		theirs, err := s.vault.ProposeMessage(ton.Root{Epoch: 1, Root: domain.Digest{66}, Total: 1})
		if err != nil {
			t.Fatal(err)
		}
		s.send(s.wallet, theirs)
		before := s.newest()
		s.send(s.guardian, s.vault.VetoMessage(1))
		s.armWith(before)
	}
	if step == "seal" && (fault == "stale node" || fault == "timeouts" || fault == "two at once") {
		s.arm()
	}
	for i, client := range clients {
		s.settle(client, i)
		if fault == "node went back" {
			client = c.plain // the watcher asks another one, and the books are ahead of what the settler sees
		}
		s.watch(client)
	}
	s.until("all is settled", s.advance())
	if fault == "two at once" { // who lost goes on, too
		looked := [2]int64{s.looks[0].Load(), s.looks[1].Load()}
		s.until("both settlers look again", func() bool { return s.looks[0].Load() > looked[0] && s.looks[1].Load() > looked[1] })
	}
	s.check(account)
}

// advance returns what moves the world and the chain on, and tells when everybody has been paid.
func (s *stage) advance() func() bool {
	vetoed, short, paused := false, false, 0
	unpaid := s.newest()
	return func() bool {
		before := s.newest()
		s.mu.Lock()
		s.world.Work()
		s.world.Fold()
		progress, err := projections.ReadProgress(s.ctx, s.world.Store)
		s.mu.Unlock()
		if err != nil {
			s.t.Fatal(err)
		}
		s.world.Pass(2 * time.Second)
		state, err := s.vault.State(s.ctx)
		if err != nil {
			s.t.Fatal(err)
		}
		if state.Pending != nil && !state.Paused {
			if s.step == "book veto" && !vetoed {
				vetoed = true
				s.send(s.guardian, s.vault.VetoMessage(state.Pending.Epoch))
				s.armWith(before)
			} else if wait := state.Pending.ActivateAt.Sub(state.At.Time); wait > 0 && !s.line.stale() {
				s.chain.Advance(wait + time.Second)
			}
		}
		if s.step == "book payout" && state.Paid > 0 {
			s.armWith(unpaid)
		} else {
			unpaid = before
		}
		if why := s.lastWhy.Load(); s.fault == "vault short" && !short && why != nil && strings.Contains(*why, "short by") {
			short = true
			s.bite()
			s.faucet(s.guardian, 2*rigDeposits)
			s.send(s.guardian, s.vault.TopUpMessage(rigDeposits))
		}
		if s.fault == "refused" && state.Paused && s.seqno() > s.line.usedBefore() {
			paused++
		}
		if paused == pausedLooks && state.Paused {
			s.send(s.guardian, s.vault.PauseMessage(false)) // it bounced; somebody lets the vault go on
		}
		if s.fault == "wallet poor" && s.bites.Load() >= poorLooks && s.balance(s.wallet.Address()) < domain.Coin {
			s.faucet(s.wallet, 100*domain.Coin)
		}
		return progress.Active != 0 && progress.Open == 0 && progress.Paid == progress.Committed && state.Paid == progress.Paid &&
			state.Active.Epoch == progress.Active && (s.step != "book deposit" || s.deposited() > 0) && s.armed.Load() &&
			(s.fault == "none" || s.bites.Load() > 0) && !s.line.stale()
	}
}

// deposited is how often the deposit was booked.
func (s *stage) deposited() (times int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.world.Store.View(s.ctx, func(view projections.View) error {
		for deposit, err := range projections.RowsOf(s.ctx, view, projections.Deposits) {
			if err != nil {
				return err
			}
			if deposit.Amount > 6*domain.Coin && deposit.Amount < 7*domain.Coin {
				times++
			}
		}
		return nil
	})
	if err != nil {
		s.t.Error(err)
	}
	return times
}

// check compares what everybody has with what everybody was owed.
func (s *stage) check(account domain.AccountID) {
	s.t.Helper()
	if why := s.halted.Load(); why != nil && s.step != "book void" {
		s.t.Errorf("it halted: %s", *why)
	}
	if used := s.seqno() - s.first; used > externals {
		s.t.Errorf("the treasury sent %d externals", used)
	}
	for _, late := range s.line.held {
		if err := s.chain.Send(late); err == nil {
			s.t.Error("an external of which the chain had proven that it expired, or that it landed, was taken")
		}
	}
	state, err := s.vault.State(s.ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	wantEpochs := uint32(1)
	if s.step == "book veto" || s.step == "book void" {
		wantEpochs = 2
	}
	if state.LastEpoch != wantEpochs {
		s.t.Errorf("the vault used up %d numbers, want %d", state.LastEpoch, wantEpochs)
	}
	s.reconcile()
	if times := s.deposited(); s.step == "book deposit" && times != 1 {
		s.t.Errorf("the deposit into %s was booked %d times", account, times)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	paid := 0
	err = s.world.Store.View(s.ctx, func(view projections.View) error {
		for p, err := range projections.RowsOf(s.ctx, view, projections.Payouts) {
			if err != nil {
				return err
			}
			if p.Paid != p.Committed || p.Payments != 1 {
				s.t.Errorf("payee %s was promised %s and paid %s in %d payments", p.Payee, p.Committed, p.Paid, p.Payments)
			}
			if has := s.balance(ton.PayeeAddress(p.Payee)); has != p.Committed {
				s.t.Errorf("payee %s has %s, want %s", p.Payee, has, p.Committed)
			}
			paid++
		}
		for p, err := range projections.RowsOf(s.ctx, view, projections.Payables) {
			if err != nil {
				return err
			}
			if p.Owed != 0 {
				s.t.Errorf("payee %s is still owed %s", p.Payee, p.Owed)
			}
		}
		for batch, err := range projections.RowsOf(s.ctx, view, projections.Batches) {
			if err != nil {
				return err
			}
			if batch.State == projections.BatchActivated && (settlement.OnChain{
				Epoch: batch.Number, Root: batch.PayoutRoot, Total: batch.Total, Commitment: batch.Commitment,
			}) != settlement.OnChain(state.Active) {
				s.t.Errorf("active in the vault is %+v, in the books batch %d", state.Active, batch.Number)
			}
		}
		return nil
	})
	if err != nil {
		s.t.Error(err)
	}
	if to := refunded(s.world.Seed); s.balance(ton.PayeeAddress(to)) != refund {
		s.t.Errorf("the client got %s back, want %s", s.balance(ton.PayeeAddress(to)), refund)
	}
	if paid == 0 {
		s.t.Error("nobody was owed anything: nothing is tested")
	}
}

// reconcile wants ledger and chain to agree, but for coins that a guardian gave.
func (s *stage) reconcile() {
	s.t.Helper()
	report, err := reconciler.New(reconciler.Config{
		Chain: vaults{s.vault}, History: ton.Movements{History: s.vault.History(0)}, Books: books{s.world.Store, s}, DataShards: s.world.DataShards,
	}).Round(s.ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	if report.Asked == 0 || report.Asked != report.Payees || report.Movements < int64(report.Payees) {
		s.t.Errorf("reconciled %+v", report)
	}
	for _, d := range report.Differences {
		if d.State != settlement.Noted {
			s.t.Errorf("at the end ledger and chain differ: %+v", d)
		}
	}
}

type vaults struct{ *ton.Vault }

func (v vaults) Snapshot(ctx context.Context) (reconciler.Snapshot, error) {
	return v.Vault.Snapshot(ctx)
}
