package attestation_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/filature/filature/adapters/attestation"
	"github.com/filature/filature/adapters/attestation/attestationtest"
	"github.com/filature/filature/domain"
)

// folder writes files into a new folder.
func folder(t testing.TB, files map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestAFolderThatSomebodyFilledByHandIsEnough.
func TestAFolderThatSomebodyFilledByHandIsEnough(t *testing.T) {
	w := attestationtest.NewWorld(t)
	files := w.Files(t)
	files[".git/config"], files["amd/.note"] = []byte("not ours"), []byte("from AMD, by hand")
	collateral, err := attestation.ReadCollateral(folder(t, files))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []attestation.Case{w.Case(t, w.SNP(t, "Genoa")), w.Case(t, w.TDX(t, 4, nil))} {
		c.Collateral = collateral
		if result := w.Verifier().Appraise(c); !attestation.Accepted(result) {
			t.Error(explain(result))
		}
	}
}

func TestAFolderThatHoldsSomethingElseIsRefused(t *testing.T) {
	for name, files := range map[string]map[string][]byte{
		"a name that nobody would ask for": {"amd/Genoa/vcek.crl.old": []byte("x")},
		"a line that there is not":         {"amd/Naples/vcek.crl": []byte("x")},
		"a file that is too long":          {"intel/root.crl": make([]byte, attestation.MaxCollateralBytes+1)},
	} {
		if _, err := attestation.ReadCollateral(folder(t, files)); err == nil {
			t.Errorf("%s: is read", name)
		}
	}
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.WriteFile(outside, []byte("a secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := folder(t, map[string][]byte{"intel/tcb-signer.pem": []byte("x")})
	if err := os.Symlink(outside, filepath.Join(dir, "intel", "root.crl")); err != nil {
		t.Fatal(err)
	}
	if _, err := attestation.ReadCollateral(dir); err == nil {
		t.Error("a link that leads out of the folder: is followed")
	}
	if _, err := attestation.ReadCollateral(filepath.Join(dir, "missing")); err == nil {
		t.Error("a folder that is not there: is read")
	}
}

// TestNamesOfCollateralAreFilesBelowTheFolder: whatever a worker shows, a name leads nowhere else.
func TestNamesOfCollateralAreFilesBelowTheFolder(t *testing.T) {
	for _, name := range []string{
		"", "/etc/passwd", "../x", "amd/../../x", "amd/Genoa/vcek/../../../x.der", "intel/tdx-tcb-../../..json", "intel/root.crl\n",
		"intel/tdx-tcb-00906ED50000.json", "amd/Genoa/vcek/" + strings.Repeat("0", 127) + "-0000000000000000.der",
	} {
		if attestation.IsCollateral(name) {
			t.Errorf("%q is taken for a name", name)
		}
	}
}

// TestAResultNamesTheFilesThatItRestsOn, and their digests change with them.
func TestAResultNamesTheFilesThatItRestsOn(t *testing.T) {
	w := attestationtest.NewWorld(t)
	result := w.Verifier().Appraise(w.Case(t, w.TDX(t, 4, nil)))
	var names []string
	for _, use := range result.Collateral {
		names = append(names, use.Name)
		if len(use.Digest) != 32 || bytes.Equal(use.Digest, make([]byte, 32)) {
			t.Errorf("%s has no digest", use.Name)
		}
	}
	want := "intel/pck-platform.pem intel/root.crl intel/pck-platform.crl intel/tcb-signer.pem intel/tdx-tcb-00906ed50000.json intel/tdx-qe-identity.json"
	if have := strings.Join(names, " "); have != want {
		t.Errorf("have %s\nwant %s", have, want)
	}
}

// TestOnlyTheVendorsOwnFilesAreGenuine: each file under its own name and no other, and none of a stranger's.
func TestOnlyTheVendorsOwnFilesAreGenuine(t *testing.T) {
	w, stranger := attestationtest.NewWorld(t), attestationtest.NewWorld(t)
	stranger.AMD["Genoa"] = attestationtest.NewLine(t, "Genoa", attestationtest.FreshKeys(t))
	genoa := w.AMD["Genoa"]
	files, strange := w.Files(t), stranger.Files(t)
	chip := "amd/Genoa/vcek/" + hexOf(genoa.Chip[:]) + "-dc1800000000000a.der"
	files[chip], strange[chip] = genoa.VCEK(t, genoa.TCB), stranger.AMD["Genoa"].VCEK(t, genoa.TCB)
	verifier := w.Verifier()
	if err := verifier.Genuine(files); err != nil {
		t.Fatal(err)
	}
	for name := range files {
		if name == "amd/Milan/vcek.crl" || name == "amd/Milan/vlek.crl" || strings.HasPrefix(name, "amd/Turin") {
			continue // the stranger is one for Genoa only
		}
		changed := maps.Clone(files)
		changed[name] = strange[name]
		if err := verifier.Genuine(changed); err == nil {
			t.Errorf("%s: a stranger's is taken", name)
		}
	}
	for name, content := range map[string][]byte{
		"intel/pck-platform.crl":     files["intel/pck-platform.crl"], // without who signed it
		"intel/tdx-qe-identity.json": files["intel/tdx-qe-identity.json"],
		"amd/Genoa/vcek.crl":         files["amd/Milan/vcek.crl"],
		"amd/Turin/vcek/" + hexOf(genoa.Chip[:8]) + "-dc1800000000000a.der":    files[chip],
		"amd/Genoa/vcek/" + strings.Repeat("0", 128) + "-dc1800000000000a.der": files[chip],
		"amd/Genoa/vcek/" + hexOf(genoa.Chip[:]) + "-dc1700000000000a.der":     files[chip],
		"something/else":     files[chip],
		"amd/Genoa/vlek.crl": make([]byte, attestation.MaxCollateralBytes+1),
	} {
		if err := verifier.Genuine(map[string][]byte{name: content}); err == nil {
			t.Errorf("%s: is taken", name)
		}
	}
}

// TestABadCopyOfAChipsKeyIsTheVerifiersFault: the worker did not send it.
func TestABadCopyOfAChipsKeyIsTheVerifiersFault(t *testing.T) {
	w := attestationtest.NewWorld(t)
	genoa := w.AMD["Genoa"]
	name := "amd/Genoa/vcek/" + hexOf(genoa.Chip[:]) + "-dc1800000000000a.der"
	lower := genoa.TCB
	lower.SNP--
	for what, der := range map[string][]byte{
		"another chip's": genoa.Device(t, 3).VCEK(t, genoa.TCB), "another level's": genoa.VCEK(t, lower), "garbage": []byte("garbage"),
		"a provider's": genoa.VLEK(t), "a stranger's": attestationtest.NewLine(t, "Genoa", attestationtest.FreshKeys(t)).VCEK(t, genoa.TCB),
		"one that was valid": genoa.VCEK(t, genoa.TCB, func(c *x509.Certificate) { c.NotAfter = attestationtest.Now.AddDate(0, 0, -1) }),
	} {
		t.Run(what, func(t *testing.T) {
			c := w.Case(t, w.SNP(t, "Genoa"))
			c.Evidence.EndorsementKey = nil
			files := w.Files(t)
			files[name] = der
			c.Collateral = attestationtest.Collateral(t, files)
			isOwnFault(t, w.Verifier().Appraise(c), "snp/key-chain")
		})
	}
}

// TestADeskWorksWithTheFolderAsItWasLastRead.
func TestADeskWorksWithTheFolderAsItWasLastRead(t *testing.T) {
	w := attestationtest.NewWorld(t)
	files, dir := w.Files(t), folder(t, nil)
	kept := keeper{files: map[domain.Digest]bool{}}
	desk, err := attestation.NewDesk(w.Verifier(), []byte(w.PolicyText()), dir, &kept)
	if err != nil {
		t.Fatal(err)
	}
	if !kept.files[w.Policy(t).Digest()] || desk.Has("amd/Genoa/vcek.crl") {
		t.Error("the policy is not kept, or the desk has what is not there")
	}
	evidence := w.SNP(t, "Genoa")
	if result := desk.Appraise(attestationtest.Challenge(), evidence, attestationtest.Now); result.Status != none {
		t.Fatal(explain(result))
	}
	if err := os.MkdirAll(filepath.Join(dir, "amd", "Genoa"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "amd", "Genoa", "vcek.crl"), files["amd/Genoa/vcek.crl"], 0o600); err != nil {
		t.Fatal(err)
	}
	kept.fails = errors.New("no room")
	if err := desk.Reload(); !errors.Is(err, kept.fails) || desk.Has("amd/Genoa/vcek.crl") {
		t.Errorf("%v, and it is used although it is not kept", err)
	}
	kept.fails = nil
	if err := desk.Reload(); err != nil || !desk.Has("amd/Genoa/vcek.crl") {
		t.Fatal(err)
	}
	result := desk.Appraise(attestationtest.Challenge(), evidence, attestationtest.Now)
	if !attestation.Accepted(result) {
		t.Fatal(explain(result))
	}
	for _, use := range result.Collateral {
		if !kept.files[domain.Digest(use.Digest)] {
			t.Errorf("the result rests on %s, which is not kept", use.Name)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "stray"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := desk.Reload(); err == nil {
		t.Error("a folder with a stray file is read")
	}
	if result := desk.Appraise(attestationtest.Challenge(), evidence, attestationtest.Now); !attestation.Accepted(result) {
		t.Error("the last good reading is gone")
	}
	if _, err := attestation.NewDesk(w.Verifier(), []byte(w.PolicyText()), filepath.Join(dir, "missing"), &kept); err == nil {
		t.Error("a desk without a folder")
	}
}

// keeper keeps digests.
type keeper struct {
	fails error
	files map[domain.Digest]bool
}

func (k *keeper) KeepFile(content []byte) error {
	if k.fails == nil {
		k.files[sha256.Sum256(content)] = true
	}
	return k.fails
}
