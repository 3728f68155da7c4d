package kafka

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"time"

	"github.com/segmentio/kafka-go/compress"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore"
)

// maxUnpackedBytes is what the records of one batch may have unpacked. Ours stay below a third of it. What
// goes beyond was made to fill the memory of whoever reads it.
const maxUnpackedBytes = 64 << 20

// batch is a record batch as it is stored.
type batch struct {
	base, last domain.Offset
	time       time.Time // the broker's, or the first record's
	brokers    bool      // time is the broker's
	producer   producer  // who sent it, and with which sequence number
	codec      compress.Compression
	control    bool
	count      int
	records    []byte // packed
}

var errCut = errors.New("batch is cut off")

// nextBatch reads the batch that raw begins with. A fetch may cut its last batch off, which gives errCut.
func nextBatch(raw []byte) (b batch, rest []byte, err error) {
	if len(raw) < recordsAt {
		return batch{}, nil, errCut
	}
	length := int64(int32(binary.BigEndian.Uint32(raw[lengthAt:]))) + leaderEpochAt
	base := domain.Offset(binary.BigEndian.Uint64(raw[baseOffsetAt:]))
	switch {
	case raw[magicAt] != magic:
		return batch{}, nil, fmt.Errorf("batch at %d: format %d; want %d: %w", base, raw[magicAt], magic, eventstore.ErrCorrupt)
	case length < recordsAt:
		return batch{}, nil, fmt.Errorf("batch at %d: length %d: %w", base, length, eventstore.ErrCorrupt)
	case length > int64(len(raw)):
		return batch{}, nil, errCut
	}
	raw, rest = raw[:length], raw[length:]
	if want, have := binary.BigEndian.Uint32(raw[crcAt:]), crc32.Checksum(raw[attributesAt:], castagnoli); want != have {
		return batch{}, nil, fmt.Errorf("batch at %d: checksum %08x; says %08x: %w", base, have, want, eventstore.ErrCorrupt)
	}
	attributes := binary.BigEndian.Uint16(raw[attributesAt:])
	at := int64(binary.BigEndian.Uint64(raw[firstTimeAt:]))
	if attributes&appendTimeBit != 0 {
		at = int64(binary.BigEndian.Uint64(raw[maxTimeAt:]))
	}
	b = batch{
		base: base,
		last: base + domain.Offset(int32(binary.BigEndian.Uint32(raw[lastDeltaAt:]))),
		time: time.UnixMilli(at).UTC(), brokers: attributes&appendTimeBit != 0,
		producer: producer{
			id:    int64(binary.BigEndian.Uint64(raw[producerIDAt:])),
			epoch: int16(binary.BigEndian.Uint16(raw[producerEpochAt:])),
			next:  int32(binary.BigEndian.Uint32(raw[sequenceAt:])),
		},
		codec:   compress.Compression(attributes & codecBits),
		control: attributes&controlBit != 0,
		count:   int(int32(binary.BigEndian.Uint32(raw[countAt:]))),
		records: raw[recordsAt:],
	}
	if span := int64(b.last-b.base) + 1; span != int64(b.count) {
		return batch{}, nil, fmt.Errorf("batch at %d: %d records for %d offsets: %w", base, b.count, span, eventstore.ErrGap)
	}
	return b, rest, nil
}

// unbatch reads the records from an offset on. They follow each other without a gap, or it fails with
// eventstore.ErrGap. Their values share the memory that they were unpacked to.
func unbatch(raw []byte, from domain.Offset) ([]eventstore.Record, error) {
	var records []eventstore.Record
	for len(raw) > 0 {
		b, rest, err := nextBatch(raw)
		if errors.Is(err, errCut) {
			break
		}
		if err != nil {
			return nil, err
		}
		raw = rest
		if b.last < from {
			continue
		}
		if b.base > from {
			return nil, fmt.Errorf("batch at %d where %d belongs: %w", b.base, from, eventstore.ErrGap)
		}
		values, err := b.values()
		if err != nil {
			return nil, err
		}
		for ; from <= b.last; from++ {
			records = append(records, eventstore.Record{Offset: from, Time: b.time, Value: values[from-b.base]})
		}
	}
	return records, nil
}

// values returns the values of a batch. A marker of a transaction, and whatever is in a batch that unpacks
// to more than anyone may send, is an empty value: it takes an offset, so somebody has to answer it.
func (b batch) values() ([][]byte, error) {
	if b.control {
		return make([][]byte, b.count), nil
	}
	raw, err := b.unpacked()
	if err != nil {
		return nil, err
	}
	if len(raw) > maxUnpackedBytes {
		return make([][]byte, b.count), nil
	}
	values := make([][]byte, b.count)
	for i := range values {
		record, rest, ok := field(raw)
		if ok {
			values[i], ok = valueOf(record)
		}
		if !ok {
			return nil, fmt.Errorf("batch at %d: record %d: %w", b.base, i, eventstore.ErrCorrupt)
		}
		raw = rest
	}
	return values, nil
}

// unpacked returns the records of a batch, of which there are as many as it says or it is corrupt. Of
// more than maxUnpackedBytes it returns one byte too many.
func (b batch) unpacked() ([]byte, error) {
	raw := b.records
	if b.codec != compress.None {
		var err error
		if raw, err = unpack(b.codec, raw); err != nil {
			return nil, fmt.Errorf("batch at %d: unpack: %w: %w", b.base, eventstore.ErrCorrupt, err)
		}
	}
	if b.count > len(raw) { // before memory is taken for them
		return nil, fmt.Errorf("batch at %d: %d records in %d bytes: %w", b.base, b.count, len(raw), eventstore.ErrCorrupt)
	}
	return raw, nil
}

// valueOf finds the value in a record. One that is absent (a tombstone) is empty.
func valueOf(record []byte) (value []byte, ok bool) {
	if len(record) == 0 {
		return nil, false
	}
	record = record[1:] // attributes
	for range 2 {       // differences in time and offset
		_, n := binary.Varint(record)
		if n <= 0 {
			return nil, false
		}
		record = record[n:]
	}
	_, record, ok = field(record) // the key
	if !ok {
		return nil, false
	}
	value, _, ok = field(record)
	return value, ok
}

// field reads bytes behind their length. A length of -1 means that there are none.
func field(raw []byte) (value, rest []byte, ok bool) {
	length, n := binary.Varint(raw)
	switch {
	case n <= 0 || length < -1 || length > int64(len(raw)-n):
		return nil, nil, false
	case length == -1:
		return nil, raw[n:], true
	}
	end := n + int(length)
	return raw[n:end:end], raw[end:], true
}

// unpack stops one byte behind maxUnpackedBytes.
func unpack(codec compress.Compression, packed []byte) ([]byte, error) {
	known := codec.Codec()
	if known == nil {
		return nil, fmt.Errorf("codec %d is not known", codec)
	}
	reader := known.NewReader(bytes.NewReader(packed))
	defer reader.Close()
	out := bytes.NewBuffer(make([]byte, 0, 4*len(packed)+bytes.MinRead)) // a guess that is seldom too small
	if _, err := out.ReadFrom(io.LimitReader(reader, maxUnpackedBytes+1)); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
