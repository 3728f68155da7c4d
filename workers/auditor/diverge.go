package auditor

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sort"

	"github.com/filature/filature/domain/settlement"
	"github.com/filature/filature/projections"
)

// Divergence is where a ledger and the chain part: the first batch that the chain has otherwise. Whatever was changed was
// changed below its cut.
type Divergence struct {
	Batch uint32 `json:"batch"`
	// Field is what differs of it: payout_root, total_nano, or commitment, where the same is paid by another history.
	Field   string `json:"field"`
	OnChain string `json:"on_chain"`
	FromLog string `json:"from_log"`
}

// String is a sentence.
func (d *Divergence) String() string {
	const text = "Batch %d is the first that the chain has otherwise: its %s is %s on chain, and %s by this ledger."
	return fmt.Sprintf(text, d.Batch, d.Field, d.OnChain, d.FromLog)
}

// rememberer is a Chain that can be asked for older roots.
type rememberer interface {
	// Activated returns what the vault activated under a number.
	Activated(ctx context.Context, number uint32) (settlement.OnChain, error)
}

// findDivergence looks for the first batch that the chain has otherwise. A commitment covers all that was before it, so once
// they differ they differ for good, and a few looks into the vault's history find the first.
func (a *audit) findDivergence(ctx context.Context, sealed map[uint32]sealedBatch) error {
	rows := slices.DeleteFunc(slices.Clone(a.report.Batches), func(b Batch) bool { return b.ChainRoot == "" || b.State == projections.BatchVetoed })
	first := slices.IndexFunc(rows, func(b Batch) bool { return b.ChainRoot != b.fromLog() || a.vault.otherwise[b.Number] })
	if first < 0 {
		return nil
	}
	row := rows[first]
	a.report.Diverges = differing(row, a.vault.keeps(row.Number), sealed[row.Number].root)
	past, is := a.cfg.Chain.(rememberer)
	if !is {
		return nil
	}
	var failed error
	at := sort.Search(first, func(i int) bool {
		if failed != nil || rows[i].Number >= a.vault.seen.Active.Epoch {
			return true
		}
		told, err := past.Activated(ctx, rows[i].Number)
		if failed = err; err != nil {
			return true
		}
		d := differing(rows[i], &told, sealed[rows[i].Number].root)
		if d != nil {
			a.report.Diverges = d
		}
		return d != nil
	})
	if failed != nil {
		return fmt.Errorf("batch %d in the vault's history: %w", rows[at].Number, failed)
	}
	return nil
}

// keeps is a root as the vault has it now; nil where it has gone on from there.
func (v *vault) keeps(number uint32) *settlement.OnChain {
	switch {
	case v.seen.Active.Epoch == number:
		return &v.seen.Active
	case v.seen.Pending != nil && v.seen.Pending.Epoch == number:
		return v.seen.Pending
	default:
		return nil
	}
}

// fromLog is the root that the log makes, or, where it makes none, the one that was sealed.
func (b Batch) fromLog() string { return cmp.Or(b.LogRoot, b.Root) }

// differing says what of a batch is otherwise on chain; nil where nothing is. Of a root that is only known by its proposal it
// compares the payout root.
func differing(row Batch, told *settlement.OnChain, sealed settlement.OnChain) *Divergence {
	d := &Divergence{Batch: row.Number}
	switch {
	case row.ChainRoot != row.fromLog():
		d.Field, d.OnChain, d.FromLog = "payout_root", row.ChainRoot, row.fromLog()
	case told == nil:
		return nil
	case told.Root != sealed.Root:
		d.Field, d.OnChain, d.FromLog = "payout_root", told.Root.String(), sealed.Root.String()
	case told.Total != sealed.Total:
		d.Field, d.OnChain, d.FromLog = "total_nano", fmt.Sprint(int64(told.Total)), fmt.Sprint(int64(sealed.Total))
	case told.Commitment != sealed.Commitment:
		d.Field, d.OnChain, d.FromLog = "commitment", told.Commitment.String(), sealed.Commitment.String()
	default:
		return nil
	}
	return d
}
