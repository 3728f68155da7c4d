package projectionstest

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/projections"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// Readable is a store that answers questions.
type Readable interface {
	projections.Store
	projections.Source
}

// ExerciseReader asks a store every question about the Story.
func ExerciseReader(t *testing.T, open func(t *testing.T) Readable) {
	t.Helper()
	story, store := NewStory(t), open(t)
	ctx := Context(t)
	if err := projections.FoldTo(ctx, story, store, story.Cut(), projections.All()...); err != nil {
		t.Fatalf("fold: %v", err)
	}
	for name, test := range map[string]func(context.Context, *testing.T, *Story, projections.Reader){
		"AnswersNameTheirPlaceInTheLog":       answersNameTheirPlace,
		"NothingUnknownIsAnsweredWithNothing": nothingUnknownIsAnswered,
		"BalancesNowAndAtAPastTime":           balancesNowAndThen,
		"TheTrialBalanceIsZero":               theTrialBalanceIsZero,
		"PastTrialBalancesAreTheJournals":     pastTrialBalancesAreWhatTheJournalSays,
		"AJournalIsReadPageByPage":            aJournalIsReadPageByPage,
		"UsageIsSummedAsAsked":                usageIsSummedAsAsked,
		"SumsOfUsageAreWhatTheHoursSay":       sumsOfUsageAreWhatTheHoursSay,
		"JobsAreListedAsAsked":                jobsAreListedAsAsked,
		"ListsComeInPages":                    listsComeInPages,
		"WhoTakesPart":                        whoTakesPart,
		"ReasonsAreCountedByHour":             reasonsAreCountedByHour,
		"ProvidersHaveOneLineEach":            providersHaveOneLineEach,
		"RejectionsAreCountedByReason":        rejectionsAreCounted,
		"BatchesAndPayouts":                   batchesAndPayouts,
		"ReportsAndSequences":                 reportsAndSequences,
		"StandingsAndHeldPay":                 standingsAndHeldPay,
		"ScoresShowTheirInputs":               scoresShowTheirInputs,
		"HowAttestationsStand":                howAttestationsStand,
		"TheMarketHourByHour":                 theMarketHourByHour,
		"WhyOfEveryJob":                       whyOfEveryJob,
		"WhyOfReports":                        whyOfReports,
		"WhyOfProviders":                      whyOfProviders,
	} {
		t.Run(name, func(t *testing.T) {
			if err := store.Read(ctx, func(r projections.Reader) error {
				test(ctx, t, story, r)
				return nil
			}); err != nil {
				t.Fatalf("read: %v", err)
			}
		})
	}
	// What the Story does not tell apart has rows of its own.
	t.Run("NamesAndIDsAreFoundByHowTheyBegin", func(t *testing.T) { namesAreFoundByHowTheyBegin(ctx, t, open(t)) })
	t.Run("AnOfferOfWhoIsOutOfServiceIsInForceNowhere", func(t *testing.T) {
		anOfferOfWhoIsOutOfServiceIsInForceNowhere(ctx, t, open(t))
	})
}

// must is for questions that have an answer.
func must[T any](t *testing.T) func(T, error) T {
	return func(answer T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
}

func answersNameTheirPlace(ctx context.Context, t *testing.T, story *Story, r projections.Reader) {
	if cut := must[projections.Checkpoint](t)(r.At(ctx)).Cut(); !slices.Equal(cut, story.Cut()) {
		t.Errorf("answers are from %v, want %v", cut, story.Cut())
	}
}

func nothingUnknownIsAnswered(ctx context.Context, t *testing.T, _ *Story, r projections.Reader) {
	nobody := ID[[32]byte]("nobody")
	questions := map[string]error{}
	_, questions["balance"] = r.Balance(ctx, Available, nobody)
	_, questions["balance of another kind"] = r.Balance(ctx, Held, ID[[32]byte]("acc-tg"))
	_, questions["balance at a time"] = r.BalanceAt(ctx, Available, nobody, StartMs)
	_, questions["balances"] = r.BalancesOf(ctx, nobody)
	_, questions["journal"] = r.Journal(ctx, Available, nobody, projections.JournalLine{}, 10)
	_, questions["job"] = r.Job(ctx, nobody)
	_, questions["batch"] = r.Batch(ctx, 99)
	_, questions["payout"] = r.Payout(ctx, nobody)
	_, questions["report"] = r.Report(ctx, projections.ReportKey{Signer: nobody, Shard: 1, Sequence: 1})
	_, questions["standing"] = r.Standings(ctx, v1.SubjectKind_SUBJECT_KIND_WORKER, nobody)
	_, questions["standing of another kind"] = r.Standings(ctx, v1.SubjectKind_SUBJECT_KIND_PROVIDER, ID[[32]byte]("w3"))
	_, questions["hold"] = r.Hold(ctx, ID[domain.JobID]("job-paid"))
	_, questions["holdback"] = r.Holdback(ctx, projections.HoldbackKey{Provider: nobody, Shard: 1, BucketMs: 1})
	_, questions["word on an attestation"] = r.AttestationAt(ctx, ID[domain.WorkerID]("w1"), 1)
	_, questions["worker"] = r.Worker(ctx, nobody)
	_, questions["score"] = projections.ScoreOf(ctx, r, nobody, StartMs)
	_, questions["trust"] = r.Trust(ctx, nobody)
	_, questions["retired image"] = r.RetiredImage(ctx, nobody)
	_, questions["provider"] = r.Provider(ctx, nobody)
	_, questions["why a job"] = projections.WhyJob(ctx, r, nobody)
	for question, err := range questions {
		if !errors.Is(err, projections.ErrNotFound) {
			t.Errorf("%s of nobody: error is %v, want ErrNotFound", question, err)
		}
	}
	if _, err := r.Journal(ctx, Available, ID[[32]byte]("acc-tg"), projections.JournalLine{}, projections.MaxRows+1); err == nil {
		t.Error("a page above MaxRows is no error")
	}
}

func balancesNowAndThen(ctx context.Context, t *testing.T, story *Story, r projections.Reader) {
	account := ID[[32]byte]("acc-tg")
	if b := must[projections.Balance](t)(r.Balance(ctx, Available, account)); b.Amount != 984_000 {
		t.Errorf("acc-tg has %d now", b.Amount)
	}
	lines := must[[]projections.JournalLine](t)(r.Journal(ctx, Available, account, projections.JournalLine{}, 100))
	var sum domain.Nano
	for i, line := range lines {
		sum += line.Amount
		if i+1 < len(lines) && lines[i+1].AtMs == line.AtMs {
			continue // not the last of its moment
		}
		if have := must[domain.Nano](t)(r.BalanceAt(ctx, Available, account, line.AtMs)); have != sum {
			t.Errorf("at %d acc-tg had %d, the journal says %d", line.AtMs, have, sum)
		}
	}
	nextMonth := domain.NextMonth(story.NowMs)
	for atMs, want := range map[int64]domain.Nano{
		StartMs: 0, story.Noon: 1_000_000, story.NowMs + 1e9: 984_000, nextMonth - 1: 984_000, nextMonth: 984_000, nextMonth + projections.DayMs: 984_000,
	} {
		if have := must[domain.Nano](t)(r.BalanceAt(ctx, Available, account, atMs)); have != want {
			t.Errorf("at %d acc-tg had %d, want %d", atMs, have, want)
		}
	}
}

// pastTrialBalancesAreWhatTheJournalSays asks just before, at and after each posting, and where its minute, hour, day and month end.
func pastTrialBalancesAreWhatTheJournalSays(ctx context.Context, t *testing.T, story *Story, r projections.Reader) {
	var lines []projections.JournalLine
	moments := map[int64]bool{0: true, StartMs: true, math.MaxInt64: true, domain.NextMonth(story.NowMs) - 1: true, domain.NextMonth(story.NowMs): true}
	for line, err := range projections.RowsOf(ctx, r, projections.Journal) {
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, line)
		since := projections.SinceOf(line.AtMs)
		for _, atMs := range []int64{line.AtMs, since.MinuteMs + projections.MinuteMs, since.HourMs + projections.HourMs, since.DayMs + projections.DayMs} {
			moments[atMs-1], moments[atMs], moments[atMs+1] = true, true, true
		}
	}
	for atMs := range moments {
		want, have := map[string]domain.Nano{}, map[string]domain.Nano{}
		for _, line := range lines {
			if line.AtMs <= atMs {
				want[line.Kind] += line.Amount
			}
		}
		for _, line := range must[[]projections.TrialLine](t)(r.TrialBalanceAt(ctx, atMs)) {
			have[line.Kind] = line.Amount
		}
		if !maps.Equal(have, want) {
			t.Errorf("at %d accounts held %v, the journal says %v", atMs, have, want)
		}
	}
}

func theTrialBalanceIsZero(ctx context.Context, t *testing.T, _ *Story, r projections.Reader) {
	kinds := must[[]projections.KindTotal](t)(r.TrialBalance(ctx))
	var sum domain.Nano
	for _, kind := range kinds {
		sum += kind.Amount
	}
	if sum != 0 || len(kinds) != 9 {
		t.Errorf("%d kinds sum to %d: %v", len(kinds), sum, kinds)
	}
}

func aJournalIsReadPageByPage(ctx context.Context, t *testing.T, _ *Story, r projections.Reader) {
	account := ID[[32]byte]("acc-tg")
	whole := must[[]projections.JournalLine](t)(r.Journal(ctx, Available, account, projections.JournalLine{}, 100))
	var pages []projections.JournalLine
	var last projections.JournalLine
	for {
		page := must[[]projections.JournalLine](t)(r.Journal(ctx, Available, account, last, 4))
		if len(page) == 0 {
			break
		}
		pages, last = append(pages, page...), page[len(page)-1]
	}
	if len(whole) != 17 || !slices.Equal(pages, whole) {
		t.Errorf("%d lines in pages, %d at once, want 17", len(pages), len(whole))
	}
	if first := whole[0]; first.What != "account_funded" || first.Amount != 1_000_000 {
		t.Errorf("the first line is %+v", first)
	}
}

func usageIsSummedAsAsked(ctx context.Context, t *testing.T, story *Story, r projections.Reader) {
	all := must[[]projections.Usage](t)(r.UsageTotals(ctx, projections.UsageFilter{}, projections.UsageBy{}))
	if len(all) != 1 || all[0].Completed != 11 || all[0].Failed != 1 || all[0].Cancelled != 1 || all[0].Expired != 1 ||
		all[0].Tokens != (projections.Tokens{Prompt: 4800, Cached: 800, Completion: 7200, Reasoning: 400}) ||
		all[0].Charge != 22_000 || all[0].WorkerPart != 11_000 || all[0].Commission != 11_000 || all[0].AdjustedTokens != 12_000 {
		t.Errorf("in all: %+v", all)
	}
	byProvider := must[[]projections.Usage](t)(r.UsageTotals(ctx, projections.UsageFilter{}, projections.UsageBy{Provider: true}))
	if len(byProvider) != 4 || byProvider[0].Provider != (domain.ProviderID{}) || byProvider[0].Cancelled != 1 ||
		byProvider[1].Provider != ID[domain.ProviderID]("prov-a") || byProvider[1].Completed != 6 || byProvider[2].Completed != 1 || byProvider[3].Completed != 4 {
		t.Errorf("by provider: %+v", byProvider)
	}
	filtered := must[[]projections.Usage](t)(r.UsageTotals(ctx, projections.UsageFilter{
		FromMs: StartMs, ToMs: story.NowMs + projections.HourMs, Client: ID[domain.ClientID]("other"),
		Model: ID[domain.ModelID]("qwen"), Provider: ID[domain.ProviderID]("prov-b"),
	}, projections.UsageBy{Client: true, Model: true}))
	if len(filtered) != 1 || filtered[0].Completed != 1 || filtered[0].Client != ID[domain.ClientID]("other") {
		t.Errorf("of one client: %+v", filtered)
	}
	if before := must[[]projections.Usage](t)(r.UsageTotals(ctx, projections.UsageFilter{ToMs: StartMs}, projections.UsageBy{})); before != nil {
		t.Errorf("before the start: %+v", before)
	}
}

func providersHaveOneLineEach(ctx context.Context, t *testing.T, _ *Story, r projections.Reader) {
	have := must[[]projections.ProviderTotal](t)(r.ProviderTotals(ctx, projections.ProviderTotal{}, projections.MaxRows))
	want := []projections.ProviderTotal{
		{
			Provider: ID[domain.ProviderID]("prov-a"), Name: "Alpha", Workers: 1, Completed: 6,
			Tokens:         projections.Tokens{Prompt: 2400, Cached: 600, Completion: 3600, Reasoning: 300},
			AdjustedTokens: 6000, WorkerPart: 6000, Earned: 1000, Held: 1000, Payable: 1000, Committed: 1000, Paid: 1000,
		},
		{
			Provider: ID[domain.ProviderID]("prov-b"), Name: "Beta", Workers: 0, Completed: 1, Failed: 1,
			Tokens:         projections.Tokens{Prompt: 800, Cached: 200, Completion: 1200, Reasoning: 100},
			AdjustedTokens: 2000, WorkerPart: 1000, Committed: 700,
		},
		{
			Provider: ID[domain.ProviderID]("prov-c"), Name: "Gamma", Workers: 1, Completed: 4,
			Tokens:         projections.Tokens{Prompt: 1600, Completion: 2400},
			AdjustedTokens: 4000, WorkerPart: 4000, Held: 1000, Payable: 1900,
		},
	}
	if !slices.Equal(have, want) {
		t.Errorf("the lines are\n%+v\nwant\n%+v", have, want)
	}
}

func rejectionsAreCounted(ctx context.Context, t *testing.T, _ *Story, r projections.Reader) {
	want := []projections.ReasonTotal{
		{Reason: "bad_signature", Count: 1}, {Reason: "duplicate_report", Count: 1},
		{Reason: "unknown_job", Count: 1}, {Reason: "wrong_job_state", Count: 1},
	}
	if have := must[[]projections.ReasonTotal](t)(r.RejectionTotals(ctx, 0, math.MaxInt64)); !slices.Equal(have, want) {
		t.Errorf("in all: %v", have)
	}
	if have := must[[]projections.ReasonTotal](t)(r.RejectionsOfProvider(ctx, ID[domain.ProviderID]("prov-a"))); !slices.Equal(have, want) {
		t.Errorf("of prov-a: %v", have)
	}
	if have := must[[]projections.ReasonTotal](t)(r.RejectionsOfProvider(ctx, ID[domain.ProviderID]("prov-b"))); have != nil {
		t.Errorf("of prov-b: %v", have)
	}
}

func batchesAndPayouts(ctx context.Context, t *testing.T, _ *Story, r projections.Reader) {
	var states []string
	for _, batch := range must[[]projections.Batch](t)(r.BatchesBelow(ctx, math.MaxUint32, 100)) {
		states = append(states, batch.State)
	}
	if !slices.Equal(states, []string{"proposed", "vetoed", "activated"}) {
		t.Errorf("the batches are %v", states)
	}
	third := must[projections.BatchDetail](t)(r.Batch(ctx, 3))
	lines := must[[]projections.BatchLine](t)(r.LinesOf(ctx, 3, domain.ProviderID{}, 100))
	if len(third.Cuts) != StoryShards || len(lines) != 2 || lines[0].Cumulative != 2000 || lines[1].Delta != 700 {
		t.Errorf("batch 3 is %+v, its lines are %+v", third, lines)
	}
	edge := domain.Position{Shard: Shard1, Offset: third.Cuts[Shard1].Ledger} // the first that it does not count
	if line, err := r.FirstLine(ctx, ID[domain.ProviderID]("prov-a"), edge); !errors.Is(err, projections.ErrNotFound) {
		t.Errorf("what lies beyond all cuts is in %+v (%v)", line, err)
	}
	edge.Offset--
	if line := must[projections.BatchLine](t)(r.FirstLine(ctx, ID[domain.ProviderID]("prov-a"), edge)); line.Number != 3 {
		t.Errorf("the last that batch 3 counts is in %+v", line)
	}
	payout := must[projections.Payout](t)(r.Payout(ctx, ID[domain.ProviderID]("prov-a")))
	if payout.Committed != 2000 || payout.Paid != 1000 || payout.Payments != 2 || payout.LastBatch != 3 {
		t.Errorf("the payout of prov-a is %+v", payout)
	}
	payments := must[[]projections.Payment](t)(r.PaymentsTo(ctx, ID[domain.ProviderID]("prov-a"), math.MaxInt64, 100))
	if len(payments) != 2 || payments[0].Amount != 600 {
		t.Errorf("the payments to prov-a are %+v", payments)
	}
	for _, reached := range []struct {
		amount domain.Nano
		lt     uint64
	}{{1, 23}, {400, 23}, {401, 24}, {1000, 24}} {
		payment := must[projections.Payment](t)(r.PaymentReaching(ctx, ID[domain.ProviderID]("prov-a"), reached.amount))
		if payment.LT != reached.lt {
			t.Errorf("%d was reached with payment %d, want %d", reached.amount, payment.LT, reached.lt)
		}
	}
	if _, err := r.PaymentReaching(ctx, ID[domain.ProviderID]("prov-a"), 1001); !errors.Is(err, projections.ErrNotFound) {
		t.Errorf("what was not reached gives %v", err)
	}
}

func reportsAndSequences(ctx context.Context, t *testing.T, story *Story, r projections.Reader) {
	key := projections.ReportKey{Signer: ID[domain.KeyID]("w1 key"), Shard: Shard1, Sequence: story.Reports["half"]}
	if report := must[projections.Report](t)(r.Report(ctx, key)); report.Accepted != 1 || report.Rejected != 1 {
		t.Errorf("the report is %+v", report)
	}
	// The refused copy came later and has not taken the place of the report.
	key.Sequence = story.Reports["job-paid: complete"]
	if report := must[projections.Report](t)(r.Report(ctx, key)); report.Accepted != 1 {
		t.Errorf("the report that was copied is %+v", report)
	}
	key.Sequence = story.Reports["forged"]
	if _, err := r.Report(ctx, key); !errors.Is(err, projections.ErrNotFound) {
		t.Errorf("a forged report gives %v", err)
	}
	if last := must[uint64](t)(r.LastSequence(ctx, key.Signer, Shard1)); last == 0 || last >= 900 {
		t.Errorf("the last sequence is %d", last)
	}
	if last := must[uint64](t)(r.LastSequence(ctx, ID[domain.KeyID]("nobody"), Shard1)); last != 0 {
		t.Errorf("the last sequence of nobody is %d", last)
	}
	accounts := must[[]projections.AccountTotal](t)(r.AccountsOf(ctx, ID[domain.ClientID]("tg"), domain.AccountID{}, 100))
	if len(accounts) != 1 || accounts[0].Shard != Shard1 {
		t.Errorf("the accounts of tg are %+v", accounts)
	}
}

func whyOfEveryJob(ctx context.Context, t *testing.T, _ *Story, r projections.Reader) {
	for job, want := range map[string]struct {
		outcome projections.Outcome
		reason  string
		amount  domain.Nano
		last    string // what the last fact of it says
	}{
		"job-paid":      {projections.Paid, "paid", 1000, "rejected"}, // somebody spoke of it once more when it was paid
		"job-promised":  {projections.Pending, "batch_proposed", 1000, "batch_proposed"},
		"job-shared":    {projections.Pending, "batch_proposed", 700, "batch_proposed"},
		"job-payable":   {projections.Pending, "payable", 1000, "earnings_matured"},
		"job-fresh":     {projections.Pending, "dispute_window", 1000, "job_completed"},
		"job-open":      {projections.Pending, "open", 0, "job_started"},
		"job-held":      {projections.Held, "disputed", 1000, "job_disputed"},
		"job-lost":      {projections.NotPaid, "dispute_lost", 1000, "dispute_resolved"},
		"job-cancelled": {projections.NotPaid, "nothing_charged", 0, "job_cancelled"},
		"job-expired":   {projections.NotPaid, "nothing_charged", 0, "job_expired"},
		"job-failed":    {projections.NotPaid, "nothing_charged", 0, "job_failed"},

		// The pay of these waited for their worker's attestation.
		"job-unattested": {projections.Held, "not_attested", 1000, "hold_extended"},
		"job-freed":      {projections.Pending, "payable", 1000, "holdback_released"},
		"job-refused":    {projections.NotPaid, "not_attested", 1000, "pay_refused"},
		"job-appealed":   {projections.Pending, "payable", 1000, "dispute_resolved"},

		"job-ghost": {projections.NotPaid, "unknown_job", 0, "rejected"},
	} {
		v := must[projections.Verdict](t)(projections.WhyJob(ctx, r, ID[domain.JobID](job)))
		if v.Outcome != want.outcome || v.Reason != want.reason || v.Amount != want.amount || v.Because == "" {
			t.Errorf("%s: %+v, want %+v", job, v, want)
			continue
		}
		if !slices.IsSortedFunc(v.Facts, func(a, b projections.Evidence) int { return cmp.Compare(a.AtMs, b.AtMs) }) {
			t.Errorf("%s: the facts are not in the order of log time: %+v", job, v.Facts)
		}
		if len(v.Facts) == 0 || !strings.HasPrefix(v.Facts[len(v.Facts)-1].What, want.last) {
			t.Errorf("%s: the last fact is not %s: %+v", job, want.last, v.Facts)
		}
	}
}

func whyOfReports(ctx context.Context, t *testing.T, story *Story, r projections.Reader) {
	for _, want := range []struct {
		signer, name string
		outcome      projections.Outcome
		reason       string
	}{
		{"w1 key", "job-paid: complete", projections.Paid, "paid"},
		{"w1 key", "job-held: complete", projections.Held, "disputed"},
		{"w1 key", "job-fresh: complete", projections.Pending, "dispute_window"},
		{"w3 key", "job-refused: complete", projections.NotPaid, "not_attested"},
		{"w1 key", "ghost", projections.NotPaid, "unknown_job"},
		{"w1 key", "half", projections.Booked, "booked"},
		{"w1 key", "forged", projections.NotPaid, "bad_signature"},
		{"clock", "mature 1", projections.Booked, "booked"},
	} {
		key := projections.ReportKey{Signer: ID[domain.KeyID](want.signer), Shard: Shard1, Sequence: story.Reports[want.name]}
		v := must[projections.Verdict](t)(projections.WhyReport(ctx, r, story, key))
		if v.Outcome != want.outcome || v.Reason != want.reason {
			t.Errorf("report %q: %+v, want %s, %s", want.name, v, want.outcome, want.reason)
		}
	}
	key := projections.ReportKey{Signer: ID[domain.KeyID]("w1 key"), Shard: Shard2, Sequence: 1}
	if _, err := projections.WhyReport(ctx, r, story, key); !errors.Is(err, projections.ErrNotFound) {
		t.Errorf("a report that nobody made gives %v", err)
	}
}

func whyOfProviders(ctx context.Context, t *testing.T, _ *Story, r projections.Reader) {
	v, pay, err := projections.WhyProvider(ctx, r, ID[domain.ProviderID]("prov-a"))
	if err != nil || v.Outcome != projections.Pending || v.Amount != 3000 ||
		pay != (projections.ProviderPay{Earned: 1000, Held: 1000, Payable: 1000, Committed: 1000, Paid: 1000}) {
		t.Errorf("prov-a: %+v, %+v (%v)", v, pay, err)
	}
	if _, _, err := projections.WhyProvider(ctx, r, ID[domain.ProviderID]("nobody")); !errors.Is(err, projections.ErrNotFound) {
		t.Errorf("nobody gives %v", err)
	}
}
