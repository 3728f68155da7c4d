package documents

import (
	"context"
	"fmt"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/projections"
	queryv1 "github.com/filature/filature/schemas/filature/query/v1"
)

// Invoice makes a client's invoice of a month. It is projections.ErrNotFound for a client that nobody had registered by
// then.
func Invoice(ctx context.Context, r projections.Reader, client domain.ClientID, month Month, options Options) (*queryv1.Invoice, error) {
	i, err := invoice(ctx, r, client, month, options)
	if err != nil {
		return nil, fmt.Errorf("invoice of %s for %s: %w", client, month, err)
	}
	return i, inFiat(i, i.Heading.Rate)
}

func invoice(ctx context.Context, r projections.Reader, client domain.ClientID, month Month, options Options) (*queryv1.Invoice, error) {
	who, err := r.Client(ctx, client)
	if err != nil {
		return nil, err
	}
	if who.Registered.AtMs >= month.ToMs {
		return nil, projections.ErrNotFound
	}
	b, err := read(ctx, r, projections.Holder{Client: client}, month)
	if err != nil {
		return nil, err
	}
	i := &queryv1.Invoice{Opening: clientFunds(b.opening), Closing: clientFunds(b.closing)}
	if i.Heading, err = heading(ctx, r, month.ToMs, options); err != nil {
		return nil, err
	}
	of(i.Heading, "IN", client, who.Name, month)
	for _, f := range b.flows {
		i.Flows = append(i.Flows, &queryv1.ClientFlow{What: f.what, Words: wordsOf(f.what), Postings: f.postings, Moved: clientFunds(f.moved)})
	}
	if err := addUsage(ctx, r, i, client, month); err != nil {
		return nil, err
	}
	charged := -b.in("client/available", closings...) - b.in("client/reserved", closings...)
	if int64(charged) != i.AllUsage.Charge.Nano {
		return nil, fmt.Errorf("jobs cost %s by day, %s by posting: %w", i.AllUsage.Charge.Coins, charged, ErrDoesNotAddUp)
	}
	i.Charged, i.Refunded = amount(charged), amount(b.in("client/available", "dispute_resolved", "pay_refused"))
	i.Net = amount(charged - domain.Nano(i.Refunded.Nano))
	return i, addDeposits(ctx, r, i, client, month, b.in("client/available", "account_funded"))
}

func clientFunds(by byKind) *queryv1.ClientFunds {
	f := &queryv1.ClientFunds{Available: amount(by["client/available"]), Reserved: amount(by["client/reserved"])}
	f.Total = sum(f.Available, f.Reserved)
	return f
}

func addUsage(ctx context.Context, r projections.Reader, i *queryv1.Invoice, client domain.ClientID, month Month) error {
	rows, err := r.ClientDaysOf(ctx, client, month.FromMs, month.ToMs)
	if err != nil {
		return err
	}
	names := map[domain.ModelID]string{}
	for m, err := range projections.RowsOf(ctx, r, projections.Models) {
		if err != nil {
			return err
		}
		names[m.Model] = m.Name
	}
	used := map[domain.RateCardID]bool{}
	i.AllUsage = &queryv1.InvoiceLine{Jobs: &queryv1.Ends{}, Tokens: &queryv1.Tokens{}, Charge: amount(0)}
	for _, row := range rows {
		used[row.RateCard] = true
		line := &queryv1.InvoiceLine{
			Day: day(row.DayMs), Model: text(row.Model), ModelName: names[row.Model], RateCard: text(row.RateCard),
			Jobs: ends(row.Closings), Tokens: tokens(row.Tokens), AdjustedTokens: row.AdjustedTokens, Charge: amount(row.Charge),
		}
		i.Usage = append(i.Usage, line)
		addWork(i.AllUsage.Jobs, i.AllUsage.Tokens, line.Jobs, line.Tokens)
		i.AllUsage.AdjustedTokens += line.AdjustedTokens
		i.AllUsage.Charge = sum(i.AllUsage.Charge, line.Charge)
	}
	for card, err := range projections.RowsOf(ctx, r, projections.RateCards) {
		if err != nil {
			return err
		}
		if !used[card.RateCard] {
			continue
		}
		perMillion, err := card.PricePerToken.Mul(1_000_000)
		if err != nil {
			return fmt.Errorf("price of rate card %s: %w", card.RateCard, err)
		}
		i.Prices = append(i.Prices, &queryv1.Price{
			RateCard: text(card.RateCard), Rule: card.Rule, PerMillion: amount(perMillion),
			PromptMultiplier: card.PromptMultiplier, CachedMultiplier: card.CachedMultiplier,
			CompletionMultiplier: card.CompletionMultiplier, ReasoningMultiplier: card.ReasoningMultiplier,
		})
	}
	return nil
}

func addDeposits(ctx context.Context, r projections.Reader, i *queryv1.Invoice, client domain.ClientID, month Month, posted domain.Nano) error {
	rows, err := r.DepositsIn(ctx, client, month.FromMs, month.ToMs)
	if err != nil {
		return err
	}
	var all domain.Nano
	for _, d := range rows {
		all += d.Amount
		i.Deposits = append(i.Deposits, &queryv1.InvoiceDeposit{
			Account: text(d.Account), Amount: amount(d.Amount), Tx: &queryv1.ChainTx{Hash: text(d.TxHash), Lt: d.LT}, Booked: moment(d.Booked),
		})
	}
	i.Deposited = amount(all)
	if all != posted {
		return fmt.Errorf("deposits come to %s, postings of deposits to %s: %w", all, posted, ErrDoesNotAddUp)
	}
	return nil
}
