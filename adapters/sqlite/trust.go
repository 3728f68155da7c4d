package sqlite

import (
	"context"
	"fmt"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/projections"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

func (q reader) Standings(ctx context.Context, kind v1.SubjectKind, subject [32]byte) ([]projections.Standing, error) {
	found, err := many(ctx, q, projections.Standings, "WHERE kind = ? AND subject = ? ORDER BY shard", projections.SubjectName(kind), blob(subject))
	if err == nil && len(found) == 0 {
		err = fmt.Errorf("standing of %x: %w", subject, projections.ErrNotFound)
	}
	return found, err
}

func (q reader) Hold(ctx context.Context, job domain.JobID) (projections.Hold, error) {
	return one(ctx, q, projections.Holds, "WHERE job = ?", blob(job))
}

func (q reader) Holdback(ctx context.Context, key projections.HoldbackKey) (projections.Holdback, error) {
	return one(ctx, q, projections.Holdbacks, "WHERE provider = ? AND shard = ? AND bucket_ms = ?", blob(key.Provider), key.Shard, key.BucketMs)
}

func (q reader) Trust(ctx context.Context, worker domain.WorkerID) (projections.Trust, error) {
	return one(ctx, q, projections.Trusts, "WHERE worker = ?", blob(worker))
}

func (q reader) RetiredImage(ctx context.Context, image domain.Digest) (projections.RetiredImage, error) {
	return one(ctx, q, projections.RetiredImages, "WHERE image_hash = ?", blob(image))
}

func (q reader) HoldExtensions(ctx context.Context, job domain.JobID) ([]projections.HoldExtension, error) {
	return many(ctx, q, projections.HoldExtensions, "WHERE job = ? ORDER BY ledger_offset LIMIT ?", blob(job), projections.MaxRows)
}

func (q reader) AttestationAt(ctx context.Context, worker domain.WorkerID, at domain.Offset) (projections.Attestation, error) {
	return one(ctx, q, projections.Attestations, "WHERE worker = ? AND ledger_offset = ? ORDER BY fact DESC LIMIT 1", blob(worker), int64(at))
}

func (q reader) Worker(ctx context.Context, worker domain.WorkerID) (projections.Worker, error) {
	return one(ctx, q, projections.Workers, "WHERE worker = ?", blob(worker))
}
