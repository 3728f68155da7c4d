package kafka_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"

	"github.com/filature/filature/adapters/kafka"
	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore"
	"github.com/filature/filature/eventstore/eventstoretest"
	"github.com/filature/filature/internal/services"
)

// stranger is a client that shares no code with ours.
func stranger(t *testing.T, cluster kafka.Cluster, options ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(append(options, kgo.SeedBrokers(cluster.Brokers...))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// TestStrangersReadOurRecordsAsCloudEvents, with the broker's time on them.
func TestStrangersReadOurRecordsAsCloudEvents(t *testing.T) {
	t.Parallel()
	cluster := kafka.Cluster{Brokers: services.Kafka(t)}
	topic := create(t, cluster, 1)
	log := open(t, cluster, topic)
	values := batch("value", 3)
	mustAppend(t, log, values)
	ours, err := log.Read(t.Context(), shard, 0, 10)
	if err != nil {
		t.Fatal(err)
	}
	reader := stranger(t, cluster, kgo.ConsumeTopics(topic.Name))
	var got []*kgo.Record
	for len(got) < len(values) {
		fetches := reader.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		got = append(got, fetches.Records()...)
	}
	for i, record := range got {
		digest := sha256.Sum256(values[i])
		want := map[string]string{
			"ce_specversion": "1.0", "ce_type": topic.Event.Type, "ce_source": topic.Event.Source,
			"content-type": "application/protobuf", "ce_id": hex.EncodeToString(digest[:16]),
		}
		headers := map[string]string{}
		for _, h := range record.Headers {
			headers[h.Key] = string(h.Value)
		}
		if !maps.Equal(headers, want) {
			t.Errorf("record %d has headers %v; want %v", i, headers, want)
		}
		if string(record.Value) != string(values[i]) || record.Key != nil || record.Offset != int64(i) {
			t.Errorf("record %d: %v", i, record)
		}
		const brokersTime = 1
		if record.Attrs.TimestampType() != brokersTime || !record.Timestamp.Equal(ours[i].Time) {
			t.Errorf("record %d: time %v of type %d; we read %v", i, record.Timestamp, record.Attrs.TimestampType(), ours[i].Time)
		}
		if age := time.Since(ours[i].Time); age < -time.Minute || age > time.Minute {
			t.Errorf("record %d: time %v", i, ours[i].Time)
		}
	}
}

// TestAStrangersPartitionerFindsTheShard: keys go where the ledger looks, whoever hashes them, and all codecs
// are read.
func TestAStrangersPartitionerFindsTheShard(t *testing.T) {
	t.Parallel()
	cluster := kafka.Cluster{Brokers: services.Kafka(t)}
	topic := newTopic()
	topic.DataShards = 7
	if err := kafka.Create(t.Context(), cluster, topic, 1); err != nil {
		t.Fatal(err)
	}
	log := open(t, cluster, topic)
	const each = 50
	for i, codec := range []kgo.CompressionCodec{
		kgo.NoCompression(), kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression(),
	} {
		writer := stranger(t, cluster, kgo.DefaultProduceTopic(topic.Name), kgo.ProducerBatchCompression(codec))
		var records []*kgo.Record
		for n := range each {
			account := domain.AccountID(domain.JobIDOf(domain.AccountID{byte(i)}, uint64(n)))
			records = append(records, &kgo.Record{Key: account[:], Value: account[:]})
		}
		if err := writer.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	found := 0
	for shard := range domain.Shard(log.Shards()) {
		for _, record := range eventstoretest.ReadAll(t, log, shard, 100) {
			if want := domain.ShardOf(domain.AccountID(record.Value), topic.DataShards); want != shard {
				t.Errorf("account %x is in shard %d; want %d", record.Value, shard, want)
			}
			found++
		}
	}
	if found != 5*each {
		t.Errorf("found %d records; want %d", found, 5*each)
	}
}

func TestAllHashesAgree(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		account := domain.AccountID(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "account"))
		topic := kafka.Topic{DataShards: rapid.IntRange(1, 500).Draw(t, "shards")}
		partitions := make([]int, topic.DataShards)
		for i := range partitions {
			partitions[i] = i
		}
		got := topic.PartitionFor(account)
		if want := (kafkago.Murmur2Balancer{}).Balance(kafkago.Message{Key: account[:]}, partitions...); got != want {
			t.Fatalf("got %d; kafka-go says %d", got, want)
		}
		if want := kgo.StickyKeyPartitioner(nil).ForTopic("t").Partition(&kgo.Record{Key: account[:]}, topic.DataShards); got != want {
			t.Fatalf("got %d; franz-go says %d", got, want)
		}
	})
}

// TestAStrangersTransactionsLeaveNoGap: what was said is read, whether or not it was taken back, and the
// markers are empty records.
func TestAStrangersTransactionsLeaveNoGap(t *testing.T) {
	t.Parallel()
	cluster := kafka.Cluster{Brokers: services.Kafka(t)}
	topic := create(t, cluster, 1)
	log := open(t, cluster, topic)
	mustAppend(t, log, batch("ours", 1))
	writer := stranger(t, cluster, kgo.TransactionalID(topic.Name), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	for _, commit := range []kgo.TransactionEndTry{kgo.TryAbort, kgo.TryCommit} {
		if err := writer.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		record := &kgo.Record{Topic: topic.Name, Partition: int32(shard) - 1, Value: fmt.Appendf(nil, "committed: %v", commit)}
		if err := writer.ProduceSync(t.Context(), record).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if err := writer.EndTransaction(t.Context(), commit); err != nil {
			t.Fatal(err)
		}
	}
	// A broker ends a transaction before its marker is everywhere.
	if err := log.Wait(t.Context(), shard, 4); err != nil {
		t.Fatal(err)
	}
	if first := mustAppend(t, log, batch("ours again", 1)); first != 5 {
		t.Errorf("the next append stands at %d; want 5", first)
	}
	var got []string
	for _, r := range eventstoretest.ReadAll(t, log, shard, eventstore.MaxBatch) {
		got = append(got, string(r.Value))
	}
	if want := []string{"ours 0", "committed: false", "", "committed: true", "", "ours again 0"}; !slices.Equal(got, want) {
		t.Errorf("got %q; want %q", got, want)
	}
}

// oldest is the first version of each request that Kafka 4.0 takes (KIP-896). kafka-go's groups stand exactly
// on it: when a later Kafka takes a newer one, this table says what has to change.
//
//nolint:exhaustive // the others we do not speak
var oldest = map[kmsg.Key]int16{
	kmsg.Produce: 3, kmsg.Fetch: 4, kmsg.ListOffsets: 1, kmsg.Metadata: 0, kmsg.OffsetFetch: 1, kmsg.FindCoordinator: 0,
	kmsg.JoinGroup: 2, kmsg.Heartbeat: 0, kmsg.LeaveGroup: 0, kmsg.SyncGroup: 0, kmsg.ApiVersions: 0,
	kmsg.CreateTopics: 2, kmsg.InitProducerID: 0, kmsg.DescribeConfigs: 1,
}

func TestTheVersionsThatWeSpeakAreThoseThatKafka4Takes(t *testing.T) {
	t.Parallel()
	broker, cluster := fake(t, 1)
	var mu sync.Mutex
	spoken := map[kmsg.Key]map[int16]bool{} //nolint:exhaustive // it is filled below
	broker.Control(func(request kmsg.Request) (kmsg.Response, error, bool) {
		broker.KeepControl()
		mu.Lock()
		defer mu.Unlock()
		key := kmsg.Key(request.Key())
		if spoken[key] == nil {
			spoken[key] = map[int16]bool{}
		}
		spoken[key][request.GetVersion()] = true
		return nil, nil, false //nolint:nilnil // not answered here
	})
	topic := create(t, cluster, 1)
	log := open(t, cluster, topic)
	mustAppend(t, log, batch("v", 3))
	wantLog(t, log, batch("v", 3))
	p := join(t, cluster, topic)
	await(t, 3, map[*process]int{p: 3})
	waitForBeat(t, func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(spoken[kmsg.Heartbeat]) > 0
	})
	p.stop()
	if err := <-p.ended; err != nil {
		t.Error(err)
	}

	mu.Lock()
	defer mu.Unlock()
	for key, versions := range spoken {
		for version := range versions {
			least, known := oldest[key]
			if !known || version < least {
				t.Errorf("we speak %s v%d; want at least v%d (known: %v)", key.Name(), version, least, known)
			}
			t.Logf("%s v%d, Kafka 4.0 takes v%d and later", key.Name(), version, least)
		}
	}
	for key := range oldest {
		if len(spoken[key]) == 0 {
			t.Errorf("we do not speak %s: take it from the table", key.Name())
		}
	}
	if !spoken[kmsg.Fetch][11] || !spoken[kmsg.Produce][8] {
		t.Errorf("fetch %v, produce %v; want v11 and v8", spoken[kmsg.Fetch], spoken[kmsg.Produce])
	}
}

func waitForBeat(t *testing.T, done func() bool) {
	t.Helper()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	limit := time.After(time.Minute)
	for !done() {
		select {
		case <-look.C:
		case <-limit:
			t.Fatal("no heartbeat")
		}
	}
}
