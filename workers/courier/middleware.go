package courier

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"unicode/utf8"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
)

// maxReason is what of an error goes with a message that is put aside: it becomes a header, and a person reads it.
const maxReason = 1000

// errInterrupted: the message was taken from us, or we are to end. It says nothing about the message.
var errInterrupted = errors.New("interrupted")

// judge tells what failed from what was interrupted, and notes of the former where it stood.
func (c *Courier) judge(next message.HandlerFunc) message.HandlerFunc {
	return func(m *message.Message) ([]*message.Message, error) {
		given := m.Context()
		produced, err := next(m)
		switch {
		case err == nil:
			return produced, nil
		case given.Err() != nil:
			// Watermill keeps silent about what was canceled.
			return produced, fmt.Errorf("%w: %w: %w", errInterrupted, context.Canceled, err)
		}
		if place := c.config.Place(m); place != "" {
			m.Metadata[placeKey] = place
		}
		return produced, reason{err}
	}
}

// reason is an error that is short enough to travel as a header.
type reason struct{ error }

func (r reason) Error() string {
	text := r.error.Error()
	if len(text) <= maxReason {
		return text
	}
	cut := maxReason
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + " ..."
}

func (r reason) Unwrap() error { return r.error }

// attempt is one try. The message leaves with the context that it came with.
func (c *Courier) attempt(next message.HandlerFunc) message.HandlerFunc {
	return func(m *message.Message) (produced []*message.Message, err error) {
		given := m.Context()
		ctx, cancel := context.WithTimeout(given, c.config.Timeout)
		defer func() {
			cancel()
			m.SetContext(given)
			if bug := recover(); bug != nil {
				c.config.Log.Error("handler panicked", "handler", message.HandlerNameFromCtx(given), "message", m.UUID, "panic", bug, "stack", string(debug.Stack()))
				err = fmt.Errorf("handler panicked: %v", bug)
			}
		}()
		m.SetContext(ctx)
		return next(m)
	}
}

// poisoner puts messages aside, and says so.
type poisoner struct{ *Courier }

var _ message.Publisher = poisoner{}

// Publish implements message.Publisher.
func (p poisoner) Publish(topic string, messages ...*message.Message) error {
	if err := p.config.Poison.Publish(topic, messages...); err != nil {
		return err
	}
	for _, m := range messages {
		handler := m.Metadata[middleware.PoisonedHandlerKey]
		p.poisoned.WithLabelValues(handler).Inc()
		p.config.Log.Error("message put aside; see filature poison list", "handler", handler, "message", m.UUID,
			"place", m.Metadata[placeKey], "reason", m.Metadata[middleware.ReasonForPoisonedKey])
	}
	return nil
}

// Close implements message.Publisher. The publisher is the caller's.
func (poisoner) Close() error { return nil }
