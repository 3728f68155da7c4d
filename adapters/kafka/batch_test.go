package kafka

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/segmentio/kafka-go/protocol"
	"pgregory.net/rapid"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore"
)

var event = Event{Type: "filature.v1.Entry", Source: "/filature/main/ledger"}

// failer is what testing's and rapid's T have in common.
type failer interface {
	Helper()
	Fatal(args ...any)
}

// store does to a batch what a broker does: it gives it a place and a time.
func store(t failer, values [][]byte, base domain.Offset, at time.Time) []byte {
	t.Helper()
	raw, err := encodeBatch(values, event.headers())
	if err != nil {
		t.Fatal(err)
	}
	b := raw[sizePrefixBytes:]
	binary.BigEndian.PutUint64(b[baseOffsetAt:], uint64(base))
	b[attributesAt+1] |= appendTimeBit
	binary.BigEndian.PutUint64(b[maxTimeAt:], uint64(at.UnixMilli()))
	stamp(raw, producer{id: 7, epoch: 1, next: 3})
	return b
}

// reseal makes the checksum of a changed batch right.
func reseal(b []byte) []byte {
	binary.BigEndian.PutUint32(b[crcAt:], crc32.Checksum(b[attributesAt:], castagnoli))
	return b
}

var noon = time.Date(2026, 11, 22, 12, 0, 0, int(345*time.Millisecond), time.UTC)

func anyValues() *rapid.Generator[[][]byte] {
	return rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 0, 300), 1, 40)
}

func TestBatchesComeBackFromAnyOffsetInThem(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		base := domain.Offset(rapid.Int64Range(0, 1<<40).Draw(t, "base"))
		var raw []byte
		var want []eventstore.Record
		for range rapid.IntRange(1, 4).Draw(t, "batches") {
			values := anyValues().Draw(t, "values")
			at := noon.Add(time.Duration(len(want)) * time.Second)
			first := base + domain.Offset(len(want))
			for i, v := range values {
				want = append(want, eventstore.Record{Offset: first + domain.Offset(i), Time: at, Value: v})
			}
			raw = append(raw, store(t, values, first, at)...)
		}
		skip := rapid.IntRange(0, len(want)-1).Draw(t, "skip")
		cut := raw[:len(raw)-rapid.IntRange(0, recordsAt).Draw(t, "cut")]
		got, err := unbatch(cut, base+domain.Offset(skip))
		if err != nil {
			t.Fatal(err)
		}
		if len(cut) == len(raw) && len(got) != len(want)-skip {
			t.Fatalf("got %d records; want %d", len(got), len(want)-skip)
		}
		for i, r := range got {
			if w := want[skip+i]; r.Offset != w.Offset || !r.Time.Equal(w.Time) || !bytes.Equal(r.Value, w.Value) {
				t.Fatalf("record %d: got %v; want %v", i, r, w)
			}
		}
	})
}

func TestAnyFlippedBitBehindTheChecksumIsNoticed(t *testing.T) {
	t.Parallel()
	raw := store(t, [][]byte{[]byte("one"), []byte("two")}, 5, noon)
	for bit := range 8 * (len(raw) - attributesAt) {
		changed := slices.Clone(raw)
		changed[attributesAt+bit/8] ^= 1 << (bit % 8)
		if got, err := unbatch(changed, 5); !errors.Is(err, eventstore.ErrCorrupt) {
			t.Fatalf("bit %d: got %d records and error %v", bit, len(got), err)
		}
	}
}

func TestAnotherReaderOfBatchesReadsOurs(t *testing.T) {
	t.Parallel()
	raw := store(t, [][]byte{[]byte("one"), {}, bytes.Repeat([]byte("long"), 1000)}, 5, noon)
	var set protocol.RecordSet
	prefixed := append(binary.BigEndian.AppendUint32(nil, uint32(len(raw))), raw...)
	if _, err := set.ReadFrom(bytes.NewReader(prefixed)); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"one", "", string(bytes.Repeat([]byte("long"), 1000))} {
		record, err := set.Records.ReadRecord()
		if err != nil {
			t.Fatal(err)
		}
		if value, err := protocol.ReadAll(record.Value); err != nil || string(value) != want {
			t.Errorf("record %d is %.40q (%v); want %.40q", i, value, err, want)
		}
		if record.Offset != int64(5+i) || record.Key != nil || len(record.Headers) != headerCount {
			t.Errorf("record %d: offset %d, key %v, headers %q", i, record.Offset, record.Key, record.Headers)
		}
	}
	if _, err := set.Records.ReadRecord(); !errors.Is(err, io.EOF) {
		t.Errorf("after the last record: %v", err)
	}
}

func TestWhatIsNoBatchOfOursIsRefusedOrEmpty(t *testing.T) {
	t.Parallel()
	two := [][]byte{[]byte("one"), []byte("two")}
	for name, c := range map[string]struct {
		change func(b []byte) []byte
		err    error
	}{
		"an old format":               {func(b []byte) []byte { b[magicAt] = 1; return b }, eventstore.ErrCorrupt},
		"a length below the header's": {func(b []byte) []byte { binary.BigEndian.PutUint32(b[lengthAt:], 3); return b }, eventstore.ErrCorrupt},
		"a negative length":           {func(b []byte) []byte { binary.BigEndian.PutUint32(b[lengthAt:], 1<<31+9); return b }, eventstore.ErrCorrupt},
		"offsets without records": {func(b []byte) []byte {
			binary.BigEndian.PutUint32(b[lastDeltaAt:], 2) // as compaction leaves it
			return reseal(b)
		}, eventstore.ErrGap},
		"more records than bytes": {func(b []byte) []byte {
			binary.BigEndian.PutUint32(b[lastDeltaAt:], 1<<30-1)
			binary.BigEndian.PutUint32(b[countAt:], 1<<30)
			return reseal(b)
		}, eventstore.ErrCorrupt},
		"a codec nobody knows": {func(b []byte) []byte { b[attributesAt+1] |= codecBits; return reseal(b) }, eventstore.ErrCorrupt},
		"records that do not unpack": {func(b []byte) []byte {
			b[len(b)-1] ^= 0xff
			b[recordsAt] ^= 0xff
			return reseal(b)
		}, eventstore.ErrCorrupt},
		"a later batch": {func(b []byte) []byte { binary.BigEndian.PutUint64(b[baseOffsetAt:], 6); return b }, eventstore.ErrGap},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, err := unbatch(c.change(store(t, two, 5, noon)), 5); !errors.Is(err, c.err) {
				t.Errorf("got %d records and %v; want %v", len(got), err, c.err)
			}
		})
	}
	t.Run("a marker takes an offset", func(t *testing.T) {
		t.Parallel()
		marker := store(t, [][]byte{[]byte("whatever a marker says")}, 5, noon)
		marker[attributesAt+1] |= controlBit
		raw := append(reseal(marker), store(t, two, 6, noon)...)
		got, err := unbatch(raw, 5)
		if err != nil || len(got) != 3 || len(got[0].Value) != 0 || string(got[2].Value) != "two" {
			t.Errorf("got %v, %v", got, err)
		}
	})
	t.Run("a bomb does not go off", func(t *testing.T) {
		t.Parallel()
		got, err := unbatch(store(t, [][]byte{make([]byte, maxUnpackedBytes), []byte("x")}, 5, noon), 5)
		if err != nil || len(got) != 2 || len(got[0].Value)+len(got[1].Value) != 0 {
			t.Errorf("got %d records, %v; want two empty ones", len(got), err)
		}
	})
}

func TestATombstoneIsEmptyAndAKeyIsNoValue(t *testing.T) {
	t.Parallel()
	set := protocol.RecordSet{Version: 2, Attributes: protocol.Lz4, Records: protocol.NewRecordReader(
		protocol.Record{Key: protocol.NewBytes([]byte("key"))},
		protocol.Record{Key: protocol.NewBytes([]byte("key")), Value: protocol.NewBytes([]byte("value"))},
	)}
	var raw bytes.Buffer
	if _, err := set.WriteTo(&raw); err != nil {
		t.Fatal(err)
	}
	got, err := unbatch(raw.Bytes()[sizePrefixBytes:], 0)
	if err != nil || len(got) != 2 || len(got[0].Value) != 0 || string(got[1].Value) != "value" {
		t.Errorf("got %v, %v", got, err)
	}
}

func FuzzUnbatch(f *testing.F) {
	f.Add(store(f, [][]byte{[]byte("one"), []byte("two")}, 5, noon))
	plain := store(f, [][]byte{[]byte("one")}, 5, noon)
	plain[attributesAt+1] &^= codecBits
	f.Add(reseal(plain))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if len(raw) >= recordsAt {
			reseal(raw) // so that it goes beyond the checksum
		}
		from := domain.Offset(5)
		records, err := unbatch(raw, from)
		for i, r := range records {
			if r.Offset != from+domain.Offset(i) || err != nil {
				t.Fatalf("record %d at %d, %v", i, r.Offset, err)
			}
		}
	})
}

func TestTheLargestBatchFitsWhatTopicsTake(t *testing.T) {
	t.Parallel()
	noise := make([]byte, eventstore.MaxBatchBytes)
	state := uint64(1)
	for i := range noise { // what no codec makes smaller
		state = state*6364136223846793005 + 1442695040888963407
		noise[i] = byte(state >> 56)
	}
	values := make([][]byte, eventstore.MaxBatch)
	each := len(noise) / len(values)
	for i := range values {
		values[i] = noise[i*each : (i+1)*each]
	}
	long := Event{Type: string(bytes.Repeat([]byte("t"), maxEventBytes-1)), Source: "s"}
	raw, err := encodeBatch(values, long.headers())
	if err != nil || len(raw) > maxBatchBytes {
		t.Errorf("it has %d bytes (%v); topics take %d", len(raw), err, maxBatchBytes)
	}
	got, err := unbatch(raw[sizePrefixBytes:], 0)
	if err == nil || len(got) != 0 {
		t.Error("a batch without a checksum was read")
	}
	stamp(raw, producer{})
	if got, err = unbatch(raw[sizePrefixBytes:], 0); err != nil || len(got) != len(values) || !bytes.Equal(got[77].Value, values[77]) {
		t.Errorf("got %d records, %v", len(got), err)
	}
}
