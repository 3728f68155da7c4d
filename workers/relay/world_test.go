package relay_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/ThreeDotsLabs/watermill/message"
	"pgregory.net/rapid"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/stream"
	"github.com/filature/filature/eventstore"
	"github.com/filature/filature/projections/projectionstest"
	v1 "github.com/filature/filature/schemas/filature/v1"
	"github.com/filature/filature/workers/relay"
)

var errInjected = errors.New("injected fault")

// fault is a way for a Publish to go wrong.
type fault int

const (
	pass fault = iota
	lost       // nothing is kept
	kept       // all is kept, and nobody hears so
	part       // the first messages are kept
	died       // as part, and the relay's process is gone
)

// topics plays Kafka: topics of one partition per shard. It refuses what would make a hole in a stream, so whoever
// publishes to it is watched at each message.
type topics struct {
	mu      sync.Mutex
	kept    map[string][]*message.Message
	want    map[string][]stream.Message // what the ledger tells, by partition
	have    map[string]int              // how many of want are there: the first ones
	holes   []string
	plan    []fault
	die     context.CancelFunc
	largest int
	tails   int
}

func newTopics() *topics {
	return &topics{kept: map[string][]*message.Message{}, want: map[string][]stream.Message{}, have: map[string]int{}, die: func() {}}
}

// partition is where Kafka's own partitioner puts a message: by the key's hash where there are several.
func partition(topic string, key string, shards int) string {
	if topic != "test.completions" {
		return topic + "[0]"
	}
	return fmt.Sprintf("%s[%d]", topic, domain.ShardOf(domain.AccountID([]byte(key)), shards-1)-1)
}

func partitionOf(topic string, shard domain.Shard) string {
	return fmt.Sprintf("%s[%d]", topic, max(shard-1, 0))
}

// on is the topics as one relay sees them.
func (t *topics) on(ledger *projectionstest.Ledger) *publisher { return &publisher{t, ledger} }

type publisher struct {
	*topics
	ledger *projectionstest.Ledger
}

func (p *publisher) Publish(topic string, messages ...*message.Message) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.largest = max(p.largest, len(messages))
	f := pass
	if len(p.plan) > 0 {
		f, p.plan = p.plan[0], p.plan[1:]
	}
	keep := messages
	switch f {
	case lost:
		keep = nil
	case part, died:
		keep = messages[:len(messages)/2]
	case pass, kept:
	}
	for _, m := range keep {
		if m.Context().Err() != nil {
			return m.Context().Err()
		}
		p.keep(partition(topic, m.Metadata["key"], p.ledger.Shards()), m)
	}
	if f == died {
		p.die()
	}
	if f != pass {
		return errInjected
	}
	return nil
}

// keep appends a message. It needs mu.
func (t *topics) keep(partition string, m *message.Message) {
	t.kept[partition] = append(t.kept[partition], m)
	at, err := domain.ParseFactPosition(m.UUID)
	place, found := slices.BinarySearchFunc(t.want[partition], at, func(w stream.Message, at domain.FactPosition) int { return w.Position.Compare(at) })
	switch have := t.have[partition]; {
	case !found || err != nil || t.want[partition][place].Position != at:
		t.holes = append(t.holes, fmt.Sprintf("%s: nobody tells %s", partition, m.UUID))
	case place > have:
		t.holes = append(t.holes, fmt.Sprintf("%s: %s comes before %s", partition, m.UUID, t.want[partition][have].Position))
	case place == have:
		t.have[partition]++
	}
}

func (p *publisher) Close() error { return nil }

func (p *publisher) Last(_ context.Context, topic string, shard domain.Shard) (last domain.FactPosition, found bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tails++
	for _, m := range p.kept[partitionOf(topic, shard)] {
		at, err := domain.ParseFactPosition(m.Metadata["position"])
		if err != nil {
			return last, false, err
		}
		if !found || at.Compare(last) > 0 {
			last, found = at, true
		}
	}
	return last, found, nil
}

// deduped is what a reader takes of a partition who drops what is not behind what it took last.
func (t *topics) deduped(partition string) []*message.Message {
	t.mu.Lock()
	defer t.mu.Unlock()
	var taken []*message.Message
	last := domain.FactPosition{}
	for _, m := range t.kept[partition] {
		if at, _ := domain.ParseFactPosition(m.UUID); at.Compare(last) > 0 {
			taken, last = append(taken, m), at
		}
	}
	return taken
}

// expect tells the topics what a ledger tells, as it is now.
func (t *topics) expect(ledger *projectionstest.Ledger) {
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.want)
	for shard := range domain.Shard(ledger.Shards()) {
		for _, m := range told(ledger, shard) {
			name := partitionOf(relay.Topic("test", m.Stream), shard)
			t.want[name] = append(t.want[name], m)
		}
	}
}

// told is what a shard of a ledger tells.
func told(ledger *projectionstest.Ledger, shard domain.Shard) (messages []stream.Message) {
	err := eventstore.Each(context.Background(), ledger, shard, 0, ledger.Cut()[shard], func(record eventstore.Record) error {
		entry, err := eventstore.DecodeEntry(shard, record)
		messages = append(messages, stream.Of(shard, record.Offset, entry)...)
		return err
	})
	if err != nil {
		panic(err)
	}
	return messages
}

// config is a relay's of a shard.
func config(ledger *projectionstest.Ledger, shard domain.Shard, topics *topics) relay.Config {
	p := topics.on(ledger)
	return relay.Config{Ledger: ledger, Shard: shard, Publisher: p, Tail: p, Prefix: "test", Source: "/filature/test"}
}

// accountIn returns the n-th account of a shard.
func accountIn(shard domain.Shard, shards, n int) string {
	for i := 0; ; i++ {
		name := fmt.Sprintf("account %d", i)
		if domain.ShardOf(projectionstest.ID[domain.AccountID](name), shards-1) != shard {
			continue
		}
		if n--; n < 0 {
			return name
		}
	}
}

// closed is the end of some job.
func closed(name, account string) *v1.Fact {
	return projectionstest.Job{
		Name: name, Account: account, Client: "tg", Model: "qwen", Worker: "w1", Provider: "prov-a", Reserve: 100, Charge: 60, Part: 50,
	}.Completed()
}

// grow appends random entries to a random ledger, dense in what is told.
func grow(rt *rapid.T, ledger *projectionstest.Ledger) {
	for range rapid.IntRange(0, 12).Draw(rt, "entries") {
		ledger.NowMs++
		shard := domain.Shard(rapid.IntRange(0, ledger.Shards()-1).Draw(rt, "shard"))
		if shard != domain.Control && rapid.IntRange(0, 5).Draw(rt, "pin") == 0 {
			ledger.Pin(shard)
			continue
		}
		var facts []*v1.Fact
		for i := range rapid.IntRange(0, 5).Draw(rt, "facts") {
			facts = append(facts, fact(rt, shard, ledger, i))
		}
		if rapid.IntRange(0, 4).Draw(rt, "void") == 0 {
			ledger.Void(shard, facts...)
			continue
		}
		ledger.Answer(shard, "alice", 1, facts...)
	}
}

func fact(rt *rapid.T, shard domain.Shard, ledger *projectionstest.Ledger, i int) *v1.Fact {
	if rapid.IntRange(0, 3).Draw(rt, "silent") == 0 {
		return projectionstest.Rejected(1, v1.Reason_REASON_UNKNOWN_JOB, "job", "ghost")
	}
	if shard != domain.Control {
		job := fmt.Sprintf("job %d/%d/%d", shard, ledger.Cut()[shard], i)
		return closed(job, accountIn(shard, ledger.Shards(), rapid.IntRange(0, 1).Draw(rt, "account")))
	}
	if rapid.Bool().Draw(rt, "payout") {
		return projectionstest.Paid("prov-a", 5, uint64(ledger.Cut()[0])*10+uint64(i))
	}
	return &v1.Fact{Body: &v1.Fact_AttestationChallenged{AttestationChallenged: &v1.ChallengeAttestation{
		Worker: projectionstest.Bytes("w1"), Challenge: projectionstest.Bytes("challenge"), ExpiresAtMs: ledger.NowMs + 1000,
	}}}
}
