package attestation_test

import (
	"crypto/sha256"
	"strings"
	"testing"

	"github.com/filature/filature/adapters/attestation"
	"github.com/filature/filature/adapters/attestation/attestationtest"
	"github.com/filature/filature/domain"
)

// TestAPolicyThatIsNotExactIsRefused: each mistake, and the words that name it.
func TestAPolicyThatIsNotExactIsRefused(t *testing.T) {
	w := attestationtest.NewWorld(t)
	good := w.PolicyText()
	proxy := "{launch: " + hexOf(attestationtest.ProxyLaunch[:]) + ", role: proxy, not_after: 2027-06-01T00:00:00Z}"
	for _, test := range []struct {
		name    string
		replace []string
		want    string
	}{
		{"a typo in a field", []string{"accept: warning", "acept: warning"}, "field acept not found"},
		{"a typo in a nested field", []string{"min_tcb: {bootloader: 4, tee: 0,", "min_tcb: {bootloader: 4, tea: 0,"}, "field tea not found"},
		{"a typo in a list's field", []string{"role: worker, not_after", "rol: worker, not_after"}, "field rol not found"},
		{"a field twice", []string{"validity: 1h", "validity: 1h\nvalidity: 2h"}, "already defined"},
		{"a reference", []string{"validity: 1h", "validity: &v 1h"}, "references"},
		{"two documents", []string{"validity: 1h", "validity: 1h\n---"}, "more than one document"},
		{"text that is no YAML", []string{"validity: 1h", "validity: [1h"}, "yaml"},
		{"no id", []string{"id: test-2026-11", "id: ''"}, "id: want"},
		{"no validity", []string{"validity: 1h\n", ""}, "validity: is 0s"},
		{"a day and more", []string{"validity: 1h", "validity: 25h"}, "validity: is 25h"},
		{"a validity without a unit", []string{"validity: 1h", "validity: 60"}, "missing unit"},
		{"no tier", []string{"accept: warning\n", ""}, "accept: is"},
		{"a tier that there is not", []string{"accept: warning", "accept: none"}, "accept: is"},
		{"Cocoon's binding beside affirming", []string{"accept: warning\ncocoon_binding: false", "accept: affirming\ncocoon_binding: true"}, "cocoon_binding"},
		{"an image of two kinds", []string{"{launch: ", "{image: " + strings.Repeat("00", 32) + ", launch: "}, "measurements[0].launch: want one"},
		{"an image of no kind", []string{"{launch: " + hexOf(attestationtest.ProxyLaunch[:]) + ",", "{note: x,"}, "measurements[2].launch: want one"},
		{"an image twice", []string{proxy, proxy + "\n  - " + proxy}, "measurements[3]: is there twice"},
		{"an image that is cut", []string{"image: ", "image: 00"}, "measurements[1].image: has 33 bytes, want 32"},
		{"an image that is not hexadecimal", []string{"image: ", "image: x"}, "want hexadecimal digits"},
		{"an image without a role", []string{"role: worker, ", ""}, "measurements[0].role: is \"\""},
		{"an image for ever", []string{"role: worker, not_after: 2027-06-01T00:00:00Z", "role: worker"}, "measurements[0].not_after: is missing"},
		{"an image with a strange end", []string{"2027-06-01T00:00:00Z", "next summer"}, "parsing time"},
		{"a model that is cut", []string{"platforms:\n", attestationtest.Replace(t, listed, goodModel, goodModel[2:])}, "models[0].hash: has 31 bytes, want 32"},
		{"a model for ever", []string{"platforms:\n", attestationtest.Replace(t, listed, ", not_after: 2027-06-01T00:00:00Z", "")},
			"models[0].not_after: is missing"},
		{"a model twice", []string{"platforms:\n", attestationtest.Replace(t, listed, retiredModel, goodModel)}, "models[1]: is there twice"},
		{"a typo in a model's field", []string{"platforms:\n", attestationtest.Replace(t, listed, "not_after", "not_afer")}, "field not_afer not found"},
		{"models beside Cocoon's binding", []string{"platforms:\n", listed, "cocoon_binding: false", "cocoon_binding: true"},
			"cocoon_binding: such a report names no model"},
		{"any platform, and a list", []string{"any: false", "any: true"}, "platforms.any: is set"},
		{"a chip that is cut", []string{"  allow:\n    - ", "  allow:\n    - 00"}, "platforms.allow[0]: has 65 bytes"},
		{"a line that there is not", []string{"    Genoa:", "    Naples:"}, "sev_snp.products.Naples"},
		{"an affirming Milan", []string{"Milan: {tier: warning", "Milan: {tier: affirming"}, "sev_snp.products.Milan.tier: at most warning"},
		{"a line without a tier", []string{"Genoa: {tier: affirming, ", "Genoa: {"}, "sev_snp.products.Genoa.tier"},
		{"a floor with a gap", []string{"snp: 23, ", ""}, "sev_snp.products.Genoa.min_tcb.snp: is missing"},
		{"a line without a floor", []string{"{tier: affirming, min_tcb: {bootloader: 10, tee: 0, snp: 23, microcode: 84}}", "{tier: affirming}"},
			"sev_snp.products.Genoa.min_tcb."},
		{"a floor that fits no byte", []string{"microcode: 84", "microcode: 256"}, "cannot unmarshal"},
		{"an fmc on Genoa", []string{"{bootloader: 10", "{fmc: 1, bootloader: 10"}, "sev_snp.products.Genoa.min_tcb.fmc"},
		{"no fmc on Turin", []string{"{fmc: 1, ", "{"}, "sev_snp.products.Turin.min_tcb.fmc"},
		{"a key that there is not", []string{"keys: [vcek, vlek]", "keys: [vcek, vmk]"}, "sev_snp.keys[1]"},
		{"an old level that affirms", []string{"SWHardeningNeeded: warning", "SWHardeningNeeded: affirming"}, "tdx.status.SWHardeningNeeded: at most warning"},
		{"a revoked level", []string{"SWHardeningNeeded: warning", "Revoked: warning"}, "tdx.status.Revoked"},
		{"a status of ours", []string{"SWHardeningNeeded: warning", "unordered: warning"}, "tdx.status.unordered"},
		{"a status without a tier", []string{"SWHardeningNeeded: warning", "SWHardeningNeeded: fine"}, "tdx.status.SWHardeningNeeded: is"},
		{"no evaluation", []string{"  min_tcb_evaluation_data_number: 17\n", ""}, "tdx.min_tcb_evaluation_data_number: is missing"},
		{"an FMSPC that is cut", []string{"fmspcs: [00", "fmspcs: [0000"}, "tdx.fmspcs[0]: has 7 bytes"},
		{"a negative number of GPUs", []string{"required: 0", "required: -1"}, "gpu.required: is -1"},
		{"firmware without a driver", []string{"driver: 550.90.07", "driver: ''"}, "gpu.firmware[0]: want a driver"},
		{"firmware that measures nothing", []string{"measurements: {1: ", "measurements: {} #"}, "gpu.firmware[0].measurements"},
		{"firmware that is there twice", []string{"  firmware:\n", "  firmware:\n    - {driver: 550.90.07, vbios: 96009F0001000000, measurements: {1: " +
			strings.Repeat("00", 48) + "}}\n"}, "gpu.firmware[1]: is there twice"},
		{"a measurement twice, written in two ways", []string{"measurements: {1: ", "measurements: {0x1: " + strings.Repeat("00", 48) + ", 1: "},
			"the index 0x1 is not written as a plain number"},
		{"a measurement that is cut", []string{"measurements: {1: ", "measurements: {1: 00"}, "gpu.firmware[0].measurements.1: has 49 bytes"},
	} {
		text := attestationtest.Replace(t, good, test.replace...)
		if policy, err := attestation.ParsePolicy([]byte(text)); err == nil {
			t.Errorf("%s: is read: %+v", test.name, policy)
		} else if !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: the error is %q, want %q in it", test.name, err, test.want)
		}
	}
	for name, text := range map[string]string{"nothing": "", "a comment": "# nothing\n", "a list": "- 1\n",
		"a mebibyte and more": strings.Repeat("#", 1<<20+1)} {
		if _, err := attestation.ParsePolicy([]byte(text)); err == nil {
			t.Errorf("%s: is read", name)
		}
	}
}

// TestAPolicyOfNothingAllowsNothing: what is left out is refused.
func TestAPolicyOfNothingAllowsNothing(t *testing.T) {
	w := attestationtest.NewWorld(t)
	empty, err := attestation.ParsePolicy([]byte("id: empty\nvalidity: 1h\naccept: warning\n"))
	if err != nil {
		t.Fatal(err)
	}
	snp, tdx := w.Case(t, w.SNP(t, "Genoa")), w.Case(t, w.TDX(t, 4, nil))
	for _, c := range []attestation.Case{snp, tdx} {
		c.Policy = empty
		if result := w.Verifier().Appraise(c); result.Status != contraindicated {
			t.Error(explain(result))
		}
	}
}

// TestAPolicysDigestIsThatOfItsText, so that whoever has the text knows which results rest on it.
func TestAPolicysDigestIsThatOfItsText(t *testing.T) {
	w := attestationtest.NewWorld(t)
	text := []byte(w.PolicyText())
	policy, err := attestation.ParsePolicy(text)
	if err != nil {
		t.Fatal(err)
	}
	if policy.Digest() != domain.Digest(sha256.Sum256(text)) {
		t.Error("it is another")
	}
	result := w.Verifier().Appraise(w.Case(t, w.SNP(t, "Genoa")))
	if domain.Digest(result.PolicyDigest) != policy.Digest() || result.PolicyId != "test-2026-11" {
		t.Error("the result names another policy")
	}
}
