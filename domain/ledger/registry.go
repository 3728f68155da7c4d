package ledger

import (
	"fmt"

	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// worker is one GPU worker of a provider.
type worker struct {
	subject
	provider        domain.ProviderID
	offers          map[domain.ModelID]offer
	attestedUntilMs int64
	challenge       domain.Digest
	challengeEndsMs int64
	expiry          timer // of the attestation; on control only

	image      domain.Digest      // that the last result found
	unattested v1.UnattestedCause // why there is no valid result, where control said so
	// Offsets of control: where it last said something of the worker's attestation, and where it last passed. Zero,
	// the genesis, is nowhere.
	toldAt, passedAt domain.Offset

	// askedMs is control's log time when a verifier first asked it for a result since it last passed, or since the verifier was
	// last at fault; zero: it has not.
	askedMs int64
}

// offer is at what coefficient a worker serves a model, and how soon it promises to be done; zero: it does not.
type offer struct {
	coefficient uint32
	promisedMs  int64
}

func rolesOf(roles []v1.Role) uint32 {
	var bits uint32
	for _, role := range roles {
		bits |= 1 << role
	}
	return bits
}

func (s *State) decideSetOperator(who principal, claim *v1.SetOperator) *v1.Fact {
	if !who.may(v1.Role_ROLE_ADMIN) {
		return reject(v1.Reason_REASON_ROLE_NOT_ALLOWED, "signer")
	}
	current, known := s.control.keyring[domain.KeyID(claim.Key)]
	after := principal{roles: rolesOf(claim.Roles)}
	switch {
	case known && current.kind != v1.SubjectKind_SUBJECT_KIND_UNSPECIFIED:
		return reject(v1.Reason_REASON_KEY_IN_USE, "key")
	case current.may(v1.Role_ROLE_ADMIN) && !after.may(v1.Role_ROLE_ADMIN) && s.control.admins == 1:
		return reject(v1.Reason_REASON_LAST_ADMIN, "roles")
	}
	for i, role := range claim.Roles {
		if i > 0 && role <= claim.Roles[i-1] {
			return rejectNumber(v1.Reason_REASON_OUT_OF_RANGE, fmt.Sprintf("roles[%d]", i), int64(role), int64(claim.Roles[i-1])+1)
		}
	}
	return &v1.Fact{Body: &v1.Fact_OperatorSet{OperatorSet: claim}}
}

func (c *control) evolveOperatorSet(fact *v1.SetOperator) {
	key := domain.KeyID(fact.Key)
	if c.keyring[key].may(v1.Role_ROLE_ADMIN) {
		c.admins--
	}
	after := principal{roles: rolesOf(fact.Roles)}
	if after.may(v1.Role_ROLE_ADMIN) {
		c.admins++
	}
	if after.roles == 0 {
		delete(c.keyring, key)
		return
	}
	c.keyring[key] = after
}

// refuseNew checks what holds for every new subject.
func (s *State) refuseNew(exists bool, field string, key []byte) *v1.Fact {
	if exists {
		return reject(v1.Reason_REASON_ALREADY_EXISTS, field)
	}
	return s.refuseUsedKey(key)
}

// refuseUsedKey keeps one key from speaking for two.
func (s *State) refuseUsedKey(key []byte) *v1.Fact {
	if _, used := s.control.keyring[domain.KeyID(key)]; used {
		return reject(v1.Reason_REASON_KEY_IN_USE, "key")
	}
	return nil
}

func (s *State) decideRegisterClient(who principal, claim *v1.RegisterClient) *v1.Fact {
	if !who.may(v1.Role_ROLE_ADMIN) {
		return reject(v1.Reason_REASON_ROLE_NOT_ALLOWED, "signer")
	}
	if refusal := s.refuseNew(s.control.clients[domain.ClientID(claim.Client)] != nil, "client", claim.Key); refusal != nil {
		return refusal
	}
	return &v1.Fact{Body: &v1.Fact_ClientRegistered{ClientRegistered: claim}}
}

func (c *control) evolveClientRegistered(fact *v1.RegisterClient) {
	key := domain.KeyID(fact.Key)
	c.clients[domain.ClientID(fact.Client)] = &subject{key: key}
	c.keyring[key] = principal{kind: v1.SubjectKind_SUBJECT_KIND_CLIENT, subject: [32]byte(fact.Client)}
}

func (s *State) decideRegisterProvider(who principal, claim *v1.RegisterProvider) *v1.Fact {
	if !who.may(v1.Role_ROLE_ADMIN) {
		return reject(v1.Reason_REASON_ROLE_NOT_ALLOWED, "signer")
	}
	if refusal := s.refuseNew(s.control.providers[domain.ProviderID(claim.Provider)] != nil, "provider", claim.Key); refusal != nil {
		return refusal
	}
	return &v1.Fact{Body: &v1.Fact_ProviderRegistered{ProviderRegistered: claim}}
}

func (c *control) evolveProviderRegistered(fact *v1.RegisterProvider) {
	key := domain.KeyID(fact.Key)
	c.providers[domain.ProviderID(fact.Provider)] = &subject{key: key}
	c.keyring[key] = principal{kind: v1.SubjectKind_SUBJECT_KIND_PROVIDER, subject: [32]byte(fact.Provider)}
}

func (s *State) decideRegisterWorker(who principal, claim *v1.RegisterWorker) *v1.Fact {
	provider := domain.ProviderID(claim.Provider)
	switch {
	case !who.is(v1.SubjectKind_SUBJECT_KIND_PROVIDER, provider) && !who.may(v1.Role_ROLE_ADMIN):
		return reject(v1.Reason_REASON_ROLE_NOT_ALLOWED, "signer")
	case !s.control.providers[provider].active():
		return reject(v1.Reason_REASON_UNKNOWN_PROVIDER, "provider")
	}
	if refusal := s.refuseNew(s.control.workers[domain.WorkerID(claim.Worker)] != nil, "worker", claim.Key); refusal != nil {
		return refusal
	}
	return &v1.Fact{Body: &v1.Fact_WorkerRegistered{WorkerRegistered: claim}}
}

func (c *control) evolveWorkerRegistered(fact *v1.RegisterWorker) {
	key := domain.KeyID(fact.Key)
	c.workers[domain.WorkerID(fact.Worker)] = &worker{
		subject: subject{key: key}, provider: domain.ProviderID(fact.Provider), offers: map[domain.ModelID]offer{},
	}
	c.keyring[key] = principal{kind: v1.SubjectKind_SUBJECT_KIND_WORKER, subject: [32]byte(fact.Worker)}
}

// find returns a subject that is not retired, or nil.
func (c *control) find(kind v1.SubjectKind, id [32]byte) *subject {
	var found *subject
	switch kind {
	case v1.SubjectKind_SUBJECT_KIND_CLIENT:
		found = c.clients[id]
	case v1.SubjectKind_SUBJECT_KIND_PROVIDER:
		found = c.providers[id]
	case v1.SubjectKind_SUBJECT_KIND_WORKER:
		if w := c.workers[id]; w != nil {
			found = &w.subject
		}
	}
	if !found.active() {
		return nil
	}
	return found
}

// rules tells whether a signer may replace or end a subject: itself, the provider of a worker, or an
// admin.
func (c *control) rules(who principal, kind v1.SubjectKind, id [32]byte) bool {
	if who.is(kind, id) || who.may(v1.Role_ROLE_ADMIN) {
		return true
	}
	w := c.workers[id]
	return kind == v1.SubjectKind_SUBJECT_KIND_WORKER && w != nil && who.is(v1.SubjectKind_SUBJECT_KIND_PROVIDER, w.provider)
}

func (s *State) decideRotateKey(who principal, claim *v1.RotateKey) *v1.Fact {
	id := [32]byte(claim.Subject)
	if !s.control.rules(who, claim.Kind, id) {
		return reject(v1.Reason_REASON_ROLE_NOT_ALLOWED, "signer")
	}
	if s.control.find(claim.Kind, id) == nil {
		return reject(v1.Reason_REASON_UNKNOWN_SUBJECT, "subject")
	}
	if refusal := s.refuseUsedKey(claim.Key); refusal != nil {
		return refusal
	}
	return &v1.Fact{Body: &v1.Fact_KeyRotated{KeyRotated: claim}}
}

func (c *control) evolveKeyRotated(fact *v1.RotateKey) {
	found := c.find(fact.Kind, [32]byte(fact.Subject))
	delete(c.keyring, found.key)
	found.key = domain.KeyID(fact.Key)
	c.keyring[found.key] = principal{kind: fact.Kind, subject: [32]byte(fact.Subject)}
	if fact.Kind == v1.SubjectKind_SUBJECT_KIND_WORKER {
		c.evolveWorkerRekeyed(c.workers[domain.WorkerID(fact.Subject)])
	}
}

func (s *State) decideRetire(who principal, claim *v1.Retire) *v1.Fact {
	id := [32]byte(claim.Subject)
	if !s.control.rules(who, claim.Kind, id) {
		return reject(v1.Reason_REASON_ROLE_NOT_ALLOWED, "signer")
	}
	if s.control.find(claim.Kind, id) == nil {
		return reject(v1.Reason_REASON_UNKNOWN_SUBJECT, "subject")
	}
	return &v1.Fact{Body: &v1.Fact_Retired{Retired: claim}}
}

func (c *control) evolveRetired(fact *v1.Retire) {
	found := c.find(fact.Kind, [32]byte(fact.Subject))
	found.retired = true
	delete(c.keyring, found.key)
}

func (s *State) decideSetOffer(who principal, claim *v1.SetOffer) *v1.Fact {
	id := domain.WorkerID(claim.Worker)
	w := s.control.workers[id]
	switch {
	case !who.is(v1.SubjectKind_SUBJECT_KIND_WORKER, id) &&
		(w == nil || !who.is(v1.SubjectKind_SUBJECT_KIND_PROVIDER, w.provider)):
		return reject(v1.Reason_REASON_ROLE_NOT_ALLOWED, "signer")
	case w.retired:
		return reject(v1.Reason_REASON_WORKER_RETIRED, "worker")
	case !s.control.models[domain.ModelID(claim.Model)]:
		return reject(v1.Reason_REASON_UNKNOWN_MODEL, "model")
	}
	if err := domain.ValidateCoefficient("coefficient", claim.Coefficient); err != nil {
		return rejectError(err)
	}
	if refusal := outOfRange("finish_within_ms", claim.FinishWithinMs, 0, maxSpanMs); refusal != nil {
		return refusal
	}
	return &v1.Fact{Body: &v1.Fact_OfferSet{OfferSet: claim}}
}

func (c *control) evolveOfferSet(fact *v1.SetOffer) {
	offers := c.workers[domain.WorkerID(fact.Worker)].offers
	if fact.Withdrawn {
		delete(offers, domain.ModelID(fact.Model))
		return
	}
	offers[domain.ModelID(fact.Model)] = offer{fact.Coefficient, fact.FinishWithinMs}
}
