package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/filature/filature/eventstore"
)

// messageBytes is what one read of messages asks for. It is smaller than a clerk's: behind each message
// is an effect, which takes longer than the next read.
const messageBytes = 1 << 20

// Message is a record as any client of Kafka writes it. Log knows other records: those without a key, whose
// headers are always the same.
type Message struct {
	Offset  int64
	Time    time.Time // the sender's, or the broker's where the topic says so
	Key     []byte    // nil: none
	Value   []byte
	Headers []Header // in the order of the sender
}

// Header is a word about a message.
type Header struct {
	Name  string
	Value []byte
}

// Page is what one read found.
type Page struct {
	Messages []Message
	// Next is the offset to go on at. It is behind the last message, or further where a marker of a
	// transaction follows.
	Next int64
	// End is the offset behind the last message that all replicas in sync have.
	End int64
}

// GapError says that messages are gone that were there once, or that there are fewer than there were. Nobody
// can bring them back; whoever reads on at First has to say so.
type GapError struct {
	Topic     string
	Partition int
	Asked     int64 // the first that is missing
	First     int64 // the first that is kept
	End       int64 // behind the last that is kept
}

// Error names the place.
func (e *GapError) Error() string {
	return fmt.Sprintf("read %s/%d at %d: messages are missing: kept are those from %d up to %d", e.Topic, e.Partition, e.Asked, e.First, e.End)
}

// Unwrap makes it an eventstore.ErrGap.
func (e *GapError) Unwrap() error { return eventstore.ErrGap }

// Client reads and writes single partitions of any topic: it is for messages, as a Log is for facts. It is
// safe for many goroutines. Each call tries again for half a minute where that may help.
type Client struct {
	cluster Cluster
	link    link
	// patience is the constant, but for tests that need to see it end.
	patience time.Duration

	mu sync.Mutex
	// topics has a connection pool for each topic, so that none asks the cluster about all of its topics.
	// What a process speaks about comes from its configuration, so there are few.
	topics map[string]*kafka.Client
	closed bool
}

// Dial hears from a cluster, so that what is wrong with the addresses or the login is said at once and
// plainly: ErrUnreachable or ErrLogin. Close the client.
func Dial(ctx context.Context, cluster Cluster) (*Client, error) {
	c, err := Attach(cluster)
	if err != nil {
		return nil, err
	}
	if err := c.greet(ctx); err != nil {
		return nil, err
	}
	return c, nil
}

// Attach is Dial without hearing from the cluster: only what is wrong with the configuration is said.
func Attach(cluster Cluster) (*Client, error) {
	l, err := cluster.link()
	if err != nil {
		return nil, err
	}
	return &Client{cluster: cluster, link: l, patience: patience, topics: map[string]*kafka.Client{}}, nil
}

func (c *Client) greet(ctx context.Context) error {
	transport := c.link.transport([]string{}...) // none, where nil would be all
	defer transport.CloseIdleConnections()
	contact, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	client := &kafka.Client{Addr: c.link.address, Timeout: requestTimeout, Transport: transport}
	if _, err := client.Metadata(contact, &kafka.MetadataRequest{}); err != nil {
		return c.cluster.explain(err)
	}
	return nil
}

// Close closes the connections. Calls that are under way end by themselves.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for _, client := range c.topics {
		client.Transport.(*kafka.Transport).CloseIdleConnections()
	}
	c.topics = nil
}

// of returns the connections for a topic.
func (c *Client) of(topic string) (*kafka.Client, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, eventstore.ErrClosed
	}
	client := c.topics[topic]
	if client == nil {
		client = &kafka.Client{Addr: c.link.address, Timeout: requestTimeout, Transport: c.link.transport(topic)}
		c.topics[topic] = client
	}
	return client, nil
}

// Partitions returns how many partitions a topic has. A topic that is not there is an ErrTopic.
func (c *Client) Partitions(ctx context.Context, topic string) (partitions int, err error) {
	client, err := c.of(topic)
	if err != nil {
		return 0, fmt.Errorf("look at topic %s: %w", topic, err)
	}
	err = again(ctx, settleTimeout, func(ctx context.Context) error {
		metadata, err := client.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{topic}})
		if err != nil {
			return err
		}
		for _, t := range metadata.Topics {
			if t.Name == topic && t.Error == nil && len(t.Partitions) > 0 {
				partitions = len(t.Partitions)
				return nil
			}
			if t.Error != nil {
				return t.Error
			}
		}
		return kafka.UnknownTopicOrPartition
	})
	switch {
	case errors.Is(err, kafka.UnknownTopicOrPartition):
		return 0, fmt.Errorf("look at topic %s: %w: it is not there, or may not be seen: create it first: %w", topic, ErrTopic, err)
	case err != nil && ctx.Err() == nil && (!hopeless(err) || refusesLogin(err)):
		return 0, fmt.Errorf("look at topic %s: %w", topic, c.cluster.explain(err))
	case err != nil:
		return 0, fmt.Errorf("look at topic %s: %w", topic, err)
	}
	return partitions, nil
}

// Produce appends messages to a partition, next to each other, and returns the offset of the first when all
// replicas in sync have them. Offset and Time of the messages are not looked at. If an acknowledgement
// is lost they are sent again, and may then stand there twice; after an error they may stand there, too.
func (c *Client) Produce(ctx context.Context, topic string, partition int, messages []Message) (first int64, err error) {
	records := make([]kafka.Record, len(messages))
	client, err := c.of(topic)
	if err != nil {
		return 0, fmt.Errorf("write %d messages to %s/%d: %w", len(messages), topic, partition, err)
	}
	err = again(ctx, c.patience, func(ctx context.Context) error {
		for i, m := range messages { // a record is read once, so each try has its own
			records[i] = m.record()
		}
		answer, err := client.Produce(ctx, &kafka.ProduceRequest{
			Topic: topic, Partition: partition, RequiredAcks: kafka.RequireAll, Compression: codec, Records: kafka.NewRecordReader(records...),
		})
		if err == nil {
			first, err = answer.BaseOffset, answer.Error
		}
		return err
	})
	switch {
	case err == nil:
		return first, nil
	case judge(err) == tooLarge:
		err = fmt.Errorf("%w: %w", eventstore.ErrTooLarge, err)
	case errors.Is(err, kafka.UnknownTopicOrPartition):
		err = fmt.Errorf("%w: it is not there, or may not be written to: create it first: %w", ErrTopic, err)
	}
	return 0, fmt.Errorf("write %d messages to %s/%d: %w", len(messages), topic, partition, err)
}

func (m Message) record() kafka.Record {
	r := kafka.Record{Value: kafka.NewBytes(m.Value)}
	if m.Key != nil {
		r.Key = kafka.NewBytes(m.Key)
	}
	for _, h := range m.Headers {
		r.Headers = append(r.Headers, kafka.Header{Key: h.Name, Value: h.Value})
	}
	return r
}

// Bounds returns the offset of the first message that is kept and the one behind the last.
func (c *Client) Bounds(ctx context.Context, topic string, partition int) (first, end int64, err error) {
	client, err := c.of(topic)
	if err != nil {
		return 0, 0, fmt.Errorf("bounds of %s/%d: %w", topic, partition, err)
	}
	err = again(ctx, c.patience, func(ctx context.Context) error {
		answer, err := client.ListOffsets(ctx, &kafka.ListOffsetsRequest{
			Topics: map[string][]kafka.OffsetRequest{topic: {kafka.FirstOffsetOf(partition), kafka.LastOffsetOf(partition)}},
		})
		if err != nil {
			return err
		}
		for _, p := range answer.Topics[topic] {
			if p.Partition == partition {
				first, end = p.FirstOffset, p.LastOffset
				return p.Error
			}
		}
		return kafka.UnknownTopicOrPartition
	})
	if err != nil {
		return 0, 0, fmt.Errorf("bounds of %s/%d: %w", topic, partition, err)
	}
	return first, end, nil
}

// Fetch reads messages from an offset on. It waits for the first, if there is none, for as long as it is told
// to, and may find none even so. A gap is a *GapError, after it was doubted for a while: a broker that was the
// leader until just now knows less.
func (c *Client) Fetch(ctx context.Context, topic string, partition int, from int64, wait time.Duration) (page Page, err error) {
	client, err := c.of(topic)
	if err != nil {
		return Page{}, fmt.Errorf("read %s/%d at %d: %w", topic, partition, from, err)
	}
	var gap *GapError
	err = doubting(ctx, c.patience, func(ctx context.Context) error {
		gap = nil
		ctx, cancel := context.WithTimeout(ctx, requestTimeout+wait)
		defer cancel()
		request := &fetchRequest{topic: topic, partition: partition, offset: from, minBytes: 1, maxBytes: messageBytes, wait: wait}
		answer, err := client.Transport.RoundTrip(ctx, client.Addr, request)
		if err != nil {
			return err
		}
		reply := answer.(*fetchReply)
		if errors.Is(reply.err, kafka.OffsetOutOfRange) {
			gap = &GapError{topic, partition, from, reply.start, reply.highWater}
			return errDoubted
		}
		if reply.err != nil {
			return reply.err
		}
		page, err = readMessages(reply.batches, from)
		page.End = reply.highWater
		if err == nil && page.Next == from && len(reply.batches) > 0 && from < page.End {
			return fmt.Errorf("no whole batch in %d bytes: %w", len(reply.batches), eventstore.ErrCorrupt)
		}
		return err
	})
	switch {
	case err == nil:
		return page, nil
	case gap != nil && errors.Is(err, eventstore.ErrGap):
		return Page{}, c.bounded(ctx, gap)
	default:
		return Page{}, fmt.Errorf("read %s/%d at %d: %w", topic, partition, from, err)
	}
}

// bounded fills in what is kept: a broker that refuses an offset does not always say.
func (c *Client) bounded(ctx context.Context, gap *GapError) error {
	first, end, err := c.Bounds(ctx, gap.Topic, gap.Partition)
	if err != nil {
		return fmt.Errorf("read %s/%d at %d: %w", gap.Topic, gap.Partition, gap.Asked, err)
	}
	gap.First, gap.End = first, end
	return gap
}
