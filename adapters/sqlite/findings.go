package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/filature/filature/projections"
)

var _ projections.Findings = (*Store)(nil)

const keepFinding = `INSERT INTO findings (name, at_ms, body) VALUES (?, ?, ?)
	ON CONFLICT (name) DO UPDATE SET at_ms = excluded.at_ms, body = excluded.body WHERE excluded.at_ms >= findings.at_ms`

// KeepFinding implements projections.Findings.
func (s *Store) KeepFinding(ctx context.Context, f projections.Finding) error {
	if len(f.Body) > projections.MaxFindingBytes {
		return fmt.Errorf("keep finding %s: has %d bytes, want at most %d", f.Name, len(f.Body), projections.MaxFindingBytes)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.execute(ctx, keepFinding, string(f.Name), f.AtMs, f.Body); err != nil {
		return fmt.Errorf("keep finding %s: %w", f.Name, err)
	}
	return nil
}

// Finding implements projections.Findings.
func (s *Store) Finding(ctx context.Context, name projections.FindingName) (projections.Finding, error) {
	found := projections.Finding{Name: name}
	err := s.reading.QueryRowContext(ctx, "SELECT at_ms, body FROM findings WHERE name = ?", string(name)).Scan(&found.AtMs, &found.Body)
	if errors.Is(err, sql.ErrNoRows) {
		err = projections.ErrNotFound
	}
	if err != nil {
		return projections.Finding{}, fmt.Errorf("finding %s: %w", name, err)
	}
	return found, nil
}
