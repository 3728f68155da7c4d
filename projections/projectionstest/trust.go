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
	if totals := must[[]projections.HoldTotal](t)(r.HoldTotals(ctx)); !reflect.DeepEqual(totals, want) {
		t.Errorf("held pay is %+v, want %+v", totals, want)
	}
	freed := must[projections.Hold](t)(r.Hold(ctx, ID[domain.JobID]("job-freed")))
	key := projections.HoldbackKey{Provider: ID[domain.ProviderID]("prov-c"), Shard: Shard1, BucketMs: freed.BucketMs}
	back := must[projections.Holdback](t)(r.Holdback(ctx, key))
	if back.Amount != 250 || back.Released != 150 || back.Forfeited != 100 || back.Cause != "slashed" {
		t.Errorf("held back of prov-c is %+v", back)
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
