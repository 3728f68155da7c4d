package sdk

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/signing"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

var (
	// ErrNotAsked: no verifier asks the worker anything now. Ask again after a while.
	ErrNotAsked = errors.New("the worker is asked nothing now")
	// ErrChallengeOver: the challenge has run out, or another has taken its place. Ask for the one that is open now.
	ErrChallengeOver = errors.New("the challenge is not open")
)

const answerType = "application/vnd.filature.answer"

// Challenge asks what a worker is to prove now; key is the one that signs its metered events. A worker that is not asked
// through Kafka's stream of requests asks here, every minute: a challenge lives for five.
//
// What it returns says what goes into the processor's report: [domain.Challenge.ReportData], and before that into the
// GPUs': [domain.Challenge.GPUNonce].
func (g *HTTP) Challenge(ctx context.Context, worker domain.WorkerID, key domain.KeyID) (domain.Challenge, error) {
	network, _, err := g.Network(ctx)
	if err != nil {
		return domain.Challenge{}, err
	}
	var raw json.RawMessage
	switch err := g.do(ctx, http.MethodGet, "v1/workers/"+worker.String()+"/challenge", "", nil, &raw); {
	case statusOf(err) == http.StatusNotFound:
		return domain.Challenge{}, fmt.Errorf("%w: %w", ErrNotAsked, err)
	case err != nil:
		return domain.Challenge{}, err
	}
	request, err := v1.ParseAttestationRequest(raw)
	if err != nil {
		return domain.Challenge{}, fmt.Errorf("gateway %s: challenge: %w", g.base, err)
	}
	return ChallengeOf(network, key, request), nil
}

// ChallengeOf is what a message of the stream of attestation requests asks the worker with this key.
func ChallengeOf(network domain.NetworkID, key domain.KeyID, request *v1.AttestationRequest) domain.Challenge {
	return domain.Challenge{
		Network: network, Worker: domain.WorkerID(request.Worker), Key: key, Nonce: domain.Digest(request.Challenge),
		Epoch: uint64(request.GetPosition().GetOffset()), ExpiresMs: request.ExpiresAtMs,
	}
}

// Answer signs evidence as the answer to a challenge, and sends it. When it returns nil a verifier will look at it; what
// comes of that is in the ledger, and a worker that was not heard is asked again. The same answer may be sent again
// after any error. One that has a method Permanent() bool which says true needs a person: the evidence, or the key, is not what
// the network wants.
func (g *HTTP) Answer(ctx context.Context, key ed25519.PrivateKey, c domain.Challenge, evidence *v1.Evidence) error {
	signed, err := signing.Answer(key, &v1.AttestationAnswer{
		Network: c.Network[:], Worker: c.Worker[:], Challenge: c.Nonce[:], Evidence: evidence,
	})
	if err != nil {
		return mistakeError{fmt.Errorf("sign the answer: %w", err)}
	}
	var taken struct {
		Status string `json:"status"`
	}
	err = g.do(ctx, http.MethodPost, "v1/attestation/answers", answerType, signed, &taken)
	switch statusOf(err) {
	case http.StatusConflict, http.StatusGone:
		return fmt.Errorf("%w: %s", ErrChallengeOver, err.Error()) // it passes
	default:
		return err
	}
}
