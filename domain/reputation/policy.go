package reputation

import (
	"crypto/sha256"
	"fmt"

	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// Bounds of a policy. With them no count leaves an int64: it is at most the prior, or weight / (1 − λ).
const (
	maxKeptPPM     = 999_990                   // a memory of a hundred thousand pieces of evidence
	maxPriorMicro  = 1_000_000 * whole         // likewise, and ten times that
	maxWeightMilli = 1_000_000                 // a thousand times one completed job
	maxTiers       = 8                         // as ReputationPolicy.tiers
	maxHoldBuckets = 1000                      // so many parcels may be held back of a provider in one shard
	maxSuspendMs   = 366 * 24 * 60 * 60 * 1000 // a year: nothing in the network waits longer
)

// Policy is a v1.ReputationPolicy that was checked, in the form in which it is applied. It never changes.
type Policy struct {
	// ID is the digest of the policy as it was published.
	ID domain.Digest

	memories [Dimensions]memory
	weights  [Kinds + 1]int64 // in millionths, by kind
	tiers    []Tier

	suspendBelowPPM, suspendMs int64
	slashedPermille            int64
	revokedPermille            int64
}

type memory struct {
	kept  int64 // λ in millionths
	prior Counts
}

// Tier is what is held back of a provider with a score of LeastScorePPM or more.
type Tier struct {
	LeastScorePPM    int64
	HoldbackPermille int64
	HoldBuckets      int64
}

// NewPolicy checks a policy that was decoded. The error is a *domain.RangeError, and names the field and the bound.
func NewPolicy(raw *v1.ReputationPolicy) (*Policy, error) {
	encoded, err := v1.Encode(raw)
	if err != nil {
		return nil, err
	}
	p := &Policy{
		ID:              sha256.Sum256(append([]byte("filature/reputation/v1\x00"), encoded...)),
		suspendBelowPPM: int64(raw.SuspendBelowPpm), suspendMs: raw.SuspendMs,
		slashedPermille: int64(raw.SlashedForfeitPermille), revokedPermille: int64(raw.RevokedForfeitPermille),
	}
	for _, err := range []error{
		p.takeMemories(raw), p.takeWeights(raw.Weights), p.takeTiers(raw.Tiers),
		within("suspend_below_ppm", p.suspendBelowPPM, 0, whole),
		within("suspend_ms", p.suspendMs, 1, maxSuspendMs),
		within("slashed_forfeit_permille", p.slashedPermille, 0, domain.WholePermille),
		within("revoked_forfeit_permille", p.revokedPermille, 0, domain.WholePermille),
	} {
		if err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (p *Policy) takeMemories(raw *v1.ReputationPolicy) error {
	for d, m := range []struct {
		name   string
		memory *v1.ReputationMemory
	}{
		Jobs: {"jobs", raw.Jobs}, Latency: {"latency", raw.Latency},
		Attestation: {"attestation", raw.Attestation}, Disputes: {"disputes", raw.Disputes},
	} {
		for _, err := range []error{
			within(m.name+".kept_ppm", int64(m.memory.KeptPpm), 0, maxKeptPPM),
			within(m.name+".prior_good_micro", m.memory.PriorGoodMicro, 0, maxPriorMicro),
			within(m.name+".prior_bad_micro", m.memory.PriorBadMicro, 0, maxPriorMicro),
		} {
			if err != nil {
				return err
			}
		}
		p.memories[d] = memory{int64(m.memory.KeptPpm), Counts{m.memory.PriorGoodMicro, m.memory.PriorBadMicro}}
	}
	return nil
}

func (p *Policy) takeWeights(weights []*v1.EvidenceWeight) error {
	if len(weights) != Kinds {
		return &domain.RangeError{Field: "weights", Have: int64(len(weights)), Want: Kinds}
	}
	for i, w := range weights {
		if int(w.Kind) != i+1 {
			return &domain.RangeError{Field: fmt.Sprintf("weights[%d].kind", i), Have: int64(w.Kind), Want: int64(i + 1)}
		}
		if err := within(fmt.Sprintf("weights[%d].weight_milli", i), int64(w.WeightMilli), 0, maxWeightMilli); err != nil {
			return err
		}
		p.weights[w.Kind] = int64(w.WeightMilli) * (whole / 1000)
	}
	return nil
}

func (p *Policy) takeTiers(tiers []*v1.HoldbackTier) error {
	if err := within("tiers", int64(len(tiers)), 1, maxTiers); err != nil {
		return err
	}
	most := int64(whole)
	for i, t := range tiers {
		score, least := int64(t.LeastScorePpm), int64(1)
		if i == len(tiers)-1 {
			least, most = 0, 0 // so that every score has a tier
		}
		for _, err := range []error{
			within(fmt.Sprintf("tiers[%d].least_score_ppm", i), score, least, most),
			within(fmt.Sprintf("tiers[%d].holdback_permille", i), int64(t.HoldbackPermille), 0, domain.WholePermille),
			within(fmt.Sprintf("tiers[%d].hold_buckets", i), int64(t.HoldBuckets), min(1, int64(t.HoldbackPermille)), maxHoldBuckets),
		} {
			if err != nil {
				return err
			}
		}
		most = score - 1
		p.tiers = append(p.tiers, Tier{score, int64(t.HoldbackPermille), int64(t.HoldBuckets)})
	}
	return nil
}

func within(field string, have, least, most int64) error {
	switch {
	case have < least:
		return &domain.RangeError{Field: field, Have: have, Want: least}
	case have > most:
		return &domain.RangeError{Field: field, Have: have, Want: most}
	}
	return nil
}

// Begin is the record of a newcomer.
func (p *Policy) Begin() Record {
	var r Record
	for d := range r.Counts {
		r.Counts[d] = p.memories[d].prior
	}
	return r
}

// TierOf is what a score leads to.
func (p *Policy) TierOf(scorePPM int64) Tier {
	for _, t := range p.tiers {
		if scorePPM >= t.LeastScorePPM {
			return t
		}
	}
	return p.tiers[len(p.tiers)-1]
}

// SuspendMs is for how long a worker with this score gets no jobs; zero: it may have some.
func (p *Policy) SuspendMs(scorePPM int64) int64 {
	if scorePPM < p.suspendBelowPPM {
		return p.suspendMs
	}
	return 0
}

// ForfeitPermille is what part of its holdback a provider loses.
func (p *Policy) ForfeitPermille(cause v1.ForfeitCause) int64 {
	switch cause {
	case v1.ForfeitCause_FORFEIT_CAUSE_SLASHED:
		return p.slashedPermille
	case v1.ForfeitCause_FORFEIT_CAUSE_REVOKED:
		return p.revokedPermille
	}
	return 0
}

// Default is the policy that docs/reputation.md explains. A network has it only if an admin sets it.
func Default() *v1.ReputationPolicy {
	remember := func(keptPPM uint32, good, bad int64) *v1.ReputationMemory {
		return &v1.ReputationMemory{KeptPpm: keptPPM, PriorGoodMicro: good * whole, PriorBadMicro: bad * whole}
	}
	p := &v1.ReputationPolicy{
		Jobs:        remember(999_000, 20, 1), // a thousand jobs
		Latency:     remember(990_000, 20, 0), // nobody is late before it has promised
		Attestation: remember(950_000, 5, 0),  // twenty results
		Disputes:    remember(999_500, 20, 1), // two thousand jobs
		Tiers: []*v1.HoldbackTier{
			{LeastScorePpm: 970_000},
			{LeastScorePpm: 900_000, HoldbackPermille: 100, HoldBuckets: 24},
			{LeastScorePpm: 750_000, HoldbackPermille: 250, HoldBuckets: 72},
			{HoldbackPermille: 500, HoldBuckets: 168},
		},
		SuspendBelowPpm: 600_000, SuspendMs: 24 * 60 * 60 * 1000,
		SlashedForfeitPermille: 1000, RevokedForfeitPermille: 500,
	}
	for i, milli := range [Kinds]uint32{
		1_000, 2_000, 4_000, // completed, failed, expired: the client waited in vain
		1_000, 1_000, // on time, late
		1_000, 5_000, 50_000, // attested, failed, revoked
		1_000, 1_000, 10_000, 100_000, // charged, dispute won, lost, slashed
	} {
		p.Weights = append(p.Weights, &v1.EvidenceWeight{Kind: v1.EvidenceKind(i + 1), WeightMilli: milli})
	}
	return p
}
