package courier

import (
	"context"
	"errors"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

// ErrFull: a queue holds as much as it may. Nothing was taken; the same message may come again in a moment.
var ErrFull = errors.New("too many messages wait")

// Queue takes messages to a subscriber in the same process, in order, and in memory alone. It is for where there are no
// topics. (Watermill's own GoChannel drops what is published before somebody subscribes, and bounds nothing.)
type Queue struct{ waiting chan *message.Message }

var (
	_ message.Publisher  = (*Queue)(nil)
	_ message.Subscriber = (*Queue)(nil)
)

// NewQueue returns a queue of messages of which most may wait.
func NewQueue(most int) *Queue { return &Queue{make(chan *message.Message, most)} }

// Publish implements message.Publisher. It never waits. Of several messages the first may be taken, and not the others.
func (q *Queue) Publish(_ string, messages ...*message.Message) error {
	for _, m := range messages {
		select {
		case q.waiting <- m.Copy():
		default:
			return ErrFull
		}
	}
	return nil
}

// Waiting is how many messages nobody has been given yet.
func (q *Queue) Waiting() int { return len(q.waiting) }

// Subscribe implements message.Subscriber. Several subscriptions share the messages out. What was not acknowledged when the
// context ends is lost.
func (q *Queue) Subscribe(ctx context.Context, _ string) (<-chan *message.Message, error) {
	out := make(chan *message.Message)
	go func() { // ends with ctx, which its owner waits for by reading out to the end
		defer close(out)
		for {
			select {
			case m := <-q.waiting:
				q.deliver(ctx, m, out)
			case <-ctx.Done():
				return
			}
		}
	}()
	return out, nil
}

func (*Queue) deliver(ctx context.Context, m *message.Message, out chan<- *message.Message) {
	for {
		copied, handed := hand(ctx, ctx, m, out)
		if !handed {
			return
		}
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
	}
}

// Close implements message.Publisher and message.Subscriber. Subscriptions end with their contexts.
func (*Queue) Close() error { return nil }
