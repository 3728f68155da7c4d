package auditor

import (
	"context"
	"crypto/rand"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/signing"
	"github.com/filature/filature/eventstore"
)

// Listen reads a shard of intake as a replay does, and returns how many signatures it checked.
func Listen(ctx context.Context, intake eventstore.Reader, shard domain.Shard, verifier *signing.Verifier) (int, error) {
	end, err := intake.End(ctx, shard)
	if err != nil {
		return 0, err
	}
	h := newHearing(Config{Intake: intake, Verifier: verifier, Entropy: rand.Reader}, shard, end)
	for at := range end {
		if _, err := h.next(ctx, at); err != nil {
			return 0, err
		}
	}
	return int(h.signatures), nil
}
