package projectionstest

import (
	"fmt"

	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// BusyLedger returns the ledger of some jobs that all go well, each said in five reports: what benchmarks
// fold. Entries of the two data shards and their facts are as many as five times the jobs.
func BusyLedger(t Fataler, jobs int) *Ledger {
	const providers, hour = 50, 3_600_000
	l := NewLedger(t, 3)
	l.Begin()
	for i := range jobs {
		l.NowMs = StartMs + int64(i)*hour/10_000
		shard := domain.Shard(1 + i%2)
		job := Job{
			Name: fmt.Sprintf("%x-job", uint64(i+1)*0x9e3779b97f4a7c15), Account: fmt.Sprintf("acc-%d", i%200), Client: "tg",
			Model: fmt.Sprintf("model-%d", i%5), Worker: fmt.Sprintf("w-%d", i%500), Provider: fmt.Sprintf("prov-%d", i%providers),
			Number: uint64(i + 1), Reserve: 5000, Charge: 2000, Part: 1500, Prompt: 400, Cached: 100, Completion: 600,
			DisputableUntilMs: l.NowMs + hour,
		}
		for step, fact := range []*v1.Fact{job.Submitted(l.NowMs), job.Assigned(), job.Started(), job.Metered(), job.Completed()} {
			l.Answer(shard, "w-key", uint64(5*i+step+1), fact)
		}
	}
	return l
}
