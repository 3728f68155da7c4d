package attestation_test

import (
	"crypto"
	"crypto/ecdsa"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/filature/filature/adapters/attestation"
	"github.com/filature/filature/adapters/attestation/attestationtest"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// benchmark appraises one case again and again on one core. With cold, nothing is remembered from before.
func benchmark(b *testing.B, w *attestationtest.World, c attestation.Case, cold bool, want v1.AttestationStatus) {
	b.Helper()
	c.Thorough = false
	verifier := w.Verifier()
	b.ReportAllocs()
	b.ResetTimer()
	var spent time.Duration
	for range b.N {
		if cold {
			b.StopTimer()
			verifier = w.Verifier()
			b.StartTimer()
		}
		from := cpu(b)
		result := verifier.Appraise(c)
		spent += cpu(b) - from
		if result.Status != want {
			b.Fatal(explain(result))
		}
	}
	took(b, spent)
}

// cpu is the time that this process has spent on a core. Wall time on a machine that others use too says nothing.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// took reports appraisals for each second of one core, garbage collection included.
func took(b *testing.B, spent time.Duration) {
	b.Helper()
	b.ReportMetric(float64(b.N)/max(spent.Seconds(), 1e-9), "appraisals/cpu-s")
}

func BenchmarkSNPCold(b *testing.B) {
	// A chip that the verifier has not seen, and AMD's list that it has: what a new worker costs.
	w := attestationtest.NewWorld(b)
	c, verifier := w.Case(b, w.SNP(b, "Genoa")), w.Verifier()
	c.Thorough = false
	var chips []*v1.Evidence
	for i := range 64 {
		chip := w.AMD["Genoa"].Device(b, i)
		chips = append(chips, chip.Evidence(b, c.Challenge, nil))
	}
	text := w.PolicyText()
	_, list, _ := strings.Cut(text, "  any: false\n")
	list, _, _ = strings.Cut(list, "sev_snp:")
	c.Policy = w.Policy(b, "  any: false\n"+list, "  any: true\n")
	b.ReportAllocs()
	b.ResetTimer()
	var spent time.Duration
	for i := range b.N {
		if i%len(chips) == 0 {
			b.StopTimer()
			verifier = w.Verifier()
			c.Evidence = w.AMD["Genoa"].Evidence(b, c.Challenge, nil)
			verifier.Appraise(c) // the list
			b.StartTimer()
		}
		c.Evidence = chips[i%len(chips)]
		from := cpu(b)
		result := verifier.Appraise(c)
		spent += cpu(b) - from
		if result.Status != warning {
			b.Fatal(explain(result))
		}
	}
	took(b, spent)
}

func BenchmarkSNPCached(b *testing.B) {
	w := attestationtest.NewWorld(b)
	benchmark(b, w, w.Case(b, w.SNP(b, "Genoa")), false, affirming)
}

func BenchmarkSNPTampered(b *testing.B) {
	w := attestationtest.NewWorld(b)
	c := w.Case(b, w.SNP(b, "Genoa"))
	c.Evidence.Report[0x10] ^= 1
	benchmark(b, w, c, false, contraindicated)
}

func BenchmarkSNPNotBound(b *testing.B) {
	w := attestationtest.NewWorld(b)
	c := w.Case(b, w.SNP(b, "Genoa"))
	c.Challenge.Nonce[0] ^= 1
	benchmark(b, w, c, false, contraindicated)
}

func BenchmarkTDXCached(b *testing.B) {
	w := attestationtest.NewWorld(b)
	benchmark(b, w, w.Case(b, w.TDX(b, 4, nil)), false, affirming)
}

func BenchmarkTDXUncachedCollateral(b *testing.B) {
	w := attestationtest.NewWorld(b)
	benchmark(b, w, w.Case(b, w.TDX(b, 4, nil)), true, affirming)
}

func BenchmarkGPU(b *testing.B) {
	w := attestationtest.NewWorld(b)
	gpus := []*v1.GpuEvidence{w.NVIDIA.GPU(b, 0).Evidence(b, attestationtest.Challenge(), nil)}
	benchmark(b, w, w.Case(b, w.Intel.Evidence(b, 4, attestationtest.Challenge(), gpus, nil)), false, affirming)
}

// BenchmarkYardstickP384 is the one signature that a cached SNP appraisal can't do without, alone.
func BenchmarkYardstickP384(b *testing.B) {
	key, digest := attestationtest.PublishedKeys().Vcek, make([]byte, 48)
	signature, err := key.Sign(nil, digest, crypto.SHA384)
	if err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	from := cpu(b)
	for range b.N {
		if !ecdsa.VerifyASN1(&key.PublicKey, digest, signature) {
			b.Fatal("it does not hold")
		}
	}
	took(b, cpu(b)-from)
}
