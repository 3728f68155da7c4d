package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/filature/filature/adapters/sqlite"
	"github.com/filature/filature/projections"
	queryv1 "github.com/filature/filature/schemas/filature/query/v1"
	"github.com/filature/filature/workers/auditor"
)

// standingVerdict is what a folder's tables say of the last audit.
func standingVerdict(t *testing.T, folder string) *queryv1.Audit {
	t.Helper()
	store, err := readStore(t.Context(), folder)
	if err != nil {
		t.Fatal(err)
	}
	audit, err := lastAudit(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	return audit
}

// killedWhileItAudits kills serve in the middle of an audit: what the audit has saved is still there.
func killedWhileItAudits(t *testing.T, folder string) {
	t.Helper()
	state := filepath.Join(folder, auditDir, auditStateDir, "audit.json")
	for range 10 {
		if _, over := killed(t, whenThere(state), "serve", "--data", folder, "--listen", "127.0.0.1:0", "--audit-every", "5s"); over {
			t.Fatal("serve ended by itself")
		}
		if isThere(state) {
			return
		}
	}
	t.Fatal("each audit was over before it was killed")
}

// TestServeAuditsItselfAndTellsNoVerdictThatWasNotReached: the API, the folder and the metrics tell how the last audit ended;
// killed in the middle of one, the verdict before stands, with its time.
func TestServeAuditsItselfAndTellsNoVerdictThatWasNotReached(t *testing.T) {
	t.Parallel()
	folder := sharedDemo.copied(t)
	killedWhileItAudits(t, folder)
	if none := standingVerdict(t, folder); !proto.Equal(none, &queryv1.Audit{}) {
		t.Fatalf("killed in the middle of the first audit, there is a verdict: %v", none)
	}

	passed := auditedBy(t, folder, 0)
	if passed.Verdict != "pass" || passed.Chain != "local" || len(passed.Offences) != 0 || passed.Batches == 0 || passed.BatchesEqual != passed.Batches {
		t.Fatalf("a sound folder is audited: %v", passed)
	}
	for _, step := range passed.Steps {
		if step.State != "done" {
			t.Errorf("step %s is %s: %s", step.Name, step.State, step.Why)
		}
	}
	raw, err := os.ReadFile(filepath.Join(folder, auditDir, auditReport))
	if err != nil {
		t.Fatal(err)
	}
	var report auditor.Report
	if err := json.Unmarshal(raw, &report); err != nil || report.Verdict != auditor.Pass || int64(len(report.Batches)) != passed.Batches {
		t.Errorf("the report in the folder is %s (%v)", raw, err)
	}
	if page, err := os.ReadFile(filepath.Join(folder, auditDir, auditPage)); err != nil || !strings.Contains(string(page), "filature audit --data "+folder) {
		t.Errorf("the page in the folder does not say how to audit again (%v): %s", err, page)
	}

	changeRow(t, folder, `UPDATE balances_v1 SET amount_nano = amount_nano + 1
		WHERE (kind, owner) = (SELECT kind, owner FROM balances_v1 WHERE kind = 'client/available' LIMIT 1)`)
	killedWhileItAudits(t, folder)
	if stands := standingVerdict(t, folder); !proto.Equal(stands, passed) {
		t.Fatalf("killed in the middle of the second audit, the verdict is %v, want %v", stands, passed)
	}

	failed := auditedBy(t, folder, passed.BeganAtMs)
	if failed.Verdict != "fail" || failed.Offences[0].Kind != string(auditor.ChangedRow) || failed.First[0].Table != "balances" {
		t.Errorf("a changed row is audited: %v", failed)
	}
	for _, step := range failed.Steps {
		// The second count compares the tables, too.
		if found := step.Offences > 0; found != (step.Name == "projections" || step.Name == "recount") {
			t.Errorf("step %s found %d offences", step.Name, step.Offences)
		}
	}
}

// auditedBy serves a folder until there is another verdict than the one that was reached before, and tells the new one.
func auditedBy(t *testing.T, folder string, beforeMs int64) (audit *queryv1.Audit) {
	t.Helper()
	server := launch(t, "serve", "--data", folder, "--listen", "127.0.0.1:0", "--audit-every", "5s")
	server.awaitReady(t)
	asked := queryv1.NewAuditServiceClient(http.DefaultClient, server.url)
	server.until(t, func() bool {
		audit = answered(t.Context(), t, asked.GetAudit, &queryv1.GetAuditRequest{}).Audit
		return audit.BeganAtMs > beforeMs
	})
	wants := "filature_audit_passed 0\n"
	if audit.Verdict == "pass" {
		wants = "filature_audit_passed 1\n"
	}
	if metrics := textAt(t, server.url+"/metrics"); !strings.Contains(metrics, wants) {
		t.Errorf("the metrics do not say %q:\n%s", wants, metrics)
	}
	var seen *queryv1.Reconciliation
	server.until(t, func() bool { // the first round is made at once
		seen = answered(t.Context(), t, asked.GetReconciliation, &queryv1.GetReconciliationRequest{}).Reconciliation
		return seen.State != "none"
	})
	if seen.State == "alarm" || seen.HoldsNano != seen.HasToHoldNano+seen.ToppedUpNano || seen.HoldsNano == 0 || seen.AtMs == 0 {
		t.Errorf("the vault is seen as %v", seen)
	}
	server.end(t)
	return audit
}

func textAt(t *testing.T, url string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestAnAuditThatCanNotGoOnBeginsAnew: what an interrupted audit left saves time, and is no reason to be without a verdict.
func TestAnAuditThatCanNotGoOnBeginsAnew(t *testing.T) {
	t.Parallel()
	a := auditing{folder: t.TempDir(), audit: func(_ context.Context, kept *keptAudit) (*auditor.Report, error) {
		if kept == nil {
			t.Error("nothing would be kept of an audit that is cut off")
		}
		return &auditor.Report{Verdict: auditor.Incomplete}, nil
	}}
	state := filepath.Join(a.folder, auditStateDir)
	if err := os.MkdirAll(state, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(state, "audit.json"), []byte(`{"progress":{},"sha256":"00"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	report, err := a.once(t.Context())
	if err != nil || report.Verdict != auditor.Incomplete {
		t.Errorf("it came to %v (%v)", report, err)
	}
	if isThere(state) {
		t.Error("what it left is still there: the next audit would not look at what has come since")
	}
}

// busyStore takes no finding while it is busy, and tells when it has taken one.
type busyStore struct {
	store

	busy bool
	took func()
}

var errBusy = errors.New("the tables are locked")

func (s *busyStore) KeepFinding(ctx context.Context, f projections.Finding) error {
	if s.busy {
		return errBusy
	}
	defer s.took()
	return s.store.KeepFinding(ctx, f)
}

// TestAVerdictThatCouldNotBeKeptIsKeptWithoutAnotherAudit: an audit may take an hour, and a store that is busy a second.
func TestAVerdictThatCouldNotBeKeptIsKeptWithoutAnotherAudit(t *testing.T) {
	t.Parallel()
	tables, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), projectionFile))
	if err != nil {
		t.Fatal(err)
	}
	defer tables.Close()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	audits, kept := 0, &busyStore{tables, true, stop} // the next audit would be in an hour
	e := &engine{log: slog.New(slog.DiscardHandler), parts: parts{now: time.Now, store: kept, auditing: &auditing{
		folder: t.TempDir(), every: time.Hour,
		audit: func(context.Context, *keptAudit) (*auditor.Report, error) {
			audits++
			return &auditor.Report{Verdict: auditor.Pass}, nil
		},
	}}}
	if err := e.auditStanding(ctx); !errors.Is(err, errBusy) {
		t.Fatalf("a store that is busy: %v", err)
	}
	kept.busy = false
	if err := e.auditStanding(ctx); err != nil && ctx.Err() == nil {
		t.Fatal(err)
	}
	if verdict, err := lastAudit(t.Context(), tables); err != nil || verdict.Verdict != "pass" || audits != 1 {
		t.Errorf("after %d audits the verdict is %v (%v)", audits, verdict, err)
	}
}
