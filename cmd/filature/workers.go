package main

import (
	"context"
	"fmt"
	"time"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/projections"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// workersCmd lists who may earn.
type workersCmd struct {
	Data string `required:"true" type:"existingdir" help:"Folder that serve or demo made. It may be in use."`
	All  bool   `help:"Those that have retired, too."`
	JSON bool   `help:"Print JSON."`
}

type workersReport struct {
	Workers []workerLine    `json:"workers"`
	AsOf    []domain.Offset `json:"as_of"` // as explanation.AsOf
}

// workerLine is one worker: whether it is attested, and what hangs on it.
type workerLine struct {
	Worker    domain.WorkerID `json:"worker"`
	Provider  string          `json:"provider_name"`
	Trust     *workerTrust    `json:"attestation"`
	ScorePPM  *int64          `json:"score_ppm,omitempty"` // over all shards; none has judged it where it is missing
	Suspended *time.Time      `json:"suspended_until,omitempty"`
	HeldJobs  int64           `json:"held_jobs"` // pay that waits
	Held      domain.Nano     `json:"held_nano"`
	Retired   *time.Time      `json:"retired_at,omitempty"`
}

// Run asks the folder's projections.
func (c *workersCmd) Run(ctx context.Context, out *console) error {
	result := workersReport{Workers: []workerLine{}}
	var err error
	result.AsOf, err = readFolder(ctx, c.Data, func(r projections.Reader) error {
		return c.collect(ctx, r, &result)
	})
	if err != nil {
		return err
	}
	if c.JSON {
		return out.json(result)
	}
	var rows [][]string
	for _, w := range result.Workers {
		rows = append(rows, w.cells())
	}
	out.table([]string{"worker", "provider", "attestation", "until (UTC)", "score", "jobs held", "held, coins", "suspended", "retired"}, rows, nil)
	fmt.Fprintf(out.out, "\nAs of ledger %v.\n", result.AsOf)
	return nil
}

func (c *workersCmd) collect(ctx context.Context, r projections.Reader, result *workersReport) error {
	held := map[domain.WorkerID]projections.HoldTotal{}
	totals, err := r.HoldTotals(ctx, domain.WorkerID{}, projections.HoldTotal{}, projections.MaxRows)
	if err != nil {
		return err
	}
	for _, t := range totals {
		if t.State == projections.HoldWaiting {
			sum := held[t.Worker]
			sum.Jobs, sum.Amount = sum.Jobs+t.Jobs, sum.Amount+t.Amount
			held[t.Worker] = sum
		}
	}
	standings := map[[32]byte][]projections.Standing{}
	for s, err := range projections.RowsOf(ctx, r, projections.Standings) {
		if err != nil {
			return err
		}
		if s.Kind == projections.SubjectName(v1.SubjectKind_SUBJECT_KIND_WORKER) {
			standings[s.Subject] = append(standings[s.Subject], s)
		}
	}
	names := map[domain.ProviderID]string{}
	for p, err := range projections.RowsOf(ctx, r, projections.Providers) {
		if err != nil {
			return err
		}
		names[p.Provider] = p.Name
	}
	now := time.Now().UnixMilli()
	for w, err := range projections.RowsOf(ctx, r, projections.Workers) {
		if err != nil {
			return err
		}
		if w.RetiredAtMs != 0 && !c.All {
			continue
		}
		trust, err := projections.TrustAt(ctx, r, w.Worker, now)
		if err != nil {
			return err
		}
		line := workerLine{
			Worker: w.Worker, Provider: names[w.Provider], Trust: trustOf(&trust), Retired: timeOf(w.RetiredAtMs),
			HeldJobs: held[w.Worker].Jobs, Held: held[w.Worker].Amount,
		}
		line.judge(standings[w.Worker])
		result.Workers = append(result.Workers, line)
	}
	return nil
}

// judge takes in what the shards go by.
func (w *workerLine) judge(standings []projections.Standing) {
	if len(standings) == 0 {
		return
	}
	score, until := projections.ScoreOver(standings), int64(0)
	for i := range standings {
		until = max(until, standings[i].SuspendedUntilMs)
	}
	w.ScorePPM, w.Suspended = &score, timeOf(until)
}

func (w *workerLine) cells() []string {
	when := func(at *time.Time) string {
		if at == nil {
			return ""
		}
		return at.Format(time.DateTime)
	}
	score := ""
	if w.ScorePPM != nil {
		score = permille(*w.ScorePPM)
	}
	return []string{
		w.Worker.String(), w.Provider, w.Trust.State, when(w.Trust.Until), score, count(w.HeldJobs), w.Held.String(), when(w.Suspended), when(w.Retired),
	}
}
