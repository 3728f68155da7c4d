package attestation_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-sev-guest/verify/trust"

	"github.com/filature/filature/adapters/attestation"
	"github.com/filature/filature/adapters/attestation/attestationtest"
	"github.com/filature/filature/adapters/attestation/internal/anchors"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// TestNothingThatPublishedKeysSignIsTakenInProduction: the verifier of the program, under a policy and collateral that are
// made for these machines, takes none of what the test authorities sign. Two of AMD's three lines carry the keys that
// go-sev-guest publishes.
func TestNothingThatPublishedKeysSignIsTakenInProduction(t *testing.T) {
	w := attestationtest.NewWorld(t)
	gpu := []*v1.GpuEvidence{w.NVIDIA.GPU(t, 0).Evidence(t, attestationtest.Challenge(), nil)}
	vlek := func(report []byte) { report[0x48] = 1 << 2 }
	for name, evidence := range map[string]*v1.Evidence{
		"Milan": w.SNP(t, "Milan"), "Genoa": w.SNP(t, "Genoa"), "Turin": w.SNP(t, "Turin"), "a provider's": w.SNP(t, "Genoa", vlek),
		"TDX": w.TDX(t, 4, nil), "GPU": w.AMD["Genoa"].Evidence(t, attestationtest.Challenge(), gpu),
	} {
		c := w.Case(t, evidence)
		if result := w.Verifier().Appraise(c); !attestation.Accepted(result) {
			t.Fatalf("%s: not even the test's own verifier takes it\n%s", name, explain(result))
		}
		result := attestation.New().Appraise(c)
		if attestation.Accepted(result) || result.Status == affirming || result.Status == warning {
			t.Errorf("%s: is taken\n%s", name, explain(result))
		}
		if evidence.Tee == v1.Tee_TEE_SEV_SNP && !slices.Contains(failed(result), "snp/key-chain") {
			t.Errorf("%s: AMD's root does not refuse it\n%s", name, explain(result))
		}
	}
}

// TestTheProgramLinksNoTestKeys: neither the library's published keys nor our own test authorities are in it.
func TestTheProgramLinksNoTestKeys(t *testing.T) {
	list := exec.CommandContext(context.Background(), "go", "list", "-deps", "github.com/filature/filature/cmd/...",
		"github.com/filature/filature/workers/...", "github.com/filature/filature/sdk/...")
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	deps := strings.Fields(string(out))
	if len(deps) < 100 {
		t.Fatalf("found %d packages only", len(deps))
	}
	for _, dep := range deps {
		if strings.HasPrefix(dep, "github.com/google/go-sev-guest/testing") || strings.HasSuffix(dep,
			"/attestationtest") || strings.HasPrefix(dep, "github.com/google/go-tdx-guest") {
			t.Errorf("the program links %s", dep)
		}
	}
}

// TestTheBinaryHoldsNoPublishedKey builds the program, and looks in it for the numbers of the keys that go-sev-guest
// publishes. They are in this test's own binary, which shows that the search would find them.
func TestTheBinaryHoldsNoPublishedKey(t *testing.T) {
	program := filepath.Join(t.TempDir(), "filature")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "github.com/filature/filature/cmd/filature")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	holds := func(file string) (names []string) {
		binary, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for name, key := range publishedKeys(t) {
			if bytes.Contains(binary, key) {
				names = append(names, name)
			}
		}
		return names
	}
	if names := holds(program); len(names) != 0 {
		t.Errorf("the program holds %v", names)
	}
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if names := holds(own); len(names) != len(publishedKeys(t)) {
		t.Errorf("this test's binary holds only %v: the search finds nothing", names)
	}
}

// publishedKeys are the keys by their names, each as a line from its middle: PEM, as the library embeds them.
func publishedKeys(t *testing.T) map[string][]byte {
	t.Helper()
	keys, found := attestationtest.PublishedKeys(), map[string][]byte{}
	for name, key := range map[string]any{"ARK": keys.Ark, "ASK": keys.Ask, "ASVK": keys.Asvk, "VCEK": keys.Vcek, "VLEK": keys.Vlek} {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		lines := bytes.Split(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), []byte{'\n'})
		found[name] = lines[len(lines)/2]
	}
	return found
}

// TestTheAuthoritiesAreTheVendorsOwn compares them with those that go-sev-guest ships. Whether the files are the pinned
// ones is checked at every start.
func TestTheAuthoritiesAreTheVendorsOwn(t *testing.T) {
	set := anchors.Pinned()
	for line, shipped := range trust.DefaultRootCerts {
		ours := set.AMD[line]
		if !shipped.ProductCerts.Ark.Equal(ours.ARK) || !shipped.ProductCerts.Ask.Equal(ours.ASK) {
			t.Errorf("%s: ours are not those that the library ships", line)
		}
	}
	if len(set.AMD) != 3 || set.Intel.Subject.CommonName != "Intel SGX Root CA" || set.NVIDIA.Subject.CommonName != "NVIDIA Device Identity CA" {
		t.Error("an authority is missing")
	}
}

// TestAppraisalsOfManyProductsAtOnceNeverCrossOver: what one goroutine appraises has no part in what another gets.
func TestAppraisalsOfManyProductsAtOnceNeverCrossOver(t *testing.T) {
	const goroutines, rounds = 8, 60
	w := attestationtest.NewWorld(t)
	verifier := w.Verifier()
	type known struct {
		c    attestation.Case
		want *v1.AttestationResult
	}
	var cases []known
	add := func(c attestation.Case) { cases = append(cases, known{c, w.Verifier().Appraise(c)}) }
	for _, line := range []string{"Milan", "Genoa", "Turin"} {
		add(w.Case(t, w.SNP(t, line)))
		tampered := w.Case(t, w.SNP(t, line))
		tampered.Evidence.Report[0x10] ^= 1
		add(tampered)
		foreign := w.Case(t, w.SNP(t, line))
		foreign.Evidence.EndorsementKey = w.SNP(t, map[string]string{"Milan": "Genoa", "Genoa": "Turin", "Turin": "Milan"}[line]).EndorsementKey
		add(foreign)
	}
	for _, version := range []int{4, 5, 15} {
		add(w.Case(t, w.TDX(t, version, nil)))
		tampered := w.Case(t, w.TDX(t, version, nil))
		tampered.Evidence.Report[30] ^= 1
		add(tampered)
	}
	add(w.Case(t, w.AMD["Genoa"].Evidence(t, attestationtest.Challenge(), []*v1.GpuEvidence{w.NVIDIA.GPU(t, 0).Evidence(t, attestationtest.Challenge(), nil)})))

	var group sync.WaitGroup
	for g := range goroutines {
		group.Go(func() {
			for i := range rounds {
				k := cases[(g*7+i*5)%len(cases)]
				have := verifier.Appraise(k.c)
				if have.Status != k.want.Status || have.Product != k.want.Product || string(have.EvidenceId) != string(k.want.EvidenceId) ||
					!slices.Equal(failed(have), failed(k.want)) {
					t.Errorf("have %s, want %s", explain(have), explain(k.want))
					return
				}
			}
		})
	}
	group.Wait()
}
