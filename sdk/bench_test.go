package sdk_test

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
	"github.com/filature/filature/sdk"
)

// glutton takes everything and looks at nothing.
type glutton struct{ taken atomic.Int64 }

func (*glutton) Network(context.Context) (domain.NetworkID, int, error) {
	return network.ID, network.DataShards, nil
}

func (g *glutton) Submit(_ context.Context, reports [][]byte) ([]*v1.Receipt, error) {
	g.taken.Add(int64(len(reports)))
	receipts := make([]*v1.Receipt, len(reports))
	for i := range receipts {
		receipts[i] = &v1.Receipt{Status: v1.ReceiptStatus_RECEIPT_STATUS_ACCEPTED}
	}
	return receipts, nil
}

// completed is a claim as a worker makes one a job.
func completed(n int) *v1.Claim {
	job := domain.JobIDOf(domain.AccountID{7}, uint64(n))
	return &v1.Claim{Body: &v1.Claim_CompleteJob{CompleteJob: &v1.CompleteJob{
		Job: job[:], Usage: &v1.Usage{PromptTokens: 1234, CachedTokens: 512, CompletionTokens: 345, ReasoningTokens: 67},
	}}}
}

func openBench(b *testing.B) *sdk.Emitter {
	b.Helper()
	return open(b, sdk.Config{Key: annsKey(), Gateway: &glutton{}, SpoolDir: b.TempDir(), Network: network, MaxSpoolBytes: 64 << 30})
}

func perSecond(b *testing.B, claims int) {
	b.Helper()
	b.ReportMetric(float64(claims)/b.Elapsed().Seconds(), "claims/s")
}

// BenchmarkEmit makes each claim durable before the next: alone, and with others that emit at the same time
// and share a signature and a sync.
func BenchmarkEmit(b *testing.B) {
	b.Run("one", func(b *testing.B) {
		b.ReportAllocs()
		e, claim := openBench(b), completed(1)
		for b.Loop() {
			must(b, e.Emit(b.Context(), 1, claim))
		}
		perSecond(b, b.N)
	})
	for _, people := range []int{8, 64, 512} {
		b.Run(fmt.Sprintf("%d at once", people), func(b *testing.B) {
			b.ReportAllocs()
			e, claim := openBench(b), completed(1)
			b.SetParallelism(max(1, people/runtime.GOMAXPROCS(0)))
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := e.Emit(b.Context(), 1, claim); err != nil {
						b.Error(err)
					}
				}
			})
			perSecond(b, b.N)
		})
	}
}

// BenchmarkAdd checks, signs and spools claims that are added one by one: what a core can meter. Its bytes
// are those of the claims.
func BenchmarkAdd(b *testing.B) {
	b.ReportAllocs()
	e, claim := openBench(b), completed(1)
	b.SetBytes(int64(claim.SizeVT()))
	for b.Loop() {
		must(b, e.Add(b.Context(), 1, claim))
	}
	must(b, e.Flush(b.Context()))
	perSecond(b, b.N)
}

// BenchmarkDeliver sends what waits in the spool to a gateway that answers at once.
func BenchmarkDeliver(b *testing.B) {
	const claims = 256_000
	for b.Loop() {
		b.StopTimer()
		e := openBench(b)
		for n := range claims {
			must(b, e.Add(b.Context(), 1, completed(n)))
		}
		must(b, e.Flush(b.Context()))
		b.StartTimer()
		must(b, e.Deliver(b.Context()))
		b.StopTimer()
		must(b, e.Close())
		b.StartTimer()
	}
	perSecond(b, claims*b.N)
}

// BenchmarkEndToEnd is a worker that adds while Run signs, spools, sends and takes answers in: until the
// last claim is answered.
func BenchmarkEndToEnd(b *testing.B) {
	b.ReportAllocs()
	e, claim := openBench(b), completed(1)
	ctx, stop := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	for b.Loop() {
		must(b, e.Add(b.Context(), 1, claim))
	}
	must(b, e.Deliver(b.Context()))
	perSecond(b, b.N)
	stop()
	must(b, <-ended)
}
