package auditor

import (
	"bytes"
	"fmt"
	"strings"
	"unicode"

	"github.com/filature/filature/workers/verifier"
)

// Attest takes in what an audit of the attestations in the same ledger found. A result that archived evidence does not bear
// out is no offence of the ledger's, which took a verifier's word by its rules; but no such ledger passes.
func (r *Report) Attest(found *verifier.AuditReport) {
	r.Attestations = found
	r.Verdict = r.verdict()
}

// unborne is how many attestation results are not borne out.
func (r *Report) unborne() int64 {
	if r.Attestations == nil {
		return 0
	}
	return r.Attestations.Offences
}

// attestationSentence says in words what was found of attestations.
func attestationSentence(a *verifier.AuditReport) string {
	var out strings.Builder
	fmt.Fprintf(&out, "%s results in the ledger, %s passed, %s failed, %s where the verifier could not tell; %s borne out by archived evidence",
		thousands(a.Passed+a.Failed+a.Admitted), thousands(a.Passed), thousands(a.Failed), thousands(a.Admitted), thousands(a.Agreed))
	if a.Missing > 0 {
		fmt.Fprintf(&out, "; of %s something is missing in the archive", thousands(a.Missing))
	}
	if otherwise := a.Offences - a.Missing; otherwise > 0 {
		fmt.Fprintf(&out, "; of %s the evidence says something else", thousands(otherwise))
	}
	return out.String()
}

// graphic keeps a terminal from obeying what others wrote.
func graphic(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsGraphic(r) {
			return r
		}
		return ' '
	}, text)
}

func writeAttestations(out *bytes.Buffer, a *verifier.AuditReport) {
	if a == nil {
		return
	}
	verdict := "PASS"
	if !a.OK() {
		verdict = "FAIL"
	}
	fmt.Fprintf(out, "Attestations: %s\n\n  %s\n", verdict, attestationSentence(a))
	fmt.Fprintf(out, "  %s challenges without a result\n", thousands(a.Unsettled))
	for _, p := range a.Policies {
		fmt.Fprintf(out, "  policy %s %s: %s results\n", p.Policy, p.ID, thousands(p.Results))
	}
	for _, o := range a.First {
		fmt.Fprintf(out, "  ✗ %s worker %s, challenge %s:\n    %s\n", o.Position, o.Worker, o.Challenge, graphic(o.Says))
	}
	if more := a.Offences - int64(len(a.First)); more > 0 {
		fmt.Fprintf(out, "  ✗ and %s more\n", thousands(more))
	}
	out.WriteByte('\n')
}
