package courier

import (
	"fmt"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
)

// Metadata of ours, beside Watermill's own of a message that was put aside.
const (
	placeKey     = "place_poisoned" // where it stood
	onlyHandler  = "only_handler"   // who it was brought back for
	replayedFrom = "replayed_from"  // where it was put aside
)

// Poisoned is what a message in the poison topic says about itself.
type Poisoned struct {
	ID      string
	Topic   string // where it came from
	Place   string // where it stood there
	Handler string // who could not deal with it
	Reason  string // and why
}

// ReadPoisoned reads what stands with a message in the poison topic.
func ReadPoisoned(m *message.Message) Poisoned {
	return Poisoned{
		ID: m.UUID, Topic: m.Metadata[middleware.PoisonedTopicKey], Place: m.Metadata[placeKey],
		Handler: m.Metadata[middleware.PoisonedHandlerKey], Reason: m.Metadata[middleware.ReasonForPoisonedKey],
	}
}

// Revive makes of a message in the poison topic the one that goes back to where it came from. It has the same id,
// so who counts ids has it once; it is handled by the handler that put it aside and by no other; and it says
// that it was there before. from is its place in the poison topic.
func Revive(m *message.Message, from string) (topic string, again *message.Message, err error) {
	p := ReadPoisoned(m)
	if p.Topic == "" || p.Handler == "" {
		return "", nil, fmt.Errorf("message %s at %s does not say which topic and which handler it is from: it was not put aside by a courier", m.UUID, from)
	}
	again = m.Copy()
	for _, key := range []string{
		middleware.PoisonedTopicKey, middleware.PoisonedHandlerKey, middleware.PoisonedSubscriberKey, middleware.ReasonForPoisonedKey, placeKey,
	} {
		delete(again.Metadata, key)
	}
	again.Metadata[onlyHandler] = p.Handler
	again.Metadata[replayedFrom] = from
	return p.Topic, again, nil
}
