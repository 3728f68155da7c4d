package queryapi

import (
	"context"
	"slices"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/projections"
	queryv1 "github.com/filature/filature/schemas/filature/query/v1"
)

// ListModels implements queryv1.NetworkServiceHandler.
func (s *server) ListModels(ctx context.Context, asked *queryv1.ListModelsRequest) (*queryv1.ListModelsResponse, error) {
	size, err := sizeOf(asked.Page)
	if err != nil {
		return nil, err
	}
	const mark = 'n'
	var last domain.ModelID
	if _, err := after(asked.Page, mark, (*[32]byte)(&last)); err != nil {
		return nil, err
	}
	return answer(ctx, s, asked.Reading, func(r projections.Reader, at *queryv1.Position) (*queryv1.ListModelsResponse, error) {
		found, err := r.ModelTotals(ctx, last, size+1)
		if err != nil {
			return nil, err
		}
		page := &queryv1.ListModelsResponse{Position: at}
		found, page.NextCursor = turn(found, size, func(m projections.ModelTotal) string { return cursor(mark, [32]byte(m.Model)) })
		page.Models = each(found, model)
		return page, nil
	})
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
	size, err := sizeOf(asked.Page)
	if err != nil {
		return nil, err
	}
	const mark = 'f'
	var last projections.OfferKey
	if _, err := after(asked.Page, mark, (*[32]byte)(&last.Worker), (*[32]byte)(&last.Model)); err != nil {
		return nil, err
	}
	return answer(ctx, s, asked.Reading, func(r projections.Reader, at *queryv1.Position) (*queryv1.ListOffersResponse, error) {
		found, err := r.OffersLike(ctx, projections.OfferKey{Worker: worker, Model: model}, last, size+1)
		if err != nil {
			return nil, err
		}
		page := &queryv1.ListOffersResponse{Position: at}
		found, page.NextCursor = turn(found, size, func(o projections.OfferTotal) string { return cursor(mark, [32]byte(o.Worker), [32]byte(o.Model)) })
		page.Offers = each(found, offer)
		return page, nil
	})
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
	size, err := sizeOf(asked.Page)
	if err != nil {
		return nil, err
	}
	const mark = 'g'
	var last projections.OfferChangeKey
	if _, err := after(asked.Page, mark, (*int64)(&last.Offset), &last.Fact); err != nil {
		return nil, err
	}
	return answer(ctx, s, asked.Reading, func(r projections.Reader, at *queryv1.Position) (*queryv1.ListOfferChangesResponse, error) {
		found, err := r.OfferChangesLike(ctx, model, worker, last, size+1)
		if err != nil {
			return nil, err
		}
		page := &queryv1.ListOfferChangesResponse{Position: at}
		found, page.NextCursor = turn(found, size, func(c projections.OfferChange) string { return cursor(mark, int64(c.Offset), c.Fact) })
		page.Changes = each(found, offerChange)
		return page, nil
	})
}

// ListAttestations implements queryv1.NetworkServiceHandler.
func (s *server) ListAttestations(ctx context.Context, asked *queryv1.ListAttestationsRequest) (*queryv1.ListAttestationsResponse, error) {
	worker, err := idIfAny[domain.WorkerID]("worker", asked.Worker)
	if err != nil {
		return nil, err
	}
	if asked.What != "" && !slices.Contains(projections.AttestationWords(), asked.What) {
		return nil, wrong("what", "want a word on attestations, such as attestation_passed")
	}
	size, err := sizeOf(asked.Page)
	if err != nil {
		return nil, err
	}
	const mark = 't'
	var last projections.AttestationKey
	if _, err := after(asked.Page, mark, (*int64)(&last.Offset), &last.Fact); err != nil {
		return nil, err
	}
	return answer(ctx, s, asked.Reading, func(r projections.Reader, at *queryv1.Position) (*queryv1.ListAttestationsResponse, error) {
		found, err := r.AttestationsLike(ctx, projections.AttestationFilter{Worker: worker, What: asked.What}, last, size+1)
		if err != nil {
			return nil, err
		}
		page := &queryv1.ListAttestationsResponse{Position: at}
		found, page.NextCursor = turn(found, size, func(a projections.Attestation) string { return cursor(mark, int64(a.Offset), a.Fact) })
		page.Attestations = each(found, attestation)
		return page, nil
	})
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
