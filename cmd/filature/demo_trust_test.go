package main

import (
	"context"
	"testing"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/projections"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// TestInTheDemoOnlyTheAttestedEarn looks at the three workers that are not simply attested: what each job of theirs was
// paid, and why the others were not.
func TestInTheDemoOnlyTheAttestedEarn(t *testing.T) {
	t.Parallel()
	folder := sharedDemo.folder(t)
	type fate struct{ cause, state string }
	want := map[string]fate{
		tardyWorker:    {"never_passed", projections.HoldReleased},
		outdatedWorker: {"image_retired", projections.HoldRefused},
		unprovenWorker: {"never_passed", projections.HoldRefused},
	}
	told := map[string]bool{}
	for _, h := range sharedDemo.result.Held {
		f, known := want[h.Name]
		if !known || h.Cause != f.cause || h.State != f.state && h.State != projections.HoldDecided {
			t.Errorf("%s: %d jobs %s are %s", h.Name, h.Jobs, h.Cause, h.State)
		}
		told[h.Name] = told[h.Name] || h.State == f.state && h.Jobs > 0 && h.Amount > 0
	}
	for name := range want {
		if !told[name] {
			t.Errorf("the demo says nothing of %s: %+v", name, sharedDemo.result.Held)
		}
	}
	read(t, folder, func(ctx context.Context, r projections.Reader) error {
		paid := map[domain.WorkerID]map[projections.Outcome]int{}
		workers := map[domain.WorkerID]string{}
		for hold, err := range projections.RowsOf(ctx, r, projections.Holds) {
			if err != nil {
				return err
			}
			for _, line := range sharedDemo.result.Held {
				if line.Worker == hold.Worker {
					workers[hold.Worker] = line.Name
				}
			}
			v, err := projections.WhyJob(ctx, r, hold.Job)
			if err != nil {
				return err
			}
			if refused := hold.State == projections.HoldRefused; refused != (v.Reason == "not_attested") {
				t.Errorf("job %s of %s is %s: %+v", hold.Job, workers[hold.Worker], hold.State, v)
			}
		}
		for job, err := range projections.RowsOf(ctx, r, projections.Jobs) {
			if err != nil {
				return err
			}
			if job.State != projections.JobCompleted || workers[job.Worker] == "" {
				continue
			}
			v, err := projections.WhyJob(ctx, r, job.Job)
			if err != nil {
				return err
			}
			if paid[job.Worker] == nil {
				paid[job.Worker] = make(map[projections.Outcome]int)
			}
			paid[job.Worker][v.Outcome]++
		}
		for worker, name := range workers {
			earned, not := paid[worker][projections.Paid], paid[worker][projections.NotPaid]
			switch name {
			case unprovenWorker:
				if earned > 0 || not == 0 {
					t.Errorf("%s was paid for %d jobs, not for %d", name, earned, not)
				}
			case outdatedWorker: // before its image was retired, and when it had passed with another
				if earned == 0 || not == 0 {
					t.Errorf("%s was paid for %d jobs, not for %d", name, earned, not)
				}
			case tardyWorker:
				if earned == 0 {
					t.Errorf("%s was paid for %d jobs", name, earned)
				}
			}
		}
		return nil
	})
}

// TestTheDemoShowsScoresAndPrices: each provider has a score with its inputs, each model a market.
func TestTheDemoShowsScoresAndPrices(t *testing.T) {
	t.Parallel()
	folder := sharedDemo.folder(t)
	if len(sharedDemo.result.Standings) != len(demoProviders) {
		t.Errorf("scores: %+v", sharedDemo.result.Standings)
	}
	var heldBack domain.Nano
	for _, s := range sharedDemo.result.Standings {
		if s.ScorePPM <= 0 || s.ScorePPM >= 1_000_000 || s.Completed == 0 {
			t.Errorf("%+v", s)
		}
		heldBack += s.HeldBack
	}
	if heldBack == 0 {
		t.Error("nothing was ever held back")
	}
	models := map[domain.ModelID]bool{}
	for _, m := range sharedDemo.result.Market {
		models[m.Model] = true
		if m.Active == 0 || m.Lowest == 0 || m.Lowest > m.Median || m.Median > m.Highest {
			t.Errorf("%+v", m)
		}
		if m.Cleared > 0 && (m.ClearedCoefficient < int64(m.Lowest) || m.ClearedCoefficient > int64(m.Highest) || m.PerMillion == 0 || m.Busy == 0) {
			t.Errorf("%+v", m)
		}
	}
	if len(models) != len(demoModels) {
		t.Errorf("%d models have a market", len(models))
	}
	read(t, folder, func(ctx context.Context, r projections.Reader) error {
		for _, p := range sharedDemo.result.Providers {
			standings, err := r.Standings(ctx, v1.SubjectKind_SUBJECT_KIND_PROVIDER, p.Provider)
			if err != nil || len(standings) == 0 {
				t.Errorf("%s has no standing: %v", p.Name, err)
			}
		}
		for image, err := range projections.RowsOf(ctx, r, projections.RetiredImages) {
			if err != nil || image.Retired.AtMs == 0 || image.Reason == "" {
				t.Errorf("%+v (%v)", image, err)
			}
		}
		return nil
	})
}
