package kafka

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/filature/filature/eventstore"
)

const (
	// maxMessageBytes is what a stream's topic takes at once: a message as large as a fact may be, and its
	// headers.
	maxMessageBytes = eventstore.MaxRecordBytes + 1<<20
	// maxPartitions is far beyond what one stream would be cut into; it bounds what a wrong number costs.
	maxPartitions = maxShards
	// partitionsEvery is how soon a partition that somebody added is read.
	partitionsEvery = 5 * time.Second
)

// Stream describes a topic of messages.
type Stream struct {
	Name       string // "filature.completions"
	Partitions int    // order is kept within each; for ever the same, as a key's partition depends on their number
	Replicas   int    // on how many brokers each stands
	// Retention is for how long messages are kept; 0 is for ever. Who was away for longer misses some,
	// and is told so.
	Retention time.Duration
}

func (s Stream) check() error {
	switch {
	case !nameRule.MatchString(s.Name):
		return fmt.Errorf("kafka stream: name is %q; want 1 to 200 letters, digits, dots and hyphens", s.Name)
	case s.Partitions < 1 || s.Partitions > maxPartitions:
		return fmt.Errorf("kafka stream %s: %d partitions; want 1..%d", s.Name, s.Partitions, maxPartitions)
	case s.Replicas < 1:
		return fmt.Errorf("kafka stream %s: %d replicas; want at least 1", s.Name, s.Replicas)
	case s.Retention != 0 && s.Retention < time.Minute:
		return fmt.Errorf("kafka stream %s: retention is %v; want a minute at least, or 0 for ever", s.Name, s.Retention)
	}
	return nil
}

// config is the topic as it is made. What a log insists on holds here too, but for time: messages may
// be dropped after a while, and they bear the sender's time.
func (s Stream) config() kafka.TopicConfig {
	retention := int64(-1)
	if s.Retention > 0 {
		retention = s.Retention.Milliseconds()
	}
	config := kafka.TopicConfig{Topic: s.Name, NumPartitions: s.Partitions, ReplicationFactor: s.Replicas}
	for _, entry := range [][2]string{
		{"cleanup.policy", "delete"},
		{"retention.ms", strconv.FormatInt(retention, 10)},
		{"retention.bytes", "-1"},
		{"message.timestamp.type", "CreateTime"},
		{"unclean.leader.election.enable", "false"},
		{"min.insync.replicas", strconv.Itoa(max(1, s.Replicas-1))},
		{"max.message.bytes", strconv.Itoa(maxMessageBytes)},
	} {
		config.ConfigEntries = append(config.ConfigEntries, kafka.ConfigEntry{ConfigName: entry[0], ConfigValue: entry[1]})
	}
	return config
}

// Create makes the topic of a stream if it is missing, and leaves one that exists as it is. One that has another
// number of partitions is an ErrTopic.
func (c *Client) Create(ctx context.Context, stream Stream) error {
	if err := stream.check(); err != nil {
		return err
	}
	client, err := c.of(stream.Name)
	if err != nil {
		return fmt.Errorf("create %s: %w", stream.Name, err)
	}
	ctx, cancel := context.WithTimeout(ctx, topicsTimeout)
	defer cancel()
	err = again(ctx, topicsTimeout, func(ctx context.Context) error {
		answer, err := client.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{stream.config()}})
		if err != nil {
			return err
		}
		if err := answer.Errors[stream.Name]; err != nil && !errors.Is(err, kafka.TopicAlreadyExists) {
			return err
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("create topic %s on %d brokers each: %w", stream.Name, stream.Replicas, err)
	}
	have, err := c.Partitions(ctx, stream.Name)
	if err != nil {
		return err
	}
	if have != stream.Partitions {
		return fmt.Errorf("topic %s: %w: it has %d partitions; want %d, since a key's place depends on their number",
			stream.Name, ErrTopic, have, stream.Partitions)
	}
	return nil
}

// GroupMember takes part in a consumer group that shares out the partitions of a topic. Every wait is
// named here, since kafka-go's own are long. StartOffset is the first: who is new to a stream gets all of it.
func (c Cluster) GroupMember(group, topic string) (*kafka.ConsumerGroup, error) {
	l, err := c.link()
	if err != nil {
		return nil, err
	}
	member, err := kafka.NewConsumerGroup(kafka.ConsumerGroupConfig{
		ID: group, Brokers: c.Brokers, Dialer: l.dialer(), Topics: []string{topic}, StartOffset: kafka.FirstOffset,
		HeartbeatInterval: heartbeatEvery, SessionTimeout: sessionTimeout, RebalanceTimeout: rebalanceTimeout, JoinGroupBackoff: joinPause,
		WatchPartitionChanges: true, PartitionWatchInterval: partitionsEvery, Timeout: dialTimeout,
	})
	if err != nil {
		return nil, fmt.Errorf("group %s: %w", group, err)
	}
	return member, nil
}
