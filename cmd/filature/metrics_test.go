package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/filature/filature/adapters/sqlite"
	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/settlement"
	"github.com/filature/filature/eventstore"
	"github.com/filature/filature/internal/rig"
	"github.com/filature/filature/projections"
	v1 "github.com/filature/filature/schemas/filature/v1"
	"github.com/filature/filature/workers/gateway"
)

// scrape asks the handler as Prometheus does, and returns values by name and labels: `name{a="1",b="2"}`.
func scrape(t *testing.T, m *metrics) map[string]float64 {
	t.Helper()
	answer := httptest.NewRecorder()
	m.handler().ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	if answer.Code != http.StatusOK {
		t.Fatalf("status %d: %s", answer.Code, answer.Body)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for name, family := range families {
		for _, metric := range family.Metric {
			values[name+labelsOf(metric)] = valueOf(metric)
		}
	}
	return values
}

func labelsOf(metric *dto.Metric) string {
	if len(metric.Label) == 0 {
		return ""
	}
	var labels []string
	for _, label := range metric.Label {
		labels = append(labels, fmt.Sprintf("%s=%q", label.GetName(), label.GetValue()))
	}
	return "{" + strings.Join(labels, ",") + "}"
}

// valueOf is a metric's value; a histogram's is its count.
func valueOf(metric *dto.Metric) float64 {
	switch {
	case metric.Gauge != nil:
		return metric.Gauge.GetValue()
	case metric.Counter != nil:
		return metric.Counter.GetValue()
	case metric.Histogram != nil:
		return float64(metric.Histogram.GetSampleCount())
	default:
		return 0
	}
}

// world is a small network with tables in SQLite.
func openWorld(t *testing.T) (*rig.World, *sqlite.Store) {
	t.Helper()
	tables, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), projectionFile))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tables.Close(); err != nil {
			t.Error(err)
		}
	})
	return rig.New(t, rig.Options{Seed: 7, Store: tables}), tables
}

func TestAScrapeTellsWhatLogsTablesAndVaultSay(t *testing.T) {
	w, tables := openWorld(t)
	w.Live(60)
	w.Work()
	w.Mature()
	w.Work()
	if w.Settle() == nil {
		t.Fatal("nobody was owed anything")
	}
	w.Live(60)
	w.Work()
	w.Mature()
	w.Work()
	if w.Seal() == nil {
		t.Fatal("nobody was owed anything the second time")
	}
	w.Fold()
	w.Pass(90 * time.Second)
	folded := w.Ends()
	answered := map[domain.Shard]domain.Offset{}
	for _, shard := range []domain.Shard{1, 2} {
		end, err := w.Intake.End(t.Context(), shard)
		if err != nil {
			t.Fatal(err)
		}
		answered[shard] = end
	}
	w.Tick()
	w.Work() // answered, and not folded
	w.Tick() // not answered

	m := newMetrics(sources{
		intake: w.Intake, ledger: w.Ledger, tables: tables, vault: w.Vault.Look,
		clerks: func() map[domain.Shard]domain.Offset { return answered },
		works: func() []work {
			return []work{{role: roleClerk, shard: 2, running: true, stops: 3}, {role: roleSettler, shard: domain.Control}}
		},
	}, w.Now)
	have := scrape(t, m)

	want := map[string]float64{
		`filature_batch_last_number`:                           2,
		`filature_batches{state="activated"}`:                  1,
		`filature_batches{state="sealed"}`:                     1,
		`filature_batches{state="proposed"}`:                   0,
		`filature_trial_balance_nanotons`:                      0,
		`filature_vault_paused`:                                0,
		`filature_role_running{role="clerk",shard="2"}`:        1,
		`filature_role_restarts_total{role="clerk",shard="2"}`: 3,
		`filature_role_running{role="settler",shard="0"}`:      0,
		`filature_look_ok{source="intake"}`:                    1,
		`filature_look_ok{source="ledger"}`:                    1,
		`filature_look_ok{source="tables"}`:                    1,
		`filature_look_ok{source="vault"}`:                     1,
		`filature_clerk_lag_records{shard="1"}`:                2,
		`filature_clerk_lag_records{shard="2"}`:                2,
		`filature_answers_lag_records{shard="0"}`:              2,
		`filature_answers_lag_records{shard="2"}`:              2,
	}
	for shard, end := range w.Ends() {
		intake, err := w.Intake.End(t.Context(), domain.Shard(shard))
		if err != nil {
			t.Fatal(err)
		}
		want[fmt.Sprintf(`filature_intake_end_records{shard="%d"}`, shard)] = float64(intake)
		want[fmt.Sprintf(`filature_ledger_end_records{shard="%d"}`, shard)] = float64(end)
		want[fmt.Sprintf(`filature_projection_lag_records{shard="%d"}`, shard)] = float64(end - folded[shard])
	}
	var free, booked domain.Nano
	seen, err := w.Vault.Look(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	free = seen.Free
	if err := tables.Read(t.Context(), func(reader projections.Reader) error {
		totals, err := reader.TrialBalance(t.Context())
		for _, total := range totals {
			want[fmt.Sprintf(`filature_balance_nanotons{kind=%q}`, total.Kind)] = float64(total.Amount)
			want[fmt.Sprintf(`filature_balance_accounts{kind=%q}`, total.Kind)] = float64(total.Accounts)
			if total.Kind == "vault/cash" {
				booked = -total.Amount
			}
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	want[`filature_vault_free_nanotons`], want[`filature_vault_booked_nanotons`] = float64(free), float64(booked)
	want[`filature_vault_surplus_nanotons`] = float64(free - booked)
	for name, value := range want {
		if got, there := have[name]; !there || got != value {
			t.Errorf("%s is %v, want %v", name, got, value)
		}
	}
	if age := have["filature_batch_open_age_seconds"]; age < 90 || age > 120 {
		t.Errorf("the open batch is %v s old", age)
	}
	if _, there := have[`filature_clerk_lag_records{shard="0"}`]; there {
		t.Error("this process has no clerk of control, and says how far it lags")
	}
}

func TestTheLagIsThatOfTheRearmostTable(t *testing.T) {
	w, tables := openWorld(t)
	w.Live(20)
	w.Work()
	w.Fold()
	if err := tables.Forget(t.Context(), projections.Jobs.Table()); err != nil {
		t.Fatal(err)
	}
	for _, at := range []domain.Offset{0, 2} {
		if err := projections.FoldTo(t.Context(), w.Ledger, tables, []domain.Offset{at, at, at}, projections.Jobs); err != nil {
			t.Fatal(err)
		}
		have := scrape(t, newMetrics(sources{intake: w.Intake, ledger: w.Ledger, tables: tables}, w.Now))
		for shard, end := range w.Ends() {
			if name := fmt.Sprintf(`filature_projection_lag_records{shard="%d"}`, shard); have[name] != float64(end-at) || end <= at {
				t.Errorf("%s is %v, want %d: one table stands at %d", name, have[name], end-at, at)
			}
		}
	}
}

func TestWhatAProcessDoesNotHaveIsNotTold(t *testing.T) {
	for name := range scrape(t, newMetrics(sources{}, time.Now)) {
		for _, absent := range []string{"filature_intake", "filature_ledger", "filature_vault", "filature_batch", "filature_balance", "filature_look"} {
			if strings.HasPrefix(name, absent) {
				t.Errorf("%s is told", name)
			}
		}
	}
}

// deaf is a log that does not answer.
type deaf struct{ ends }

func (deaf) End(ctx context.Context, _ domain.Shard) (domain.Offset, error) {
	<-ctx.Done()
	return 0, ctx.Err()
}

func TestASourceThatDoesNotAnswerIsGivenUpAndTheRestIsTold(t *testing.T) {
	w, _ := openWorld(t)
	synctest.Test(t, func(t *testing.T) {
		m := newMetrics(sources{
			intake: deaf{w.Intake}, ledger: w.Ledger,
			vault: func(context.Context) (settlement.Seen, error) {
				return settlement.Seen{}, errors.New("no lite-server answers")
			},
		}, time.Now)
		begun := time.Now()
		families, err := m.registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); took != lookTimeout {
			t.Errorf("it took %v", took)
		}
		have := map[string]float64{}
		for _, family := range families {
			for _, metric := range family.Metric {
				have[family.GetName()+labelsOf(metric)] = valueOf(metric)
			}
		}
		for name, value := range map[string]float64{
			`filature_look_ok{source="intake"}`: 0, `filature_look_ok{source="vault"}`: 0, `filature_look_ok{source="ledger"}`: 1,
			`filature_look_seconds{source="intake"}`: lookTimeout.Seconds(),
		} {
			if got, there := have[name]; !there || got != value {
				t.Errorf("%s is %v, want %v", name, got, value)
			}
		}
		if _, there := have[`filature_ledger_end_records{shard="1"}`]; !there {
			t.Error("the ledger's end is missing")
		}
		if _, there := have[`filature_vault_free_nanotons`]; there {
			t.Error("a vault is told that nobody saw")
		}
	})
}

func TestEachAnswerOfAClerkIsCounted(t *testing.T) {
	w, tables := openWorld(t)
	w.Live(80)
	w.Work()
	w.Mature()
	w.Work()
	w.Fold()
	m := newMetrics(sources{}, func() time.Time { return w.Now().Add(time.Second) })
	accepted, answers, byTime := 0.0, 0.0, 0
	for shard, end := range w.Ends() {
		err := eventstore.Each(t.Context(), w.Ledger, domain.Shard(shard), 0, end, func(rec eventstore.Record) error {
			entry, err := eventstore.DecodeEntry(domain.Shard(shard), rec)
			if err != nil {
				return err
			}
			m.decided(entry)
			if entry.GetAnswer() != nil {
				answers++
			}
			for _, fact := range entry.GetAnswer().GetFacts() {
				switch {
				case fact.Claim == 0:
					byTime++
				case fact.GetRejection() == nil:
					accepted++
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if byTime == 0 {
		t.Error("time did nothing in this world")
	}
	have := scrape(t, m)
	if got := have[`filature_clerk_decisions_total{outcome="accepted",reason=""}`]; got != accepted || accepted == 0 {
		t.Errorf("accepted are %v, want %v", got, accepted)
	}
	if got := have["filature_clerk_answer_seconds"]; got != answers {
		t.Errorf("timed are %v answers of %v", got, answers)
	}
	var totals []projections.ReasonTotal
	if err := tables.Read(t.Context(), func(reader projections.Reader) (err error) {
		totals, err = reader.RejectionTotals(t.Context(), 0, math.MaxInt64)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if len(totals) < 3 {
		t.Fatalf("the world knows %d kinds of rejections only", len(totals))
	}
	for _, total := range totals {
		rejected := have[fmt.Sprintf(`filature_clerk_decisions_total{outcome="rejected",reason=%q}`, total.Reason)]
		refused := have[fmt.Sprintf(`filature_clerk_decisions_total{outcome="refused",reason=%q}`, total.Reason)]
		if rejected+refused != float64(total.Count) {
			t.Errorf("%s: %v rejected and %v refused, the tables have %d", total.Reason, rejected, refused, total.Count)
		}
	}
}

// doorkeeper is a gateway that answers what it is told to.
type doorkeeper struct {
	receipts []*v1.Receipt
	err      error
}

func (d doorkeeper) Submit(context.Context, [][]byte) ([]*v1.Receipt, error) {
	return d.receipts, d.err
}

func (doorkeeper) Network(context.Context) (domain.NetworkID, int, error) {
	return domain.NetworkID{1}, 4, nil
}

func TestEachReceiptAndFailureOfAGatewayIsCounted(t *testing.T) {
	m := newMetrics(sources{}, time.Now)
	receipts := []*v1.Receipt{
		{Status: v1.ReceiptStatus_RECEIPT_STATUS_ACCEPTED}, {Status: v1.ReceiptStatus_RECEIPT_STATUS_ACCEPTED},
		{Status: v1.ReceiptStatus_RECEIPT_STATUS_DUPLICATE}, {Status: v1.ReceiptStatus_RECEIPT_STATUS_CONFLICT},
		{Status: v1.ReceiptStatus_RECEIPT_STATUS_REFUSED, Reason: v1.Reason_REASON_BAD_SIGNATURE},
	}
	answers := []doorkeeper{{receipts: receipts}}
	failures := map[string]error{
		"busy": gateway.ErrBusy, "too_large": gateway.ErrTooLarge, "unsure": gateway.ErrUnsure, "closed": gateway.ErrClosed,
		"gone": context.Canceled, "other": errors.New("unheard of"),
	}
	for _, err := range failures {
		answers = append(answers, doorkeeper{err: fmt.Errorf("submit: %w", err)})
	}
	for _, answer := range answers {
		got, err := m.gateway(answer).Submit(t.Context(), nil)
		if !slices.Equal(got, answer.receipts) || !errors.Is(err, answer.err) {
			t.Errorf("passes on %v, %v", got, err)
		}
	}
	if network, shards, err := m.gateway(doorkeeper{}).Network(t.Context()); network != (domain.NetworkID{1}) || shards != 4 || err != nil {
		t.Errorf("passes on network %v, %d, %v", network, shards, err)
	}
	want := map[string]float64{
		`filature_gateway_receipts_total{status="accepted"}`: 2, `filature_gateway_receipts_total{status="duplicate"}`: 1,
		`filature_gateway_receipts_total{status="conflict"}`: 1, `filature_gateway_receipts_total{status="refused"}`: 1,
		`filature_gateway_refusals_total{reason="bad_signature"}`: 1, `filature_gateway_submit_seconds`: float64(len(answers)),
	}
	for label := range failures {
		want[fmt.Sprintf(`filature_gateway_failures_total{error=%q}`, label)] = 1
	}
	have := scrape(t, m)
	for name, value := range want {
		if have[name] != value {
			t.Errorf("%s is %v, want %v", name, have[name], value)
		}
	}
}

func TestASettlerThatHaltsIsSeenUntilItGoesOn(t *testing.T) {
	m := newMetrics(sources{}, time.Now)
	m.settled(settlement.Decision{Step: settlement.StepPropose}, nil)
	m.settled(settlement.Decision{Step: settlement.StepHalt}, nil)
	m.settled(settlement.Decision{}, errors.New("no lite-server answers"))
	have := scrape(t, m)
	for name, value := range map[string]float64{
		`filature_settlement_decisions_total{step="propose"}`: 1, `filature_settlement_decisions_total{step="halt"}`: 1,
		`filature_settlement_errors_total`: 1, `filature_settlement_halted`: 1,
	} {
		if have[name] != value {
			t.Errorf("%s is %v, want %v", name, have[name], value)
		}
	}
	m.settled(settlement.Decision{Step: settlement.StepWait}, nil)
	if scrape(t, m)["filature_settlement_halted"] != 0 {
		t.Error("it went on, and is still seen as halted")
	}
}

var namePattern = regexp.MustCompile(`fqName: "([^"]+)"`)

// metricNames are the names of all our metrics, those without a value included.
func metricNames(t *testing.T) []string {
	t.Helper()
	descriptions := make(chan *prometheus.Desc, 1000)
	newMetrics(sources{}, time.Now).registry.Describe(descriptions)
	newAuditMetrics().registry.Describe(descriptions)
	close(descriptions)
	var names []string
	for description := range descriptions {
		if name := namePattern.FindStringSubmatch(description.String()); strings.HasPrefix(name[1], metricsPrefix+"_") {
			names = append(names, name[1])
		}
	}
	if len(names) < 25 {
		t.Fatalf("there are %d metrics only: %v", len(names), names)
	}
	slices.Sort(names)
	return slices.Compact(names) // what an audit leaves is told by serve, too
}

func TestMetricsAreNamedAsPrometheusWantsThem(t *testing.T) {
	w, tables := openWorld(t)
	m := newMetrics(sources{
		intake: w.Intake, ledger: w.Ledger, tables: tables, vault: w.Vault.Look,
		works: func() []work { return []work{{role: roleClerk, running: true}} },
	}, w.Now)
	m.decided(&v1.Entry{Body: &v1.Entry_Answer{Answer: &v1.Answer{Facts: []*v1.Fact{{Claim: 1}}}}})
	m.settled(settlement.Decision{}, nil)
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range problems {
		if strings.HasPrefix(problem.Metric, metricsPrefix+"_") {
			t.Errorf("%s: %s", problem.Metric, problem.Text)
		}
	}
}
