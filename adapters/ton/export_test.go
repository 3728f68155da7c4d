package ton

import (
	"context"
	"time"
)

// SignUnchecked signs without looking whether the wallet can pay.
func (w *Wallet) SignUnchecked(ctx context.Context, messages []Message, validUntil time.Time) (External, error) {
	head, err := w.client.Head(ctx)
	if err != nil {
		return External{}, err
	}
	state, err := w.state(ctx, head)
	if err != nil {
		return External{}, err
	}
	return w.signed(messages, state, validUntil)
}

// ExpiryGrace is how far past an external's deadline the chain must be.
const ExpiryGrace = expiryGrace
