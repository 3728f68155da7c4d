package queryapi

import (
	"context"
	"fmt"
	"slices"

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
	var below int64
	going, err := after(asked.Page, mark, &below)
	if err != nil {
		return nil, err
	}
	return answer(ctx, s, asked.Reading, func(r projections.Reader, at *queryv1.Position) (*queryv1.ListBatchesResponse, error) {
		all, err := r.BatchList(ctx)
		if err != nil {
			return nil, err
		}
		if going {
			all = slices.DeleteFunc(all, func(b projections.Batch) bool { return int64(b.Number) >= below })
		}
		slices.Reverse(all)
		page := &queryv1.ListBatchesResponse{Position: at, Batches: each(all[:min(size, len(all))], batch)}
		if len(all) > size {
			page.NextCursor = cursor(mark, int64(all[size-1].Number))
		}
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
	var from int64
	if _, err := after(asked.Page, mark, &from); err != nil {
		return nil, err
	}
	return answer(ctx, s, asked.Reading, func(r projections.Reader, at *queryv1.Position) (*queryv1.ListBatchLinesResponse, error) {
		found, err := r.Batch(ctx, asked.Number)
		if err != nil {
			return nil, fmt.Errorf("batch %d: %w", asked.Number, err)
		}
		begin := min(max(from, 0), int64(len(found.Lines))) // lines of a batch never change
		end := min(begin+int64(size), int64(len(found.Lines)))
		page := &queryv1.ListBatchLinesResponse{Position: at, Lines: each(found.Lines[begin:end], func(l projections.BatchLine) *queryv1.BatchLine {
			return &queryv1.BatchLine{Payee: text(l.Payee), CumulativeNano: int64(l.Cumulative), DeltaNano: int64(l.Delta)}
		})}
		if end < int64(len(found.Lines)) {
			page.NextCursor = cursor(mark, end)
		}
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

// ListPayments implements queryv1.SettlementServiceHandler.
func (s *server) ListPayments(ctx context.Context, asked *queryv1.ListPaymentsRequest) (*queryv1.ListPaymentsResponse, error) {
	payee, err := idOf[domain.ProviderID]("payee", asked.Payee)
	if err != nil {
		return nil, err
	}
	if err := may(ctx, payee, domain.ClientID{}); err != nil {
		return nil, err
	}
	return answer(ctx, s, asked.Reading, func(r projections.Reader, at *queryv1.Position) (*queryv1.ListPaymentsResponse, error) {
		payments, err := r.PaymentsTo(ctx, payee)
		if err != nil {
			return nil, err
		}
		return &queryv1.ListPaymentsResponse{Position: at, Payments: each(payments, func(p projections.Payment) *queryv1.Payment {
			return &queryv1.Payment{Tx: &queryv1.ChainTx{Hash: text(p.TxHash), Lt: p.LT}, AmountNano: int64(p.Amount), Seen: moment(p.Seen)}
		})}, nil
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
