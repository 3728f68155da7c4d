package attestation_test

import (
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-sev-guest/abi"

	"github.com/filature/filature/adapters/attestation"
	"github.com/filature/filature/adapters/attestation/attestationtest"
	"github.com/filature/filature/adapters/attestation/sevsnp"
	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// making makes a case in a world.
type making = func(t *testing.T, w *attestationtest.World) attestation.Case

// refusal is one way to be refused: an honest case, with one thing wrong. It must fail exactly the checks that it
// names, so that without them it would be taken; that is what shows that each check is needed.
type refusal struct {
	name string
	make making
	want []string
}

// refused runs refusals, thorough and not, each in a world of its own.
func refused(t *testing.T, refusals []refusal) {
	t.Helper()
	for _, test := range refusals {
		t.Run(test.name, func(t *testing.T) {
			w := attestationtest.NewWorld(t)
			c := test.make(t, w)
			c.Thorough = true
			result := w.Verifier().Appraise(c)
			fits(t, result)
			if result.Status != contraindicated || attestation.Accepted(result) {
				t.Errorf("it is taken\n%s", explain(result))
			}
			if have := failed(result); !slices.Equal(have, test.want) {
				t.Errorf("fails %v, want %v\n%s", have, test.want, explain(result))
			}
			c.Thorough = false
			if quick := w.Verifier().Appraise(c); quick.Status != contraindicated {
				t.Errorf("it is taken where nobody wants the whole list\n%s", explain(quick))
			}
		})
	}
}

// genoa is a case with a report of a Genoa machine that is changed before it is signed.
func genoa(edits ...func([]byte)) making {
	return func(t *testing.T, w *attestationtest.World) attestation.Case {
		return w.Case(t, w.SNP(t, "Genoa", edits...))
	}
}

// after changes a case of an honest Genoa machine.
func after(change func(t *testing.T, w *attestationtest.World, c *attestation.Case)) making {
	return func(t *testing.T, w *attestationtest.World) attestation.Case {
		c := w.Case(t, w.SNP(t, "Genoa"))
		change(t, w, &c)
		return c
	}
}

func set64(at int, value uint64) func([]byte) {
	return func(report []byte) { binary.LittleEndian.PutUint64(report[at:], value) }
}

func set32(at int, value uint32) func([]byte) {
	return func(report []byte) { binary.LittleEndian.PutUint32(report[at:], value) }
}

func guest(policy abi.SnpPolicy) func([]byte) { return set64(0x08, abi.SnpPolicyToBytes(policy)) }

// policy replaces strings in the policy.
func policy(replace ...string) func(*testing.T, *attestationtest.World, *attestation.Case) {
	return func(t *testing.T, w *attestationtest.World, c *attestation.Case) { c.Policy = w.Policy(t, replace...) }
}

// report changes the report after it was signed.
func report(change func([]byte) []byte) making {
	return after(func(_ *testing.T, _ *attestationtest.World, c *attestation.Case) {
		c.Evidence.Report = change(c.Evidence.Report)
	})
}

func key(der func(t *testing.T, w *attestationtest.World) []byte) making {
	return after(func(t *testing.T, w *attestationtest.World, c *attestation.Case) {
		c.Evidence.EndorsementKey = der(t, w)
	})
}

// vcek certifies the chip's key in another way.
func vcek(edit func(*x509.Certificate)) making {
	return key(func(t *testing.T, w *attestationtest.World) []byte {
		return w.AMD["Genoa"].VCEK(t, w.AMD["Genoa"].TCB, edit)
	})
}

// TestARebindingIsRefused: the report of one worker, challenge, epoch or network is none of another's.
func TestARebindingIsRefused(t *testing.T) {
	bound := []string{"binding/report-data"}
	refused(t, []refusal{
		{"another worker's key", after(func(_ *testing.T, _ *attestationtest.World, c *attestation.Case) { c.Challenge.Key[0] ^= 1 }), bound},
		{"another challenge", after(func(_ *testing.T, _ *attestationtest.World, c *attestation.Case) { c.Challenge.Nonce[31] ^= 1 }), bound},
		{"another epoch", after(func(_ *testing.T, _ *attestationtest.World, c *attestation.Case) { c.Challenge.Epoch++ }), bound},
		{"another network", after(func(_ *testing.T, _ *attestationtest.World, c *attestation.Case) { c.Challenge.Network[0] ^= 1 }), bound},
		{"a GPU that the report does not know", after(func(t *testing.T, w *attestationtest.World, c *attestation.Case) {
			c.Evidence.Gpus = append(c.Evidence.Gpus, w.NVIDIA.GPU(t, 0).Evidence(t, c.Challenge, nil))
		}), bound},
		{"Cocoon's binding, where the policy does not take it", after(func(t *testing.T, w *attestationtest.World, c *attestation.Case) {
			c.Evidence = w.AMD["Genoa"].Evidence(t, c.Challenge, nil, func(report []byte) {
				data := cocoonData(c.Challenge.Key)
				copy(report[0x50:], data[:])
			})
		}), bound},
		{"Cocoon's binding beside GPUs", after(func(t *testing.T, w *attestationtest.World, c *attestation.Case) {
			c.Policy = w.Policy(t, "cocoon_binding: false", "cocoon_binding: true")
			gpus := []*v1.GpuEvidence{w.NVIDIA.GPU(t, 0).Evidence(t, c.Challenge, nil)}
			c.Evidence = w.AMD["Genoa"].Evidence(t, c.Challenge, gpus, func(report []byte) {
				data := cocoonData(c.Challenge.Key)
				copy(report[0x50:], data[:])
			})
		}), bound},
		{"an answer that comes too late", after(func(_ *testing.T, _ *attestationtest.World, c *attestation.Case) {
			c.Challenge.ExpiresMs = c.Now.UnixMilli()
		}), []string{"challenge/in-time"}},
	})
}

// TestAForeignPlatformIsRefused.
func TestAForeignPlatformIsRefused(t *testing.T) {
	refused(t, []refusal{
		{"a chip whose id is masked", genoa(func(report []byte) { clear(report[0x1A0:0x1E0]) }), []string{"snp/chip-shown"}},
		{"a chip that the policy does not name", after(func(t *testing.T, w *attestationtest.World, c *attestation.Case) {
			c.Evidence = w.AMD["Genoa"].Device(t, 1).Evidence(t, c.Challenge, nil)
		}), []string{"platform/allowed"}},
		{"a chip that the policy refuses", after(func(t *testing.T, w *attestationtest.World, c *attestation.Case) {
			c.Policy = w.Policy(t, "  any: false\n", "  any: false\n  deny: ["+hexOf(w.AMD["Genoa"].Chip[:])+"]\n")
		}), []string{"platform/not-denied"}},
		{"an empty list of platforms", after(func(t *testing.T, w *attestationtest.World, c *attestation.Case) {
			text := w.PolicyText()
			c.Policy = w.Policy(t, text[index(t, text, "  allow:\n"):index(t, text, "sev_snp:")], "")
		}), []string{"platform/allowed"}},
		{"the report of another allowed chip, with this one's key", after(func(t *testing.T, w *attestationtest.World, c *attestation.Case) {
			milan := w.AMD["Milan"].Chip
			c.Evidence = w.SNP(t, "Genoa", func(report []byte) { copy(report[0x1A0:], milan[:]) })
		}), []string{"snp/key-chip"}},
		{"a Turin whose chip id is longer than its key's", after(func(t *testing.T, w *attestationtest.World, c *attestation.Case) {
			turin := w.AMD["Turin"]
			long := turin.Chip
			long[8] = 1
			c.Evidence = w.SNP(t, "Turin", func(report []byte) { report[0x1A8] = 1 })
			c.Policy = w.Policy(t, hexOf(turin.Chip[:]), hexOf(long[:]))
		}), []string{"snp/key-chip"}},
		{"a line that the policy does not name",
			after(policy("    Genoa: {tier: affirming, min_tcb: {bootloader: 10, tee: 0, snp: 23, microcode: 84}}\n", "")), []string{"snp/product"}},
		{"Bergamo or Siena, which share a die with Genoa", genoa(func(report []byte) { report[0x189] = 0xA0 }), []string{"snp/product"}},
		{"SEV-SNP where the policy has none", after(func(t *testing.T, w *attestationtest.World, c *attestation.Case) {
			text := w.PolicyText()
			c.Policy = w.Policy(t, text[index(t, text, "sev_snp:"):index(t, text, "tdx:")], "")
		}), []string{"evidence/tee"}},
		{"a provider's key where the policy takes chips' only", after(func(t *testing.T, w *attestationtest.World, c *attestation.Case) {
			c.Policy = w.Policy(t, "keys: [vcek, vlek]", "keys: [vcek]")
			c.Evidence = w.SNP(t, "Genoa", func(report []byte) { report[0x48] = 1 << 2 })
		}), []string{"snp/key-kind"}},
	})
}

// TestAnOpenGuestIsRefused: debugging, migration, a lower privilege level, a machine that is not set up.
func TestAnOpenGuestIsRefused(t *testing.T) {
	refused(t, []refusal{
		{"debugging", genoa(guest(abi.SnpPolicy{SMT: true, Debug: true})), []string{"snp/debug"}},
		{"a migration agent", genoa(guest(abi.SnpPolicy{SMT: true, MigrateMA: true})), []string{"snp/migration"}},
		{"privilege level 1", genoa(set32(0x30, 1)), []string{"snp/vmpl"}},
		{"a report that the host asked for", genoa(set32(0x30, 0xffffffff)), []string{"snp/vmpl"}},
		{"shared cores, where the policy minds", after(policy("allow_smt: true", "allow_smt: false")), []string{"snp/smt"}},
		{"no alias check (BadRAM)", genoa(set64(0x40, 1)), []string{"snp/alias-check"}},
		{"devices that reach into guests", genoa(set64(0x40, 1|1<<5|1<<7)), []string{"snp/tio"}},
		{"readable ciphertext, where the policy minds", after(policy("allow_smt: true", "allow_smt: true\n  require_ciphertext_hiding: true")),
			[]string{"snp/ciphertext-hiding"}},
		{"a power meter, where the policy minds", after(policy("allow_smt: true", "allow_smt: true\n  require_rapl_disabled: true")), []string{"snp/rapl"}},
	})
}

// TestOldFirmwareIsRefused at each of the four points where a report names a level.
func TestOldFirmwareIsRefused(t *testing.T) {
	lower := func(t *testing.T, w *attestationtest.World, level sevsnp.TCB) *v1.Evidence {
		t.Helper()
		line := *w.AMD["Genoa"]
		evidence := w.SNP(t, "Genoa", set64(0x180, level.Encode("Genoa")))
		evidence.EndorsementKey = line.VCEK(t, level)
		return evidence
	}
	refusals := []refusal{
		{"committed", genoa(func(report []byte) { report[0x1E0+6] = 22 }), []string{"snp/tcb-committed"}},
		{"at launch", genoa(func(report []byte) { report[0x1F0+6] = 22 }), []string{"snp/tcb-launch"}},
		{"current", genoa(func(report []byte) { report[0x38+6] = 22 }), []string{"snp/tcb-current"}},
		{"a key of another level than the reported", genoa(func(report []byte) { report[0x187]-- }), []string{"snp/key-tcb"}},
		{"reserved bytes in the reported level, and no certificate", func(t *testing.T, w *attestationtest.World) attestation.Case {
			files, line := w.Files(t), w.AMD["Genoa"]
			files[fmt.Sprintf("amd/Genoa/vcek/%x-%016x.der", line.Chip, line.TCB.Encode("Genoa"))] = line.VCEK(t, line.TCB)
			c := w.Case(t, w.SNP(t, "Genoa", func(report []byte) { report[0x183] = 1 }))
			c.Evidence.EndorsementKey, c.Collateral = nil, attestationtest.Collateral(t, files)
			return c
		}, []string{"snp/key-tcb"}},
		{"reserved bytes in the reported level", genoa(func(report []byte) { report[0x183] = 1 }), []string{"snp/key-tcb"}},
	}
	for name, level := range map[string]sevsnp.TCB{
		"reported bootloader": {Bootloader: 9, SNP: 24, Microcode: 220},
		"reported snp":        {Bootloader: 10, SNP: 22, Microcode: 220},
		"reported microcode":  {Bootloader: 10, SNP: 24, Microcode: 83},
	} {
		refusals = append(refusals, refusal{name, after(func(t *testing.T, w *attestationtest.World, c *attestation.Case) {
			c.Evidence = lower(t, w, level)
		}), []string{"snp/tcb-reported"}})
	}
	for name, level := range map[string]sevsnp.TCB{
		"Turin's fmc": {FMC: 0, Bootloader: 1, TEE: 1, SNP: 4, Microcode: 77},
		"Turin's tee": {FMC: 1, Bootloader: 1, TEE: 0, SNP: 4, Microcode: 77},
	} {
		refusals = append(refusals, refusal{name, after(func(t *testing.T, w *attestationtest.World, c *attestation.Case) {
			c.Evidence = w.SNP(t, "Turin", set64(0x180, level.Encode("Turin")))
			c.Evidence.EndorsementKey = w.AMD["Turin"].VCEK(t, level)
		}), []string{"snp/tcb-reported"}})
	}
	refused(t, refusals)
}

// TestAnotherImageIsRefused.
func TestAnotherImageIsRefused(t *testing.T) {
	refused(t, []refusal{
		{"an unknown one", genoa(func(report []byte) { report[0x90] ^= 1 }), []string{"image/known"}},
		{"a proxy's", genoa(func(report []byte) { copy(report[0x90:], attestationtest.ProxyLaunch[:]) }), []string{"image/role"}},
		{"one that is retired", after(policy("2027-06-01T00:00:00Z", "2026-11-22T11:59:59Z")), []string{"image/not-retired"}},
		{"any, with an empty list", after(func(t *testing.T, w *attestationtest.World, c *attestation.Case) {
			text := w.PolicyText()
			c.Policy = w.Policy(t, text[index(t, text, "measurements:\n"):index(t, text, "platforms:")], "measurements: []\n")
		}), []string{"image/known"}},
	})
}

// listed has a policy list models: one for a year to come, one that is retired.
const listed = "models:\n  - {hash: " + goodModel + ", not_after: 2027-06-01T00:00:00Z, note: Qwen}\n" +
	"  - {hash: " + retiredModel + ", not_after: 2026-11-22T11:59:59Z}\nplatforms:\n"

const (
	goodModel    = "7f83b1657ff1fc53b92dc18148a1d65dfc2d4b1fa3d677284addd200126d9069"
	retiredModel = "8f83b1657ff1fc53b92dc18148a1d65dfc2d4b1fa3d677284addd200126d9069"
	unknownModel = "9f83b1657ff1fc53b92dc18148a1d65dfc2d4b1fa3d677284addd200126d9069"
)

// serving is a case of a machine whose image has loaded models.
func serving(replace []string, models ...string) making {
	return after(func(t *testing.T, w *attestationtest.World, c *attestation.Case) {
		c.Policy = w.Policy(t, replace...)
		hashes := hashesOf(t, models...)
		data := c.Challenge.ReportDataServing(domain.Digest{}, hashes)
		c.Evidence = w.SNP(t, "Genoa", func(report []byte) { copy(report[0x50:], data[:]) })
		c.Evidence.Models = hashes
	})
}

func hashesOf(t *testing.T, models ...string) (hashes [][]byte) {
	t.Helper()
	for _, model := range models {
		hash, err := hex.DecodeString(model)
		if err != nil {
			t.Fatal(err)
		}
		hashes = append(hashes, hash)
	}
	return hashes
}

// TestAnotherModelIsRefused.
func TestAnotherModelIsRefused(t *testing.T) {
	list := []string{"platforms:\n", listed}
	refused(t, []refusal{
		{"none, where the policy lists some", serving(list), []string{"model/shown"}},
		{"one that the policy does not name", serving(list, unknownModel), []string{"model/listed"}},
		{"one that the policy does not name, behind one that it does", serving(list, goodModel, unknownModel), []string{"model/listed"}},
		{"any, with an empty list", serving(nil, goodModel), []string{"model/listed"}},
		{"one that is retired", serving(list, goodModel, retiredModel), []string{"model/not-retired"}},
		{"one that the report is not bound to", func(t *testing.T, w *attestationtest.World) attestation.Case {
			c := serving(list, goodModel)(t, w)
			c.Evidence.Models = append(c.Evidence.Models, c.Evidence.Models[0])
			return c
		}, []string{"binding/report-data"}},
		{"one that Cocoon's binding does not cover", after(func(t *testing.T, w *attestationtest.World, c *attestation.Case) {
			c.Policy = w.Policy(t, "cocoon_binding: false", "cocoon_binding: true")
			c.Evidence = w.SNP(t, "Genoa", func(report []byte) {
				data := cocoonData(c.Challenge.Key)
				copy(report[0x50:], data[:])
			})
			c.Evidence.Models = hashesOf(t, goodModel)
		}), []string{"binding/report-data", "model/listed"}},
	})
}

// TestAForeignKeyIsRefused: the signature, and the chain above it.
func TestAForeignKeyIsRefused(t *testing.T) {
	chain := []string{"snp/key-chain"}
	refused(t, []refusal{
		{"a report that was changed after it was signed", report(func(r []byte) []byte { r[0x10] ^= 1; return r }), []string{"snp/signature"}},
		{"a report signed by another key", after(func(t *testing.T, w *attestationtest.World, c *attestation.Case) {
			other := *w.AMD["Genoa"]
			other.Keys = attestationtest.FreshKeys(t)
			other.Resign(t, c.Evidence.Report)
		}), []string{"snp/signature"}},
		{"a chain with AMD's names and other keys", after(func(t *testing.T, _ *attestationtest.World, c *attestation.Case) {
			forged := attestationtest.NewLine(t, "Genoa", attestationtest.FreshKeys(t))
			c.Evidence = forged.Evidence(t, c.Challenge, nil)
		}), chain},
		{"a VCEK of Genoa for a report of Milan", after(func(t *testing.T, w *attestationtest.World, c *attestation.Case) {
			c.Evidence = w.SNP(t, "Genoa", func(r []byte) { r[0x189] = 0x01 })
		}), chain},
		{"a provider's report with a chip's certificate", genoaWithout(func(r []byte) { r[0x48] = 1 << 2 }, false), chain},
		{"a chip's report with a provider's certificate", genoaWithout(func([]byte) {}, true), chain},
		{"the authority's own certificate", key(func(_ *testing.T, w *attestationtest.World) []byte { return w.AMD["Genoa"].ASK.Raw }), chain},
		{"a certificate that names another authority", key(func(t *testing.T, w *attestationtest.World) []byte { return w.AMD["Genoa"].MisnamedVCEK(t) }), chain},
		{"bytes that are no certificate", key(func(*testing.T, *attestationtest.World) []byte { return []byte("no certificate") }), chain},
		{"a certificate with bytes behind it", key(func(t *testing.T, w *attestationtest.World) []byte {
			return append(w.AMD["Genoa"].VCEK(t, w.AMD["Genoa"].TCB), 0)
		}), chain},
		{"a chip's certificate that makes it an authority", vcek(func(c *x509.Certificate) { c.IsCA = true; c.KeyUsage = x509.KeyUsageCertSign }), chain},
		{"a certificate signed with another algorithm", vcek(func(c *x509.Certificate) { c.SignatureAlgorithm = x509.SHA256WithRSA }), chain},
		{"a certificate that says another salt than it is signed with", key(func(t *testing.T, w *attestationtest.World) []byte {
			return w.AMD["Genoa"].MissaltedVCEK(t)
		}), chain},
		{"a certificate that says it is another line's", vcek(func(c *x509.Certificate) {
			c.ExtraExtensions[1].Value = append([]byte{0x16, 8}, "Milan-B1"...)
		}), chain},
		{"a certificate without a level", vcek(func(c *x509.Certificate) {
			c.ExtraExtensions = slices.Delete(c.ExtraExtensions, 4, 5)
		}), chain},
		{"a certificate that is not yet valid", vcek(func(c *x509.Certificate) { c.NotBefore = attestationtest.Now.Add(time.Minute) }),
			[]string{"snp/key-dates"}},
		{"a certificate that was valid", vcek(func(c *x509.Certificate) { c.NotAfter = attestationtest.Now.Add(-time.Minute) }), []string{"snp/key-dates"}},
		{"a certificate below an authority that AMD revoked", after(func(t *testing.T, w *attestationtest.World, c *attestation.Case) {
			w.AMD["Genoa"].Revoked = []*big.Int{w.AMD["Genoa"].ASK.SerialNumber}
			c.Collateral = w.Collateral(t)
		}), []string{"snp/revocation"}},
		{"a provider's key that AMD revoked", after(func(t *testing.T, w *attestationtest.World, c *attestation.Case) {
			c.Evidence = w.SNP(t, "Genoa", func(r []byte) { r[0x48] = 1 << 2 })
			vlek, err := x509.ParseCertificate(c.Evidence.EndorsementKey)
			if err != nil {
				t.Fatal(err)
			}
			w.AMD["Genoa"].Revoked = []*big.Int{vlek.SerialNumber}
			c.Collateral = w.Collateral(t)
		}), []string{"snp/revocation"}},
	})
}

// genoaWithout is a report of Genoa with the other kind of certificate.
func genoaWithout(edit func([]byte), provider bool) making {
	return after(func(t *testing.T, w *attestationtest.World, c *attestation.Case) {
		line := w.AMD["Genoa"]
		c.Evidence = w.SNP(t, "Genoa", edit)
		c.Evidence.EndorsementKey = line.VCEK(t, line.TCB)
		if provider {
			c.Evidence.EndorsementKey = line.VLEK(t)
		}
	})
}

// TestWhatTheFirmwareWouldNotWriteIsRefused: sizes, versions, reserved bits and bytes.
func TestWhatTheFirmwareWouldNotWriteIsRefused(t *testing.T) {
	format := []string{"snp/format"}
	refused(t, []refusal{
		{"nothing", report(func([]byte) []byte { return nil }), format},
		{"a cut", report(func(r []byte) []byte { return r[:1000] }), format},
		{"a byte more", report(func(r []byte) []byte { return append(r, 0) }), format},
		{"more than evidence may have", report(func([]byte) []byte { return make([]byte, 1<<20) }), []string{"evidence/format"}},
		{"version 1", genoa(set32(0, 1)), format},
		{"version 6", genoa(set32(0, 6)), format},
		{"no signature", genoa(func(r []byte) { r[0x48] = 7 << 2 }), format},
		{"a reserved signer", genoa(func(r []byte) { r[0x48] = 3 << 2 }), format},
		{"another algorithm", genoa(set32(0x34, 2)), format},
		{"a reserved bit of the guest's policy", genoa(set64(0x08, abi.SnpPolicyToBytes(abi.SnpPolicy{SMT: true})|1<<40)), format},
		{"the guest policy's bit that must be set", genoa(set64(0x08, 1<<16)), format},
		{"reserved bit 6 of the platform", genoa(set64(0x40, 1|1<<5|1<<6)), format},
		{"an unknown bit of the platform", genoa(set64(0x40, 1|1<<5|1<<40)), format},
		{"reserved bytes", genoa(func(r []byte) { r[0x29F] = 1 }), format},
		{"padding of the signature", report(func(r []byte) []byte { r[len(r)-1] = 1; return r }), format},
		{"an unknown kind of machine", after(func(_ *testing.T, _ *attestationtest.World, c *attestation.Case) { c.Evidence.Tee = 9 }),
			[]string{"evidence/format"}},
		{"no evidence", after(func(_ *testing.T, _ *attestationtest.World, c *attestation.Case) { c.Evidence = nil }), []string{"evidence/format"}},
		{"a long certificate", key(func(*testing.T, *attestationtest.World) []byte { return make([]byte, 9000) }), []string{"evidence/format"}},
		{"GPUs that are too much together", after(func(_ *testing.T, _ *attestationtest.World, c *attestation.Case) {
			for range 16 {
				gpu := &v1.GpuEvidence{Report: make([]byte, 8192), Certificates: []*v1.Certificate{{Der: make([]byte, 4096)}}}
				c.Evidence.Gpus = append(c.Evidence.Gpus, gpu)
			}
		}), []string{"evidence/size"}},
		{"version 2 of Turin, which there never was", after(func(t *testing.T, w *attestationtest.World, c *attestation.Case) {
			c.Evidence = w.SNP(t, "Turin", versionTwo)
		}), []string{"snp/product"}},
		{"version 2 without a certificate", after(func(t *testing.T, w *attestationtest.World, c *attestation.Case) {
			c.Evidence = w.SNP(t, "Genoa", versionTwo)
			c.Evidence.EndorsementKey = nil
		}), []string{"snp/key-format"}},
		{"a provider's key without a certificate", after(func(t *testing.T, w *attestationtest.World, c *attestation.Case) {
			c.Evidence = w.SNP(t, "Genoa", func(r []byte) { r[0x48] = 1 << 2 })
			c.Evidence.EndorsementKey = nil
		}), []string{"snp/key-format"}},
	})
}

// TestWhatTheVerifierLacksIsItsOwnFault: no claim is made about the worker, and nothing is taken.
func TestWhatTheVerifierLacksIsItsOwnFault(t *testing.T) {
	list := "amd/Genoa/vcek.crl"
	for _, test := range []struct {
		name   string
		change func(t *testing.T, w *attestationtest.World, files map[string][]byte)
	}{
		{"missing", func(_ *testing.T, _ *attestationtest.World, files map[string][]byte) { delete(files, list) }},
		{"out of date", func(t *testing.T, w *attestationtest.World, files map[string][]byte) {
			w.AMD["Genoa"].Listed = attestationtest.Now.AddDate(0, -2, 0)
			files[list] = w.AMD["Genoa"].Revocations(t)
		}},
		{"from the future", func(t *testing.T, w *attestationtest.World, files map[string][]byte) {
			w.AMD["Genoa"].Listed = attestationtest.Now.Add(time.Hour)
			files[list] = w.AMD["Genoa"].Revocations(t)
		}},
		{"another line's", func(t *testing.T, _ *attestationtest.World, files map[string][]byte) {
			files[list] = attestationtest.NewLine(t, "Genoa", attestationtest.FreshKeys(t)).Revocations(t)
		}},
		{"that of another line with the same key", func(t *testing.T, w *attestationtest.World, files map[string][]byte) {
			files[list] = w.AMD["Milan"].Revocations(t)
		}},
		{"garbage", func(_ *testing.T, _ *attestationtest.World, files map[string][]byte) { files[list] = []byte("garbage") }},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := attestationtest.NewWorld(t)
			files := w.Files(t)
			test.change(t, w, files)
			c := w.Case(t, w.SNP(t, "Genoa"))
			c.Collateral = attestationtest.Collateral(t, files)
			isOwnFault(t, w.Verifier().Appraise(c), "snp/revocation")
		})
	}
}

// isOwnFault says that nothing is claimed of the worker, and that what has to be got is named.
func isOwnFault(t *testing.T, result *v1.AttestationResult, check ...string) {
	t.Helper()
	fits(t, result)
	if len(attestation.Lacking(result)) == 0 {
		t.Errorf("nothing is lacking\n%s", explain(result))
	}
	if result.Status != none || attestation.Accepted(result) || len(failed(result)) != 0 || !slices.Equal(faults(result), check) {
		t.Errorf("faults %v, failed %v, want a fault of %v only\n%s", faults(result), failed(result), check, explain(result))
	}
	if result.Vector.Hardware != -1 {
		t.Errorf("the hardware claim is %d, want -1, the verifier's malfunction", result.Vector.Hardware)
	}
}

// TestTheWorkersFaultOutweighsOurs: a machine that is open for debugging is, whatever list we lack.
func TestTheWorkersFaultOutweighsOurs(t *testing.T) {
	w := attestationtest.NewWorld(t)
	c := w.Case(t, w.SNP(t, "Genoa", guest(abi.SnpPolicy{Debug: true})))
	c.Collateral = attestation.Collateral{}
	if result := w.Verifier().Appraise(c); result.Status != contraindicated {
		t.Errorf("have %s\n%s", result.Status, explain(result))
	}
}

// TestNoChipRidesOnAnotherLinesCertificate: what was remembered for Genoa says nothing for a report that claims Milan.
func TestNoChipRidesOnAnotherLinesCertificate(t *testing.T) {
	w := attestationtest.NewWorld(t)
	verifier := w.Verifier()
	honest := w.Case(t, w.SNP(t, "Genoa"))
	if result := verifier.Appraise(honest); result.Status != affirming {
		t.Fatal(explain(result))
	}
	other := w.Case(t, w.SNP(t, "Genoa", func(r []byte) { r[0x189] = 0x01 }))
	if result := verifier.Appraise(other); !slices.Equal(failed(result), []string{"snp/key-chain"}) {
		t.Error(explain(result))
	}
}

// TestAForgedChainIsRefusedByAMDsOwnKeysToo is the regression that go-sev-guest v0.14.0 would have been: with no roots
// given it took any chain whose names were right.
func TestAForgedChainIsRefusedByAMDsOwnKeysToo(t *testing.T) {
	w := attestationtest.NewWorld(t)
	for _, line := range []string{"Milan", "Genoa", "Turin"} {
		for name, keys := range map[string]*attestationtest.Keys{"fresh": attestationtest.FreshKeys(t), "published": attestationtest.PublishedKeys()} {
			forged := attestationtest.NewLine(t, line, keys)
			c := w.Case(t, forged.Evidence(t, attestationtest.Challenge(), nil))
			result := attestation.New().Appraise(c)
			if result.Status == affirming || !slices.Contains(failed(result), "snp/key-chain") {
				t.Errorf("%s, %s keys: %s", line, name, explain(result))
			}
		}
	}
}

func index(t *testing.T, text, part string) int {
	t.Helper()
	at := strings.Index(text, part)
	if at < 0 {
		t.Fatalf("%q is not in the text", part)
	}
	return at
}

// TestNothingIsAffirmedOfAReportThatNobodySigned: nor of one that was not looked at to its end.
func TestNothingIsAffirmedOfAReportThatNobodySigned(t *testing.T) {
	w := attestationtest.NewWorld(t)
	unsigned := w.Case(t, w.SNP(t, "Genoa"))
	unsigned.Evidence.Report[0x10] ^= 1
	unbound := w.Case(t, w.SNP(t, "Genoa"))
	unbound.Challenge.Nonce[0] ^= 1
	unbound.Thorough = false
	for _, c := range []attestation.Case{unsigned, unbound} {
		result := w.Verifier().Appraise(c)
		v := result.Vector
		for _, claim := range []int64{v.InstanceIdentity, v.Configuration, v.Executables, v.Hardware, v.RuntimeOpaque} {
			if claim >= 2 && claim < 32 {
				t.Errorf("something is affirmed: %v\n%s", v, explain(result))
			}
		}
	}
}
