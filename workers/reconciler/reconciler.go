// Package reconciler knows whether the vault holds what the ledger says: it compares the two again and again, and names
// every difference with its age.
//
// It writes nothing. What it remembers it can read again: after a restart it reads the vault's history from where the books
// are, and ages begin anew where the chain does not tell them. Where it is told to, it reads from the vault's birth.
package reconciler

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/settlement"
	"github.com/filature/filature/projections"
)

const (
	// maxPending bounds what is remembered of movements that the ledger has not booked: far more than a watcher that was
	// away for a day leaves.
	maxPending = 1 << 20
	// readTries is how often the books are read for one round while they move on.
	readTries = 5
	// maxStrange is how many top-ups of strangers are named, the newest ones. All are summed up.
	maxStrange = 100
)

// errMoving: the books moved on each time that they were read. The next round finds them quieter.
var errMoving = errors.New("the books move on too fast")

// ErrTooMuch: so much is not booked that the rest was not looked at.
var ErrTooMuch = errors.New("more movements than can be remembered are not booked")

// Snapshot is the vault as of one final block.
type Snapshot interface {
	Seen() settlement.Seen
	Admin() string
	// Claimed is what a payee's claim account says that it got, as of the same block.
	Claimed(ctx context.Context, payee domain.ProviderID) (domain.Nano, error)
}

// Chain is where the vault is.
type Chain interface {
	Snapshot(ctx context.Context) (Snapshot, error)
}

// History is what came to the vault and left it, oldest first.
type History interface {
	// Next returns the movements of the next final transactions, and the logical time up to which everything was
	// returned. Nothing new is no movements and the same time again. After an error it may be called again.
	Next(ctx context.Context) (moved []settlement.Movement, upToLT uint64, err error)
}

// Books is what the projections say.
type Books interface {
	// Fresh returns when the projections have taken in all that the ledger held when it was called.
	Fresh(ctx context.Context) error
	projections.Store
}

// Config says what is compared.
type Config struct {
	Chain   Chain
	History History
	// SinceLT is where History begins. From above zero on it can't tell what was topped up before; that is taken to be
	// what the vault holds beyond the ledger's in the first round.
	SinceLT uint64
	Books   Books
	// DataShards hold the accounts.
	DataShards int
	// Payees is how many claim accounts are asked in one round; 0: all. The next round goes on with the next ones.
	Payees int
	Every  time.Duration // between two rounds
	// Notice is told what each round found, or why it found nothing. It may be nil.
	Notice func(*Report, error)
}

// Report is what one round found.
type Report struct {
	AtMs        int64                   `json:"at_ms"` // of the block
	LT          uint64                  `json:"lt"`    // of the vault's last transaction
	Ledger      []domain.Offset         `json:"ledger"`
	HasToHold   domain.Nano             `json:"has_to_hold_nano"`
	Holds       domain.Nano             `json:"holds_nano"` // less what the vault never pays out
	PaidLedger  domain.Nano             `json:"paid_ledger_nano"`
	PaidChain   domain.Nano             `json:"paid_chain_nano"`
	ToppedUp    domain.Nano             `json:"topped_up_nano"`
	SinceLT     uint64                  `json:"since_lt"`  // where the history that was read begins; 0: at the vault's birth
	Movements   int64                   `json:"movements"` // of the vault, since then
	Payees      int                     `json:"payees"`    // that the ledger knew when the turn of claim accounts began
	Asked       int                     `json:"asked"`     // of their claim accounts
	Differences []settlement.Difference `json:"differences"`
}

// Alarms is how many differences somebody has to look at.
func (r *Report) Alarms() (n int) {
	for _, d := range r.Differences {
		if d.State == settlement.Alarm {
			n++
		}
	}
	return n
}

// Reconciler is the worker. One goroutine owns it.
type Reconciler struct {
	cfg      Config
	readTo   uint64
	moved    int64
	ahead    []settlement.Movement // read, but later than the block that was looked at
	pending  []settlement.Movement // not booked as far as we know, oldest first
	toppedUp domain.Nano
	topUps   []settlement.Movement
	begun    bool                // a round came to its end
	payees   int                 // of the turn
	turn     []domain.ProviderID // whose claim accounts are still to be asked in this turn, 32 bytes each
	before   []settlement.Difference
}

// New returns a reconciler that has not looked yet.
func New(cfg Config) *Reconciler { return &Reconciler{cfg: cfg} }

// Run compares until the context ends, and then returns nil. It gets over whatever goes wrong, and tells Notice.
func (r *Reconciler) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		report, err := r.Round(ctx)
		if r.cfg.Notice != nil && ctx.Err() == nil {
			r.cfg.Notice(report, err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(r.cfg.Every):
		}
	}
	return nil
}

// Round compares once. After an error the next round begins where this one was.
func (r *Reconciler) Round(ctx context.Context) (*Report, error) {
	// The ledger first: whatever it has booked is on the chain that is looked at after it.
	if err := r.cfg.Books.Fresh(ctx); err != nil {
		return nil, fmt.Errorf("reconcile: wait for the books: %w", err)
	}
	asked, err := r.whoseTurn(ctx)
	if err != nil {
		return nil, fmt.Errorf("reconcile: %w", err)
	}
	ledger, at, err := r.read(ctx, asked)
	if err != nil {
		return nil, fmt.Errorf("reconcile: %w", err)
	}
	snapshot, err := r.cfg.Chain.Snapshot(ctx)
	if err != nil {
		return nil, fmt.Errorf("reconcile: %w", err)
	}
	chain := settlement.ChainSide{Seen: snapshot.Seen()}
	if err := r.follow(ctx, chain.LT); err != nil {
		return nil, fmt.Errorf("reconcile: %w", err)
	}
	if chain.Unbooked, err = r.unbooked(ctx, at); err != nil {
		return nil, fmt.Errorf("reconcile: %w", err)
	}
	if chain.Claimed, err = ask(ctx, snapshot, asked); err != nil {
		return nil, fmt.Errorf("reconcile: %w", err)
	}
	if !r.begun && r.cfg.SinceLT > 0 {
		surplus, err := settlement.Surplus(ledger, chain)
		if err != nil {
			return nil, fmt.Errorf("reconcile: %w", err)
		}
		r.toppedUp = max(r.toppedUp, surplus)
	}
	chain.ToppedUp = r.toppedUp
	for _, m := range r.topUps {
		if m.From != snapshot.Admin() {
			chain.Strange = append(chain.Strange, m)
		}
	}
	found, err := settlement.Reconcile(ledger, chain)
	if err != nil {
		return nil, fmt.Errorf("reconcile: %w", err)
	}
	found = append(found, r.notAsked(chain.Claimed)...)
	r.before = settlement.Judge(found, r.before, ledger.Books, chain.AtMs)
	r.turn, r.begun = r.turn[len(asked):], true
	return &Report{
		AtMs: chain.AtMs, LT: chain.LT, Ledger: at, HasToHold: ledger.Cash, Holds: chain.Free, PaidLedger: ledger.Paid, PaidChain: chain.Paid,
		ToppedUp: r.toppedUp, SinceLT: r.cfg.SinceLT, Movements: r.moved, Payees: r.payees, Asked: len(chain.Claimed), Differences: r.before,
	}, nil
}

// notAsked are the payees whose claim accounts differed when they were last asked, which was not in this round.
func (r *Reconciler) notAsked(claimed map[domain.ProviderID]domain.Nano) (still []settlement.Difference) {
	for _, d := range r.before {
		payee, err := domain.ParseID[domain.ProviderID](d.Subject)
		if _, asked := claimed[payee]; d.Kind == settlement.ClaimedDiffers && err == nil && !asked {
			still = append(still, d)
		}
	}
	return still
}

// whoseTurn is whose claim accounts are asked in this round. All payees are read when a turn of them begins; who comes after
// that is asked in the next turn.
func (r *Reconciler) whoseTurn(ctx context.Context) ([]domain.ProviderID, error) {
	if len(r.turn) == 0 {
		if err := r.cfg.Books.View(ctx, func(view projections.View) error {
			for row, err := range projections.RowsOf(ctx, view, projections.Payouts) {
				if err != nil {
					return err
				}
				r.turn = append(r.turn, row.Payee)
			}
			return nil
		}); err != nil {
			r.turn = nil
			return nil, fmt.Errorf("read the payees: %w", err)
		}
		r.payees = len(r.turn)
	}
	n := len(r.turn)
	if r.cfg.Payees > 0 {
		n = min(n, r.cfg.Payees)
	}
	return r.turn[:n], nil
}

// read reads the ledger's side, with what it paid to some, and its place in the log.
func (r *Reconciler) read(ctx context.Context, payees []domain.ProviderID) (side settlement.LedgerSide, at []domain.Offset, err error) {
	for range readTries {
		progress, at, err := r.progress(ctx)
		if err != nil {
			return side, nil, err
		}
		if side, err = r.side(ctx, progress, payees); err != nil {
			return side, nil, err
		}
		switch again, _, err := r.progress(ctx); {
		case err != nil:
			return side, nil, err
		case again == progress: // so nothing of what was read between the two has moved on either
			return side, at, nil
		}
	}
	return side, nil, errMoving
}

func (r *Reconciler) progress(ctx context.Context) (progress projections.SettlementProgress, at []domain.Offset, err error) {
	err = r.cfg.Books.View(ctx, func(view projections.View) error {
		checkpoint, err := view.Checkpoint(ctx, projections.TheProgress.Table())
		if err != nil {
			return err
		}
		at = checkpoint.Cut()
		for row, err := range projections.RowsOf(ctx, view, projections.TheProgress) {
			if err != nil {
				return err
			}
			progress = row
		}
		return nil
	})
	if err != nil {
		return progress, nil, fmt.Errorf("read the books: %w", err)
	}
	return progress, at, nil
}

func (r *Reconciler) side(ctx context.Context, progress projections.SettlementProgress, payees []domain.ProviderID) (side settlement.LedgerSide, err error) {
	side.Books = settlement.Books{LastNumber: progress.Last, LT: progress.ChainLT, Paid: progress.Paid}
	side.Cash = -progress.Cash
	if side.Active, err = r.batch(ctx, progress.Active); err != nil {
		return side, err
	}
	if progress.Open != 0 {
		open, err := r.batch(ctx, progress.Open)
		if err != nil {
			return side, err
		}
		side.Open = &open
	}
	payouts := make([]projections.Payout, len(payees))
	rows := make([]projections.Row, len(payees))
	for i, payee := range payees {
		payouts[i].Payee = payee
		rows[i] = &payouts[i]
	}
	if err := r.cfg.Books.Load(ctx, projections.Payouts.Table(), rows); err != nil {
		return side, fmt.Errorf("read payouts: %w", err)
	}
	side.Payouts = make(map[domain.ProviderID]domain.Nano, len(payees))
	for _, payout := range payouts {
		side.Payouts[payout.Payee] = payout.Paid
	}
	return side, nil
}

// batch is what a batch was sealed with, which never changes.
func (r *Reconciler) batch(ctx context.Context, number uint32) (settlement.OnChain, error) {
	if number == 0 {
		return settlement.OnChain{}, nil
	}
	b, err := projections.ReadBatch(ctx, r.cfg.Books, number)
	return settlement.OnChain{Epoch: b.Number, Root: b.PayoutRoot, Total: b.Total, Commitment: b.Commitment}, err
}

// follow reads the vault's history up to a logical time.
func (r *Reconciler) follow(ctx context.Context, lt uint64) error {
	for r.readTo < lt {
		moved, upTo, err := r.cfg.History.Next(ctx)
		if err != nil {
			return err
		}
		r.moved += int64(len(moved))
		r.ahead = append(r.ahead, moved...)
		if upTo == r.readTo {
			break
		}
		r.readTo = upTo
	}
	n := 0
	for ; n < len(r.ahead) && r.ahead[n].LT <= lt; n++ {
		m := r.ahead[n]
		if m.Kind != settlement.TopUpMoved {
			r.pending = append(r.pending, m)
			continue
		}
		var err error
		if r.toppedUp, err = r.toppedUp.Add(m.Amount); err != nil {
			return fmt.Errorf("top-ups: %w", err)
		}
		r.topUps = append(r.topUps, m)
		r.topUps = r.topUps[max(0, len(r.topUps)-maxStrange):]
	}
	r.ahead = slices.Delete(r.ahead, 0, n)
	if len(r.pending) > maxPending {
		return fmt.Errorf("%d movements: %w", len(r.pending), ErrTooMuch)
	}
	return nil
}

// unbooked are the movements that the ledger did not have at a place in its log. Those that it had are forgotten.
func (r *Reconciler) unbooked(ctx context.Context, at []domain.Offset) ([]settlement.Movement, error) {
	var deposits, payments []projections.Row
	for _, m := range r.pending {
		if m.Kind == settlement.DepositMoved {
			shard := domain.ShardOf(m.Account, r.cfg.DataShards)
			deposits = append(deposits, &projections.Deposit{DepositKey: projections.DepositKey{Shard: shard, LT: m.LT}})
		} else {
			payments = append(payments, &projections.Payment{PaymentKey: projections.PaymentKey{Payee: m.Payee, LT: m.LT}})
		}
	}
	if err := r.cfg.Books.Load(ctx, projections.Deposits.Table(), deposits); err != nil {
		return nil, fmt.Errorf("read deposits: %w", err)
	}
	if err := r.cfg.Books.Load(ctx, projections.Payments.Table(), payments); err != nil {
		return nil, fmt.Errorf("read payments: %w", err)
	}
	booked := map[uint64]domain.Nano{} // by logical time: each names one movement
	for _, row := range deposits {
		if d, is := row.(*projections.Deposit); is && d.Booked.AtMs != 0 && int(d.Shard) < len(at) && d.Booked.Offset < at[d.Shard] {
			booked[d.LT] = d.Amount
		}
	}
	for _, row := range payments {
		if p, is := row.(*projections.Payment); is && p.Seen.AtMs != 0 && len(at) > 0 && p.Seen.Offset < at[domain.Control] {
			booked[p.LT] = p.Amount
		}
	}
	r.pending = slices.DeleteFunc(r.pending, func(m settlement.Movement) bool {
		amount, is := booked[m.LT]
		return is && amount == m.Amount
	})
	return slices.Clone(r.pending), nil
}

// ask asks the claim accounts of some payees.
func ask(ctx context.Context, snapshot Snapshot, payees []domain.ProviderID) (map[domain.ProviderID]domain.Nano, error) {
	claimed := make(map[domain.ProviderID]domain.Nano, len(payees))
	for _, payee := range payees {
		amount, err := snapshot.Claimed(ctx, payee)
		if err != nil {
			return nil, err
		}
		claimed[payee] = amount
	}
	return claimed, nil
}
