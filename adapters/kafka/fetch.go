package kafka

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	fetchapi "github.com/segmentio/kafka-go/protocol/fetch"
)

const (
	// fetchVersion of the Fetch API came with Kafka 2.3 and is far from the end of its life in 4.
	fetchVersion = 11
	// maxReplyBytes is more than any answer: a broker answers with one batch at least, however large, and
	// otherwise with what it was asked for.
	maxReplyBytes = 2 * maxBatchBytes
	// correlation ties an answer to its question. One number is enough where there is one question at a time.
	correlation = 0x66696c61
)

// fetchRequest asks the leader of a partition for stored batches. It goes through kafka-go's connections
// and reads the answer itself: kafka-go's own reader of batches drops the broker's time, the batches'
// producers and sequence numbers, and what is missing between them.
type fetchRequest struct {
	topic     string
	partition int
	offset    int64
	minBytes  int
	maxBytes  int
	wait      time.Duration // how long the broker may wait for minBytes
}

// fetchReply is the answer. err is Kafka's, nil if there is none.
type fetchReply struct {
	err       error
	highWater int64 // the first offset that not all replicas in sync have
	start     int64 // the first offset that is kept
	batches   []byte
}

var (
	_ protocol.BrokerMessage = (*fetchRequest)(nil)
	_ protocol.RawExchanger  = (*fetchRequest)(nil)
)

// ApiKey implements protocol.Message.
func (*fetchRequest) ApiKey() protocol.ApiKey { return protocol.Fetch } //nolint:staticcheck // kafka-go's name

// ApiKey implements protocol.Message.
func (*fetchReply) ApiKey() protocol.ApiKey { return protocol.Fetch } //nolint:staticcheck // kafka-go's name

// Broker implements protocol.BrokerMessage: the leader.
func (r *fetchRequest) Broker(cluster protocol.Cluster) (protocol.Broker, error) {
	return (&fetchapi.Request{Topics: []fetchapi.RequestTopic{{
		Topic:      r.topic,
		Partitions: []fetchapi.RequestPartition{{Partition: int32(r.partition)}},
	}}}).Broker(cluster)
}

// Required implements protocol.RawExchanger: always.
func (*fetchRequest) Required(map[protocol.ApiKey]int16) bool { return true }

// RawExchange implements protocol.RawExchanger. After an error the connection is closed.
func (r *fetchRequest) RawExchange(broker io.ReadWriter) (protocol.Message, error) {
	if _, err := broker.Write(r.encode()); err != nil {
		return nil, err
	}
	var size [4]byte
	if _, err := io.ReadFull(broker, size[:]); err != nil {
		return nil, err
	}
	length := binary.BigEndian.Uint32(size[:])
	if length > maxReplyBytes {
		return nil, fmt.Errorf("answer of %d bytes; want at most %d", length, maxReplyBytes)
	}
	raw := make([]byte, length)
	if _, err := io.ReadFull(broker, raw); err != nil {
		return nil, err
	}
	return decodeReply(raw)
}

func (r *fetchRequest) encode() []byte {
	b := make([]byte, 4, 128+len(r.topic))
	i16, i32, i64 := binary.BigEndian.AppendUint16, binary.BigEndian.AppendUint32, binary.BigEndian.AppendUint64
	text := func(s string) { b = append(i16(b, uint16(len(s))), s...) }

	b = i16(b, uint16(protocol.Fetch))
	b = i16(b, fetchVersion)
	b = i32(b, correlation)
	text(clientID)

	b = i32(b, ^uint32(0)) // replica: -1, we are none
	b = i32(b, uint32(r.wait.Milliseconds()))
	b = i32(b, uint32(r.minBytes))
	b = i32(b, uint32(r.maxBytes))
	b = append(b, 0)       // isolation: what was said, counts
	b = i32(b, 0)          // session: none
	b = i32(b, ^uint32(0)) // its epoch: none
	b = i32(b, 1)          // topics
	text(r.topic)
	b = i32(b, 1) // partitions
	b = i32(b, uint32(r.partition))
	b = i32(b, ^uint32(0)) // leader's epoch: any
	b = i64(b, uint64(r.offset))
	b = i64(b, ^uint64(0)) // log start: only replicas have one
	b = i32(b, uint32(r.maxBytes))
	b = i32(b, 0) // forgotten topics
	text("")      // rack
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	return b
}

var errReply = errors.New("answer to fetch is malformed")

// decodeReply reads an answer about one partition.
func decodeReply(raw []byte) (*fetchReply, error) {
	ok := true
	take := func(n int) []byte {
		if !ok || n < 0 || n > len(raw) {
			ok = false
			return make([]byte, 8)
		}
		out := raw[:n:n]
		raw = raw[n:]
		return out
	}
	i16 := func() int { return int(int16(binary.BigEndian.Uint16(take(2)))) }
	i32 := func() int { return int(int32(binary.BigEndian.Uint32(take(4)))) }
	i64 := func() int64 { return int64(binary.BigEndian.Uint64(take(8))) }

	if i32() != correlation {
		return nil, fmt.Errorf("%w: it is for another request", errReply)
	}
	i32() // throttle
	failed := i16()
	i32() // session
	if failed != 0 {
		return &fetchReply{err: kafka.Error(failed)}, nil
	}
	if i32() != 1 {
		return nil, fmt.Errorf("%w: not one topic", errReply)
	}
	take(i16()) // its name
	if i32() != 1 {
		return nil, fmt.Errorf("%w: not one partition", errReply)
	}
	i32() // its number
	reply := &fetchReply{}
	if failed = i16(); failed != 0 {
		reply.err = kafka.Error(failed)
	}
	reply.highWater = i64()
	i64() // last stable offset
	reply.start = i64()
	for range max(i32(), 0) { // aborted transactions
		i64()
		i64()
		if !ok {
			break
		}
	}
	i32() // preferred replica
	if n := i32(); n > 0 {
		reply.batches = take(n)
	}
	if !ok {
		return nil, fmt.Errorf("%w: it ends early", errReply)
	}
	return reply, nil
}
