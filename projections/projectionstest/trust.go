package projectionstest

import (
	"context"
	"reflect"
	"testing"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/reputation"
	"github.com/filature/filature/projections"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

func standingsAndHeldPay(ctx context.Context, t *testing.T, _ *Story, r projections.Reader) {
	worker := must[[]projections.Standing](t)(r.Standings(ctx, v1.SubjectKind_SUBJECT_KIND_WORKER, ID[[32]byte]("w3")))
	if len(worker) != 2 || worker[0].Shard != Shard1 || worker[1].Shard != Shard2 {
		t.Fatalf("w3 stands in %+v, want the last word of two shards", worker)
	}
	if worker[0].ScorePPM != 900_009 || worker[0].SuspendedUntilMs != 0 || worker[1].ScorePPM != 900_020 || worker[1].SuspendedUntilMs == 0 ||
		worker[0].Record.Seen[1] != 10 || worker[0].Record.Counts[reputation.Latency] != (reputation.Counts{Good: 21_000_009, Bad: 1_000_000}) {
		t.Errorf("w3 stands as %+v", worker)
	}
	var sum reputation.Record
	for d := range sum.Counts {
		sum.Counts[d].Good = worker[0].Record.Counts[d].Good + worker[1].Record.Counts[d].Good
		sum.Counts[d].Bad = worker[0].Record.Counts[d].Bad + worker[1].Record.Counts[d].Bad
	}
	if score := projections.ScoreOver(worker); score != sum.ScorePPM() || score == 0 {
		t.Errorf("over both shards the score is %d", score)
	}
	provider := must[[]projections.Standing](t)(r.Standings(ctx, v1.SubjectKind_SUBJECT_KIND_PROVIDER, ID[[32]byte]("prov-c")))
	if len(provider) != 1 || provider[0].HoldbackPermille != 250 || provider[0].HoldBuckets != 3 || provider[0].Policy != ID[domain.Digest]("reputation policy") {
		t.Errorf("prov-c stands as %+v", provider)
	}
	if hold := must[projections.Hold](t)(r.Hold(ctx, ID[domain.JobID]("job-refused"))); hold.State != projections.HoldRefused ||
		hold.Cause != "image_retired" || hold.Amount != 1000 || hold.Charge != 2000 || hold.Refund != 2000 || hold.Control != 17 || hold.Ended.AtMs == 0 {
		t.Errorf("job-refused is held as %+v", hold)
	}
	unattested := must[projections.Hold](t)(r.Hold(ctx, ID[domain.JobID]("job-unattested")))
	extensions := must[[]projections.HoldExtension](t)(r.HoldExtensions(ctx, unattested.Job))
	if len(extensions) != 2 || extensions[0].AskedAtMs != 0 || extensions[1].AskedAtMs == 0 || unattested.UntilMs != extensions[1].UntilMs {
		t.Errorf("job-unattested is held as %+v, and waits longer by %+v", unattested, extensions)
	}
	row := func(cause, state string) projections.HoldTotal {
		return projections.HoldTotal{
			Worker: ID[domain.WorkerID]("w3"), Provider: ID[domain.ProviderID]("prov-c"), Cause: cause, State: state,
			Jobs: 1, Amount: 1000, Charge: 2000,
		}
	}
	want := []projections.HoldTotal{
		row("image_retired", projections.HoldDecided), row("image_retired", projections.HoldRefused),
		row("never_passed", projections.HoldReleased), row("never_passed", projections.HoldWaiting),
	}
	if totals := must[[]projections.HoldTotal](t)(r.HoldTotals(ctx, domain.WorkerID{}, projections.HoldTotal{}, 100)); !reflect.DeepEqual(totals, want) {
		t.Errorf("held pay is %+v, want %+v", totals, want)
	}
	freed := must[projections.Hold](t)(r.Hold(ctx, ID[domain.JobID]("job-freed")))
	key := projections.HoldbackKey{Provider: ID[domain.ProviderID]("prov-c"), Shard: Shard1, BucketMs: freed.BucketMs}
	back := must[projections.Holdback](t)(r.Holdback(ctx, key))
	if back.Amount != 250 || back.Released != 150 || back.Forfeited != 100 || back.Cause != "slashed" {
		t.Errorf("held back of prov-c is %+v", back)
	}
}

func scoresShowTheirInputs(ctx context.Context, t *testing.T, story *Story, r projections.Reader) {
	s := must[projections.Score](t)(projections.ScoreOf(ctx, r, ID[[32]byte]("w3"), story.NowMs))
	product := int64(1_000_000)
	for _, d := range s.Dimensions {
		product = product * d.MeanPPM / 1_000_000
	}
	if s.Kind != "worker" || s.Name != "Gamma" || s.Policy != ID[domain.Digest]("reputation policy") || s.PolicySet.Offset != 14 || len(s.Standings) != 2 ||
		len(s.Dimensions) != 4 || len(s.Evidence) != reputation.Kinds || s.ScorePPM != product || s.Trust.State != "failed" {
		t.Errorf("the score of w3 is %+v", s)
	}
	if jobs := s.Dimensions[0]; jobs.KeptPPM != 999_000 || jobs.GoodMicro != 40_000_029 {
		t.Errorf("of w3's jobs: %+v", jobs)
	}
	// A job is counted in the shard of its account, an attestation in every one.
	done, attested := s.Evidence[0], s.Evidence[5]
	if done.Count != 29 || done.WeightMilli != 1000 || attested.Count != 25 || attested.Dimension != "attestation" {
		t.Errorf("w3 has %+v, %+v", done, attested)
	}
	provider := must[projections.Score](t)(projections.ScoreOf(ctx, r, ID[[32]byte]("prov-c"), story.NowMs))
	if provider.Kind != "provider" || len(provider.Standings) != 1 || provider.Standings[0].HoldbackPermille != 250 || provider.Trust != (projections.Trust{}) {
		t.Errorf("the score of prov-c is %+v", provider)
	}
	newcomer := must[projections.Score](t)(projections.ScoreOf(ctx, r, ID[[32]byte]("prov-a"), story.NowMs))
	if newcomer.ScorePPM != 907_027 || len(newcomer.Standings) != 0 {
		t.Errorf("of prov-a, whom nobody has judged: %+v", newcomer)
	}
}

func howAttestationsStand(ctx context.Context, t *testing.T, story *Story, r projections.Reader) {
	image := must[projections.RetiredImage](t)(r.RetiredImage(ctx, ID[domain.Digest]("i1")))
	for worker, want := range map[string]struct{ now, later string }{
		"w1": {projections.Attested, "expired"}, // the verifier's own fault has changed nothing
		"w3": {"failed", "failed"},
		"w4": {"image_retired", "image_retired"}, // though control has not said so of it yet
		"w5": {"image_retired", "image_retired"},
	} {
		trust := must[projections.Trust](t)(r.Trust(ctx, ID[domain.WorkerID](worker)))
		retired := trust.ImageHash == image.Image
		if now, later := trust.StateAt(story.NowMs, retired), trust.StateAt(story.NowMs+90_000_000, retired); now != want.now || later != want.later {
			t.Errorf("%s is %s, later %s, want %+v", worker, now, later, want)
		}
	}
	if never := (&projections.Trust{}).StateAt(0, false); never != "never_passed" {
		t.Errorf("who never passed is %s", never)
	}
	w1 := must[projections.Trust](t)(r.Trust(ctx, ID[domain.WorkerID]("w1")))
	if w1.Challenges != 1 || w1.Passes != 2 || w1.VerifierFaults != 1 || w1.Failures != 0 || w1.Revocations != 1 || w1.Challenge != (domain.Digest{}) ||
		w1.ImageHash != ID[domain.Digest]("i2") || w1.EvidenceDigest != ID[domain.Digest]("e2") || w1.Told != w1.Passed {
		t.Errorf("w1 stands as %+v", w1)
	}
	w3 := must[projections.Trust](t)(r.Trust(ctx, ID[domain.WorkerID]("w3")))
	if w3.Challenges != 2 || w3.Failures != 1 || w3.Challenge != ID[domain.Digest]("c5") || w3.ChallengeUntilMs <= w3.Challenged.AtMs {
		t.Errorf("w3 stands as %+v", w3)
	}
	var said []string
	which := projections.AttestationFilter{Worker: ID[domain.WorkerID]("w3")}
	words := must[[]projections.Attestation](t)(r.AttestationsLike(ctx, which, projections.AttestationKey{}, 100))
	for _, word := range words {
		said = append(said, word.What)
	}
	want := []string{"attestation_challenged", "key_rotated", "attestation_failed", "attestation_challenged"}
	if !reflect.DeepEqual(said, want) || words[2].Fault != "worker" || words[2].Reason != "debug is on" || words[2].EvidenceDigest != ID[domain.Digest]("e4") {
		t.Errorf("of w3 was said, the latest first: %+v", words)
	}
	last := must[[]projections.Attestation](t)(r.AttestationsLike(ctx, which, projections.AttestationKey{}, 1))
	if len(last) != 1 || last[0] != words[0] {
		t.Errorf("the last word on w3 is %+v", last)
	}
	if word := must[projections.Attestation](t)(r.AttestationAt(ctx, w1.Worker, w1.Told.Offset)); word.What != "attestation_failed" || word.Fault != "verifier" {
		t.Errorf("the last word on w1 there is %+v", word)
	}
	if _, err := r.AttestationsLike(ctx, projections.AttestationFilter{Worker: w3.Worker}, projections.AttestationKey{}, projections.MaxRows+1); err == nil {
		t.Error("an answer above MaxRows is no error")
	}
	fleet := must[[]projections.WorkerTotal](t)(r.WorkerTotals(ctx, ID[domain.ProviderID]("prov-c"), domain.WorkerID{}, 100))
	if len(fleet) != 1 || fleet[0].Worker.Worker != w3.Worker {
		t.Errorf("the workers of prov-c are %+v", fleet)
	}
	if waiting := must[[]projections.Holdback](t)(r.HoldbacksOf(ctx, ID[domain.ProviderID]("prov-c"), projections.Holdback{}, 100)); len(waiting) != 0 {
		t.Errorf("of prov-c is held back still %+v", waiting)
	}
}

func theMarketHourByHour(ctx context.Context, t *testing.T, story *Story, r projections.Reader) {
	all := must[[]projections.MarketHour](t)(projections.Market(ctx, r, projections.MarketFilter{ToMs: story.NowMs + 1}))
	if len(all) != 3 {
		t.Fatalf("the market has %d hours, want that of the first offers, of the first jobs, and of the last: %+v", len(all), all)
	}
	const firstHour = int64(StartMs) - StartMs%projections.HourMs
	model := ID[domain.ModelID]("qwen")
	// Two offers of 1000 and 1333, and nobody works yet.
	if want := (projections.MarketHour{
		HourMs: firstHour, Model: model, Active: 2, Lowest: 1000, LowerQuartile: 1000, Median: 1000, UpperQuartile: 1333, Highest: 1333,
	}); all[0] != want {
		t.Errorf("the first hour is %+v, want %+v", all[0], want)
	}
	// w2 has withdrawn and retired; w1 asks 1200, and three have come. All jobs cleared at 1000, 1000 tokens for 2000.
	if last := all[2]; last.Active != 4 || last.Lowest != 900 || last.LowerQuartile != 900 || last.Median != 1000 ||
		last.UpperQuartile != 1200 || last.Highest != 4000 || last.Busy != 1 || last.Cleared != 4 || last.Tokens != 4000 ||
		last.ClearedCoefficient != 1000 || last.PerMillion != 2_000_000 || last.Charge != 8000 {
		t.Errorf("the last hour is %+v", last)
	}
	// Asked for alone, an hour is the same: offers made before it are still in force.
	for _, hour := range all {
		alone := must[[]projections.MarketHour](t)(projections.Market(ctx, r, projections.MarketFilter{
			FromMs: hour.HourMs, ToMs: hour.HourMs + projections.HourMs, Model: model,
		}))
		if len(alone) != 1 || alone[0] != hour {
			t.Errorf("the hour %d alone is %+v, among others %+v", hour.HourMs, alone, hour)
		}
	}
	nobodys := projections.MarketFilter{ToMs: story.NowMs, Model: ID[domain.ModelID]("none")}
	if none := must[[]projections.MarketHour](t)(projections.Market(ctx, r, nobodys)); len(none) != 0 {
		t.Errorf("a model that nobody knows has a market: %+v", none)
	}
}
