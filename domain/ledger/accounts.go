package ledger

import (
	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// account is a prepaid account; what it holds is in balances.
type account struct {
	client     domain.ClientID
	lastNumber uint64 // of its jobs
	openJobs   uint32
}

func (s *State) decideOpenAccount(who principal, claim *v1.OpenAccount) *v1.Fact {
	client, id := domain.ClientID(claim.Client), domain.AccountID(claim.Account)
	switch {
	case !who.is(v1.SubjectKind_SUBJECT_KIND_CLIENT, client) && !who.may(v1.Role_ROLE_ADMIN):
		return reject(v1.Reason_REASON_ROLE_NOT_ALLOWED, "signer")
	case !s.control.clients[client].active():
		return reject(v1.Reason_REASON_UNKNOWN_CLIENT, "client")
	case domain.ShardOf(id, s.control.dataShards) != s.shard:
		return s.misplaced(id)
	case s.accounts[id] != nil:
		return reject(v1.Reason_REASON_ALREADY_EXISTS, "account")
	case s.balances[available(id)] != 0 && !who.may(v1.Role_ROLE_ADMIN):
		// A deposit came before its account. Any client that saw it on chain could say that it is its own.
		return reject(v1.Reason_REASON_ROLE_NOT_ALLOWED, "signer")
	}
	return &v1.Fact{Body: &v1.Fact_AccountOpened{AccountOpened: claim}}
}

func (s *State) misplaced(id domain.AccountID) *v1.Fact {
	return rejectNumber(v1.Reason_REASON_MISPLACED_ACCOUNT, "account", int64(s.shard), int64(domain.ShardOf(id, s.control.dataShards)))
}

func (s *State) evolveAccountOpened(fact *v1.OpenAccount) {
	s.accounts[domain.AccountID(fact.Account)] = &account{client: domain.ClientID(fact.Client)}
}

// decideObserveDeposit books money that the vault already has, so it asks for little: an account
// that nobody has opened yet gets it too. An admin then opens it for the client whose it is.
func (s *State) decideObserveDeposit(who principal, claim *v1.ObserveDeposit) *v1.Fact {
	id := domain.AccountID(claim.Account)
	switch {
	case !who.may(v1.Role_ROLE_WATCHER):
		return reject(v1.Reason_REASON_ROLE_NOT_ALLOWED, "signer")
	case domain.ShardOf(id, s.control.dataShards) != s.shard:
		return s.misplaced(id)
	case claim.Lt <= s.lastDepositLT:
		return rejectNumber(v1.Reason_REASON_ALREADY_BOOKED, "lt", int64(claim.Lt), int64(s.lastDepositLT+1))
	case claim.AmountNano <= 0:
		return rejectNumber(v1.Reason_REASON_OUT_OF_RANGE, "amount_nano", claim.AmountNano, 1)
	}
	return &v1.Fact{
		Postings: move(domain.Nano(claim.AmountNano), vaultCash, available(id)),
		Body:     &v1.Fact_AccountFunded{AccountFunded: claim},
	}
}

func (s *State) decideRequestWithdrawal(who principal, claim *v1.RequestWithdrawal) *v1.Fact {
	id := domain.AccountID(claim.Account)
	if _, refusal := s.accountOf(who, id); refusal != nil {
		return refusal
	}
	amount, free := domain.Nano(claim.AmountNano), s.balances[available(id)]
	switch {
	case amount <= 0:
		return rejectNumber(v1.Reason_REASON_OUT_OF_RANGE, "amount_nano", claim.AmountNano, 1)
	case free < amount:
		return rejectNumber(v1.Reason_REASON_INSUFFICIENT_FUNDS, "amount_nano", int64(free), int64(amount))
	}
	return &v1.Fact{
		Postings: move(amount, available(id), payable(domain.ProviderID(claim.Destination))),
		Body:     &v1.Fact_WithdrawalAccepted{WithdrawalAccepted: claim},
	}
}

// accountOf returns the signer's own account, or the rejection.
func (s *State) accountOf(who principal, id domain.AccountID) (*account, *v1.Fact) {
	if who.kind != v1.SubjectKind_SUBJECT_KIND_CLIENT {
		return nil, reject(v1.Reason_REASON_ROLE_NOT_ALLOWED, "signer")
	}
	acc := s.accounts[id]
	if acc == nil {
		return nil, reject(v1.Reason_REASON_UNKNOWN_ACCOUNT, "account")
	}
	if acc.client != domain.ClientID(who.subject) {
		return nil, reject(v1.Reason_REASON_NOT_YOUR_ACCOUNT, "account")
	}
	return acc, nil
}

// adjustable are the accounts that a treasurer may correct. The others belong to open jobs, to
// buckets that will mature, or to the chain, and follow from facts alone. Vault cash is here for
// money that reached the vault without a deposit, or left it without a payout.
func adjustable(kind v1.AccountKind) bool {
	switch kind {
	case v1.AccountKind_ACCOUNT_KIND_CLIENT_AVAILABLE, v1.AccountKind_ACCOUNT_KIND_PROVIDER_PAYABLE,
		v1.AccountKind_ACCOUNT_KIND_NETWORK_COMMISSION, v1.AccountKind_ACCOUNT_KIND_NETWORK_SLASHED,
		v1.AccountKind_ACCOUNT_KIND_VAULT_CASH:
		return true
	case v1.AccountKind_ACCOUNT_KIND_CLIENT_RESERVED, v1.AccountKind_ACCOUNT_KIND_PROVIDER_EARNED,
		v1.AccountKind_ACCOUNT_KIND_PROVIDER_HELD, v1.AccountKind_ACCOUNT_KIND_PROVIDER_COMMITTED:
		return false
	default:
		return false
	}
}

func (s *State) decideAdjust(who principal, claim *v1.Adjust) *v1.Fact {
	if !who.may(v1.Role_ROLE_TREASURER) {
		return reject(v1.Reason_REASON_ROLE_NOT_ALLOWED, "signer")
	}
	from, to := keyOf(claim.FromKind, claim.FromOwner), keyOf(claim.ToKind, claim.ToOwner)
	if refusal := s.adjustableSide("from", from, len(claim.FromOwner) != 0); refusal != nil {
		return refusal
	}
	if refusal := s.adjustableSide("to", to, len(claim.ToOwner) != 0); refusal != nil {
		return refusal
	}
	amount, has := domain.Nano(claim.AmountNano), s.balances[from]
	switch {
	case from == to:
		return reject(v1.Reason_REASON_OUT_OF_RANGE, "to_owner")
	case amount <= 0:
		return rejectNumber(v1.Reason_REASON_OUT_OF_RANGE, "amount_nano", claim.AmountNano, 1)
	case from.kind != v1.AccountKind_ACCOUNT_KIND_VAULT_CASH && has < amount:
		return rejectNumber(v1.Reason_REASON_INSUFFICIENT_FUNDS, "amount_nano", int64(has), int64(amount))
	}
	return &v1.Fact{Postings: move(amount, from, to), Body: &v1.Fact_Adjusted{Adjusted: claim}}
}

func (s *State) adjustableSide(side string, key accountKey, owned bool) *v1.Fact {
	switch {
	case !adjustable(key.kind):
		return reject(v1.Reason_REASON_OUT_OF_RANGE, side+"_kind")
	case hasOwner(key.kind) != owned:
		return reject(v1.Reason_REASON_OUT_OF_RANGE, side+"_owner")
	case key.kind == v1.AccountKind_ACCOUNT_KIND_CLIENT_AVAILABLE && s.accounts[key.owner] == nil:
		return reject(v1.Reason_REASON_UNKNOWN_ACCOUNT, side+"_owner")
	}
	return nil
}
