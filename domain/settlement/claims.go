package settlement

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/filature/filature/domain"
)

// Unpaid is a payee whom the active root gives more than it got.
type Unpaid struct {
	Payee      domain.ProviderID
	Owed       domain.Nano // the leaf less what the books say was paid: above zero
	LastPaidMs int64       // log time of the last payment in the books; 0: never paid
}

// ClaimPolicy says for whom a keeper claims. A claim costs its sender the same whatever it pays, so small amounts
// wait until they are worth it, or have waited long enough.
type ClaimPolicy struct {
	AtLeastNano domain.Nano // owed: claimed for at once
	AfterMs     int64       // a smaller amount, once its payee was not paid for so long
	FeeNano     domain.Nano // above zero: what one claim costs the keeper; a settler takes zero for what the chain says
	BudgetNano  domain.Nano // most fees under one root
}

// Due returns for whom to claim now. Where the budget does not reach everybody, who was paid longest ago comes first,
// of those who is owed the most, then the smaller id; so the next budget begins with those left out. They are returned
// in the order of their ids: neighbours in the tree share most of their proofs, so three times as many fit in one message.
// Claims is how many claims were paid for under this root already.
//
// It decides from its arguments alone, and to claim for somebody twice pays once.
func Due(unpaid []Unpaid, claims int64, policy ClaimPolicy, nowMs int64) []domain.ProviderID {
	var due []Unpaid
	for _, u := range unpaid {
		if u.Owed > 0 && (u.Owed >= policy.AtLeastNano || nowMs-u.LastPaidMs >= policy.AfterMs) {
			due = append(due, u)
		}
	}
	slices.SortFunc(due, func(a, b Unpaid) int {
		return cmp.Or(cmp.Compare(a.LastPaidMs, b.LastPaidMs), cmp.Compare(b.Owed, a.Owed), bytes.Compare(a.Payee[:], b.Payee[:]))
	})
	room := max(0, int64(policy.BudgetNano/policy.FeeNano)-claims)
	due = due[:min(int64(len(due)), room)]
	payees := make([]domain.ProviderID, len(due))
	for i, u := range due {
		payees[i] = u.Payee
	}
	slices.SortFunc(payees, func(a, b domain.ProviderID) int { return bytes.Compare(a[:], b[:]) })
	return payees
}
