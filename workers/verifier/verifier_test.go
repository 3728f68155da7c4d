package verifier_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/signing"
	v1 "github.com/filature/filature/schemas/filature/v1"
	"github.com/filature/filature/workers/courier"
	"github.com/filature/filature/workers/verifier"
)

var (
	network = domain.NetworkID(sha256.Sum256([]byte("network")))
	workers = map[string]ed25519.PrivateKey{
		"one": ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, 32)), "two": ed25519.NewKeyFromSeed(bytes.Repeat([]byte{2}, 32)),
	}
)

func id(name string) domain.WorkerID { return sha256.Sum256([]byte(name)) }

// world plays all that a verifier works with, and fails the test where it is used in a way that would do harm.
type world struct {
	t       *testing.T
	now     time.Time
	book    *verifier.Book // of the verifier that was made last
	counted atomic.Int32

	mu        sync.Mutex
	results   []*v1.AttestationResult // what the next appraisals come to; the last one stays
	appraised []domain.Challenge
	inside    int // appraisals under way
	most      int
	hold      chan struct{}
	fetched   []string
	fetch     error
	kept      map[domain.Digest]bool
	keep      error
	// keptAnyway: what fails is kept all the same.
	keptAnyway bool
	claims     []*v1.Claim
	report     error
}

func newWorld(t *testing.T) *world {
	t.Helper()
	return &world{t: t, now: time.UnixMilli(1_795_000_000_000), kept: map[domain.Digest]bool{}}
}

func (w *world) verifier() *verifier.Verifier {
	w.book = new(verifier.Book)
	return verifier.New(verifier.Config{
		Network: network, Book: w.book, Appraiser: w, Fetcher: w, Directory: w, Archive: w, Reporter: w,
		Now: func() time.Time { return w.now }, Concurrency: 2, Appraised: func(*v1.AttestationResult) { w.counted.Add(1) },
	})
}

func (w *world) Key(_ context.Context, worker domain.WorkerID) (domain.KeyID, bool, error) {
	for name, key := range workers {
		if id(name) == worker {
			return signing.KeyOf(key), true, nil
		}
	}
	return domain.KeyID{}, false, nil
}

func (w *world) Appraise(challenge domain.Challenge, _ *v1.Evidence, now time.Time) *v1.AttestationResult {
	w.mu.Lock()
	w.appraised = append(w.appraised, challenge)
	w.inside++
	w.most = max(w.most, w.inside)
	result := w.results[0]
	if len(w.results) > 1 {
		w.results = w.results[1:]
	}
	hold := w.hold
	w.mu.Unlock()
	if hold != nil {
		<-hold
	}
	w.mu.Lock()
	w.inside--
	w.mu.Unlock()
	said := proto.CloneOf(result)
	said.Worker, said.Challenge, said.IssuedAtMs = challenge.Worker[:], challenge.Nonce[:], now.UnixMilli()
	if said.ValidUntilMs != 0 {
		said.ValidUntilMs = now.Add(time.Hour).UnixMilli()
	}
	return said
}

func (w *world) Fetch(_ context.Context, name string) error {
	w.fetched = append(w.fetched, name)
	return w.fetch
}

func (w *world) Keep(_ context.Context, evidence []byte, _ *v1.AttestationResult) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.keep == nil || w.keptAnyway {
		w.kept[sha256.Sum256(evidence)] = true
	}
	return w.keep
}

func (w *world) Report(_ context.Context, shard domain.Shard, claims ...*v1.Claim) (domain.Offset, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if shard != domain.Control {
		w.t.Errorf("a claim for shard %d", shard)
	}
	if len(w.kept) == 0 {
		w.t.Error("a claim names evidence that is not kept")
	}
	if w.report == nil || w.keptAnyway {
		w.claims = append(w.claims, claims...)
	}
	return domain.Offset(len(w.claims)), w.report
}

// Results of each kind.
func passing() *v1.AttestationResult {
	return &v1.AttestationResult{
		Status: v1.AttestationStatus_ATTESTATION_STATUS_AFFIRMING, EvidenceDigest: make([]byte, 32), PolicyDigest: make([]byte, 32),
		ImageHash: bytes.Repeat([]byte{7}, 32), ValidUntilMs: 1,
	}
}

func failing() *v1.AttestationResult {
	return &v1.AttestationResult{
		Status: v1.AttestationStatus_ATTESTATION_STATUS_CONTRAINDICATED, EvidenceDigest: make([]byte, 32), PolicyDigest: make([]byte, 32),
		Checks: []*v1.AttestationCheck{
			{Name: "snp/format", Outcome: v1.CheckOutcome_CHECK_OUTCOME_PASS},
			{Name: "snp/debug", Outcome: v1.CheckOutcome_CHECK_OUTCOME_FAIL, Says: "the guest is open"},
			{Name: "image/known", Outcome: v1.CheckOutcome_CHECK_OUTCOME_FAIL, Says: "the image is unknown"},
		},
	}
}

func untold() *v1.AttestationResult {
	return &v1.AttestationResult{
		Status: v1.AttestationStatus_ATTESTATION_STATUS_NONE, EvidenceDigest: make([]byte, 32), PolicyDigest: make([]byte, 32),
		Collateral: []*v1.CollateralUse{
			{Name: "there", Digest: make([]byte, 32)}, {Name: "amd/Genoa/vcek.crl"}, {Name: "intel/root.crl", Digest: make([]byte, 32), Unusable: true},
		},
		Checks: []*v1.AttestationCheck{{Name: "snp/revocation", Outcome: v1.CheckOutcome_CHECK_OUTCOME_FAULT, Says: "the verifier lacks amd/Genoa/vcek.crl"}},
	}
}

func nonceOf(n byte) domain.Digest { return domain.Digest(bytes.Repeat([]byte{n}, 32)) }

// entry is an entry of control's ledger.
func (w *world) entry(offset int64, facts ...*v1.Fact) *v1.Entry {
	first := &v1.Fact{Claim: 1, Body: &v1.Fact_Rejection{Rejection: &v1.Rejection{Reason: v1.Reason_REASON_UNKNOWN_JOB}}}
	return &v1.Entry{Offset: offset, AtMs: w.now.UnixMilli(), Body: &v1.Entry_Answer{Answer: &v1.Answer{
		IntakeDigest: make([]byte, 32), Facts: append([]*v1.Fact{first}, facts...),
	}}}
}

func (w *world) challenged(worker string, nonce domain.Digest) *v1.Fact {
	name := id(worker)
	return &v1.Fact{Claim: 2, Body: &v1.Fact_AttestationChallenged{AttestationChallenged: &v1.ChallengeAttestation{
		Worker: name[:], Challenge: nonce[:], ExpiresAtMs: w.now.Add(verifier.ChallengeLife).UnixMilli(),
	}}}
}

// answer is the message of an answer.
func (w *world) answer(worker string, nonce domain.Digest, edits ...func(*v1.AttestationAnswer)) *message.Message {
	w.t.Helper()
	name := id(worker)
	answer := &v1.AttestationAnswer{
		Network: network[:], Worker: name[:], Challenge: nonce[:], Evidence: &v1.Evidence{Tee: v1.Tee_TEE_TDX, Report: []byte("a quote")},
	}
	for _, edit := range edits {
		edit(answer)
	}
	raw, err := signing.Answer(workers[worker], answer)
	if err != nil {
		w.t.Fatal(err)
	}
	return message.NewMessage("answer", raw)
}

// asked has the last verifier's book hear of a challenge.
func (w *world) asked(worker string, nonce domain.Digest, offset int64) {
	w.book.Hear(domain.Offset(offset), w.entry(offset, w.challenged(worker, nonce)))
}

func TestAnAnswerBecomesTheClaimThatItsEvidenceDeserves(t *testing.T) {
	for name, test := range map[string]struct {
		result *v1.AttestationResult
		check  func(*v1.Claim) bool
	}{
		"pass": {passing(), func(c *v1.Claim) bool {
			p := c.GetPassAttestation()
			worker := id("one")
			return p != nil && bytes.Equal(p.Worker, worker[:]) && p.Challenge[0] == 9 && p.ImageHash[0] == 7 && p.ValidUntilMs > 0
		}},
		"fail": {failing(), func(c *v1.Claim) bool {
			f := c.GetFailAttestation()
			return f != nil && f.Reason == "snp/debug, image/known: the guest is open"
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.results = []*v1.AttestationResult{test.result}
			v := w.verifier()
			w.asked("one", nonceOf(9), 41)
			if err := v.HandleAnswer(t.Context(), w.answer("one", nonceOf(9))); err != nil {
				t.Fatal(err)
			}
			if len(w.claims) != 1 || !test.check(w.claims[0]) {
				t.Fatalf("claims %v", w.claims)
			}
			if err := w.claims[0].Check(); err != nil {
				t.Error(err)
			}
			if c := w.appraised[0]; c.Epoch != 41 || c.Key != signing.KeyOf(workers["one"]) || c.Network != network || c.Nonce != nonceOf(9) {
				t.Errorf("appraised against %+v", c)
			}
		})
	}
}

// TestWhatIsCheapIsCheckedBeforeAnythingIsAppraised: each refusal is final, and costs no appraisal.
func TestWhatIsCheapIsCheckedBeforeAnythingIsAppraised(t *testing.T) {
	for name, test := range map[string]struct {
		message func(w *world) *message.Message
		final   bool
	}{
		"garbage":             {func(*world) *message.Message { return message.NewMessage("x", []byte("garbage")) }, true},
		"too long":            {func(*world) *message.Message { return message.NewMessage("x", make([]byte, 1<<20)) }, true},
		"garbage that is one": {func(w *world) *message.Message { return message.NewMessage("x", signedGarbage(w.t)) }, true},
		"another network": {func(w *world) *message.Message {
			return w.answer("one", nonceOf(1), func(a *v1.AttestationAnswer) { a.Network = make([]byte, 32) })
		}, true},
		"an unknown worker": {func(w *world) *message.Message {
			return w.answer("one", nonceOf(1), func(a *v1.AttestationAnswer) { a.Worker = make([]byte, 32) })
		}, true},
		"in another worker's name": {func(w *world) *message.Message {
			name := id("two")
			return w.answer("one", nonceOf(1), func(a *v1.AttestationAnswer) { a.Worker = name[:] })
		}, true},
		"too late": {func(w *world) *message.Message {
			m := w.answer("one", nonceOf(1))
			w.now = w.now.Add(verifier.ChallengeLife)
			return m
		}, true},
		"another challenge": {func(w *world) *message.Message { return w.answer("one", nonceOf(2)) }, false},
		"no challenge":      {func(w *world) *message.Message { return w.answer("two", nonceOf(1)) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.results = []*v1.AttestationResult{passing()}
			v := w.verifier()
			w.asked("one", nonceOf(1), 1)
			err := v.HandleAnswer(t.Context(), test.message(w))
			if err == nil || errors.Is(err, courier.ErrRefused) != test.final || !test.final && !errors.Is(err, verifier.ErrNotYet) {
				t.Errorf("the error is %v", err)
			}
			if len(w.appraised)+len(w.claims) != 0 {
				t.Error("it was appraised")
			}
		})
	}
}

func signedGarbage(t *testing.T) []byte {
	t.Helper()
	raw, err := v1.Encode(&v1.SignedAnswer{Answer: []byte("garbage"), Signature: make([]byte, 64)})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// TestAChallengeCountsOnce, whoever sends the answer again; and a newer one takes its place.
func TestAChallengeCountsOnce(t *testing.T) {
	w := newWorld(t)
	w.results = []*v1.AttestationResult{passing()}
	v := w.verifier()
	w.asked("one", nonceOf(1), 1)
	for range 3 {
		if err := v.HandleAnswer(t.Context(), w.answer("one", nonceOf(1))); err != nil {
			t.Fatal(err)
		}
	}
	w.asked("one", nonceOf(1), 1) // the request again
	if err := v.HandleAnswer(t.Context(), w.answer("one", nonceOf(1))); err != nil {
		t.Fatal(err)
	}
	if len(w.appraised) != 1 || len(w.claims) != 1 {
		t.Errorf("%d appraisals, %d claims, want one of each", len(w.appraised), len(w.claims))
	}
	w.asked("one", nonceOf(2), 5)
	w.asked("one", nonceOf(1), 1) // an old request that comes late
	if err := v.HandleAnswer(t.Context(), w.answer("one", nonceOf(2))); err != nil || len(w.claims) != 2 {
		t.Errorf("%v, %d claims", err, len(w.claims))
	}
	if err := v.HandleAnswer(t.Context(), w.answer("one", nonceOf(1))); !errors.Is(err, verifier.ErrNotYet) {
		t.Errorf("an old challenge: %v", err)
	}
}

// TestTheVerifiersOwnFaultIsNoClaim: it fetches what it lacks and tries again, as often as it is told to, and a worker is
// not held to be too fast for that.
func TestTheVerifiersOwnFaultIsNoClaim(t *testing.T) {
	w := newWorld(t)
	w.results = []*v1.AttestationResult{untold()}
	v := w.verifier()
	w.asked("one", nonceOf(1), 1)
	w.fetch = errors.New("the vendor is away")
	for range 20 {
		err := v.HandleAnswer(t.Context(), w.answer("one", nonceOf(1)))
		if !errors.Is(err, verifier.ErrCantTell) || errors.Is(err, courier.ErrRefused) || !strings.Contains(err.Error(), "the vendor is away") {
			t.Fatalf("the error is %v", err)
		}
	}
	if len(w.claims) != 0 || len(w.fetched) != 40 || w.fetched[0] != "amd/Genoa/vcek.crl" || w.fetched[1] != "intel/root.crl" {
		t.Fatalf("claims %v, fetched %v", w.claims, w.fetched)
	}
	w.fetch, w.results = nil, []*v1.AttestationResult{untold(), passing()}
	if err := v.HandleAnswer(t.Context(), w.answer("one", nonceOf(1))); !errors.Is(err, verifier.ErrCantTell) {
		t.Fatal(err)
	}
	if err := v.HandleAnswer(t.Context(), w.answer("one", nonceOf(1))); err != nil || len(w.claims) != 1 {
		t.Fatalf("%v, claims %v", err, w.claims)
	}
}

// TestAVerifierThatCouldNotTellUntilTheEndSaysSo: its silence would let time run against the worker. The evidence is kept,
// as with any other claim, and the challenge is used up.
func TestAVerifierThatCouldNotTellUntilTheEndSaysSo(t *testing.T) {
	w := newWorld(t)
	w.results, w.fetch = []*v1.AttestationResult{untold()}, errors.New("the vendor is away")
	v := w.verifier()
	w.asked("one", nonceOf(1), 1)
	w.now = w.now.Add(verifier.ChallengeLife - 2*time.Minute - time.Second)
	if err := v.HandleAnswer(t.Context(), w.answer("one", nonceOf(1))); !errors.Is(err, verifier.ErrCantTell) || len(w.claims) != 0 {
		t.Fatalf("%v, claims %v: there is time to try again", err, w.claims)
	}
	w.now = w.now.Add(time.Second)
	w.report = errors.New("no answer")
	if err := v.HandleAnswer(t.Context(), w.answer("one", nonceOf(1))); !errors.Is(err, w.report) {
		t.Fatalf("%v, want the gateway's", err)
	}
	w.report = nil
	for range 2 { // once more does nothing
		if err := v.HandleAnswer(t.Context(), w.answer("one", nonceOf(1))); err != nil {
			t.Fatal(err)
		}
	}
	if len(w.claims) != 1 || len(w.kept) != 1 {
		t.Fatalf("%d claims, %d kept", len(w.claims), len(w.kept))
	}
	failed := w.claims[0].GetFailAttestation()
	if failed.GetFault() != v1.AttestationFault_ATTESTATION_FAULT_VERIFIER || failed.Reason != "snp/revocation: the verifier lacks amd/Genoa/vcek.crl" {
		t.Errorf("it claims %v", w.claims[0])
	}
	if err := w.claims[0].Check(); err != nil {
		t.Error(err)
	}
}

// TestEachWriteMayFailInBothWays: at the archive and at the gateway, lost, or kept although an error came back. Either way
// the same answer is handled again, and the ledger hears of nothing that the archive lacks.
func TestEachWriteMayFailInBothWays(t *testing.T) {
	for _, kept := range []bool{false, true} {
		for _, at := range []string{"archive", "gateway"} {
			t.Run(fmt.Sprintf("%s, kept %v", at, kept), func(t *testing.T) {
				w := newWorld(t)
				w.results, w.keptAnyway = []*v1.AttestationResult{passing()}, kept
				v := w.verifier()
				w.asked("one", nonceOf(1), 1)
				trouble := errors.New("no answer")
				w.keep, w.report = map[string]error{"archive": trouble}[at], map[string]error{"gateway": trouble}[at]
				if err := v.HandleAnswer(t.Context(), w.answer("one", nonceOf(1))); !errors.Is(err, trouble) || errors.Is(err, courier.ErrRefused) {
					t.Fatal(err)
				}
				before := len(w.claims)
				if want := map[bool]int{true: 1}[kept && at == "gateway"]; before != want {
					t.Fatalf("%d claims before the second try, want %d", before, want)
				}
				w.keep, w.report = nil, nil
				for range 2 { // and once more, which does nothing
					if err := v.HandleAnswer(t.Context(), w.answer("one", nonceOf(1))); err != nil {
						t.Fatal(err)
					}
				}
				// The ledger takes one result for a challenge, so the second of two is rejected.
				if len(w.claims) != before+1 || len(w.kept) != 1 {
					t.Errorf("%d claims, %d kept", len(w.claims), len(w.kept))
				}
				if int(w.counted.Load()) != len(w.appraised) {
					t.Errorf("%d of %d appraisals were counted", w.counted.Load(), len(w.appraised))
				}
			})
		}
	}
}

// TestWhoLearnsFromTheLedgerThatAClaimWasKeptDoesNotRepeatIt.
func TestWhoLearnsFromTheLedgerThatAClaimWasKeptDoesNotRepeatIt(t *testing.T) {
	w := newWorld(t)
	w.results, w.keptAnyway, w.report = []*v1.AttestationResult{passing()}, true, errors.New("no answer")
	v := w.verifier()
	w.asked("one", nonceOf(1), 1)
	if err := v.HandleAnswer(t.Context(), w.answer("one", nonceOf(1))); !errors.Is(err, w.report) {
		t.Fatal(err)
	}
	w.book.Hear(2, w.entry(2, &v1.Fact{Claim: 1, Body: &v1.Fact_AttestationPassed{AttestationPassed: w.claims[0].GetPassAttestation()}}))
	if err := v.HandleAnswer(t.Context(), w.answer("one", nonceOf(1))); err != nil || len(w.claims) != 1 {
		t.Errorf("%v, %d claims", err, len(w.claims))
	}
}

// TestAWorkerThatAnswersTooOftenIsSlowedDownAlone.
func TestAWorkerThatAnswersTooOftenIsSlowedDownAlone(t *testing.T) {
	w := newWorld(t)
	w.results = []*v1.AttestationResult{failing()}
	v := w.verifier()
	looked := 0
	for i := range 12 {
		w.asked("one", nonceOf(byte(i+1)), int64(i+1))
		err := v.HandleAnswer(t.Context(), w.answer("one", nonceOf(byte(i+1))))
		if err == nil {
			looked++
		} else if !errors.Is(err, courier.ErrRefused) {
			t.Fatal(err)
		}
	}
	if looked != 5 {
		t.Errorf("%d answers were looked at, want 5", looked)
	}
	w.asked("two", nonceOf(1), 50)
	if err := v.HandleAnswer(t.Context(), w.answer("two", nonceOf(1))); err != nil {
		t.Errorf("another worker: %v", err)
	}
	w.now = w.now.Add(5 * time.Minute)
	w.asked("one", nonceOf(99), 99)
	if err := v.HandleAnswer(t.Context(), w.answer("one", nonceOf(99))); err != nil {
		t.Errorf("later: %v", err)
	}
}

// TestNoMoreThanItMayAreAppraisedAtATime, and who waits leaves when its context ends.
func TestNoMoreThanItMayAreAppraisedAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.results, w.hold = []*v1.AttestationResult{passing()}, make(chan struct{})
		v := w.verifier()
		w.asked("one", nonceOf(1), 1)
		w.asked("two", nonceOf(2), 2)
		var group sync.WaitGroup
		for range 2 {
			group.Go(func() { _ = v.HandleAnswer(t.Context(), w.answer("one", nonceOf(1))) })
		}
		synctest.Wait()
		waits, leave := context.WithCancel(t.Context())
		group.Go(func() {
			if err := v.HandleAnswer(waits, w.answer("two", nonceOf(2))); !errors.Is(err, context.Canceled) {
				t.Errorf("who left: %v", err)
			}
		})
		synctest.Wait()
		leave()
		synctest.Wait()
		close(w.hold)
		group.Wait()
		if w.most != 2 {
			t.Errorf("%d at a time, want 2", w.most)
		}
	})
}

// TestEveryResultIsOneClaimOrNone: whatever the checks say, the claim is one that the ledger can read, a pass is never
// claimed of what does not hold, and our own fault never of a worker.
func TestEveryResultIsOneClaimOrNone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		statuses := []v1.AttestationStatus{
			v1.AttestationStatus_ATTESTATION_STATUS_NONE, v1.AttestationStatus_ATTESTATION_STATUS_AFFIRMING,
			v1.AttestationStatus_ATTESTATION_STATUS_WARNING, v1.AttestationStatus_ATTESTATION_STATUS_CONTRAINDICATED,
		}
		r := &v1.AttestationResult{
			Status: rapid.SampledFrom(statuses).Draw(t, "status"), Worker: make([]byte, 32), Challenge: make([]byte, 32),
			EvidenceDigest: make([]byte, 32), PolicyDigest: make([]byte, 32), ImageHash: make([]byte, 32), IssuedAtMs: 5,
		}
		good := r.Status == v1.AttestationStatus_ATTESTATION_STATUS_AFFIRMING || r.Status == v1.AttestationStatus_ATTESTATION_STATUS_WARNING
		if good && rapid.Bool().Draw(t, "accepted") {
			r.ValidUntilMs = 10
		}
		for range rapid.IntRange(0, 30).Draw(t, "checks") {
			r.Checks = append(r.Checks, &v1.AttestationCheck{
				Name: rapid.StringN(0, 20, 64).Draw(t, "name"), Says: rapid.StringN(0, 60, 200).Draw(t, "says"),
				Outcome: v1.CheckOutcome(rapid.IntRange(1, 4).Draw(t, "outcome")),
			})
		}
		claim, decided := verifier.Decide(r)
		if decided != (claim != nil) || claim != nil && claim.Check() != nil {
			t.Fatalf("claim %v, %v", claim, claim.Check())
		}
		if passes := claim.GetPassAttestation() != nil; passes != (r.ValidUntilMs > r.IssuedAtMs) {
			t.Fatalf("a pass: %v", passes)
		}
		if r.Status == v1.AttestationStatus_ATTESTATION_STATUS_NONE && decided {
			t.Fatal("a claim of what could not be told")
		}
		if r.Status == v1.AttestationStatus_ATTESTATION_STATUS_CONTRAINDICATED && claim.GetFailAttestation() == nil {
			t.Fatal("no failure of what does not hold")
		}
	})
}
