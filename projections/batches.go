package projections

import (
	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// States of a batch.
const (
	BatchSealed    = "sealed"
	BatchProposed  = "proposed"
	BatchActivated = "activated"
	BatchVetoed    = "vetoed"
	// BatchVoided is no batch but a number: a root that nobody sealed was proposed under it, and vetoed.
	BatchVoided = "voided"
)

// ChainTx names a transaction of the vault; zero where there was none yet.
type ChainTx struct {
	Hash domain.Digest
	LT   uint64 // logical time on the vault's account
}

// Batch is one settlement batch, from its seal to its end on chain. All moments are in control.
type Batch struct {
	Number     uint32
	State      string
	PayoutRoot domain.Digest
	Commitment domain.Digest
	Total      domain.Nano // all that was ever owed, over all payees
	Payees     int64       // in the tree
	Lines      int64       // payees whose amount changes in this batch

	ActivatesAtMs int64

	Sealed, Proposed, Activated, Vetoed Moment
	ProposedTx, ActivatedTx, VetoedTx   ChainTx
}

// Columns lists the columns.
func (r *Batch) Columns(c []Column) []Column {
	return append(c,
		Column{"batch", &r.Number},
		Column{"state", &r.State},
		Column{"payout_root", (*[32]byte)(&r.PayoutRoot)},
		Column{"commitment", (*[32]byte)(&r.Commitment)},
		Column{"total_nano", (*int64)(&r.Total)},
		Column{"payees", &r.Payees},
		Column{"lines", &r.Lines},
		Column{"activates_at_ms", &r.ActivatesAtMs},
		Column{"sealed_at_ms", &r.Sealed.AtMs}, Column{"sealed_offset", (*int64)(&r.Sealed.Offset)},
		Column{"proposed_at_ms", &r.Proposed.AtMs}, Column{"proposed_offset", (*int64)(&r.Proposed.Offset)},
		Column{"proposed_tx", (*[32]byte)(&r.ProposedTx.Hash)}, Column{"proposed_lt", &r.ProposedTx.LT},
		Column{"activated_at_ms", &r.Activated.AtMs}, Column{"activated_offset", (*int64)(&r.Activated.Offset)},
		Column{"activated_tx", (*[32]byte)(&r.ActivatedTx.Hash)}, Column{"activated_lt", &r.ActivatedTx.LT},
		Column{"vetoed_at_ms", &r.Vetoed.AtMs}, Column{"vetoed_offset", (*int64)(&r.Vetoed.Offset)},
		Column{"vetoed_tx", (*[32]byte)(&r.VetoedTx.Hash)}, Column{"vetoed_lt", &r.VetoedTx.LT},
	)
}

// Batches is every batch and how it stands.
var Batches = &Definition[uint32, Batch, *Batch]{
	Name: "batches", Version: 1, KeyColumns: 1,
	Row: func(k uint32) Batch { return Batch{Number: k} },
	Fold: func(e *Entry, row func(uint32) *Batch) error {
		for _, fact := range e.Facts() {
			switch body := fact.Body.(type) {
			case *v1.Fact_BatchSealed:
				row(body.BatchSealed.Number).seal(e, body.BatchSealed)
			case *v1.Fact_BatchProposed:
				b := row(body.BatchProposed.Number)
				b.State, b.Proposed = BatchProposed, e.moment()
				b.ProposedTx = txOf(body.BatchProposed.TxHash, body.BatchProposed.Lt)
				b.ActivatesAtMs = body.BatchProposed.ActivatesAtMs
			case *v1.Fact_BatchActivated:
				b := row(body.BatchActivated.Number)
				b.State, b.Activated = BatchActivated, e.moment()
				b.ActivatedTx = txOf(body.BatchActivated.TxHash, body.BatchActivated.Lt)
			case *v1.Fact_BatchVetoed:
				b := row(body.BatchVetoed.Number)
				b.State, b.Vetoed = BatchVetoed, e.moment()
				b.VetoedTx = txOf(body.BatchVetoed.TxHash, body.BatchVetoed.Lt)
			case *v1.Fact_EpochVoided:
				b := row(body.EpochVoided.Number)
				b.State, b.Vetoed = BatchVoided, e.moment()
				b.VetoedTx = txOf(body.EpochVoided.TxHash, body.EpochVoided.Lt)
			}
		}
		return nil
	},
}

func (r *Batch) seal(e *Entry, fact *v1.SealBatch) {
	r.State, r.Sealed = BatchSealed, e.moment()
	r.PayoutRoot, r.Commitment = id[domain.Digest](fact.PayoutRoot), id[domain.Digest](fact.Commitment)
	r.Total, r.Payees, r.Lines = domain.Nano(fact.TotalNano), fact.Payees, int64(len(fact.Lines))
}

func txOf(hash []byte, lt uint64) ChainTx { return ChainTx{id[domain.Digest](hash), lt} }

// BatchCutKey names one shard of a batch's cut.
type BatchCutKey struct {
	Number uint32
	Shard  domain.Shard
}

// BatchCut is up to where a batch counts one shard, and that shard's tree head there.
type BatchCut struct {
	BatchCutKey
	Ledger domain.Offset // exclusive
	// LogRoot is the RFC 6962 tree head of the shard's records below the offset.
	LogRoot domain.Digest
}

// Columns lists the columns.
func (r *BatchCut) Columns(c []Column) []Column {
	return append(c,
		Column{"batch", &r.Number},
		Column{"shard", (*int32)(&r.Shard)},
		Column{"ledger_offset", (*int64)(&r.Ledger)},
		Column{"log_root", (*[32]byte)(&r.LogRoot)},
	)
}

// BatchCuts is the cut of every batch.
var BatchCuts = &Definition[BatchCutKey, BatchCut, *BatchCut]{
	Name: "batch_cuts", Version: 1, KeyColumns: 2,
	Row: func(k BatchCutKey) BatchCut { return BatchCut{BatchCutKey: k} },
	Fold: func(e *Entry, row func(BatchCutKey) *BatchCut) error {
		for _, fact := range e.Facts() {
			sealed := fact.GetBatchSealed()
			if sealed == nil {
				continue
			}
			for shard, offset := range sealed.Cut {
				cut := row(BatchCutKey{sealed.Number, domain.Shard(shard)})
				cut.Ledger = domain.Offset(offset)
				if shard < len(sealed.LogRoots) {
					cut.LogRoot = id[domain.Digest](sealed.LogRoots[shard])
				}
			}
		}
		return nil
	},
}

// BatchLineKey names a payee in a batch.
type BatchLineKey struct {
	Number uint32
	Payee  domain.ProviderID
}

// BatchLine is one payee whose amount changes in a batch.
type BatchLine struct {
	BatchLineKey
	Cumulative domain.Nano // all that the payee was ever owed: the leaf of the payout tree
	Delta      domain.Nano // what this batch adds
}

// Columns lists the columns.
func (r *BatchLine) Columns(c []Column) []Column {
	return append(c,
		Column{"batch", &r.Number},
		Column{"payee", (*[32]byte)(&r.Payee)},
		Column{"cumulative_nano", (*int64)(&r.Cumulative)},
		Column{"delta_nano", (*int64)(&r.Delta)},
	)
}

// BatchLines is every line of every batch, those of vetoed ones too.
var BatchLines = &Definition[BatchLineKey, BatchLine, *BatchLine]{
	Name: "batch_lines", Version: 1, KeyColumns: 2,
	Row: func(k BatchLineKey) BatchLine { return BatchLine{BatchLineKey: k} },
	Fold: func(e *Entry, row func(BatchLineKey) *BatchLine) error {
		for _, fact := range e.Facts() {
			sealed := fact.GetBatchSealed()
			for _, l := range sealed.GetLines() {
				line := row(BatchLineKey{sealed.Number, id[domain.ProviderID](l.Payee)})
				line.Cumulative, line.Delta = domain.Nano(l.CumulativeNano), domain.Nano(l.DeltaNano)
			}
		}
		return nil
	},
}
