package projections

import (
	"strings"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/reputation"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// StandingKey names a worker or provider as one shard sees it: each judges by the jobs of its own accounts, and by
// the attestations that all are told of.
type StandingKey struct {
	Kind    string // "worker", "provider"
	Subject [32]byte
	Shard   domain.Shard
}

// Standing is how somebody stands in one shard, with all that makes it so.
type Standing struct {
	StandingKey
	Policy domain.Digest // the v1.ReputationPolicy that was applied
	Record reputation.Record
	// ScorePPM is the product of the four means, in millionths.
	ScorePPM         int64
	HoldbackPermille int64 // of what a provider's jobs earn from here on
	HoldBuckets      int64
	SuspendedUntilMs int64 // a worker; zero: it is not
	Set              Moment
}

// dimensionNames and evidenceNames are how columns are called.
var (
	dimensionNames = [reputation.Dimensions]string{"jobs", "latency", "attestation", "disputes"}
	evidenceNames  = [reputation.Kinds]string{
		"completed", "failed", "expired", "on_time", "late", "attested", "attestation_failed", "attestation_revoked",
		"charged", "dispute_won", "dispute_lost", "slashed",
	}
)

// DimensionName is what one of the four things that a score is about is called: "latency".
func DimensionName(d reputation.Dimension) string { return dimensionNames[d] }

// EvidenceName is what a kind of evidence is called: "on_time".
func EvidenceName(kind v1.EvidenceKind) string { return evidenceNames[kind-1] }

// Columns lists the columns.
func (r *Standing) Columns(c []Column) []Column {
	c = append(c,
		Column{"kind", &r.Kind},
		Column{"subject", &r.Subject},
		Column{"shard", (*int32)(&r.Shard)},
		Column{"policy", (*[32]byte)(&r.Policy)},
	)
	for d, name := range dimensionNames {
		c = append(c, Column{name + "_good_micro", &r.Record.Counts[d].Good}, Column{name + "_bad_micro", &r.Record.Counts[d].Bad})
	}
	for i, name := range evidenceNames {
		c = append(c, Column{name, &r.Record.Seen[i]})
	}
	return append(c,
		Column{"score_ppm", &r.ScorePPM},
		Column{"holdback_permille", &r.HoldbackPermille},
		Column{"hold_buckets", &r.HoldBuckets},
		Column{"suspended_until_ms", &r.SuspendedUntilMs},
		Column{"set_at_ms", &r.Set.AtMs}, Column{"set_offset", (*int64)(&r.Set.Offset)},
	)
}

// Standings is the last standing of every worker and provider in every shard that has judged it. The ledger does the
// arithmetic; here it is only written down.
var Standings = &Definition[StandingKey, Standing, *Standing]{
	Name: "standings", Version: 1, KeyColumns: 3,
	Row: func(k StandingKey) Standing { return Standing{StandingKey: k} },
	Fold: func(e *Entry, row func(StandingKey) *Standing) error {
		for _, fact := range e.Facts() {
			set := fact.GetStandingSet()
			if set == nil {
				continue
			}
			r := row(StandingKey{SubjectName(set.Kind), id[[32]byte](set.Subject), e.Shard})
			r.Policy, r.Set = id[domain.Digest](set.Policy), e.moment()
			for d, counts := range set.Dimensions {
				r.Record.Counts[d] = reputation.Counts{Good: counts.GoodMicro, Bad: counts.BadMicro}
			}
			copy(r.Record.Seen[:], set.Seen)
			r.ScorePPM, r.SuspendedUntilMs = int64(set.ScorePpm), set.SuspendedUntilMs
			r.HoldbackPermille, r.HoldBuckets = int64(set.HoldbackPermille), int64(set.HoldBuckets)
		}
		return nil
	},
}

// ScoreOver is the score of the counts of several shards together, in millionths. It is for people: the ledger goes by
// each shard's own.
func ScoreOver(standings []Standing) int64 {
	var all reputation.Record
	for i := range standings {
		for d, counts := range standings[i].Record.Counts {
			all.Counts[d].Good += counts.Good
			all.Counts[d].Bad += counts.Bad
		}
	}
	return all.ScorePPM()
}

// PayRules are the policies in force about who is paid: one row.
type PayRules struct {
	Singleton int64 // theNetwork
	// From SetReputationPolicy: its id, and the policy itself, encoded.
	ReputationPolicy domain.Digest
	ReputationRules  []byte
	ReputationSet    Moment
	// From SetHoldPolicy; see there.
	ReattestWithinMs int64
	AppealWithinMs   int64
	HoldSet          Moment
}

// Columns lists the columns.
func (r *PayRules) Columns(c []Column) []Column {
	return append(c,
		Column{"singleton", &r.Singleton},
		Column{"reputation_policy", (*[32]byte)(&r.ReputationPolicy)},
		Column{"reputation_rules", &r.ReputationRules},
		Column{"reputation_set_at_ms", &r.ReputationSet.AtMs}, Column{"reputation_set_offset", (*int64)(&r.ReputationSet.Offset)},
		Column{"reattest_within_ms", &r.ReattestWithinMs},
		Column{"appeal_within_ms", &r.AppealWithinMs},
		Column{"hold_set_at_ms", &r.HoldSet.AtMs}, Column{"hold_set_offset", (*int64)(&r.HoldSet.Offset)},
	)
}

// ThePayRules is one row: which policies are in force.
var ThePayRules = &Definition[int64, PayRules, *PayRules]{
	Name: "pay_rules", Version: 1, KeyColumns: 1,
	Row: func(k int64) PayRules { return PayRules{Singleton: k} },
	Fold: func(e *Entry, row func(int64) *PayRules) error {
		for _, fact := range e.Facts() {
			if set := fact.GetReputationPolicySet(); set != nil {
				rules, err := v1.Encode(set.Policy)
				if err != nil {
					return err
				}
				r := row(theNetwork)
				r.ReputationPolicy, r.ReputationRules, r.ReputationSet = id[domain.Digest](set.Id), rules, e.moment()
			}
			if set := fact.GetHoldPolicySet(); set != nil {
				r := row(theNetwork)
				r.ReattestWithinMs, r.AppealWithinMs, r.HoldSet = set.ReattestWithinMs, set.AppealWithinMs, e.moment()
			}
		}
		return nil
	},
}

// RetiredImage is an image that must not run any more.
type RetiredImage struct {
	Image   domain.Digest
	Reason  string
	Retired Moment // in control
}

// Columns lists the columns.
func (r *RetiredImage) Columns(c []Column) []Column {
	return append(c,
		Column{"image_hash", (*[32]byte)(&r.Image)},
		Column{"reason", &r.Reason},
		Column{"retired_at_ms", &r.Retired.AtMs}, Column{"retired_offset", (*int64)(&r.Retired.Offset)},
	)
}

// RetiredImages is every image that was retired.
var RetiredImages = &Definition[domain.Digest, RetiredImage, *RetiredImage]{
	Name: "retired_images", Version: 1, KeyColumns: 1,
	Row: func(k domain.Digest) RetiredImage { return RetiredImage{Image: k} },
	Fold: func(e *Entry, row func(domain.Digest) *RetiredImage) error {
		for _, fact := range e.Facts() {
			if image := fact.GetImageRetired(); image != nil {
				r := row(id[domain.Digest](image.ImageHash))
				r.Reason, r.Retired = strings.Clone(image.Reason), e.moment()
			}
		}
		return nil
	},
}
