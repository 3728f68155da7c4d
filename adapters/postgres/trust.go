package postgres

import (
	"context"
	"fmt"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/projections"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

func (q reader) Standings(ctx context.Context, kind v1.SubjectKind, subject [32]byte) ([]projections.Standing, error) {
	found, err := many(ctx, q, projections.Standings, "WHERE kind = $1 AND subject = $2 ORDER BY shard", projections.SubjectName(kind), blob(subject))
	if err == nil && len(found) == 0 {
		err = fmt.Errorf("standing of %x: %w", subject, projections.ErrNotFound)
	}
	return found, err
}

func (q reader) Hold(ctx context.Context, job domain.JobID) (projections.Hold, error) {
	return one(ctx, q, projections.Holds, "WHERE job = $1", blob(job))
}

func (q reader) HoldTotals(ctx context.Context) ([]projections.HoldTotal, error) {
	return scanAll(ctx, q, "held pay", func(t *projections.HoldTotal) []any {
		return []any{id[domain.WorkerID]{&t.Worker}, id[domain.ProviderID]{&t.Provider}, &t.Cause, &t.State, &t.Jobs, &t.Amount, &t.Charge}
	}, `SELECT worker, provider, cause, state, count(*), sum(amount_nano)::bigint, sum(charge_nano)::bigint FROM filature.holds
		GROUP BY worker, provider, cause, state ORDER BY worker, cause, state`)
}

func (q reader) Holdback(ctx context.Context, key projections.HoldbackKey) (projections.Holdback, error) {
	return one(ctx, q, projections.Holdbacks, "WHERE provider = $1 AND shard = $2 AND bucket_ms = $3", blob(key.Provider), key.Shard, key.BucketMs)
}

func (q reader) Work(ctx context.Context, which projections.MarketFilter) ([]projections.Work, error) {
	return many(ctx, q, projections.WorkByHour,
		"WHERE hour_ms >= $1 AND hour_ms < $2 AND ($3 = ''::bytea OR model = $3) ORDER BY hour_ms, model, worker",
		which.FromMs, which.ToMs, blob(which.Model))
}

func (q reader) OffersUntil(ctx context.Context, which projections.MarketFilter) ([]projections.OfferChange, error) {
	return many(ctx, q, projections.OfferHistory, `AS o WHERE at_ms < $2 AND ($3 = ''::bytea OR model = $3)
		AND (at_ms >= $1 OR NOT EXISTS (SELECT FROM filature.offer_history AS later
			WHERE later.model = o.model AND later.worker = o.worker AND later.at_ms < $1
			AND (later.ledger_offset, later.fact) > (o.ledger_offset, o.fact)))
		ORDER BY ledger_offset, fact`, which.FromMs, which.ToMs, blob(which.Model))
}

func (q reader) HoldbacksOf(ctx context.Context, provider domain.ProviderID) ([]projections.Holdback, error) {
	return many(ctx, q, projections.Holdbacks, `WHERE provider = $1 AND released_nano + forfeited_nano < amount_nano
		ORDER BY until_ms, shard, bucket_ms`, blob(provider))
}

func (q reader) Trust(ctx context.Context, worker domain.WorkerID) (projections.Trust, error) {
	return one(ctx, q, projections.Trusts, "WHERE worker = $1", blob(worker))
}

func (q reader) AttestationsOf(ctx context.Context, worker domain.WorkerID, limit int) ([]projections.Attestation, error) {
	if limit > projections.MaxRows {
		return nil, fmt.Errorf("attestations of %s: %d at once, %d at most", worker, limit, projections.MaxRows)
	}
	return many(ctx, q, projections.Attestations, "WHERE worker = $1 ORDER BY ledger_offset DESC, fact DESC LIMIT $2", blob(worker), limit)
}

func (q reader) RetiredImage(ctx context.Context, image domain.Digest) (projections.RetiredImage, error) {
	return one(ctx, q, projections.RetiredImages, "WHERE image_hash = $1", blob(image))
}

func (q reader) WorkersOf(ctx context.Context, provider domain.ProviderID) ([]projections.Worker, error) {
	return many(ctx, q, projections.Workers, "WHERE provider = $1 ORDER BY worker", blob(provider))
}

func (q reader) HoldExtensions(ctx context.Context, job domain.JobID) ([]projections.HoldExtension, error) {
	return many(ctx, q, projections.HoldExtensions, "WHERE job = $1 ORDER BY ledger_offset LIMIT $2", blob(job), projections.MaxRows)
}

func (q reader) AttestationAt(ctx context.Context, worker domain.WorkerID, at domain.Offset) (projections.Attestation, error) {
	return one(ctx, q, projections.Attestations, "WHERE worker = $1 AND ledger_offset = $2 ORDER BY fact DESC LIMIT 1", blob(worker), int64(at))
}

func (q reader) Worker(ctx context.Context, worker domain.WorkerID) (projections.Worker, error) {
	return one(ctx, q, projections.Workers, "WHERE worker = $1", blob(worker))
}
