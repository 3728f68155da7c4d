package attestation_test

import (
	"encoding/hex"
	"net/url"
	"slices"
	"testing"
	"time"

	sevdata "github.com/google/go-sev-guest/verify/testdata"
	tdxheaders "github.com/google/go-tdx-guest/testing"
	tdxdata "github.com/google/go-tdx-guest/testing/testdata"

	"github.com/filature/filature/adapters/attestation"
	"github.com/filature/filature/adapters/attestation/attestationtest"
	"github.com/filature/filature/adapters/attestation/sevsnp"
	"github.com/filature/filature/adapters/attestation/tdx"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

func passed(result *v1.AttestationResult) []string {
	return checks(result, v1.CheckOutcome_CHECK_OUTCOME_PASS)
}

// TestAGenuineReportOfAMDsIsRefusedForWhatItSays takes the report that go-sev-guest ships: AMD's own keys hold for it,
// and it is of a guest that is open for debugging.
func TestAGenuineReportOfAMDsIsRefusedForWhatItSays(t *testing.T) {
	w := attestationtest.NewWorld(t)
	report, err := sevsnp.Parse(sevdata.AttestationBytes)
	if err != nil {
		t.Fatal(err)
	}
	text := w.PolicyText()
	c := attestation.Case{
		Evidence:  &v1.Evidence{Tee: v1.Tee_TEE_SEV_SNP, Report: sevdata.AttestationBytes, EndorsementKey: sevdata.VcekBytes},
		Challenge: attestationtest.Challenge(), Now: attestationtest.Now, Thorough: true,
		Policy: w.Policy(t, text[index(t, text, "launch: ")+8:index(t, text, ", role")], hex.EncodeToString(report.Measurement[:]),
			text[index(t, text, "    - "):index(t, text, "sev_snp:")], "    - "+hex.EncodeToString(report.ChipID[:])+"\n"),
	}
	result := attestation.New().Appraise(c)
	fits(t, result)
	want := []string{"binding/report-data", "snp/debug", "snp/alias-check", "snp/tcb-reported", "snp/tcb-committed", "snp/tcb-launch", "snp/tcb-current"}
	if have := failed(result); !slices.Equal(have, want) || result.Status != contraindicated {
		t.Errorf("fails %v, want %v\n%s", have, want, explain(result))
	}
	for _, check := range []string{"snp/format", "image/known", "platform/allowed", "snp/product", "snp/key-chain", "snp/key-dates",
		"snp/key-chip", "snp/key-tcb", "snp/signature"} {
		if !slices.Contains(passed(result), check) {
			t.Errorf("%s does not pass\n%s", check, explain(result))
		}
	}
	// AMD's list of revoked keys is not in the module, and the verifier says that this is its own lack.
	if have := faults(result); !slices.Equal(have, []string{"snp/revocation"}) || !slices.Equal(attestation.Lacking(result), []string{"amd/Milan/vcek.crl"}) {
		t.Errorf("faults %v, missing %v", have, attestation.Lacking(result))
	}
	if result.Vector.Hardware != 32 || result.Vector.Configuration != 96 || result.Vector.InstanceIdentity != 99 {
		t.Errorf("the vector is %v", result.Vector)
	}

	c.Evidence = &v1.Evidence{Tee: v1.Tee_TEE_SEV_SNP, Report: slices.Clone(sevdata.AttestationBytes), EndorsementKey: sevdata.VcekBytes}
	c.Evidence.Report[0x10] ^= 1
	if result := attestation.New().Appraise(c); !slices.Contains(failed(result), "snp/signature") {
		t.Errorf("a changed report passes\n%s", explain(result))
	}
}

// issuers reads an issuer chain out of a header of Intel's services.
func issuers(t *testing.T, headers map[string][]string, name string) []byte {
	t.Helper()
	chain, err := url.QueryUnescape(headers[name][0])
	if err != nil {
		t.Fatal(err)
	}
	return []byte(chain)
}

// intelsFiles are the files of 2023 that go-tdx-guest ships, by our names.
func intelsFiles(t *testing.T) map[string][]byte {
	t.Helper()
	return map[string][]byte{
		"intel/root.crl":                  tdxdata.RootCrlBody,
		"intel/pck-platform.crl":          tdxdata.PckCrlBody,
		"intel/pck-platform.pem":          issuers(t, tdxheaders.PckCrlHeader, "Sgx-Pck-Crl-Issuer-Chain"),
		"intel/tcb-signer.pem":            issuers(t, tdxheaders.TcbInfoHeader, "Tcb-Info-Issuer-Chain"),
		"intel/tdx-qe-identity.json":      tdxdata.QeIdentityBody,
		"intel/tdx-tcb-50806f000000.json": tdxdata.TcbInfoBody,
	}
}

// TestAGenuineQuoteOfIntelsIsRefusedForItsLevel takes the quote that go-tdx-guest ships, and Intel's lists of that summer:
// Intel's keys hold for all of them, and the machine, a preproduction one, reaches none of the levels.
func TestAGenuineQuoteOfIntelsIsRefusedForItsLevel(t *testing.T) {
	w := attestationtest.NewWorld(t)
	raw := tdxdata.RawQuote
	q, err := tdx.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	platform, err := tdx.PlatformOf(q.PCK)
	if err != nil {
		t.Fatal(err)
	}
	text, image := w.PolicyText(), q.CocoonImageHash()
	challenge := attestationtest.Challenge()
	then := time.Date(2023, 7, 1, 12, 0, 0, 0, time.UTC) // all six files were in force
	challenge.ExpiresMs = then.Add(time.Minute).UnixMilli()
	c := attestation.Case{
		Evidence:  &v1.Evidence{Tee: v1.Tee_TEE_TDX, Report: raw},
		Challenge: challenge, Now: then, Thorough: true, Collateral: attestationtest.Collateral(t, intelsFiles(t)),
		Policy: w.Policy(t, text[index(t, text, "image: ")+7:index(t, text,
			", role: worker, not_after: 2027-06-01T00:00:00Z, note: worker 1.0 for TDX")], hex.EncodeToString(image[:]),
			text[index(t, text, "    - "):index(t, text, "sev_snp:")], "    - "+hex.EncodeToString(platform.PPID[:])+"\n",
			"fmspcs: [00906ed50000]", "fmspcs: [50806f000000]", "min_tcb_evaluation_data_number: 17", "min_tcb_evaluation_data_number: 15"),
	}
	result := attestation.New().Appraise(c)
	fits(t, result)
	if have, want := failed(result), []string{"binding/report-data", "tdx/sept-ve", "tdx/tcb-level"}; !slices.Equal(have,
		want) || result.Status != contraindicated {
		t.Errorf("fails %v, want %v\n%s", have, want, explain(result))
	}
	for _, check := range []string{"tdx/format", "tdx/debug", "image/known", "tdx/pck-chain", "tdx/pck-dates", "tdx/revocation",
		"tdx/quoting-enclave", "tdx/signature", "tdx/tcb-platform"} {
		if !slices.Contains(passed(result), check) {
			t.Errorf("%s does not pass\n%s", check, explain(result))
		}
	}

	// Today the lists are old. That is the verifier's fault, and it says nothing of the level.
	c.Now = attestationtest.Now
	c.Challenge = attestationtest.Challenge()
	result = attestation.New().Appraise(c)
	if have := faults(result); !slices.Equal(have, []string{"tdx/revocation", "tdx/tcb-status"}) || slices.Contains(failed(result), "tdx/tcb-level") {
		t.Errorf("faults %v\n%s", have, explain(result))
	}

	c.Evidence = &v1.Evidence{Tee: v1.Tee_TEE_TDX, Report: slices.Clone(raw)}
	c.Evidence.Report[30] ^= 1
	if result := attestation.New().Appraise(c); !slices.Contains(failed(result), "tdx/signature") {
		t.Errorf("a changed quote passes\n%s", explain(result))
	}
}
