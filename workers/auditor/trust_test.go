package auditor_test

import (
	"testing"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/internal/rig"
	v1 "github.com/filature/filature/schemas/filature/v1"
	"github.com/filature/filature/workers/auditor"
)

// placeOf finds the first entry of a data shard that has a fact of a kind, and the fact's place in it.
func placeOf(t *testing.T, p paper, is func(*v1.Fact) bool) (at domain.Position, fact int) {
	t.Helper()
	for shard := domain.Shard(1); int(shard) < len(p); shard++ {
		for offset := range domain.Offset(len(p[shard])) {
			at = domain.Position{Shard: shard, Offset: offset}
			for i, f := range p.entry(t, at).GetAnswer().GetFacts() {
				if is(f) {
					return at, i
				}
			}
		}
	}
	t.Fatal("no such fact")
	return at, 0
}

// TestNobodyIsJudgedOtherwiseThanByTheRules: whoever changes a score, lets held pay go, or keeps a pledge, is found
// at the very entry, though all postings sum to zero.
func TestNobodyIsJudgedOtherwiseThanByTheRules(t *testing.T) {
	w := lived(t, rig.Options{Seed: 3, Judged: true}, 100)
	for name, crime := range map[string]struct {
		is     func(*v1.Fact) bool
		change func(*v1.Fact)
	}{
		"a score is better than it is": {
			func(f *v1.Fact) bool { return f.GetStandingSet() != nil },
			func(f *v1.Fact) { f.GetStandingSet().ScorePpm++ },
		},
		"a suspension is forgotten": {
			func(f *v1.Fact) bool { return f.GetStandingSet().GetSuspendedUntilMs() != 0 },
			func(f *v1.Fact) { f.GetStandingSet().SuspendedUntilMs = 0 },
		},
		"pay that should be held is earned": {
			func(f *v1.Fact) bool { return f.GetJobCompleted().GetHold() != nil },
			func(f *v1.Fact) {
				f.GetJobCompleted().Hold = nil
				for _, p := range f.Postings {
					if p.Kind == v1.AccountKind_ACCOUNT_KIND_PROVIDER_HELD {
						p.Kind = v1.AccountKind_ACCOUNT_KIND_PROVIDER_EARNED
					}
				}
			},
		},
		"pay that should go back is released": {
			func(f *v1.Fact) bool { return f.GetPayRefused() != nil },
			func(f *v1.Fact) {
				refused := f.GetPayRefused()
				f.Postings = f.Postings[:1]
				f.Postings = append(f.Postings, &v1.Posting{
					Kind: v1.AccountKind_ACCOUNT_KIND_PROVIDER_EARNED, Owner: refused.Provider, AmountNano: refused.FromWorkerNano,
				})
				f.Body = &v1.Fact_PayReleased{PayReleased: &v1.PayReleased{
					Job: refused.Job, Worker: refused.Worker, Provider: refused.Provider, AmountNano: refused.FromWorkerNano, BucketMs: 1,
				}}
			},
		},
		"less is held back": {
			func(f *v1.Fact) bool { return f.GetEarningsMatured().GetHeldNano() > 0 },
			func(f *v1.Fact) {
				f.GetEarningsMatured().HeldNano--
				f.Postings[1].AmountNano++
				f.Postings[2].AmountNano--
			},
		},
		"a pledge is kept, and not taken": {
			func(f *v1.Fact) bool { return f.GetHoldbackForfeited() != nil },
			func(f *v1.Fact) { f.GetHoldbackForfeited().AmountNano, f.Postings = 0, nil },
		},
	} {
		t.Run(name, func(t *testing.T) {
			ledger := copyOf(t, w.Ledger)
			at, i := placeOf(t, ledger, crime.is)
			ledger.edit(t, at, func(e *v1.Entry) { crime.change(e.GetAnswer().Facts[i]) })
			cfg := config(w)
			cfg.Ledger, cfg.Store = ledger, nil
			names(t, audit(t, cfg), auditor.Offence{Kind: auditor.ChangedEntry, Log: auditor.Ledger, At: place(at)})
		})
	}
}
