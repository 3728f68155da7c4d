package kafka_test

import (
	"crypto/rand"
	"fmt"
	"testing"

	"github.com/filature/filature/adapters/kafka"
	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore"
	"github.com/filature/filature/internal/services"
)

// valueBytes is a job event with its signature, which does not pack.
const valueBytes = 300

func noise(n int) [][]byte {
	values := make([][]byte, n)
	for i := range values {
		values[i] = make([]byte, valueBytes)
		_, _ = rand.Read(values[i][:100]) // never fails
	}
	return values
}

// BenchmarkAppend is one writer on one shard, as a clerk is.
func BenchmarkAppend(b *testing.B) {
	cluster := kafka.Cluster{Brokers: services.Kafka(b)}
	for _, size := range []int{1, 100, 1000, eventstore.MaxBatch} {
		b.Run(fmt.Sprintf("batch=%d", size), func(b *testing.B) {
			log := open(b, cluster, create(b, cluster, 1))
			values := noise(size)
			b.SetBytes(int64(size * valueBytes))
			for b.Loop() {
				mustAppend(b, log, values)
			}
			b.ReportMetric(float64(b.N)*float64(size)/b.Elapsed().Seconds(), "records/s")
		})
	}
}

// BenchmarkRead reads a shard from its first record to its end.
func BenchmarkRead(b *testing.B) {
	const records = 200_000
	cluster := kafka.Cluster{Brokers: services.Kafka(b)}
	for _, size := range []int{100, 1000} { // of the batches that were appended
		log := open(b, cluster, create(b, cluster, 1))
		values := noise(size)
		for range records / size {
			mustAppend(b, log, values)
		}
		for _, limit := range []int{1024, eventstore.MaxBatch} {
			b.Run(fmt.Sprintf("batch=%d/limit=%d", size, limit), func(b *testing.B) {
				b.SetBytes(records * valueBytes)
				for b.Loop() {
					for read := 0; read < records; {
						got, err := log.Read(b.Context(), shard, domain.Offset(read), limit)
						if err != nil || len(got) == 0 {
							b.Fatalf("read from %d: %d records, %v", read, len(got), err)
						}
						read += len(got)
					}
				}
				b.ReportMetric(float64(b.N)*records/b.Elapsed().Seconds(), "records/s")
			})
		}
	}
}
