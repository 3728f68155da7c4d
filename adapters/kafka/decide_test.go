package kafka

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"testing"

	"github.com/segmentio/kafka-go"
	"pgregory.net/rapid"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore"
)

func TestWhatAnAnswerMeans(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		want answer
	}{
		{nil, kept},
		{io.ErrUnexpectedEOF, unclear},
		{errors.New("connection refused"), unclear},
		{kafka.RequestTimedOut, unclear},
		{kafka.NotEnoughReplicasAfterAppend, unclear},
		{kafka.NotEnoughReplicas, notNow},
		{kafka.NotLeaderForPartition, notNow},
		{fmt.Errorf("produce: %w", kafka.LeaderNotAvailable), notNow},
		{kafka.DuplicateSequenceNumber, known},
		{kafka.OutOfOrderSequenceNumber, disowned},
		{kafka.UnknownProducerId, disowned},
		{kafka.InvalidProducerEpoch, disowned},
		{kafka.MessageSizeTooLarge, tooLarge},
		{kafka.RecordListTooLarge, tooLarge},
		{kafka.TopicAuthorizationFailed, refused},
		{kafka.InvalidRecord, refused},
	} {
		if got := judge(c.err); got != c.want {
			t.Errorf("%v: got %d; want %d", c.err, got, c.want)
		}
	}
}

// TestNothingIsSentUnderTwoNamesThatMayHaveBeenKept is the rule that keeps batches single.
func TestNothingIsSentUnderTwoNamesThatMayHaveBeenKept(t *testing.T) {
	t.Parallel()
	for said := kept; said <= refused; said++ {
		for _, renewed := range []bool{false, true} {
			if got := decide(said, true, renewed); got == rename {
				t.Errorf("answer %d: a batch that may have been kept gets another producer", said)
			}
		}
	}
	if decide(disowned, false, false) != rename || decide(disowned, false, true) != fail || decide(disowned, true, false) != search {
		t.Error("a producer that is not known: want another one, once, and only if nothing was kept")
	}
}

func TestSequenceNumbersBeginAgainBehindTheLargest(t *testing.T) {
	t.Parallel()
	p := producer{next: math.MaxInt32 - 1}
	for _, want := range []int32{math.MaxInt32, 0, 1} {
		if p = p.after(1); p.next != want {
			t.Errorf("got %d; want %d", p.next, want)
		}
	}
}

func TestATopicsSettingsAreChecked(t *testing.T) {
	t.Parallel()
	good := map[string]string{}
	for _, s := range settings(3) {
		good[s.name] = s.want
	}
	if err := misfits("host:9092", "filature.intake", good, 3); err != nil {
		t.Errorf("as it was made: %v", err)
	}
	good["max.message.bytes"], good["min.insync.replicas"] = "99999999", "3"
	if err := misfits("host:9092", "filature.intake", good, 3); err != nil {
		t.Errorf("more than enough: %v", err)
	}
	bad := map[string]string{
		"cleanup.policy": "compact", "retention.ms": "604800000", "retention.bytes": "1000", "message.timestamp.type": "CreateTime",
		"unclean.leader.election.enable": "true", "min.insync.replicas": "1", "max.message.bytes": "1048588",
	}
	for name, value := range bad {
		have := maps.Clone(good)
		have[name] = value
		if err := misfits("host:9092", "filature.intake", have, 3); !errors.Is(err, ErrTopic) {
			t.Errorf("%s=%s: %v", name, value, err)
		}
	}
	const want = "topic filature.intake: topic is not fit for a log: retention.ms is \"604800000\"; want -1, or else old records would be dropped; " +
		"run: kafka-configs.sh --bootstrap-server host:9092 --alter --entity-type topics --entity-name filature.intake --add-config retention.ms=-1"
	good["retention.ms"] = bad["retention.ms"]
	if err := misfits("host:9092", "filature.intake", good, 3); err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestConfigurationsThatCanNotWorkAreNamed(t *testing.T) {
	t.Parallel()
	good := Topic{Name: "filature.intake", DataShards: 4, Event: event}
	for want, topic := range map[string]Topic{
		`kafka topic: name is "a b"; want 1 to 200 letters, digits, dots and hyphens`: {Name: "a b", DataShards: 4, Event: event},
		"kafka topic filature.intake: 0 data shards; want 1..4095":                    {Name: good.Name, Event: event},
		"kafka topic filature.intake: event type is empty; CloudEvents wants one":     {Name: good.Name, DataShards: 4, Event: Event{Source: "/x"}},
		`kafka topic filature.intake: event source is ""; CloudEvents wants a URI reference`: {
			Name: good.Name, DataShards: 4, Event: Event{Type: "x"},
		},
	} {
		if err := topic.check(); err == nil || err.Error() != want {
			t.Errorf("got %v; want %s", err, want)
		}
	}
	for want, cluster := range map[string]Cluster{
		"kafka brokers: none; want host:port of at least one":                   {},
		`kafka brokers[1]: "localhost"; want host:port`:                         {Brokers: []string{"a:1", "localhost"}},
		`kafka login: mechanism is "GSSAPI"; want SCRAM-SHA-512 or PLAIN`:       {Brokers: []string{"a:1"}, Login: &Login{Mechanism: "GSSAPI"}},
		"kafka login: PLAIN without TLS would show the password to the network": {Brokers: []string{"a:1"}, Login: &Login{Mechanism: PLAIN}},
	} {
		if _, err := cluster.link(); err == nil || len(err.Error()) < len(want) || err.Error()[:len(want)] != want {
			t.Errorf("got %v; want %s", err, want)
		}
	}
}

func TestShardsAreSharedEvenlyAndStayWhereTheyCan(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		shards := make([]domain.Shard, rapid.IntRange(1, 30).Draw(t, "shards"))
		for i := range shards {
			shards[i] = domain.Shard(i)
		}
		owner := map[domain.Shard]string{}
		names := []string{"a", "b", "c", "d", "e", "f"}
		for range rapid.IntRange(1, 8).Draw(t, "rounds") {
			alive := rapid.SliceOfNDistinct(rapid.SampledFrom(names), 1, len(names), rapid.ID[string]).Draw(t, "alive")
			var members []member
			for _, id := range alive {
				m := member{id: id}
				for shard, of := range owner {
					if of == id {
						m.owned = append(m.owned, shard)
					}
				}
				slices.Sort(m.owned)
				members = append(members, m)
			}
			shared := share(members, shards)
			moved, given := 0, map[domain.Shard]string{}
			least, most := math.MaxInt, 0
			for _, m := range members {
				least, most = min(least, len(shared[m.id])), max(most, len(shared[m.id]))
				for _, shard := range shared[m.id] {
					if given[shard] != "" {
						t.Fatalf("shard %d is %s's and %s's", shard, given[shard], m.id)
					}
					given[shard] = m.id
					if slices.Contains(alive, owner[shard]) && owner[shard] != m.id {
						moved++
					}
				}
			}
			if len(given) != len(shards) || most-least > 1 {
				t.Fatalf("%d of %d shards given, %d to %d each", len(given), len(shards), least, most)
			}
			// What moves from one living member to another is what the first has too much of.
			for _, m := range members {
				moved -= max(0, len(m.owned)-len(shared[m.id]))
			}
			if moved > 0 {
				t.Fatalf("%d shards moved without need: %v", moved, shared)
			}
			owner = given
		}
	})
}

func TestWhatWasReadAheadIsGivenOnceAndInOrder(t *testing.T) {
	t.Parallel()
	var a ahead
	for _, end := range []domain.Offset{5, 3, 4} {
		if a.saw(end); a.known() != 5 {
			t.Errorf("a shard that went up to 5 goes up to %d", a.known())
		}
	}
	var records []eventstore.Record
	for offset := range domain.Offset(10) {
		records = append(records, eventstore.Record{Offset: 100 + offset})
	}
	a.put(records)
	for _, c := range []struct {
		from        domain.Offset
		limit, want int
	}{{99, 3, 0}, {110, 3, 0}, {100, 3, 3}, {100, 3, 0}, {105, 2, 2}, {107, 9, 3}, {109, 1, 0}} {
		got := a.take(c.from, c.limit)
		if len(got) != c.want || len(got) > 0 && got[0].Offset != c.from {
			t.Errorf("take %d from %d: got %v; want %d", c.limit, c.from, got, c.want)
		}
	}
	if a.records != nil {
		t.Error("what nobody will read is still held")
	}
}

func TestAZombiesClaimDoesNotCountTwice(t *testing.T) {
	t.Parallel()
	shared := share([]member{{"a", []domain.Shard{0, 1, 2}}, {"b", []domain.Shard{1, 2, 99}}}, []domain.Shard{0, 1, 2, 3})
	if len(shared["a"]) != 2 || len(shared["b"]) != 2 {
		t.Errorf("got %v", shared)
	}
}

func TestABalancersWordsAreReadBack(t *testing.T) {
	t.Parallel()
	want := []domain.Shard{0, 1, 200, maxShards - 1}
	raw, err := balancer{shards: func() []domain.Shard { return want }}.UserData()
	if err != nil || !slices.Equal(readShards(raw), want) {
		t.Errorf("got %v, %v; want %v", readShards(raw), err, want)
	}
	if got := readShards([]byte{1, 0xff, 0xff, 0xff, 0xff, 0x7f, 2}); len(got) != 1 {
		t.Errorf("from what is no shard: %v", got)
	}
}

func TestEachOfOurOwnErrorsIsFinal(t *testing.T) {
	t.Parallel()
	for _, err := range []error{
		eventstore.ErrGap, eventstore.ErrCorrupt, ErrTopic, errLost, kafka.TopicAuthorizationFailed, fmt.Errorf("%w (%w)", errLost, kafka.RequestTimedOut),
	} {
		if !hopeless(err) {
			t.Errorf("%v would be tried again", err)
		}
	}
	for _, err := range []error{io.EOF, kafka.NotLeaderForPartition, errDoubted, fmt.Errorf("%w (%w)", errAgain, kafka.UnknownProducerId)} {
		if hopeless(err) {
			t.Errorf("%v would not be tried again", err)
		}
	}
}
