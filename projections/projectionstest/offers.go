package projectionstest

import (
	"context"
	"testing"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/projections"
)

// anOfferOfWhoIsOutOfServiceIsInForceNowhere: whoever is asked, list, counts or market, it is not there, as little as one that
// was withdrawn. A worker that is not attested, as none is here, keeps its own.
func anOfferOfWhoIsOutOfServiceIsInForceNowhere(ctx context.Context, t *testing.T, store Readable) {
	t.Helper()
	const goneMs, leftMs, endMs = 5 * projections.HourMs, 7 * projections.HourMs, 8 * projections.HourMs
	stays := &projections.Provider{Provider: ID[domain.ProviderID]("stays")}
	left := &projections.Provider{Provider: ID[domain.ProviderID]("left"), RetiredAtMs: leftMs}
	model := &projections.ListedModel{Model: ID[domain.ModelID]("model"), Name: "a model"}
	cases := []struct {
		worker      string
		owner       *projections.Provider
		retiredAtMs int64
		coefficient uint32
		withdrawn   bool
		inForce     int64 // offers
		outSinceMs  int64
	}{
		{"serves", stays, 0, 1000, false, 1, 0},
		{"serves, too", stays, 0, 1500, false, 1, 0},
		{"withdrew", stays, 0, 500, true, 0, 0},
		{"retired", stays, goneMs, 2000, false, 0, goneMs},
		{"its provider retired", left, 0, 700, false, 0, leftMs},
		{"retired before its provider", left, goneMs, 600, false, 0, goneMs},
	}
	var workers, offers, said, work []projections.Row
	for i, c := range cases {
		worker := ID[domain.WorkerID](c.worker)
		workers = append(workers, &projections.Worker{Worker: worker, Provider: c.owner.Provider, RetiredAtMs: c.retiredAtMs})
		offers = append(offers, &projections.Offer{
			OfferKey: projections.OfferKey{Worker: worker, Model: model.Model}, Coefficient: c.coefficient, Withdrawn: c.withdrawn,
		})
		said = append(said, &projections.OfferChange{
			OfferChangeKey: projections.OfferChangeKey{Model: model.Model, Worker: worker, Offset: domain.Offset(i), Fact: 1},
			Coefficient:    c.coefficient, Withdrawn: c.withdrawn,
		})
	}
	for hourMs := int64(0); hourMs < endMs; hourMs += projections.HourMs {
		work = append(work, &projections.Work{WorkKey: projections.WorkKey{HourMs: hourMs, Model: model.Model}, NotDone: 1})
	}
	mustCommit(ctx, t, store,
		change(projections.Models, nil, at(1), model), change(projections.Providers, nil, at(1), stays, left),
		change(projections.Workers, nil, at(1), workers...), change(projections.Offers, nil, at(1), offers...),
		change(projections.OfferHistory, nil, at(1), said...), change(projections.WorkByHour, nil, at(1), work...))
	if err := store.Read(ctx, func(r projections.Reader) error {
		models := must[[]projections.ModelTotal](t)(r.ModelTotals(ctx, domain.ModelID{}, 10))
		if len(models) != 1 || models[0].Offers != 2 || models[0].Lowest != 1000 || models[0].Highest != 1500 {
			t.Errorf("the models are %+v", models)
		}
		counts := map[domain.WorkerID]int64{}
		for _, w := range must[[]projections.WorkerTotal](t)(r.WorkerTotals(ctx, domain.ProviderID{}, domain.WorkerID{}, 10)) {
			counts[w.Worker.Worker] = w.Offers
		}
		out := must[map[domain.WorkerID]int64](t)(r.OutOfService(ctx))
		for _, c := range cases {
			worker := ID[domain.WorkerID](c.worker)
			for _, which := range []projections.OfferKey{{}, {Model: model.Model}, {Worker: worker}, {Worker: worker, Model: model.Model}} {
				listed := int64(0)
				for _, o := range must[[]projections.OfferTotal](t)(r.OffersLike(ctx, which, projections.OfferKey{}, 10)) {
					if o.Worker == worker {
						listed++
					}
				}
				if listed != c.inForce {
					t.Errorf("who %s has %d offers in the list of %+v, want %d", c.worker, listed, which, c.inForce)
				}
			}
			if counts[worker] != c.inForce || out[worker] != c.outSinceMs {
				t.Errorf("who %s has %d offers and is out of service since %d, want %d and %d", c.worker, counts[worker], out[worker], c.inForce, c.outSinceMs)
			}
		}
		hours := must[[]projections.MarketHour](t)(projections.Market(ctx, r, projections.MarketFilter{ToMs: endMs}))
		for i, active := range []int64{5, 5, 5, 5, 5, 3, 3, 2} { // at the end of each hour
			if len(hours) != 8 || hours[i].Active != active {
				t.Fatalf("the market is %+v, want %d active in hour %d", hours, active, i)
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}
