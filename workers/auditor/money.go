package auditor

import (
	"context"
	"errors"
	"fmt"

	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// countMoney adds up all accounts of all shards, and compares what the vault has to hold with what it
// holds.
func (a *audit) countMoney(context.Context) Step {
	step := Step{Name: "money"}
	if len(a.shards) == 0 {
		return step.skip("the ledger was not made again")
	}
	for _, r := range a.shards {
		if r.summary.Why != "" {
			return step.skip("the ledger was not made again to its end")
		}
	}
	var m Money
	accounts := map[account]bool{}
	var errs []error
	for _, r := range a.shards {
		for key, amount := range r.books.balances {
			accounts[key] = true
			errs = append(errs, m.add(key.kind, amount))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return step.stop(err)
	}
	a.report.Money = &m
	if m.TrialBalanceNano != 0 {
		a.offences.add(Offence{
			Kind: Unbalanced, Log: Ledger, Have: m.TrialBalanceNano.String(), Want: domain.Nano(0).String(),
			Why: "all accounts together do not sum to zero",
		})
	}
	if a.vault != nil {
		if err := a.countVault(&m); err != nil {
			return step.stop(err)
		}
	}
	return step.done(count(int64(len(accounts)), "accounts"))
}

func (m *Money) add(kind v1.AccountKind, amount domain.Nano) (err error) {
	if m.TrialBalanceNano, err = m.TrialBalanceNano.Add(amount); err != nil {
		return err
	}
	side := &m.NetworkNano
	switch kind {
	case v1.AccountKind_ACCOUNT_KIND_CLIENT_AVAILABLE, v1.AccountKind_ACCOUNT_KIND_CLIENT_RESERVED:
		side = &m.ClientsNano
	case v1.AccountKind_ACCOUNT_KIND_PROVIDER_EARNED, v1.AccountKind_ACCOUNT_KIND_PROVIDER_HELD,
		v1.AccountKind_ACCOUNT_KIND_PROVIDER_PAYABLE, v1.AccountKind_ACCOUNT_KIND_PROVIDER_COMMITTED:
		side = &m.ProvidersNano
	case v1.AccountKind_ACCOUNT_KIND_NETWORK_COMMISSION, v1.AccountKind_ACCOUNT_KIND_NETWORK_SLASHED:
	case v1.AccountKind_ACCOUNT_KIND_VAULT_CASH:
		side, amount = &m.BooksNano, -amount // what is held is negative in the books
	}
	*side, err = side.Add(amount)
	return err
}

// countVault wants the vault to hold what the books say, but for what came and went since.
func (a *audit) countVault(m *Money) error {
	v := a.vault
	m.Vault = &VaultMoney{FreeNano: v.seen.Free, PaidNano: v.seen.Paid, PendingInNano: v.pendingIn, PendingOutNano: v.pendingOut}
	want, err := m.BooksNano.Add(v.pendingIn)
	if err == nil {
		want, err = want.Sub(v.pendingOut)
	}
	if err == nil {
		m.Vault.SurplusNano, err = v.seen.Free.Sub(want)
	}
	if err != nil {
		return fmt.Errorf("vault: %w", err)
	}
	if m.Vault.SurplusNano < 0 {
		a.offences.add(Offence{
			Kind: VaultShort, Log: OnChain, Have: v.seen.Free.String(), Want: want.String(),
			Why: fmt.Sprintf("the vault is short by %s coins", -m.Vault.SurplusNano),
		})
	}
	return nil
}
