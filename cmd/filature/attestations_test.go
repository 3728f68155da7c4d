package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/filature/filature/adapters/attestation"
	"github.com/filature/filature/adapters/attestation/archive"
	"github.com/filature/filature/adapters/attestation/attestationtest"
	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/signing"
	"github.com/filature/filature/eventstore"
	"github.com/filature/filature/projections"
	v1 "github.com/filature/filature/schemas/filature/v1"
	"github.com/filature/filature/sdk"
	"github.com/filature/filature/workers/auditor"
	"github.com/filature/filature/workers/reporter"
)

// proving is a network whose workers run on machines of vendors that only tests believe.
type proving struct {
	*testing.T

	engine  *engine
	vendors *attestationtest.World
	gateway *sdk.HTTP
	url     string
	folder  string // collateral and archive are in it

	open     atomic.Bool // the vendor of Turin's list answers
	provider [32]byte
	model    domain.ModelID
	client   domain.ClientID
	account  domain.AccountID
	shard    domain.Shard
	jobs     uint64
	keys     map[string]ed25519.PrivateKey
}

// turinList is a file that the verifier lacks at first.
const turinList = "amd/Turin/vcek.crl"

var errAway = errors.New("the vendor is away")

// Fetch implements verifier.Fetcher.
func (p *proving) Fetch(_ context.Context, name string) error {
	if !p.open.Load() || name != turinList {
		return errAway
	}
	p.put(name)
	return nil
}

// put has a file in the folder of collateral.
func (p *proving) put(name string) {
	path := filepath.Join(p.folder, collateralDir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, p.vendors.Files(p)[name], 0o600)); err != nil {
		p.Error(err)
	}
}

// newProving prepares what a verifier goes by: a policy, collateral but for one file, and a fetcher that does not come
// through yet.
func newProving(t *testing.T) (*proving, *verifying) {
	t.Helper()
	p := &proving{T: t, vendors: attestationtest.NewWorld(t), folder: t.TempDir(), keys: map[string]ed25519.PrivateKey{}}
	for _, line := range p.vendors.AMD {
		line.Listed = time.Now().Add(-time.Hour)
	}
	p.put("amd/Genoa/vcek.crl")
	policy := filepath.Join(p.folder, "policy.yaml")
	text := strings.ReplaceAll(p.vendors.PolicyText(), "2027-06-01", "2099-06-01")
	if err := os.WriteFile(policy, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, id := range map[string][]byte{"model": p.model[:], "client": p.client[:], "account": p.account[:], "provider": p.provider[:]} {
		digest := sha256.Sum256([]byte(name))
		copy(id, digest[:])
	}
	return p, &verifying{
		policy: policy, collateral: filepath.Join(p.folder, collateralDir), archive: filepath.Join(p.folder, archiveDir),
		every: 50 * time.Millisecond, verifier: p.vendors.Verifier(), fetcher: p,
	}
}

// run runs an engine until the test ends, with a server before it.
func (p *proving) run(opened parts, some roles) {
	p.Helper()
	rules := defaultTerms()
	var err error
	p.engine, err = newEngine(p.Context(), opened, slog.New(slog.DiscardHandler), some, settleOptions{every: time.Hour}, &founding{
		name: "proving", terms: rules, delay: time.Second, vaultFloat: domain.Coin, treasuryFloat: 100 * domain.Coin,
	})
	if err != nil {
		p.Fatal(err)
	}
	listener, err := new(net.ListenConfig).Listen(p.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		p.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(p.Context()))
	done := make(chan error, 1)
	go func() { done <- p.engine.serve(ctx, listener) }()
	p.Cleanup(func() {
		stop()
		if err := errors.Join(<-done, p.engine.close()); err != nil {
			p.Error(err)
		}
	})
	p.url = "http://" + listener.Addr().String()
	if p.gateway, err = sdk.NewHTTP(p.url, nil); err != nil {
		p.Fatal(err)
	}
	p.until(func() bool {
		select {
		case err := <-done:
			done <- err
			p.Fatalf("it ended: %v", err)
		case <-p.engine.ready:
			return true
		default:
		}
		return false
	})
	p.shard = domain.ShardOf(p.account, p.engine.dataShards())
}

func (p *proving) until(holds func() bool) {
	p.Helper()
	eventually(p.T, holds)
}

// key is somebody's key.
func (p *proving) key(who string) ed25519.PrivateKey {
	if p.keys[who] == nil {
		seed := sha256.Sum256([]byte(who))
		p.keys[who] = ed25519.NewKeyFromSeed(seed[:])
	}
	return p.keys[who]
}

func (p *proving) worker(name string) domain.WorkerID { return sha256.Sum256([]byte("worker " + name)) }

// say reports claims with a key, and waits for their answers.
func (p *proving) say(key ed25519.PrivateKey, shard domain.Shard, claims ...*v1.Claim) {
	p.Helper()
	at, err := reporter.New(key, p.engine.network, p.engine.gateway, time.Now).Report(p.Context(), shard, claims...)
	if err == nil {
		err = p.engine.books.answered(p.Context(), shard, at)
	}
	if err != nil {
		p.Fatal(err)
	}
}

// register makes everybody known; pay waits for attestation.
func (p *proving) register(names ...string) {
	p.Helper()
	owner, client := signing.KeyOf(p.key("provider")), signing.KeyOf(p.key("client"))
	p.say(p.engine.keys.of("operator"), domain.Control,
		&v1.Claim{Body: &v1.Claim_ListModel{ListModel: &v1.ListModel{Model: p.model[:], Name: "Qwen/Qwen3-8B"}}},
		&v1.Claim{Body: &v1.Claim_RegisterClient{RegisterClient: &v1.RegisterClient{Client: p.client[:], Key: client[:], Name: "client"}}},
		&v1.Claim{Body: &v1.Claim_RegisterProvider{RegisterProvider: &v1.RegisterProvider{Provider: p.provider[:], Key: owner[:], Name: "provider"}}},
		&v1.Claim{Body: &v1.Claim_SetHoldPolicy{SetHoldPolicy: &v1.SetHoldPolicy{
			ReattestWithinMs: time.Hour.Milliseconds(), AppealWithinMs: time.Hour.Milliseconds(),
		}}})
	var fleet []*v1.Claim
	for _, name := range names {
		worker, key := p.worker(name), signing.KeyOf(p.key(name))
		fleet = append(fleet,
			&v1.Claim{Body: &v1.Claim_RegisterWorker{RegisterWorker: &v1.RegisterWorker{Worker: worker[:], Provider: p.provider[:], Key: key[:]}}},
			&v1.Claim{Body: &v1.Claim_SetOffer{SetOffer: &v1.SetOffer{Worker: worker[:], Model: p.model[:], Coefficient: 1000}}})
	}
	p.say(p.key("provider"), domain.Control, fleet...)
	p.say(p.key("client"), p.shard, &v1.Claim{Body: &v1.Claim_OpenAccount{OpenAccount: &v1.OpenAccount{Account: p.account[:], Client: p.client[:]}}})
}

// works has a worker do a job.
func (p *proving) works(name string) domain.JobID {
	p.Helper()
	p.jobs++
	job, worker := domain.JobIDOf(p.account, p.jobs), p.worker(name)
	p.say(p.key("client"), p.shard, &v1.Claim{Body: &v1.Claim_SubmitJob{SubmitJob: &v1.SubmitJob{
		Account: p.account[:], Number: p.jobs, Model: p.model[:], MaxPromptTokens: 10, MaxCompletionTokens: 10, MaxCoefficient: 1000, TimeoutMs: 600_000,
	}}})
	p.say(p.engine.keys.of("proxy"), p.shard, &v1.Claim{Body: &v1.Claim_AssignJob{AssignJob: &v1.AssignJob{Job: job[:], Worker: worker[:]}}})
	p.say(p.key(name), p.shard, &v1.Claim{Body: &v1.Claim_StartJob{StartJob: &v1.StartJob{Job: job[:]}}},
		&v1.Claim{Body: &v1.Claim_CompleteJob{CompleteJob: &v1.CompleteJob{Job: job[:], Usage: &v1.Usage{PromptTokens: 5, CompletionTokens: 5}}}})
	return job
}

// hold is what became of the pay of a job, by its shard, which hears of attestation only when somebody speaks.
func (p *proving) hold(job domain.JobID) (state string) {
	p.Helper()
	p.say(p.engine.keys.of("clock"), p.shard, &v1.Claim{Body: &v1.Claim_Tick{Tick: &v1.Tick{}}})
	err := p.engine.store.Read(p.Context(), func(reader projections.Reader) error {
		hold, err := reader.Hold(p.Context(), job)
		state = hold.State
		return err
	})
	if err != nil {
		p.Fatal(err)
	}
	return state
}

// asked waits until a worker is asked something that it has not answered yet.
func (p *proving) asked(name string) (c domain.Challenge) {
	p.Helper()
	p.until(func() bool {
		var err error
		c, err = p.gateway.Challenge(p.Context(), p.worker(name), signing.KeyOf(p.key(name)))
		if err != nil && !errors.Is(err, sdk.ErrNotAsked) {
			p.Fatal(err)
		}
		return err == nil
	})
	return c
}

// answers has a worker answer, on a machine of a line.
func (p *proving) answers(name, line string, edits ...func([]byte)) (c domain.Challenge, evidence *v1.Evidence) {
	p.Helper()
	c = p.asked(name)
	evidence = p.vendors.AMD[line].Evidence(p, c, nil, edits...)
	if err := p.gateway.Answer(p.Context(), p.key(name), c, evidence); err != nil {
		p.Fatal(err)
	}
	return c, evidence
}

// results are what the ledger has taken for a challenge.
func (p *proving) results(challenge domain.Digest) (facts []*v1.Fact) {
	p.Helper()
	end, err := p.engine.ledger.End(p.Context(), domain.Control)
	if err == nil {
		err = eventstore.Each(p.Context(), p.engine.ledger, domain.Control, 0, end, func(rec eventstore.Record) error {
			entry, err := eventstore.DecodeEntry(domain.Control, rec)
			for _, fact := range entry.GetAnswer().GetFacts() {
				if bytes.Equal(fact.GetAttestationPassed().GetChallenge(), challenge[:]) || bytes.Equal(fact.GetAttestationFailed().GetChallenge(), challenge[:]) {
					facts = append(facts, fact)
				}
			}
			return err
		})
	}
	if err != nil {
		p.Fatal(err)
	}
	return facts
}

// result waits for the ledger's word on a challenge.
func (p *proving) result(challenge domain.Digest) *v1.Fact {
	p.Helper()
	var facts []*v1.Fact
	p.until(func() bool {
		facts = p.results(challenge)
		return len(facts) > 0
	})
	return facts[0]
}

// story is what happens to three workers on any engine.
func (p *proving) story() {
	p.register("honest", "altered", "early")
	p.say(p.engine.keys.of("watcher"), p.shard, &v1.Claim{Body: &v1.Claim_ObserveDeposit{ObserveDeposit: &v1.ObserveDeposit{
		Account: p.account[:], AmountNano: int64(domain.Coin), TxHash: make([]byte, 32), Lt: 1,
	}}})
	jobs := map[string]domain.JobID{}
	for _, name := range []string{"honest", "altered", "early"} {
		jobs[name] = p.works(name)
		if state := p.hold(jobs[name]); state != projections.HoldWaiting {
			p.Fatalf("the pay of a worker that has shown nothing is %s", state)
		}
	}
	// One on a genuine machine with an allowed image passes, and its pay is released.
	c, evidence := p.answers("honest", "Genoa")
	passed := p.result(c.Nonce).GetAttestationPassed()
	raw, err := v1.Encode(evidence)
	if err != nil {
		p.Fatal(err)
	}
	digest := sha256.Sum256(raw)
	if passed == nil || !bytes.Equal(passed.EvidenceDigest, digest[:]) || passed.ValidUntilMs < time.Now().Add(50*time.Minute).UnixMilli() {
		p.Fatalf("the honest worker's result is %v", passed)
	}
	p.until(func() bool { return p.hold(jobs["honest"]) == projections.HoldReleased })
	// The same answer again is told that it was heard, and changes nothing.
	if err := p.gateway.Answer(p.Context(), p.key("honest"), c, evidence); err != nil {
		p.Error(err)
	}
	// Nobody answers in another one's name.
	forged := p.asked("altered")
	var refused interface{ Permanent() bool }
	if err := p.gateway.Answer(p.Context(), p.key("honest"), forged, evidence); !errors.As(err, &refused) ||
		!strings.Contains(err.Error(), "is not signed by the worker") {
		p.Errorf("a forged answer: %v", err)
	}

	// One whose image was altered fails, with the check named, and its pay waits.
	c, _ = p.answers("altered", "Genoa", func(report []byte) { report[0x90] ^= 1 })
	failed := p.result(c.Nonce).GetAttestationFailed()
	if !strings.HasPrefix(failed.GetReason(), "image/known: ") || failed.Fault == v1.AttestationFault_ATTESTATION_FAULT_VERIFIER {
		p.Fatalf("the altered worker's result is %v", failed)
	}
	if state := p.hold(jobs["altered"]); state != projections.HoldWaiting {
		p.Errorf("the pay of a worker that failed is %s", state)
	}

	// One whose machine the verifier can't check yet hears nothing, and holds nobody up, until it can.
	early, _ := p.answers("early", "Turin")
	p.until(func() bool { return p.metric("filature_verifier_appraisals_total", "cant_tell") >= 2 })
	if p.metric("filature_verifier_faults_total", "snp/revocation") < 2 || len(p.results(early.Nonce)) != 0 {
		p.Error("the verifier's own fault is not counted as that")
	}
	p.open.Store(true)
	if p.result(early.Nonce).GetAttestationPassed() == nil {
		p.Fatal("it does not pass although it could be checked")
	}
	p.until(func() bool { return p.hold(jobs["early"]) == projections.HoldReleased })
	if n := len(p.results(c.Nonce)) + len(p.results(early.Nonce)); n != 2 {
		p.Errorf("two challenges have %d results", n)
	}
	for _, outcome := range []string{"taken", "answered", "not_signed"} {
		if p.metric("filature_verifier_answers_total", outcome) == 0 {
			p.Errorf("no answer is counted as %s", outcome)
		}
	}
	p.until(func() bool { return p.metric("filature_verifier_answers_under_way", "") == 0 })
}

// metric is the value of a metric with a label's value.
func (p *proving) metric(name, label string) (value float64) {
	p.Helper()
	families, err := p.engine.metrics.registry.Gather()
	if err != nil {
		p.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, metric := range family.GetMetric() {
			if label == "" || metric.GetLabel()[0].GetValue() == label {
				value += metric.GetCounter().GetValue() + metric.GetGauge().GetValue()
			}
		}
	}
	return value
}

// garbage gets behind the door, as what is on a topic may come from anybody who can write there.
func (p *proving) garbage() {
	p.Helper()
	m := message.NewMessage("garbage", []byte("garbage"))
	if err := p.engine.answers.publisher.Publish(p.engine.answers.topic, m); err != nil {
		p.Fatal(err)
	}
}

func (p *proving) audit(believes *attestation.Verifier) string {
	p.Helper()
	var text bytes.Buffer
	report, err := auditAttestations(p.Context(), p.engine.ledger, archive.Open(filepath.Join(p.folder, archiveDir)), believes, &console{out: &text, err: &text})
	if err != nil {
		p.Fatal(err)
	}
	text.Reset()
	if err := auditor.WriteText(&text, auditor.Report{Attestations: report}); err != nil {
		p.Fatal(err)
	}
	return text.String()
}

// auditIsRight audits what the story left: as it is, and with each archived file changed.
func (p *proving) auditIsRight() {
	said := p.audit(p.vendors.Verifier())
	for _, part := range []string{
		"Attestations: PASS", "3 results in the ledger, 2 passed, 1 failed, 0 where the verifier could not tell; 3 borne out", "test-2026-11: 3 results",
	} {
		if !strings.Contains(said, part) {
			p.Fatalf("it does not say %q:\n%s", part, said)
		}
	}
	if said = p.audit(attestation.New()); !strings.Contains(said, "Attestations: FAIL") || !strings.Contains(said, "status is ATTESTATION_STATUS_AFFIRMING") {
		p.Errorf("by AMD's own keys:\n%s", said)
	}
	var files []string
	for _, pattern := range []string{"files/*/*", "results/*/*/*"} {
		found, err := filepath.Glob(filepath.Join(p.folder, archiveDir, pattern))
		if err != nil {
			p.Fatal(err)
		}
		files = append(files, found...)
	}
	if len(files) < 9 {
		p.Errorf("only %d files are archived", len(files))
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			p.Fatal(err)
		}
		changed := slices.Clone(content)
		changed[len(changed)/2] ^= 1
		if err := os.WriteFile(file, changed, 0o600); err != nil {
			p.Fatal(err)
		}
		if said = p.audit(p.vendors.Verifier()); !strings.Contains(said, "Attestations: FAIL") || !strings.Contains(said, "is not what its name says") {
			p.Errorf("with %s changed:\n%s", file, said)
		}
		if err := os.WriteFile(file, content, 0o600); err != nil {
			p.Fatal(err)
		}
	}
}

func TestWorkersProveWhatTheyRunInAFolder(t *testing.T) {
	t.Parallel()
	p, v := newProving(t)
	dir := filepath.Join(p.folder, "data")
	opened, err := openEmbedded(t.Context(), dir, 2, chainFlags{}, time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	opened.verifyHere(dir, verifyFlags{})
	opened.verifying = v
	p.run(opened, rolesOf(roleGateway, roleClerk, roleProjector, roleVerifier))
	p.story()
	p.garbage()
	aside := filepath.Join(dir, poisonDir, "verifier-garbage.json")
	p.until(func() bool {
		text, err := os.ReadFile(aside)
		return err == nil && bytes.Contains(text, []byte("is malformed")) && bytes.Contains(text, []byte(`"Z2FyYmFnZQ=="`))
	})
	p.auditIsRight()
}

func TestWorkersProveWhatTheyRunOnKafkaAndPostgreSQL(t *testing.T) {
	t.Parallel()
	p, v := newProving(t)
	s := newSite(t)
	file := s.config(t)
	c, err := loadConfig(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	opened, err := openServersAndFolder(t.Context(), c, s.dir)
	if err == nil {
		err = opened.openAnswers(t.Context(), c)
	}
	if err != nil {
		t.Fatal(errors.Join(err, opened.close()))
	}
	opened.verifying = v
	p.run(opened, rolesOf(roleGateway, roleClerk, roleProjector, roleRelay, roleVerifier))
	p.story()
	p.garbage()
	list := func() []string {
		return strings.Split(strings.TrimSpace(invoke(t, "poison", "list", "--config", file, "--json").want(t, exitOK).stdout), "\n")
	}
	p.until(func() bool { return strings.Contains(list()[0], `"id":"garbage"`) })
	if all := list(); len(all) != 1 || !strings.Contains(all[0], `"handler":"verifier"`) || !strings.Contains(all[0], "is malformed") {
		t.Errorf("put aside: %v", all)
	}
	invoke(t, "poison", "replay", "--config", file, "--id", "garbage").want(t, exitOK, "back to "+c.stream(answersTopic))
	p.until(func() bool { return p.metric("filature_courier_poisoned_messages_total", "verifier") == 2 }) // it is garbage still
	if all := list(); len(all) != 1 {
		t.Errorf("put aside after the replay: %v", all)
	}
	p.auditIsRight()
}

// TestADoorTellsWhyItDoesNotTake, by the status that docs/http.md gives it.
func TestADoorTellsWhyItDoesNotTake(t *testing.T) {
	t.Parallel()
	p, v := newProving(t)
	opened, err := openEmbedded(t.Context(), filepath.Join(p.folder, "data"), 1, chainFlags{}, time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	opened.verifyHere(p.folder, verifyFlags{})
	opened.verifying = v
	p.run(opened, rolesOf(roleGateway, roleClerk, roleProjector, roleVerifier))
	p.register("honest")
	c := p.asked("honest")
	other := c
	other.Nonce[0] ^= 1
	answer := func(key string, c domain.Challenge) []byte {
		raw, err := signing.Answer(p.key(key), &v1.AttestationAnswer{
			Network: c.Network[:], Worker: c.Worker[:], Challenge: c.Nonce[:], Evidence: &v1.Evidence{Tee: v1.Tee_TEE_TDX},
		})
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	nobody := c
	nobody.Worker[0] ^= 1
	s := &served{url: p.url}
	for name, test := range map[string]struct {
		body   []byte
		status int
	}{
		"garbage": {[]byte("garbage"), http.StatusBadRequest}, "forged": {answer("client", c), http.StatusForbidden},
		"nobody": {answer("honest", nobody), http.StatusNotFound}, "another challenge": {answer("honest", other), http.StatusConflict},
		"too large": {make([]byte, 1<<20), http.StatusRequestEntityTooLarge},
	} {
		var said struct{ Error string }
		if status := s.ask(t, http.MethodPost, "/v1/attestation/answers", test.body, &said); status != test.status || said.Error == "" {
			t.Errorf("%s: status %d, %q, want %d", name, status, said.Error, test.status)
		}
	}
	for path, want := range map[string]int{
		fmt.Sprintf("/v1/workers/%s/challenge", nobody.Worker): http.StatusNotFound, "/v1/workers/x/challenge": http.StatusBadRequest,
	} {
		if status := s.ask(t, http.MethodGet, path, nil, nil); status != want {
			t.Errorf("%s: status %d, want %d", path, status, want)
		}
	}
}

// TestAnAuditOfAttestationsIsPartOfTheVerdict: what a verifier says without evidence is in the ledger, and not borne out.
func TestAnAuditOfAttestationsIsPartOfTheVerdict(t *testing.T) {
	t.Parallel()
	p, v := newProving(t)
	dir := filepath.Join(p.folder, "data")
	opened, err := openEmbedded(t.Context(), dir, 1, chainFlags{}, time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	opened.verifyHere(dir, verifyFlags{})
	v.archive = opened.verifying.archive
	opened.verifying = v
	p.run(opened, rolesOf(roleGateway, roleClerk, roleProjector, roleVerifier))
	audit := func() answer { return invoke(t, "audit", "--data", dir, "--attestations") }
	audit().want(t, exitOK, "Verdict: PASS", "Attestations: PASS", "0 results in the ledger")
	p.register("honest")
	c := p.asked("honest")
	p.say(p.engine.keys.of("verifier"), domain.Control, &v1.Claim{Body: &v1.Claim_PassAttestation{PassAttestation: &v1.PassAttestation{
		Worker: c.Worker[:], Challenge: c.Nonce[:], EvidenceDigest: make([]byte, 32), PolicyDigest: make([]byte, 32), ImageHash: make([]byte, 32),
		ValidUntilMs: time.Now().Add(time.Hour).UnixMilli(),
	}}})
	without := []string{
		"Attestations: FAIL", "no result is archived for its challenge", "of 1 something is missing in the archive",
		"Verdict: FAIL. 1 attestation results are not borne out",
	}
	audit().want(t, exitNo, without...)
	page := filepath.Join(p.folder, "report.html")
	said := invoke(t, "audit", "--data", dir, "--attestations", "--html", page, "--json").want(t, exitNo)
	if r := decoded[auditor.Report](t, said); r.Verdict != auditor.Fail || r.Attestations.Missing != 1 || r.Attestations.Offences != 1 || len(r.Offences) != 0 {
		t.Errorf("%+v", r.Attestations)
	}
	raw, err := os.ReadFile(page)
	if err != nil || !bytes.Contains(raw, []byte("no result is archived for its challenge")) {
		t.Errorf("the page does not say what is missing: %v", err)
	}
	invoke(t, "audit", "--data", dir).want(t, exitOK, "Verdict: PASS")

	// The logs and the evidence are handed over apart; who has both comes to the same.
	for _, out := range []string{filepath.Join(p.folder, "handed"), filepath.Join(p.folder, "handed.tar")} {
		exported(t, dir, out)
		invoke(t, "audit", "--logs", out, "--attestations", "--archive", v.archive).want(t, exitNo, without...)
		invoke(t, "audit", "--logs", out, "--attestations").want(t, exitUsage, "--archive")
	}
	invoke(t, "audit", "--data", dir, "--archive", p.folder).want(t, exitUsage, "goes with --attestations")
}
