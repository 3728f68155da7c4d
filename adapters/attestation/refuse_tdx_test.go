package attestation_test

import (
	"bytes"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"

	"github.com/filature/filature/adapters/attestation"
	"github.com/filature/filature/adapters/attestation/attestationtest"
	"github.com/filature/filature/adapters/attestation/tdx"
)

// quoted is a case of a guest, or of a quoting enclave, that is changed before the quote is signed.
func quoted(version int, edit func(body, qe []byte)) making {
	return func(t *testing.T, w *attestationtest.World) attestation.Case {
		return w.Case(t, w.TDX(t, version, edit))
	}
}

// afterTDX changes a case of an honest guest of TDX.
func afterTDX(change func(t *testing.T, w *attestationtest.World, c *attestation.Case)) making {
	return func(t *testing.T, w *attestationtest.World) attestation.Case {
		c := w.Case(t, w.TDX(t, 4, nil))
		change(t, w, &c)
		return c
	}
}

// intel changes the vendor before anything is made.
func intel(change func(t *testing.T, w *attestationtest.World)) making {
	return func(t *testing.T, w *attestationtest.World) attestation.Case {
		change(t, w)
		return w.Case(t, w.TDX(t, 4, nil))
	}
}

// attributes sets a guest's attributes.
func attributes(bits uint64) func(body, qe []byte) {
	return func(body, _ []byte) { binary.LittleEndian.PutUint64(body[120:], bits) }
}

// quote changes the quote after it was signed.
func quote(change func(q []byte) []byte) making {
	return afterTDX(func(_ *testing.T, _ *attestationtest.World, c *attestation.Case) {
		c.Evidence.Report = change(c.Evidence.Report)
	})
}

// info edits Intel's list of levels, and sees to it that the edit did something.
func info(replace ...string) making {
	return intel(func(t *testing.T, w *attestationtest.World) {
		w.Intel.TCBInfo = func(body string) string { return attestationtest.Replace(t, body, replace...) }
	})
}

// Where things stand in a quote of version 4: the header, the body, and then the signatures.
const (
	atBody       = 48
	atSignatures = 48 + 584
)

func TestAnOpenGuestOfTDXIsRefused(t *testing.T) {
	refused(t, []refusal{
		{"debugging", quoted(4, attributes(tdx.AttributeSeptVEDisable|tdx.AttributeDebug)), []string{"tdx/debug"}},
		{"another bit of the debugger's byte", quoted(5, attributes(tdx.AttributeSeptVEDisable|1<<4)), []string{"tdx/debug"}},
		{"migration", quoted(4, attributes(tdx.AttributeSeptVEDisable|tdx.AttributeMigratable)), []string{"tdx/migration"}},
		{"a service guest that may migrate it", quoted(15, func(body, _ []byte) { body[640] = 1 }), []string{"tdx/migration"}},
		{"memory that the host can take away", quoted(4, attributes(0)), []string{"tdx/sept-ve"}},
		{"performance counters", quoted(4, attributes(tdx.AttributeSeptVEDisable|tdx.AttributePerfmon)), []string{"tdx/attributes"}},
		{"a reserved attribute", quoted(4, attributes(tdx.AttributeSeptVEDisable|1<<40)), []string{"tdx/attributes"}},
		{"TDX where the policy has none", afterTDX(func(t *testing.T, w *attestationtest.World, c *attestation.Case) {
			text := w.PolicyText()
			c.Policy = w.Policy(t, text[index(t, text, "tdx:"):index(t, text, "gpu:")], "")
		}), []string{"evidence/tee"}},
	})
}

func TestAnotherGuestOfTDXIsRefused(t *testing.T) {
	var cases []refusal
	for name, at := range map[string]int{
		"MRTD": 136, "MRCONFIGID": 184, "MROWNER": 232, "MROWNERCONFIG": 280, "RTMR 0": 328, "RTMR 1": 376, "RTMR 2": 424, "RTMR 3": 472,
	} {
		cases = append(cases, refusal{name, quoted(4, func(body, _ []byte) { body[at] ^= 1 }), []string{"image/known"}})
	}
	refused(t, append(cases,
		refusal{"the report of another worker", afterTDX(func(_ *testing.T, _ *attestationtest.World,
			c *attestation.Case) {
			c.Challenge.Key[3] ^= 1
		}), []string{"binding/report-data"}},
		refusal{"an image that is retired", afterTDX(policy("note: worker 1.0 for SEV-SNP", "note: x",
			"2027-06-01T00:00:00Z, note: worker 1.0 for TDX", "2026-11-01T00:00:00Z")), []string{"image/not-retired"}},
		refusal{"a processor that the policy does not name", intel(func(t *testing.T, w *attestationtest.World) {
			text := w.Intel.Platform
			text.PPID[0] ^= 1
			w.Intel.PCK = w.Intel.Certify(t, text)
		}), []string{"platform/allowed"}},
		refusal{"a kind of processor that the policy does not name", afterTDX(policy("fmspcs: [00906ed50000]", "fmspcs: [00a06d080000]")), []string{"tdx/fmspc"}},
		refusal{"any kind, with an empty list", afterTDX(policy("fmspcs: [00906ed50000]", "fmspcs: []")), []string{"tdx/fmspc"}},
	))
}

func TestAForeignQuoteIsRefused(t *testing.T) {
	refused(t, []refusal{
		{"a quote that was changed after it was signed", quote(func(q []byte) []byte { q[30] ^= 1; return q }), []string{"tdx/signature"}},
		{"the signature of another quote", quote(func(q []byte) []byte { q[atSignatures+4] ^= 1; return q }), []string{"tdx/signature"}},
		{"an attestation key that the enclave does not vouch for", quote(func(q []byte) []byte {
			copy(q[atSignatures+4+64:], bytes.Repeat([]byte{1}, 64))
			return q
		}), []string{"tdx/quoting-enclave", "tdx/signature"}},
		{"an enclave's report that was changed", quote(func(q []byte) []byte { q[atSignatures+4+128+6] ^= 1; return q }), []string{"tdx/quoting-enclave"}},
		{"an enclave that vouches for another key", quoted(4, func(_, qe []byte) { qe[320] ^= 1 }), []string{"tdx/quoting-enclave"}},
		{"an enclave that says more than it should", quoted(4, func(_, qe []byte) { qe[360] = 1 }), []string{"tdx/quoting-enclave"}},
		{"a processor's certificate by a forged authority", func(t *testing.T, w *attestationtest.World) attestation.Case {
			forged := w.Intel.Stranger(t)
			return w.Case(t, forged.Evidence(t, 4, attestationtest.Challenge(), nil, nil))
		}, []string{"tdx/pck-chain"}},
		{"a certificate that names another authority", intel(func(t *testing.T,
			w *attestationtest.World) {
			w.Intel.PCK = w.Intel.MisnamedPCK(t)
		}), []string{"tdx/pck-chain"}},
		{"a certificate that was valid", intel(func(t *testing.T, w *attestationtest.World) {
			w.Intel.PCK = w.Intel.Certify(t, w.Intel.Platform, func(c *x509.Certificate) { c.NotAfter = attestationtest.Now.AddDate(0, 0, -1) })
		}), []string{"tdx/pck-dates"}},
		{"a certificate that is not yet valid", intel(func(t *testing.T, w *attestationtest.World) {
			w.Intel.PCK = w.Intel.Certify(t, w.Intel.Platform, func(c *x509.Certificate) { c.NotBefore = attestationtest.Now.AddDate(0, 0, 1) })
		}), []string{"tdx/pck-dates"}},
		{"a certificate of something else", intel(func(t *testing.T, w *attestationtest.World) {
			w.Intel.PCK = w.Intel.Certify(t, w.Intel.Platform, func(c *x509.Certificate) { c.Subject.CommonName = "Intel SGX TCB Signing" })
		}), []string{"tdx/pck-format"}},
		{"a processor that makes itself an authority", intel(func(t *testing.T, w *attestationtest.World) {
			w.Intel.PCK = w.Intel.Certify(t, w.Intel.Platform, func(c *x509.Certificate) { c.IsCA = true })
		}), []string{"tdx/pck-format"}},
		{"a certificate that says nothing of the processor", intel(func(t *testing.T, w *attestationtest.World) {
			w.Intel.PCK = w.Intel.Certify(t, w.Intel.Platform, func(c *x509.Certificate) { c.ExtraExtensions = nil })
		}), []string{"tdx/pck-format"}},
		{"a processor's key that Intel revoked", intel(func(_ *testing.T, w *attestationtest.World) {
			w.Intel.PCKRevoked = []*big.Int{w.Intel.PCK.SerialNumber}
		}), []string{"tdx/revocation"}},
		{"an authority that Intel revoked", intel(func(_ *testing.T, w *attestationtest.World) {
			pck, _ := w.Intel.CAs()
			w.Intel.RootRevoked = []*big.Int{pck}
		}), []string{"tdx/revocation"}},
	})
}

func TestAMachineThatIntelDoesNotHoldPatchedIsRefused(t *testing.T) {
	status, level := []string{"tdx/tcb-status"}, []string{"tdx/tcb-level"}
	processor := func(change func(p *tdx.Platform)) making {
		return func(t *testing.T, w *attestationtest.World) attestation.Case {
			files := w.Files(t) // Intel's lists are about the patched one
			p := w.Intel.Platform
			change(&p)
			w.Intel.PCK = w.Intel.Certify(t, p)
			c := w.Case(t, w.TDX(t, 4, nil))
			c.Collateral = attestationtest.Collateral(t, files)
			return c
		}
	}
	refused(t, []refusal{
		{"a component that is one behind", processor(func(p *tdx.Platform) { p.Components[0]-- }), status},
		{"a PCE that is one behind", processor(func(p *tdx.Platform) { p.PCESVN-- }), status},
		{"components below every level", processor(func(p *tdx.Platform) { p.Components[7] = 0 }), level},
		{"microcode below every level", quoted(4, func(body, _ []byte) { body[2] = 4 }), level},
		{"an old TDX module", quoted(4, func(body, _ []byte) { body[0] = 3 }), status},
		{"a TDX module below every level", quoted(4, func(body, _ []byte) { body[0] = 1 }), level},
		{"a TDX module that Intel does not know", quoted(4, func(body, _ []byte) { body[1] = 7 }), level},
		{"a TDX module of version 0 below the platform's level", quoted(4, func(body, _ []byte) { body[0], body[1] = 2, 0 }), level},
		{"a TDX module with another signer", quoted(4, func(body, _ []byte) { body[64] = 1 }), level},
		{"a TDX module with other attributes", quoted(4, func(body, _ []byte) { body[112] = 1 }), level},
		{"an old quoting enclave", quoted(4, func(_, qe []byte) { qe[258] = 3 }), status},
		{"a quoting enclave below every level", quoted(4, func(_, qe []byte) { qe[258] = 1 }), level},
		{"a quoting enclave with another signer", quoted(4, func(_, qe []byte) { qe[128] ^= 1 }), level},
		{"another enclave of the same signer", quoted(4, func(_, qe []byte) { qe[256] = 1 }), level},
		{"a quoting enclave in debug mode", quoted(4, func(_, qe []byte) { qe[48] |= 2 }), level},
		{"a quoting enclave with another MISCSELECT", quoted(4, func(_, qe []byte) { qe[16] = 1 }), level},
		{"a level that needs hardening, where the policy minds", func(t *testing.T, w *attestationtest.World) attestation.Case {
			w.Intel.TCBInfo = func(body string) string {
				return strings.Replace(body, `"tcbStatus":"UpToDate"},{"tcb":{"sgx`, `"tcbStatus":"SWHardeningNeeded"},{"tcb":{"sgx`, 1)
			}
			c := w.Case(t, w.TDX(t, 4, nil))
			c.Policy = w.Policy(t, ", SWHardeningNeeded: warning", "")
			return c
		}, status},
		{"a revoked level", info(`"tcbStatus":"UpToDate"},{"tcb":{"sgx`, `"tcbStatus":"Revoked"},{"tcb":{"sgx`), status},
		{"a status that nobody has heard of", info(`"tcbStatus":"UpToDate"},{"tcb":{"sgx`, `"tcbStatus":"Fine"},{"tcb":{"sgx`), status},
		{"a module that was revoked", info(`"tcbStatus":"UpToDate"},{"tcb":{"isvsvn":2`, `"tcbStatus":"Revoked"},{"tcb":{"isvsvn":2`), status},
		{"no levels at all", info(`"tcbLevels":[{"tcb":{"sgx`, `"others":[{"tcb":{"sgx`), level},
		{"a list for another PCE", info(`"pceId":"0000"`, `"pceId":"0001"`), []string{"tdx/tcb-platform"}},
		{"a list for another kind of processor", info(`"fmspc":"00906ED50000"`, `"fmspc":"00906ED50001"`), []string{"tdx/tcb-platform"}},
	})
}

func TestWhatTheQuotingEnclaveWouldNotWriteIsRefused(t *testing.T) {
	format := []string{"tdx/format"}
	set16 := func(at int, value uint16) making {
		return quote(func(q []byte) []byte { binary.LittleEndian.PutUint16(q[at:], value); return q })
	}
	set32 := func(at int, value uint32) making {
		return quote(func(q []byte) []byte { binary.LittleEndian.PutUint32(q[at:], value); return q })
	}
	const certification = atSignatures + 4 + 128
	refused(t, []refusal{
		{"nothing", quote(func([]byte) []byte { return nil }), format},
		{"a cut header", quote(func(q []byte) []byte { return q[:20] }), format},
		{"a cut body", quote(func(q []byte) []byte { return q[:atBody+100] }), format},
		{"cut signatures", quote(func(q []byte) []byte { return q[:len(q)-1] }), format},
		{"a quote of 16 KiB and one byte", quote(func(q []byte) []byte { return append(q, make([]byte, 16<<10+1-len(q))...) }), []string{"evidence/format"}},
		{"version 3", set16(0, 3), format},
		{"version 6", set16(0, 6), format},
		{"another kind of key", set16(2, 3), format},
		{"SGX", set32(4, 0), format},
		{"another vendor's enclave", quote(func(q []byte) []byte { q[12] ^= 1; return q }), format},
		{"a signature part that is longer than the quote", set32(atSignatures, 0xffffffff), format},
		{"a signature part of nothing", set32(atSignatures, 0), format},
		{"a signature part too short for a key (go-tdx-guest panics)", set32(atSignatures, 127), format},
		{"a signature part that is longer than what is in it", quote(func(q []byte) []byte {
			binary.LittleEndian.PutUint32(q[atSignatures:], uint32(len(q)-atSignatures))
			return append(q, 0, 0, 0, 0)
		}), format},
		{"another kind of certification", set16(certification, 5), format},
		{"a certification part that is longer than its place", set32(certification+2, 0xffffffff), format},
		{"authenticated data that is longer than its place (go-tdx-guest panics)", set16(certification+6+384+64, 0xffff), format},
		{"a chain that is longer than its place", set32(certification+6+384+64+2+18+2, 0xffffffff), format},
		{"a chain that is not in PEM", quote(func(q []byte) []byte { q[certification+6+384+64+2+18+6] = 'x'; return q }), format},
		{"a body of version 5 that is none of TDX", func(t *testing.T, w *attestationtest.World) attestation.Case {
			c := w.Case(t, w.TDX(t, 5, nil))
			binary.LittleEndian.PutUint16(c.Evidence.Report[48:], 1)
			return c
		}, format},
		{"a body of version 5 with a size that is none of TDX", func(t *testing.T, w *attestationtest.World) attestation.Case {
			c := w.Case(t, w.TDX(t, 5, nil))
			binary.LittleEndian.PutUint32(c.Evidence.Report[50:], 600)
			return c
		}, format},
	})
}

// TestWhatTheVerifierLacksOfIntelsIsItsOwnFault: each file missing, out of date, or somebody else's.
func TestWhatTheVerifierLacksOfIntelsIsItsOwnFault(t *testing.T) {
	const chain, revocation, status = "tdx/pck-chain", "tdx/revocation", "tdx/tcb-status"
	tcb := "intel/tdx-tcb-00906ed50000.json"
	lack := func(name string) func(*testing.T, *attestationtest.World, map[string][]byte) {
		return func(_ *testing.T, _ *attestationtest.World, files map[string][]byte) { delete(files, name) }
	}
	strange := func(name string) func(*testing.T, *attestationtest.World, map[string][]byte) {
		return func(t *testing.T, w *attestationtest.World, files map[string][]byte) {
			files[name] = strangersFile(t, w, name)
		}
	}
	old := func(name string) func(*testing.T, *attestationtest.World, map[string][]byte) {
		return func(t *testing.T, w *attestationtest.World, files map[string][]byte) {
			w.Intel.Listed = attestationtest.Now.AddDate(0, -2, 0)
			files[name] = w.Files(t)[name]
		}
	}
	for _, test := range []struct {
		name   string
		change func(*testing.T, *attestationtest.World, map[string][]byte)
		want   []string
	}{
		{"the processors' authority is missing", lack("intel/pck-platform.pem"), []string{chain}},
		{"the root's list is missing", lack("intel/root.crl"), []string{revocation, status}},
		{"the processors' list is missing", lack("intel/pck-platform.crl"), []string{revocation}},
		{"the levels' signer is missing", lack("intel/tcb-signer.pem"), []string{status}},
		{"the levels are missing", lack(tcb), []string{status}},
		{"the enclaves are missing", lack("intel/tdx-qe-identity.json"), []string{status}},
		{"the processors' authority is a stranger's", strange("intel/pck-platform.pem"), []string{chain}},
		{"the root's list is a stranger's", strange("intel/root.crl"), []string{revocation, status}},
		{"the processors' list is a stranger's", strange("intel/pck-platform.crl"), []string{revocation}},
		{"the levels' signer is a stranger's", strange("intel/tcb-signer.pem"), []string{status}},
		{"the levels are a stranger's", strange(tcb), []string{status}},
		{"the enclaves are a stranger's", strange("intel/tdx-qe-identity.json"), []string{status}},
		{"the root's list is out of date", old("intel/root.crl"), []string{revocation, status}},
		{"the processors' list is out of date", old("intel/pck-platform.crl"), []string{revocation}},
		{"the levels are out of date", old(tcb), []string{status}},
		{"the enclaves are out of date", old("intel/tdx-qe-identity.json"), []string{status}},
		{"the processors' authority is the root", func(_ *testing.T, w *attestationtest.World, files map[string][]byte) {
			files["intel/pck-platform.pem"] = pemOf(w.Intel.Root)
		}, []string{chain}},
		{"the processors' authority is broken, and the root follows (found by fuzzing)", func(_ *testing.T, w *attestationtest.World, files map[string][]byte) {
			files["intel/pck-platform.pem"] = append([]byte("-----BEGIN CERTIFICATE-----\nAAAA"), pemOf(w.Intel.Root)...)
		}, []string{chain}},
		{"the processors' authority has lost its beginning, and the root follows", func(_ *testing.T, _ *attestationtest.World, files map[string][]byte) {
			files["intel/pck-platform.pem"] = files["intel/pck-platform.pem"][5:]
		}, []string{chain}},
		{"the processors' authority is the levels' signer", func(_ *testing.T, _ *attestationtest.World, files map[string][]byte) {
			files["intel/pck-platform.pem"] = files["intel/tcb-signer.pem"]
		}, []string{chain}},
		{"the processors' authority is out of date", func(t *testing.T, w *attestationtest.World, files map[string][]byte) {
			files["intel/pck-platform.pem"], _ = w.Intel.OldAuthorities(t)
		}, []string{chain}},
		{"the levels' signer is out of date", func(t *testing.T, w *attestationtest.World, files map[string][]byte) {
			_, files["intel/tcb-signer.pem"] = w.Intel.OldAuthorities(t)
		}, []string{status}},
		{"the levels are of an old evaluation", func(t *testing.T, w *attestationtest.World, files map[string][]byte) {
			w.Intel.Evaluation = 16
			files[tcb] = w.Files(t)[tcb]
		}, []string{status}},
		{"the enclaves are of an old evaluation", func(t *testing.T, w *attestationtest.World, files map[string][]byte) {
			w.Intel.Evaluation = 16
			files["intel/tdx-qe-identity.json"] = w.Files(t)["intel/tdx-qe-identity.json"]
		}, []string{status}},
		{"the levels are those of SGX", func(t *testing.T, w *attestationtest.World, files map[string][]byte) {
			w.Intel.TCBInfo = func(body string) string { return attestationtest.Replace(t, body, `"id":"TDX",`, `"id":"SGX",`) }
			files[tcb] = w.Files(t)[tcb]
		}, []string{status}},
		{"the enclaves are those of SGX", func(t *testing.T, w *attestationtest.World, files map[string][]byte) {
			w.Intel.QEIdentity = func(body string) string { return attestationtest.Replace(t, body, `"TD_QE"`, `"QE"`) }
			files["intel/tdx-qe-identity.json"] = w.Files(t)["intel/tdx-qe-identity.json"]
		}, []string{status}},
		{"the levels have too few components", func(t *testing.T, w *attestationtest.World, files map[string][]byte) {
			w.Intel.TCBInfo = func(body string) string {
				return attestationtest.Replace(t, body, `"sgxtcbcomponents":[{"svn":3},`, `"sgxtcbcomponents":[`)
			}
			files[tcb] = w.Files(t)[tcb]
		}, []string{status}},
		{"the levels' signer is revoked", func(t *testing.T, w *attestationtest.World, files map[string][]byte) {
			_, signer := w.Intel.CAs()
			w.Intel.RootRevoked = []*big.Int{signer}
			files["intel/root.crl"] = w.Files(t)["intel/root.crl"]
		}, []string{status}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := attestationtest.NewWorld(t)
			files, c := w.Files(t), w.Case(t, w.TDX(t, 4, nil))
			test.change(t, w, files)
			c.Collateral = attestationtest.Collateral(t, files)
			isOwnFault(t, w.Verifier().Appraise(c), test.want...)
		})
	}
}

// strangersFile is a file by a vendor of the same names with other keys, about the same processor.
func strangersFile(t *testing.T, w *attestationtest.World, name string) []byte {
	t.Helper()
	stranger := attestationtest.NewWorld(t)
	stranger.Intel.Platform = w.Intel.Platform
	return stranger.Files(t)[name]
}

// TestWhatFollowsAQuoteChangesNothing: genuine quotes come with bytes behind them.
func TestWhatFollowsAQuoteChangesNothing(t *testing.T) {
	w := attestationtest.NewWorld(t)
	c := w.Case(t, w.TDX(t, 4, nil))
	before := w.Verifier().Appraise(c)
	c.Evidence.Report = append(c.Evidence.Report, "whatever"...)
	behind := w.Verifier().Appraise(c)
	if !attestation.Accepted(behind) || string(before.EvidenceId) != string(behind.EvidenceId) {
		t.Error(explain(behind))
	}
}

// TestAdvisoriesAreSaid: a level that the policy takes with a warning comes with what Intel has to say of it.
func TestAdvisoriesAreSaid(t *testing.T) {
	w := attestationtest.NewWorld(t)
	w.Intel.TCBInfo = func(body string) string {
		return attestationtest.Replace(t, body, `"tcbStatus":"UpToDate"},{"tcb":{"sgx`,
			`"tcbStatus":"SWHardeningNeeded","advisoryIDs":["INTEL-SA-00009","INTEL-SA-00010"]},{"tcb":{"sgx`)
	}
	result := w.Verifier().Appraise(w.Case(t, w.TDX(t, 4, nil)))
	if result.Status != warning || result.Advisories != "INTEL-SA-00009 INTEL-SA-00010" || result.Vector.Hardware != 32 {
		t.Errorf("advisories %q\n%s", result.Advisories, explain(result))
	}
}

func pemOf(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}
