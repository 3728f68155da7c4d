package documents

import (
	"context"
	"errors"
	"fmt"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/projections"
	queryv1 "github.com/filature/filature/schemas/filature/query/v1"
)

// Statement makes a provider's statement of a month. It is projections.ErrNotFound where nothing was ever posted to the
// provider.
func Statement(ctx context.Context, r projections.Reader, provider domain.ProviderID, month Month, options Options) (*queryv1.Statement, error) {
	s, err := statement(ctx, r, provider, month, options)
	if err != nil {
		return nil, fmt.Errorf("statement of %s for %s: %w", provider, month, err)
	}
	return s, inFiat(s, s.Heading.Rate)
}

func statement(ctx context.Context, r projections.Reader, provider domain.ProviderID, month Month, options Options) (*queryv1.Statement, error) {
	who, err := r.Provider(ctx, provider)
	if err != nil && !errors.Is(err, projections.ErrNotFound) { // an address that a client withdraws to is nobody's fleet
		return nil, err
	}
	isKnown := err == nil && who.Registered.AtMs < month.ToMs
	if !isKnown {
		who.Name = "" // it has none yet
	}
	b, err := read(ctx, r, projections.Holder{Provider: provider}, month)
	if err != nil {
		return nil, err
	}
	if !isKnown && b.isEmpty() {
		return nil, projections.ErrNotFound
	}
	s := &queryv1.Statement{Opening: providerFunds(b.opening), Closing: providerFunds(b.closing)}
	if s.Heading, err = heading(ctx, r, month.ToMs, options); err != nil {
		return nil, err
	}
	of(s.Heading, "ST", provider, who.Name, month)
	for _, f := range b.flows {
		s.Flows = append(s.Flows, &queryv1.ProviderFlow{What: f.what, Words: wordsOf(f.what), Postings: f.postings, Moved: providerFunds(f.moved)})
	}
	s.Holdback = &queryv1.HoldbackSums{
		Held:      amount(b.in("provider/held", "earnings_matured")),
		Released:  amount(-b.in("provider/held", "holdback_released")),
		Forfeited: amount(-b.in("provider/held", "holdback_forfeited")),
	}
	if err := addWorkers(ctx, r, s, provider, month); err != nil {
		return nil, err
	}
	if earned := b.in("provider/earned", closings...) + b.in("provider/held", closings...); int64(earned) != s.AllWorkers.Earned.Nano {
		return nil, fmt.Errorf("jobs earned %s by worker, %s by posting: %w", s.AllWorkers.Earned.Coins, earned, ErrDoesNotAddUp)
	}
	if err := addPayouts(ctx, r, s, provider, month); err != nil {
		return nil, err
	}
	if posted := -b.in("provider/committed", "payout_observed"); int64(posted) != s.Paid.Nano {
		return nil, fmt.Errorf("payments come to %s, postings of payments to %s: %w", s.Paid.Coins, posted, ErrDoesNotAddUp)
	}
	return s, nil
}

func providerFunds(by byKind) *queryv1.ProviderFunds {
	f := &queryv1.ProviderFunds{
		Earned: amount(by["provider/earned"]), Held: amount(by["provider/held"]),
		Payable: amount(by["provider/payable"]), Committed: amount(by["provider/committed"]),
	}
	f.Total = sum(f.Earned, f.Held, f.Payable, f.Committed)
	return f
}

func addWorkers(ctx context.Context, r projections.Reader, s *queryv1.Statement, provider domain.ProviderID, month Month) error {
	rows, err := r.WorkerDaysOf(ctx, provider, month.FromMs, month.ToMs)
	if err != nil {
		return err
	}
	all := workerLine(projections.WorkerDay{})
	for _, row := range rows {
		line := workerLine(row)
		s.Workers = append(s.Workers, line)
		addWork(all.Jobs, all.Tokens, line.Jobs, line.Tokens)
		all.AdjustedTokens += line.AdjustedTokens
		all.Gross, all.Fee, all.Earned = sum(all.Gross, line.Gross), sum(all.Fee, line.Fee), sum(all.Earned, line.Earned)
		all.Refunded, all.Slashed = sum(all.Refunded, line.Refunded), sum(all.Slashed, line.Slashed)
	}
	s.AllWorkers = all
	return nil
}

func workerLine(d projections.WorkerDay) *queryv1.WorkerLine {
	return &queryv1.WorkerLine{
		Worker: text(d.Worker), Jobs: ends(d.Closings), Tokens: tokens(d.Tokens), AdjustedTokens: d.AdjustedTokens,
		Gross: amount(d.Charge), Fee: amount(d.Commission), Earned: amount(d.WorkerPart),
		Refunded: amount(d.Refunded), Slashed: amount(d.Slashed),
	}
}

// addPayouts lists what was sealed and what was paid in the month. Of a batch it says what had happened by its end.
func addPayouts(ctx context.Context, r projections.Reader, s *queryv1.Statement, payee domain.ProviderID, month Month) error {
	lines, err := r.LinesTo(ctx, payee)
	if err != nil {
		return err
	}
	batches := map[uint32]projections.Batch{}
	for b, err := range projections.RowsOf(ctx, r, projections.Batches) {
		if err != nil {
			return err
		}
		batches[b.Number] = b
	}
	covering := make(map[domain.Nano]uint32, len(lines)) // by what the payee is owed when it is paid
	for _, line := range lines {
		b := batches[line.Number]
		if b.State != projections.BatchVetoed {
			covering[line.Cumulative] = line.Number
		}
		if b.Sealed.AtMs < month.FromMs || b.Sealed.AtMs >= month.ToMs {
			continue
		}
		sealed := &queryv1.StatementBatch{
			Number: b.Number, Amount: amount(line.Delta), Sealed: moment(b.Sealed), PayoutRoot: text(b.PayoutRoot), Commitment: text(b.Commitment),
		}
		if b.Vetoed.AtMs != 0 && b.Vetoed.AtMs < month.ToMs {
			sealed.Vetoed = moment(b.Vetoed)
		}
		s.Batches = append(s.Batches, sealed)
	}
	payments, err := r.PaymentsBefore(ctx, payee, month.ToMs)
	if err != nil {
		return err
	}
	var paid domain.Nano // since ever
	s.Paid = amount(0)
	for _, p := range payments {
		paid += p.Amount
		if p.Seen.AtMs >= month.FromMs {
			s.Paid = sum(s.Paid, amount(p.Amount))
			s.Payments = append(s.Payments, &queryv1.StatementPayment{
				Batch: covering[paid], Amount: amount(p.Amount), Tx: &queryv1.ChainTx{Hash: text(p.TxHash), Lt: p.LT}, Seen: moment(p.Seen),
			})
		}
	}
	return nil
}
