package kafka

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"

	"github.com/segmentio/kafka-go/compress"
)

// Where the fields of a record batch are, in its version 2, which is the only one that Kafka 4 takes. The
// format is in Kafka's documentation, section 5.3.
const (
	baseOffsetAt    = 0
	lengthAt        = 8
	leaderEpochAt   = 12
	magicAt         = 16
	crcAt           = 17
	attributesAt    = 21 // what the CRC covers begins here
	lastDeltaAt     = 23
	firstTimeAt     = 27
	maxTimeAt       = 35
	producerIDAt    = 43
	producerEpochAt = 51
	sequenceAt      = 53
	countAt         = 57
	recordsAt       = 61
)

const (
	magic           = 2
	codecBits       = 0x07 // of the attributes
	appendTimeBit   = 0x08 // maxTime is the broker's, and counts for all records
	controlBit      = 0x20 // the records are markers of transactions
	sizePrefixBytes = 4    // kafka-go wants a batch behind its size
	// codec packs well what the records of a batch have in common, and costs little.
	codec = compress.Zstd
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Event is what the CloudEvents attributes of a log's records say, in binary mode: attributes are
// headers, and the record's value is the event's data. ce_id is the first 16 bytes of the SHA-256 of the
// value, so that what is the same twice is the same event twice, as CloudEvents wants it.
type Event struct {
	Type   string // "filature.v1.Entry"
	Source string // a URI reference: which network's log this is
}

const (
	idBytes     = 16
	headerCount = 5
)

// headers encodes the headers of a record up to where the id's hex digits follow.
func (e Event) headers() []byte {
	raw := binary.AppendVarint(nil, headerCount)
	for _, header := range [][2]string{
		{"ce_specversion", "1.0"},
		{"ce_type", e.Type},
		{"ce_source", e.Source},
		{"content-type", "application/protobuf"},
	} {
		for _, text := range header {
			raw = binary.AppendVarint(raw, int64(len(text)))
			raw = append(raw, text...)
		}
	}
	raw = binary.AppendVarint(raw, int64(len("ce_id")))
	raw = append(raw, "ce_id"...)
	return binary.AppendVarint(raw, int64(hex.EncodedLen(idBytes)))
}

// encodeBatch makes a batch of values, behind its size. Its producer is still to be stamped.
// The times in it are zero: the broker writes its own.
func encodeBatch(values [][]byte, headers []byte) ([]byte, error) {
	buffer := bytes.NewBuffer(make([]byte, sizePrefixBytes+recordsAt, 1<<10))
	packed := codec.Codec().NewWriter(buffer)
	var record []byte
	for i, value := range values {
		record = appendRecord(record[:0], i, value, headers)
		if _, err := packed.Write(record); err != nil {
			return nil, fmt.Errorf("pack record %d: %w", i, err)
		}
	}
	if err := packed.Close(); err != nil {
		return nil, fmt.Errorf("pack %d records: %w", len(values), err)
	}
	raw := buffer.Bytes()
	binary.BigEndian.PutUint32(raw, uint32(len(raw)-sizePrefixBytes))
	b := raw[sizePrefixBytes:]
	binary.BigEndian.PutUint32(b[lengthAt:], uint32(len(b)-leaderEpochAt))
	binary.BigEndian.PutUint32(b[leaderEpochAt:], ^uint32(0)) // -1: the broker's to fill in
	b[magicAt] = magic
	binary.BigEndian.PutUint16(b[attributesAt:], uint16(codec))
	binary.BigEndian.PutUint32(b[lastDeltaAt:], uint32(len(values)-1))
	binary.BigEndian.PutUint32(b[countAt:], uint32(len(values)))
	return raw, nil
}

// appendRecord appends a record without a key, at its place in the batch.
func appendRecord(raw []byte, place int, value, headers []byte) []byte {
	digest := sha256.Sum256(value)
	var body [2 * binary.MaxVarintLen64]byte
	head := append(body[:0], 0, 0) // attributes, difference in time
	head = binary.AppendVarint(head, int64(place))
	head = binary.AppendVarint(head, -1) // no key
	var size [binary.MaxVarintLen64]byte
	valueSize := binary.AppendVarint(size[:0], int64(len(value)))

	length := len(head) + len(valueSize) + len(value) + len(headers) + hex.EncodedLen(idBytes)
	raw = binary.AppendVarint(raw, int64(length))
	raw = append(raw, head...)
	raw = append(raw, valueSize...)
	raw = append(raw, value...)
	raw = append(raw, headers...)
	return hex.AppendEncode(raw, digest[:idBytes])
}

// stamp names a batch: who sent it, and which of the sender's records it begins with.
func stamp(raw []byte, p producer) {
	b := raw[sizePrefixBytes:]
	binary.BigEndian.PutUint64(b[producerIDAt:], uint64(p.id))
	binary.BigEndian.PutUint16(b[producerEpochAt:], uint16(p.epoch))
	binary.BigEndian.PutUint32(b[sequenceAt:], uint32(p.next))
	binary.BigEndian.PutUint32(b[crcAt:], crc32.Checksum(b[attributesAt:], castagnoli))
}
