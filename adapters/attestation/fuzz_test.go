package attestation_test

import (
	"crypto/x509"
	"encoding/binary"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime/metrics"
	"slices"
	"testing"

	sevdata "github.com/google/go-sev-guest/verify/testdata"
	tdxdata "github.com/google/go-tdx-guest/testing/testdata"

	"github.com/filature/filature/adapters/attestation"
	"github.com/filature/filature/adapters/attestation/attestationtest"
	"github.com/filature/filature/adapters/attestation/nvgpu"
	"github.com/filature/filature/adapters/attestation/sevsnp"
	"github.com/filature/filature/adapters/attestation/tdx"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// A parser may allocate so many bytes for each byte that it reads, and so many more. Certificates are the greediest: their
// keys become big numbers.
const (
	allocationPerByte = 64
	allocationAtLeast = 1 << 20 // an appraisal's own, and what the fuzzing engine does beside us
)

// boundedly fails the test if a function allocates out of proportion to its input.
func boundedly(t testing.TB, input int, f func()) {
	t.Helper()
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	before := sample[0].Value.Uint64()
	f()
	metrics.Read(sample)
	if took := sample[0].Value.Uint64() - before; took > uint64(allocationAtLeast+allocationPerByte*input) {
		t.Errorf("%d bytes of input, and %d allocated", input, took)
	}
}

// fuzzParser fuzzes one parser: it must return, in proportion.
func fuzzParser(f *testing.F, parse func(raw []byte)) {
	f.Helper()
	f.Fuzz(func(t *testing.T, raw []byte) {
		boundedly(t, len(raw), func() { parse(raw) })
	})
}

func FuzzSNPReport(f *testing.F) {
	fuzzParser(f, func(raw []byte) { _, _ = sevsnp.Parse(raw) })
}

func FuzzEndorsementKey(f *testing.F) {
	fuzzParser(f, func(raw []byte) { _, _ = sevsnp.ParseEndorsementKey(raw) })
}

func FuzzTDXQuote(f *testing.F) {
	fuzzParser(f, func(raw []byte) {
		if q, err := tdx.Parse(raw); err == nil {
			_, _, _ = q.VerifyQuotingEnclave(), q.VerifySignature(), q.CocoonImageHash()
		}
	})
}

func FuzzPCK(f *testing.F) {
	fuzzParser(f, func(raw []byte) {
		if certificate, err := x509.ParseCertificate(raw); err == nil {
			_, _ = tdx.PlatformOf(certificate)
		}
	})
}

func FuzzGPUReport(f *testing.F) {
	fuzzParser(f, func(raw []byte) { _, _ = nvgpu.Parse(raw) })
}

func FuzzPolicy(f *testing.F) {
	f.Fuzz(func(t *testing.T, raw []byte) {
		if len(raw) > 1<<16 {
			return // YAML takes more than 64 bytes a byte, and a policy is the operator's own
		}
		policy, err := attestation.ParsePolicy(raw)
		if err != nil {
			return
		}
		result := attestation.New().Appraise(attestation.Case{
			Evidence:  &v1.Evidence{Tee: v1.Tee_TEE_SEV_SNP, Report: sevdata.AttestationBytes, EndorsementKey: sevdata.VcekBytes},
			Challenge: attestationtest.Challenge(), Policy: policy, Now: attestationtest.Now,
		})
		fits(t, result)
		if attestation.Accepted(result) {
			t.Error("a policy makes an old report of somebody else's good")
		}
	})
}

// FuzzCollateral gives the verifier files that anybody could have made: it may take what AMD and Intel signed and nothing
// else, and whatever is wrong is its own fault, never the worker's.
func FuzzCollateral(f *testing.F) {
	w := attestationtest.NewWorld(f)
	files := w.Files(f)
	names := slices.Sorted(maps.Keys(files))
	cases := []attestation.Case{w.Case(f, w.SNP(f, "Genoa")), w.Case(f, w.TDX(f, 4, nil))}
	verifier := w.Verifier()
	for i, name := range names {
		f.Add(uint8(i), files[name])
	}
	f.Fuzz(func(t *testing.T, which uint8, content []byte) {
		if len(content) > attestation.MaxCollateralBytes {
			return
		}
		name := names[int(which)%len(names)]
		changed := maps.Clone(files)
		changed[name] = content
		for _, c := range cases {
			c.Collateral = attestationtest.Collateral(t, changed)
			boundedly(t, 64*len(content), func() {
				result := verifier.Appraise(c)
				fits(t, result)
				if bad := failed(result); len(bad) != 0 {
					t.Errorf("%s: the worker is blamed: %v", name, bad)
				}
			})
		}
	})
}

// FuzzEvidence gives a verifier evidence that was made from genuine evidence: whatever it takes must say what was signed.
func FuzzEvidence(f *testing.F) {
	w := attestationtest.NewWorld(f)
	challenge, signed := attestationtest.Challenge(), map[string]bool{}
	gpus := []*v1.GpuEvidence{w.NVIDIA.GPU(f, 0).Evidence(f, challenge, nil)}
	verifier, c := w.Verifier(), w.Case(f, nil)
	for _, evidence := range []*v1.Evidence{
		w.SNP(f, "Milan"), w.SNP(f, "Genoa"), w.SNP(f, "Turin"), w.TDX(f, 4, nil), w.TDX(f, 5, nil), w.TDX(f, 15, nil),
		w.AMD["Genoa"].Evidence(f, challenge, gpus), w.Intel.Evidence(f, 4, challenge, gpus, nil),
	} {
		c.Evidence = evidence
		result := verifier.Appraise(c)
		if !attestation.Accepted(result) {
			f.Fatal(explain(result))
		}
		signed[statement(evidence)] = true
		raw, err := v1.Encode(evidence)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
		for _, boundary := range []uint32{0, 1, 127, 128, 1<<31 - 1, 1 << 31, 1<<32 - 1} {
			for _, at := range []int{48 + 584, 48 + 584 + 4 + 128 + 2, 48 + 584 + 4 + 128 + 6 + 384 + 64} {
				if evidence.Tee == v1.Tee_TEE_TDX {
					crafted := slices.Clone(raw)
					binary.LittleEndian.PutUint32(crafted[len(raw)-len(evidence.Report)+at:], boundary)
					f.Add(crafted)
				}
			}
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		evidence := new(v1.Evidence)
		if v1.Decode(raw, evidence) != nil {
			return
		}
		c := c
		c.Evidence = evidence
		boundedly(t, len(raw), func() {
			result := verifier.Appraise(c)
			fits(t, result)
			if attestation.Accepted(result) && !signed[statement(evidence)] {
				t.Errorf("takes what nobody signed\n%s", explain(result))
			}
			if slices.Contains(faults(result), "verifier/bug") {
				t.Errorf("panics inside\n%s", explain(result))
			}
		})
	})
}

// statement is what processor and GPUs signed, without their signatures: those can be made again.
func statement(evidence *v1.Evidence) string {
	said := evidence.Tee.String()
	for _, gpu := range evidence.Gpus {
		if report, err := nvgpu.Parse(gpu.Report); err == nil {
			said += string(report.Signed())
		}
	}
	if evidence.Tee == v1.Tee_TEE_SEV_SNP {
		if report, err := sevsnp.Parse(evidence.Report); err == nil {
			said += string(report.Signed())
		}
	} else if quote, err := tdx.Parse(evidence.Report); err == nil {
		said += string(quote.Signed())
	}
	return said
}

var updateSeeds = flag.Bool("update", false, "write testdata/fuzz anew")

// TestTheSeedsOfTheParsersAreThere writes, with -update, the genuine and crafted inputs that fuzzing begins from: the
// files that vendors made, and numbers at the borders where parsers of this kind have failed.
func TestTheSeedsOfTheParsersAreThere(t *testing.T) {
	seeds := map[string][][]byte{
		"FuzzSNPReport":      {sevdata.AttestationBytes},
		"FuzzEndorsementKey": {sevdata.VcekBytes},
		"FuzzTDXQuote":       {tdxdata.RawQuote},
	}
	q, err := tdx.Parse(tdxdata.RawQuote)
	if err != nil {
		t.Fatal(err)
	}
	seeds["FuzzPCK"] = [][]byte{q.PCK.Raw}
	for _, at := range []int{48 + 584, 48 + 584 + 4 + 128 + 2, 48 + 584 + 4 + 128 + 6 + 384 + 64} {
		for _, boundary := range []uint32{0, 127, 1<<32 - 1} {
			crafted := slices.Clone(tdxdata.RawQuote)
			binary.LittleEndian.PutUint32(crafted[at:], boundary)
			seeds["FuzzTDXQuote"] = append(seeds["FuzzTDXQuote"], crafted)
		}
	}
	if *updateSeeds {
		w := attestationtest.NewWorld(t)
		gpu := w.NVIDIA.GPU(t, 0).Evidence(t, attestationtest.Challenge(), nil).Report
		seeds["FuzzGPUReport"] = [][]byte{gpu}
		for _, at := range []int{41, 42, 44, 47, 50, len(gpu) - 96 - 52} {
			crafted := slices.Clone(gpu)
			crafted[at] = 0xff
			seeds["FuzzGPUReport"] = append(seeds["FuzzGPUReport"], crafted)
		}
		seeds["FuzzPolicy"] = [][]byte{[]byte(w.PolicyText()), []byte("id: empty\nvalidity: 1h\naccept: warning\n")}
	}
	for target, inputs := range seeds {
		for i, input := range inputs {
			name := filepath.Join("testdata", "fuzz", target, fmt.Sprintf("seed-%02d", i))
			want := fmt.Sprintf("go test fuzz v1\n[]byte(%q)\n", input)
			if *updateSeeds {
				if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(name, []byte(want), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if have, err := os.ReadFile(name); err != nil || string(have) != want {
				t.Errorf("%s is not the seed: go test -run Seeds -update (%v)", name, err)
			}
		}
	}
	for _, target := range []string{"FuzzGPUReport", "FuzzPolicy"} {
		if files, err := os.ReadDir(filepath.Join("testdata", "fuzz", target)); err != nil || len(files) == 0 {
			t.Errorf("%s has no seeds: %v", target, err)
		}
	}
}
