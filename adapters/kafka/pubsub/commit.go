package pubsub

import (
	"time"

	kafkago "github.com/segmentio/kafka-go"
)

const (
	// commitEvery and commitAfter bound what is delivered again when a process dies: what was acknowledged in so
	// short a time, and no more than so many messages.
	commitEvery = 100 * time.Millisecond
	commitAfter = 500
)

// mark is how far a partition was dealt with.
type mark struct {
	partition int
	next      int64
}

// commit tells the group how far we got, now and then, and once more when the readers are through and acked
// is closed. A generation that was cut off is refused by the broker, so it can't undo what its successor
// committed. What could not be committed is delivered again, to us or to another.
func (s *subscription) commit(generation *kafkago.Generation, acked <-chan mark) {
	pending, count := map[int]int64{}, 0
	flush := func() {
		if len(pending) == 0 {
			return
		}
		if err := generation.CommitOffsets(map[string]map[int]int64{s.topic: pending}); err != nil {
			s.log.Warn("not committed; what was acknowledged may be delivered again", "partitions", len(pending), "error", err)
			count = 0
			return
		}
		pending, count = map[int]int64{}, 0
	}
	every := time.NewTicker(commitEvery)
	defer every.Stop()
	for {
		select {
		case a, open := <-acked:
			if !open {
				flush()
				return
			}
			pending[a.partition] = a.next
			if count++; count == commitAfter {
				flush()
			}
		case <-every.C:
			flush()
		}
	}
}
