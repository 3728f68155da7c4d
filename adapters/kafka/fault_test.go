package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/filature/filature/adapters/kafka"
	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore"
	"github.com/filature/filature/eventstore/eventstoretest"
	"github.com/filature/filature/internal/services"
)

// shard is the one that these tests write to.
const shard domain.Shard = 1

func batch(what string, n int) [][]byte {
	values := make([][]byte, n)
	for i := range values {
		values[i] = fmt.Appendf(nil, "%s %d", what, i)
	}
	return values
}

func mustAppend(t testing.TB, log *kafka.Log, values [][]byte) domain.Offset {
	t.Helper()
	first, err := log.Append(t.Context(), shard, values)
	if err != nil {
		t.Fatalf("append: %v", err)
	}
	return first
}

func wantLog(t testing.TB, log *kafka.Log, want ...[][]byte) {
	t.Helper()
	var all []string
	for _, values := range want {
		for _, v := range values {
			all = append(all, string(v))
		}
	}
	var got []string
	for _, r := range eventstoretest.ReadAll(t, log, shard, eventstore.MaxBatch) {
		got = append(got, string(r.Value))
	}
	if fmt.Sprint(got) != fmt.Sprint(all) {
		t.Fatalf("log has %q; want %q", got, all)
	}
}

// onProduce is a fault of the requests that append to the accounts' topic.
func onProduce(topic kafka.Topic, err *kerr.Error, count int) kfake.Fault {
	return kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topic.Name, Err: err, Count: count}
}

// TestAnAppendSurvivesWhatABrokerAnswers: whatever happens to the first requests, the batch is kept once, and
// where Append says. REQUEST_TIMED_OUT is answered after the batch was kept, the others instead.
func TestAnAppendSurvivesWhatABrokerAnswers(t *testing.T) {
	t.Parallel()
	for name, faults := range map[string][]*kerr.Error{
		"the acknowledgement is lost":                {kerr.RequestTimedOut},
		"it is lost three times":                     {kerr.RequestTimedOut, kerr.RequestTimedOut, kerr.RequestTimedOut},
		"too few replicas took it":                   {kerr.NotEnoughReplicasAfterAppend},
		"too few replicas are there":                 {kerr.NotEnoughReplicas, kerr.NotEnoughReplicas},
		"the leader moved":                           {kerr.NotLeaderForPartition},
		"there is no leader":                         {kerr.LeaderNotAvailable},
		"the disk failed":                            {kerr.KafkaStorageError},
		"the broker has not heard of the topic":      {kerr.UnknownTopicOrPartition},
		"the broker forgot the producer":             {kerr.UnknownProducerID},
		"the broker expected another number":         {kerr.OutOfOrderSequenceNumber},
		"another took the producer's place":          {kerr.InvalidProducerEpoch},
		"kept, and only remembered to be kept":       {kerr.RequestTimedOut, kerr.DuplicateSequenceNumber},
		"kept, and then the broker forgot":           {kerr.RequestTimedOut, kerr.OutOfOrderSequenceNumber},
		"kept, and then the producer was not known":  {kerr.RequestTimedOut, kerr.NotLeaderForPartition, kerr.UnknownProducerID},
		"not kept, kept, not found and asked again":  {kerr.NotLeaderForPartition, kerr.RequestTimedOut, kerr.NotEnoughReplicas},
		"it forgot the producer, and then lost acks": {kerr.UnknownProducerID, kerr.RequestTimedOut},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			broker, cluster := fake(t, 1)
			topic := create(t, cluster, 1)
			log := open(t, cluster, topic)
			mustAppend(t, log, batch("before", 3))

			var planned []kfake.Fault
			for _, fault := range faults {
				planned = append(planned, onProduce(topic, fault, 1))
			}
			handle := broker.Fault(planned...)
			if first := mustAppend(t, log, batch("struck", 2)); first != 3 {
				t.Errorf("append says %d; want 3", first)
			}
			if hits := handle.Hits(); hits != len(faults) {
				t.Errorf("%d faults struck; want %d", hits, len(faults))
			}
			mustAppend(t, log, batch("after", 1))
			wantLog(t, log, batch("before", 3), batch("struck", 2), batch("after", 1))
		})
	}
}

func TestAnAppendThatIsRefusedIsNotTriedAgain(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		fault *kerr.Error
		want  error
	}{
		{kerr.MessageTooLarge, eventstore.ErrTooLarge},
		{kerr.RecordListTooLarge, eventstore.ErrTooLarge},
		{kerr.TopicAuthorizationFailed, kafkago.TopicAuthorizationFailed},
		{kerr.InvalidRecord, kafkago.InvalidRecord},
	} {
		t.Run(c.fault.Message, func(t *testing.T) {
			t.Parallel()
			broker, cluster := fake(t, 1)
			topic := create(t, cluster, 1)
			log := open(t, cluster, topic)
			handle := broker.Fault(onProduce(topic, c.fault, -1))
			if _, err := log.Append(t.Context(), shard, batch("never", 1)); !errors.Is(err, c.want) {
				t.Errorf("append: %v; want %v", err, c.want)
			}
			if hits := handle.Hits(); hits != 1 {
				t.Errorf("it was sent %d times; want once", hits)
			}
			handle.Remove()
			mustAppend(t, log, batch("after", 1))
			wantLog(t, log, batch("after", 1))
		})
	}
}

// TestABatchOfUnknownFateIsKeptOnceOrNot: its Append failed, so both is right; but the next is behind it.
func TestABatchOfUnknownFateIsKeptOnceOrNot(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		fault *kerr.Error
		kept  [][]byte
	}{{kerr.RequestTimedOut, batch("unsure", 2)}, {kerr.NotEnoughReplicas, nil}} {
		t.Run(c.fault.Message, func(t *testing.T) {
			t.Parallel()
			broker, cluster := fake(t, 1)
			topic := create(t, cluster, 1)
			log := open(t, cluster, topic)
			log.SetPatience(time.Second)
			handle := broker.Fault(onProduce(topic, c.fault, -1))
			_, err := log.Append(t.Context(), shard, batch("unsure", 2))
			for _, not := range []error{nil, eventstore.ErrTooLarge, eventstore.ErrClosed, eventstore.ErrNoShard} {
				if errors.Is(err, not) {
					t.Errorf("append: %v, which says that nothing was kept", err)
				}
			}
			handle.Remove()
			// Of the same length, so that under the same number it would be taken for the other.
			if first := mustAppend(t, log, batch("after", 2)); int(first) != len(c.kept) {
				t.Errorf("the next append stands at %d; want %d", first, len(c.kept))
			}
			wantLog(t, log, c.kept, batch("after", 2))
		})
	}
}

// TestABatchHeldUpOnItsWayIsNotKeptBehindALaterOne is what the producer's epoch is for: against real Kafka,
// as it is the broker who has to refuse.
func TestABatchHeldUpOnItsWayIsNotKeptBehindALaterOne(t *testing.T) {
	t.Parallel()
	cluster := kafka.Cluster{Brokers: services.Kafka(t)}
	log := open(t, cluster, create(t, cluster, 1))
	mustAppend(t, log, batch("first", 2))
	late, err := log.Straggler(shard, batch("held up", 2))
	if err != nil {
		t.Fatal(err)
	}
	log.Doubt(shard)
	mustAppend(t, log, batch("second", 2))
	if err := late(t.Context()); !errors.Is(err, kafkago.InvalidProducerEpoch) {
		t.Errorf("the broker said %v; want %v", err, kafkago.InvalidProducerEpoch)
	}
	mustAppend(t, log, batch("third", 1))
	wantLog(t, log, batch("first", 2), batch("second", 2), batch("third", 1))
}

// TestTheSameRequestTwiceIsOneBatch, on real Kafka.
func TestTheSameRequestTwiceIsOneBatch(t *testing.T) {
	t.Parallel()
	cluster := kafka.Cluster{Brokers: services.Kafka(t)}
	log := open(t, cluster, create(t, cluster, 1))
	mustAppend(t, log, batch("first", 2))
	send, err := log.Straggler(shard, batch("twice", 2))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := send(t.Context()); err != nil {
			t.Errorf("send: %v", err)
		}
	}
	// The lane does not know of them: it uses a number that was used.
	log.Doubt(shard)
	mustAppend(t, log, batch("second", 1))
	wantLog(t, log, batch("first", 2), batch("twice", 2), batch("second", 1))
}

func TestACallerMayLeaveAndTheNextAppendComesBehind(t *testing.T) {
	t.Parallel()
	broker, cluster := fake(t, 1)
	topic := create(t, cluster, 1)
	log := open(t, cluster, topic)
	mustAppend(t, log, batch("first", 1))
	handle := broker.Fault(onProduce(topic, kerr.NotEnoughReplicas, 3))
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error, 1)
	go func() {
		_, err := log.Append(ctx, shard, batch("left", 1))
		left <- err
	}()
	if err := handle.Wait(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("append: %v", err)
	}
	if first := mustAppend(t, log, batch("next", 1)); first != 2 {
		t.Errorf("the next append stands at %d; want 2", first)
	}
	wantLog(t, log, batch("first", 1), batch("left", 1), batch("next", 1))
}

func TestReadingSurvivesWhatABrokerAnswers(t *testing.T) {
	t.Parallel()
	broker, cluster := fake(t, 1)
	topic := create(t, cluster, 1)
	log := open(t, cluster, topic)
	mustAppend(t, log, batch("v", 5))
	for _, fault := range []*kerr.Error{
		kerr.NotLeaderForPartition, kerr.LeaderNotAvailable, kerr.OffsetNotAvailable, kerr.KafkaStorageError, kerr.UnknownTopicOrPartition,
		kerr.OffsetOutOfRange,
	} {
		handle := broker.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch, kmsg.ListOffsets}, Topic: topic.Name, Err: fault, Count: 2})
		if _, err := log.End(t.Context(), shard); err != nil && !errors.Is(fault, kerr.OffsetOutOfRange) {
			t.Errorf("end after %v: %v", fault, err)
		}
		handle.Remove()
		handle = broker.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: topic.Name, Err: fault, Count: 2})
		wantLog(t, log, batch("v", 5))
		if handle.Hits() != 2 {
			t.Errorf("%v struck %d times", fault, handle.Hits())
		}
	}
}

// TestALeaderThatDoesNotKnowItsEndYetIsAskedAgain: a new leader hears late how far its log is durable. That is
// no end, and no gap.
func TestALeaderThatDoesNotKnowItsEndYetIsAskedAgain(t *testing.T) {
	t.Parallel()
	broker, cluster := fake(t, 1)
	topic := create(t, cluster, 1)
	log := open(t, cluster, topic)
	mustAppend(t, log, batch("v", 5))
	for from := domain.Offset(3); from <= 5; from++ {
		var lagging atomic.Int32
		lagging.Store(2)
		broker.ControlKey(int16(kmsg.Fetch), func(request kmsg.Request) (kmsg.Response, error, bool) {
			if lagging.Load() == 0 {
				return nil, nil, false //nolint:nilnil // not answered here
			}
			lagging.Add(-1)
			broker.KeepControl()
			answer := request.ResponseKind().(*kmsg.FetchResponse)
			answer.Topics = []kmsg.FetchResponseTopic{{Topic: topic.Name, Partitions: []kmsg.FetchResponseTopicPartition{{HighWatermark: 2}}}}
			return answer, nil, true
		})
		got, err := log.Read(t.Context(), shard, from, 10)
		if err != nil || len(got) != int(5-from) || lagging.Load() != 0 {
			t.Errorf("read from %d: %d records, %v, %d answers left; want %d records", from, len(got), err, lagging.Load(), 5-from)
		}
	}
}

func TestALeaderMayMove(t *testing.T) {
	t.Parallel()
	brokers, cluster := fake(t, 3)
	topic := create(t, cluster, 3)
	log := open(t, cluster, topic)
	var want [][]byte
	for round := range 4 {
		values := batch(fmt.Sprint("round ", round), 3)
		mustAppend(t, log, values)
		want = append(want, values...)
		leader := brokers.LeaderFor(topic.Name, int32(shard)-1)
		if err := brokers.MoveTopicPartition(topic.Name, int32(shard)-1, (leader+1)%3); err != nil {
			t.Fatal(err)
		}
		wantLog(t, log, want)
	}
}

// TestMissingRecordsAreAGap: what retention took, and a log that ends before where it ended.
//
//nolint:tparallel // the second part follows the first
func TestMissingRecordsAreAGap(t *testing.T) {
	t.Parallel()
	broker, cluster := fake(t, 1)
	topic := create(t, cluster, 1)
	log := open(t, cluster, topic)
	mustAppend(t, log, batch("old", 5))
	mustAppend(t, log, batch("new", 5))

	t.Run("at the front", func(t *testing.T) {
		if err := broker.DeleteRecords(topic.Name, int32(shard)-1, 5); err != nil {
			t.Fatal(err)
		}
		if got, err := log.Read(t.Context(), shard, 2, 10); !errors.Is(err, eventstore.ErrGap) {
			t.Errorf("read from 2: %d records, %v; want %v", len(got), err, eventstore.ErrGap)
		}
		if got, err := log.Read(t.Context(), shard, 5, 10); err != nil || len(got) != 5 {
			t.Errorf("read from 5: %d records, %v; want 5", len(got), err)
		}
	})
	t.Run("at the end", func(t *testing.T) {
		if err := broker.DeleteTopic(topic.Name); err != nil {
			t.Fatal(err)
		}
		if err := kafka.Create(t.Context(), cluster, topic, 1); err != nil {
			t.Fatal(err)
		}
		if end, err := log.End(t.Context(), shard); !errors.Is(err, eventstore.ErrGap) {
			t.Errorf("end: %d, %v; want %v", end, err, eventstore.ErrGap)
		}
		if got, err := log.Read(t.Context(), shard, 10, 10); !errors.Is(err, eventstore.ErrGap) {
			t.Errorf("read from 10: %d records, %v; want %v", len(got), err, eventstore.ErrGap)
		}
		if err := log.Wait(t.Context(), shard, 10); !errors.Is(err, eventstore.ErrGap) {
			t.Errorf("wait: %v; want %v", err, eventstore.ErrGap)
		}
	})
}
