package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/filature/filature/projections"
)

var _ projections.Findings = (*Store)(nil)

const keepFinding = `INSERT INTO filature.findings AS kept (name, at_ms, body) VALUES ($1, $2, $3)
	ON CONFLICT (name) DO UPDATE SET at_ms = excluded.at_ms, body = excluded.body WHERE excluded.at_ms >= kept.at_ms`

// KeepFinding implements projections.Findings.
func (s *Store) KeepFinding(ctx context.Context, f projections.Finding) error {
	if len(f.Body) > projections.MaxFindingBytes {
		return fmt.Errorf("keep finding %s: has %d bytes, want at most %d", f.Name, len(f.Body), projections.MaxFindingBytes)
	}
	if _, err := s.writing.Exec(ctx, keepFinding, string(f.Name), f.AtMs, f.Body); err != nil {
		return fmt.Errorf("keep finding %s: %w", f.Name, explain(err))
	}
	return nil
}

// Finding implements projections.Findings.
func (s *Store) Finding(ctx context.Context, name projections.FindingName) (projections.Finding, error) {
	found := projections.Finding{Name: name}
	const query = "SELECT at_ms, body FROM filature.findings WHERE name = $1"
	err := s.reading.QueryRow(ctx, query, string(name)).Scan(&found.AtMs, &found.Body)
	if errors.Is(err, pgx.ErrNoRows) {
		err = projections.ErrNotFound
	}
	if err != nil {
		return projections.Finding{}, fmt.Errorf("finding %s: %w", name, explain(err))
	}
	return found, nil
}
