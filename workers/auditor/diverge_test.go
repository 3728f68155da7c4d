package auditor_test

import (
	"fmt"
	"testing"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/internal/forger"
	"github.com/filature/filature/internal/rig"
	v1 "github.com/filature/filature/schemas/filature/v1"
	"github.com/filature/filature/workers/auditor"
)

// TestTheFirstBatchThatTheChainHasOtherwiseIsNamed: what was changed between two batches is told by the second, whether it
// moves money or not.
func TestTheFirstBatchThatTheChainHasOtherwiseIsNamed(t *testing.T) {
	w := rig.New(t, rig.Options{Seed: 72})
	const batches = 4
	for i := range batches {
		w.Live(30)
		w.Say(w.Admin, domain.Control, &v1.Claim{Body: &v1.Claim_ListModel{ListModel: &v1.ListModel{
			Model: append(make([]byte, 31), byte(200+i)), Name: fmt.Sprintf("model %d", i),
		}}})
		w.Work()
		w.Mature()
		w.Work()
		if w.Settle() == nil {
			t.Fatal("nobody is owed anything")
		}
	}
	was := forger.Forgery{}
	var err error
	if was.Intake, err = forger.Copy(t.Context(), w.Intake); err == nil {
		was.Ledger, err = forger.Copy(t.Context(), w.Ledger)
	}
	if err != nil {
		t.Fatal(err)
	}
	for i := range batches {
		told, err := forger.Rewrite(t.Context(), was, w.Keys(), func(_ domain.Shard, claim *v1.Claim) bool {
			model := claim.GetListModel()
			if model == nil || model.Name != fmt.Sprintf("model %d", i) {
				return false
			}
			model.Name = "another"
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
		cfg := config(w)
		cfg.Intake, cfg.Ledger, cfg.Store = told.Intake, told.Ledger, nil
		r := audit(t, cfg)
		want := uint32(i + 1)
		if r.Diverges == nil || r.Diverges.Batch != want || r.Diverges.Field != "commitment" || r.Diverges.OnChain == r.Diverges.FromLog {
			t.Errorf("changed below batch %d: %+v", want, r.Diverges)
		}
		for _, o := range r.Offences {
			if o.Kind != auditor.BatchOnChain || o.Batch != batches {
				t.Errorf("changed below batch %d: %s", want, o)
			}
		}
	}
	if r := audit(t, config(w)); r.Diverges != nil || r.Verdict != auditor.Pass {
		t.Errorf("the history as it was: %+v", r.Diverges)
	}
}
