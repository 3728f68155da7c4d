package attestation_test

import (
	"bytes"
	"crypto/x509"
	"flag"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	sevdata "github.com/google/go-sev-guest/verify/testdata"
	tdxdata "github.com/google/go-tdx-guest/testing/testdata"

	"github.com/filature/filature/adapters/attestation"
	"github.com/filature/filature/adapters/attestation/attestationtest"
	"github.com/filature/filature/adapters/attestation/nvgpu"
	"github.com/filature/filature/adapters/attestation/sevsnp"
	"github.com/filature/filature/adapters/attestation/tdx"
	"github.com/filature/filature/internal/mutate"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// make mutations sets these. In go test each parser reads a few hundred mutants, always the same.
var (
	mutateFor  = flag.Duration("mutate.for", 0, "spoil what parsers read for so long, all parsers in turn")
	mutateSeed = flag.Uint64("mutate.seed", 1, "which mutants")
)

// mutantsInTest is how many mutants each parser reads at least.
const mutantsInTest = 300

// parser is one way by which bytes of strangers, or files of ours that are broken, come in.
type parser struct {
	name   string
	inputs [][]byte // honest ones
	// perByte and atLeast bound what may be allocated: so many bytes for each that is read, and so many more.
	perByte, atLeast uint64
	// read reads, and says what it did that it must not do. Else it has only to return.
	read func(raw []byte) string
}

// returns is for parsers that have only to return.
func returns(parse func(raw []byte)) func([]byte) string {
	return func(raw []byte) string { parse(raw); return "" }
}

// Bounds of allocation. Mutants are kilobytes, so an allocation by an announced length (go-sev-guest's: 2000 bytes for each
// that is read, or four gigabytes) is far above.
const (
	// perByte is for binary formats. Certificates are the greediest: their keys become big numbers.
	perByte = 16
	// perByteOfText is for text, of which a tree is made: a node of 150 bytes for each "-,", twice, since a policy is read
	// strictly after references were looked for.
	perByteOfText = 512
	// atLeast is what the first certificate takes.
	atLeast = 16 << 10
	// ofSignature is what verifying one of AMD's takes: RSA with 4096 bits.
	ofSignature = 128 << 10
	// ofAppraisal is what an appraisal takes beside reading: signatures, and a result with dozens of checks. Twice as much
	// with the race detector, which empties pools.
	ofAppraisal = 512 << 10
)

// parsers are all of them.
func parsers(t *testing.T) []parser {
	t.Helper()
	w := attestationtest.NewWorld(t)
	challenge, files := attestationtest.Challenge(), w.Files(t)
	gpu := w.NVIDIA.GPU(t, 0).Evidence(t, challenge, nil)
	var chain [][]byte
	for _, certificate := range gpu.Certificates {
		chain = append(chain, certificate.Der)
	}
	genuine, err := tdx.Parse(tdxdata.RawQuote)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := tdx.ParseListSigner(files["intel/tcb-signer.pem"], w.Intel.Root)
	if err != nil {
		t.Fatal(err)
	}
	tcb := "intel/tdx-tcb-" + w.Intel.Platform.FMSPCText() + ".json"
	line := w.Verifier() // believes the world
	all := []parser{
		{"a report of SEV-SNP", [][]byte{sevdata.AttestationBytes, w.SNP(t, "Genoa").Report, w.SNP(t, "Turin").Report}, perByte, atLeast,
			returns(func(raw []byte) { _, _ = sevsnp.Parse(raw) })},
		{"an endorsement key", [][]byte{sevdata.VcekBytes, w.SNP(t, "Turin").EndorsementKey}, perByte, atLeast,
			returns(func(raw []byte) { _, _ = sevsnp.ParseEndorsementKey(raw) })},
		{"a quote", [][]byte{tdxdata.RawQuote, w.TDX(t, 4, nil).Report, w.TDX(t, 5, nil).Report, w.TDX(t, 15, nil).Report}, perByte, atLeast,
			returns(func(raw []byte) {
				if q, err := tdx.Parse(raw); err == nil {
					_, _, _ = q.VerifyQuotingEnclave(), q.VerifySignature(), q.CocoonImageHash()
				}
			})},
		{"a PCK certificate", [][]byte{genuine.PCK.Raw, w.Intel.PCK.Raw}, perByte, atLeast, returns(func(raw []byte) {
			if certificate, err := x509.ParseCertificate(raw); err == nil {
				_, _ = tdx.PlatformOf(certificate)
			}
		})},
		{"a GPU's report", [][]byte{gpu.Report}, perByte, atLeast, returns(func(raw []byte) { _, _ = nvgpu.Parse(raw) })},
		{"a GPU's chain", chain, perByte, atLeast, returns(func(raw []byte) { _, _ = nvgpu.ParseChain([][]byte{raw, raw}) })},
		{"a list of AMD's", [][]byte{files["amd/Genoa/vcek.crl"]}, perByte, ofSignature, returns(func(raw []byte) {
			_ = line.Genuine(map[string][]byte{"amd/Genoa/vcek.crl": raw})
		})},
		{"a signer of Intel's", [][]byte{files["intel/tcb-signer.pem"]}, perByte, ofSignature, returns(func(raw []byte) {
			_ = line.Genuine(map[string][]byte{"intel/tcb-signer.pem": raw})
		})},
		// Intel's lists are read once their signature holds, so what is spoilt here is signed after.
		{"levels that Intel signed", bodies(t, files[tcb]), perByteOfText, atLeast, returns(func(raw []byte) {
			if info, err := tdx.VerifyTCBInfo(w.Intel.Signed(t, "tcbInfo", raw), signer); err == nil {
				if p, err := tdx.PlatformOf(w.Intel.PCK); err == nil {
					_, _ = tdx.Appraise(genuine, p, info, new(tdx.QEIdentity))
				}
			}
		})},
		{"enclaves that Intel signed", bodies(t, files["intel/tdx-qe-identity.json"]), perByteOfText, atLeast, returns(func(raw []byte) {
			if identity, err := tdx.VerifyQEIdentity(w.Intel.Signed(t, "enclaveIdentity", raw), signer); err == nil {
				if p, err := tdx.PlatformOf(w.Intel.PCK); err == nil {
					_, _ = tdx.Appraise(genuine, p, new(tdx.TCBInfo), identity)
				}
			}
		})},
		{"a policy", [][]byte{[]byte(w.PolicyText())}, perByteOfText, ofAppraisal, returns(func(raw []byte) { _, _ = attestation.ParsePolicy(raw) })},
		{"an answer", [][]byte{encoded(t, &v1.AttestationAnswer{
			Network: challenge.Network[:], Worker: challenge.Worker[:], Challenge: challenge.Nonce[:], Evidence: w.SNP(t, "Genoa"),
		})}, perByte, atLeast, returns(func(raw []byte) { _ = v1.Decode(raw, new(v1.AttestationAnswer)) })},
		evidenceParser(t, w, gpu), resignedParser(t, w),
	}
	return append(all, fileParsers(t, w)...)
}

func encoded(t *testing.T, m v1.Message) []byte {
	t.Helper()
	raw, err := v1.Encode(m)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// bodies is what Intel signed in a file: what stands between the first name and the signature.
func bodies(t *testing.T, file []byte) [][]byte {
	t.Helper()
	return [][]byte{file[bytes.IndexByte(file, ':')+1 : index(t, string(file), `,"signature"`)]}
}

// evidenceParser reads whole evidence. Whatever is taken must say what was signed.
func evidenceParser(t *testing.T, w *attestationtest.World, gpu *v1.GpuEvidence) parser {
	t.Helper()
	verifier, c, signed := w.Verifier(), w.Case(t, nil), map[string]bool{}
	p := parser{name: "evidence", perByte: perByte, atLeast: ofAppraisal}
	for _, evidence := range []*v1.Evidence{
		w.SNP(t, "Milan"), w.SNP(t, "Genoa"), w.SNP(t, "Turin"), w.TDX(t, 4, nil), w.TDX(t, 5, nil), w.TDX(t, 15, nil),
		w.Intel.Evidence(t, 4, c.Challenge, []*v1.GpuEvidence{gpu}, nil),
	} {
		p.inputs = append(p.inputs, encoded(t, evidence))
		signed[statement(evidence)] = true
	}
	p.read = func(raw []byte) string {
		evidence := new(v1.Evidence)
		if v1.Decode(raw, evidence) != nil {
			return ""
		}
		mutant := c
		mutant.Evidence = evidence
		result := verifier.Appraise(mutant)
		if attestation.Accepted(result) && !signed[statement(evidence)] {
			return "takes what nobody signed\n" + explain(result)
		}
		return unsound(result)
	}
	return p
}

// resignedParser reads reports that are spoilt before the chip signs them: what comes behind the signature must stand as well.
func resignedParser(t *testing.T, w *attestationtest.World) parser {
	t.Helper()
	verifier, c, genoa := w.Verifier(), w.Case(t, w.SNP(t, "Genoa")), w.AMD["Genoa"]
	return parser{"a report that the chip signs spoilt", [][]byte{c.Evidence.Report}, perByte, ofAppraisal, func(raw []byte) string {
		if len(raw) != sevsnp.ReportBytes {
			return ""
		}
		genoa.Resign(t, raw)
		mutant := c
		mutant.Evidence = &v1.Evidence{Tee: c.Evidence.Tee, Report: raw, EndorsementKey: c.Evidence.EndorsementKey}
		result := verifier.Appraise(mutant)
		if !attestation.Accepted(result) {
			return unsound(result)
		}
		// What the policy asks for is still there, whatever else was changed.
		report, err := sevsnp.Parse(raw)
		switch {
		case err != nil:
			return "takes what can't be read"
		case report.ReportData != c.Challenge.ReportData([32]byte{}), report.Measurement != attestationtest.Launch, report.ChipID != genoa.Chip,
			report.VMPL != 0, report.Policy.Debug, report.Policy.MigrateMA, !report.Platform.AliasCheckComplete:
			return "takes another machine, image, worker or configuration\n" + explain(result)
		}
		return unsound(result)
	}}
}

// fileParsers read the verifier's own files. It takes what vendors signed and nothing else, and no worker is blamed.
func fileParsers(t *testing.T, w *attestationtest.World) []parser {
	t.Helper()
	files, verifier := w.Files(t), w.Verifier()
	snp, quote := w.Case(t, w.SNP(t, "Genoa")), w.Case(t, w.TDX(t, 4, nil))
	var all []parser
	for _, name := range slices.Sorted(maps.Keys(files)) {
		c := quote
		if strings.HasPrefix(name, "amd/") {
			if c = snp; name != "amd/Genoa/vcek.crl" {
				continue // the others are read by the same code
			}
		}
		all = append(all, parser{name, [][]byte{files[name]}, perByteOfText, ofAppraisal, func(raw []byte) string {
			changed := maps.Clone(files)
			changed[name] = raw
			mutant := c
			mutant.Collateral = attestationtest.Collateral(t, changed)
			result := verifier.Appraise(mutant)
			if bad := failed(result); len(bad) != 0 {
				return fmt.Sprintf("the worker is blamed: %v\n%s", bad, explain(result))
			}
			return unsound(result)
		}})
	}
	return all
}

// unsound says what no result may be.
func unsound(result *v1.AttestationResult) string {
	if _, err := v1.Encode(result); err != nil {
		return fmt.Sprintf("the result is no event: %v", err)
	}
	if slices.Contains(faults(result), "verifier/bug") {
		return "panics inside\n" + explain(result)
	}
	return ""
}

// TestEveryParserStandsWhateverItReads: it returns, allocates in proportion to what it read, and believes nothing that was not
// signed. In go test for the same few mutants; in CI for a minute (make mutations), of which each parser has its part.
func TestEveryParserStandsWhateverItReads(t *testing.T) {
	all := parsers(t)
	for _, p := range all {
		t.Run(p.name, func(t *testing.T) {
			for _, honest := range p.inputs { // curves make tables when they are first used
				if said, _ := stands(p, honest); said != "" {
					t.Fatalf("an honest one: %s", said)
				}
			}
			m, ends, most, read := mutate.New(*mutateSeed), time.Now().Add(*mutateFor/time.Duration(len(all))), uint64(0), 0
			for ; read < mutantsInTest || time.Now().Before(ends); read++ {
				raw := m.Mutant(p.inputs)
				said, took := stands(p, raw)
				if limit := p.atLeast + p.perByte*uint64(len(raw)); took > limit {
					said += fmt.Sprintf("allocates %d bytes, at most %d are right", took, limit)
				}
				if said != "" {
					t.Fatalf("-mutate.seed=%d, mutant %d, of %d bytes: %s\n%x", *mutateSeed, read, len(raw), said, raw)
				}
				most = max(most, took)
			}
			t.Logf("%d mutants, at most %d bytes allocated", read, most)
		})
	}
}

// stands reads one mutant.
func stands(p parser, raw []byte) (said string, allocated uint64) {
	defer func() {
		if panicked := recover(); panicked != nil {
			said = fmt.Sprintf("panics: %v\n%s", panicked, debug.Stack())
		}
	}()
	spoilt := bytes.Clone(raw) // a parser may sign it again; what is shown must be what was read
	allocated = mutate.Allocated(func() { said = p.read(spoilt) })
	return said, allocated
}
