package settlement

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/filature/filature/domain"
)

// InFlightMs is how long a difference may last that passes by itself: a block is final within seconds, and a watcher that
// is away for minutes is somebody's to look after.
const InFlightMs = 10 * 60 * 1000

// ErrBehind: the chain was looked at as it was before something that is booked. Look again, or ask another lite-server.
var ErrBehind = errors.New("the lite-server is behind what is booked")

// MovementKind is a way in which coins come to the vault or leave it.
type MovementKind string

// The kinds of movements.
const (
	DepositMoved MovementKind = "deposit" // for a client's account
	PayoutMoved  MovementKind = "payout"  // to a payee
	TopUpMoved   MovementKind = "top_up"  // for nobody in particular
)

// Movement is one that the vault logged, or took for nobody, in a final transaction.
type Movement struct {
	Kind    MovementKind
	LT      uint64 // names it: a transaction of the vault moves once
	TxHash  domain.Digest
	AtMs    int64 // of the block
	Amount  domain.Nano
	Account domain.AccountID  // of a deposit
	Payee   domain.ProviderID // of a payout
	From    string            // address of who sent a deposit or a top-up
}

// LedgerSide is what the ledger says of the vault at one place in the log.
type LedgerSide struct {
	Books

	Cash    domain.Nano                       // what the vault has to hold
	Payouts map[domain.ProviderID]domain.Nano // paid, by payee, of those in ChainSide.Claimed
}

// ChainSide is the vault as of one final block that is not older than the ledger's side.
type ChainSide struct {
	Seen

	// Claimed is what claim accounts say that their payees got, of those that were asked.
	Claimed map[domain.ProviderID]domain.Nano
	// Unbooked are deposits and payouts up to the block that the ledger's side does not have.
	Unbooked []Movement
	// ToppedUp is all that ever came in for nobody, and Strange the part of it that was not the admin's, newest last.
	ToppedUp domain.Nano
	Strange  []Movement
}

// DifferenceKind says what ledger and chain do not agree on.
type DifferenceKind string

// The kinds of differences.
const (
	VaultShort      DifferenceKind = "vault_short"      // the vault holds less than it has to
	MoneyUnknown    DifferenceKind = "money_unknown"    // it holds more than deposits, payouts and top-ups leave
	PaidDiffers     DifferenceKind = "paid"             // the vault's own count of what it paid
	ActiveDiffers   DifferenceKind = "active_root"      // the root that is paid from
	PendingDiffers  DifferenceKind = "pending_root"     // the root that waits
	NumberDiffers   DifferenceKind = "batch_number"     // a number was used up on chain alone
	ClaimedDiffers  DifferenceKind = "claimed"          // a payee's claim account
	DepositUnbooked DifferenceKind = "deposit_unbooked" // came in
	PayoutUnbooked  DifferenceKind = "payout_unbooked"  // went out
	ToppedUp        DifferenceKind = "topped_up"        // came in from somebody, for nobody
)

// DifferenceState says what to do about a difference.
type DifferenceState string

// The states of differences.
const (
	InFlight DifferenceState = "in_flight" // it passes, or it gets old
	Alarm    DifferenceState = "alarm"     // somebody has to look
	Noted    DifferenceState = "noted"     // nothing is wrong with it, and nothing is lost
)

// Difference is one thing on which ledger and chain do not agree.
type Difference struct {
	Kind    DifferenceKind  `json:"kind"`
	Subject string          `json:"subject"` // account, payee, batch or address; with the logical time where there may be many
	Ledger  string          `json:"ledger"`  // what the ledger says
	Chain   string          `json:"chain"`   // what the chain says
	SinceMs int64           `json:"since_ms"`
	AgeMs   int64           `json:"age_ms"`
	State   DifferenceState `json:"state"`
}

// Reconcile compares the two sides and names every difference, in the order of kinds and subjects. It knows nothing of
// what was found before: see Judge.
func Reconcile(l LedgerSide, c ChainSide) ([]Difference, error) {
	if c.LT < l.LT {
		return nil, fmt.Errorf("the vault at logical time %d, booked to %d: %w", c.LT, l.LT, ErrBehind)
	}
	has, paid, out, err := sides(l, c)
	if err != nil {
		return nil, err
	}
	var found []Difference
	add := func(kind DifferenceKind, subject string, ledger, chain fmt.Stringer, sinceMs int64) {
		found = append(found, Difference{Kind: kind, Subject: subject, Ledger: ledger.String(), Chain: chain.String(), SinceMs: sinceMs})
	}
	switch {
	case c.Free < has:
		add(VaultShort, "vault", has, c.Free, c.AtMs)
	case c.Free-has > c.ToppedUp:
		add(MoneyUnknown, "vault", has+c.ToppedUp, c.Free, c.AtMs)
	}
	if want := l.Paid + paid; c.Paid != want {
		add(PaidDiffers, "vault", want, c.Paid, c.AtMs)
	}
	found = append(found, roots(l.Books, c.Seen)...)
	for payee, claimed := range c.Claimed {
		if want := l.Payouts[payee] + out[payee]; claimed != want {
			add(ClaimedDiffers, payee.String(), want, claimed, c.AtMs)
		}
	}
	for _, m := range c.Unbooked {
		kind, subject := DepositUnbooked, m.Account.String()
		if m.Kind == PayoutMoved {
			kind, subject = PayoutUnbooked, m.Payee.String()
		}
		add(kind, fmt.Sprintf("%s at %d", subject, m.LT), domain.Nano(0), m.Amount, m.AtMs)
	}
	for _, m := range c.Strange {
		add(ToppedUp, fmt.Sprintf("%s at %d", m.From, m.LT), domain.Nano(0), m.Amount, m.AtMs)
	}
	slices.SortFunc(found, compareDifferences)
	return found, nil
}

// sides is what the vault has to hold, movements that are not booked included, and what these paid, in all and by payee.
func sides(l LedgerSide, c ChainSide) (has, paid domain.Nano, out map[domain.ProviderID]domain.Nano, err error) {
	in, out, err := c.unbooked()
	if err != nil {
		return 0, 0, nil, err
	}
	for _, amount := range out {
		paid += amount // no more than the total: checked in unbooked
	}
	if has, err = l.Cash.Add(in - paid); err != nil {
		return 0, 0, nil, fmt.Errorf("what the vault has to hold: %w", err)
	}
	return has, paid, out, nil
}

// Surplus is what the vault holds beyond what it has to, below zero where it is short. Top-ups explain it, less rent and fees.
func Surplus(l LedgerSide, c ChainSide) (domain.Nano, error) {
	has, _, _, err := sides(l, c)
	if err != nil {
		return 0, err
	}
	return c.Free.Sub(has)
}

func compareDifferences(a, b Difference) int {
	return cmp.Or(strings.Compare(string(a.Kind), string(b.Kind)), strings.Compare(a.Subject, b.Subject))
}

// unbooked sums up what came in, and what went out to each payee.
func (c ChainSide) unbooked() (in domain.Nano, out map[domain.ProviderID]domain.Nano, err error) {
	out = map[domain.ProviderID]domain.Nano{}
	var all domain.Nano
	for _, m := range c.Unbooked {
		if all, err = all.Add(m.Amount); err != nil {
			return 0, nil, fmt.Errorf("movements that are not booked: %w", err)
		}
		if m.Kind == PayoutMoved {
			out[m.Payee] += m.Amount
		} else {
			in += m.Amount
		}
	}
	return in, out, nil
}

// roots compares what the vault holds of batches.
func roots(books Books, seen Seen) (found []Difference) {
	add := func(kind DifferenceKind, epoch uint32, ledger, chain string) {
		found = append(found, Difference{Kind: kind, Subject: fmt.Sprintf("batch %d", epoch), Ledger: ledger, Chain: chain, SinceMs: seen.AtMs})
	}
	open := OnChain{}
	if books.Open != nil {
		open = *books.Open
	}
	if seen.Active != books.Active {
		add(ActiveDiffers, seen.Active.Epoch, books.Active.String(), seen.Active.String())
	}
	if seen.Pending != nil && *seen.Pending != open {
		add(PendingDiffers, seen.Pending.Epoch, open.String(), seen.Pending.String())
	}
	if seen.Pending == nil && seen.LastEpoch > books.LastNumber {
		add(NumberDiffers, seen.LastEpoch, fmt.Sprint(books.LastNumber), fmt.Sprint(seen.LastEpoch))
	}
	return found
}

// String names a root.
func (o OnChain) String() string {
	if o.Epoch == 0 {
		return "none"
	}
	return fmt.Sprintf("batch %d, root %s, %s in all", o.Epoch, o.Root, o.Total)
}

// urgent are differences that do not pass by themselves, whatever their age.
func urgent(d Difference, open *OnChain) bool {
	if d.Kind == ActiveDiffers { // the open batch's was activated, and that is not booked yet
		return open == nil || d.Chain != open.String()
	}
	return d.Kind == VaultShort || d.Kind == PaidDiffers || d.Kind == PendingDiffers
}

// Judge says of each difference how old it is and what to do about it, from what was found before and from the time of
// the block. One that was there before keeps the time since when it was.
func Judge(found, before []Difference, books Books, nowMs int64) []Difference {
	since := make(map[[2]string]int64, len(before))
	for _, d := range before {
		since[[2]string{string(d.Kind), d.Subject}] = d.SinceMs
	}
	judged := slices.Clone(found)
	for i := range judged {
		d := &judged[i]
		if first, was := since[[2]string{string(d.Kind), d.Subject}]; was {
			d.SinceMs = min(d.SinceMs, first)
		}
		d.AgeMs = max(0, nowMs-d.SinceMs)
		switch {
		case d.Kind == ToppedUp:
			d.State = Noted
		case urgent(*d, books.Open), d.AgeMs > InFlightMs:
			d.State = Alarm
		default:
			d.State = InFlight
		}
	}
	return judged
}
