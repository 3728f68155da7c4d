package ton

import (
	"context"
	"fmt"

	"github.com/xssnick/tonutils-go/tlb"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/settlement"
)

// Snapshot is a vault as of one final block, and its claim accounts as of the same one.
type Snapshot struct {
	vault *Vault
	state VaultState
	seen  settlement.Seen
}

// Snapshot looks at the vault. A lite-server forgets old blocks, so it is good for some minutes.
func (v *Vault) Snapshot(ctx context.Context) (*Snapshot, error) {
	ctx = v.client.sticky(ctx)
	state, err := v.State(ctx)
	if err != nil {
		return nil, err
	}
	prices, err := v.client.Prices(ctx, state.At)
	if err != nil {
		return nil, fmt.Errorf("vault %s: %w", v.self, err)
	}
	seen, err := seenOf(state, prices)
	if err != nil {
		return nil, fmt.Errorf("vault %s: %w", v.self, err)
	}
	return &Snapshot{v, state, seen}, nil
}

// Seen is the vault in the ledger's terms.
func (s *Snapshot) Seen() settlement.Seen { return s.seen }

// Admin is who tops the vault up for the network.
func (s *Snapshot) Admin() string { return s.state.Params.Admin.String() }

// Claimed is what the claim account of a payee says that it got; see Vault.Claimed.
func (s *Snapshot) Claimed(ctx context.Context, payee domain.ProviderID) (domain.Nano, error) {
	account, err := s.vault.client.account(ctx, s.state.At, s.vault.ClaimAccount(payee))
	if err != nil {
		return 0, fmt.Errorf("claimed by %s: %w", payee, err)
	}
	if account.State == nil || account.State.Status != tlb.AccountStatusActive {
		return 0, nil
	}
	claimed, err := parseClaimAccount(account.Data)
	if err != nil {
		return 0, fmt.Errorf("claimed by %s: storage: %w", payee, err)
	}
	return claimed, nil
}

// Movements is a History of what came in and went out.
type Movements struct{ *History }

// Next returns the movements of the next page of final transactions; see History.Next.
func (m Movements) Next(ctx context.Context) ([]settlement.Movement, uint64, error) {
	events, upTo, err := m.History.Next(ctx)
	if err != nil {
		return nil, upTo, err
	}
	var moved []settlement.Movement
	for _, event := range events {
		switch e := event.(type) {
		case Deposit:
			one := e.moved(settlement.DepositMoved, e.Amount)
			one.Account, one.From = e.Account, e.Sender.String()
			moved = append(moved, one)
		case PayoutSent:
			one := e.moved(settlement.PayoutMoved, e.Amount)
			one.Payee = e.Payee.Account
			moved = append(moved, one)
		case ToppedUp:
			one := e.moved(settlement.TopUpMoved, e.Amount)
			one.From = e.Sender.String()
			moved = append(moved, one)
		}
	}
	return moved, upTo, nil
}

func (p Place) moved(kind settlement.MovementKind, amount domain.Nano) settlement.Movement {
	return settlement.Movement{Kind: kind, LT: p.LT, TxHash: p.TxHash, AtMs: p.Time.UnixMilli(), Amount: amount}
}
