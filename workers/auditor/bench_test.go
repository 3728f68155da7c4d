package auditor_test

import (
	"testing"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/signing"
	"github.com/filature/filature/internal/rig"
	"github.com/filature/filature/workers/auditor"
)

// BenchmarkReplay makes a ledger again, signatures and all; one report is one claim, which is the dearest
// mix there is. A forged signature makes its whole window be checked one by one, so a network with many
// forgers costs more.
func BenchmarkReplay(b *testing.B) {
	for _, c := range []struct {
		name    string
		options rig.Options
	}{
		{"honest/shards=1", rig.Options{DataShards: 1, Honest: true}},
		{"honest/shards=4", rig.Options{DataShards: 4, Honest: true}},
		{"forgers/shards=4", rig.Options{DataShards: 4}},
	} {
		b.Run(c.name, func(b *testing.B) {
			w := benchWorld(b, c.options)
			run(b, w, func() auditor.Config {
				cfg := config(w)
				cfg.Store, cfg.Chain = nil, nil
				return cfg
			})
		})
	}
}

// BenchmarkAudit is all of it: replay, batches, chain, and every row of every read model.
func BenchmarkAudit(b *testing.B) {
	w := benchWorld(b, rig.Options{DataShards: 4, Honest: true})
	run(b, w, func() auditor.Config { return config(w) })
}

func benchWorld(b *testing.B, options rig.Options) *rig.World {
	b.Helper()
	options.Seed, options.Clients, options.Providers = 71, 40, 20
	w := rig.New(b, options)
	w.Live(4000)
	w.Work()
	w.Mature()
	w.Work()
	w.Settle()
	return w
}

func run(b *testing.B, w *rig.World, config func() auditor.Config) {
	b.Helper()
	var entries int64
	for _, end := range w.Ends() {
		entries += int64(end)
	}
	b.ReportAllocs()
	for b.Loop() {
		r, err := auditor.Audit(b.Context(), config())
		if err != nil || r.Verdict == auditor.Fail { // without a chain it is incomplete
			b.Fatal(err, r.Totals)
		}
	}
	b.ReportMetric(float64(entries)*float64(b.N)/b.Elapsed().Seconds(), "entries/s")
}

// BenchmarkSignatures is the part of BenchmarkReplay/honest/shards=1 that reads intake and checks its
// signatures. The rest of that one's time is what a replay costs without them.
func BenchmarkSignatures(b *testing.B) {
	w := benchWorld(b, rig.Options{DataShards: 1, Honest: true})
	verifier := signing.NewVerifier(1024)
	b.ReportAllocs()
	said := 0
	for b.Loop() {
		said = 0
		for shard := range domain.Shard(2) {
			n, err := auditor.Listen(b.Context(), w.Intake, shard, verifier)
			if err != nil {
				b.Fatal(err)
			}
			said += n
		}
	}
	b.ReportMetric(float64(said)*float64(b.N)/b.Elapsed().Seconds(), "signatures/s")
}
