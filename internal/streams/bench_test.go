package streams

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/stream"
	"github.com/filature/filature/eventstore"
	v1 "github.com/filature/filature/schemas/filature/v1"
	"github.com/filature/filature/workers/relay"
)

// BenchmarkRelay compares the two ways to bring a shard's completions from its ledger to their topic, both on a real
// broker: the relay's loop, and a handler of Watermill's Router that is given one entry at a time and
// publishes what it tells. An operation is an entry.
func BenchmarkRelay(b *testing.B) {
	for _, jobs := range []int{1, 10} {
		b.Run(fmt.Sprintf("loop/jobs=%d", jobs), func(b *testing.B) {
			s, end := filled(b, jobs)
			ctx, stop := context.WithCancel(b.Context())
			defer stop()
			r := s.relay(1)
			ended := make(chan error, 1)
			b.ResetTimer()
			go func() { ended <- r.Run(ctx) }()
			wait(ctx, b, "relay", func() bool { return r.Relayed() == end })
			rate(b, jobs)
			stop()
			must(b, <-ended)
		})
		b.Run(fmt.Sprintf("router/jobs=%d", jobs), func(b *testing.B) {
			s, end := filled(b, jobs)
			router, err := message.NewRouter(message.RouterConfig{}, watermill.NopLogger{})
			must(b, err)
			source := &entries{log: s.log, end: end, done: make(chan struct{})}
			router.AddHandler("relay", "ledger", source, relay.Topic(s.prefix, stream.Completions), s.publisher, handle)
			ctx, stop := context.WithCancel(b.Context())
			defer stop()
			ended := make(chan error, 1)
			b.ResetTimer()
			go func() { ended <- router.Run(ctx) }()
			select {
			case <-source.done:
			case err := <-ended:
				b.Fatal(err)
			}
			rate(b, jobs)
			stop()
			must(b, <-ended)
		})
	}
}

func rate(b *testing.B, jobs int) {
	b.StopTimer()
	b.ReportMetric(float64(b.N*jobs)/b.Elapsed().Seconds(), "messages/s")
}

// filled is a site whose ledger has as many entries in shard 1 as the benchmark has operations.
func filled(b *testing.B, jobs int) (*site, domain.Offset) {
	b.Helper()
	s := newSite(b)
	const written = 1000
	ledger := write(b, written, jobs)
	var end domain.Offset
	for n := b.N; n > 0; n -= written { // its own offsets are in each entry, so copies have to be renumbered
		var values [][]byte
		must(b, eventstore.Each(b.Context(), ledger, 1, 0, domain.Offset(min(n, written)), func(record eventstore.Record) error {
			entry := &v1.Entry{}
			if err := v1.Decode(record.Value, entry); err != nil {
				return err
			}
			entry.Offset = int64(end) + int64(len(values))
			raw, err := v1.Encode(entry)
			values = append(values, raw)
			return err
		}))
		_, err := s.log.Append(b.Context(), 1, values)
		must(b, err)
		end += domain.Offset(len(values))
	}
	return s, end
}

// entries is a message.Subscriber that delivers a shard's ledger entry by entry, each after the Ack of the one before.
type entries struct {
	log  eventstore.Reader
	end  domain.Offset
	done chan struct{} // closed at the end
}

func (e *entries) Subscribe(ctx context.Context, _ string) (<-chan *message.Message, error) {
	out := make(chan *message.Message)
	go func() {
		defer close(out)
		for from := domain.Offset(0); from < e.end; {
			records, err := e.log.Read(ctx, 1, from, eventstore.MaxBatch)
			if err != nil {
				return
			}
			for _, record := range records {
				m := message.NewMessage(fmt.Sprint(record.Offset), record.Value)
				m.Metadata["offset"] = fmt.Sprint(record.Offset)
				select {
				case out <- m:
				case <-ctx.Done():
					return
				}
				select {
				case <-m.Acked():
				case <-ctx.Done():
					return
				}
			}
			from += domain.Offset(len(records))
		}
		close(e.done)
		<-ctx.Done()
	}()
	return out, nil
}

func (e *entries) Close() error { return nil }

// handle is the relay's work as a handler of a Router.
func handle(m *message.Message) ([]*message.Message, error) {
	entry := &v1.Entry{}
	if err := v1.Decode(m.Payload, entry); err != nil {
		return nil, err
	}
	var out []*message.Message
	for _, told := range stream.Of(1, domain.Offset(entry.Offset), entry) {
		payload, err := v1.Encode(told.Body)
		if err != nil {
			return nil, err
		}
		position := told.Position.String()
		wrapped := message.NewMessage(position, payload)
		wrapped.Metadata = message.Metadata{
			"ce_id": position, "ce_source": "/filature/test", "ce_type": "filature.v1.Completion", "ce_specversion": "1.0",
			"ce_time": time.UnixMilli(told.AtMs).UTC().Format(time.RFC3339Nano), "content-type": "application/protobuf",
			"position": position, "key": string(told.Key), "correlation_id": told.About,
		}
		out = append(out, wrapped)
	}
	return out, nil
}
