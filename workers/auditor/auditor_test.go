package auditor_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"testing"

	"github.com/filature/filature/domain/signing"
	"github.com/filature/filature/internal/rig"
	"github.com/filature/filature/workers/auditor"
)

// lived returns a world in which everything has happened: jobs of all endings, misbehaviour, two
// batches that were paid, a third that is on its way, and claims that nobody has answered yet.
func lived(t rig.Test, options rig.Options, jobs int) *rig.World {
	t.Helper()
	w := rig.New(t, options)
	for range 2 {
		w.Live(jobs)
		w.Work()
		w.Mature()
		w.Work()
		if w.Settle() == nil {
			t.Fatalf("nobody is owed anything")
		}
	}
	w.Live(jobs)
	w.Work()
	w.Fold()
	return w
}

func config(w *rig.World) auditor.Config {
	return auditor.Config{
		Intake: w.Intake, Ledger: w.Ledger, Genesis: w.Genesis, Verifier: signing.NewVerifier(1024), Entropy: rand.Reader,
		Store: w.Store, Chain: w.Vault.History(),
	}
}

func audit(t *testing.T, cfg auditor.Config) auditor.Report {
	t.Helper()
	report, err := auditor.Audit(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func text(t *testing.T, r auditor.Report) string {
	t.Helper()
	var out bytes.Buffer
	if err := auditor.WriteText(&out, r); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestAnUntouchedHistoryPasses(t *testing.T) {
	for _, judged := range []bool{false, true} {
		w := lived(t, rig.Options{Seed: 1, Judged: judged}, 60)
		r := audit(t, config(w))
		if r.Verdict != auditor.Pass {
			t.Fatalf("an untouched history, judged %t:\n%s", judged, text(t, r))
		}
		t.Log("\n" + text(t, r))
	}
}
