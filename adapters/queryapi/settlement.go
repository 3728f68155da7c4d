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
	size, err := sizeOf(asked.Page)
	if err != nil {
		return nil, err
	}
	const mark = 'b'
	below := int64(math.MaxUint32)
	if _, err := after(asked.Page, mark, &below); err != nil {
		return nil, err
	}
	return answer(ctx, s, asked.Reading, func(r projections.Reader, at *queryv1.Position) (*queryv1.ListBatchesResponse, error) {
		batches, err := r.BatchesBelow(ctx, uint32(below), size+1)
		if err != nil {
			return nil, err
		}
		page := &queryv1.ListBatchesResponse{Position: at}
		batches, page.NextCursor = turn(batches, size, func(b projections.Batch) string { return cursor(mark, int64(b.Number)) })
		page.Batches = each(batches, batch)
		return page, nil
	})
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
	size, err := sizeOf(asked.Page)
	if err != nil {
		return nil, err
	}
	const mark = 'l'
	var last domain.ProviderID
	if _, err := after(asked.Page, mark, (*[32]byte)(&last)); err != nil {
		return nil, err
	}
	return answer(ctx, s, asked.Reading, func(r projections.Reader, at *queryv1.Position) (*queryv1.ListBatchLinesResponse, error) {
		if _, err := r.Batch(ctx, asked.Number); err != nil {
			return nil, fmt.Errorf("batch %d: %w", asked.Number, err)
		}
		lines, err := r.LinesOf(ctx, asked.Number, last, size+1)
		if err != nil {
			return nil, err
		}
		page := &queryv1.ListBatchLinesResponse{Position: at}
		lines, page.NextCursor = turn(lines, size, func(l projections.BatchLine) string { return cursor(mark, [32]byte(l.Payee)) })
		page.Lines = each(lines, func(l projections.BatchLine) *queryv1.BatchLine {
			return &queryv1.BatchLine{Payee: text(l.Payee), CumulativeNano: int64(l.Cumulative), DeltaNano: int64(l.Delta)}
		})
		return page, nil
	})
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
	const mark = 'y'
	below := int64(math.MaxUint32)
	payee, size, err := payeeAsked(ctx, asked.Payee, asked.Page, mark, &below)
	if err != nil {
		return nil, err
	}
	return answer(ctx, s, asked.Reading, func(r projections.Reader, at *queryv1.Position) (*queryv1.ListPayoutsResponse, error) {
		lines, err := r.LinesFor(ctx, payee, uint32(below), size+1)
		if err != nil {
			return nil, err
		}
		page := &queryv1.ListPayoutsResponse{Position: at}
		lines, page.NextCursor = turn(lines, size, func(l projections.BatchLine) string { return cursor(mark, int64(l.Number)) })
		for _, line := range lines {
			of, err := r.Batch(ctx, line.Number)
			if err != nil {
				return nil, fmt.Errorf("batch %d: %w", line.Number, err)
			}
			page.Payouts = append(page.Payouts, &queryv1.PayoutLine{
				Number: line.Number, State: of.State, CumulativeNano: int64(line.Cumulative), DeltaNano: int64(line.Delta),
				Sealed: moment(of.Sealed), Activated: moment(of.Activated), ActivatedTx: chainTx(of.ActivatedTx),
			})
		}
		return page, nil
	})
}

// payeeAsked checks a question for a page of what is a payee's own.
func payeeAsked(ctx context.Context, asked string, page *queryv1.Page, mark byte, below *int64) (payee domain.ProviderID, size int, err error) {
	if payee, err = idOf[domain.ProviderID]("payee", asked); err != nil {
		return payee, 0, err
	}
	if size, err = sizeOf(page); err != nil {
		return payee, 0, err
	}
	if _, err = after(page, mark, below); err != nil {
		return payee, 0, err
	}
	return payee, size, may(ctx, payee, domain.ClientID{})
}

// ListPayments implements queryv1.SettlementServiceHandler.
func (s *server) ListPayments(ctx context.Context, asked *queryv1.ListPaymentsRequest) (*queryv1.ListPaymentsResponse, error) {
	const mark = 'm'
	below := int64(math.MaxInt64)
	payee, size, err := payeeAsked(ctx, asked.Payee, asked.Page, mark, &below)
	if err != nil {
		return nil, err
	}
	return answer(ctx, s, asked.Reading, func(r projections.Reader, at *queryv1.Position) (*queryv1.ListPaymentsResponse, error) {
		payments, err := r.PaymentsTo(ctx, payee, uint64(below), size+1)
		if err != nil {
			return nil, err
		}
		page := &queryv1.ListPaymentsResponse{Position: at}
		payments, page.NextCursor = turn(payments, size, func(p projections.Payment) string { return cursor(mark, int64(p.LT)) })
		page.Payments = each(payments, func(p projections.Payment) *queryv1.Payment {
			return &queryv1.Payment{Tx: &queryv1.ChainTx{Hash: text(p.TxHash), Lt: p.LT}, AmountNano: int64(p.Amount), Seen: moment(p.Seen)}
		})
		return page, nil
	})
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
