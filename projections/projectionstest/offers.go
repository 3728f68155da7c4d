package projectionstest

import (
	"context"
	"testing"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/projections"
)

// offersInForceAreCounted: not those that were withdrawn, nor, for a model, those of workers that are gone.
func offersInForceAreCounted(ctx context.Context, t *testing.T, store Readable) {
	t.Helper()
	model := ID[domain.ModelID]("model")
	worker := func(name string, retiredAtMs int64) *projections.Worker {
		return &projections.Worker{Worker: ID[domain.WorkerID](name), RetiredAtMs: retiredAtMs}
	}
	offer := func(name string, coefficient uint32, withdrawn bool) *projections.Offer {
		return &projections.Offer{
			OfferKey: projections.OfferKey{Worker: ID[domain.WorkerID](name), Model: model}, Coefficient: coefficient, Withdrawn: withdrawn,
		}
	}
	mustCommit(ctx, t, store,
		change(projections.Models, nil, at(1), &projections.ListedModel{Model: model, Name: "a model"}),
		change(projections.Workers, nil, at(1), worker("stays", 0), worker("withdrew", 0), worker("is gone", 5)),
		change(projections.Offers, nil, at(1), offer("stays", 1000, false), offer("withdrew", 500, true), offer("is gone", 2000, false)))
	if err := store.Read(ctx, func(r projections.Reader) error {
		models := must[[]projections.ModelTotal](t)(r.ModelTotals(ctx, domain.ModelID{}, 10))
		if len(models) != 1 || models[0].Offers != 1 || models[0].Lowest != 1000 || models[0].Highest != 1000 {
			t.Errorf("the models are %+v", models)
		}
		offers := map[domain.WorkerID]int64{}
		for _, w := range must[[]projections.WorkerTotal](t)(r.WorkerTotals(ctx, domain.ProviderID{}, domain.WorkerID{}, 10)) {
			offers[w.Worker.Worker] = w.Offers
		}
		for name, want := range map[string]int64{"stays": 1, "withdrew": 0, "is gone": 1} {
			if have := offers[ID[domain.WorkerID](name)]; have != want {
				t.Errorf("who %s has %d offers, want %d", name, have, want)
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}
