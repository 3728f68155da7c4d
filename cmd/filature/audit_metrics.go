package main

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/filature/filature/workers/auditor"
)

// auditMetrics are what an audit leaves for Prometheus's node exporter, as the audit itself is not there to be asked. An
// audit that could not be made leaves what the one before has left, and that grows old.
type auditMetrics struct {
	passed, offences, at prometheus.Gauge
	registry             *prometheus.Registry
}

func newAuditMetrics() auditMetrics {
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: metricsPrefix, Subsystem: "audit", Name: name, Help: help})
	}
	m := auditMetrics{
		passed:   gauge("passed", "1 if the last audit passed, with all that was looked at."),
		offences: gauge("offences", "What the last audit found, as its report lists it."),
		at:       gauge("last_timestamp_seconds", "When the last audit began."),
		registry: prometheus.NewRegistry(),
	}
	m.registry.MustRegister(m.passed, m.offences, m.at)
	return m
}

// writeAuditMetrics replaces a file of the node exporter's textfile collector, whole or not at all.
func writeAuditMetrics(name string, report *auditor.Report, passed bool, at time.Time) error {
	m := newAuditMetrics()
	if passed {
		m.passed.Set(1)
	}
	m.offences.Set(float64(len(report.Offences)))
	m.at.Set(float64(at.Unix()))
	return prometheus.WriteToTextfile(name, m.registry)
}
