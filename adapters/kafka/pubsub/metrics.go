package pubsub

import (
	"errors"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics count what subscribers do. One serves all subscribers of a process; nil counts nothing.
type Metrics struct {
	lag         *prometheus.GaugeVec
	missing     *prometheus.CounterVec
	redelivered *prometheus.CounterVec
}

// NewMetrics registers the metrics of subscribers.
func NewMetrics(registry prometheus.Registerer) (*Metrics, error) {
	m := &Metrics{
		lag: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "filature_stream_lag_messages",
			Help: "Messages of a partition that the group has not dealt with, as the member that reads it last saw.",
		}, []string{"group", "topic", "partition"}),
		missing: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "filature_stream_missing_messages_total",
			Help: "Messages that were gone before the group read them.",
		}, []string{"group", "topic"}),
		redelivered: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "filature_stream_redelivered_messages_total",
			Help: "Messages that were delivered again because they were not acknowledged.",
		}, []string{"group", "topic"}),
	}
	return m, errors.Join(registry.Register(m.lag), registry.Register(m.missing), registry.Register(m.redelivered))
}

func (m *Metrics) lags(group, topic string, partition int, messages int64) {
	if m != nil {
		m.lag.WithLabelValues(group, topic, strconv.Itoa(partition)).Set(float64(messages))
	}
}

// forget is for a partition that goes to another member: what this one last saw is not so any more.
func (m *Metrics) forget(group, topic string, partition int) {
	if m != nil {
		m.lag.DeleteLabelValues(group, topic, strconv.Itoa(partition))
	}
}

func (m *Metrics) misses(group, topic string, messages int64) {
	if m != nil {
		m.missing.WithLabelValues(group, topic).Add(float64(messages))
	}
}

func (m *Metrics) redelivers(group, topic string) {
	if m != nil {
		m.redelivered.WithLabelValues(group, topic).Inc()
	}
}
