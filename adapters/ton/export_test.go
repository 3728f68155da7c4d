package ton

import (
	"context"
	"time"

	"github.com/xssnick/tonutils-go/tvm/cell"

	"github.com/filature/filature/domain"
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

// Raw is a message as a stranger's wallet makes it of what a link says.
func Raw(to Address, amount domain.Nano, body *cell.Cell) Message {
	return Message{To: to, Amount: amount, Bounce: true, body: body}
}
