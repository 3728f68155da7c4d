package verifier

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/signing"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// keyMetadata is the metadatum that becomes the key of a message: answers of one worker are in one partition.
const keyMetadata = "key"

// ErrUnsure: nobody knows whether a verifier will see the answer. The same bytes may be sent again.
var ErrUnsure = errors.New("the answer may not have been taken")

// DoorConfig says where answers are let in. All is needed.
type DoorConfig struct {
	Network   domain.NetworkID
	Directory Directory
	Book      *Book
	// Publisher takes answers to verifiers. When Publish returns nil, one will be handled, unless the process that has it
	// dies; then the worker is asked again.
	Publisher message.Publisher
	Topic     string
	Now       func() time.Time
}

// Door lets workers' answers in that come over a network. What is cheap to check is checked here, too: only what a worker
// of the network signed, as an answer to its open challenge and in its pace, costs a verifier anything. Safe for many
// goroutines.
type Door struct {
	screen
	publisher message.Publisher
	topic     string
}

// NewDoor returns a door.
func NewDoor(cfg DoorConfig) *Door {
	return &Door{
		screen: screen{
			network: cfg.Network, directory: cfg.Directory, book: cfg.Book, now: cfg.Now, signatures: signing.NewVerifier(cachedKeys),
		},
		publisher: cfg.Publisher, topic: cfg.Topic,
	}
}

// Taken says what became of an answer.
type Taken struct {
	Worker    domain.WorkerID
	Challenge domain.Digest
	// Answered: there is a result for this challenge, and the answer was not looked at.
	Answered bool
}

// Take lets in an encoded [v1.SignedAnswer]. It fails with one of the errors of this package. Taking the same twice is as good as
// once.
func (d *Door) Take(ctx context.Context, signed []byte) (Taken, error) {
	answer, challenge, err := d.look(ctx, signed)
	switch {
	case errors.Is(err, ErrAnswered):
		return Taken{Answered: true}, nil
	case err != nil:
		return Taken{}, err
	}
	m := message.NewMessage(hex.EncodeToString(answer.Challenge), signed)
	m.Metadata = message.Metadata{
		keyMetadata: string(answer.Worker), "content-type": "application/protobuf",
		middleware.CorrelationIDMetadataKey: hex.EncodeToString(answer.Challenge),
	}
	m.SetContext(ctx)
	if err := d.publisher.Publish(d.topic, m); err != nil {
		d.pace.giveBack(challenge.Worker)
		return Taken{}, fmt.Errorf("answer of worker %s: %w: %w", challenge.Worker, ErrUnsure, err)
	}
	return Taken{Worker: challenge.Worker, Challenge: challenge.Nonce}, nil
}

// Challenge returns the challenge that a worker is to answer now, or false if there is none.
func (d *Door) Challenge(worker domain.WorkerID) (*v1.AttestationRequest, bool) {
	return d.book.Open(worker, d.now())
}
