package recount_test

import (
	"testing"

	"github.com/filature/filature/internal/rig"
	"github.com/filature/filature/projections"
	"github.com/filature/filature/workers/auditor/recount"
)

// TestBooksAddUpToWhatWasCounted: the postings one by one come to the balances that Count has, at the end and at the cut of
// each batch, and the jobs to what it rated.
func TestBooksAddUpToWhatWasCounted(t *testing.T) {
	w := lived(t, rig.Options{Seed: 5, Judged: true, DataShards: 3}, 60)
	log := ledgerOf(t, w)
	c := count(t, log)
	cuts := [][]int64{log.ends()}
	for _, sealed := range c.Batches() {
		cuts = append(cuts, sealed.Cut)
	}
	for _, cut := range cuts {
		books, err := recount.ReadBooks(t.Context(), log, cut)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.To(t.Context(), cut); err != nil {
			t.Fatal(err)
		}
		sums := map[recount.Account]int64{}
		for _, p := range books.Postings {
			sums[p.Account] += p.Amount
		}
		counted, err := c.Balances()
		if err != nil || len(counted) != len(sums) {
			t.Fatalf("at %v: %d accounts, counted %d, %v", cut, len(sums), len(counted), err)
		}
		for account, want := range counted {
			if sums[account] != want {
				t.Errorf("at %v: %s holds %d, counted %d", cut, account, sums[account], want)
			}
		}
		var rated, charged int64
		for _, j := range books.Jobs {
			if j.ClosedMs > 0 {
				rated++
				charged += j.Charge
			}
		}
		if totals := c.Totals(); rated != totals.Charges || int64(len(books.Postings)) != totals.Postings || charged == 0 {
			t.Errorf("at %v: %d jobs ended, %d postings, %d charged; counted %+v", cut, rated, len(books.Postings), charged, totals)
		}
	}
}

// TestBooksHaveEveryJobAsTheTableHasIt compares each job with its row, which another fold has made.
func TestBooksHaveEveryJobAsTheTableHasIt(t *testing.T) {
	w := lived(t, rig.Options{Seed: 6, Judged: true}, 60)
	log := ledgerOf(t, w)
	books, err := recount.ReadBooks(t.Context(), log, log.ends())
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	if err := w.Store.View(t.Context(), func(view projections.View) error {
		for row, err := range projections.RowsOf(t.Context(), view, projections.Jobs) {
			if err != nil {
				return err
			}
			j := books.Jobs[row.Job]
			if j == nil {
				t.Fatalf("job %s is not in the books", row.Job)
			}
			have := recount.Job{
				Client: row.Client, Model: row.Model, Worker: row.Worker, Provider: row.Provider,
				State: row.State, Dispute: row.Dispute, Reserved: int64(row.Reserved), Adjusted: row.AdjustedTokens, Charge: int64(row.Charge),
				WorkerPart: int64(row.WorkerPart), Fee: int64(row.Commission), ClosedMs: row.Closed.AtMs, Refund: int64(row.Refund),
				FromWorker: int64(row.RefundFromWorker), Slashed: int64(row.Slashed),
				Usage: j.Usage, Hold: j.Hold, Refused: j.Refused, RefusedFromWorker: j.RefusedFromWorker, // of other tables
			}
			tokens := projections.Tokens{
				Prompt: j.Usage.PromptTokens, Cached: j.Usage.CachedTokens, Completion: j.Usage.CompletionTokens, Reasoning: j.Usage.ReasoningTokens,
			}
			if have != *j || row.Tokens != tokens {
				t.Errorf("job %s: the table has %+v with %+v, the books %+v", row.Job, have, row.Tokens, j)
			}
			seen[row.State]++
			seen["dispute "+row.Dispute]++
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for _, state := range []string{"completed", "failed", "cancelled", "expired", "dispute resolved"} {
		if seen[state] == 0 {
			t.Errorf("no job of this world is %s: %v", state, seen)
		}
	}
}
