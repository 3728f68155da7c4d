package verifier_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/signing"
	"github.com/filature/filature/eventstore/memlog"
	v1 "github.com/filature/filature/schemas/filature/v1"
	"github.com/filature/filature/workers/verifier"
)

// past is a control ledger and an archive that fit each other, until a test changes one of them.
type past struct {
	*testing.T

	now     time.Time
	entries []*v1.Entry
	results map[domain.Digest][]*v1.AttestationResult
	files   map[domain.Digest][]byte
	proves  map[domain.Digest]*v1.AttestationResult // by the digest of the evidence
	asked   []domain.Challenge
}

var errGone = errors.New("is not in the archive")

func (p *past) Results(challenge domain.Digest) ([]*v1.AttestationResult, error) {
	return p.results[challenge], nil
}

func (p *past) File(digest domain.Digest) ([]byte, error) {
	if content, has := p.files[digest]; has {
		return content, nil
	}
	return nil, errGone
}

func (p *past) Again(
	recorded *v1.AttestationResult, challenge domain.Challenge, evidence *v1.Evidence, file func(domain.Digest) ([]byte, error),
) (*v1.AttestationResult, error) {
	if _, err := file(domain.Digest(recorded.PolicyDigest)); err != nil {
		return nil, err
	}
	p.asked = append(p.asked, challenge)
	raw, err := v1.Encode(evidence)
	if err != nil {
		p.Fatal(err)
	}
	again := proto.CloneOf(p.proves[sha256.Sum256(raw)])
	again.IssuedAtMs = recorded.IssuedAtMs
	return again, nil
}

// tells appends facts to the ledger, ten seconds later.
func (p *past) tells(facts ...*v1.Fact) {
	p.now = p.now.Add(10 * time.Second)
	p.entries = append(p.entries, &v1.Entry{
		Offset: int64(len(p.entries)), AtMs: p.now.UnixMilli(), Body: &v1.Entry_Answer{Answer: &v1.Answer{IntakeDigest: make([]byte, 32), Facts: facts}},
	})
}

// attests has a worker be challenged and answer, and returns the result.
func (p *past) attests(worker string, nonce byte, kind *v1.AttestationResult) *v1.AttestationResult {
	w, n := id(worker), nonceOf(nonce)
	p.tells(&v1.Fact{Claim: 1, Body: &v1.Fact_AttestationChallenged{AttestationChallenged: &v1.ChallengeAttestation{
		Worker: w[:], Challenge: n[:], ExpiresAtMs: p.now.Add(5 * time.Minute).UnixMilli(),
	}}})
	evidence, err := v1.Encode(&v1.Evidence{Tee: v1.Tee_TEE_TDX, Report: bytes.Repeat([]byte{nonce}, 100)})
	if err != nil {
		p.Fatal(err)
	}
	policy := []byte("a policy")
	r := proto.CloneOf(kind)
	digest, policyDigest := sha256.Sum256(evidence), sha256.Sum256(policy)
	r.Worker, r.Challenge, r.EvidenceDigest, r.PolicyDigest, r.PolicyId = w[:], n[:], digest[:], policyDigest[:], "test"
	r.IssuedAtMs = p.now.Add(5 * time.Second).UnixMilli()
	if r.ValidUntilMs != 0 {
		r.ValidUntilMs = r.IssuedAtMs + 3_600_000
	}
	r.Vector = &v1.TrustVector{Hardware: 2}
	p.results[n], p.files[digest], p.files[policyDigest], p.proves[digest] = []*v1.AttestationResult{r}, evidence, policy, proto.CloneOf(r)
	claim, decided := verifier.Decide(r)
	if !decided {
		return r
	}
	if pass := claim.GetPassAttestation(); pass != nil {
		p.tells(&v1.Fact{Claim: 1, Body: &v1.Fact_AttestationPassed{AttestationPassed: pass}})
	} else {
		p.tells(&v1.Fact{Claim: 1, Body: &v1.Fact_AttestationFailed{AttestationFailed: claim.GetFailAttestation()}})
	}
	return r
}

func newPast(t *testing.T) *past {
	t.Helper()
	p := &past{
		T: t, now: time.UnixMilli(1_795_000_000_000), results: map[domain.Digest][]*v1.AttestationResult{},
		files: map[domain.Digest][]byte{}, proves: map[domain.Digest]*v1.AttestationResult{},
	}
	for name, key := range workers {
		worker, public := id(name), signing.KeyOf(key)
		p.tells(&v1.Fact{Claim: 1, Body: &v1.Fact_WorkerRegistered{WorkerRegistered: &v1.RegisterWorker{
			Worker: worker[:], Provider: make([]byte, 32), Key: public[:],
		}}})
	}
	return p
}

func (p *past) audit() *verifier.AuditReport {
	p.Helper()
	log := memlog.New(1, func() time.Time { return p.now })
	for _, entry := range p.entries {
		raw, err := v1.Encode(entry)
		if err != nil {
			p.Fatal(err)
		}
		if _, err := log.Append(p.Context(), domain.Control, [][]byte{raw}); err != nil {
			p.Fatal(err)
		}
	}
	report, err := verifier.Audit(p.Context(), verifier.AuditConfig{
		Ledger: log, Network: network, Shelf: p, Reappraiser: p, Progress: func(int64, int64) {},
	})
	if err != nil {
		p.Fatal(err)
	}
	return report
}

// TestAnHonestPastIsBorneOut: each result is appraised again for the very challenge that it answers, by the key that was the
// worker's then.
func TestAnHonestPastIsBorneOut(t *testing.T) {
	p := newPast(t)
	p.attests("one", 1, passing())
	p.attests("two", 2, failing())
	one, fresh := id("one"), signing.KeyOf(workers["two"])
	p.tells(&v1.Fact{Claim: 1, Body: &v1.Fact_KeyRotated{KeyRotated: &v1.RotateKey{
		Kind: v1.SubjectKind_SUBJECT_KIND_WORKER, Subject: one[:], Key: fresh[:],
	}}})
	p.attests("one", 3, untold()) // which is no result
	r := p.attests("one", 4, passing())
	interrupted := proto.CloneOf(r)
	interrupted.IssuedAtMs--
	p.results[nonceOf(4)] = []*v1.AttestationResult{interrupted, r}
	void := proto.CloneOf(p.entries[len(p.entries)-1])
	p.entries = append(p.entries, void)
	admitted := verifier.Admit(p.attests("two", 5, untold()))
	p.tells(&v1.Fact{Claim: 1, Body: &v1.Fact_AttestationFailed{AttestationFailed: admitted.GetFailAttestation()}})
	report := p.audit()
	if !report.OK() || report.Passed != 2 || report.Failed != 1 || report.Admitted != 1 || report.Agreed != 4 || report.Unsettled != 1 ||
		len(report.Policies) != 1 || report.Policies[0].ID != "test" || report.Policies[0].Results != 4 {
		t.Fatalf("%+v", report)
	}
	for i, want := range []domain.Challenge{
		{Network: network, Worker: id("one"), Key: signing.KeyOf(workers["one"]), Nonce: nonceOf(1), Epoch: 2},
		{Network: network, Worker: id("two"), Key: signing.KeyOf(workers["two"]), Nonce: nonceOf(2), Epoch: 4},
		{Network: network, Worker: id("one"), Key: fresh, Nonce: nonceOf(4), Epoch: 8},
	} {
		have := p.asked[i]
		if want.ExpiresMs = have.ExpiresMs; have != want || have.ExpiresMs == 0 {
			t.Errorf("appraised again for %+v, want %+v", have, want)
		}
	}
}

// TestWhateverIsChangedInThePastIsToldByItsPlace.
func TestWhateverIsChangedInThePastIsToldByItsPlace(t *testing.T) {
	fact := func(p *past) *v1.PassAttestation {
		return p.entries[3].GetAnswer().Facts[0].GetAttestationPassed()
	}
	archived := func(p *past) *v1.AttestationResult { return p.results[nonceOf(1)][0] }
	proven := func(p *past) *v1.AttestationResult { return p.proves[domain.Digest(archived(p).EvidenceDigest)] }
	for name, test := range map[string]struct {
		change func(p *past)
		says   string
	}{
		"the window in the ledger":         {func(p *past) { fact(p).ValidUntilMs++ }, "leads to another claim"},
		"the image in the ledger":          {func(p *past) { fact(p).ImageHash = make([]byte, 32) }, "leads to another claim"},
		"the evidence in the ledger":       {func(p *past) { fact(p).EvidenceDigest = make([]byte, 32) }, "leads to another claim"},
		"the policy in the ledger":         {func(p *past) { fact(p).PolicyDigest = make([]byte, 32) }, "leads to another claim"},
		"the challenge in the ledger":      {func(p *past) { fact(p).Challenge = make([]byte, 32) }, "a challenge that was not the last one"},
		"no result":                        {func(p *past) { clear(p.results) }, "no result is archived"},
		"only a result that says nothing":  {func(p *past) { p.results[nonceOf(1)] = []*v1.AttestationResult{untold()} }, "could not tell"},
		"no files":                         {func(p *past) { clear(p.files) }, "is not in the archive"},
		"no policy":                        {func(p *past) { delete(p.files, domain.Digest(archived(p).PolicyDigest)) }, "is not in the archive"},
		"other evidence":                   {func(p *past) { p.files[domain.Digest(archived(p).EvidenceDigest)] = []byte{1} }, "evidence: "},
		"what it proves: the status":       {func(p *past) { proven(p).Status = v1.AttestationStatus_ATTESTATION_STATUS_CONTRAINDICATED }, "status is"},
		"what it proves: the window":       {func(p *past) { proven(p).ValidUntilMs++ }, "valid_until_ms is"},
		"what it proves: a claim":          {func(p *past) { proven(p).Vector.Hardware = 32 }, "hardware is"},
		"what it proves: the image":        {func(p *past) { proven(p).ImageHash = make([]byte, 32) }, "image_hash is"},
		"what it proves: the chip":         {func(p *past) { proven(p).Chip = []byte{1} }, "chip is"},
		"what it proves: the level":        {func(p *past) { proven(p).Tcb = "old" }, "tcb is"},
		"what it proves: a check":          {func(p *past) { proven(p).Checks = failing().Checks }, "checks that do not hold is"},
		"appraised before it was asked":    {func(p *past) { archived(p).IssuedAtMs -= 120_000 }, "before the challenge"},
		"appraised after the ledger spoke": {func(p *past) { archived(p).IssuedAtMs += 120_000 }, "after the ledger took the result"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPast(t)
			p.attests("one", 1, passing())
			p.attests("two", 2, failing())
			if report := p.audit(); !report.OK() {
				t.Fatalf("%+v", report)
			}
			test.change(p)
			report := p.audit()
			if report.OK() || report.First[0].Position != "0/3/1" || report.First[0].Worker != id("one") || !strings.Contains(report.First[0].Says, test.says) {
				t.Errorf("%+v, want %q", report, test.says)
			}
		})
	}
}

// TestOtherWordsAreNoDifference: a later program may word a check otherwise, and make more of them.
func TestOtherWordsAreNoDifference(t *testing.T) {
	p := newPast(t)
	r := p.attests("two", 2, failing())
	again := p.proves[domain.Digest(r.EvidenceDigest)]
	again.Checks[1].Says = "in other words"
	again.Checks = append(again.Checks, &v1.AttestationCheck{Name: "snp/new", Outcome: v1.CheckOutcome_CHECK_OUTCOME_PASS})
	if report := p.audit(); !report.OK() {
		t.Errorf("%+v", report)
	}
}
