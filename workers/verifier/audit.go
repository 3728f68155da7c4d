package verifier

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"google.golang.org/protobuf/proto"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/ledger"
	"github.com/filature/filature/eventstore"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

const (
	// maxOffences is how many offences are told; all are counted.
	maxOffences = 100
	// clockSkewMs is how far a verifier's clock may be from log time. Both are wall clocks.
	clockSkewMs = 60_000
)

// Shelf is an archive as an audit reads it.
type Shelf interface {
	// Results returns the results that were kept for a challenge; none is no error.
	Results(challenge domain.Digest) ([]*v1.AttestationResult, error)
	// File returns what was kept by its digest. It fails where there is nothing, or something else.
	File(digest domain.Digest) ([]byte, error)
}

// Reappraiser appraises again what led to a recorded result: the same evidence, at the same time, with the same policy and
// collateral, which file returns by digest. An error says why that can't be done.
type Reappraiser interface {
	Again(
		recorded *v1.AttestationResult, challenge domain.Challenge, evidence *v1.Evidence, file func(domain.Digest) ([]byte, error),
	) (*v1.AttestationResult, error)
}

// AuditConfig says what an audit of attestations looks at. All is needed.
type AuditConfig struct {
	Ledger      eventstore.Reader
	Network     domain.NetworkID
	Shelf       Shelf
	Reappraiser Reappraiser
	// Progress is told how far it is.
	Progress func(done, total int64)
}

// AuditReport says whether each result in the ledger follows from the evidence that was archived.
type AuditReport struct {
	Passed    int64         `json:"passed"` // results in the ledger
	Failed    int64         `json:"failed"`
	Admitted  int64         `json:"admitted"`   // the verifier's own faults, as it said itself
	Agreed    int64         `json:"agreed"`     // of all three: evidence and result are there, and say the same
	Offences  int64         `json:"offences"`   // results that do not
	Missing   int64         `json:"missing"`    // of those: the result, its evidence, policy or collateral is not in the archive
	Unsettled int64         `json:"unsettled"`  // challenges without a result
	Policies  []PolicyCount `json:"policies"`   // by which results were come to, in the order of their first use
	First     []Offence     `json:"first_some"` // offences, at most a hundred
}

// PolicyCount is how many results were come to under a policy.
type PolicyCount struct {
	Policy  domain.Digest `json:"policy"`
	ID      string        `json:"id"` // what the policy calls itself, where its result is archived
	Results int64         `json:"results"`
}

// Offence is a result in the ledger that the archive does not bear out.
type Offence struct {
	Position  string          `json:"position"` // of the fact: shard/offset/fact
	Worker    domain.WorkerID `json:"worker"`
	Challenge domain.Digest   `json:"challenge"`
	Says      string          `json:"says"`
}

// OK says whether all results are borne out.
func (r *AuditReport) OK() bool { return r.Offences == 0 }

// Audit reads control's ledger and appraises again what was archived for each result: its evidence, at its recorded time, with
// its recorded policy and collateral. It compares the result with the recorded one, and that with the fact in
// the ledger: digests, challenge, image, window. What it remembers grows with the number of workers and of policies.
func Audit(ctx context.Context, cfg AuditConfig) (*AuditReport, error) {
	end, err := cfg.Ledger.End(ctx, domain.Control)
	if err != nil {
		return nil, fmt.Errorf("audit attestations: %w", err)
	}
	a := &audit{AuditConfig: cfg, workers: map[domain.WorkerID]*audited{}, policies: map[domain.Digest]int{}}
	err = eventstore.Each(ctx, cfg.Ledger, domain.Control, 0, end, func(rec eventstore.Record) error {
		entry, err := eventstore.DecodeEntry(domain.Control, rec)
		if err != nil || ledger.Void(rec.Offset, entry) {
			return err
		}
		for i, fact := range entry.GetAnswer().GetFacts() {
			a.look(domain.FactPosition{Position: domain.Position{Shard: domain.Control, Offset: rec.Offset}, Fact: i + 1}, entry.AtMs, fact)
		}
		if rec.Offset%progressEvery == 0 {
			cfg.Progress(int64(rec.Offset), int64(end))
		}
		return ctx.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("audit attestations: %w", err)
	}
	for _, w := range a.workers {
		if w.open != nil {
			a.report.Unsettled++
		}
	}
	return &a.report, nil
}

// progressEvery is after how many entries Progress is told.
const progressEvery = 256

// audit is one audit under way. It has one owner.
type audit struct {
	AuditConfig

	report   AuditReport
	workers  map[domain.WorkerID]*audited
	policies map[domain.Digest]int // place in the report
}

// audited is what control's ledger says of a worker so far.
type audited struct {
	key  domain.KeyID
	open *open
}

func (a *audit) look(at domain.FactPosition, atMs int64, fact *v1.Fact) {
	switch body := fact.Body.(type) {
	case *v1.Fact_WorkerRegistered:
		a.workers[domain.WorkerID(body.WorkerRegistered.Worker)] = &audited{key: domain.KeyID(body.WorkerRegistered.Key)}
	case *v1.Fact_KeyRotated:
		if body.KeyRotated.Kind == v1.SubjectKind_SUBJECT_KIND_WORKER {
			a.worker(body.KeyRotated.Subject).key = domain.KeyID(body.KeyRotated.Key)
		}
	case *v1.Fact_AttestationChallenged:
		asked := body.AttestationChallenged
		w := a.worker(asked.Worker)
		if w.open != nil {
			a.report.Unsettled++
		}
		w.open = &open{nonce: domain.Digest(asked.Challenge), at: at, atMs: atMs, expiresMs: asked.ExpiresAtMs}
	case *v1.Fact_AttestationPassed:
		a.report.Passed++
		p := body.AttestationPassed
		a.judge(at, atMs, said{
			worker: domain.WorkerID(p.Worker), challenge: domain.Digest(p.Challenge), policy: domain.Digest(p.PolicyDigest),
			claim: &v1.Claim{Body: &v1.Claim_PassAttestation{PassAttestation: p}},
		})
	case *v1.Fact_AttestationFailed:
		f := body.AttestationFailed
		if f.Fault == v1.AttestationFault_ATTESTATION_FAULT_VERIFIER {
			a.report.Admitted++
		} else {
			a.report.Failed++
		}
		a.judge(at, atMs, said{
			worker: domain.WorkerID(f.Worker), challenge: domain.Digest(f.Challenge), policy: domain.Digest(f.PolicyDigest),
			claim: &v1.Claim{Body: &v1.Claim_FailAttestation{FailAttestation: f}},
		})
	}
}

func (a *audit) worker(id []byte) *audited {
	w := a.workers[domain.WorkerID(id)]
	if w == nil { // the ledger speaks of registered workers only; that is not what is audited here
		w = new(audited)
		a.workers[domain.WorkerID(id)] = w
	}
	return w
}

// said is a result as the ledger has it.
type said struct {
	worker    domain.WorkerID
	challenge domain.Digest
	policy    domain.Digest
	claim     *v1.Claim
}

// judge counts a result, and says what is wrong with it.
func (a *audit) judge(at domain.FactPosition, atMs int64, s said) {
	w := a.worker(s.worker[:])
	asked := w.open
	w.open = nil
	recorded, err := a.bearOut(atMs, s, w.key, asked)
	a.count(s.policy, recorded)
	if err == nil {
		a.report.Agreed++
		return
	}
	if errors.Is(err, fs.ErrNotExist) {
		a.report.Missing++
	}
	if a.report.Offences++; len(a.report.First) < maxOffences {
		a.report.First = append(a.report.First, Offence{Position: at.String(), Worker: s.worker, Challenge: s.challenge, Says: err.Error()})
	}
}

func (a *audit) count(policy domain.Digest, recorded *v1.AttestationResult) {
	place, known := a.policies[policy]
	if !known {
		place = len(a.report.Policies)
		a.policies[policy] = place
		a.report.Policies = append(a.report.Policies, PolicyCount{Policy: policy})
	}
	p := &a.report.Policies[place]
	p.Results++
	if recorded != nil && domain.Digest(recorded.PolicyDigest) == policy {
		p.ID = recorded.PolicyId
	}
}

// bearOut returns the archived result that a fact rests on, and what is wrong with either.
func (a *audit) bearOut(atMs int64, s said, key domain.KeyID, asked *open) (*v1.AttestationResult, error) {
	if asked == nil || asked.nonce != s.challenge {
		return nil, errors.New("it answers a challenge that was not the last one")
	}
	results, err := a.Shelf.Results(s.challenge)
	if err != nil {
		return nil, err
	}
	recorded, err := choose(results, s.claim)
	if err != nil {
		return recorded, err
	}
	switch issued := recorded.IssuedAtMs; {
	case issued < asked.atMs-clockSkewMs:
		return recorded, fmt.Errorf("appraised at %d, before the challenge of %d", issued, asked.atMs)
	case issued > atMs+clockSkewMs:
		return recorded, fmt.Errorf("appraised at %d, after the ledger took the result at %d", issued, atMs)
	}
	raw, err := a.Shelf.File(domain.Digest(recorded.EvidenceDigest))
	if err != nil {
		return recorded, fmt.Errorf("evidence: %w", err)
	}
	evidence := new(v1.Evidence)
	if err := v1.Decode(raw, evidence); err != nil {
		return recorded, fmt.Errorf("evidence: %w", err)
	}
	again, err := a.Reappraiser.Again(recorded, domain.Challenge{
		Network: a.Network, Worker: s.worker, Key: key, Nonce: s.challenge, Epoch: uint64(asked.at.Offset), ExpiresMs: asked.expiresMs,
	}, evidence, a.Shelf.File)
	if err != nil {
		return recorded, err
	}
	return recorded, differ(recorded, again)
}

// errNoResult: what leads to a result is missing, as a file would be.
var errNoResult = fmt.Errorf("no result is archived for its challenge: %w", fs.ErrNotExist)

// choose returns the result that led to a claim. There are several where a verifier was interrupted.
func choose(results []*v1.AttestationResult, claim *v1.Claim) (*v1.AttestationResult, error) {
	if len(results) == 0 {
		return nil, errNoResult
	}
	for _, result := range results {
		led, decided := Decide(result)
		if !decided {
			led = Admit(result)
		}
		if proto.Equal(led, claim) {
			return result, nil
		}
	}
	led, decided := Decide(results[0])
	if !decided {
		return results[0], errors.New("the archived result is that the verifier could not tell")
	}
	return results[0], fmt.Errorf("the archived result leads to another claim: %s, and the ledger has %s", v1.AppendJSON(nil, led), v1.AppendJSON(nil, claim))
}

// differ compares what was recorded with what it comes to now. Words may differ between programs, and later ones may
// make more checks; what was found, and what follows, may not.
func differ(recorded, again *v1.AttestationResult) error {
	for _, field := range []struct {
		name       string
		have, want any
	}{
		{"status", recorded.Status, again.Status},
		{"valid_until_ms", recorded.ValidUntilMs, again.ValidUntilMs},
		{"instance-identity", recorded.Vector.GetInstanceIdentity(), again.Vector.GetInstanceIdentity()},
		{"configuration", recorded.Vector.GetConfiguration(), again.Vector.GetConfiguration()},
		{"executables", recorded.Vector.GetExecutables(), again.Vector.GetExecutables()},
		{"hardware", recorded.Vector.GetHardware(), again.Vector.GetHardware()},
		{"runtime-opaque", recorded.Vector.GetRuntimeOpaque(), again.Vector.GetRuntimeOpaque()},
		{"worker", domain.Digest(recorded.Worker), domain.Digest(again.Worker)},
		{"challenge", domain.Digest(recorded.Challenge), domain.Digest(again.Challenge)},
		{"evidence_digest", domain.Digest(recorded.EvidenceDigest), domain.Digest(again.EvidenceDigest)},
		{"evidence_id", fmt.Sprintf("%x", recorded.EvidenceId), fmt.Sprintf("%x", again.EvidenceId)},
		{"policy_id", recorded.PolicyId, again.PolicyId},
		{"policy_digest", domain.Digest(recorded.PolicyDigest), domain.Digest(again.PolicyDigest)},
		{"image_hash", fmt.Sprintf("%x", recorded.ImageHash), fmt.Sprintf("%x", again.ImageHash)},
		{"tee", recorded.Tee, again.Tee},
		{"product", recorded.Product, again.Product},
		{"chip", fmt.Sprintf("%x", recorded.Chip), fmt.Sprintf("%x", again.Chip)},
		{"tcb", recorded.Tcb, again.Tcb},
		{"checks that do not hold", fmt.Sprint(minded(recorded)), fmt.Sprint(minded(again))},
	} {
		if field.have != field.want {
			return fmt.Errorf("the archived result's %s is %v, and the archived evidence proves %v", field.name, field.have, field.want)
		}
	}
	return nil
}

// minded are the checks that did not simply hold.
func minded(r *v1.AttestationResult) (names []string) {
	for _, check := range r.Checks {
		if check.Outcome != v1.CheckOutcome_CHECK_OUTCOME_PASS {
			names = append(names, check.Name)
		}
	}
	return names
}
