package seglog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore"
)

// A group is what one write and one sync put on disk: one block for each shard that has records in
// it, in ascending order of shards. A block is a header and its frames. A frame is one record.
const (
	blockMagic       = 0xb10cf11a
	blockHeaderBytes = 56
	frameHeaderBytes = 8 // length u32, CRC32C u32

	// maxAppendBytes is the most that one Append puts into a group.
	maxAppendBytes = eventstore.MaxBatchBytes + frameHeaderBytes*eventstore.MaxBatch
	// gatherBytes: once a group is this long, no further Append joins it. A sync of 8 MiB takes
	// several times longer than a sync of nothing, so larger groups gain little and cost latency.
	gatherBytes = 8 << 20
	// maxGroupBytes bounds a group, and with it what recovery holds in memory at once.
	maxGroupBytes = gatherBytes + maxAppendBytes + maxShards*blockHeaderBytes
)

// block is the header of a run of records of one shard.
//
//	magic u32 | CRC32C of the rest u32 | shard u32 | count u32 | first offset u64 | time_ms i64 |
//	group u64 | bytes of frames u32 | CRC32C of frames u32 | chain u32 | left u32
//
// Group counts over all segments. Chain is the CRC of the block header before, so the header CRC
// of the last block stands for the whole log, and a block that was moved fits nowhere. Left counts
// the bytes of the group after this block.
type block struct {
	shard  domain.Shard
	count  uint32
	first  domain.Offset
	timeMS int64
	group  uint64
	bytes  uint32
	frames uint32
	chain  uint32
	left   uint32
	sum    uint32 // the CRC itself
}

// put writes the header over b, seals it and returns its CRC, the next block's chain.
func (h block) put(b []byte, segmentSeed uint32) uint32 {
	binary.LittleEndian.PutUint32(b[0:], blockMagic)
	binary.LittleEndian.PutUint32(b[8:], uint32(h.shard))
	binary.LittleEndian.PutUint32(b[12:], h.count)
	binary.LittleEndian.PutUint64(b[16:], uint64(h.first))
	binary.LittleEndian.PutUint64(b[24:], uint64(h.timeMS))
	binary.LittleEndian.PutUint64(b[32:], h.group)
	binary.LittleEndian.PutUint32(b[40:], h.bytes)
	binary.LittleEndian.PutUint32(b[44:], h.frames)
	binary.LittleEndian.PutUint32(b[48:], h.chain)
	binary.LittleEndian.PutUint32(b[52:], h.left)
	sum := blockSum(b, segmentSeed)
	binary.LittleEndian.PutUint32(b[4:], sum)
	return sum
}

func blockSum(b []byte, segmentSeed uint32) uint32 {
	return crc32.Update(segmentSeed, castagnoli, b[8:blockHeaderBytes])
}

// looseBlock reads the fields of a header without believing them.
func looseBlock(b []byte) block {
	return block{
		sum:    binary.LittleEndian.Uint32(b[4:]),
		shard:  domain.Shard(binary.LittleEndian.Uint32(b[8:])),
		count:  binary.LittleEndian.Uint32(b[12:]),
		first:  domain.Offset(binary.LittleEndian.Uint64(b[16:])),
		timeMS: int64(binary.LittleEndian.Uint64(b[24:])),
		group:  binary.LittleEndian.Uint64(b[32:]),
		bytes:  binary.LittleEndian.Uint32(b[40:]),
		frames: binary.LittleEndian.Uint32(b[44:]),
		chain:  binary.LittleEndian.Uint32(b[48:]),
		left:   binary.LittleEndian.Uint32(b[52:]),
	}
}

// decodeBlock reads a header. Its error is errBroken, or says which field no writer would write.
func decodeBlock(b []byte, segmentSeed uint32) (block, error) {
	if len(b) < blockHeaderBytes || binary.LittleEndian.Uint32(b) != blockMagic {
		return block{}, errBroken
	}
	h := looseBlock(b)
	if h.sum != blockSum(b, segmentSeed) {
		return block{}, errBroken
	}
	switch {
	case h.shard < 0 || h.shard >= maxShards:
		return block{}, fmt.Errorf("shard is %d; want 0..%d", h.shard, maxShards-1)
	case h.count == 0:
		return block{}, errors.New("block has no records")
	case h.first < 0 || h.first+domain.Offset(h.count) < h.first:
		return block{}, fmt.Errorf("first offset is %d", h.first)
	case uint64(h.bytes)+uint64(h.left)+blockHeaderBytes > maxGroupBytes:
		return block{}, fmt.Errorf("group has more than %d bytes", maxGroupBytes)
	case uint64(h.count)*frameHeaderBytes > uint64(h.bytes):
		return block{}, fmt.Errorf("%d bytes can't hold %d records", h.bytes, h.count)
	}
	return h, nil
}

// end is where the block ends, if it starts at a place.
func (h block) end(place int64) int64 { return place + blockHeaderBytes + int64(h.bytes) }

// frameSeed starts the CRC of a frame. The length is in it, so it is covered, too.
func frameSeed(logSeed uint32, length int) uint32 { return logSeed ^ uint32(length) }

// appendFrame adds one record.
func appendFrame(dst []byte, logSeed uint32, value []byte) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(value)))
	dst = binary.LittleEndian.AppendUint32(dst, crc32.Update(frameSeed(logSeed, len(value)), castagnoli, value))
	return append(dst, value...)
}

// frameBytes returns how long the frame at the start of b says it is, header included.
func frameBytes(b []byte) (int, error) {
	if len(b) < frameHeaderBytes {
		return 0, errBroken
	}
	n := binary.LittleEndian.Uint32(b)
	if n > eventstore.MaxRecordBytes {
		return 0, errBroken
	}
	return frameHeaderBytes + int(n), nil
}

// decodeFrame returns the record in the frame that starts b, and the frame's length. The record
// shares b's memory.
func decodeFrame(b []byte, logSeed uint32) (value []byte, n int, err error) {
	n, err = frameBytes(b)
	if err != nil || n > len(b) {
		return nil, 0, errBroken
	}
	value = b[frameHeaderBytes:n:n]
	if crc32.Update(frameSeed(logSeed, len(value)), castagnoli, value) != binary.LittleEndian.Uint32(b[4:]) {
		return nil, 0, errBroken
	}
	return value, n, nil
}
