package queryapi

import (
	"context"
	"slices"
	"strings"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/projections"
	queryv1 "github.com/filature/filature/schemas/filature/query/v1"
)

// ListModels implements queryv1.NetworkServiceHandler.
func (s *server) ListModels(ctx context.Context, asked *queryv1.ListModelsRequest) (*queryv1.ListModelsResponse, error) {
	at, models, next, err := list(ctx, s, asked, listing[projections.ModelTotal, *queryv1.Model]{
		mark:  'n',
		place: func(m *projections.ModelTotal) []any { return []any{&m.Model} },
		rows: func(ctx context.Context, r projections.Reader, after projections.ModelTotal, limit int) ([]projections.ModelTotal, error) {
			return r.ModelTotals(ctx, after.Model, limit)
		},
		message: model,
	})
	return &queryv1.ListModelsResponse{Position: at, Models: models, NextCursor: next}, err
}

// ListOffers implements queryv1.NetworkServiceHandler.
func (s *server) ListOffers(ctx context.Context, asked *queryv1.ListOffersRequest) (*queryv1.ListOffersResponse, error) {
	model, err := idIfAny[domain.ModelID]("model", asked.Model)
	if err != nil {
		return nil, err
	}
	worker, err := idIfAny[domain.WorkerID]("worker", asked.Worker)
	if err != nil {
		return nil, err
	}
	at, offers, next, err := list(ctx, s, asked, listing[projections.OfferTotal, *queryv1.Offer]{
		mark:  'f',
		place: func(o *projections.OfferTotal) []any { return []any{&o.Worker, &o.Model} },
		rows: func(ctx context.Context, r projections.Reader, after projections.OfferTotal, limit int) ([]projections.OfferTotal, error) {
			return r.OffersLike(ctx, projections.OfferKey{Worker: worker, Model: model}, after.OfferKey, limit)
		},
		message: offer,
	})
	return &queryv1.ListOffersResponse{Position: at, Offers: offers, NextCursor: next}, err
}

// ListOfferChanges implements queryv1.NetworkServiceHandler.
func (s *server) ListOfferChanges(ctx context.Context, asked *queryv1.ListOfferChangesRequest) (*queryv1.ListOfferChangesResponse, error) {
	model, err := idOf[domain.ModelID]("model", asked.Model)
	if err != nil {
		return nil, err
	}
	worker, err := idIfAny[domain.WorkerID]("worker", asked.Worker)
	if err != nil {
		return nil, err
	}
	at, changes, next, err := list(ctx, s, asked, listing[projections.OfferChange, *queryv1.OfferChange]{
		mark:  'g',
		place: func(c *projections.OfferChange) []any { return []any{&c.Offset, &c.Fact} },
		rows: func(ctx context.Context, r projections.Reader, below projections.OfferChange, limit int) ([]projections.OfferChange, error) {
			return r.OfferChangesLike(ctx, model, worker, below.OfferChangeKey, limit)
		},
		message: offerChange,
	})
	return &queryv1.ListOfferChangesResponse{Position: at, Changes: changes, NextCursor: next}, err
}

// ListAttestations implements queryv1.NetworkServiceHandler.
func (s *server) ListAttestations(ctx context.Context, asked *queryv1.ListAttestationsRequest) (*queryv1.ListAttestationsResponse, error) {
	worker, err := idIfAny[domain.WorkerID]("worker", asked.Worker)
	if err != nil {
		return nil, err
	}
	if asked.What != "" && !slices.Contains(projections.AttestationWords(), asked.What) {
		return nil, wrong("what", "want a word on attestations: "+strings.Join(projections.AttestationWords(), ", "))
	}
	which := projections.AttestationFilter{Worker: worker, What: asked.What}
	at, attestations, next, err := list(ctx, s, asked, listing[projections.Attestation, *queryv1.Attestation]{
		mark:  't',
		place: func(a *projections.Attestation) []any { return []any{&a.Offset, &a.Fact} },
		rows: func(ctx context.Context, r projections.Reader, below projections.Attestation, limit int) ([]projections.Attestation, error) {
			return r.AttestationsLike(ctx, which, below.AttestationKey, limit)
		},
		message: attestation,
	})
	return &queryv1.ListAttestationsResponse{Position: at, Attestations: attestations, NextCursor: next}, err
}

func model(m projections.ModelTotal) *queryv1.Model {
	listed := &queryv1.Model{
		Model: text(m.Model), Name: m.Name, Listed: moment(m.Listed),
		Offers: m.Offers, LowestCoefficient: m.Lowest, HighestCoefficient: m.Highest,
	}
	if card := m.Card; card.RateCard != (domain.RateCardID{}) {
		listed.RateCard = &queryv1.RateCard{
			RateCard: text(card.RateCard), Rule: card.Rule,
			PricePerTokenNano: int64(card.PricePerToken), WorkerFeePerTokenNano: int64(card.WorkerFeePerToken),
			PromptMultiplier: card.PromptMultiplier, CachedMultiplier: card.CachedMultiplier,
			CompletionMultiplier: card.CompletionMultiplier, ReasoningMultiplier: card.ReasoningMultiplier, Set: moment(card.Set),
		}
	}
	return listed
}

func offer(o projections.OfferTotal) *queryv1.Offer {
	return &queryv1.Offer{Worker: text(o.Worker), Model: text(o.Model), Provider: text(o.Provider), Coefficient: o.Coefficient, Set: moment(o.Set)}
}

func offerChange(c projections.OfferChange) *queryv1.OfferChange {
	return &queryv1.OfferChange{
		Worker: text(c.Worker), Model: text(c.Model), Coefficient: c.Coefficient, Withdrawn: c.Withdrawn, FinishWithinMs: c.FinishWithinMs,
		Set: &queryv1.Moment{AtMs: c.AtMs, Offset: int64(c.Offset)}, Fact: c.Fact,
	}
}

func attestation(a projections.Attestation) *queryv1.Attestation {
	return &queryv1.Attestation{
		Worker: text(a.Worker), Said: &queryv1.Moment{AtMs: a.AtMs, Offset: int64(a.Offset)}, Fact: a.Fact, What: a.What,
		Challenge: text(a.Challenge), EvidenceDigest: text(a.EvidenceDigest), PolicyDigest: text(a.PolicyDigest), ImageHash: text(a.ImageHash),
		UntilMs: a.UntilMs, Cause: a.Cause, Fault: a.Fault, Reason: a.Reason,
	}
}
