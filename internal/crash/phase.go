package main

import (
	"context"

	"github.com/filature/filature/projections"
)

// phase is where settlement stood.
type phase string

// Phases.
const (
	noNetwork  phase = "network not set up"
	noBatch    phase = "no batch yet"
	isSealed   phase = "batch sealed, not yet seen proposed"
	isProposed phase = "batch proposed, open to veto"
	isPaying   phase = "batch activated, not all paid"
	isPaid     phase = "all batches paid"
)

var phases = []phase{noNetwork, noBatch, isSealed, isProposed, isPaying, isPaid}

// phaseOf says where settlement stands by the books.
func phaseOf(ctx context.Context, books projections.Store) (at phase, err error) {
	err = books.View(ctx, func(view projections.View) error {
		at = noNetwork
		for network, err := range projections.RowsOf(ctx, view, projections.TheNetwork) {
			if err != nil {
				return err
			}
			if network.ParametersSet.AtMs != 0 {
				at = noBatch
			}
		}
		for batch, err := range projections.RowsOf(ctx, view, projections.Batches) {
			if err != nil {
				return err
			}
			switch batch.State {
			case projections.BatchSealed:
				at = isSealed
			case projections.BatchProposed:
				at = isProposed
			case projections.BatchActivated:
				at = isPaid
			}
		}
		for payout, err := range projections.RowsOf(ctx, view, projections.Payouts) {
			if err != nil {
				return err
			}
			if at == isPaid && payout.Paid < payout.Committed {
				at = isPaying
			}
		}
		return nil
	})
	return at, err
}
