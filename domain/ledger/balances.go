package ledger

import (
	"errors"
	"fmt"
	"math"

	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// balances are sums of postings and nothing else. An account at zero has no entry, so the map is as
// large as the accounts that hold something.
type balances map[accountKey]domain.Nano

type accountKey struct {
	kind  v1.AccountKind
	owner [32]byte
}

func keyOf(kind v1.AccountKind, owner []byte) accountKey {
	key := accountKey{kind: kind}
	copy(key.owner[:], owner)
	return key
}

func (b balances) of(kind v1.AccountKind, owner []byte) domain.Nano { return b[keyOf(kind, owner)] }

// post adds postings. They were checked when they were decided.
func (b balances) post(postings []*v1.Posting) {
	for _, p := range postings {
		key := keyOf(p.Kind, p.Owner)
		if sum := b[key] + domain.Nano(p.AmountNano); sum != 0 {
			b[key] = sum
		} else {
			delete(b, key)
		}
	}
}

// affordable lets a fact pass, unless its postings would take an account out of the range of an
// amount: then the claim is rejected. It is the one place where sums are checked. The least int64 is
// out of range too: all that a shard owes is at most what its vault account is below zero, so what
// log time moves later, which nobody can reject, fits any account as well.
func (b balances) affordable(fact *v1.Fact) *v1.Fact {
	for _, p := range fact.Postings {
		sum, err := b[keyOf(p.Kind, p.Owner)].Add(domain.Nano(p.AmountNano))
		if err != nil || sum == math.MinInt64 {
			return reject(v1.Reason_REASON_AMOUNT_OVERFLOW, "amount_nano")
		}
	}
	return fact
}

// Balance returns what an account holds in this shard.
func (s *State) Balance(kind v1.AccountKind, owner []byte) domain.Nano {
	return s.balances.of(kind, owner)
}

// leg is what one account gets, or gives where the amount is below zero.
type leg struct {
	key    accountKey
	amount domain.Nano
}

// move takes an amount from one account to another.
func move(amount domain.Nano, from, to accountKey) []*v1.Posting {
	return postings(leg{from, -amount}, leg{to, amount})
}

// postings writes down legs that sum to zero; where the amount is zero nothing moves. The postings of
// a fact and the owners that they name share one piece of memory, as most facts have two to four.
func postings(legs ...leg) []*v1.Posting {
	moving := 0
	for i := range legs {
		if legs[i].amount != 0 {
			moving++
		}
	}
	if moving == 0 {
		return nil
	}
	type ownedPosting struct {
		posting v1.Posting
		owner   [32]byte
	}
	room, list := make([]ownedPosting, moving), make([]*v1.Posting, 0, moving)
	for i := range legs {
		if legs[i].amount == 0 {
			continue
		}
		p := &room[len(list)]
		p.posting.Kind, p.posting.AmountNano = legs[i].key.kind, int64(legs[i].amount)
		if hasOwner(legs[i].key.kind) {
			p.owner = legs[i].key.owner
			p.posting.Owner = p.owner[:]
		}
		list = append(list, &p.posting)
	}
	return list
}

func hasOwner(kind v1.AccountKind) bool {
	return kind <= v1.AccountKind_ACCOUNT_KIND_PROVIDER_COMMITTED
}

func available(id domain.AccountID) accountKey {
	return accountKey{v1.AccountKind_ACCOUNT_KIND_CLIENT_AVAILABLE, id}
}

func reserved(id domain.AccountID) accountKey {
	return accountKey{v1.AccountKind_ACCOUNT_KIND_CLIENT_RESERVED, id}
}

func earned(id domain.ProviderID) accountKey {
	return accountKey{v1.AccountKind_ACCOUNT_KIND_PROVIDER_EARNED, id}
}

func held(id domain.ProviderID) accountKey {
	return accountKey{v1.AccountKind_ACCOUNT_KIND_PROVIDER_HELD, id}
}

func payable(id domain.ProviderID) accountKey {
	return accountKey{v1.AccountKind_ACCOUNT_KIND_PROVIDER_PAYABLE, id}
}

func committed(id domain.ProviderID) accountKey {
	return accountKey{v1.AccountKind_ACCOUNT_KIND_PROVIDER_COMMITTED, id}
}

var (
	commission = accountKey{kind: v1.AccountKind_ACCOUNT_KIND_NETWORK_COMMISSION}
	slashed    = accountKey{kind: v1.AccountKind_ACCOUNT_KIND_NETWORK_SLASHED}
	vaultCash  = accountKey{kind: v1.AccountKind_ACCOUNT_KIND_VAULT_CASH}
)

// SumsToZero checks the postings of a fact.
func SumsToZero(fact *v1.Fact) error {
	var sum domain.Nano
	for _, p := range fact.Postings {
		var err error
		if sum, err = sum.Add(domain.Nano(p.AmountNano)); err != nil {
			return fmt.Errorf("sum postings: %w", err)
		}
	}
	if sum != 0 {
		return fmt.Errorf("postings sum to %d nanotons: %w", sum, errUnbalanced)
	}
	return nil
}

var errUnbalanced = errors.New("postings must sum to zero")
