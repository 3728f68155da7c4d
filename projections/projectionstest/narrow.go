package projectionstest

import (
	"context"
	"fmt"
	"math"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/projections"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// Growing are the models whose rows become more with every job or every hour, for ever. The others have as many as there
// are parties, accounts, models and offers.
func Growing() []projections.Model {
	return []projections.Model{
		projections.Movements, projections.Journal, projections.Jobs, projections.UsageByHour, projections.UsageSummed, projections.WorkByHour,
		projections.Deposits, projections.Batches, projections.BatchCuts, projections.BatchLines, projections.Payments, projections.Maturities,
		projections.Reports, projections.Rejections, projections.Reasons, projections.OfferHistory,
		projections.Holds, projections.Holdbacks, projections.HoldExtensions, projections.Attestations,
		projections.WorkerDays, projections.ClientDays, projections.MonthFlows, projections.KindFlows,
	}
}

// Owned is the account that a narrow question about postings is asked of: a store has to have it.
type Owned struct {
	Kind  v1.AccountKind
	Owner [32]byte
}

// WideQuestions are about all that there is, and read as much: where the reader is, whole tables, and an accountants' one.
func WideQuestions() []string {
	return []string{"At", "Checkpoint", "Rows", "Postings"}
}

// NarrowQuestions are all others, each in the ways that pages ask it, by the method and what it is asked of. Each must be
// answered without reading all of a table that grows.
func NarrowQuestions(ctx context.Context, of Owned) map[string]func(projections.Reader) (any, error) {
	const rows = 101
	job, worker, model := domain.JobID{1}, domain.WorkerID{1}, domain.ModelID{1}
	provider, client, account := domain.ProviderID{1}, domain.ClientID{1}, domain.AccountID{1}
	key := projections.ReportKey{Signer: [32]byte{1}, Shard: 1, Sequence: 7}
	day := projections.MarketFilter{FromMs: projections.DayMs, ToMs: 2 * projections.DayMs}
	questions := map[string]func(projections.Reader) (any, error){
		"Balance":        func(r projections.Reader) (any, error) { return r.Balance(ctx, Available, of.Owner) },
		"BalanceAt":      func(r projections.Reader) (any, error) { return r.BalanceAt(ctx, of.Kind, of.Owner, 5_000_000) },
		"BalancesOf":     func(r projections.Reader) (any, error) { return r.BalancesOf(ctx, of.Owner) },
		"BalancesOfKind": func(r projections.Reader) (any, error) { return r.BalancesOfKind(ctx, of.Kind, &of.Owner, rows) },
		"Moved":          func(r projections.Reader) (any, error) { return r.Moved(ctx, of.Kind, of.Owner) },
		"TrialBalance":   func(r projections.Reader) (any, error) { return r.TrialBalance(ctx) },
		"TrialBalanceAt": func(r projections.Reader) (any, error) { return r.TrialBalanceAt(ctx, 5_000_000) },
		"Journal": func(r projections.Reader) (any, error) {
			return r.Journal(ctx, of.Kind, of.Owner, projections.JournalLine{}, rows)
		},
		"DepositsOf": func(r projections.Reader) (any, error) { return r.DepositsOf(ctx, account, math.MaxInt64, rows) },

		"Job":            func(r projections.Reader) (any, error) { return r.Job(ctx, job) },
		"OpenJobs":       func(r projections.Reader) (any, error) { return r.OpenJobs(ctx) },
		"UsageOfMinutes": func(r projections.Reader) (any, error) { return r.UsageOfMinutes(ctx, 0, projections.DayMs) },
		"Provider":       func(r projections.Reader) (any, error) { return r.Provider(ctx, provider) },
		"ProviderTotal":  func(r projections.Reader) (any, error) { return r.ProviderTotal(ctx, provider) },
		"ProviderTotals": func(r projections.Reader) (any, error) {
			return r.ProviderTotals(ctx, projections.ProviderTotal{Name: "a"}, rows)
		},
		"ClientTotals": func(r projections.Reader) (any, error) { return r.ClientTotals(ctx, client, rows) },
		"Account":      func(r projections.Reader) (any, error) { return r.Account(ctx, account) },
		"AccountsOf":   func(r projections.Reader) (any, error) { return r.AccountsOf(ctx, client, account, rows) },
		"Parties":      func(r projections.Reader) (any, error) { return r.Parties(ctx) },

		"BatchesBelow":   func(r projections.Reader) (any, error) { return r.BatchesBelow(ctx, math.MaxUint32, rows) },
		"Batch":          func(r projections.Reader) (any, error) { return r.Batch(ctx, 77) },
		"LinesOf":        func(r projections.Reader) (any, error) { return r.LinesOf(ctx, 77, provider, rows) },
		"MonthsBegun":    func(r projections.Reader) (any, error) { return r.MonthsBegun(ctx, projections.DayMs) },
		"WorkerDaysOf":   func(r projections.Reader) (any, error) { return r.WorkerDaysOf(ctx, provider, day.FromMs, day.ToMs) },
		"ClientDaysOf":   func(r projections.Reader) (any, error) { return r.ClientDaysOf(ctx, client, day.FromMs, day.ToMs) },
		"DepositsIn":     func(r projections.Reader) (any, error) { return r.DepositsIn(ctx, client, day.FromMs, day.ToMs) },
		"LinesTo":        func(r projections.Reader) (any, error) { return r.LinesTo(ctx, provider) },
		"PaymentsBefore": func(r projections.Reader) (any, error) { return r.PaymentsBefore(ctx, provider, day.ToMs) },
		"LinesFor":       func(r projections.Reader) (any, error) { return r.LinesFor(ctx, provider, 99, rows) },
		"Payout":         func(r projections.Reader) (any, error) { return r.Payout(ctx, provider) },
		"PaymentsTo":     func(r projections.Reader) (any, error) { return r.PaymentsTo(ctx, provider, math.MaxInt64, rows) },
		"MaturityOf": func(r projections.Reader) (any, error) {
			return r.MaturityOf(ctx, provider, 5, domain.Position{Shard: 1})
		},
		"FirstLine":       func(r projections.Reader) (any, error) { return r.FirstLine(ctx, provider, domain.Position{Shard: 1}) },
		"PaymentReaching": func(r projections.Reader) (any, error) { return r.PaymentReaching(ctx, provider, 5) },

		"Report":               func(r projections.Reader) (any, error) { return r.Report(ctx, key) },
		"LastSequence":         func(r projections.Reader) (any, error) { return r.LastSequence(ctx, key.Signer, 1) },
		"RejectionTotals":      func(r projections.Reader) (any, error) { return r.RejectionTotals(ctx, 0, projections.DayMs) },
		"RejectionsOfJob":      func(r projections.Reader) (any, error) { return r.RejectionsOfJob(ctx, job) },
		"RejectionsOfReport":   func(r projections.Reader) (any, error) { return r.RejectionsOfReport(ctx, key) },
		"RejectionsOfProvider": func(r projections.Reader) (any, error) { return r.RejectionsOfProvider(ctx, provider) },

		"Standings": func(r projections.Reader) (any, error) {
			return r.Standings(ctx, v1.SubjectKind_SUBJECT_KIND_WORKER, worker)
		},
		"Hold":           func(r projections.Reader) (any, error) { return r.Hold(ctx, job) },
		"HoldExtensions": func(r projections.Reader) (any, error) { return r.HoldExtensions(ctx, job) },
		"HoldTotals of one": func(r projections.Reader) (any, error) {
			return r.HoldTotals(ctx, worker, projections.HoldTotal{}, rows)
		},
		"HoldTotals of all": func(r projections.Reader) (any, error) {
			return r.HoldTotals(ctx, domain.WorkerID{}, projections.HoldTotal{Worker: worker}, rows)
		},
		"Holdback": func(r projections.Reader) (any, error) {
			return r.Holdback(ctx, projections.HoldbackKey{Provider: provider, Shard: 1, BucketMs: 5})
		},
		"HoldbacksOf": func(r projections.Reader) (any, error) {
			return r.HoldbacksOf(ctx, provider, projections.Holdback{}, rows)
		},
		"WorkerTotals of one": func(r projections.Reader) (any, error) { return r.WorkerTotals(ctx, provider, worker, rows) },
		"WorkerTotals of all": func(r projections.Reader) (any, error) {
			return r.WorkerTotals(ctx, domain.ProviderID{}, worker, rows)
		},

		"Worker":        func(r projections.Reader) (any, error) { return r.Worker(ctx, worker) },
		"Trust":         func(r projections.Reader) (any, error) { return r.Trust(ctx, worker) },
		"AttestationAt": func(r projections.Reader) (any, error) { return r.AttestationAt(ctx, worker, 5) },
		"RetiredImage":  func(r projections.Reader) (any, error) { return r.RetiredImage(ctx, domain.Digest{1}) },

		"Cleared of all":     func(r projections.Reader) (any, error) { return r.Cleared(ctx, day) },
		"OffersUntil of all": func(r projections.Reader) (any, error) { return r.OffersUntil(ctx, day) },
		"OutOfService":       func(r projections.Reader) (any, error) { return r.OutOfService(ctx) },
		"ModelTotals":        func(r projections.Reader) (any, error) { return r.ModelTotals(ctx, domain.ModelID{}, rows) },
		"OfferChangesLike of a model": func(r projections.Reader) (any, error) {
			return r.OfferChangesLike(ctx, model, domain.WorkerID{}, projections.OfferChangeKey{}, rows)
		},
		"OfferChangesLike of a worker": func(r projections.Reader) (any, error) {
			return r.OfferChangesLike(ctx, model, worker, projections.OfferChangeKey{}, rows)
		},
	}
	month := [2]int64{projections.DayMs, 31 * projections.DayMs}
	for name, whose := range map[string]projections.Holder{"a provider": {Provider: provider}, "a client": {Client: client}} {
		questions["FlowsOf "+name] = func(r projections.Reader) (any, error) { return r.FlowsOf(ctx, whose, month[0], month[1]) }
		questions["HeldBefore of "+name] = func(r projections.Reader) (any, error) { return r.HeldBefore(ctx, whose, month[0]) }
	}
	for _, kind := range []projections.NamedKind{projections.NamedModel, projections.NamedProvider, projections.NamedClient, projections.NamedWorker} {
		questions[fmt.Sprintf("IDsFrom of %ss", kind)] = func(r projections.Reader) (any, error) { return r.IDsFrom(ctx, kind, provider, rows) }
		if kind != projections.NamedWorker {
			questions[fmt.Sprintf("NamesFrom of %ss", kind)] = func(r projections.Reader) (any, error) { return r.NamesFrom(ctx, kind, "a", rows) }
		}
	}
	questions["Client"] = func(r projections.Reader) (any, error) { return r.Client(ctx, client) }
	questions["MonthsBegun"] = func(r projections.Reader) (any, error) { return r.MonthsBegun(ctx, month[0]) }
	questions["WorkerDaysOf"] = func(r projections.Reader) (any, error) { return r.WorkerDaysOf(ctx, provider, month[0], month[1]) }
	questions["ClientDaysOf"] = func(r projections.Reader) (any, error) { return r.ClientDaysOf(ctx, client, month[0], month[1]) }
	questions["DepositsIn"] = func(r projections.Reader) (any, error) { return r.DepositsIn(ctx, client, month[0], month[1]) }
	questions["LinesTo"] = func(r projections.Reader) (any, error) { return r.LinesTo(ctx, provider) }
	questions["PaymentsBefore"] = func(r projections.Reader) (any, error) { return r.PaymentsBefore(ctx, provider, month[1]) }
	daily := projections.MarketFilter{FromMs: day.FromMs, ToMs: day.ToMs, Model: model}
	questions["Cleared of a model"] = func(r projections.Reader) (any, error) { return r.Cleared(ctx, daily) }
	questions["OffersUntil of a model"] = func(r projections.Reader) (any, error) { return r.OffersUntil(ctx, daily) }
	for name, which := range map[string]projections.OfferKey{"all": {}, "a model": {Model: model}, "a worker": {Worker: worker}} {
		questions["OffersLike of "+name] = func(r projections.Reader) (any, error) { return r.OffersLike(ctx, which, projections.OfferKey{}, rows) }
	}
	for name, which := range map[string]projections.AttestationFilter{
		"all": {}, "a worker": {Worker: worker}, "a word": {What: "attestation_failed"}, "both": {Worker: worker, What: "attestation_failed"},
	} {
		questions["AttestationsLike of "+name] = func(r projections.Reader) (any, error) {
			return r.AttestationsLike(ctx, which, projections.AttestationKey{}, rows)
		}
	}
	for name, which := range map[string]projections.JobFilter{
		"all": {}, "a client": {Client: client}, "a provider": {Provider: provider}, "a worker": {Worker: worker}, "a model": {Model: model},
		"a state": {State: projections.JobFailed}, "an open state": {State: projections.JobStarted},
		"a client and a state": {Client: client, State: projections.JobExpired}, "a time": {FromMs: 1, ToMs: projections.DayMs},
		"a dispute": {Dispute: projections.DisputeOpen}, "a client's disputes": {Client: client, Dispute: projections.DisputeResolved},
		"a provider's disputes": {Provider: provider, Dispute: projections.DisputeOpen},
	} {
		questions["JobsLike of "+name] = func(r projections.Reader) (any, error) {
			return r.JobsLike(ctx, which, projections.JobPlace{SubmittedMs: 5 * projections.DayMs, Job: job}, rows)
		}
	}
	week := projections.UsageFilter{FromMs: projections.DayMs, ToMs: 8 * projections.DayMs}
	ofProvider, ofClient, ofModel := week, week, week
	ofProvider.Provider, ofClient.Client, ofModel.Model = provider, client, model
	for name, asked := range map[string]struct {
		which projections.UsageFilter
		by    projections.UsageBy
	}{
		"all time": {}, "all time by provider": {by: projections.UsageBy{Provider: true}},
		"days": {week, projections.UsageBy{Day: true}}, "hours": {week, projections.UsageBy{Hour: true}},
		"days by model": {week, projections.UsageBy{Day: true, Model: true}}, "clients": {week, projections.UsageBy{Client: true}},
		"a provider by day": {ofProvider, projections.UsageBy{Day: true}}, "a provider by hour": {ofProvider, projections.UsageBy{Hour: true}},
		"a provider by model": {ofProvider, projections.UsageBy{Model: true}}, "a provider by client": {ofProvider, projections.UsageBy{Client: true}},
		"a client by day and model":    {ofClient, projections.UsageBy{Day: true, Model: true}},
		"a client by hour":             {ofClient, projections.UsageBy{Hour: true}},
		"a client by provider":         {ofClient, projections.UsageBy{Provider: true}},
		"a model by day":               {ofModel, projections.UsageBy{Day: true}},
		"a model by provider":          {ofModel, projections.UsageBy{Provider: true}},
		"all three, of a week by hour": {week, projections.UsageBy{Hour: true, Model: true, Provider: true, Client: true}},
	} {
		questions["UsageTotals of "+name] = func(r projections.Reader) (any, error) { return r.UsageTotals(ctx, asked.which, asked.by) }
	}
	return questions
}
