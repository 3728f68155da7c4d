package projections

import (
	"crypto/sha256"
	"strings"

	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// theNetwork is the key of the only row of a model that has just one.
const theNetwork int64 = 1

// Network is the ledger itself and the parameters in force.
type Network struct {
	Singleton int64 // theNetwork
	ID        domain.NetworkID
	Name      string
	Shards    uint32 // data shards, without control
	Operator  domain.KeyID
	CreatedMs int64

	// From SetNetwork; see there.
	Vault              [32]byte
	MaxJobTimeoutMs    int64
	MaxOpenJobs        uint32
	MaturityBucketMs   int64
	RequireAttestation bool
	PayoutThreshold    domain.Nano
	BatchPayees        uint32
	ParametersSet      Moment

	// From SetDisputePolicy; see there.
	DisputeWindowMs       int64
	ResolveWithinMs       int64
	DefaultRefundPermille uint32
	DisputePolicySet      Moment
}

// Columns lists the columns.
func (r *Network) Columns(c []Column) []Column {
	return append(c,
		Column{"singleton", &r.Singleton},
		Column{"network", (*[32]byte)(&r.ID)},
		Column{"name", &r.Name},
		Column{"shards", &r.Shards},
		Column{"operator", (*[32]byte)(&r.Operator)},
		Column{"created_at_ms", &r.CreatedMs},
		Column{"vault", &r.Vault},
		Column{"max_job_timeout_ms", &r.MaxJobTimeoutMs},
		Column{"max_open_jobs", &r.MaxOpenJobs},
		Column{"maturity_bucket_ms", &r.MaturityBucketMs},
		Column{"require_attestation", &r.RequireAttestation},
		Column{"payout_threshold_nano", (*int64)(&r.PayoutThreshold)},
		Column{"batch_payees", &r.BatchPayees},
		Column{"parameters_set_at_ms", &r.ParametersSet.AtMs},
		Column{"parameters_set_offset", (*int64)(&r.ParametersSet.Offset)},
		Column{"dispute_window_ms", &r.DisputeWindowMs},
		Column{"resolve_within_ms", &r.ResolveWithinMs},
		Column{"default_refund_permille", &r.DefaultRefundPermille},
		Column{"dispute_policy_set_at_ms", &r.DisputePolicySet.AtMs},
		Column{"dispute_policy_set_offset", (*int64)(&r.DisputePolicySet.Offset)},
	)
}

// TheNetwork is one row: what network this is and which parameters are in force.
var TheNetwork = &Definition[int64, Network, *Network]{
	Name: "network", Version: 1, KeyColumns: 1,
	Row: func(k int64) Network { return Network{Singleton: k} },
	Fold: func(e *Entry, row func(int64) *Network) error {
		if e.Genesis != nil {
			return row(theNetwork).begin(e.Genesis)
		}
		for _, fact := range e.Facts() {
			switch body := fact.Body.(type) {
			case *v1.Fact_NetworkSet:
				row(theNetwork).set(e, body.NetworkSet)
			case *v1.Fact_DisputePolicySet:
				n, policy := row(theNetwork), body.DisputePolicySet
				n.DisputeWindowMs, n.ResolveWithinMs = policy.WindowMs, policy.ResolveWithinMs
				n.DefaultRefundPermille, n.DisputePolicySet = policy.DefaultRefundPermille, e.moment()
			}
		}
		return nil
	},
}

func (r *Network) begin(genesis *v1.Genesis) error {
	encoded, err := v1.Encode(genesis)
	if err != nil {
		return err
	}
	r.ID = sha256.Sum256(encoded)
	r.Name, r.Shards = strings.Clone(genesis.Name), genesis.Shards
	r.Operator, r.CreatedMs = id[domain.KeyID](genesis.Operator), genesis.CreatedAtMs
	return nil
}

func (r *Network) set(e *Entry, fact *v1.SetNetwork) {
	r.Vault, r.ParametersSet = id[[32]byte](fact.Vault), e.moment()
	r.MaxJobTimeoutMs, r.MaxOpenJobs = fact.MaxJobTimeoutMs, fact.MaxOpenJobs
	r.MaturityBucketMs, r.RequireAttestation = fact.MaturityBucketMs, fact.RequireAttestation
	r.PayoutThreshold, r.BatchPayees = domain.Nano(fact.PayoutThresholdNano), fact.BatchPayees
}

// RateCard is one price list. It never changes; Set is when it last became the current one of its model.
type RateCard struct {
	RateCard             domain.RateCardID
	Rule                 string         // "exact/v1", "cocoon/v1"
	Model                domain.ModelID // zero: every model without a card of its own
	PricePerToken        domain.Nano
	WorkerFeePerToken    domain.Nano
	PromptMultiplier     uint32 // 10000 is 1.0, as of the next three
	CachedMultiplier     uint32
	CompletionMultiplier uint32
	ReasoningMultiplier  uint32
	FailedPermille       uint32
	CancelledPermille    uint32
	ExpiredPermille      uint32
	Set                  Moment // in control
}

// Columns lists the columns.
func (r *RateCard) Columns(c []Column) []Column {
	return append(c,
		Column{"rate_card", (*[32]byte)(&r.RateCard)},
		Column{"rule", &r.Rule},
		Column{"model", (*[32]byte)(&r.Model)},
		Column{"price_per_token_nano", (*int64)(&r.PricePerToken)},
		Column{"worker_fee_per_token_nano", (*int64)(&r.WorkerFeePerToken)},
		Column{"prompt_multiplier", &r.PromptMultiplier},
		Column{"cached_multiplier", &r.CachedMultiplier},
		Column{"completion_multiplier", &r.CompletionMultiplier},
		Column{"reasoning_multiplier", &r.ReasoningMultiplier},
		Column{"failed_permille", &r.FailedPermille},
		Column{"cancelled_permille", &r.CancelledPermille},
		Column{"expired_permille", &r.ExpiredPermille},
		Column{"set_at_ms", &r.Set.AtMs}, Column{"set_offset", (*int64)(&r.Set.Offset)},
	)
}

// RateCards is every price list that was ever in force.
var RateCards = &Definition[domain.RateCardID, RateCard, *RateCard]{
	Name: "rate_cards", Version: 1, KeyColumns: 1,
	Row: func(k domain.RateCardID) RateCard { return RateCard{RateCard: k} },
	Fold: func(e *Entry, row func(domain.RateCardID) *RateCard) error {
		for _, fact := range e.Facts() {
			set := fact.GetRateCardSet()
			if set == nil {
				continue
			}
			card := set.Card
			*row(id[domain.RateCardID](set.RateCard)) = RateCard{
				RateCard: id[domain.RateCardID](set.RateCard), Rule: rateRuleNames[card.Rule],
				Model:         id[domain.ModelID](card.Model),
				PricePerToken: domain.Nano(card.PricePerTokenNano), WorkerFeePerToken: domain.Nano(card.WorkerFeePerTokenNano),
				PromptMultiplier: card.PromptMultiplier, CachedMultiplier: card.CachedMultiplier,
				CompletionMultiplier: card.CompletionMultiplier, ReasoningMultiplier: card.ReasoningMultiplier,
				FailedPermille: card.FailedPermille, CancelledPermille: card.CancelledPermille,
				ExpiredPermille: card.ExpiredPermille, Set: e.moment(),
			}
		}
		return nil
	},
}

// Operator is a key of the network's own staff or machines, and what it may do.
type Operator struct {
	Key   domain.KeyID
	Roles string // "admin,clock", in the order given; "" where all were taken away
	Set   Moment // in control
}

// Columns lists the columns.
func (r *Operator) Columns(c []Column) []Column {
	return append(c,
		Column{"signing_key", (*[32]byte)(&r.Key)},
		Column{"roles", &r.Roles},
		Column{"set_at_ms", &r.Set.AtMs}, Column{"set_offset", (*int64)(&r.Set.Offset)},
	)
}

// Operators is every key that ever had a role. The genesis makes the first admin.
var Operators = &Definition[domain.KeyID, Operator, *Operator]{
	Name: "operators", Version: 1, KeyColumns: 1,
	Row: func(k domain.KeyID) Operator { return Operator{Key: k} },
	Fold: func(e *Entry, row func(domain.KeyID) *Operator) error {
		if e.Genesis != nil {
			first := row(id[domain.KeyID](e.Genesis.Operator))
			first.Roles, first.Set = roleNames[v1.Role_ROLE_ADMIN], e.moment()
		}
		for _, fact := range e.Facts() {
			if set := fact.GetOperatorSet(); set != nil {
				names := make([]string, len(set.Roles))
				for i, role := range set.Roles {
					names[i] = roleNames[role]
				}
				o := row(id[domain.KeyID](set.Key))
				o.Roles, o.Set = strings.Join(names, ","), e.moment()
			}
		}
		return nil
	},
}
