package kafka

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/segmentio/kafka-go"
)

var errNotAMember = errors.New("unknown member")

// TestOneErrorAfterALongGenerationIsNoReasonToGiveUp: so it is for a process that was stopped, and finds that its
// group has gone on without it.
func TestOneErrorAfterALongGenerationIsNoReasonToGiveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		assigned := 0
		next := func(context.Context) (*kafka.Generation, error) {
			switch assigned {
			case 0:
				return &kafka.Generation{}, nil
			case 1:
				<-time.After(24 * time.Hour) // of the bubble
				assigned++
				return nil, errNotAMember
			case 2:
				return &kafka.Generation{}, nil
			}
			cancel()
			return nil, ctx.Err()
		}
		if err := follow(ctx, next, func(map[string][]kafka.PartitionAssignment) { assigned++ }); err != nil {
			t.Errorf("it gave up: %v", err)
		}
		if assigned != 3 {
			t.Errorf("it got to %d of 3", assigned)
		}
	})
}

func TestErrorsInARowAreAReasonToGiveUpAfterAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		next := func(context.Context) (*kafka.Generation, error) {
			<-time.After(joinPause) // of the bubble
			return nil, errNotAMember
		}
		err := follow(t.Context(), next, func(map[string][]kafka.PartitionAssignment) { t.Error("assigned") })
		if !errors.Is(err, errNotAMember) {
			t.Errorf("error is %v", err)
		}
		if took := time.Since(began); took < lonePatience || took > lonePatience+2*joinPause {
			t.Errorf("it gave up after %v; want a little more than %v", took, lonePatience)
		}
	})
}
