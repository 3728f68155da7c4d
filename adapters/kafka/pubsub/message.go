package pubsub

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/filature/filature/adapters/kafka"
	"github.com/filature/filature/eventstore"
)

// Metadata that are no headers. A received message has the first three, and Key if its record has one. They are
// not sent on, but for Key, which becomes the record's key: its bytes are Kafka's, whatever they are.
const (
	Topic     = "topic"
	Partition = "partition"
	Offset    = "offset"
	Key       = "key"
)

const (
	// uuidHeader is where Watermill's own adapter for Kafka has the UUID.
	uuidHeader = "_watermill_message_uuid"
	// A message with ce_type is a CloudEvent, and gets what else one needs and what we know: its id.
	typeHeader, idHeader, versionHeader = "ce_type", "ce_id", "ce_specversion"
	cloudEvents                         = "1.0"
	// maxMetadataBytes keeps a message within what a topic takes (see kafka.Stream), beside the largest payload.
	maxMetadataBytes = 64 << 10
)

// encode makes a record of a message.
func encode(m *message.Message) (kafka.Message, error) {
	if len(m.Payload) > eventstore.MaxRecordBytes {
		return kafka.Message{}, fmt.Errorf("payload has %d bytes, want at most %d: %w", len(m.Payload), eventstore.MaxRecordBytes, eventstore.ErrTooLarge)
	}
	record := kafka.Message{Value: m.Payload}
	if key, has := m.Metadata[Key]; has {
		record.Key = []byte(key)
	}
	headers := map[string]string{}
	maps.Copy(headers, m.Metadata)
	for _, own := range []string{Topic, Partition, Offset, Key} {
		delete(headers, own)
	}
	if m.UUID != "" {
		headers[uuidHeader] = m.UUID
	}
	if headers[typeHeader] != "" {
		if headers[idHeader] == "" && m.UUID != "" {
			headers[idHeader] = m.UUID
		}
		headers[versionHeader] = cloudEvents
	}
	size := len(record.Key)
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		record.Headers = append(record.Headers, kafka.Header{Name: name, Value: []byte(headers[name])})
		size += len(name) + len(headers[name])
	}
	if size > maxMetadataBytes {
		return kafka.Message{}, fmt.Errorf("key and metadata have %d bytes, want at most %d: %w", size, maxMetadataBytes, eventstore.ErrTooLarge)
	}
	return record, nil
}

// decode makes a message of a record. It is a new one each time: handlers change the metadata. One that is not
// from Watermill has the id of its CloudEvent as UUID, or else its place.
func decode(topic string, partition int, record kafka.Message) *message.Message {
	m := message.NewMessage("", record.Value)
	for _, h := range record.Headers {
		m.Metadata[h.Name] = string(h.Value)
	}
	m.Metadata[Topic] = topic
	m.Metadata[Partition] = strconv.Itoa(partition)
	m.Metadata[Offset] = strconv.FormatInt(record.Offset, 10)
	delete(m.Metadata, Key)
	if record.Key != nil {
		m.Metadata[Key] = string(record.Key)
	}
	m.UUID = m.Metadata[uuidHeader]
	delete(m.Metadata, uuidHeader)
	if m.UUID == "" {
		m.UUID = m.Metadata[idHeader]
	}
	if m.UUID == "" {
		m.UUID = Place(m)
	}
	return m
}

// Place says where a received message stands: topic/partition/offset. It is empty for any other.
func Place(m *message.Message) string {
	if m.Metadata[Topic] == "" {
		return ""
	}
	return m.Metadata[Topic] + "/" + m.Metadata[Partition] + "/" + m.Metadata[Offset]
}
