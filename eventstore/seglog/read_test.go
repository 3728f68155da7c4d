package seglog

import (
	"bytes"
	"context"
	"encoding/binary"
	"testing"

	"pgregory.net/rapid"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore"
	"github.com/filature/filature/eventstore/eventstoretest"
)

// value makes a value of some length that tells its shard and offset.
func value(shard, offset, length int) []byte {
	v := binary.LittleEndian.AppendUint32(nil, uint32(shard))
	v = binary.LittleEndian.AppendUint32(v, uint32(offset))
	return bytes.Repeat(v, length/8+1)[:length]
}

// TestAnyReadFindsItsRecords fills logs with runs of all sizes, so that index entries come by both
// strides, inside blocks and at their start, and reads anywhere.
func TestAnyReadFindsItsRecords(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := testOptions()
		o.SegmentBytes = rapid.SampledFrom([]int64{MinSegmentBytes, 300 << 10, DefaultSegmentBytes}).Draw(t, "segment bytes")
		d := newMemDisk()
		log, err := open(d, "log", o)
		if err != nil {
			t.Fatal(err)
		}
		var want [testShards][][]byte
		for range rapid.IntRange(1, 6).Draw(t, "appends") {
			shard := rapid.IntRange(0, testShards-1).Draw(t, "shard")
			count := rapid.SampledFrom([]int{1, 2, 40, 1000}).Draw(t, "count")
			length := rapid.SampledFrom([]int{0, 9, 300, 5000, 70_000}).Draw(t, "length")
			batch := make([][]byte, min(count, 1<<20/(length+1)+1))
			for i := range batch {
				batch[i] = value(shard, len(want[shard])+i, length)
			}
			first, err := log.Append(context.Background(), domain.Shard(shard), batch)
			if err != nil || int(first) != len(want[shard]) {
				t.Fatalf("append: got %d, %v; want %d", first, err, len(want[shard]))
			}
			want[shard] = append(want[shard], batch...)
		}
		kill(log)
		readOnly, err := openReadOnly(d, "log")
		if err != nil {
			t.Fatal(err)
		}
		again, err := open(d, "log", o)
		if err != nil {
			t.Fatal(err)
		}
		defer kill(again)
		if !sameIndex(log.segments, again.segments) {
			t.Fatal("the index of a log that was read differs from that of the log that was written")
		}
		for range 10 {
			shard := rapid.IntRange(0, testShards-1).Draw(t, "read shard")
			from := rapid.IntRange(0, len(want[shard])).Draw(t, "from")
			limit := rapid.SampledFrom([]int{1, 2, 100, eventstore.MaxBatch}).Draw(t, "limit")
			for _, r := range []eventstore.Reader{again, readOnly} {
				got, err := r.Read(context.Background(), domain.Shard(shard), domain.Offset(from), limit)
				if err != nil || len(got) > limit || (len(got) == 0) != (from == len(want[shard])) {
					t.Fatalf("read %d/%d, limit %d: got %d records, %v", shard, from, limit, len(got), err)
				}
				for i, rec := range got {
					if int(rec.Offset) != from+i || !bytes.Equal(rec.Value, want[shard][from+i]) {
						t.Fatalf("read %d/%d: record %d is %d, %.20x", shard, from, i, rec.Offset, rec.Value)
					}
				}
			}
		}
	})
}

func sameIndex(a, b []*segment) bool {
	for i, s := range a {
		for shard, x := range s.index {
			y := b[i].index[shard]
			if len(x.entries) != len(y.entries) || x.own != y.own {
				return false
			}
			for j := range x.entries {
				if x.entries[j] != y.entries[j] {
					return false
				}
			}
		}
	}
	return len(a) == len(b)
}

func TestTheIndexStaysSparse(t *testing.T) {
	log, err := open(newMemDisk(), "log", Options{Shards: 2, Now: testOptions().Now})
	if err != nil {
		t.Fatal(err)
	}
	defer kill(log)
	batch := make([][]byte, 1000)
	for i := range batch {
		batch[i] = make([]byte, 300)
	}
	for range 40 {
		if _, err := log.Append(t.Context(), 1, batch); err != nil {
			t.Fatal(err)
		}
	}
	entries := len(log.segments[0].index[1].entries)
	if most := int(log.segments[0].size/ownStride) + 1; entries < most/2 || entries > most {
		t.Errorf("40,000 records have %d index entries; want about %d", entries, most)
	}
	if n := len(log.segments[0].index[0].entries); n != 0 {
		t.Errorf("an empty shard has %d index entries", n)
	}
	const rare = 5 // records of shard 0, far apart
	for range rare {
		for range 1 + fileStride/300/len(batch) {
			if _, err := log.Append(t.Context(), 1, batch); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := log.Append(t.Context(), 0, batch[:1]); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(log.segments[0].index[0].entries); n != rare {
		t.Errorf("%d records far apart have %d index entries; want one each", rare, n)
	}
}

func TestAReadIsBounded(t *testing.T) {
	log, err := open(newMemDisk(), "log", Options{Shards: 1, Now: testOptions().Now})
	if err != nil {
		t.Fatal(err)
	}
	defer kill(log)
	batch := make([][]byte, eventstore.MaxBatchBytes/eventstore.MaxRecordBytes)
	for i := range batch {
		batch[i] = make([]byte, eventstore.MaxRecordBytes)
	}
	if _, err := log.Append(t.Context(), 0, batch); err != nil {
		t.Fatal(err)
	}
	got, err := log.Read(t.Context(), 0, 1, eventstore.MaxBatch)
	if err != nil || len(got) != readBytes/eventstore.MaxRecordBytes {
		t.Errorf("got %d records of a megabyte, %v; want %d", len(got), err, readBytes/eventstore.MaxRecordBytes)
	}
}

func FuzzFrame(f *testing.F) {
	f.Add([]byte{}, uint32(0))
	f.Add(appendFrame(nil, 7, []byte("value")), uint32(7))
	f.Add(appendFrame(nil, 0, nil), uint32(0))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4, 5}, uint32(1))
	f.Fuzz(func(t *testing.T, b []byte, seed uint32) {
		value, n, err := decodeFrame(b, seed)
		if err != nil {
			return
		}
		if again := appendFrame(nil, seed, value); !bytes.Equal(again, b[:n]) {
			t.Errorf("%x decodes to %x, which encodes to %x", b, value, again)
		}
		for i := range n { // no second encoding, and no flip that passes
			b[i] ^= 0x40
			if v, _, err := decodeFrame(b, seed); err == nil && bytes.Equal(v, value) {
				t.Errorf("flip of byte %d of %x passes", i, b)
			}
			b[i] ^= 0x40
		}
	})
}

func FuzzBlock(f *testing.F) {
	seal := func(h block) []byte {
		b := make([]byte, blockHeaderBytes)
		h.put(b, 5)
		return b
	}
	f.Add([]byte{})
	f.Add(seal(block{shard: 1, count: 2, first: 3, timeMS: 4, group: 5, bytes: 60, frames: 7, chain: 8, left: 9}))
	f.Add(seal(block{shard: -1, count: 0, first: -1, bytes: 1 << 31, left: 1 << 31}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) >= blockHeaderBytes {
			// Most of what the fuzzer makes has a wrong CRC. Seal it, to see what else may be wrong.
			sealed := bytes.Clone(b)
			looseBlock(b).put(sealed, 5)
			checkBlock(t, sealed)
		}
		checkBlock(t, b)
	})
}

func checkBlock(t *testing.T, b []byte) {
	t.Helper()
	h, err := decodeBlock(b, 5)
	if err != nil {
		return
	}
	if h.end(100)+int64(h.left)-100 > maxGroupBytes || h.first < 0 || h.shard < 0 || h.count == 0 {
		t.Errorf("no writer writes %+v", h)
	}
	again := make([]byte, blockHeaderBytes)
	if h.put(again, 5); !bytes.Equal(again, b[:blockHeaderBytes]) {
		t.Errorf("%x decodes to %+v, which encodes to %x", b, h, again)
	}
}

// FuzzGroup: whatever stands in a file, a scan of it ends, and all that the scan takes can be read.
func FuzzGroup(f *testing.F) {
	d, m := newMemDisk(), &model{}
	log, err := open(d, "log", testOptions())
	if err != nil {
		f.Fatal(err)
	}
	m.commit(f, log, 1) // the same bytes in each process of the fuzzer
	m.commit(f, log, 2)
	kill(log)
	content := d.names[segmentName(0)].cache
	head := segmentHeadBytes(testShards)
	f.Add(content[head:])
	f.Add(content[head : len(content)-1])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		file := &memHandle{memFile: &memFile{disk: d, cache: append(bytes.Clone(content[:head]), b...)}}
		s, err := openSegment("fuzzed", file, int64(len(file.cache)))
		if err != nil {
			t.Fatal(err)
		}
		end, flaw, err := s.scan(s.head.start, int64(len(file.cache)))
		if err != nil {
			t.Fatal(err)
		}
		if (flaw == nil) != (s.size == int64(len(file.cache))) {
			t.Errorf("scan stopped at %d of %d with flaw %v", s.size, len(file.cache), flaw)
		}
		if flaw != nil && flaw.place < s.size {
			t.Errorf("flaw at %d, below the whole groups, which end at %d", flaw.place, s.size)
		}
		r := newReader(&history{segments: []*segment{s}, tail: end})
		for shard, want := range end.next {
			if got := eventstoretest.ReadAll(t, r, domain.Shard(shard), 2); len(got) != int(want) {
				t.Errorf("shard %d: read %d records of the %d that the scan took", shard, len(got), want)
			}
		}
	})
}
