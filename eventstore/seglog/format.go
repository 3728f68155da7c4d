package seglog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"

	"github.com/filature/filature/domain"
)

// Sizes on disk, in bytes. All integers are little-endian.
const (
	formatVersion = 1

	segmentMagic    = "filature" // tells a human with a hex viewer what this is, too
	segmentFixed    = 68         // a segment header before its offsets (u64 per shard) and its CRC
	segmentShardsAt = 12
	watermarkMagic  = "acked to"
	watermarkBytes  = 44
	crcBytes        = 4
)

// Bounds of what may stand in a file. A number above its bound is damage, not a reason to allocate.
const (
	// maxShards keeps a segment header, and the block headers of one group, far below a megabyte.
	maxShards = 4096
	// maxSegmentBytes lets an index entry hold a place in a file in 32 bits.
	maxSegmentBytes = 1 << 30
)

// errBroken: no writer wrote these bytes, or not all of them arrived.
var errBroken = errors.New("checksum does not match")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// logID is drawn once, when a log is created. Checksums of blocks and frames start from it, so that
// bytes of another log, or bytes that a client chose, do not pass for ours.
type logID [16]byte

func (id logID) seed() uint32 { return crc32.Checksum(id[:], castagnoli) }

// segmentSeed starts the checksums of the block headers of one segment.
func segmentSeed(logSeed uint32, number uint64) uint32 {
	return crc32.Update(logSeed, castagnoli, binary.LittleEndian.AppendUint64(nil, number))
}

// tail is the state of a log between two groups: what a writer needs to go on from there, and a
// reader to check that it did.
type tail struct {
	next   []domain.Offset // per shard, the offset of the next record
	group  uint64          // number of the next group, counted over all segments
	timeMS int64           // time of the last group
	chain  uint32          // header CRC of the last block
}

func (t tail) clone() tail {
	t.next = slices.Clone(t.next)
	return t
}

func (t tail) equal(o tail) bool {
	return slices.Equal(t.next, o.next) && t.group == o.group && t.timeMS == o.timeMS && t.chain == o.chain
}

// segmentHead opens a segment. It says what came before it, so that a segment that was removed,
// replaced or moved is missed by the one after it.
//
//	magic 8 | version u32 | shards u32 | log id 16 | number u64 | bytes of the segment before u64 |
//	group u64 | time_ms i64 | chain u32 | shards x (next offset u64) | CRC32C of all this u32
type segmentHead struct {
	id     logID
	number uint64
	before int64 // length of the segment before; 0 in the first
	start  tail
}

func segmentHeadBytes(shards int) int { return segmentFixed + 8*shards + crcBytes }

func (h segmentHead) encode() []byte {
	b := make([]byte, 0, segmentHeadBytes(len(h.start.next)))
	b = append(b, segmentMagic...)
	b = binary.LittleEndian.AppendUint32(b, formatVersion)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(h.start.next)))
	b = append(b, h.id[:]...)
	b = binary.LittleEndian.AppendUint64(b, h.number)
	b = binary.LittleEndian.AppendUint64(b, uint64(h.before))
	b = binary.LittleEndian.AppendUint64(b, h.start.group)
	b = binary.LittleEndian.AppendUint64(b, uint64(h.start.timeMS))
	b = binary.LittleEndian.AppendUint32(b, h.start.chain)
	for _, next := range h.start.next {
		b = binary.LittleEndian.AppendUint64(b, uint64(next))
	}
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// segmentShards reads how many shards a segment header has, from its fixed part. The number is
// within its bound and not yet checked against the CRC.
func segmentShards(fixed []byte) (int, error) {
	if len(fixed) < segmentFixed {
		return 0, errors.New("segment header is incomplete")
	}
	if string(fixed[:8]) != segmentMagic {
		return 0, fmt.Errorf("segment header does not start with %q", segmentMagic)
	}
	if v := binary.LittleEndian.Uint32(fixed[8:]); v != formatVersion {
		return 0, fmt.Errorf("format version is %d; this program knows %d", v, formatVersion)
	}
	shards := binary.LittleEndian.Uint32(fixed[segmentShardsAt:])
	if shards < 1 || shards > maxShards {
		return 0, fmt.Errorf("segment header has %d shards; want 1..%d", shards, maxShards)
	}
	return int(shards), nil
}

func decodeSegmentHead(b []byte) (segmentHead, error) {
	shards, err := segmentShards(b)
	if err != nil {
		return segmentHead{}, err
	}
	if len(b) < segmentHeadBytes(shards) {
		return segmentHead{}, errors.New("segment header is incomplete")
	}
	b = b[:segmentHeadBytes(shards)]
	body, sum := b[:len(b)-crcBytes], binary.LittleEndian.Uint32(b[len(b)-crcBytes:])
	if crc32.Checksum(body, castagnoli) != sum {
		return segmentHead{}, fmt.Errorf("segment header: %w", errBroken)
	}
	h := segmentHead{
		id:     logID(b[16:32]),
		number: binary.LittleEndian.Uint64(b[32:]),
		before: int64(binary.LittleEndian.Uint64(b[40:])),
		start: tail{
			next:   make([]domain.Offset, shards),
			group:  binary.LittleEndian.Uint64(b[48:]),
			timeMS: int64(binary.LittleEndian.Uint64(b[56:])),
			chain:  binary.LittleEndian.Uint32(b[64:]),
		},
	}
	for i := range h.start.next {
		h.start.next[i] = domain.Offset(binary.LittleEndian.Uint64(b[segmentFixed+8*i:]))
	}
	return h, nil
}

// watermark says how far the log was acknowledged: every byte before it was synced. It is written
// after each sync and is itself synced only when the log is closed, so it may lag behind the
// truth after a power cut, and never runs ahead of it.
//
//	magic 8 | log id 16 | segment u64 | bytes u64 | CRC32C u32
//
// It is overwritten in place and lies within one disk sector, which a disk writes whole or not.
type watermark struct {
	id      logID
	segment uint64
	bytes   int64 // of that segment; 0 in segment 0 says that the log was never written
}

func (w watermark) encode() []byte {
	b := make([]byte, 0, watermarkBytes)
	b = append(b, watermarkMagic...)
	b = append(b, w.id[:]...)
	b = binary.LittleEndian.AppendUint64(b, w.segment)
	b = binary.LittleEndian.AppendUint64(b, uint64(w.bytes))
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func decodeWatermark(b []byte) (watermark, error) {
	if len(b) != watermarkBytes {
		return watermark{}, fmt.Errorf("file has %d bytes; want %d", len(b), watermarkBytes)
	}
	body, sum := b[:watermarkBytes-crcBytes], binary.LittleEndian.Uint32(b[watermarkBytes-crcBytes:])
	if string(b[:8]) != watermarkMagic || crc32.Checksum(body, castagnoli) != sum {
		return watermark{}, errBroken
	}
	return watermark{
		id:      logID(b[8:24]),
		segment: binary.LittleEndian.Uint64(b[24:]),
		bytes:   int64(binary.LittleEndian.Uint64(b[32:])),
	}, nil
}
