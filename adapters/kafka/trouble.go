package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/filature/filature/eventstore"
)

const (
	// requestTimeout bounds one request. A broker may take half of it to find enough replicas.
	requestTimeout = 10 * time.Second
	// patience is how long one call may be tried again and again: longer than a cluster needs to find a
	// broker dead (9 s by default) and to choose other leaders.
	patience = 30 * time.Second
	// firstPause and lastPause are waited between two tries. The first is short, because a connection that
	// died in the pool costs one try.
	firstPause = 10 * time.Millisecond
	lastPause  = time.Second
)

// answer is what a broker's answer to a produce request means.
type answer int

const (
	// kept: the batch is durable.
	kept answer = iota
	// notNow: this request was not carried out; another one may be.
	notNow
	// unclear: nobody can tell whether this request was carried out; another one tells.
	unclear
	// known: the batch was kept some time ago, and the broker has forgotten where.
	known
	// disowned: the broker expected another sequence number, or no longer knows the producer.
	disowned
	// tooLarge: the topic does not take batches of this size.
	tooLarge
	// refused: this request was not carried out, and no other one would be.
	refused
)

// judge reads an error of a produce request.
func judge(err error) answer {
	if err == nil {
		return kept
	}
	code := kafka.Error(0)
	if !errors.As(err, &code) {
		return unclear // the connection broke, or nobody answered in time
	}
	switch code { //nolint:exhaustive // what is not named is refused
	case kafka.RequestTimedOut, kafka.NotEnoughReplicasAfterAppend, kafka.NetworkException, kafka.Unknown:
		return unclear
	case kafka.DuplicateSequenceNumber:
		return known
	case kafka.OutOfOrderSequenceNumber, kafka.UnknownProducerId, kafka.InvalidProducerEpoch, kafka.ProducerFenced, kafka.InvalidProducerIDMapping:
		return disowned
	case kafka.MessageSizeTooLarge, kafka.RecordListTooLarge:
		return tooLarge
	}
	if passes(code) {
		return notNow
	}
	return refused
}

// passes says whether what a broker could not do now it may do later.
func passes(code kafka.Error) bool {
	switch code { //nolint:exhaustive // what is not named does not pass
	case kafka.UnknownTopicOrPartition, // a broker that has not heard of it yet
		kafka.LeaderNotAvailable, kafka.NotLeaderForPartition, kafka.BrokerNotAvailable, kafka.ReplicaNotAvailable,
		kafka.FencedLeaderEpoch, kafka.UnknownLeaderEpoch, kafka.OffsetNotAvailable,
		kafka.NotEnoughReplicas, kafka.NotEnoughReplicasAfterAppend, kafka.KafkaStorageError,
		kafka.RequestTimedOut, kafka.NetworkException, kafka.Unknown, kafka.NotController,
		kafka.GroupLoadInProgress, kafka.GroupCoordinatorNotAvailable, kafka.NotCoordinatorForGroup, kafka.ConcurrentTransactions:
		return true
	}
	return false
}

// finals are our own errors that no second try would change.
var finals = []error{
	ErrTopic, ErrLogin, errLost, eventstore.ErrClosed, eventstore.ErrCorrupt, eventstore.ErrGap, eventstore.ErrNoShard, eventstore.ErrTooLarge,
}

// hopeless says whether trying again can't help: what a broker decided, and what we did.
func hopeless(err error) bool {
	if errors.Is(err, errAgain) {
		return false
	}
	for _, ours := range finals {
		if errors.Is(err, ours) {
			return true
		}
	}
	code := kafka.Error(0)
	return errors.As(err, &code) && !passes(code)
}

// again calls try until it succeeds, is hopeless, or limit or the context ends; then it returns try's last
// error. It waits ever longer between two tries.
func again(ctx context.Context, limit time.Duration, try func(context.Context) error) error {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for wait := firstPause; ; wait = min(2*wait, lastPause) {
		err := try(limited)
		if err == nil || hopeless(err) {
			return err
		}
		if pause(limited, wait) != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return fmt.Errorf("gave up after %v: %w", limit, err)
		}
	}
}

// pause waits, or returns the context's error.
func pause(ctx context.Context, wait time.Duration) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
