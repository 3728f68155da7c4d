package filaturev1

import (
	"bytes"
	"fmt"
	"testing"
)

// busyReport is what a busy signer sends: jobs submitted and metered in turn.
func busyReport(claims int) *Report {
	id := func(b byte) []byte { return bytes.Repeat([]byte{b}, 32) }
	report := &Report{Network: id(1), Signer: id(2), Shard: 3, Sequence: 1_000}
	for i := range claims {
		claim := &Claim{Body: &Claim_MeterJob{MeterJob: &MeterJob{Job: id(4), Usage: &Usage{
			PromptTokens: 1_155, CachedTokens: 512, CompletionTokens: 211, ReasoningTokens: 100,
		}}}}
		if i%2 == 1 {
			claim = &Claim{Body: &Claim_SubmitJob{SubmitJob: &SubmitJob{
				Account: id(5), Number: 123_456, Model: id(6), MaxPromptTokens: 4_096,
				MaxCompletionTokens: 1_000, MaxCoefficient: 4_000, TimeoutMs: 120_000,
			}}}
		}
		report.Claims = append(report.Claims, claim)
	}
	return report
}

// completedEntry is the ledger's answer to one completed job, with its postings.
func completedEntry() *Entry {
	id := func(b byte) []byte { return bytes.Repeat([]byte{b}, 32) }
	posting := func(kind AccountKind, owner []byte, amount int64) *Posting {
		return &Posting{Kind: kind, Owner: owner, AmountNano: amount}
	}
	return &Entry{AtMs: 1_764_000_000_000, Body: &Entry_Answer{Answer: &Answer{
		IntakeOffset: 123_456_789, IntakeDigest: id(1), Signer: id(2), Sequence: 1_000,
		Facts: []*Fact{{
			Claim: 1,
			Postings: []*Posting{
				posting(AccountKind_ACCOUNT_KIND_CLIENT_RESERVED, id(3), -120_000),
				posting(AccountKind_ACCOUNT_KIND_CLIENT_AVAILABLE, id(3), 92_680),
				posting(AccountKind_ACCOUNT_KIND_PROVIDER_EARNED, id(4), 25_954),
				posting(AccountKind_ACCOUNT_KIND_NETWORK_COMMISSION, nil, 1_366),
			},
			Body: &Fact_JobCompleted{JobCompleted: &JobClosed{
				Job: id(5), Account: id(3), Client: id(6), Model: id(7), Worker: id(8), Provider: id(4),
				Coefficient: 1_000, RateCard: id(9), AdjustedTokens: 1_366, ChargeNano: 27_320,
				WorkerNano: 25_954, CommissionNano: 1_366, ReleasedNano: 92_680, DisputableUntilMs: 1_764_086_400_000,
				Usage: &Usage{PromptTokens: 1_155, CachedTokens: 512, CompletionTokens: 211, ReasoningTokens: 100},
			}},
		}},
	}}}
}

func BenchmarkDecode(b *testing.B) {
	for _, n := range []int{1, 64} {
		raw := mustEncode(b, busyReport(n))
		b.Run(fmt.Sprintf("report of %d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := Decode(raw, new(Report)); err != nil {
					b.Fatal(err)
				}
			}
			perClaim(b, n)
		})
	}
	raw := mustEncode(b, completedEntry())
	b.Run("entry", func(b *testing.B) {
		b.ReportAllocs()
		b.ReportMetric(float64(len(raw)), "bytes")
		for b.Loop() {
			if err := Decode(raw, new(Entry)); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	for _, n := range []int{1, 64} {
		report := busyReport(n)
		b.Run(fmt.Sprintf("report of %d", n), func(b *testing.B) {
			encodeInto(b, report)
			perClaim(b, n)
		})
	}
	entry := completedEntry()
	b.Run("entry", func(b *testing.B) { encodeInto(b, entry) })
}

func encodeInto(b *testing.B, m Message) {
	buf := mustEncode(b, m)
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if buf, err = AppendEncoded(buf[:0], m); err != nil {
			b.Fatal(err)
		}
	}
}

func perClaim(b *testing.B, claims int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*claims), "ns/claim")
}

func BenchmarkParseClaim(b *testing.B) {
	line := AppendJSON(nil, busyReport(2).Claims[1])
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseClaim(line); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendJSON(b *testing.B) {
	entry := completedEntry()
	b.ReportAllocs()
	var buf []byte
	for b.Loop() {
		buf = AppendJSON(buf[:0], entry)
	}
}
