package ledger

import (
	"fmt"
	"testing"

	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// lives is intake of whole job lifecycles: submit, assign, start, meter, complete, by three signers, in
// reports of so many claims. Each report has claims of one signer, as a backend, a proxy and a worker
// would batch them.
type lives struct {
	*script
	offset  domain.Offset
	records []intakeRecord
}

func newLives(t failer, reports, claimsEach int, judged bool) *lives {
	l := &lives{script: newScript(t)}
	l.play(`use standard
admin: set_network max_job_timeout_ms=10m max_open_jobs=100_000 maturity_bucket_ms=1m payout_threshold_nano=100n batch_payees=100`)
	if judged {
		l.play(`admin: set_hold_policy reattest_within_ms=1h appeal_within_ms=1h
admin: set_reputation_policy
w1: set_offer worker=w1 model=deepseek coefficient=1000 finish_within_ms=1h
verifier: challenge_attestation worker=w1 challenge=c expires_at_ms=@1m
& pass_attestation worker=w1 challenge=c evidence_digest=e policy_digest=p image_hash=i valid_until_ms=@24h`)
	}
	l.pin(1)
	l.offset = l.states[1].NextIntake()
	job := 0
	for len(l.records) < reports {
		for _, stage := range []struct{ signer, claim string }{
			{"telegram", "submit_job account=A number=%d model=deepseek max_prompt_tokens=100 max_completion_tokens=200 max_coefficient=1000 timeout_ms=5m"},
			{"proxy", "assign_job job=A/%d worker=w1"},
			{"w1", "start_job job=A/%d"},
			{"w1", "meter_job job=A/%d usage=34/11/50/10"},
			{"w1", "complete_job job=A/%d usage=34/11/100/10"},
		} {
			var claims []*v1.Claim
			for n := range claimsEach {
				claims = append(claims, l.claim(fmt.Sprintf(stage.claim, job+n+1)))
			}
			l.records = append(l.records, intakeRecord{
				atMs: l.nowMs + int64(len(l.records)/100), value: l.record(l.report(1, l.keyOf(stage.signer), claims...)), signed: true,
			})
		}
		job += claimsEach
	}
	return l
}

// decide answers all records from the state that the network was set up with, and returns the entries.
func (l *lives) decide(tb testing.TB, state *State, keep bool) (raws [][]byte) {
	var buf []byte
	for i, record := range l.records {
		said, _ := Read(l.offset+domain.Offset(i), record.atMs, record.value)
		said.Signed = true
		entry, err := state.Step(said)
		if err != nil {
			tb.Fatal(err)
		}
		if buf, err = v1.AppendEncoded(buf[:0], entry); err != nil {
			tb.Fatal(err)
		}
		if keep {
			raws = append(raws, append([]byte(nil), buf...))
		}
	}
	return raws
}

// BenchmarkDecide is decoding reports, deciding claims and encoding entries, without signatures.
func BenchmarkDecide(b *testing.B) {
	for _, size := range []struct {
		claimsEach int
		judged     bool
	}{{1, false}, {64, false}, {64, true}} {
		b.Run(fmt.Sprintf("claims=%d/judged=%t", size.claimsEach, size.judged), func(b *testing.B) {
			claimsEach := size.claimsEach
			lives := newLives(b, 20_000/claimsEach, claimsEach, size.judged)
			claims := len(lives.records) * claimsEach
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				state := lives.replay(1, len(lives.ledger[1]))
				b.StartTimer()
				lives.decide(b, state, false)
			}
			perClaim(b, claims, "claims/s")
		})
	}
}

// BenchmarkReplay is decoding entries and taking them in.
func BenchmarkReplay(b *testing.B) {
	for _, claimsEach := range []int{1, 64} {
		b.Run(fmt.Sprintf("facts=%d", claimsEach), func(b *testing.B) {
			lives := newLives(b, 20_000/claimsEach, claimsEach, false)
			raws := lives.decide(b, lives.replay(1, len(lives.ledger[1])), true)
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				state := lives.replay(1, len(lives.ledger[1]))
				b.StartTimer()
				for _, raw := range raws {
					entry := &v1.Entry{}
					if err := v1.Decode(raw, entry); err != nil {
						b.Fatal(err)
					}
					if err := state.Evolve(state.NextEntry(), entry); err != nil {
						b.Fatal(err)
					}
				}
			}
			perClaim(b, len(lives.records)*claimsEach, "facts/s")
		})
	}
}

func perClaim(b *testing.B, claims int, unit string) {
	b.Helper()
	each := float64(b.Elapsed().Nanoseconds()) / float64(b.N) / float64(claims)
	b.ReportMetric(each, "ns/claim")
	b.ReportMetric(1e9/each, unit)
	b.ReportMetric(0, "ns/op")
}
