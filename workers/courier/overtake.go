package courier

import (
	"context"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

// againAfter is waited before a message that nobody else has any more is delivered again after a Nack.
const againAfter = time.Second

// Overtaking is a subscriber for messages whose order does not matter: one that takes long holds nobody up.
//
// A subscriber delivers the next message of a partition after the Ack of the one before. A handler that tries one
// message again for minutes would have all others wait. Here a message that is dealt with soon is acknowledged when
// it was, as ever. One that is not is acknowledged all the same, and goes on beside those behind it. If we
// crash then, it is lost: Overtaking is for messages that are asked for again.
type Overtaking struct {
	from     message.Subscriber
	patience time.Duration
	slots    chan struct{}

	life context.Context //nolint:containedctx // the subscriber's own: all its messages end with it
	end  context.CancelFunc
	open sync.WaitGroup
}

var _ message.Subscriber = (*Overtaking)(nil)

// Overtake returns a subscriber to what another one delivers. patience is how long others wait for a message, and most how
// many messages are under way at a time. The other subscriber belongs to it from here on.
func Overtake(from message.Subscriber, patience time.Duration, most int) *Overtaking {
	o := &Overtaking{from: from, patience: patience, slots: make(chan struct{}, most)}
	o.life, o.end = context.WithCancel(context.Background())
	return o
}

// UnderWay is how many messages were delivered and not dealt with yet.
func (o *Overtaking) UnderWay() int { return len(o.slots) }

// Subscribe implements message.Subscriber.
func (o *Overtaking) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	in, err := o.from.Subscribe(ctx, topic)
	if err != nil {
		return nil, err
	}
	out := make(chan *message.Message)
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(o.life, cancel) //nolint:contextcheck // it ends with either
	o.open.Go(func() {
		defer close(out)
		defer stop()
		defer cancel()
		var passing sync.WaitGroup
		for m := range in {
			select {
			case o.slots <- struct{}{}:
			case <-ctx.Done():
				m.Nack()
				continue
			}
			passing.Go(func() {
				defer func() { <-o.slots }()
				o.pass(ctx, m, out)
			})
		}
		passing.Wait()
	})
	return out, nil
}

// Close implements message.Subscriber. What was overtaken and not dealt with is lost.
func (o *Overtaking) Close() error {
	err := o.from.Close() // it gives what is handled now some time
	o.end()
	o.open.Wait()
	return err
}

// pass delivers one message until it was dealt with.
func (o *Overtaking) pass(ctx context.Context, m *message.Message, out chan<- *message.Message) {
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	//nolint:contextcheck // it is the message that brings it
	given := context.AfterFunc(m.Context(), cancel) // as long as it is the other subscriber's, it ends with that
	defer given()
	copied, handed := hand(ctx, own, m, out)
	if !handed {
		m.Nack()
		return
	}
	timer := time.NewTimer(o.patience)
	defer timer.Stop()
	select {
	case <-copied.Acked():
		m.Ack()
		return
	case <-copied.Nacked():
		m.Nack()
		return
	case <-m.Context().Done(): // taken from us
		m.Nack()
		return
	case <-timer.C:
	}
	given()
	defer context.AfterFunc(ctx, cancel)()
	m.Ack()
	for {
		select {
		case <-copied.Acked():
			return
		case <-ctx.Done():
			return
		case <-copied.Nacked():
		}
		select {
		case <-time.After(againAfter):
		case <-ctx.Done():
			return
		}
		if copied, handed = hand(ctx, own, m, out); !handed {
			return
		}
	}
}

// hand delivers a copy, unless ctx ends before.
func hand(ctx, own context.Context, m *message.Message, out chan<- *message.Message) (*message.Message, bool) {
	copied := m.Copy()
	copied.SetContext(own)
	select {
	case out <- copied:
		return copied, true
	case <-ctx.Done():
		return nil, false
	}
}
