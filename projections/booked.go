package projections

import (
	"context"
	"fmt"

	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// Unbooked returns those of a watcher's claims, in their order, that the ledger has not booked as far as the tables know. It
// reads the rows that these claims would be in, and no others.
func Unbooked(ctx context.Context, store Store, dataShards int, claims []*v1.Claim) ([]*v1.Claim, error) {
	var deposits, payments, batches []Row
	byNumber := map[uint32]*Batch{}
	batch := func(number uint32) *Batch {
		if byNumber[number] == nil {
			byNumber[number] = &Batch{Number: number}
			batches = append(batches, byNumber[number])
		}
		return byNumber[number]
	}
	booked := make([]func() bool, len(claims)) // asked once the rows are loaded
	for i, claim := range claims {
		switch body := claim.Body.(type) {
		case *v1.Claim_ObserveDeposit:
			account := id[domain.AccountID](body.ObserveDeposit.Account)
			row := &Deposit{DepositKey: DepositKey{domain.ShardOf(account, dataShards), body.ObserveDeposit.Lt}}
			deposits, booked[i] = append(deposits, row), func() bool { return row.Booked.AtMs != 0 }
		case *v1.Claim_ObservePayout:
			row := &Payment{PaymentKey: PaymentKey{id[domain.ProviderID](body.ObservePayout.Payee), body.ObservePayout.Lt}}
			payments, booked[i] = append(payments, row), func() bool { return row.Seen.AtMs != 0 }
		case *v1.Claim_ObserveProposal:
			row := batch(body.ObserveProposal.Number)
			booked[i] = func() bool { return row.ProposedTx.LT >= body.ObserveProposal.Lt }
		case *v1.Claim_ObserveActivation:
			row := batch(body.ObserveActivation.Number)
			booked[i] = func() bool { return row.ActivatedTx.LT >= body.ObserveActivation.Lt }
		case *v1.Claim_ObserveVeto:
			row := batch(body.ObserveVeto.Number)
			booked[i] = func() bool { return row.VetoedTx.LT >= body.ObserveVeto.Lt }
		default:
			panic(fmt.Sprintf("projections: no chain event: %T", claim.Body))
		}
	}
	for _, read := range []struct {
		table Table
		rows  []Row
	}{{Deposits.Table(), deposits}, {Payments.Table(), payments}, {Batches.Table(), batches}} {
		if err := store.Load(ctx, read.table, read.rows); err != nil {
			return nil, fmt.Errorf("read what is booked: %s: %w", read.table.Name, err)
		}
	}
	var left []*v1.Claim
	for i, claim := range claims {
		if !booked[i]() {
			left = append(left, claim)
		}
	}
	return left, nil
}
