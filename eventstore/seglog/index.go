package seglog

import (
	"sort"

	"github.com/filature/filature/domain"
)

// The index is sparse: it has an entry for a shard when the shard has filled ownStride since its
// last entry, or the file has grown by fileStride. A reader walks from the entry before its record:
// over at most ownStride of its own frames, hopping over other shards' blocks from header to header
// within fileStride.
//
// At 300 bytes a record, 100 million records on 16 shards are 30 GB: 460,000 entries for the first
// rule and at most 460,000 for the second, 16 bytes each, 15 MB in all. An entry for each record
// would take 1.6 GB.
const (
	ownStride  = 64 << 10
	fileStride = 1 << 20
)

// entry says where in a segment a record is.
type entry struct {
	offset domain.Offset
	block  uint32 // place of its block
	frame  uint32 // place of its frame
}

// shardIndex is the index of one shard in one segment. Entries are only ever added, so a reader may
// keep a slice of them while the writer adds more.
type shardIndex struct {
	entries []entry
	own     int64 // bytes of own frames since the last entry
}

// add takes in a block that starts at a place; frames is what follows its header.
func (x *shardIndex) add(h block, place int64, frames []byte) {
	n := len(x.entries)
	if n == 0 || place-int64(x.entries[n-1].frame) >= fileStride {
		x.own = ownStride // due now
	}
	if x.own+int64(len(frames)) < ownStride {
		x.own += int64(len(frames)) // the common, small block: no need to look at its frames
		return
	}
	at := 0
	for i := range h.count {
		if x.own >= ownStride {
			x.entries = append(x.entries, entry{
				offset: h.first + domain.Offset(i),
				block:  uint32(place),
				frame:  uint32(place + blockHeaderBytes + int64(at)),
			})
			x.own = 0
		}
		size, err := frameBytes(frames[at:])
		if err != nil {
			return // can't be: the writer made these frames, or a scan checked them
		}
		at += size
		x.own += int64(size)
	}
}

// before returns the number of the last entry at or before an offset. There is one, if the segment
// holds the record.
func before(entries []entry, offset domain.Offset) int {
	return sort.Search(len(entries), func(i int) bool { return entries[i].offset > offset }) - 1
}
