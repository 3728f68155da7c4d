package seglog

import (
	"hash/crc32"
	"strings"
	"testing"

	"github.com/filature/filature/domain"
)

// TestABlockMustCarryTheLogOn: a group whose checksums are right is still refused, as whole, unless
// every field of it continues what came before.
func TestABlockMustCarryTheLogOn(t *testing.T) {
	const logSeed, segSeed = 3, 4
	from := tail{next: []domain.Offset{10, 20, 30}, group: 7, chain: 99, timeMS: 1000}
	type group struct {
		blocks []block
		values [][]string
	}
	encode := func(g group) []byte {
		var parts [][]byte
		left := 0
		for i := range g.blocks {
			var frames []byte
			for _, v := range g.values[i] {
				frames = appendFrame(frames, logSeed, []byte(v))
			}
			parts = append(parts, frames)
			left += blockHeaderBytes + len(frames)
		}
		var out []byte
		chain := uint32(0)
		for i, b := range g.blocks {
			left -= blockHeaderBytes + len(parts[i])
			b.bytes, b.frames = b.bytes+uint32(len(parts[i])), b.frames^crc32.Checksum(parts[i], castagnoli)
			b.left, b.chain = b.left+uint32(left), b.chain+chain
			at := len(out)
			out = append(append(out, make([]byte, blockHeaderBytes)...), parts[i]...)
			chain = b.put(out[at:], segSeed)
		}
		return out
	}
	for what, c := range map[string]struct {
		change func(*group)
		why    string
	}{
		"right":                  {func(*group) {}, ""},
		"later time":             {func(g *group) { g.blocks[0].timeMS, g.blocks[1].timeMS = 1001, 1001 }, ""},
		"unknown shard":          {func(g *group) { g.blocks[1].shard = 3 }, "the log has 3"},
		"group repeated":         {func(g *group) { g.blocks[0].group = 6 }, "group is 6; want 7"},
		"group skipped":          {func(g *group) { g.blocks[0].group = 8 }, "group is 8; want 7"},
		"group ends early":       {func(g *group) { g.blocks[1].group = 8 }, "group is 8; want 7"},
		"other past":             {func(g *group) { g.blocks[0].chain++ }, "does not follow"},
		"other block before":     {func(g *group) { g.blocks[1].chain++ }, "does not follow"},
		"shard twice":            {func(g *group) { g.blocks[1].shard, g.blocks[1].first = 0, 12 }, "shard 0 after 0"},
		"shards in other order":  {func(g *group) { g.blocks[0].shard, g.blocks[0].first = 2, 30 }, "shard 1 after 2"},
		"offset repeated":        {func(g *group) { g.blocks[0].first = 9 }, "first offset is 9; want 10"},
		"offset skipped":         {func(g *group) { g.blocks[1].first = 21 }, "first offset is 21; want 20"},
		"time goes back":         {func(g *group) { g.blocks[0].timeMS = 999 }, "time goes back"},
		"two ends of the group":  {func(g *group) { g.blocks[1].left++ }, "different places"},
		"count too large":        {func(g *group) { g.blocks[0].count++ }, "frame"},
		"count too small":        {func(g *group) { g.blocks[0].count-- }, "not those of their block"},
		"frames of another":      {func(g *group) { g.blocks[1].frames = 1 }, "not those of their block"},
		"no records":             {func(g *group) { g.blocks[1].count = 0 }, "no records"},
		"group beyond the bound": {func(g *group) { g.blocks[0].left = maxGroupBytes }, "more than"},
	} {
		t.Run(what, func(t *testing.T) {
			g := group{
				blocks: []block{
					{shard: 0, count: 2, first: 10, timeMS: 1000, group: 7, chain: 99},
					{shard: 1, count: 1, first: 20, timeMS: 1000, group: 7},
				},
				values: [][]string{{"a", "a longer value"}, {"def"}},
			}
			c.change(&g)
			b := encode(g)
			blocks, f := checkGroup(b, 500, logSeed, segSeed, from)
			if c.why == "" {
				if f != nil || len(blocks) != 2 {
					t.Errorf("got %d blocks, flaw %+v; want two and none", len(blocks), f)
				}
				return
			}
			if f == nil || !strings.Contains(f.why, c.why) || !f.whole && !strings.HasPrefix(f.why, "frame:") {
				t.Errorf("got flaw %+v; want %q", f, c.why)
			}
		})
	}
}

func TestASegmentMustFollowTheOneBefore(t *testing.T) {
	from := tail{next: []domain.Offset{10, 20}, group: 7, chain: 99, timeMS: 1000}
	for what, change := range map[string]func(*segmentHead){
		"":              func(*segmentHead) {},
		"id":            func(h *segmentHead) { h.id[15]++ },
		"number":        func(h *segmentHead) { h.number++ },
		"length before": func(h *segmentHead) { h.before-- },
		"offset":        func(h *segmentHead) { h.start.next[1]++ },
		"shards":        func(h *segmentHead) { h.start.next = h.start.next[:1] },
		"group":         func(h *segmentHead) { h.start.group++ },
		"chain":         func(h *segmentHead) { h.start.chain++ },
		"time":          func(h *segmentHead) { h.start.timeMS++ },
	} {
		h := segmentHead{id: logID{1}, number: 3, before: 500, start: from.clone()}
		change(&h)
		again, err := decodeSegmentHead(h.encode())
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if why := again.joins(logID{1}, 3, 500, from); (why == "") != (what == "") {
			t.Errorf("changed %q: joins says %q", what, why)
		}
	}
}
