package stream

import (
	"fmt"

	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// settlementStep returns what a fact says about a batch or a payout, and what it is about; nil if it
// says nothing of the kind.
func settlementStep(fact *v1.Fact) (step *v1.SettlementStep, about string) {
	switch body := fact.Body.(type) {
	case *v1.Fact_BatchSealed:
		b := body.BatchSealed
		step = &v1.SettlementStep{
			Stage: v1.SettlementStage_SETTLEMENT_STAGE_SEALED, Batch: b.Number,
			PayoutRoot: b.PayoutRoot, TotalNano: b.TotalNano, Payees: b.Payees,
		}
	case *v1.Fact_BatchProposed:
		b := body.BatchProposed
		step = &v1.SettlementStep{
			Stage: v1.SettlementStage_SETTLEMENT_STAGE_PROPOSED, Batch: b.Number,
			PayoutRoot: b.PayoutRoot, ActivatesAtMs: b.ActivatesAtMs, TxHash: b.TxHash, Lt: b.Lt,
		}
	case *v1.Fact_BatchActivated:
		b := body.BatchActivated
		step = &v1.SettlementStep{
			Stage: v1.SettlementStage_SETTLEMENT_STAGE_ACTIVATED, Batch: b.Number,
			PayoutRoot: b.PayoutRoot, TxHash: b.TxHash, Lt: b.Lt,
		}
	case *v1.Fact_BatchVetoed:
		b := body.BatchVetoed
		step = &v1.SettlementStep{Stage: v1.SettlementStage_SETTLEMENT_STAGE_VETOED, Batch: b.Number, TxHash: b.TxHash, Lt: b.Lt}
	case *v1.Fact_EpochVoided: // a veto like any other to those who follow the vault
		b := body.EpochVoided
		step = &v1.SettlementStep{Stage: v1.SettlementStage_SETTLEMENT_STAGE_VETOED, Batch: b.Number, TxHash: b.TxHash, Lt: b.Lt}
	case *v1.Fact_PayoutObserved:
		b := body.PayoutObserved
		step = &v1.SettlementStep{
			Stage: v1.SettlementStage_SETTLEMENT_STAGE_PAID,
			Payee: b.Payee, AmountNano: b.AmountNano, TxHash: b.TxHash, Lt: b.Lt,
		}
		return step, domain.ProviderID(b.Payee).String()
	default:
		return nil, ""
	}
	return step, fmt.Sprintf("batch %d", step.Batch)
}
