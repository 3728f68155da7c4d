package attestation

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/filature/filature/adapters/attestation/internal/anchors"
	"github.com/filature/filature/adapters/attestation/nvgpu"
	"github.com/filature/filature/adapters/attestation/sevsnp"
	"github.com/filature/filature/adapters/attestation/tdx"
	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// MaxEvidenceBytes is the longest encoded evidence that is appraised: a quote, and eight GPUs of 15 KiB each.
const MaxEvidenceBytes = 128 << 10

// Verifier appraises evidence. It holds the authorities, which do not change, and remembers which certificates it has
// verified, which changes how long an answer takes and never what it is. Safe for many goroutines.
type Verifier struct {
	anchors anchors.Set

	chipKeys    memo[*sevsnp.EndorsementKey]
	gpuKeys     memo[*nvgpu.Key]
	revocations memo[*x509.RevocationList]
	issuers     memo[*x509.Certificate]
	tcbInfos    memo[*tdx.TCBInfo]
	identities  memo[*tdx.QEIdentity]
}

// New returns a verifier that believes AMD, Intel and NVIDIA, by the keys in this program.
func New() *Verifier { return NewBelieving(anchors.Pinned()) }

// NewBelieving returns a verifier that believes somebody else. Only tests can call it: nothing outside of this folder
// can name a Set. It panics if the set is not whole.
func NewBelieving(set anchors.Set) *Verifier {
	if err := set.Check(); err != nil {
		panic(fmt.Sprintf("attestation: %v", err))
	}
	return &Verifier{anchors: set}
}

// Case is all that a result follows from.
type Case struct {
	Evidence   *v1.Evidence
	Challenge  domain.Challenge
	Policy     *Policy
	Collateral Collateral
	// Now is the time of the appraisal; for an audit, that of the result which is looked at again.
	Now time.Time
	// Thorough makes every check that can be made. Without it an appraisal ends, before any signature is checked,
	// once something cheap has failed: a worker's bad evidence costs microseconds.
	Thorough bool
}

// Appraise says what a worker's evidence proves. It always returns a result that the schema allows.
func (v *Verifier) Appraise(c Case) (result *v1.AttestationResult) {
	if c.Evidence == nil {
		c.Evidence = new(v1.Evidence)
	}
	a := &appraisal{Case: c, Verifier: v, good: true, sure: true}
	a.result = &v1.AttestationResult{
		Worker: c.Challenge.Worker[:], Challenge: c.Challenge.Nonce[:],
		PolicyId: c.Policy.ID, PolicyDigest: c.Policy.digest[:],
		Tee: c.Evidence.GetTee(), IssuedAtMs: c.Now.UnixMilli(),
	}
	a.until = c.Now.Add(time.Duration(c.Policy.Validity))
	// The parsers do not panic, by fuzzing; the libraries below them have. A worker's evidence must neither stop
	// the verifier nor be called bad by its bug.
	defer func() {
		if bug := recover(); bug != nil {
			a.good = true
			a.fault("verifier/bug", fmt.Sprintf("the verifier has a bug: %v", bug))
			result = a.conclude()
		}
	}()
	a.appraise()
	return a.conclude()
}

func (a *appraisal) appraise() {
	evidence := a.Evidence
	encoded, err := v1.Encode(evidence)
	digest := domain.Digest(sha256.Sum256(encoded))
	a.result.EvidenceDigest = digest[:]
	if err != nil {
		a.result.Tee = v1.Tee_TEE_UNSPECIFIED
		a.fail(hardware, unexpected, "evidence/format", err.Error(), "", "")
		return
	}
	if !a.check(hardware, unexpected, "evidence/size", len(encoded) <= MaxEvidenceBytes, "the evidence is of a size that is read",
		fmt.Sprintf("%d bytes", len(encoded)), fmt.Sprintf("at most %d", MaxEvidenceBytes)) {
		return
	}
	a.check(identity, cryptoFailed, "challenge/in-time", a.Now.UnixMilli() < a.Challenge.ExpiresMs, "the challenge is still open",
		"now "+text(a.Now), "before "+text(time.UnixMilli(a.Challenge.ExpiresMs)))
	switch evidence.Tee {
	case v1.Tee_TEE_SEV_SNP:
		a.appraiseSNP()
	case v1.Tee_TEE_TDX:
		a.appraiseTDX()
	case v1.Tee_TEE_UNSPECIFIED: // Encode refuses it
	}
}

// binding checks that a report was made for this key, after this challenge, beside these GPUs.
func (a *appraisal) binding(have [64]byte) {
	const name = "binding/report-data"
	want := a.Challenge.ReportDataServing(domain.GPUEvidenceDigest(a.Evidence.Gpus), a.Evidence.Models)
	if subtle.ConstantTimeCompare(have[:], want[:]) == 1 {
		a.check(identity, cryptoFailed, name, true, "the report is bound to the worker's key, the challenge, the GPUs and the models", "", "")
		return
	}
	cocoon := domain.CocoonReportData(a.Challenge.Key)
	if a.Policy.CocoonBinding && len(a.Evidence.Gpus)+len(a.Evidence.Models) == 0 && subtle.ConstantTimeCompare(have[:], cocoon[:]) == 1 {
		a.warn(identity, name, "the report is bound to the worker's key as Cocoon does it: it may be old", "")
		return
	}
	a.fail(identity, cryptoFailed, name, "the report is not bound to this worker's key and challenge",
		fmt.Sprintf("%x", have), fmt.Sprintf("%x", want))
}

// statement names what a processor signed, and with which key. Neither the signature is part of the name nor the one on the
// key's certificate: each can be written in two ways.
func (a *appraisal) statement(signed []byte, by *x509.Certificate) {
	key := sha256.Sum256(by.RawSubjectPublicKeyInfo)
	id := sha256.Sum256(append(bytes.Clone(signed), key[:]...))
	a.result.EvidenceId = id[:]
}

// image checks what was measured against the policy.
func (a *appraisal) image(measured []byte) {
	words := fmt.Sprintf("%x", measured)
	image, known := a.Policy.image(a.Evidence.Tee, measured, RoleWorker)
	if !a.check(executables, unknownImage, "image/known", known, "the image is one that the policy names", words, "") {
		return
	}
	a.check(executables, unacceptable, "image/role", image.Role == RoleWorker, "the image is a worker's", string(image.Role), string(RoleWorker))
	a.check(executables, unacceptable, "image/not-retired", !a.Now.After(image.NotAfter), "the image is not retired",
		"now "+text(a.Now), "until "+text(image.NotAfter))
	a.within(image.NotAfter)
}

// models checks what the image says that it has loaded. It is the image's word, so it counts because the image is allowed and
// the report data covers it.
func (a *appraisal) models() {
	shown := a.Evidence.Models
	if len(a.Policy.Models) == 0 && len(shown) == 0 {
		return
	}
	a.check(executables, unexpected, "model/shown", len(shown) != 0, "the image says which models it has loaded", "", "at least one")
	good := true
	for _, hash := range shown {
		words := fmt.Sprintf("%x", hash)
		model, listed := a.Policy.model(hash)
		if !a.check(executables, unknownImage, "model/listed", listed, "the model is one that the policy names", words, "") {
			good = false
			continue
		}
		good = a.check(executables, unacceptable, "model/not-retired", !a.Now.After(model.NotAfter), "the model is not retired",
			"now "+text(a.Now), "until "+text(model.NotAfter)) && good
		a.within(model.NotAfter)
	}
	if good {
		a.result.Models = shown
	}
}

// platform checks which processor it is. The report's signature, checked later, is what makes the id true.
func (a *appraisal) platform(chip []byte) {
	words := fmt.Sprintf("%x", chip)
	a.check(identity, unacceptable, "platform/not-denied", !holds(a.Policy.Platforms.Deny, chip),
		"the processor is not on the list of those to refuse", words, "")
	if a.Policy.Platforms.Any {
		a.warn(identity, "platform/allowed", "any genuine processor is taken: who holds it may have its keys", words)
		return
	}
	a.check(identity, unrecognised, "platform/allowed", holds(a.Policy.Platforms.Allow, chip), "the processor is one that the policy names", words, "")
}

// inTime checks the dates of collateral. That it ended, or has not begun, is the verifier's fault.
func (a *appraisal) inTime(check, name string, from, until time.Time) bool {
	if a.Now.Before(from) || a.Now.After(until) {
		a.badFile(check, name, fmt.Sprintf("is valid from %s to %s", text(from), text(until)))
		return false
	}
	return true
}

func text(t time.Time) string { return t.UTC().Format(time.RFC3339) }
