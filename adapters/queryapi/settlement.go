package queryapi

import (
	"context"
	"fmt"
	"math"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/projections"
	queryv1 "github.com/filature/filature/schemas/filature/query/v1"
)

// ListBatches implements queryv1.SettlementServiceHandler.
func (s *server) ListBatches(ctx context.Context, asked *queryv1.ListBatchesRequest) (*queryv1.ListBatchesResponse, error) {
	at, batches, next, err := list(ctx, s, asked, listing[projections.Batch, *queryv1.Batch]{
		mark:  'b',
		place: func(b *projections.Batch) []any { return []any{&b.Number} },
		first: projections.Batch{Number: math.MaxUint32},
		rows: func(ctx context.Context, r projections.Reader, below projections.Batch, limit int) ([]projections.Batch, error) {
			return r.BatchesBelow(ctx, below.Number, limit)
		},
		message: batch,
	})
	return &queryv1.ListBatchesResponse{Position: at, Batches: batches, NextCursor: next}, err
}

// GetBatch implements queryv1.SettlementServiceHandler.
func (s *server) GetBatch(ctx context.Context, asked *queryv1.GetBatchRequest) (*queryv1.GetBatchResponse, error) {
	return answer(ctx, s, asked.Reading, func(r projections.Reader, at *queryv1.Position) (*queryv1.GetBatchResponse, error) {
		found, err := r.Batch(ctx, asked.Number)
		if err != nil {
			return nil, fmt.Errorf("batch %d: %w", asked.Number, err)
		}
		return &queryv1.GetBatchResponse{Position: at, Batch: batch(found.Batch), Cut: each(found.Cuts, func(c projections.BatchCut) *queryv1.BatchCut {
			return &queryv1.BatchCut{Shard: uint32(c.Shard), LedgerOffset: int64(c.Ledger), LogRoot: text(c.LogRoot)}
		})}, nil
	})
}

// ListBatchLines implements queryv1.SettlementServiceHandler.
func (s *server) ListBatchLines(ctx context.Context, asked *queryv1.ListBatchLinesRequest) (*queryv1.ListBatchLinesResponse, error) {
	at, lines, next, err := list(ctx, s, asked, listing[projections.BatchLine, *queryv1.BatchLine]{
		mark:  'l',
		place: func(l *projections.BatchLine) []any { return []any{&l.Payee} },
		rows: func(ctx context.Context, r projections.Reader, after projections.BatchLine, limit int) ([]projections.BatchLine, error) {
			if _, err := r.Batch(ctx, asked.Number); err != nil {
				return nil, fmt.Errorf("batch %d: %w", asked.Number, err)
			}
			return r.LinesOf(ctx, asked.Number, after.Payee, limit)
		},
		message: func(l projections.BatchLine) *queryv1.BatchLine {
			return &queryv1.BatchLine{Payee: text(l.Payee), CumulativeNano: int64(l.Cumulative), DeltaNano: int64(l.Delta)}
		},
	})
	return &queryv1.ListBatchLinesResponse{Position: at, Lines: lines, NextCursor: next}, err
}

// GetPayout implements queryv1.SettlementServiceHandler.
func (s *server) GetPayout(ctx context.Context, asked *queryv1.GetPayoutRequest) (*queryv1.GetPayoutResponse, error) {
	payee, err := idOf[domain.ProviderID]("payee", asked.Payee)
	if err != nil {
		return nil, err
	}
	if err := may(ctx, payee, domain.ClientID{}); err != nil {
		return nil, err
	}
	return answer(ctx, s, asked.Reading, func(r projections.Reader, at *queryv1.Position) (*queryv1.GetPayoutResponse, error) {
		p, err := r.Payout(ctx, payee)
		if err != nil {
			return nil, fmt.Errorf("payout of %s: %w", payee, err)
		}
		return &queryv1.GetPayoutResponse{Position: at, Payout: &queryv1.Payout{
			Payee: text(p.Payee), CommittedNano: int64(p.Committed), PaidNano: int64(p.Paid), Payments: p.Payments,
			LastBatch: p.LastBatch, LastTx: chainTx(p.LastTx), LastPaid: moment(p.LastPaid),
		}}, nil
	})
}

// ListPayouts implements queryv1.SettlementServiceHandler.
func (s *server) ListPayouts(ctx context.Context, asked *queryv1.ListPayoutsRequest) (*queryv1.ListPayoutsResponse, error) {
	payee, err := idOf[domain.ProviderID]("payee", asked.Payee)
	if err != nil {
		return nil, err
	}
	if err := may(ctx, payee, domain.ClientID{}); err != nil {
		return nil, err
	}
	at, payouts, next, err := list(ctx, s, asked, listing[payoutLine, *queryv1.PayoutLine]{
		mark:  'y',
		place: func(l *payoutLine) []any { return []any{&l.Number} },
		first: payoutLine{BatchLine: projections.BatchLine{BatchLineKey: projections.BatchLineKey{Number: math.MaxUint32}}},
		rows: func(ctx context.Context, r projections.Reader, below payoutLine, limit int) ([]payoutLine, error) {
			return payoutLines(ctx, r, payee, below.Number, limit)
		},
		message: func(l payoutLine) *queryv1.PayoutLine {
			return &queryv1.PayoutLine{
				Number: l.Number, State: l.of.State, CumulativeNano: int64(l.Cumulative), DeltaNano: int64(l.Delta),
				Sealed: moment(l.of.Sealed), Activated: moment(l.of.Activated), ActivatedTx: chainTx(l.of.ActivatedTx),
			}
		},
	})
	return &queryv1.ListPayoutsResponse{Position: at, Payouts: payouts, NextCursor: next}, err
}

// payoutLine is a payee's line of a batch, and what became of the batch.
type payoutLine struct {
	projections.BatchLine
	of projections.Batch
}

func payoutLines(ctx context.Context, r projections.Reader, payee domain.ProviderID, below uint32, limit int) ([]payoutLine, error) {
	found, err := r.LinesFor(ctx, payee, below, limit)
	if err != nil {
		return nil, err
	}
	lines := make([]payoutLine, len(found))
	for i, line := range found {
		of, err := r.Batch(ctx, line.Number)
		if err != nil {
			return nil, fmt.Errorf("batch %d: %w", line.Number, err)
		}
		lines[i] = payoutLine{line, of.Batch}
	}
	return lines, nil
}

// ListPayments implements queryv1.SettlementServiceHandler.
func (s *server) ListPayments(ctx context.Context, asked *queryv1.ListPaymentsRequest) (*queryv1.ListPaymentsResponse, error) {
	payee, err := idOf[domain.ProviderID]("payee", asked.Payee)
	if err != nil {
		return nil, err
	}
	if err := may(ctx, payee, domain.ClientID{}); err != nil {
		return nil, err
	}
	at, payments, next, err := list(ctx, s, asked, listing[projections.Payment, *queryv1.Payment]{
		mark:  'm',
		place: func(p *projections.Payment) []any { return []any{&p.LT} },
		first: projections.Payment{PaymentKey: projections.PaymentKey{LT: math.MaxInt64}},
		rows: func(ctx context.Context, r projections.Reader, below projections.Payment, limit int) ([]projections.Payment, error) {
			return r.PaymentsTo(ctx, payee, below.LT, limit)
		},
		message: func(p projections.Payment) *queryv1.Payment {
			return &queryv1.Payment{Tx: &queryv1.ChainTx{Hash: text(p.TxHash), Lt: p.LT}, AmountNano: int64(p.Amount), Seen: moment(p.Seen)}
		},
	})
	return &queryv1.ListPaymentsResponse{Position: at, Payments: payments, NextCursor: next}, err
}

func batch(b projections.Batch) *queryv1.Batch {
	return &queryv1.Batch{
		Number: b.Number, State: b.State, PayoutRoot: text(b.PayoutRoot), Commitment: text(b.Commitment),
		TotalNano: int64(b.Total), Payees: b.Payees, Lines: b.Lines, ActivatesAtMs: b.ActivatesAtMs,
		Sealed: moment(b.Sealed), Proposed: moment(b.Proposed), Activated: moment(b.Activated), Vetoed: moment(b.Vetoed),
		ProposedTx: chainTx(b.ProposedTx), ActivatedTx: chainTx(b.ActivatedTx), VetoedTx: chainTx(b.VetoedTx),
	}
}

func chainTx(tx projections.ChainTx) *queryv1.ChainTx {
	return &queryv1.ChainTx{Hash: text(tx.Hash), Lt: tx.LT}
}
