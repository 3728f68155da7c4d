package kafka

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore"
)

const (
	// maxBatchBytes is what a topic has to take at once: the largest batch that eventstore allows, half a
	// kilobyte for the frame and the headers of each record, and some for what does not pack at all.
	maxBatchBytes = eventstore.MaxBatchBytes + eventstore.MaxBatch*512 + 2<<20
	// maxEventBytes keeps the headers within that half kilobyte.
	maxEventBytes = 256
	// maxShards is far beyond what one cluster would be asked for; it bounds what a wrong number costs.
	maxShards = 4096
	// topicsTimeout is how long Create and Open may need, elections of leaders included.
	topicsTimeout = 30 * time.Second
	// settleTimeout is how long a topic that was made just now may be unknown to some broker.
	settleTimeout = 5 * time.Second

	controlSuffix = ".control"
)

// Topic describes a log: its name, its shards, and what its records say they are.
type Topic struct {
	Name       string // "filature.intake": see the package's doc for the topics that it stands for
	DataShards int    // shards besides control, for ever: an account's shard depends on their number
	Event      Event
}

// ErrTopic: a topic is missing, or is not set so that a log may be kept in it. The error says which setting,
// and the command that mends it. Nothing was written.
var ErrTopic = errors.New("topic is not fit for a log")

// nameRule is Kafka's, less what would make metrics' names clash, and leaves room for the suffix.
var nameRule = regexp.MustCompile(`^[a-zA-Z0-9.-]{1,200}$`)

func (t Topic) check() error {
	switch {
	case !nameRule.MatchString(t.Name):
		return fmt.Errorf("kafka topic: name is %q; want 1 to 200 letters, digits, dots and hyphens", t.Name)
	case t.DataShards < 1 || t.DataShards >= maxShards:
		return fmt.Errorf("kafka topic %s: %d data shards; want 1..%d", t.Name, t.DataShards, maxShards-1)
	case t.Event.Type == "":
		return fmt.Errorf("kafka topic %s: event type is empty; CloudEvents wants one", t.Name)
	case len(t.Event.Type)+len(t.Event.Source) > maxEventBytes:
		return fmt.Errorf("kafka topic %s: event type and source have %d bytes; want at most %d", t.Name, len(t.Event.Type)+len(t.Event.Source), maxEventBytes)
	}
	if _, err := url.Parse(t.Event.Source); err != nil || t.Event.Source == "" {
		return fmt.Errorf("kafka topic %s: event source is %q; CloudEvents wants a URI reference", t.Name, t.Event.Source)
	}
	return nil
}

func (t Topic) control() string { return t.Name + controlSuffix }

// place says where a shard is.
func (t Topic) place(shard domain.Shard) (topic string, partition int) {
	if shard == domain.Control {
		return t.control(), 0
	}
	return t.Name, int(shard) - 1
}

// shardAt is the inverse of place.
func (t Topic) shardAt(topic string, partition int) domain.Shard {
	if topic == t.control() {
		return domain.Control
	}
	return domain.Shard(partition + 1)
}

// partitions returns how many partitions each of the topics has.
func (t Topic) partitions() map[string]int {
	return map[string]int{t.Name: t.DataShards, t.control(): 1}
}

// names returns both topics, in an order that stays.
func (t Topic) names() []string { return []string{t.Name, t.control()} }

// PartitionFor returns the partition of the accounts' topic that a record about an account belongs to: what
// Kafka's own partitioner says for the account's 32 bytes as key.
func (t Topic) PartitionFor(account domain.AccountID) int {
	_, partition := t.place(domain.ShardOf(account, t.DataShards))
	return partition
}

// setting is one of a topic's settings, and what happens to a log if it is otherwise.
type setting struct {
	name, want, otherwise string
	// enough says whether another value will do as well; nil if none will.
	enough func(have string) bool
}

// settings are what Create sets and Open insists on.
func settings(replicas int) []setting {
	inSync := max(1, replicas-1)
	return []setting{
		{"cleanup.policy", "delete", "records would be dropped that share a key", nil},
		{"retention.ms", "-1", "old records would be dropped", nil},
		{"retention.bytes", "-1", "records would be dropped as the log grows", nil},
		{"message.timestamp.type", "LogAppendTime", "log time would be whatever a sender says", nil},
		{"unclean.leader.election.enable", "false", "a replica that missed records could become the leader, and they were gone", nil},
		{
			"min.insync.replicas", strconv.Itoa(inSync), "an acknowledged record could stand on fewer disks",
			func(have string) bool { return atLeast(have, inSync) },
		},
		{
			"max.message.bytes", strconv.Itoa(maxBatchBytes), "large batches would be refused",
			func(have string) bool { return atLeast(have, maxBatchBytes) },
		},
	}
}

func atLeast(have string, want int) bool {
	n, err := strconv.Atoi(have)
	return err == nil && n >= want
}

// misfits compares a topic's settings with what a log needs. It names them all at once.
func misfits(brokers, topic string, have map[string]string, replicas int) error {
	var wrong []error
	for _, s := range settings(replicas) {
		value := have[s.name]
		if value == s.want || s.enough != nil && s.enough(value) {
			continue
		}
		wrong = append(wrong, fmt.Errorf("topic %s: %w: %s is %q; want %s, or else %s; run: "+
			"kafka-configs.sh --bootstrap-server %s --alter --entity-type topics --entity-name %s --add-config %s=%s",
			topic, ErrTopic, s.name, value, s.want, s.otherwise, brokers, topic, s.name, s.want))
	}
	return errors.Join(wrong...)
}

// Create makes the topics of a log where they are missing, each partition on as many brokers as replicas
// says, and leaves those that exist as they are. With three replicas a record is acknowledged when it
// stands on two; use three, but for trying things out.
func Create(ctx context.Context, cluster Cluster, topic Topic, replicas int) error {
	if err := topic.check(); err != nil {
		return err
	}
	if replicas < 1 {
		return fmt.Errorf("create %s: %d replicas; want at least 1", topic.Name, replicas)
	}
	ctx, cancel := context.WithTimeout(ctx, topicsTimeout)
	defer cancel()
	client, done, err := cluster.connect(ctx, topic)
	if err != nil {
		return err
	}
	defer done()
	var entries []kafka.ConfigEntry
	for _, s := range settings(replicas) {
		entries = append(entries, kafka.ConfigEntry{ConfigName: s.name, ConfigValue: s.want})
	}
	request := &kafka.CreateTopicsRequest{}
	for _, name := range topic.names() {
		request.Topics = append(request.Topics, kafka.TopicConfig{
			Topic: name, NumPartitions: topic.partitions()[name], ReplicationFactor: replicas, ConfigEntries: entries,
		})
	}
	err = again(ctx, topicsTimeout, func(ctx context.Context) error {
		answer, err := client.CreateTopics(ctx, request)
		if err != nil {
			return err
		}
		for _, name := range topic.names() {
			if err := answer.Errors[name]; err != nil && !errors.Is(err, kafka.TopicAlreadyExists) {
				return fmt.Errorf("create topic %s: %w", name, err)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("create %s on %d brokers each: %w", topic.Name, replicas, err)
	}
	return nil
}

// connect makes a client for a log's topics and hears from the cluster, so that what is wrong with the
// addresses or the login is said at once and plainly. done closes its connections.
func (c Cluster) connect(ctx context.Context, topic Topic) (client *kafka.Client, done func(), err error) {
	l, err := c.link()
	if err != nil {
		return nil, nil, err
	}
	transport := l.transport(topic.names()...)
	client = &kafka.Client{Addr: l.address, Timeout: requestTimeout, Transport: transport}
	contact, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	if _, err := client.Metadata(contact, &kafka.MetadataRequest{}); err != nil {
		transport.CloseIdleConnections()
		return nil, nil, c.explain(err)
	}
	return client, transport.CloseIdleConnections, nil
}

// inspect checks that both topics exist, have the right partitions, each with a leader, and are set as a log
// needs. It waits for topics that were made just now.
func (c Cluster) inspect(ctx context.Context, client *kafka.Client, topic Topic) error {
	var replicas map[string]int
	err := again(ctx, settleTimeout, func(ctx context.Context) error {
		metadata, err := client.Metadata(ctx, &kafka.MetadataRequest{Topics: topic.names()})
		if err != nil {
			return err
		}
		replicas, err = replicasOf(metadata.Topics, topic)
		return err
	})
	if errors.Is(err, kafka.UnknownTopicOrPartition) {
		return fmt.Errorf("look at the topics of %s: %w: it is not there, or may not be seen: create the log's topics first, as filature init does: %w",
			topic.Name, ErrTopic, err)
	}
	if err != nil {
		return fmt.Errorf("look at the topics of %s: %w", topic.Name, err)
	}
	request := &kafka.DescribeConfigsRequest{}
	for _, name := range topic.names() {
		request.Resources = append(request.Resources, kafka.DescribeConfigRequestResource{ResourceType: kafka.ResourceTypeTopic, ResourceName: name})
	}
	return again(ctx, topicsTimeout, func(ctx context.Context) error {
		answer, err := client.DescribeConfigs(ctx, request)
		if err != nil {
			return fmt.Errorf("read the settings of %s: %w", topic.Name, err)
		}
		var wrong []error
		for _, resource := range answer.Resources {
			if resource.Error != nil {
				return fmt.Errorf("read the settings of %s: %w", resource.ResourceName, resource.Error)
			}
			have := map[string]string{}
			for _, entry := range resource.ConfigEntries {
				have[entry.ConfigName] = entry.ConfigValue
			}
			wrong = append(wrong, misfits(strings.Join(c.Brokers, ","), resource.ResourceName, have, replicas[resource.ResourceName]))
		}
		return errors.Join(wrong...)
	})
}

// replicasOf checks the layout of the topics and returns on how many brokers they are kept.
func replicasOf(have []kafka.Topic, topic Topic) (map[string]int, error) {
	replicas := map[string]int{}
	for name, want := range topic.partitions() {
		at := slices.IndexFunc(have, func(t kafka.Topic) bool { return t.Name == name })
		if at < 0 {
			return nil, fmt.Errorf("topic %s: %w", name, kafka.UnknownTopicOrPartition)
		}
		if err := have[at].Error; err != nil {
			return nil, fmt.Errorf("topic %s: %w", name, err)
		}
		partitions := have[at].Partitions
		if len(partitions) != want {
			return nil, fmt.Errorf("topic %s: %w: it has %d partitions; want %d, since an account's place depends on their number",
				name, ErrTopic, len(partitions), want)
		}
		for _, p := range partitions {
			if p.Error != nil {
				return nil, fmt.Errorf("topic %s: partition %d: %w", name, p.ID, p.Error)
			}
			replicas[name] = len(p.Replicas)
		}
	}
	return replicas, nil
}
