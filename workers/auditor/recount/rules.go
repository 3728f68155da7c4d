package recount

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"iter"
	"maps"
	"sort"
	"strings"

	"google.golang.org/protobuf/proto"

	v1 "github.com/filature/filature/schemas/filature/v1"
)

// control is the shard of what all shards need to know.
const control = 0

// rules is what control decided that says how much something costs, or when it is paid.
type rules struct {
	cards map[[32]byte]*v1.RateCard
	// steps are in the order of their offsets.
	steps []step
	// Sealed are the batches, in the order in which they were sealed.
	sealed []Sealed
}

// step is what is in force for who knows control beyond an offset.
type step struct {
	offset     int64
	network    *v1.SetNetwork
	disputes   *v1.SetDisputePolicy
	reputation *v1.ReputationPolicy
}

// Sealed says where a batch stands in control, and how far it counts.
type Sealed struct {
	Number uint32
	Offset int64
	Cut    []int64
}

// Batches returns the batches that control sealed, in order.
func (c *Count) Batches() []Sealed { return c.rules.sealed }

// inForce returns the rules for who knows control up to an offset (exclusive).
func (r *rules) inForce(knows int64) *step {
	at := sort.Search(len(r.steps), func(i int) bool { return r.steps[i].offset >= knows })
	return &r.steps[max(at-1, 0)]
}

func readRules(ctx context.Context, log Log, end int64) (*rules, error) {
	r := &rules{
		cards: map[[32]byte]*v1.RateCard{},
		steps: []step{{offset: -1, network: &v1.SetNetwork{}, disputes: &v1.SetDisputePolicy{}}},
	}
	for next := int64(0); next < end; {
		records, err := log.Read(ctx, control, next, int(min(readRecords, end-next)))
		if err != nil {
			return nil, err
		}
		for _, raw := range records {
			var entry v1.Entry
			if err := proto.Unmarshal(raw, &entry); err != nil {
				return nil, &EntryError{Shard: control, Offset: next, Err: err}
			}
			if entry.Offset == next { // else another clerk wrote first
				for _, fact := range entry.GetAnswer().GetFacts() {
					r.learn(next, fact)
				}
			}
			next++
		}
	}
	return r, nil
}

func (r *rules) learn(offset int64, fact *v1.Fact) {
	now := r.steps[len(r.steps)-1]
	now.offset = offset
	switch body := fact.Body.(type) {
	case *v1.Fact_RateCardSet:
		r.cards[id(body.RateCardSet.RateCard)] = body.RateCardSet.Card
		return
	case *v1.Fact_BatchSealed:
		r.sealed = append(r.sealed, Sealed{Number: body.BatchSealed.Number, Offset: offset, Cut: body.BatchSealed.Cut})
		return
	case *v1.Fact_NetworkSet:
		now.network = body.NetworkSet
	case *v1.Fact_DisputePolicySet:
		now.disputes = body.DisputePolicySet
	case *v1.Fact_ReputationPolicySet:
		now.reputation = body.ReputationPolicySet.Policy
	default:
		return
	}
	r.steps = append(r.steps, now)
}

// cardID is SHA-256("filature/ratecard/v1\0" + encoding).
func cardID(card *v1.RateCard) ([32]byte, error) { return idOf("filature/ratecard/v1\x00", card) }

// policyID is SHA-256("filature/reputation/v1\0" + encoding).
func policyID(policy *v1.ReputationPolicy) ([32]byte, error) {
	return idOf("filature/reputation/v1\x00", policy)
}

// idOf hashes the encoding with fields in ascending order and nothing else in it, which is how events are written.
func idOf(prefix string, m proto.Message) ([32]byte, error) {
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	return sha256.Sum256(append([]byte(prefix), raw...)), err
}

// Holdback, by docs/reputation.md.

// million is 1.0 of a score.
const million = 1_000_000

// newcomer is what is held back of a provider of whom nothing is known: by the score of the counts that it begins with.
func newcomer(policy *v1.ReputationPolicy) standing {
	score := int64(million)
	for _, begin := range []*v1.ReputationMemory{policy.Jobs, policy.Latency, policy.Attestation, policy.Disputes} {
		good, bad := begin.GetPriorGoodMicro(), begin.GetPriorBadMicro()
		mean := int64(million)
		if good+bad > 0 {
			mean = shareOf(good, million, good+bad)
		}
		score = score * mean / million
	}
	for _, tier := range policy.Tiers {
		if score >= int64(tier.LeastScorePpm) {
			return standing{int64(tier.HoldbackPermille), int64(tier.HoldBuckets)}
		}
	}
	return standing{}
}

// forfeitPermille is what part of a holdback is taken.
func forfeitPermille(policy *v1.ReputationPolicy, cause v1.ForfeitCause) int64 {
	if cause == v1.ForfeitCause_FORFEIT_CAUSE_SLASHED {
		return int64(policy.GetSlashedForfeitPermille())
	}
	return int64(policy.GetRevokedForfeitPermille())
}

// kindName is what docs/money.md calls an account: "provider/payable".
func kindName(kind v1.AccountKind) string {
	name := strings.ToLower(strings.TrimPrefix(kind.String(), "ACCOUNT_KIND_"))
	return strings.Replace(name, "_", "/", 1)
}

func (a Account) String() string {
	if a.Owner == [32]byte{} {
		return kindName(a.Kind)
	}
	return fmt.Sprintf("%s of %x", kindName(a.Kind), a.Owner)
}

func compareAccounts(a, b Account) int {
	return cmp.Or(cmp.Compare(b.Kind, a.Kind), bytes.Compare(a.Owner[:], b.Owner[:]))
}

// id is a field of 32 bytes.
func id(field []byte) (id [32]byte) {
	copy(id[:], field)
	return id
}

func keysOf[K comparable, V any](m map[K]V) iter.Seq[K] { return maps.Keys(m) }
