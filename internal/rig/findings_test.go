package rig_test

import (
	"crypto/sha256"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/filature/filature/adapters/queryapi"
	"github.com/filature/filature/projections"
	"github.com/filature/filature/projections/projectionstest"
	queryv1 "github.com/filature/filature/schemas/filature/query/v1"
)

// An audit that failed, and a vault that is short.
var (
	foundByAudit = &queryv1.Audit{
		Verdict: "fail", BeganAtMs: 1_795_000_000_000, EndedAtMs: 1_795_000_004_000, EveryMs: 3_600_000, Chain: "verified", Program: "filature",
		Steps: []*queryv1.AuditStep{
			{Name: "ledger", State: "done", Checked: []*queryv1.AuditCount{{Number: 7, Of: "entries"}}, Offences: 1},
			{Name: "files", State: "skipped", Why: "the logs are not kept in files"},
		},
		Shards: []*queryv1.AuditedShard{{Shard: 0, CheckedTo: 5, End: 7, Facts: 4, Signatures: 3}}, Batches: 2, BatchesEqual: 1,
		Offences: []*queryv1.OffenceCount{{Kind: "changed_entry", Count: 1}},
		First:    []*queryv1.AuditOffence{{Kind: "changed_entry", Log: "ledger", Placed: true, Offset: 5, Why: "it is another"}},
	}
	foundOnChain = &queryv1.Reconciliation{
		State: "alarm", AtMs: 1_795_000_000_000, Lt: 9, Ledger: &queryv1.Position{LedgerOffsets: []int64{5, 6}}, HoldsNano: 10, HasToHoldNano: 12,
		Alarms: 1, Differences: []*queryv1.ChainDifference{{Kind: "vault_short", State: "alarm", Subject: "vault", Ledger: "12", Chain: "10", SinceMs: 3}},
	}
)

// keepFindings has a store know what was found.
func keepFindings(t testing.TB, store projections.Findings) {
	t.Helper()
	for name, found := range map[projections.FindingName]proto.Message{projections.FoundByAudit: foundByAudit, projections.FoundOnChain: foundOnChain} {
		if err := projections.WriteFinding(projectionstest.Context(t), store, name, 1, found); err != nil {
			t.Fatal(err)
		}
	}
}

// TestWhatNobodyHasLookedAtIsNoVerdict: it is not good, and not bad.
func TestWhatNobodyHasLookedAtIsNoVerdict(t *testing.T) {
	t.Parallel()
	ctx := projectionstest.Context(t)
	store := openSQLite(t)
	c := openLibrary(t, live(t, store), store, nil).clients(ways["JSON"], "")
	audit, err := c.GetAudit(ctx, &queryv1.GetAuditRequest{})
	if want := (&queryv1.Audit{Verdict: "none"}); err != nil || !proto.Equal(audit.Audit, want) {
		t.Errorf("nobody audited, and it is %v (%v)", audit, err)
	}
	seen, err := c.GetReconciliation(ctx, &queryv1.GetReconciliationRequest{})
	if want := (&queryv1.Reconciliation{State: "none"}); err != nil || !proto.Equal(seen.Reconciliation, want) {
		t.Errorf("nobody looked at the chain, and it is %v (%v)", seen, err)
	}
}

func TestHowAnAuditEndedIsForAllAndWhatItFoundForWhoSeesTheBooks(t *testing.T) {
	t.Parallel()
	ctx := projectionstest.Context(t)
	store := openSQLite(t)
	keys := queryapi.Keys{}
	l := openLibrary(t, live(t, store), store, keys)
	keepFindings(t, store)
	for role, all := range map[queryapi.Role]bool{
		queryapi.RoleProvider: false, queryapi.RoleClient: false, queryapi.RoleFinance: true, queryapi.RoleAuditor: true,
	} {
		keys[sha256.Sum256([]byte(role))] = queryapi.Asker{Name: string(role), Role: role, Subject: [32]byte{1}}
		c := l.clients(ways["gRPC"], string(role))
		wantAudit, wantSeen := proto.CloneOf(foundByAudit), proto.CloneOf(foundOnChain)
		if !all {
			wantAudit.First, wantSeen.Differences = nil, nil
		}
		audit, err := c.GetAudit(ctx, &queryv1.GetAuditRequest{})
		if err != nil || !proto.Equal(audit.Audit, wantAudit) {
			t.Errorf("%s sees the audit %v (%v), want %v", role, audit, err, wantAudit)
		}
		seen, err := c.GetReconciliation(ctx, &queryv1.GetReconciliationRequest{})
		if err != nil || !proto.Equal(seen.Reconciliation, wantSeen) {
			t.Errorf("%s sees the chain %v (%v), want %v", role, seen, err, wantSeen)
		}
		if !all {
			continue
		}
		wantSeen.Differences = nil
		overview, err := c.GetOverview(ctx, &queryv1.GetOverviewRequest{})
		if err != nil || !proto.Equal(overview.Overview.Vault, wantSeen) {
			t.Errorf("%s sees at a glance %v (%v), want %v", role, overview, err, wantSeen)
		}
	}
}
