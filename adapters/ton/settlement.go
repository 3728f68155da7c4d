package ton

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/settlement"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

const (
	// validFor is how long the chain may take an external: long enough for a slow minute, short enough
	// that a settler which waits for its end is not held up.
	validFor = time.Minute
	// resendEvery and lookEvery pace the wait for an external's fate.
	resendEvery = 5 * time.Second
	lookEvery   = 100 * time.Millisecond
)

// Deliver signs messages as one external and sends it, the same bytes again and again, until the
// chain proves that it landed or never will. If the process dies meanwhile the external may still
// land: whatever it carries must bear being sent twice.
func (w *Wallet) Deliver(ctx context.Context, messages []Message) (Fate, error) {
	head, err := w.client.Head(ctx)
	if err != nil {
		return Fate{}, fmt.Errorf("deliver: %w", err)
	}
	external, err := w.Sign(ctx, messages, head.Time.Add(validFor))
	if err != nil {
		return Fate{}, fmt.Errorf("deliver: %w", err)
	}
	var sent time.Time
	for {
		if time.Since(sent) >= w.client.resend {
			sendErr := w.Send(ctx, external)
			if sendErr == nil {
				sent = time.Now()
			}
			err = sendErr
		}
		fate, fateErr := w.Fate(ctx, external)
		if fateErr == nil && fate.Outcome != Pending {
			return fate, nil
		}
		select {
		case <-ctx.Done():
			return Fate{}, fmt.Errorf("deliver %s: %w", external.NormalizedHash, errors.Join(ctx.Err(), err, fateErr))
		case <-time.After(w.client.look):
		}
	}
}

// Treasury is a vault and the wallet that speaks for its admin: what a settler works with.
type Treasury struct {
	Vault  *Vault
	Wallet *Wallet
}

// Look returns the vault as of the newest final block.
func (t *Treasury) Look(ctx context.Context) (settlement.Seen, error) { return t.Vault.Look(ctx) }

// Look returns the vault as of the newest final block, in the ledger's terms.
func (v *Vault) Look(ctx context.Context) (settlement.Seen, error) {
	snapshot, err := v.Snapshot(ctx)
	if err != nil {
		return settlement.Seen{}, err
	}
	return snapshot.Seen(), nil
}

// seenOf puts a state in the ledger's terms, at the prices of its block.
func seenOf(state VaultState, prices Prices) (settlement.Seen, error) {
	byPayout, byProposal, err := prices.Reserve()
	if err != nil {
		return settlement.Seen{}, err
	}
	fee, err := prices.ClaimFee()
	if err != nil {
		return settlement.Seen{}, err
	}
	seen := settlement.Seen{
		AtMs: state.At.Time.UnixMilli(), LT: state.LT, Paused: state.Paused, LastEpoch: state.LastEpoch,
		Active: settlement.OnChain(state.Active), Paid: state.Paid,
		Free: state.Balance - byPayout, Covers: state.Balance - byProposal, ClaimFee: fee,
	}
	if state.Pending != nil {
		pending := settlement.OnChain(state.Pending.Root)
		seen.Pending, seen.ActivateAtMs = &pending, state.Pending.ActivateAt.UnixMilli()
	}
	return seen, nil
}

// Propose sends a batch's root. Twice is harmless: the vault takes an epoch once.
func (t *Treasury) Propose(ctx context.Context, root settlement.OnChain) error {
	message, err := t.Vault.ProposeMessage(Root(root))
	if err != nil {
		return err
	}
	return t.deliverGovern(ctx, message)
}

// Activate tells the vault that its pending root is due. Twice is harmless.
func (t *Treasury) Activate(ctx context.Context) error {
	message := t.Vault.ActivateMessage()
	return t.deliverGovern(ctx, message)
}

// deliverGovern delivers a message of governance.
func (t *Treasury) deliverGovern(ctx context.Context, message Message) error {
	messages := []Message{message}
	if err := t.attach(ctx, Prices.proposeValue, messages); err != nil {
		return err
	}
	return t.deliver(ctx, messages...)
}

// attach puts on messages what the vault wants at the prices of now. What it does not need it sends back.
func (t *Treasury) attach(ctx context.Context, enough func(Prices) (domain.Nano, error), messages []Message) error {
	value, err := t.Vault.client.attached(ctx, enough)
	if err != nil {
		return err
	}
	for i := range messages {
		messages[i].Amount = value
	}
	return nil
}

func (t *Treasury) deliver(ctx context.Context, messages ...Message) error {
	fate, err := t.Wallet.Deliver(ctx, messages)
	if err != nil {
		return err
	}
	if fate.Outcome == Landed && fate.Sent < len(messages) {
		return fmt.Errorf("wallet %s sent %d of %d messages: top it up: %w", t.Wallet.Address(), fate.Sent, len(messages), ErrPoor)
	}
	return nil
}

// Claims is a History whose events are claims, as a watcher reports them.
type Claims struct{ *History }

// Next returns claims for the next page of final transactions; see History.Next.
func (c Claims) Next(ctx context.Context) ([]*v1.Claim, uint64, error) {
	events, upTo, err := c.History.Next(ctx)
	if err != nil {
		return nil, upTo, err
	}
	var claims []*v1.Claim
	for _, event := range events {
		if claim := claimOf(event); claim != nil {
			claims = append(claims, claim)
		}
	}
	return claims, upTo, nil
}

// claimOf returns nil for an event that moves no money and decides nothing about a batch.
func claimOf(event Event) *v1.Claim {
	switch e := event.(type) {
	case Deposit:
		return &v1.Claim{Body: &v1.Claim_ObserveDeposit{ObserveDeposit: &v1.ObserveDeposit{
			Account: e.Account[:], AmountNano: int64(e.Amount), TxHash: e.TxHash[:], Lt: e.LT,
		}}}
	case RootProposed:
		return &v1.Claim{Body: &v1.Claim_ObserveProposal{ObserveProposal: &v1.ObserveProposal{
			Number: e.Epoch, PayoutRoot: e.Root.Root[:], TxHash: e.TxHash[:], Lt: e.LT, ActivatesAtMs: e.ActivateAt.UnixMilli(),
		}}}
	case RootActivated:
		return &v1.Claim{Body: &v1.Claim_ObserveActivation{ObserveActivation: &v1.ObserveActivation{
			Number: e.Epoch, PayoutRoot: e.Root.Root[:], TxHash: e.TxHash[:], Lt: e.LT,
		}}}
	case RootVetoed:
		return &v1.Claim{Body: &v1.Claim_ObserveVeto{ObserveVeto: &v1.ObserveVeto{Number: e.Epoch, TxHash: e.TxHash[:], Lt: e.LT}}}
	case PayoutSent:
		return &v1.Claim{Body: &v1.Claim_ObservePayout{ObservePayout: &v1.ObservePayout{
			Payee: e.Payee.Account[:], AmountNano: int64(e.Amount), TxHash: e.TxHash[:], Lt: e.LT,
		}}}
	case ToppedUp, PauseSet, ChangeProposed, ChangeVetoed, AdminChanged, CodeChanged:
		return nil
	default:
		panic(fmt.Sprintf("ton: unknown event %T", event))
	}
}
