// Package reputation knows how good a worker or a provider has been: two counts in each of four dimensions, what
// speaks for it and what speaks against it, of which a little is forgotten with each new piece of evidence.
//
// It is the beta reputation of Jøsang and Ismail (2002) with forgetting, as Storj rates the audits of its nodes. New
// evidence of weight w, of which a part v speaks against, changes the counts of its dimension to
//
//	good' = good × λ + w × (1 − v)
//	bad'  = bad × λ + w × v
//
// and nothing else. The mean of a dimension is good / (good + bad), and the score the product of the four means.
// Everything is a whole number and rounded down, so each machine comes to the same score. λ, the weights and what a
// score leads to are a policy: data with a digest. docs/reputation.md has a worked example.
//
// The package does not know what a job is. Who weighs what, and when a score takes effect, is in domain/ledger.
package reputation

import (
	"math/bits"

	v1 "github.com/filature/filature/schemas/filature/v1"
)

// Dimension is one of the four things that a reputation is about.
type Dimension int

// The dimensions, in the order of v1.StandingSet.
const (
	Jobs Dimension = iota
	Latency
	Attestation
	Disputes
)

// Dimensions is how many there are.
const Dimensions = 4

// Kinds is how many kinds of evidence there are: v1.EvidenceKind 1..Kinds.
const Kinds = 12

// whole is 1.0 in millionths.
const whole = 1_000_000

// Whole is the best score.
const Whole = whole

// dimensionOf says which dimension a kind of evidence belongs to, and whether it speaks against.
var dimensionOf = [Kinds + 1]struct {
	dimension Dimension
	bad       bool
}{
	v1.EvidenceKind_EVIDENCE_KIND_COMPLETED:           {Jobs, false},
	v1.EvidenceKind_EVIDENCE_KIND_FAILED:              {Jobs, true},
	v1.EvidenceKind_EVIDENCE_KIND_EXPIRED:             {Jobs, true},
	v1.EvidenceKind_EVIDENCE_KIND_ON_TIME:             {Latency, false},
	v1.EvidenceKind_EVIDENCE_KIND_LATE:                {Latency, true},
	v1.EvidenceKind_EVIDENCE_KIND_ATTESTED:            {Attestation, false},
	v1.EvidenceKind_EVIDENCE_KIND_ATTESTATION_FAILED:  {Attestation, true},
	v1.EvidenceKind_EVIDENCE_KIND_ATTESTATION_REVOKED: {Attestation, true},
	v1.EvidenceKind_EVIDENCE_KIND_CHARGED:             {Disputes, false},
	v1.EvidenceKind_EVIDENCE_KIND_DISPUTE_WON:         {Disputes, false},
	v1.EvidenceKind_EVIDENCE_KIND_DISPUTE_LOST:        {Disputes, true},
	v1.EvidenceKind_EVIDENCE_KIND_SLASHED:             {Disputes, true},
}

// DimensionOf is the dimension that a kind of evidence belongs to.
func DimensionOf(kind v1.EvidenceKind) Dimension { return dimensionOf[kind].dimension }

// Counts are what speaks for somebody and what against, in millionths of one piece of evidence: the α and β of a beta
// distribution.
type Counts struct{ Good, Bad int64 }

// MeanPPM is the expected value of the distribution in millionths. Where nothing is known it is all.
func (c Counts) MeanPPM() int64 {
	if c.Good+c.Bad == 0 {
		return whole
	}
	return part(c.Good, whole, c.Good+c.Bad)
}

// Record is all that is remembered of one worker or provider. The zero value is nobody's: see Policy.Begin.
type Record struct {
	Counts [Dimensions]Counts
	// Seen counts the evidence of each kind, from kind 1 on, and forgets nothing.
	Seen [Kinds]int64
}

// Count is how often a kind of evidence was seen.
func (r *Record) Count(kind v1.EvidenceKind) int64 { return r.Seen[kind-1] }

// Evidence is one thing that happened.
type Evidence struct {
	Kind v1.EvidenceKind
	// LostPermille is for a lost dispute: what part of the charge was refunded.
	LostPermille int64
}

// Weigh takes evidence in.
func (r *Record) Weigh(p *Policy, e Evidence) {
	about := dimensionOf[e.Kind]
	weight := p.weights[e.Kind]
	var bad int64
	switch {
	case e.Kind == v1.EvidenceKind_EVIDENCE_KIND_DISPUTE_LOST:
		bad = part(weight, e.LostPermille, 1000)
	case about.bad:
		bad = weight
	}
	kept, counts := p.memories[about.dimension].kept, &r.Counts[about.dimension]
	counts.Good = part(counts.Good, kept, whole) + weight - bad
	counts.Bad = part(counts.Bad, kept, whole) + bad
	r.Seen[e.Kind-1]++
}

// ScorePPM is the product of the four means, in millionths.
func (r *Record) ScorePPM() int64 {
	score := int64(whole)
	for _, c := range r.Counts {
		score = score * c.MeanPPM() / whole
	}
	return score
}

// part is n × num / den, rounded down, with the product in 128 bits. None is negative, and num is at most den or n
// small enough that the result is an int64: both follow from the bounds of a policy.
func part(n, num, den int64) int64 {
	hi, lo := bits.Mul64(uint64(n), uint64(num))
	quotient, _ := bits.Div64(hi, lo, uint64(den))
	return int64(quotient)
}
