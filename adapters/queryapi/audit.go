package queryapi

import (
	"context"

	"google.golang.org/protobuf/proto"

	"github.com/filature/filature/projections"
	queryv1 "github.com/filature/filature/schemas/filature/query/v1"
)

// Words for what nobody has found out yet.
const nobodyLooked = "none"

// GetAudit implements queryv1.AuditServiceHandler. How it ended is everybody's business; what the offences are is told to who
// sees the books.
func (s *server) GetAudit(ctx context.Context, asked *queryv1.GetAuditRequest) (*queryv1.GetAuditResponse, error) {
	return answer(ctx, s, asked.Reading, func(_ projections.Reader, at *queryv1.Position) (*queryv1.GetAuditResponse, error) {
		audit := &queryv1.Audit{}
		found, err := s.found(ctx, projections.FoundByAudit, audit)
		if err != nil {
			return nil, err
		}
		if !found {
			audit.Verdict = nobodyLooked
		}
		if !askerIn(ctx).seesAll() {
			audit.First = nil
		}
		return &queryv1.GetAuditResponse{Position: at, Audit: audit}, nil
	})
}

// GetReconciliation implements queryv1.AuditServiceHandler. The sums are on chain for everybody to see; who differs is told to
// who sees the books.
func (s *server) GetReconciliation(ctx context.Context, asked *queryv1.GetReconciliationRequest) (*queryv1.GetReconciliationResponse, error) {
	return answer(ctx, s, asked.Reading, func(_ projections.Reader, at *queryv1.Position) (*queryv1.GetReconciliationResponse, error) {
		seen, err := s.reconciled(ctx)
		if err != nil {
			return nil, err
		}
		if !askerIn(ctx).seesAll() {
			seen.Differences = nil
		}
		return &queryv1.GetReconciliationResponse{Position: at, Reconciliation: seen}, nil
	})
}

// reconciled is the vault as it was last seen.
func (s *server) reconciled(ctx context.Context) (*queryv1.Reconciliation, error) {
	seen := &queryv1.Reconciliation{}
	found, err := s.found(ctx, projections.FoundOnChain, seen)
	if err == nil && !found {
		seen.State = nobodyLooked
	}
	return seen, err
}

// found reads a finding into a message, and tells whether there is one.
func (s *server) found(ctx context.Context, name projections.FindingName, into proto.Message) (bool, error) {
	if s.Findings == nil {
		return false, nil
	}
	return projections.ReadFinding(ctx, s.Findings, name, into)
}
