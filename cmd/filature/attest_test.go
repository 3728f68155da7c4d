package main

import (
	"os"
	"path/filepath"
	"testing"

	sevdata "github.com/google/go-sev-guest/verify/testdata"
	tdxdata "github.com/google/go-tdx-guest/testing/testdata"

	v1 "github.com/filature/filature/schemas/filature/v1"
)

// attestPolicy is the one that docs/commands.md shows.
func attestPolicy(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(rootFolder, "docs/examples/attest/policy.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

const attestChallenge = `{"network":"0101010101010101010101010101010101010101010101010101010101010101",
"worker":"0202020202020202020202020202020202020202020202020202020202020202",
"key":"0303030303030303030303030303030303030303030303030303030303030303",
"nonce":"0404040404040404040404040404040404040404040404040404040404040404","epoch":5,"expires_at_ms":1900000000000}`

// TestAttestVerifyExplainsGenuineEvidence: the report of AMD's and the quote of Intel's that their libraries ship, bare and
// as a worker would send them. Their signatures hold, and they are refused for what they say.
func TestAttestVerifyExplainsGenuineEvidence(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, content []byte) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	encode := func(m v1.Message) []byte {
		raw, err := v1.Encode(m)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	evidence := &v1.Evidence{Tee: v1.Tee_TEE_SEV_SNP, Report: sevdata.AttestationBytes, EndorsementKey: sevdata.VcekBytes}
	reply := &v1.AttestationAnswer{Network: make([]byte, 32), Worker: make([]byte, 32), Challenge: make([]byte, 32), Evidence: evidence}
	report, quote := write("report", sevdata.AttestationBytes), write("quote", tdxdata.RawQuote)
	sent := write("evidence", encode(evidence))
	signed := write("answer", encode(&v1.SignedAnswer{Answer: encode(reply), Signature: make([]byte, 64)}))
	key, policy, challenge := write("vcek", sevdata.VcekBytes), write("policy.yaml", []byte(attestPolicy(t))), write("challenge", []byte(attestChallenge))
	with := []string{"--policy", policy, "--collateral", t.TempDir(), "--challenge", challenge, "--at", "2026-11-22T12:00:00Z"}
	verify := func(args ...string) answer {
		return invoke(t, append(append([]string{"attest", "verify"}, args...), with...)...)
	}
	for _, args := range [][]string{{report, "--endorsement-key", key}, {sent}, {signed}} {
		verify(args...).want(t, exitNo, "contraindicated: not taken", "Milan", "✗ snp/debug", "not so: the host may not read the guest's memory",
			"✓ snp/signature", "✓ snp/tcb-reported", "! platform/allowed", "? snp/revocation", "the verifier lacks amd/Milan/vcek.crl", "✗ image/known")
	}
	verify(quote).want(t, exitNo, "TDX 50806F000000", "✗ tdx/sept-ve", "✓ tdx/signature", "? tdx/pck-chain", "the verifier lacks intel/pck-platform.pem")
	verify(quote, sent, "--json").want(t, exitNo, `"status":"contraindicated"`, `"name":"tdx/debug","outcome":"pass"`, `"name":"snp/debug","outcome":"fail"`)
}

func TestAttestVerifyRefusesWhatItCantRead(t *testing.T) {
	dir := t.TempDir()
	files := map[string]string{"policy": attestPolicy(t), "bad": attestPolicy(t) + "bogus: 1\n", "garbage": "garbage", "challenge": `{"nonse":""}`}
	for name, content := range files {
		files[name] = filepath.Join(dir, name)
		if err := os.WriteFile(files[name], []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{files["garbage"], "--policy", files["policy"], "--collateral", t.TempDir()}, "is no SEV-SNP report"},
		{[]string{files["garbage"], "--policy", files["bad"], "--collateral", t.TempDir()}, "field bogus not found"},
		{[]string{files["garbage"], "--policy", files["policy"], "--collateral", dir}, "no verifier would ask for this name"},
		{[]string{files["garbage"], "--policy", files["policy"], "--collateral", t.TempDir(), "--challenge", files["challenge"]}, "nonse"},
		{[]string{files["garbage"], "--policy", files["policy"]}, "--collateral"},
	} {
		invoke(t, append([]string{"attest", "verify"}, test.args...)...).want(t, exitUsage, test.want)
	}
}
