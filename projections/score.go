package projections

import (
	"context"
	"errors"
	"fmt"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/reputation"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// Score is how good a worker or provider has been, with all that makes it so.
type Score struct {
	Kind    string // "worker", "provider"
	Subject [32]byte
	// Name is the provider's; a worker's is that of its owner.
	Name string
	// Policy is the one in force, PolicySet where control set it.
	Policy    domain.Digest
	PolicySet Moment
	// ScorePPM is over all shards, in millionths; of somebody whom no shard has judged it is a newcomer's.
	ScorePPM   int64
	Dimensions []ScoredDimension
	Evidence   []WeighedEvidence
	// Standings are what the ledger goes by, shard by shard.
	Standings []Standing
	// HeldBack is what is held back of a provider, the next to end first.
	HeldBack []Holdback
	// Trust is a worker's attestation; its State is as of nowMs.
	Trust Trust
}

// ScoredDimension is one of the four factors of a score.
type ScoredDimension struct {
	Name      string `json:"name"`
	GoodMicro int64  `json:"good_micro"`
	BadMicro  int64  `json:"bad_micro"`
	MeanPPM   int64  `json:"mean_ppm"`
	KeptPPM   uint32 `json:"kept_ppm"` // λ
}

// WeighedEvidence is how often something was seen, and what it weighs.
type WeighedEvidence struct {
	Name        string `json:"name"`
	Dimension   string `json:"dimension"`
	Count       int64  `json:"count"`
	WeightMilli uint32 `json:"weight_milli"`
}

// errNoPolicy: see ScoreOf.
var errNoPolicy = fmt.Errorf("no reputation policy is set: %w", ErrNotFound)

// ScoreOf returns the score of a worker or a provider. It is ErrNotFound for an id that is neither's, and where no policy
// is set, so that nobody is judged.
func ScoreOf(ctx context.Context, r Reader, subject [32]byte, nowMs int64) (Score, error) {
	s := Score{Subject: subject}
	if err := s.identify(ctx, r, nowMs); err != nil {
		return s, fmt.Errorf("score of %x: %w", subject, err)
	}
	rules, policy, err := payRules(ctx, r)
	if err != nil {
		return s, fmt.Errorf("score of %x: %w", subject, err)
	}
	s.Policy, s.PolicySet = rules.ReputationPolicy, rules.ReputationSet
	s.Standings, err = r.Standings(ctx, kindOf(s.Kind), subject)
	if err := ignoreNotFound(err); err != nil {
		return s, fmt.Errorf("score of %x: %w", subject, err)
	}
	if s.Kind == SubjectName(v1.SubjectKind_SUBJECT_KIND_PROVIDER) {
		if s.HeldBack, err = r.HoldbacksOf(ctx, domain.ProviderID(subject), Holdback{}, MaxRows); err != nil {
			return s, fmt.Errorf("score of %x: %w", subject, err)
		}
	}
	return s, s.weigh(policy)
}

func kindOf(name string) v1.SubjectKind {
	if name == SubjectName(v1.SubjectKind_SUBJECT_KIND_WORKER) {
		return v1.SubjectKind_SUBJECT_KIND_WORKER
	}
	return v1.SubjectKind_SUBJECT_KIND_PROVIDER
}

// identify finds out whose id it is.
func (s *Score) identify(ctx context.Context, r Reader, nowMs int64) error {
	owner := domain.ProviderID(s.Subject)
	s.Kind = SubjectName(v1.SubjectKind_SUBJECT_KIND_PROVIDER)
	worker, err := r.Worker(ctx, domain.WorkerID(s.Subject))
	switch {
	case err == nil:
		s.Kind, owner = SubjectName(v1.SubjectKind_SUBJECT_KIND_WORKER), worker.Provider
		if s.Trust, err = TrustAt(ctx, r, worker.Worker, nowMs); err != nil {
			return err
		}
	case !errors.Is(err, ErrNotFound):
		return err
	}
	provider, err := r.Provider(ctx, owner)
	s.Name = provider.Name
	return err
}

// TrustAt is how a worker's attestation stands at a moment of log time; one that never passed is there, too.
func TrustAt(ctx context.Context, r Reader, worker domain.WorkerID, nowMs int64) (Trust, error) {
	trust, err := r.Trust(ctx, worker)
	if err := ignoreNotFound(err); err != nil {
		return trust, err
	}
	trust.Worker = worker
	_, err = r.RetiredImage(ctx, trust.ImageHash)
	retired := err == nil
	trust.State = trust.StateAt(nowMs, retired)
	return trust, ignoreNotFound(err)
}

// payRules returns the policies in force, the reputation's decoded.
func payRules(ctx context.Context, r Reader) (rules PayRules, policy *v1.ReputationPolicy, err error) {
	for row, err := range RowsOf(ctx, r, ThePayRules) {
		if err != nil {
			return rules, nil, err
		}
		rules = row
	}
	if len(rules.ReputationRules) == 0 {
		return rules, nil, errNoPolicy
	}
	policy = &v1.ReputationPolicy{}
	return rules, policy, v1.Decode(rules.ReputationRules, policy)
}

// weigh adds the shards up. All shards are told of the same attestations, so those are counted once.
func (s *Score) weigh(raw *v1.ReputationPolicy) error {
	policy, err := reputation.NewPolicy(raw)
	if err != nil {
		return err
	}
	newcomer := policy.Begin()
	standings := s.Standings
	if len(standings) == 0 {
		standings = []Standing{{Record: newcomer}}
	}
	s.ScorePPM = ScoreOver(standings)
	memories := []*v1.ReputationMemory{raw.Jobs, raw.Latency, raw.Attestation, raw.Disputes}
	for d, name := range dimensionNames {
		var sum reputation.Counts
		for i := range standings {
			sum.Good += standings[i].Record.Counts[d].Good
			sum.Bad += standings[i].Record.Counts[d].Bad
		}
		s.Dimensions = append(s.Dimensions, ScoredDimension{
			Name: name, GoodMicro: sum.Good, BadMicro: sum.Bad, MeanPPM: sum.MeanPPM(), KeptPPM: memories[d].KeptPpm,
		})
	}
	for i, name := range evidenceNames {
		kind := v1.EvidenceKind(i + 1)
		dimension := reputation.DimensionOf(kind)
		var count int64
		for n := range standings {
			if seen := standings[n].Record.Count(kind); dimension == reputation.Attestation {
				count = max(count, seen)
			} else {
				count += seen
			}
		}
		s.Evidence = append(s.Evidence, WeighedEvidence{name, dimensionNames[dimension], count, raw.Weights[i].WeightMilli})
	}
	return nil
}
