package ledger

import (
	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// Bounds of the network's parameters. Each keeps something of ours finite.
const (
	maxDataShards   = 1024                      // as SealBatch.cut, which has control too
	maxSpanMs       = 366 * 24 * 60 * 60 * 1000 // a year: nothing in the network waits longer
	maxOpenJobs     = 1 << 20                   // per account
	maxBatchPayees  = 4096                      // as SealBatch.lines, so that a batch fits a record
	minBucketMs     = 1000                      // finer buckets would be more facts than jobs
	maxPayoutLimit  = 1_000_000 * domain.Coin   // a threshold above this is a slip in the unit
	attestationSpan = 5 * 60 * 1000             // a challenge lives five minutes
)

// outOfRange rejects a number outside of [least, most].
func outOfRange(field string, have, least, most int64) *v1.Fact {
	if have < least {
		return rejectNumber(v1.Reason_REASON_OUT_OF_RANGE, field, have, least)
	}
	if have > most {
		return rejectNumber(v1.Reason_REASON_OUT_OF_RANGE, field, have, most)
	}
	return nil
}

// first returns the first rejection there is.
func first(rejections ...*v1.Fact) *v1.Fact {
	for _, r := range rejections {
		if r != nil {
			return r
		}
	}
	return nil
}

func (s *State) decideSetNetwork(who principal, claim *v1.SetNetwork) *v1.Fact {
	if !who.may(v1.Role_ROLE_ADMIN) {
		return reject(v1.Reason_REASON_ROLE_NOT_ALLOWED, "signer")
	}
	if refusal := first(
		outOfRange("max_job_timeout_ms", claim.MaxJobTimeoutMs, 1, maxSpanMs),
		outOfRange("max_open_jobs", int64(claim.MaxOpenJobs), 1, maxOpenJobs),
		outOfRange("maturity_bucket_ms", claim.MaturityBucketMs, minBucketMs, maxSpanMs),
		outOfRange("payout_threshold_nano", claim.PayoutThresholdNano, 1, int64(maxPayoutLimit)),
		outOfRange("batch_payees", int64(claim.BatchPayees), 1, maxBatchPayees),
	); refusal != nil {
		return refusal
	}
	return &v1.Fact{Body: &v1.Fact_NetworkSet{NetworkSet: claim}}
}

func (s *State) decideSetDisputePolicy(who principal, claim *v1.SetDisputePolicy) *v1.Fact {
	if !who.may(v1.Role_ROLE_ADMIN) {
		return reject(v1.Reason_REASON_ROLE_NOT_ALLOWED, "signer")
	}
	if refusal := first(
		outOfRange("window_ms", claim.WindowMs, 0, maxSpanMs),
		outOfRange("resolve_within_ms", claim.ResolveWithinMs, 1, maxSpanMs),
		outOfRange("default_refund_permille", int64(claim.DefaultRefundPermille), 0, domain.WholePermille),
	); refusal != nil {
		return refusal
	}
	return &v1.Fact{Body: &v1.Fact_DisputePolicySet{DisputePolicySet: claim}}
}

// decideSetRateCard wants the network and the dispute policy first, so that whoever holds a rate
// card may rely on both.
func (s *State) decideSetRateCard(who principal, claim *v1.SetRateCard) *v1.Fact {
	switch {
	case !who.may(v1.Role_ROLE_ADMIN):
		return reject(v1.Reason_REASON_ROLE_NOT_ALLOWED, "signer")
	case s.control.params == nil:
		return reject(v1.Reason_REASON_NOT_SET_UP, "network")
	case s.control.disputes == nil:
		return reject(v1.Reason_REASON_NOT_SET_UP, "dispute_policy")
	}
	if len(claim.Card.Model) != 0 && !s.control.models[domain.ModelID(claim.Card.Model)] {
		return reject(v1.Reason_REASON_UNKNOWN_MODEL, "card.model")
	}
	if err := domain.ValidateRateCard(claim.Card); err != nil {
		return rejectError(err)
	}
	id := domain.RateCardIDOf(claim.Card)
	return &v1.Fact{Body: &v1.Fact_RateCardSet{RateCardSet: &v1.RateCardSet{RateCard: id[:], Card: claim.Card}}}
}

func (c *control) evolveRateCardSet(fact *v1.RateCardSet) {
	id := domain.RateCardID(fact.RateCard)
	c.cards[id] = fact.Card
	if len(fact.Card.Model) == 0 {
		c.defaultCard = id
		return
	}
	c.cardsByModel[domain.ModelID(fact.Card.Model)] = id
}

func (s *State) decideListModel(who principal, claim *v1.ListModel) *v1.Fact {
	switch {
	case !who.may(v1.Role_ROLE_ADMIN):
		return reject(v1.Reason_REASON_ROLE_NOT_ALLOWED, "signer")
	case s.control.models[domain.ModelID(claim.Model)]:
		return reject(v1.Reason_REASON_ALREADY_EXISTS, "model")
	}
	return &v1.Fact{Body: &v1.Fact_ModelListed{ModelListed: claim}}
}
