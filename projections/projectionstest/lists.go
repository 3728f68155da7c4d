package projectionstest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"testing"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/projections"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// paged reads a list in pages of two, each behind the last row of the one before.
func paged[R any](t *testing.T, page func(last R, limit int) ([]R, error)) []R {
	t.Helper()
	var all []R
	var last R
	for {
		some := must[[]R](t)(page(last, 2))
		if all = append(all, some...); len(some) < 2 {
			return all
		}
		last = some[1]
	}
}

// picked are all rows of a model that are meant, in the order that is wanted.
func picked[K comparable, R any, P interface {
	*R
	projections.Row
}](ctx context.Context, t *testing.T, r projections.Reader, model *projections.Definition[K, R, P], meant func(R) bool, order func(a, b R) int) []R {
	t.Helper()
	var rows []R
	for row, err := range projections.RowsOf(ctx, r, model) {
		if err != nil {
			t.Fatal(err)
		}
		if meant(row) {
			rows = append(rows, row)
		}
	}
	slices.SortFunc(rows, order)
	return rows
}

// same compares what a store lists with what its rows say. An empty list proves little, so only some may be empty.
func same[R any](t *testing.T, what string, have, want []R) {
	t.Helper()
	if len(have) != len(want) || len(have) > 0 && !reflect.DeepEqual(have, want) {
		t.Errorf("%s:\n%+v\nwant\n%+v", what, have, want)
	}
}

// jobsAreListedAsAsked holds every filter against a look at each job.
func jobsAreListedAsAsked(ctx context.Context, t *testing.T, story *Story, r projections.Reader) {
	newest := func(a, b projections.Job) int {
		return cmp.Or(cmp.Compare(b.Submitted.AtMs, a.Submitted.AtMs), bytes.Compare(b.Job[:], a.Job[:]))
	}
	var filters []projections.JobFilter
	for _, of := range []projections.JobFilter{
		{}, {Client: ID[domain.ClientID]("tg")}, {Provider: ID[domain.ProviderID]("prov-a")}, {Worker: ID[domain.WorkerID]("w1")},
		{Model: ID[domain.ModelID]("qwen")}, {Client: ID[domain.ClientID]("nobody")},
	} {
		for _, state := range append([]string{""}, projections.JobStates()...) {
			of.State = state
			filters = append(filters, of)
		}
		of.State, of.FromMs, of.ToMs = "", StartMs+1, story.NowMs-projections.HourMs
		filters = append(filters, of)
		of.FromMs, of.ToMs = 0, 0
		for _, dispute := range []string{projections.DisputeOpen, projections.DisputeResolved} {
			if of.Dispute = dispute; of.Worker == (domain.WorkerID{}) && of.Model == (domain.ModelID{}) {
				filters = append(filters, of)
			}
		}
	}
	found := 0
	for _, f := range filters {
		want := picked(ctx, t, r, projections.Jobs, func(j projections.Job) bool {
			return (f.Client == (domain.ClientID{}) || j.Client == f.Client) && (f.Provider == (domain.ProviderID{}) || j.Provider == f.Provider) &&
				(f.Worker == (domain.WorkerID{}) || j.Worker == f.Worker) && (f.Model == (domain.ModelID{}) || j.Model == f.Model) &&
				(f.State == "" || j.State == f.State) && (f.Dispute == "" || j.Dispute == f.Dispute) &&
				j.Submitted.AtMs >= f.FromMs && (f.ToMs == 0 || j.Submitted.AtMs < f.ToMs)
		}, newest)
		found += len(want)
		same(t, fmt.Sprintf("jobs of %+v", f), paged(t, func(last projections.Job, limit int) ([]projections.Job, error) {
			return r.JobsLike(ctx, f, projections.JobPlace{SubmittedMs: last.Submitted.AtMs, Job: last.Job}, limit)
		}), want)
	}
	if found < 100 {
		t.Errorf("all filters together found %d jobs", found)
	}
	for _, f := range []projections.JobFilter{
		{State: "running"}, {Dispute: "lost"},
		{Dispute: projections.DisputeOpen, State: projections.JobCompleted}, {Dispute: projections.DisputeOpen, Worker: domain.WorkerID{1}},
	} {
		if jobs, err := r.JobsLike(ctx, f, projections.JobPlace{}, 10); err == nil {
			t.Errorf("%+v gives %d jobs", f, len(jobs))
		}
	}
	open := picked(ctx, t, r, projections.Jobs, func(j projections.Job) bool { return j.Closed.AtMs == 0 }, newest)
	if count := must[int64](t)(r.OpenJobs(ctx)); count != int64(len(open)) || count == 0 {
		t.Errorf("%d jobs are open, want %d", count, len(open))
	}
}

// sumsOfUsageAreWhatTheHoursSay holds every way of asking for usage against the hours one by one, whatever it is read from.
func sumsOfUsageAreWhatTheHoursSay(ctx context.Context, t *testing.T, story *Story, r projections.Reader) {
	day := story.NowMs - story.NowMs%projections.DayMs
	sources := map[projections.UsageSource]bool{}
	for _, span := range [][2]int64{{0, 0}, {StartMs, 0}, {day, day + projections.DayMs}, {0, day}, {StartMs + projections.HourMs, story.NowMs}} {
		for _, f := range []projections.UsageFilter{
			{}, {Client: ID[domain.ClientID]("tg")}, {Provider: ID[domain.ProviderID]("prov-a")}, {Model: ID[domain.ModelID]("qwen")},
			{Client: ID[domain.ClientID]("tg"), Provider: ID[domain.ProviderID]("prov-b")},
		} {
			f.FromMs, f.ToMs = span[0], span[1]
			for bits := range 32 {
				by := projections.UsageBy{Hour: bits&1 != 0, Day: bits&2 != 0, Model: bits&4 != 0, Provider: bits&8 != 0, Client: bits&16 != 0}
				if by.Hour && by.Day {
					continue
				}
				sources[f.Source(by)] = true
				same(t, fmt.Sprintf("usage of %+v by %+v", f, by), must[[]projections.Usage](t)(r.UsageTotals(ctx, f, by)), usageAsked(ctx, t, r, f, by))
			}
		}
	}
	if len(sources) < 12 {
		t.Errorf("only %d sums were asked: %v", len(sources), sources)
	}
	from, to := int64(StartMs-StartMs%projections.MinuteMs), story.NowMs+projections.MinuteMs
	all := must[[]projections.Usage](t)(r.UsageTotals(ctx, projections.UsageFilter{}, projections.UsageBy{}))
	if sum := must[projections.UsageSums](t)(r.UsageOfMinutes(ctx, from, to)); sum != all[0].UsageSums {
		t.Errorf("all minutes together have %+v, want %+v", sum, all[0].UsageSums)
	}
	if sum := must[projections.UsageSums](t)(r.UsageOfMinutes(ctx, 0, from)); sum != (projections.UsageSums{}) {
		t.Errorf("before the start there was %+v", sum)
	}
}

// usageAsked adds hours up.
func usageAsked(ctx context.Context, t *testing.T, r projections.Reader, f projections.UsageFilter, by projections.UsageBy) []projections.Usage {
	t.Helper()
	sums := map[projections.UsageKey]*projections.Usage{}
	var rows []projections.Usage
	for u, err := range projections.RowsOf(ctx, r, projections.UsageByHour) {
		if err != nil {
			t.Fatal(err)
		}
		if u.HourMs < f.FromMs || f.ToMs != 0 && u.HourMs >= f.ToMs || f.Model != (domain.ModelID{}) && u.Model != f.Model ||
			f.Provider != (domain.ProviderID{}) && u.Provider != f.Provider || f.Client != (domain.ClientID{}) && u.Client != f.Client {
			continue
		}
		key := projections.UsageKey{}
		switch {
		case by.Hour:
			key.HourMs = u.HourMs
		case by.Day:
			key.HourMs = u.HourMs - u.HourMs%projections.DayMs
		}
		if by.Model {
			key.Model = u.Model
		}
		if by.Provider {
			key.Provider = u.Provider
		}
		if by.Client {
			key.Client = u.Client
		}
		if sums[key] == nil {
			sums[key] = &projections.Usage{UsageKey: key}
		}
		sums[key].Add(u.UsageSums)
	}
	for _, u := range sums {
		rows = append(rows, *u)
	}
	slices.SortFunc(rows, func(a, b projections.Usage) int {
		return cmp.Or(cmp.Compare(a.HourMs, b.HourMs), bytes.Compare(a.Model[:], b.Model[:]),
			bytes.Compare(a.Provider[:], b.Provider[:]), bytes.Compare(a.Client[:], b.Client[:]))
	})
	return rows
}

// listsComeInPages holds the other lists against their tables, in pages of two.
func listsComeInPages(ctx context.Context, t *testing.T, _ *Story, r projections.Reader) {
	inLog := func(a, b projections.Attestation) int {
		return cmp.Or(cmp.Compare(b.Offset, a.Offset), cmp.Compare(b.Fact, a.Fact))
	}
	w3 := ID[domain.WorkerID]("w3")
	for _, f := range []projections.AttestationFilter{{}, {Worker: w3}, {What: "attestation_passed"}, {Worker: w3, What: "attestation_failed"}} {
		same(t, fmt.Sprintf("attestations of %+v", f), paged(t, func(last projections.Attestation, limit int) ([]projections.Attestation, error) {
			return r.AttestationsLike(ctx, f, last.AttestationKey, limit)
		}), picked(ctx, t, r, projections.Attestations, func(a projections.Attestation) bool {
			return (f.Worker == (domain.WorkerID{}) || a.Worker == f.Worker) && (f.What == "" || a.What == f.What)
		}, inLog))
	}
	qwen := ID[domain.ModelID]("qwen")
	same(t, "what was asked for qwen", paged(t, func(last projections.OfferChange, limit int) ([]projections.OfferChange, error) {
		return r.OfferChangesLike(ctx, qwen, domain.WorkerID{}, last.OfferChangeKey, limit)
	}), picked(ctx, t, r, projections.OfferHistory, func(c projections.OfferChange) bool { return c.Model == qwen },
		func(a, b projections.OfferChange) int {
			return cmp.Or(cmp.Compare(b.Offset, a.Offset), cmp.Compare(b.Fact, a.Fact))
		}))
	for _, f := range []projections.OfferKey{{}, {Model: qwen}, {Worker: ID[domain.WorkerID]("w1")}} {
		offers := paged(t, func(last projections.OfferTotal, limit int) ([]projections.OfferTotal, error) {
			return r.OffersLike(ctx, f, last.OfferKey, limit)
		})
		var bare []projections.Offer
		for _, o := range offers {
			worker, err := r.Worker(ctx, o.Worker)
			if err != nil && !errors.Is(err, projections.ErrNotFound) || worker.Provider != o.Provider {
				t.Errorf("the offer %+v is of %s", o, worker.Provider)
			}
			bare = append(bare, o.Offer)
		}
		same(t, fmt.Sprintf("offers of %+v", f), bare, picked(ctx, t, r, projections.Offers, func(o projections.Offer) bool {
			// The Story has offers of workers and of providers that it never registers: those are not retired.
			worker, _ := r.Worker(ctx, o.Worker)
			owner, _ := r.Provider(ctx, worker.Provider)
			return o.InForce(&worker, &owner) && (f.Model == (domain.ModelID{}) || o.Model == f.Model) && (f.Worker == (domain.WorkerID{}) || o.Worker == f.Worker)
		}, func(a, b projections.Offer) int {
			return cmp.Or(bytes.Compare(a.Worker[:], b.Worker[:]), bytes.Compare(a.Model[:], b.Model[:]))
		}))
	}
	available := projections.KindName(Available)
	same(t, "balances of a kind", paged(t, func(last projections.Balance, limit int) ([]projections.Balance, error) {
		after := &last.Owner
		if last.Kind == "" {
			after = nil
		}
		return r.BalancesOfKind(ctx, Available, after, limit)
	}), picked(ctx, t, r, projections.Balances, func(b projections.Balance) bool { return b.Kind == available },
		func(a, b projections.Balance) int { return bytes.Compare(a.Owner[:], b.Owner[:]) }))
	same(t, "batches", paged(t, func(last projections.Batch, limit int) ([]projections.Batch, error) {
		return r.BatchesBelow(ctx, cmp.Or(last.Number, math.MaxUint32), limit)
	}), picked(ctx, t, r, projections.Batches, func(projections.Batch) bool { return true },
		func(a, b projections.Batch) int { return cmp.Compare(b.Number, a.Number) }))
	prov := ID[domain.ProviderID]("prov-a")
	same(t, "lines for prov-a", paged(t, func(last projections.BatchLine, limit int) ([]projections.BatchLine, error) {
		return r.LinesFor(ctx, prov, cmp.Or(last.Number, math.MaxUint32), limit)
	}), picked(ctx, t, r, projections.BatchLines, func(l projections.BatchLine) bool { return l.Payee == prov },
		func(a, b projections.BatchLine) int { return cmp.Compare(b.Number, a.Number) }))
	account := ID[domain.AccountID]("acc-tg")
	same(t, "deposits of acc-tg", paged(t, func(last projections.Deposit, limit int) ([]projections.Deposit, error) {
		return r.DepositsOf(ctx, account, cmp.Or(last.LT, math.MaxInt64), limit)
	}), picked(ctx, t, r, projections.Deposits, func(d projections.Deposit) bool { return d.Account == account },
		func(a, b projections.Deposit) int { return cmp.Compare(b.LT, a.LT) }))
}

// whoTakesPart: totals are of the rows that they are about.
func whoTakesPart(ctx context.Context, t *testing.T, _ *Story, r projections.Reader) {
	providers := paged(t, func(last projections.ProviderTotal, limit int) ([]projections.ProviderTotal, error) {
		return r.ProviderTotals(ctx, last, limit)
	})
	same(t, "providers", providers, must[[]projections.ProviderTotal](t)(r.ProviderTotals(ctx, projections.ProviderTotal{}, 100)))
	for _, p := range providers {
		if one := must[projections.ProviderTotal](t)(r.ProviderTotal(ctx, p.Provider)); one != p {
			t.Errorf("by itself it is %+v, among others %+v", one, p)
		}
	}
	clients := paged(t, func(last projections.ClientTotal, limit int) ([]projections.ClientTotal, error) {
		return r.ClientTotals(ctx, last.Client.Client, limit)
	})
	var available domain.Nano
	for _, c := range clients {
		accounts := paged(t, func(last projections.AccountTotal, limit int) ([]projections.AccountTotal, error) {
			return r.AccountsOf(ctx, c.Client.Client, last.Account.Account, limit)
		})
		sum := projections.ClientTotal{Client: c.Client, Accounts: int64(len(accounts))}
		for _, a := range accounts {
			sum.Available, sum.Reserved = sum.Available+a.Available, sum.Reserved+a.Reserved
		}
		if c != sum {
			t.Errorf("the client is %+v, its accounts are %+v", c, sum)
		}
		available += c.Available
	}
	for _, kind := range must[[]projections.KindTotal](t)(r.TrialBalance(ctx)) {
		if kind.Kind == projections.KindName(Available) && kind.Amount != available {
			t.Errorf("clients have %d together, the trial balance %d", available, kind.Amount)
		}
	}
	workers := paged(t, func(last projections.WorkerTotal, limit int) ([]projections.WorkerTotal, error) {
		return r.WorkerTotals(ctx, domain.ProviderID{}, last.Worker.Worker, limit)
	})
	active := int64(0)
	for _, w := range workers {
		if w.RetiredAtMs == 0 {
			active++
		}
		standings, _ := r.Standings(ctx, v1.SubjectKind_SUBJECT_KIND_WORKER, w.Worker.Worker) // none: nobody has judged it
		if w.JudgedBy != int64(len(standings)) {
			t.Errorf("%+v was judged by %d shards", w, len(standings))
		}
		for _, s := range standings {
			if s.ScorePPM < w.ScorePPM || s.SuspendedUntilMs > w.SuspendedUntilMs {
				t.Errorf("%+v, and a shard says %+v", w, s)
			}
		}
	}
	parties := must[projections.Parties](t)(r.Parties(ctx))
	counted := projections.Parties{Providers: int64(len(providers)), Workers: active, Clients: int64(len(clients))}
	if parties != counted || active == 0 || active == int64(len(workers)) {
		t.Errorf("%d providers, %d of %d workers, %d clients are counted as %+v", len(providers), active, len(workers), len(clients), parties)
	}
	models := map[string]string{}
	for _, m := range paged(t, func(last projections.ModelTotal, limit int) ([]projections.ModelTotal, error) {
		return r.ModelTotals(ctx, last.Model, limit)
	}) {
		models[m.Name] = fmt.Sprintf("%d offers, %d to %d, at %d", m.Offers, m.Lowest, m.Highest, m.Card.PricePerToken)
	}
	if want := map[string]string{"Qwen/Qwen3@1:2": "4 offers, 900 to 4000, at 2"}; !maps.Equal(models, want) {
		t.Errorf("the models are %v", models)
	}
	out := must[projections.Turnover](t)(r.Moved(ctx, VaultCash, [32]byte{}))
	cash := must[projections.Balance](t)(r.Balance(ctx, VaultCash, [32]byte{}))
	if out.In-out.Out != cash.Amount || out.Postings != cash.Postings || out.In == 0 {
		t.Errorf("what moved is %+v, the balance %+v", out, cash)
	}
}

// reasonsAreCountedByHour: what is rejected in a span of hours.
func reasonsAreCountedByHour(ctx context.Context, t *testing.T, story *Story, r projections.Reader) {
	for _, span := range [][2]int64{{0, math.MaxInt64}, {StartMs, story.Noon}, {story.Noon - story.Noon%projections.HourMs, math.MaxInt64}} {
		counts := map[string]int64{}
		for row, err := range projections.RowsOf(ctx, r, projections.Rejections) {
			if err != nil {
				t.Fatal(err)
			}
			if hour := row.AtMs - row.AtMs%projections.HourMs; hour >= span[0] && hour < span[1] {
				counts[row.Reason]++
			}
		}
		have := map[string]int64{}
		for _, total := range must[[]projections.ReasonTotal](t)(r.RejectionTotals(ctx, span[0], span[1])) {
			have[total.Reason] = total.Count
		}
		if !reflect.DeepEqual(have, counts) {
			t.Errorf("from %d to %d: %v, want %v", span[0], span[1], have, counts)
		}
	}
}
