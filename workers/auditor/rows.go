package auditor

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/projections"
)

// remakeRows folds every read model again, to the place in the log where the live one stands, and
// compares row by row. What it folds it keeps in a store of its own, as a live one does on disk.
func (a *audit) remakeRows(ctx context.Context) Step {
	step := Step{Name: "projections"}
	switch {
	case a.cfg.Store == nil:
		return step.skip("no store of read models was given")
	case len(a.shards) == 0:
		return step.skip("the ledger was not made again")
	}
	models := projections.All()
	a.progress.begin(a.cfg.Progress, int64(len(models)), "folding read models again")
	var rows int64
	err := a.cfg.Store.View(ctx, func(live projections.View) error {
		lost := map[domain.Shard]bool{}
		for len(models) > 0 {
			at, err := live.Checkpoint(ctx, models[0].Table())
			if err != nil {
				return err
			}
			var together, others []projections.Model
			for _, model := range models {
				place, err := live.Checkpoint(ctx, model.Table())
				if err != nil {
					return err
				}
				if place.Equal(at) {
					together = append(together, model)
				} else {
					others = append(others, model)
				}
			}
			models = others
			reachable, err := a.reaches(ctx, at, lost)
			if err != nil {
				return err
			}
			if !reachable {
				continue
			}
			n, err := a.compareRows(ctx, live, at, together)
			rows += n
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		step = step.stop(err)
	}
	return step.done(count(int64(len(projections.All())), "read models"), count(rows, "rows"))
}

// reaches tells whether the ledger still has all that the read models took in.
func (a *audit) reaches(ctx context.Context, at projections.Checkpoint, lost map[domain.Shard]bool) (bool, error) {
	whole := true
	for i, offset := range at.Cut() {
		shard := domain.Shard(i)
		var end domain.Offset
		if i < len(a.shards) {
			var err error
			if end, err = a.cfg.Ledger.End(ctx, shard); err != nil {
				return false, err
			}
		}
		if offset <= end {
			continue
		}
		whole = false
		if !lost[shard] {
			lost[shard] = true
			a.offences.add(Offence{
				Kind: LostRecords, Log: Ledger, At: placeOf(shard, end),
				Why: fmt.Sprintf("ends here, and the read models have taken in %d records: the rest is lost", offset),
			})
		}
	}
	return whole, nil
}

// compareRows folds models that stand at one place and compares them; it returns how many rows there
// were.
func (a *audit) compareRows(ctx context.Context, live projections.View, at projections.Checkpoint, models []projections.Model) (rows int64, err error) {
	again, discard, err := a.scratch(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, discard()) }()
	cut := append(at.Cut(), make([]domain.Offset, len(a.shards)-len(at))...)
	if err := a.foldAgain(ctx, again, cut, models); err != nil {
		return 0, err
	}
	err = again.View(ctx, func(want projections.View) error {
		for _, model := range models {
			place, err := want.Checkpoint(ctx, model.Table())
			if err != nil {
				return err
			}
			if !place.Equal(at) {
				a.offences.add(Offence{
					Kind: ChangedRow, Log: ReadModels, Table: model.Table().Name, Row: "checkpoint",
					Have: fmt.Sprint(at), Want: fmt.Sprint(place), Why: "the store's place in intake is not the ledger's",
				})
			}
			for _, err := range want.Rows(ctx, model.Table()) {
				if err != nil {
					return err
				}
				rows++
			}
			for d, err := range projections.Differences(ctx, model, want, live) {
				if err != nil {
					return err
				}
				a.offences.add(rowOffence(d))
			}
			a.progress.add(1)
		}
		return nil
	})
	return rows, err
}

// tableEntries are folded into tables in one commit: an interruption costs that much at most, and all tables hold so many
// entries' rows in memory at a time.
const tableEntries = 2000

// foldAgain folds models to a cut, on from where an earlier run of this audit may have come.
func (a *audit) foldAgain(ctx context.Context, again projections.Store, cut []domain.Offset, models []projections.Model) error {
	err := again.View(ctx, func(view projections.View) error {
		at, err := view.Checkpoint(ctx, models[0].Table())
		for _, offset := range at.Cut() {
			if a.report.Resumed != nil {
				a.report.Resumed.Folded += int64(offset)
			}
		}
		return err
	})
	if err != nil {
		return err
	}
	err = projections.FoldInBatches(ctx, a.cfg.Ledger, again, cut, tableEntries, models...)
	if !errors.Is(err, projections.ErrBeyondCut) {
		return err
	}
	for _, model := range models { // the live ones were put back since
		if err := again.Forget(ctx, model.Table()); err != nil {
			return err
		}
	}
	return projections.FoldInBatches(ctx, a.cfg.Ledger, again, cut, tableEntries, models...)
}

func (a *audit) scratch(ctx context.Context) (projections.Store, func() error, error) {
	if a.cfg.Scratch == nil {
		return projections.NewMemStore(), func() error { return nil }, nil
	}
	store, discard, err := a.cfg.Scratch(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("make a store to fold into: %w", err)
	}
	return store, discard, nil
}

func rowOffence(d projections.Difference) Offence {
	o := Offence{
		Kind: ChangedRow, Log: ReadModels, Table: d.Table.Name, Row: d.Key, At: placeInKey(d.Key),
		Field: d.Column, Have: d.Have, Want: d.Want, Why: "is not what the ledger adds up to",
	}
	if d.Column == "" {
		o.Why = fmt.Sprintf("the row is %s, and the ledger wants it %s", d.Have, d.Want)
	}
	return o
}

// placeInKey reads the place in the ledger out of the key of a row that is about one: "shard=1,
// ledger_offset=7, ...".
func placeInKey(key string) *Place {
	place, shard, offset := Place{}, false, false
	for part := range strings.SplitSeq(key, ", ") {
		name, value, _ := strings.Cut(part, "=")
		n, err := strconv.ParseInt(value, 10, 64)
		switch {
		case err != nil:
		case name == "shard":
			place.Shard, shard = int32(n), true
		case name == "ledger_offset":
			place.Offset, offset = n, true
		}
	}
	if !shard || !offset {
		return nil
	}
	return &place
}
