package rig_test

import (
	"slices"
	"testing"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/projections"
	"github.com/filature/filature/projections/projectionstest"
	queryv1 "github.com/filature/filature/schemas/filature/query/v1"
)

// TestAJobsPostingsAreAllThatTheJournalHasOfIt compares what is looked up account by account with the whole journal, for
// every job of a world in which jobs complete, fail, are disputed and slashed.
func TestAJobsPostingsAreAllThatTheJournalHasOfIt(t *testing.T) {
	t.Parallel()
	store := openSQLite(t)
	l := openLibrary(t, live(t, store), store, nil)
	ctx := projectionstest.Context(t)
	wanted := map[domain.JobID][]projections.PostingKey{}
	disputed := 0
	err := store.Read(ctx, func(r projections.Reader) error {
		for line, err := range projections.RowsOf(ctx, r, projections.Journal) {
			if err != nil {
				return err
			}
			if line.Job != (domain.JobID{}) {
				wanted[line.Job] = append(wanted[line.Job], line.PostingKey)
			}
		}
		for job, err := range projections.RowsOf(ctx, r, projections.Jobs) {
			if err != nil {
				return err
			}
			if job.Resolved.AtMs != 0 {
				disputed++
			}
			lines, err := projections.JobPostings(ctx, r, job)
			if err != nil {
				return err
			}
			have := make([]projections.PostingKey, 0, len(lines))
			sum := domain.Nano(0)
			for _, line := range lines {
				have = append(have, line.PostingKey)
				sum += line.Amount
			}
			want := wanted[job.Job]
			missing := func(k projections.PostingKey) bool { return !slices.Contains(have, k) }
			if at := slices.IndexFunc(want, missing); len(have) != len(want) || at >= 0 {
				t.Errorf("job %s, %s, dispute %q: has %d postings, and the journal %d; missing is %d of:\n%v",
					job.Job, job.State, job.Dispute, len(have), len(want), at, want)
			}
			if sum != 0 {
				t.Errorf("job %s: its postings sum to %s", job.Job, sum)
			}
		}
		return nil
	})
	if err != nil || len(wanted) < 50 || disputed == 0 {
		t.Fatalf("%d jobs moved money, %d disputes were resolved: %v", len(wanted), disputed, err)
	}
	answer, err := l.clients(ways["JSON"], "").ListPostings(ctx, &queryv1.ListPostingsRequest{Job: l.job.Job.String()})
	if err != nil || len(answer.Postings) != len(wanted[l.job.Job]) || answer.Postings[0].Kind == "" {
		t.Errorf("asked over the API: %v, %v", answer, err)
	}
}
