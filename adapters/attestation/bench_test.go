package attestation_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
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

// took reports appraisals for each second of one core, garbage collection included, and what that is to the physical limits
// beside it: a bare verification of P-384, of which a report needs one, and of RSA-PSS with 4096 bits, one a new chip.
func took(b *testing.B, spent time.Duration) {
	b.Helper()
	b.StopTimer()
	rate := float64(b.N) / max(spent.Seconds(), 1e-9)
	b.ReportMetric(rate, "appraisals/cpu-s")
	b.ReportMetric(rate/bare(b).p384, "×P384")
	b.ReportMetric(rate/bare(b).rsa, "×RSA-PSS")
}

type limits struct{ p384, rsa float64 } // verifications per second of processor time

var measured *limits

// bare measures them, once a run.
func bare(b *testing.B) limits {
	b.Helper()
	if measured != nil {
		return *measured
	}
	keys, digest := attestationtest.PublishedKeys(), make([]byte, 48)
	ec, err := keys.Vcek.Sign(nil, digest, crypto.SHA384)
	if err != nil {
		b.Fatal(err)
	}
	pss, err := rsa.SignPSS(rand.Reader, keys.Ask, crypto.SHA384, digest, nil)
	if err != nil {
		b.Fatal(err)
	}
	rate := func(verify func() bool) float64 {
		const rounds = 500
		from := cpu(b)
		for range rounds {
			if !verify() {
				b.Fatal("it does not hold")
			}
		}
		return rounds / max((cpu(b)-from).Seconds(), 1e-9)
	}
	measured = &limits{
		p384: rate(func() bool { return ecdsa.VerifyASN1(&keys.Vcek.PublicKey, digest, ec) }),
		rsa:  rate(func() bool { return rsa.VerifyPSS(&keys.Ask.PublicKey, crypto.SHA384, digest, pss, nil) == nil }),
	}
	b.Logf("bare verifications per second of processor time: P-384 %.0f, RSA-PSS 4096 %.0f", measured.p384, measured.rsa)
	return *measured
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

func BenchmarkTDXWithGPU(b *testing.B) {
	w := attestationtest.NewWorld(b)
	gpus := []*v1.GpuEvidence{w.NVIDIA.GPU(b, 0).Evidence(b, attestationtest.Challenge(), nil)}
	benchmark(b, w, w.Case(b, w.Intel.Evidence(b, 4, attestationtest.Challenge(), gpus, nil)), false, affirming)
}
