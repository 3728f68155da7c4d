package main

import (
	"path/filepath"
	"testing"

	"github.com/filature/filature/projections"
	"github.com/filature/filature/workers/auditor"
)

func TestManyPayeesAreSettledInSeveralBatchesTheAuditAgreesAndWhoAsksIsPaid(t *testing.T) {
	t.Parallel()
	const payees = 2000
	r := decoded[payeesResult](t, invoke(t, "demo", "--payees", "2000", "--shards", "2", "--data", filepath.Join(t.TempDir(), "data"), "--json").want(t, exitOK))
	if r.Payees != payees || r.Batches < 5 || r.Promised <= 0 {
		t.Errorf("%d batches promise %s to %d payees", r.Batches, r.Promised, r.Payees)
	}
	// The keeper stays within its budget under each root, and uses all of it under the last.
	if r.Sampled < demoClaims || r.Sampled > demoClaims*r.Batches || r.Paid <= 0 || r.Paid >= r.Promised {
		t.Errorf("%d payees of %d batches were claimed for and got %s of %s", r.Sampled, r.Batches, r.Paid, r.Promised)
	}
	if r.Audit.Verdict != auditor.Pass || len(r.Audit.Batches) != r.Batches {
		t.Fatalf("verdict %s of %d batches: %+v", r.Audit.Verdict, len(r.Audit.Batches), r.Audit.Offences)
	}
	for _, b := range r.Audit.Batches {
		if b.State != projections.BatchActivated || !b.Equal || b.Payees > payees {
			t.Errorf("batch %d is %s, equal on chain %t, for %d payees", b.Number, b.State, b.Equal, b.Payees)
		}
	}
	checkAPayeeClaims(t, r.Data)
}
