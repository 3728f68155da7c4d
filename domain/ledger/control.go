package ledger

import (
	"crypto/sha256"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/reputation"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// control is what the control shard has decided, or as much of it as another shard was told.
type control struct {
	next domain.Offset // of control's ledger

	network    domain.NetworkID
	dataShards int

	params   *v1.SetNetwork
	disputes *v1.SetDisputePolicy
	// Nil until an admin sets them.
	hold       *v1.SetHoldPolicy
	reputation *reputation.Policy

	cards        map[domain.RateCardID]*v1.RateCard // all that ever were: a job keeps its card
	defaultCard  domain.RateCardID
	cardsByModel map[domain.ModelID]domain.RateCardID
	models       map[domain.ModelID]bool

	keyring   map[domain.KeyID]principal
	admins    int
	clients   map[domain.ClientID]*subject
	providers map[domain.ProviderID]*subject
	workers   map[domain.WorkerID]*worker

	retiredImages map[domain.Digest]bool

	// batches are for control alone; nil elsewhere, where nobody asks and memory is dear.
	batches *batches
}

func newControl() *control {
	return &control{
		cards:        map[domain.RateCardID]*v1.RateCard{},
		cardsByModel: map[domain.ModelID]domain.RateCardID{},
		models:       map[domain.ModelID]bool{},
		keyring:      map[domain.KeyID]principal{},
		clients:      map[domain.ClientID]*subject{},
		providers:    map[domain.ProviderID]*subject{},
		workers:      map[domain.WorkerID]*worker{},

		retiredImages: map[domain.Digest]bool{},
	}
}

// principal is who a key speaks for: a client, provider or worker, or an operator with roles.
type principal struct {
	kind    v1.SubjectKind
	subject [32]byte
	roles   uint32 // a bit for each v1.Role
}

func (p principal) may(role v1.Role) bool { return p.roles&(1<<role) != 0 }

func (p principal) is(kind v1.SubjectKind, id [32]byte) bool {
	return p.kind == kind && p.subject == id
}

// subject is a client or a provider.
type subject struct {
	key     domain.KeyID
	retired bool
}

func (s *subject) active() bool { return s != nil && !s.retired }

// NetworkIDOf returns the id of the network that a genesis begins.
func NetworkIDOf(genesis *v1.Genesis) (domain.NetworkID, error) {
	raw, err := v1.Encode(genesis)
	if err != nil {
		return domain.NetworkID{}, err
	}
	return sha256.Sum256(raw), nil
}

// begin takes in the genesis. It was decoded or checked before, so it can be encoded.
func (c *control) begin(genesis *v1.Genesis) {
	c.network, _ = NetworkIDOf(genesis)
	c.dataShards = int(genesis.Shards)
	c.keyring[domain.KeyID(genesis.Operator)] = principal{roles: 1 << v1.Role_ROLE_ADMIN}
	c.admins = 1
}

// evolveEntry takes in one entry of control's ledger that is not void. hear is told of each fact before it is taken in.
func (c *control) evolveEntry(entry *v1.Entry, hear func(fact *v1.Fact, atMs int64)) {
	switch body := entry.Body.(type) {
	case *v1.Entry_Genesis:
		c.begin(body.Genesis)
	case *v1.Entry_Answer:
		for _, fact := range body.Answer.Facts {
			hear(fact, entry.AtMs)
			c.evolve(fact, entry.AtMs)
		}
	}
	c.next++
}

// cardFor returns the current price list of a model, or nil.
func (c *control) cardFor(model domain.ModelID) (*v1.RateCard, domain.RateCardID) {
	id, own := c.cardsByModel[model]
	if !own {
		id = c.defaultCard
	}
	return c.cards[id], id
}

// maturityMs returns the end of the bucket in which what is charged now matures. It is later than
// now even without a dispute window, so that no bucket is filled again once it has matured.
func (c *control) maturityMs(nowMs int64) int64 {
	bucket := c.params.MaturityBucketMs
	return ((nowMs+c.disputes.WindowMs)/bucket + 1) * bucket
}

func (s *State) decideControl(who principal, claim *v1.Claim) *v1.Fact {
	switch body := claim.Body.(type) {
	case *v1.Claim_SetNetwork:
		return s.decideSetNetwork(who, body.SetNetwork)
	case *v1.Claim_SetRateCard:
		return s.decideSetRateCard(who, body.SetRateCard)
	case *v1.Claim_SetDisputePolicy:
		return s.decideSetDisputePolicy(who, body.SetDisputePolicy)
	case *v1.Claim_SetOperator:
		return s.decideSetOperator(who, body.SetOperator)
	case *v1.Claim_ListModel:
		return s.decideListModel(who, body.ListModel)
	case *v1.Claim_RegisterClient:
		return s.decideRegisterClient(who, body.RegisterClient)
	case *v1.Claim_RegisterProvider:
		return s.decideRegisterProvider(who, body.RegisterProvider)
	case *v1.Claim_RegisterWorker:
		return s.decideRegisterWorker(who, body.RegisterWorker)
	case *v1.Claim_RotateKey:
		return s.decideRotateKey(who, body.RotateKey)
	case *v1.Claim_Retire:
		return s.decideRetire(who, body.Retire)
	case *v1.Claim_SetOffer:
		return s.decideSetOffer(who, body.SetOffer)
	case *v1.Claim_ChallengeAttestation:
		return s.decideChallengeAttestation(who, body.ChallengeAttestation)
	case *v1.Claim_PassAttestation:
		return s.decidePassAttestation(who, body.PassAttestation)
	case *v1.Claim_FailAttestation:
		return s.decideFailAttestation(who, body.FailAttestation)
	case *v1.Claim_RevokeAttestation:
		return s.decideRevokeAttestation(who, body.RevokeAttestation)
	case *v1.Claim_SealBatch:
		return s.decideSealBatch(who, body.SealBatch)
	case *v1.Claim_ObserveProposal:
		return s.decideObserveProposal(who, body.ObserveProposal)
	case *v1.Claim_ObserveActivation:
		return s.decideObserveActivation(who, body.ObserveActivation)
	case *v1.Claim_ObserveVeto:
		return s.decideObserveVeto(who, body.ObserveVeto)
	case *v1.Claim_ObservePayout:
		return s.decideObservePayout(who, body.ObservePayout)
	case *v1.Claim_SetReputationPolicy:
		return s.decideSetReputationPolicy(who, body.SetReputationPolicy)
	case *v1.Claim_SetHoldPolicy:
		return s.decideSetHoldPolicy(who, body.SetHoldPolicy)
	case *v1.Claim_RetireImage:
		return s.decideRetireImage(who, body.RetireImage)
	default:
		return reject(v1.Reason_REASON_WRONG_LOG, "shard")
	}
}

// evolve takes in one fact of control, decided at a moment of its log time, on control itself or on a shard that is told of
// it.
func (c *control) evolve(fact *v1.Fact, atMs int64) {
	switch body := fact.Body.(type) {
	case *v1.Fact_NetworkSet:
		c.params = body.NetworkSet
	case *v1.Fact_RateCardSet:
		c.evolveRateCardSet(body.RateCardSet)
	case *v1.Fact_DisputePolicySet:
		c.disputes = body.DisputePolicySet
	case *v1.Fact_OperatorSet:
		c.evolveOperatorSet(body.OperatorSet)
	case *v1.Fact_ModelListed:
		c.models[domain.ModelID(body.ModelListed.Model)] = true
	case *v1.Fact_ClientRegistered:
		c.evolveClientRegistered(body.ClientRegistered)
	case *v1.Fact_ProviderRegistered:
		c.evolveProviderRegistered(body.ProviderRegistered)
	case *v1.Fact_WorkerRegistered:
		c.evolveWorkerRegistered(body.WorkerRegistered)
	case *v1.Fact_KeyRotated:
		c.evolveKeyRotated(body.KeyRotated)
	case *v1.Fact_Retired:
		c.evolveRetired(body.Retired)
	case *v1.Fact_OfferSet:
		c.evolveOfferSet(body.OfferSet)
	case *v1.Fact_AttestationChallenged:
		c.evolveAttestationChallenged(body.AttestationChallenged, atMs)
	case *v1.Fact_AttestationPassed:
		c.evolveAttestationPassed(body.AttestationPassed)
	case *v1.Fact_AttestationFailed:
		c.evolveAttestationFailed(body.AttestationFailed)
	case *v1.Fact_AttestationRevoked:
		c.evolveAttestationRevoked(body.AttestationRevoked)
	case *v1.Fact_AttestationExpired:
		c.evolveAttestationExpired(body.AttestationExpired)
	case *v1.Fact_ReputationPolicySet:
		c.evolveReputationPolicySet(body.ReputationPolicySet)
	case *v1.Fact_HoldPolicySet:
		c.hold = body.HoldPolicySet
	case *v1.Fact_ImageRetired:
		c.evolveImageRetired(body.ImageRetired)
	default:
		if c.batches != nil {
			c.batches.evolve(fact)
		}
	}
}
