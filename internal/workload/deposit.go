package workload

import (
	"context"
	"fmt"
	"time"

	"github.com/filature/filature/adapters/ton"
	"github.com/filature/filature/domain"
)

const (
	// attempt is how long one try to deposit may take: the chain it talks to may be dead.
	attempt = 3 * time.Second
	// validFor is how long a message may land; a later one is signed with the same number.
	validFor = time.Minute
)

// Chain is a way to a network's vault, which may not be deployed yet. Whoever asked for it closes the client.
type Chain func(ctx context.Context) (*ton.Client, *ton.Vault, error)

// Deposit pays a client's coins into its account, exactly once, whenever the chain dies: all messages that are
// tried have the wallet's first number, and the chain takes only one with it. The wallet must hold Endowment.
func (l *Lane) Deposit(ctx context.Context, chain Chain) error {
	for {
		done, err := l.tryDeposit(ctx, chain)
		if done {
			return nil
		}
		if pauseErr := Pause(ctx, 10*retryAfter); pauseErr != nil {
			return fmt.Errorf("deposit for %s: %w: %w", l.account, pauseErr, err)
		}
	}
}

func (l *Lane) tryDeposit(ctx context.Context, chain Chain) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	client, vault, err := chain(ctx)
	if err != nil {
		return false, err
	}
	defer client.Close()
	if _, err := vault.State(ctx); err != nil { // not deployed yet: coins would come back, less fees
		return false, err
	}
	wallet, err := client.Wallet(l.client.key)
	if err != nil {
		return false, err
	}
	head, err := client.Head(ctx)
	if err != nil {
		return false, err
	}
	const small = domain.Coin / 100 // so that a wallet that has paid already can sign too
	probe, err := wallet.Sign(ctx, []ton.Message{ton.Transfer(wallet.Address(), small)}, head.Time.Add(validFor))
	if err != nil || probe.Seqno > 0 {
		return err == nil, err
	}
	external, err := wallet.Sign(ctx, []ton.Message{vault.DepositMessage(l.account, deposit)}, head.Time.Add(validFor))
	if err != nil || external.Seqno > 0 {
		return false, err
	}
	return false, wallet.Send(ctx, external) // the next try sees whether it landed
}
