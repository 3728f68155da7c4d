package main

import (
	"context"
	"errors"
	"net/http"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/filature/filature/adapters/httpapi"
	"github.com/filature/filature/domain/settlement"
	"github.com/filature/filature/projections"
	v1 "github.com/filature/filature/schemas/filature/v1"
	"github.com/filature/filature/workers/gateway"
	"github.com/filature/filature/workers/reconciler"
	"github.com/filature/filature/workers/verifier"
)

const (
	// metricsPrefix begins the names of our metrics. Units are in the name: Prometheus knows only numbers.
	metricsPrefix = "filature"
	// scrapesAtOnce is how many scrapes are answered at a time; each asks logs, tables and chain.
	scrapesAtOnce = 3
	// scrapeTimeout is a little more than what is looked at may take (lookTimeout).
	scrapeTimeout = lookTimeout + time.Second
)

// metrics counts what this process does, and looks at what it works on when it is asked (sights). What
// counts is called by workers and never waits.
//
// Amounts are exact up to 2^53 nanotons, nine million coins; beyond that Prometheus's floats round the last
// digits. Differences are taken before that.
type metrics struct {
	registry *prometheus.Registry
	now      func() time.Time

	decisions     *prometheus.CounterVec
	answerSeconds prometheus.Histogram

	receipts      *prometheus.CounterVec
	refusals      *prometheus.CounterVec
	failures      *prometheus.CounterVec
	submitSeconds prometheus.Histogram

	answers    *prometheus.CounterVec
	appraisals *prometheus.CounterVec
	faults     *prometheus.CounterVec
	underWay   atomic.Pointer[func() int]

	settlements      *prometheus.CounterVec
	settlementErrors prometheus.Counter
	settlementHalted prometheus.Gauge

	differences   *prometheus.GaugeVec
	differenceAge *prometheus.GaugeVec
	reconciledAt  prometheus.Gauge
}

// newMetrics returns metrics that look at these sources.
func newMetrics(from sources, now func() time.Time) *metrics {
	counters := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: metricsPrefix, Name: name, Help: help}, labels)
	}
	seconds := func(name, help string) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: metricsPrefix, Name: name, Help: help,
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 16), // a millisecond to half a minute
		})
	}
	m := &metrics{
		registry: prometheus.NewRegistry(), now: now,
		decisions: counters("clerk_decisions_total",
			"Claims that this process's clerks answered, by outcome (accepted, rejected, or refused with its whole report) and reason.", "outcome", "reason"),
		answerSeconds: seconds("clerk_answer_seconds", "Time from a record's log time to its answer being durable."),
		receipts:      counters("gateway_receipts_total", "Receipts that this process's gateway gave, by status.", "status"),
		refusals:      counters("gateway_refusals_total", "Reports that this process's gateway refused, by reason.", "reason"),
		failures: counters("gateway_failures_total",
			"Submissions that this process's gateway did not answer with receipts, by error (busy, too_large, unsure, closed, gone, other).", "error"),
		submitSeconds: seconds("gateway_submit_seconds", "Time to judge a submission and make it durable."),
		answers: counters("verifier_answers_total",
			"Workers' answers that came to this process's gateway, by outcome (taken, answered, malformed, no_worker, not_signed, not_asked, "+
				"too_late, too_often, failed).", "outcome"),
		appraisals: counters("verifier_appraisals_total",
			"Appraisals of this process's verifier, by outcome (passed, failed, cant_tell). An answer that can't be told is appraised again.", "outcome"),
		faults: counters("verifier_faults_total",
			"Checks that this process's verifier could not make, by check: it lacks collateral, or has a bug.", "check"),
		settlements: counters("settlement_decisions_total", "Decisions of this process's settler that differ from the one before, by step.", "step"),
		settlementErrors: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: metricsPrefix, Name: "settlement_errors_total", Help: "Troubles of the chain that this process's settler met.",
		}),
		settlementHalted: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: metricsPrefix, Name: "settlement_halted",
			Help: "1 if this process's settler halted, because chain and ledger say what can't be. Nothing is sent until somebody has looked.",
		}),
	}
	underWay := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: metricsPrefix, Name: "verifier_answers_under_way", Help: "Answers that this process's verifier has and is not done with.",
	}, func() float64 {
		if count := m.underWay.Load(); count != nil {
			return float64((*count)())
		}
		return 0
	})
	gauges := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: metricsPrefix, Name: name, Help: help}, labels)
	}
	m.differences = gauges("reconciliation_differences",
		"What ledger and chain do not agree on, by kind and state (in_flight, alarm, noted), where this process compares them.", "kind", "state")
	m.differenceAge = gauges("reconciliation_oldest_seconds", "Age of the oldest difference of a kind that is not merely noted.", "kind")
	m.reconciledAt = prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: metricsPrefix, Name: "reconciliation_last_timestamp_seconds", Help: "When ledger and chain were last compared, by the block's time.",
	})
	version, revision := buildInfo()
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: metricsPrefix, Name: "build_info", Help: "1; the labels say which program this is.",
		ConstLabels: prometheus.Labels{"version": version, "revision": revision},
	})
	build.Set(1)
	m.registry.MustRegister(
		m.decisions, m.answerSeconds, m.receipts, m.refusals, m.failures, m.submitSeconds,
		m.answers, m.appraisals, m.faults, underWay,
		m.settlements, m.settlementErrors, m.settlementHalted, m.differences, m.differenceAge, m.reconciledAt,
		build, &sights{from: from, now: now},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return m
}

func buildInfo() (version, revision string) {
	version, revision = "unknown", "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		version = info.Main.Version
		for _, setting := range info.Settings {
			if setting.Key == "vcs.revision" {
				revision = setting.Value
			}
		}
	}
	return version, revision
}

// handler answers scrapes. What could not be looked at is missing from an answer, and
// filature_look_ok says so; the rest is there.
func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		Registry: m.registry, MaxRequestsInFlight: scrapesAtOnce, Timeout: scrapeTimeout, ErrorHandling: promhttp.ContinueOnError,
	})
}

// decided counts an entry that a clerk appended; it is clerk.Config.Decided.
func (m *metrics) decided(entry *v1.Entry) {
	answer := entry.GetAnswer()
	if answer == nil {
		return
	}
	if answer.Refusal != nil {
		m.decisions.WithLabelValues("refused", projections.ReasonName(answer.Refusal.Reason)).Inc()
	}
	for _, fact := range answer.Facts {
		switch {
		case fact.Claim == 0: // time's doing, and nobody's claim
		case fact.GetRejection() != nil:
			m.decisions.WithLabelValues("rejected", projections.ReasonName(fact.GetRejection().Reason)).Inc()
		default:
			m.decisions.WithLabelValues("accepted", "").Inc()
		}
	}
	m.answerSeconds.Observe(max(0, m.now().Sub(time.UnixMilli(entry.AtMs)).Seconds())) // the log's clock may be ahead of ours
}

// answered counts an answer at the door.
func (m *metrics) answered(taken verifier.Taken, err error) {
	outcome := "failed"
	switch {
	case err == nil && taken.Answered:
		outcome = "answered"
	case err == nil:
		outcome = "taken"
	default:
		for _, refused := range []struct {
			why  error
			name string
		}{
			{verifier.ErrMalformed, "malformed"}, {verifier.ErrNoWorker, "no_worker"}, {verifier.ErrNotSigned, "not_signed"},
			{verifier.ErrNotYet, "not_asked"}, {verifier.ErrTooLate, "too_late"}, {verifier.ErrTooOften, "too_often"},
		} {
			if errors.Is(err, refused.why) {
				outcome = refused.name
			}
		}
	}
	m.answers.WithLabelValues(outcome).Inc()
}

// appraised counts a result; it is verifier.Config.Appraised.
func (m *metrics) appraised(result *v1.AttestationResult) {
	outcome := "cant_tell"
	if claim, decided := verifier.Decide(result); decided && claim.GetPassAttestation() != nil {
		outcome = "passed"
	} else if decided {
		outcome = "failed"
	}
	m.appraisals.WithLabelValues(outcome).Inc()
	for _, check := range result.Checks {
		if check.Outcome == v1.CheckOutcome_CHECK_OUTCOME_FAULT {
			m.faults.WithLabelValues(check.Name).Inc()
		}
	}
}

// answersUnderWay tells how to ask the verifier what it is at.
func (m *metrics) answersUnderWay(count func() int) { m.underWay.Store(&count) }

// settled counts what a settler does; it is called by settler.Config.Notice.
func (m *metrics) settled(decision settlement.Decision, err error) {
	if err != nil {
		m.settlementErrors.Inc()
		return
	}
	m.settlements.WithLabelValues(decision.Step.String()).Inc()
	m.settlementHalted.Set(truth(decision.Step == settlement.StepHalt))
}

func truth(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// gateway returns a gateway that counts what another one answers.
func (m *metrics) gateway(counted httpapi.Gateway) httpapi.Gateway {
	return countingGateway{counted, m}
}

type countingGateway struct {
	httpapi.Gateway
	metrics *metrics
}

// Submit implements httpapi.Gateway.
func (g countingGateway) Submit(ctx context.Context, records [][]byte) ([]*v1.Receipt, error) {
	begun := g.metrics.now()
	receipts, err := g.Gateway.Submit(ctx, records)
	g.metrics.submitSeconds.Observe(g.metrics.now().Sub(begun).Seconds())
	if err != nil {
		g.metrics.failures.WithLabelValues(failureOf(err)).Inc()
	}
	for _, receipt := range receipts {
		status := strings.ToLower(strings.TrimPrefix(receipt.Status.String(), "RECEIPT_STATUS_"))
		g.metrics.receipts.WithLabelValues(status).Inc()
		if receipt.Status == v1.ReceiptStatus_RECEIPT_STATUS_REFUSED {
			g.metrics.refusals.WithLabelValues(projections.ReasonName(receipt.Reason)).Inc()
		}
	}
	return receipts, err
}

func failureOf(err error) string {
	switch {
	case errors.Is(err, gateway.ErrTooLarge):
		return "too_large"
	case errors.Is(err, gateway.ErrUnsure):
		return "unsure"
	case errors.Is(err, gateway.ErrBusy):
		return "busy"
	case errors.Is(err, gateway.ErrClosed):
		return "closed"
	case errors.Is(err, context.Canceled):
		return "gone"
	default:
		return "other"
	}
}

// reconciled notes what a comparison of ledger and chain found.
func (m *metrics) reconciled(report *reconciler.Report, err error) {
	if err != nil {
		return // the time of the last one tells
	}
	m.differences.Reset()
	m.differenceAge.Reset()
	oldest := make(map[settlement.DifferenceKind]int64)
	for _, d := range report.Differences {
		m.differences.WithLabelValues(string(d.Kind), string(d.State)).Inc()
		if d.State != settlement.Noted {
			oldest[d.Kind] = max(oldest[d.Kind], d.AgeMs)
		}
	}
	for kind, ageMs := range oldest {
		m.differenceAge.WithLabelValues(string(kind)).Set(float64(ageMs) / 1000)
	}
	m.reconciledAt.Set(float64(report.AtMs) / 1000)
}
