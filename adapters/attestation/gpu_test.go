package attestation_test

import (
	"bytes"
	"crypto/elliptic"
	"crypto/sha512"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/filature/filature/adapters/attestation"
	"github.com/filature/filature/adapters/attestation/attestationtest"
	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// withGPUs is a case of an honest machine with GPUs that are made for its challenge.
func withGPUs(show func(t *testing.T, w *attestationtest.World, challenge domain.Challenge) []*v1.GpuEvidence, replace ...string) making {
	return func(t *testing.T, w *attestationtest.World) attestation.Case {
		c := w.Case(t, nil)
		c.Evidence = w.AMD["Genoa"].Evidence(t, c.Challenge, show(t, w, c.Challenge))
		c.Policy = w.Policy(t, replace...)
		return c
	}
}

// reported is a GPU's report that is changed before it is signed.
func reported(edit func([]byte)) making {
	return withGPUs(func(t *testing.T, w *attestationtest.World, challenge domain.Challenge) []*v1.GpuEvidence {
		return []*v1.GpuEvidence{w.NVIDIA.GPU(t, 0).Evidence(t, challenge, edit)}
	})
}

// shown changes an honest GPU's evidence, which the processor's report then binds as it is.
func shown(change func(t *testing.T, w *attestationtest.World, gpu *v1.GpuEvidence)) making {
	return withGPUs(func(t *testing.T, w *attestationtest.World, challenge domain.Challenge) []*v1.GpuEvidence {
		gpu := w.NVIDIA.GPU(t, 0).Evidence(t, challenge, nil)
		change(t, w, gpu)
		return []*v1.GpuEvidence{gpu}
	})
}

func TestABadGPUIsRefused(t *testing.T) {
	format, chain, signature := []string{"gpu/format"}, []string{"gpu/chain"}, []string{"gpu/signature"}
	report := func(change func([]byte) []byte) making {
		return shown(func(_ *testing.T, _ *attestationtest.World, gpu *v1.GpuEvidence) { gpu.Report = change(gpu.Report) })
	}
	certificates := func(change func([]*v1.Certificate) []*v1.Certificate) making {
		return shown(func(_ *testing.T, _ *attestationtest.World, gpu *v1.GpuEvidence) {
			gpu.Certificates = change(gpu.Certificates)
		})
	}
	made := func(how attestationtest.Chain) making {
		return func(t *testing.T, w *attestationtest.World) attestation.Case {
			w.NVIDIA.Chain = how
			return reported(nil)(t, w)
		}
	}
	golden := func(index uint8) map[uint8][48]byte {
		measured := map[uint8][48]byte{1: attestationtest.Golden[1], 2: attestationtest.Golden[2]}
		measured[index] = sha512.Sum384([]byte("something else"))
		return measured
	}
	measured := func(values map[uint8][48]byte) making {
		return withGPUs(func(t *testing.T, w *attestationtest.World, challenge domain.Challenge) []*v1.GpuEvidence {
			return []*v1.GpuEvidence{w.NVIDIA.GPU(t, 0).EvidenceOf(t, challenge, values, nil)}
		})
	}
	refused(t, []refusal{
		{"none, where the policy asks for one", withGPUs(func(*testing.T, *attestationtest.World, domain.Challenge) []*v1.GpuEvidence { return nil },
			"required: 0", "required: 1"), []string{"gpu/count"}},
		{"one, where the policy asks for two", withGPUs(func(t *testing.T, w *attestationtest.World, challenge domain.Challenge) []*v1.GpuEvidence {
			return []*v1.GpuEvidence{w.NVIDIA.GPU(t, 0).Evidence(t, challenge, nil)}
		}, "required: 0", "required: 2"), []string{"gpu/count"}},
		{"one shown twice", withGPUs(func(t *testing.T, w *attestationtest.World, challenge domain.Challenge) []*v1.GpuEvidence {
			gpu := w.NVIDIA.GPU(t, 0)
			return []*v1.GpuEvidence{gpu.Evidence(t, challenge, nil), gpu.Evidence(t, challenge, nil)}
		}, "required: 0", "required: 2"), []string{"gpu/twice"}},
		{"one shown twice, the second time with the twin of the signature on its certificate", withGPUs(func(t *testing.T, w *attestationtest.World,
			challenge domain.Challenge,
		) []*v1.GpuEvidence {
			gpu := w.NVIDIA.GPU(t, 0)
			again := gpu.Evidence(t, challenge, nil)
			again.Certificates[1].Der = attestationtest.Twin(t, again.Certificates[1].Der, elliptic.P384())
			return []*v1.GpuEvidence{gpu.Evidence(t, challenge, nil), again}
		}, "required: 0", "required: 2"), []string{"gpu/twice"}},
		{"a report for another challenge", withGPUs(func(t *testing.T, w *attestationtest.World, challenge domain.Challenge) []*v1.GpuEvidence {
			challenge.Nonce[0] ^= 1
			return []*v1.GpuEvidence{w.NVIDIA.GPU(t, 0).Evidence(t, challenge, nil)}
		}), []string{"gpu/nonce"}},
		{"a driver that the policy does not name", reported(func(r []byte) { copy(r[place(r, []byte("550.90.07")):], "550.90.08") }), []string{"gpu/firmware"}},
		{"a VBIOS that the policy does not name", reported(func(r []byte) { r[place(r, []byte{0x96, 0x00, 0x9f, 0x00, 0x01})] = 0x95 }),
			[]string{"gpu/firmware"}},
		{"another measurement", measured(golden(1)), []string{"gpu/measurements"}},
		{"another measurement behind a good one", measured(golden(2)), []string{"gpu/measurements"}},
		{"a measurement that is not shown", measured(map[uint8][48]byte{1: attestationtest.Golden[1]}), []string{"gpu/measurements"}},
		{"a report that was changed after it was signed", report(func(r []byte) []byte { r[place(r, attestationtest.Golden2())+60] ^= 1; return r }), signature},
		{"a key for other firmware", reported(func(r []byte) { r[len(r)-1] ^= 1 }), signature},
		{"another GPU's chain", shown(func(t *testing.T, w *attestationtest.World, gpu *v1.GpuEvidence) {
			gpu.Certificates = w.NVIDIA.GPU(t, 1).Evidence(t, attestationtest.Challenge(), nil).Certificates
		}), signature},
		{"a chain below another root of the same name", shown(func(t *testing.T, _ *attestationtest.World, gpu *v1.GpuEvidence) {
			stranger := attestationtest.NewWorld(t).NVIDIA.GPU(t, 0).Evidence(t, attestationtest.Challenge(), nil)
			gpu.Report, gpu.Certificates = stranger.Report, stranger.Certificates
		}), chain},
		{"a chain with a gap", certificates(func(c []*v1.Certificate) []*v1.Certificate { return slices.Delete(c, 1, 2) }), chain},
		{"a chain in another order", certificates(func(c []*v1.Certificate) []*v1.Certificate { c[1], c[2] = c[2], c[1]; return c }), chain},
		{"a chain that ends early", certificates(func(c []*v1.Certificate) []*v1.Certificate { return c[:2] }), chain},
		{"a chain whose names do not follow", made(attestationtest.Chain{Misnamed: true}), chain},
		{"a chain with a certificate that was valid", made(attestationtest.Chain{Expired: true}), chain},
		{"a chain that is longer than an authority in it allows", made(attestationtest.Chain{Short: true}), chain},
		{"an opaque field that is there twice", reported(func(r []byte) { r[place(r, []byte{6, 0, 8, 0})] = 3 }), format},
		{"no chain", certificates(func([]*v1.Certificate) []*v1.Certificate { return nil }), format},
		{"a chain of garbage", certificates(func(c []*v1.Certificate) []*v1.Certificate { c[1].Der = []byte("x"); return c }), format},
		{"nothing", report(func([]byte) []byte { return nil }), format},
		{"a cut", report(func(r []byte) []byte { return r[:len(r)-1] }), format},
		{"a byte more", report(func(r []byte) []byte { return append(r, 0) }), format},
		{"another version of SPDM", report(func(r []byte) []byte { r[0] = 0x12; return r }), format},
		{"another message", report(func(r []byte) []byte { r[38] = 0x61; return r }), format},
		{"more measurements than it has", report(func(r []byte) []byte { r[41]++; return r }), format},
		{"fewer measurements than it has", report(func(r []byte) []byte { r[41]--; return r }), format},
		{"a record that is longer than the report", report(func(r []byte) []byte { r[44] = 0xff; return r }), format},
		{"a measurement that is there twice", report(func(r []byte) []byte { r[45+55] = 1; return r }), format},
		{"a measurement that is not DMTF's", report(func(r []byte) []byte { r[46] = 2; return r }), format},
		{"a measurement whose lengths do not agree", report(func(r []byte) []byte { binary.LittleEndian.PutUint16(r[50:], 49); return r }), format},
	})
}

// TestThePolicyNeedsNoGPUsAndStillLooksAtThem: a worker that shows bad GPUs is not better off than one that shows none.
func TestThePolicyNeedsNoGPUsAndStillLooksAtThem(t *testing.T) {
	w := attestationtest.NewWorld(t)
	c := reported(func(r []byte) { r[4] ^= 1 })(t, w)
	if result := w.Verifier().Appraise(c); result.Status != contraindicated {
		t.Error(explain(result))
	}
	if attestation.Accepted(w.Verifier().Appraise(c)) {
		t.Error("it is taken")
	}
}

// place is where a part stands in a report. It panics where it does not: a test that changes nothing proves nothing.
func place(report, part []byte) int {
	at := bytes.Index(report, part)
	_ = report[at] // panics
	return at
}
