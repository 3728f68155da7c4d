package auditor

import (
	"context"
	"errors"
	"fmt"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore"
	"github.com/filature/filature/projections"
	"github.com/filature/filature/workers/auditor/recount"
)

// countAgain has the books counted by who has only the documents, and compares: each fact with what it has to post,
// each batch, each balance in the ledger's read models, and each balance that this audit came to.
func (a *audit) countAgain(ctx context.Context) Step {
	step := Step{Name: "recount"}
	if len(a.shards) == 0 {
		return step.skip("the ledger was not made again")
	}
	var total int64
	ends := make([]int64, len(a.shards))
	for shard, r := range a.shards {
		ends[shard] = int64(r.summary.Checked) // what can't be believed is not counted
		total += ends[shard]
	}
	a.progress.begin(a.cfg.Progress, total, "counting a second time")
	count, err := recount.Begin(ctx, stored{a.cfg.Ledger}, ends, a.progress.add)
	if err != nil {
		return a.senseless(step, err)
	}
	second := &second{audit: a, count: count, ends: ends}
	if a.cfg.Store == nil {
		err = second.run(ctx)
	} else {
		err = a.cfg.Store.View(ctx, func(view projections.View) error {
			at, err := view.Checkpoint(ctx, projections.Balances.Table())
			if err != nil {
				return err
			}
			second.view, second.at = view, append(at.Cut(), make([]domain.Offset, len(ends)-min(len(at), len(ends)))...)
			return second.run(ctx)
		})
	}
	found, all := count.Disagreements()
	for _, d := range found {
		a.offences.add(Offence{
			Kind: CountedOtherwise, Log: Ledger, At: placeOf(domain.Shard(d.Shard), domain.Offset(d.Offset)), Batch: d.Batch,
			Field: d.Field, Have: d.Have, Want: d.Want, Why: d.Why,
		})
	}
	a.offences.unlisted(CountedOtherwise, all-int64(len(found)))
	if err != nil {
		step = a.senseless(step, err)
	}
	t := count.Totals()
	counted := func(n int64, of string) Count { return Count{n, of} }
	return step.done(counted(t.Facts, "facts"), counted(t.Charges, "charges rated again"), counted(t.Matured, "buckets added up again"),
		counted(t.Accounts, "accounts"), counted(second.batches, "batches"), counted(second.rows, "balances compared"))
}

// senseless tells a ledger of which the second count makes no sense, while the first one did, from one that could not
// be read.
func (a *audit) senseless(step Step, err error) Step {
	entry, is := errors.AsType[*recount.EntryError](err)
	if !is {
		return step.stop(err)
	}
	a.offences.add(Offence{
		Kind: CountedOtherwise, Log: Ledger, At: placeOf(domain.Shard(entry.Shard), domain.Offset(entry.Offset)),
		Why: "makes no sense to the second count: " + entry.Err.Error(),
	})
	return step.stop(err)
}

// second is one second count, and what it is compared with.
type second struct {
	*audit
	count *recount.Count
	ends  []int64
	view  projections.View // nil where there are no read models
	at    []domain.Offset  // where the read models stand

	batches, rows int64
}

func (s *second) run(ctx context.Context) error {
	for _, sealed := range s.count.Batches() {
		if !covers(s.ends, sealed.Cut) {
			continue // it has entries below its cut that can't be believed
		}
		if s.view != nil && !covers(numbers(s.at), sealed.Cut) {
			if err := s.compareTables(ctx); err != nil {
				return err
			}
		}
		root, _, err := s.count.Batch(ctx, sealed)
		if err != nil {
			return err
		}
		s.batches++
		for i := range s.report.Batches {
			if row := &s.report.Batches[i]; row.Number == sealed.Number && row.Sealed.Offset == sealed.Offset {
				row.SecondRoot = domain.Digest(root).String()
			}
		}
	}
	if err := s.compareTables(ctx); err != nil {
		return err
	}
	if err := s.count.To(ctx, s.ends); err != nil {
		return err
	}
	return s.compareBooks()
}

// compareTables compares each balance in the read models, once, where they stand.
func (s *second) compareTables(ctx context.Context) error {
	view := s.view
	if s.view = nil; view == nil || !covers(s.ends, numbers(s.at)) {
		return nil
	}
	if err := s.count.To(ctx, numbers(s.at)); err != nil {
		return err
	}
	sums, err := s.count.Balances()
	if err != nil {
		return err
	}
	byName := map[projections.BalanceKey]int64{}
	for account, amount := range sums {
		byName[projections.BalanceKey{Kind: projections.KindName(account.Kind), Owner: account.Owner}] = amount
	}
	for row, err := range projections.RowsOf(ctx, view, projections.Balances) {
		if err != nil {
			return err
		}
		s.rows++
		want, counted := byName[row.BalanceKey]
		delete(byName, row.BalanceKey)
		if counted && want == int64(row.Amount) {
			continue
		}
		s.offences.add(otherBalance(row.BalanceKey, fmt.Sprint(int64(row.Amount)), fmt.Sprint(want)))
	}
	for key, amount := range byName {
		s.offences.add(otherBalance(key, "missing", fmt.Sprint(amount)))
	}
	return nil
}

func otherBalance(key projections.BalanceKey, have, want string) Offence {
	return Offence{
		Kind: CountedOtherwise, Log: ReadModels, Table: projections.Balances.Name, Row: fmt.Sprintf("kind=%s, owner=%x", key.Kind, key.Owner),
		Field: "amount_nano", Have: have, Want: want, Why: "is not what the second count comes to",
	}
}

// compareBooks compares each balance with what the first count came to.
func (s *second) compareBooks() error {
	sums, err := s.count.Balances()
	if err != nil {
		return err
	}
	for _, r := range s.shards {
		for key, amount := range r.books.balances {
			sums[recount.Account{Kind: key.kind, Owner: key.owner}] -= int64(amount)
		}
	}
	for account, amount := range sums {
		if amount != 0 {
			s.offences.add(Offence{
				Kind: CountedOtherwise, Log: Ledger, Field: account.String(), Have: fmt.Sprint(amount), Want: "0",
				Why: "the two counts of this account differ by so many nanotons",
			})
		}
	}
	return nil
}

// covers tells whether a cut reaches at least as far as another, in all shards.
func covers(cut, other []int64) bool {
	for shard, offset := range other {
		if shard >= len(cut) || cut[shard] < offset {
			return false
		}
	}
	return true
}

func numbers(cut []domain.Offset) []int64 {
	all := make([]int64, len(cut))
	for i, offset := range cut {
		all[i] = int64(offset)
	}
	return all
}

// stored gives the second count the records of a ledger as they are.
type stored struct{ log eventstore.Reader }

// Read implements recount.Log.
func (s stored) Read(ctx context.Context, shard int, from int64, limit int) ([][]byte, error) {
	records, err := s.log.Read(ctx, domain.Shard(shard), domain.Offset(from), limit)
	if err != nil {
		return nil, err
	}
	if len(records) == 0 {
		return nil, fmt.Errorf("nothing at %d: %w", from, eventstore.ErrGap)
	}
	values := make([][]byte, len(records))
	for i, record := range records {
		values[i] = record.Value
	}
	return values, nil
}
