package streams

import (
	"context"
	"errors"
	"maps"
	"testing"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"google.golang.org/protobuf/proto"

	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
	"github.com/filature/filature/workers/relay"
)

// books is somebody's database. Its methods would be one transaction each.
type books struct {
	last  map[uint32]*v1.FactPosition // by shard
	spent map[domain.AccountID]int64  // nanotons
}

// consume is what docs/completions.md shows: the topic, read with any client of Kafka.
func consume(ctx context.Context, brokers []string, topic string, own *books) error {
	reader := kafkago.NewReader(kafkago.ReaderConfig{
		Brokers: brokers, Topic: topic, GroupID: topic + ".books", StartOffset: kafkago.FirstOffset, MaxWait: time.Second,
	})
	defer func() { _ = reader.Close() }()
	for {
		message, err := reader.FetchMessage(ctx)
		if err != nil {
			return err
		}
		completion := &v1.Completion{}
		if err := proto.Unmarshal(message.Value, completion); err != nil { // passes over fields that it does not know
			return err
		}
		if at := completion.Position; after(at, own.last[at.Shard]) { // else it is a copy
			own.spent[domain.AccountID(completion.Account)] += completion.ChargeNano
			own.last[at.Shard] = at
		}
		// Only now: if we die before, it comes again, and is a copy.
		if err := reader.CommitMessages(ctx, message); err != nil {
			return err
		}
	}
}

// after says whether a position is behind the last one of its shard.
func after(at, last *v1.FactPosition) bool {
	return last == nil || at.Offset > last.Offset || at.Offset == last.Offset && at.Fact > last.Fact
}

func TestAConsumerOfTheTopicCountsEachCompletionOnce(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	s := newSite(t)
	ledger := write(t, 4, 2)
	copyTo(ctx, t, s.log, ledger, make([]domain.Offset, dataShards+1), ledger.Cut())
	want := map[domain.AccountID]int64{}
	for shard := domain.Shard(1); shard <= dataShards; shard++ {
		relaying, stop := context.WithCancel(ctx)
		r := s.relay(shard)
		ended := make(chan error, 1)
		go func() { ended <- r.Run(relaying) }()
		wait(ctx, t, "relay", func() bool { return r.Relayed() == ledger.Cut()[shard] })
		stop()
		must(t, <-ended)
	}
	topic := relay.Topic(s.prefix, "completions")
	messages := 0
	for partition := range dataShards {
		page, err := s.client.Fetch(ctx, topic, partition, 0, 0)
		must(t, err)
		for _, m := range page.Messages {
			want[domain.AccountID(m.Key)] += 60
		}
		// A relay that was paused and does not know that it was replaced.
		_, err = s.client.Produce(ctx, topic, partition, page.Messages)
		must(t, err)
		messages += 2 * len(page.Messages)
	}
	own := &books{last: map[uint32]*v1.FactPosition{}, spent: map[domain.AccountID]int64{}}
	reading, done := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- consume(reading, s.cluster.Brokers, topic, own) }()
	wait(ctx, t, "consumer", func() bool {
		answer, err := (&kafkago.Client{Addr: kafkago.TCP(s.cluster.Brokers...)}).OffsetFetch(ctx, &kafkago.OffsetFetchRequest{
			GroupID: topic + ".books", Topics: map[string][]int{topic: {0, 1, 2}},
		})
		must(t, err)
		committed := int64(0)
		for _, p := range answer.Topics[topic] {
			committed += max(p.CommittedOffset, 0)
		}
		return committed == int64(messages)
	})
	done()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("consume: %v", err)
	}
	if len(want) != dataShards*accounts || !maps.Equal(own.spent, want) {
		t.Errorf("spent %v, want %v", own.spent, want)
	}
}
