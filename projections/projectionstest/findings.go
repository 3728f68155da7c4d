package projectionstest

import (
	"errors"
	"fmt"
	"testing"

	"github.com/filature/filature/projections"
)

// findingsStore is a store that keeps findings, too.
type findingsStore interface {
	projections.Store
	projections.Findings
}

// ExerciseFindings holds a store to the contract of projections.Findings.
func ExerciseFindings(t *testing.T, h Harness) {
	t.Helper()
	ctx := Context(t)
	open := func(store projections.Store) findingsStore {
		kept, is := store.(findingsStore)
		if !is {
			t.Fatalf("a %T keeps no findings", store)
		}
		return kept
	}
	store := open(h.Open(t))
	wants := func(name projections.FindingName, want string) {
		t.Helper()
		found, err := store.Finding(ctx, name)
		if have := fmt.Sprintf("%d %s", found.AtMs, found.Body); err != nil || found.Name != name || have != want {
			t.Errorf("finding %s is %q (%v), want %q", name, have, err, want)
		}
	}
	keep := func(name projections.FindingName, atMs int64, body string) {
		t.Helper()
		if err := store.KeepFinding(ctx, projections.Finding{Name: name, AtMs: atMs, Body: []byte(body)}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := store.Finding(ctx, projections.FoundByAudit); !errors.Is(err, projections.ErrNotFound) {
		t.Errorf("an empty store has a finding (%v)", err)
	}
	keep(projections.FoundByAudit, 20, "pass")
	keep(projections.FoundOnChain, 5, "agrees")
	wants(projections.FoundByAudit, "20 pass")
	keep(projections.FoundByAudit, 30, "fail")
	wants(projections.FoundByAudit, "30 fail")
	keep(projections.FoundByAudit, 20, "pass") // by one that was asleep
	wants(projections.FoundByAudit, "30 fail")
	wants(projections.FoundOnChain, "5 agrees")
	store = open(h.Reopen(t, store))
	wants(projections.FoundByAudit, "30 fail")
	large := projections.Finding{Name: projections.FoundByAudit, AtMs: 40, Body: make([]byte, projections.MaxFindingBytes+1)}
	if err := store.KeepFinding(ctx, large); err == nil {
		t.Error("too large a finding is kept")
	}
	wants(projections.FoundByAudit, "30 fail")
}
