package attestation_test

import (
	"crypto/elliptic"
	"crypto/x509"
	"encoding/hex"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/filature/filature/adapters/attestation"
	"github.com/filature/filature/adapters/attestation/attestationtest"
	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

const (
	none            = v1.AttestationStatus_ATTESTATION_STATUS_NONE
	affirming       = v1.AttestationStatus_ATTESTATION_STATUS_AFFIRMING
	warning         = v1.AttestationStatus_ATTESTATION_STATUS_WARNING
	contraindicated = v1.AttestationStatus_ATTESTATION_STATUS_CONTRAINDICATED
)

// checks are the names of the checks with an outcome, each once, in order.
func checks(result *v1.AttestationResult, outcome v1.CheckOutcome) []string {
	var names []string
	for _, check := range result.Checks {
		if check.Outcome == outcome && !slices.Contains(names, check.Name) {
			names = append(names, check.Name)
		}
	}
	return names
}

func failed(result *v1.AttestationResult) []string {
	return checks(result, v1.CheckOutcome_CHECK_OUTCOME_FAIL)
}

func faults(result *v1.AttestationResult) []string {
	return checks(result, v1.CheckOutcome_CHECK_OUTCOME_FAULT)
}

func warnings(result *v1.AttestationResult) []string {
	return checks(result, v1.CheckOutcome_CHECK_OUTCOME_WARN)
}

// fits fails the test if the schema does not allow the result: an event that can't be written is no event.
func fits(t testing.TB, result *v1.AttestationResult) {
	t.Helper()
	if _, err := v1.Encode(result); err != nil {
		t.Errorf("the result is no event: %v", err)
	}
}

func explain(result *v1.AttestationResult) string {
	text := result.Status.String() + "\n"
	for _, c := range result.Checks {
		text += c.Outcome.String() + " " + c.Name + ": " + c.Says + " | " + c.Have + " | " + c.Want + "\n"
	}
	return text
}

// TestHonestWorkersAreTaken is the accepting path of each product and format, GPUs included.
func TestHonestWorkersAreTaken(t *testing.T) {
	w := attestationtest.NewWorld(t)
	challenge := attestationtest.Challenge()
	gpus := []*v1.GpuEvidence{w.NVIDIA.GPU(t, 0).Evidence(t, challenge, nil), w.NVIDIA.GPU(t, 1).Evidence(t, challenge, nil)}
	vlek := func(report []byte) { report[0x48] = 1 << 2 }
	affirmed := &v1.TrustVector{InstanceIdentity: 2, Configuration: 2, Executables: 3, Hardware: 2, RuntimeOpaque: 2}
	weakHardware := &v1.TrustVector{InstanceIdentity: 2, Configuration: 2, Executables: 3, Hardware: 32, RuntimeOpaque: 2}
	for _, test := range []struct {
		name     string
		evidence *v1.Evidence
		status   v1.AttestationStatus
		vector   *v1.TrustVector
		product  string
	}{
		{"Milan", w.SNP(t, "Milan"), warning, weakHardware, "Milan"},
		{"Genoa", w.SNP(t, "Genoa"), affirming, affirmed, "Genoa"},
		{"Turin", w.SNP(t, "Turin"), affirming, affirmed, "Turin"},
		{"Genoa with a provider's key", w.SNP(t, "Genoa", vlek), affirming, affirmed, "Genoa"},
		{"Turin with a provider's key", w.SNP(t, "Turin", vlek), affirming, affirmed, "Turin"},
		{"Genoa, report version 2", w.SNP(t, "Genoa", versionTwo), affirming, affirmed, "Genoa"},
		{"Genoa with two GPUs", w.AMD["Genoa"].Evidence(t, challenge, gpus), affirming, affirmed, "Genoa"},
		{"TDX, version 4", w.TDX(t, 4, nil), affirming, affirmed, "TDX 00906ED50000"},
		{"TDX, version 5", w.TDX(t, 5, nil), affirming, affirmed, "TDX 00906ED50000"},
		{"TDX 1.5, version 5", w.TDX(t, 15, nil), affirming, affirmed, "TDX 00906ED50000"},
		{"TDX with two GPUs", w.Intel.Evidence(t, 4, challenge, gpus, nil), affirming, affirmed, "TDX 00906ED50000"},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, thorough := range []bool{false, true} {
				c := w.Case(t, test.evidence)
				c.Thorough = thorough
				result := w.Verifier().Appraise(c)
				fits(t, result)
				if result.Status != test.status || result.Product != test.product {
					t.Fatalf("have %s, %q, want %s, %q\n%s", result.Status, result.Product, test.status, test.product, explain(result))
				}
				if diff := cmp.Diff(test.vector, result.Vector, protocmp.Transform()); diff != "" {
					t.Error(diff)
				}
				if want := attestationtest.Now.Add(3600 * 1e9).UnixMilli(); result.ValidUntilMs != want || !attestation.Accepted(result) {
					t.Errorf("valid until %d, want %d", result.ValidUntilMs, want)
				}
				if len(result.EvidenceId) == 0 || len(result.ImageHash) == 0 || len(result.Chip) == 0 || result.Tcb == "" {
					t.Error("the result does not say what it is about")
				}
			}
		})
	}
}

// versionTwo makes a report as old firmware wrote it, without CPUID.
func versionTwo(report []byte) { report[0] = 2; clear(report[0x188:0x18B]) }

// TestTheVerifierFindsTheChipsKeyInItsCollateral is for workers that show no certificate.
func TestTheVerifierFindsTheChipsKeyInItsCollateral(t *testing.T) {
	w := attestationtest.NewWorld(t)
	for _, line := range []string{"Milan", "Genoa", "Turin"} {
		evidence := w.SNP(t, line)
		key := evidence.EndorsementKey
		evidence.EndorsementKey = nil
		c := w.Case(t, evidence)
		result := w.Verifier().Appraise(c)
		fits(t, result)
		missing := attestation.Lacking(result)
		if result.Status != none || len(missing) != 1 || !attestation.IsCollateral(missing[0]) {
			t.Fatalf("%s: misses %v\n%s", line, missing, explain(result))
		}
		files := w.Files(t)
		files[missing[0]] = key
		c.Collateral = attestationtest.Collateral(t, files)
		if result = w.Verifier().Appraise(c); !attestation.Accepted(result) {
			t.Errorf("%s: not taken with %s\n%s", line, missing[0], explain(result))
		}
	}
}

// TestAReservationIsAWarning: what holds with a reservation earns where the policy says so, and nowhere else.
func TestAReservationIsAWarning(t *testing.T) {
	w := attestationtest.NewWorld(t)
	challenge := attestationtest.Challenge()
	cocoon := &v1.Evidence{
		Tee: v1.Tee_TEE_TDX, Report: w.Intel.Quote(t, 4, domain.CocoonReportData(challenge.Key), nil),
	}
	allow := w.PolicyText()
	allow = allow[index(t, allow, "  any: false"):index(t, allow, "sev_snp:")]
	for _, test := range []struct {
		name     string
		evidence *v1.Evidence
		policy   []string // replacements
		check    string
	}{
		{"a binding to the key alone", cocoon, []string{"cocoon_binding: false", "cocoon_binding: true"}, "binding/report-data"},
		{"any platform", w.SNP(t, "Genoa"), []string{allow, "  any: true\n"}, "platform/allowed"},
		{"Milan", w.SNP(t, "Milan"), nil, "snp/product-tier"},
		{"a level that needs hardening", w.TDX(t, 4, nil), []string{"UpToDate: affirming", "UpToDate: warning"}, "tdx/tcb-status"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := w.Case(t, test.evidence)
			c.Policy = w.Policy(t, test.policy...)
			result := w.Verifier().Appraise(c)
			fits(t, result)
			if result.Status != warning || !slices.Equal(warnings(result), []string{test.check}) || !attestation.Accepted(result) {
				t.Errorf("warns of %v, want %s\n%s", warnings(result), test.check, explain(result))
			}
			if test.name == "a binding to the key alone" {
				return // a policy that asks for affirming can't even be written with it
			}
			c.Policy = w.Policy(t, append(test.policy, "accept: warning", "accept: affirming")...)
			if result := w.Verifier().Appraise(c); result.Status != warning || attestation.Accepted(result) {
				t.Errorf("a policy that asks for more takes it\n%s", explain(result))
			}
		})
	}
}

// TestAResultHoldsNoLongerThanWhatItRestsOn: the image's end and the certificate's cut the validity.
func TestAResultHoldsNoLongerThanWhatItRestsOn(t *testing.T) {
	w := attestationtest.NewWorld(t)
	c := w.Case(t, w.SNP(t, "Genoa"))
	c.Policy = w.Policy(t, "2027-06-01T00:00:00Z", "2026-11-22T12:20:00Z")
	if result := w.Verifier().Appraise(c); result.ValidUntilMs != attestationtest.Now.Add(20*60e9).UnixMilli() {
		t.Errorf("valid until %d, beyond the image's end", result.ValidUntilMs)
	}
}

// TestAResultNamesTheModelsThatItIsGoodFor, and ends with the first of them. With TDX as with SEV-SNP.
func TestAResultNamesTheModelsThatItIsGoodFor(t *testing.T) {
	w := attestationtest.NewWorld(t)
	models := hashesOf(t, goodModel, retiredModel)
	data := attestationtest.Challenge().ReportDataServing(domain.Digest{}, models)
	for _, evidence := range []*v1.Evidence{
		w.SNP(t, "Genoa", func(report []byte) { copy(report[0x50:], data[:]) }),
		{Tee: v1.Tee_TEE_TDX, Report: w.Intel.Quote(t, 4, data, nil)},
	} {
		evidence.Models = models
		c := w.Case(t, evidence)
		c.Policy = w.Policy(t, "platforms:\n", attestationtest.Replace(t, listed, "2026-11-22T11:59:59Z", "2026-11-22T12:10:00Z"))
		result := w.Verifier().Appraise(c)
		fits(t, result)
		if !attestation.Accepted(result) || len(result.Models) != 2 || string(result.Models[1]) != string(models[1]) {
			t.Errorf("names %x\n%s", result.Models, explain(result))
		}
		if result.ValidUntilMs != attestationtest.Now.Add(10*60e9).UnixMilli() {
			t.Errorf("valid until %d, beyond a model's end", result.ValidUntilMs)
		}
		c.Policy = w.Policy(t, "platforms:\n", listed)
		if result := w.Verifier().Appraise(c); len(result.Models) != 0 {
			t.Errorf("names a model that is retired\n%s", explain(result))
		}
	}
}

// TestTwinSignaturesAreOneStatement: ECDSA gives two signatures for one; the evidence's id sees through it.
func TestTwinSignaturesAreOneStatement(t *testing.T) {
	w := attestationtest.NewWorld(t)
	evidence := w.SNP(t, "Genoa")
	twin := &v1.Evidence{Tee: evidence.Tee, Report: w.AMD["Genoa"].Twin(t, evidence.Report), EndorsementKey: evidence.EndorsementKey}
	a, b := w.Verifier().Appraise(w.Case(t, evidence)), w.Verifier().Appraise(w.Case(t, twin))
	if !attestation.Accepted(a) || !attestation.Accepted(b) {
		t.Fatalf("one is not taken\n%s\n%s", explain(a), explain(b))
	}
	if string(a.EvidenceId) != string(b.EvidenceId) || string(a.EvidenceDigest) == string(b.EvidenceDigest) {
		t.Error("the id must be one, the digest two")
	}
}

// TestATwinOfACertificateMakesNoOtherStatement: whoever shows a quote can turn the signature on the PCK certificate in it into
// its twin, and the quote still holds.
func TestATwinOfACertificateMakesNoOtherStatement(t *testing.T) {
	w := attestationtest.NewWorld(t)
	before := w.Verifier().Appraise(w.Case(t, w.TDX(t, 4, nil)))
	twin, err := x509.ParseCertificate(attestationtest.Twin(t, w.Intel.PCK.Raw, elliptic.P256()))
	if err != nil {
		t.Fatal(err)
	}
	w.Intel.PCK = twin
	after := w.Verifier().Appraise(w.Case(t, w.TDX(t, 4, nil)))
	if !attestation.Accepted(before) || !attestation.Accepted(after) {
		t.Fatalf("one is not taken\n%s\n%s", explain(before), explain(after))
	}
	if string(before.EvidenceId) != string(after.EvidenceId) || string(before.EvidenceDigest) == string(after.EvidenceDigest) {
		t.Error("the id must be one, the digest two")
	}
}

// TestAResultFollowsFromItsCaseAlone: not from what the verifier did before.
func TestAResultFollowsFromItsCaseAlone(t *testing.T) {
	w := attestationtest.NewWorld(t)
	warm := w.Verifier()
	for round := range 2 {
		for _, evidence := range []*v1.Evidence{w.SNP(t, "Genoa"), w.SNP(t, "Turin"), w.TDX(t, 4, nil)} {
			c := w.Case(t, evidence)
			if diff := cmp.Diff(w.Verifier().Appraise(c), warm.Appraise(c), protocmp.Transform()); diff != "" {
				t.Errorf("round %d: %s", round, diff)
			}
		}
	}
}

func hexOf(b []byte) string { return hex.EncodeToString(b) }

func cocoonData(key domain.KeyID) [64]byte { return domain.CocoonReportData(key) }
