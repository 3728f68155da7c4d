package auditor_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore"
	"github.com/filature/filature/eventstore/seglog"
	"github.com/filature/filature/internal/rig"
	"github.com/filature/filature/workers/auditor"
)

var (
	scaleFacts  = flag.Int64("audit.facts", 100_000, "how many facts BenchmarkScale audits")
	scaleClaims = flag.Int("audit.claims", 64, "claims to a report of BenchmarkScale")
)

// Each account of a crowd may have a round's jobs open, and pays for all that it will ever have.
const (
	crowdJobs    = 128
	crowdDeposit = 1_000_000 * domain.Coin
)

func crowd(b *testing.B, openLogs func(now func() time.Time) (intake, ledger eventstore.Log), facts int64, claims int) *rig.Crowd {
	b.Helper()
	c := rig.New(b, rig.Options{
		Seed: 9, DataShards: 4, Clients: 8, Providers: 8, Deposit: crowdDeposit, MaxOpenJobs: crowdJobs, OpenLogs: openLogs,
	}).Crowd()
	const batches = 10
	for next := facts / batches; c.Facts < facts; {
		if c.Round(claims); c.Facts >= next {
			c.Settle()
			next += facts / batches
		}
	}
	return c
}

// processor is the time that this process had a processor, in all its threads.
func processor(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// BenchmarkFacts makes a ledger in memory again: what it costs to decide, what it costs with each signature checked, and what
// it costs to go on behind all of it. The figures are by the second of one core, the collector of garbage included.
func BenchmarkFacts(b *testing.B) {
	for _, claims := range []int{1, 64} {
		c := crowd(b, nil, 10_000*int64(min(claims, 20)), claims)
		for name, again := range map[string]func(context.Context, auditor.Config) (int64, error){
			"decided": auditor.DecideAgain, "signatures": auditor.ReplayAll, "recalled": recalled(b.TempDir()),
		} {
			b.Run(fmt.Sprintf("%s/claims=%d", name, claims), func(b *testing.B) {
				cfg := config(c.World)
				if _, err := again(b.Context(), cfg); err != nil {
					b.Fatal(err)
				}
				var facts int64
				runtime.GC()
				began := processor(b)
				for b.Loop() {
					n, err := again(b.Context(), cfg)
					if err != nil {
						b.Fatal(err)
					}
					facts += n
				}
				b.ReportMetric(float64(facts)/(processor(b)-began).Seconds(), "facts/core-s")
			})
		}
	}
}

// recalled makes a ledger again from what the first call saves.
func recalled(dir string) func(context.Context, auditor.Config) (int64, error) {
	return func(ctx context.Context, cfg auditor.Config) (facts int64, err error) {
		if cfg.Saved, err = auditor.OpenSaved(dir, program); err == nil && !cfg.Saved.Resumes() {
			if _, err = auditor.RecallAll(ctx, cfg); err == nil {
				cfg.Saved, err = auditor.OpenSaved(dir, program)
			}
		}
		if err != nil {
			return 0, err
		}
		return auditor.RecallAll(ctx, cfg)
	}
}

// BenchmarkScale audits a long ledger in files, without tables, and says how much memory that takes as it goes:
//
//	make audit-scale FACTS=50000000
//
// The number of accounts and of open jobs is the same however long it is.
func BenchmarkScale(b *testing.B) {
	dir := b.TempDir()
	began := time.Now()
	var logs []*seglog.Log
	c := crowd(b, func(now func() time.Time) (intake, ledger eventstore.Log) {
		for _, name := range []string{"intake", "ledger"} {
			log, err := seglog.Open(filepath.Join(dir, name), seglog.Options{Shards: 5, Now: now, Unsynced: true})
			if err != nil {
				b.Fatal(err)
			}
			logs = append(logs, log)
		}
		return logs[0], logs[1]
	}, *scaleFacts, *scaleClaims)
	cfg, vault, facts := config(c.World), c.Vault, c.Facts
	for _, log := range logs {
		if err := log.Close(); err != nil {
			b.Fatal(err)
		}
	}
	cfg.Store = nil
	cfg.Intake, cfg.Ledger = reopened(b, filepath.Join(dir, "intake")), reopened(b, filepath.Join(dir, "ledger"))
	sayf(b, "made %d facts in %.0f s: %d MB in files", facts, time.Since(began).Seconds(), sizeOf(b, dir)>>20)
	debug.FreeOSMemory()
	forgetPeak(b)

	began = time.Now()
	said := began
	cfg.Progress = func(done, total int64, what string) {
		if total > 0 && (done == 0 || time.Since(said) > 10*time.Second) {
			said = time.Now()
			sayf(b, "%6.0f s  %-28s %9d of %9d entries  %4d MB", time.Since(began).Seconds(), what, done, total, memory(b, "VmRSS")>>20)
		}
	}
	used := processor(b)
	for b.Loop() {
		cfg.Chain = vault.History()
		r, err := auditor.Audit(b.Context(), cfg)
		if err != nil || r.Verdict != auditor.Pass {
			b.Fatal(err, r.Verdict, r.Totals)
		}
	}
	took := b.Elapsed().Seconds() / float64(b.N)
	sayf(b, "%d facts audited in %.0f s, %.0f s of processor time, at most %d MB", facts, took,
		(processor(b)-used).Seconds()/float64(b.N), memory(b, "VmHWM")>>20)
	b.ReportMetric(float64(facts)/took, "facts/s")
	b.ReportMetric(float64(memory(b, "VmHWM")), "peak-RSS-bytes")
}

// sayf tells who waits for a long benchmark.
func sayf(b *testing.B, format string, args ...any) {
	b.Helper()
	fmt.Fprintf(os.Stderr, format+"\n", args...)
}

func reopened(b *testing.B, dir string) eventstore.Reader {
	b.Helper()
	log, err := seglog.OpenReadOnly(dir)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := log.Close(); err != nil {
			b.Error(err)
		}
	})
	return log
}

func sizeOf(b *testing.B, dir string) (bytes int64) {
	b.Helper()
	err := filepath.WalkDir(dir, func(_ string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err == nil && info.Mode().IsRegular() {
			bytes += info.Size()
		}
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return bytes
}

// forgetPeak has Linux begin anew to look for the most memory (proc(5), clear_refs).
func forgetPeak(b *testing.B) {
	b.Helper()
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0o200); err != nil {
		b.Fatal(err)
	}
}

// memory is a line of /proc/self/status, in bytes.
func memory(b *testing.B, line string) int64 {
	b.Helper()
	raw, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Fatal(err)
	}
	for text := range strings.Lines(string(raw)) {
		if fields := strings.Fields(text); len(fields) == 3 && fields[0] == line+":" {
			kB, err := strconv.ParseInt(fields[1], 10, 64)
			if err != nil {
				b.Fatal(err)
			}
			return kB << 10
		}
	}
	b.Fatalf("no %s in /proc/self/status", line)
	return 0
}
