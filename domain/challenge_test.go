package domain_test

import (
	"bytes"
	"encoding/hex"
	"testing"

	"pgregory.net/rapid"

	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

func aChallenge() domain.Challenge {
	return domain.Challenge{
		Network: domain.NetworkID(bytes.Repeat([]byte{1}, 32)), Worker: domain.WorkerID(bytes.Repeat([]byte{2}, 32)),
		Key: domain.KeyID(bytes.Repeat([]byte{3}, 32)), Nonce: domain.Digest(bytes.Repeat([]byte{4}, 32)), Epoch: 5, ExpiresMs: 6,
	}
}

func twoGPUs() []*v1.GpuEvidence {
	return []*v1.GpuEvidence{
		{Report: []byte("report 1"), Certificates: []*v1.Certificate{{Der: []byte("leaf")}, {Der: []byte("device")}}},
		{Report: []byte("report 2"), Certificates: []*v1.Certificate{{Der: []byte("leaf 2")}}},
	}
}

// TestTheBindingIsTheOneInTheDocument holds the values of docs/attestation.md, for who writes a worker in another
// language. They were made once by an independent program (hashlib and struct of Python, from the words of the comment).
func TestTheBindingIsTheOneInTheDocument(t *testing.T) {
	c := aChallenge()
	none, gpus := c.ReportData(domain.Digest{}), c.ReportData(domain.GPUEvidenceDigest(twoGPUs()))
	nonce, cocoon := c.GPUNonce(), domain.CocoonReportData(c.Key)
	for _, claim := range []struct{ of, have, want string }{
		{"report data without GPUs", hex.EncodeToString(none[:]), "6d89b46eaa66c31670d76698fb80fbfcb42709d9e05b519d3c62ad330218bd42" +
			"08e9bd6b0afd19b8731ba785f71823ceb6a245373d2eccb21ca7cc7e42cf7061"},
		{"report data with two GPUs", hex.EncodeToString(gpus[:]), "f0787e04dbc1a4585948655c9f1866246d8472d0fde2cd8230b211c7cf17b8c2" +
			"c7821017815c0ea134a9433c2b47ce6733035a25d86fd8f0d91f3100f0074373"},
		{"GPU nonce", nonce.String(), "515b074edd0275d6a59fdc76291fe523190ae79c293a5424e97e5b7c587762e5"},
		{"GPU evidence", domain.GPUEvidenceDigest(twoGPUs()).String(), "959797b5b446dfc8a075a5940d03d1ee55cbcb0516c8dbcd7c60ed86cdc95f38"},
		{"Cocoon's report data", hex.EncodeToString(cocoon[:]), "98aebbb178a551876bfaf8e1e530dac6aaf6c2ea1c8f8406a3ab37dfb40fbc25" +
			"cf9c2fb29ccbb8fb7cdc1879860ba069cc557eae1aed76aa30be4bc88f90408d"},
	} {
		if claim.have != claim.want {
			t.Errorf("%s:\nhave %s\nwant %s", claim.of, claim.have, claim.want)
		}
	}
}

func TestWhateverIsBoundChangesTheBinding(t *testing.T) {
	honest := aChallenge()
	gpus := domain.GPUEvidenceDigest(twoGPUs())
	for name, change := range map[string]func(*domain.Challenge){
		"network": func(c *domain.Challenge) { c.Network[31] ^= 1 },
		"key":     func(c *domain.Challenge) { c.Key[0] ^= 1 },
		"nonce":   func(c *domain.Challenge) { c.Nonce[7] ^= 1 },
		"epoch":   func(c *domain.Challenge) { c.Epoch++ },
	} {
		other := honest
		change(&other)
		if other.ReportData(gpus) == honest.ReportData(gpus) {
			t.Errorf("report data does not depend on %s", name)
		}
		if other.GPUNonce() == honest.GPUNonce() {
			t.Errorf("the GPU nonce does not depend on %s", name)
		}
	}
	if honest.ReportData(gpus) == honest.ReportData(domain.Digest{}) {
		t.Error("report data does not depend on the GPUs")
	}
}

// TestNoTwoListsOfGPUsHaveOneDigest moves bytes across every border: what one field loses the next one gains.
func TestNoTwoListsOfGPUsHaveOneDigest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		flat := rapid.SliceOfN(rapid.Byte(), 6, 40).Draw(t, "bytes")
		split := func(name string) []*v1.GpuEvidence {
			var gpus []*v1.GpuEvidence
			rest := flat
			for n := rapid.IntRange(1, 3).Draw(t, name); n > 0; n-- {
				cut := rapid.IntRange(0, len(rest)).Draw(t, "report")
				gpu := &v1.GpuEvidence{Report: rest[:cut]}
				rest = rest[cut:]
				for m := rapid.IntRange(0, 2).Draw(t, "certificates"); m > 0; m-- {
					cut = rapid.IntRange(0, len(rest)).Draw(t, "certificate")
					gpu.Certificates = append(gpu.Certificates, &v1.Certificate{Der: rest[:cut]})
					rest = rest[cut:]
				}
				gpus = append(gpus, gpu)
			}
			return gpus
		}
		a, b := split("one"), split("other")
		same := encoded(t, a) == encoded(t, b)
		if (domain.GPUEvidenceDigest(a) == domain.GPUEvidenceDigest(b)) != same {
			t.Fatalf("the same lists: %v, but their digests say otherwise\n%v\n%v", same, a, b)
		}
	})
}

func encoded(t *rapid.T, gpus []*v1.GpuEvidence) string {
	raw, err := v1.Encode(&v1.Evidence{Tee: v1.Tee_TEE_TDX, Gpus: gpus})
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// TestModelsAreBoundBehindTheGPUs: in their order, and each once for each time it is there. None is as before.
func TestModelsAreBoundBehindTheGPUs(t *testing.T) {
	c, gpus := aChallenge(), domain.Digest{3}
	a, b := bytes.Repeat([]byte{4}, 32), bytes.Repeat([]byte{5}, 32)
	if c.ReportDataServing(gpus, nil) != c.ReportData(gpus) {
		t.Error("without models it is another value")
	}
	seen := map[[64]byte]bool{c.ReportData(gpus): true}
	for _, models := range [][][]byte{{a}, {b}, {a, b}, {b, a}, {a, a}} {
		data := c.ReportDataServing(gpus, models)
		if seen[data] {
			t.Errorf("%x: is the value of other models", models)
		}
		seen[data] = true
	}
	want := "55928eeee3a2728fd37174403f2e7794920d1756180ecf9d69e4a5d6fb46c6da5798c7d503de6f984bcbcd9c26c0889168af3b63e903751d3d69ecbb57dc9f00" // Python's hashlib
	if have := c.ReportDataServing(gpus, [][]byte{a, b}); hex.EncodeToString(have[:]) != want {
		t.Errorf("is %x, want %s", have, want)
	}
}
