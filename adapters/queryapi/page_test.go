package queryapi

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/filature/filature/domain"
)

// place has a part of each kind that lists have.
type place struct {
	atMs   int64
	shard  domain.Shard
	number uint32
	lt     uint64
	name   string
	job    domain.JobID
}

func (p *place) parts() []any { return []any{&p.atMs, &p.shard, &p.number, &p.lt, &p.name, &p.job} }

func TestACursorNamesThePlaceThatItWasMadeOf(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		made := place{
			rapid.Int64().Draw(t, "atMs"), domain.Shard(rapid.Int32().Draw(t, "shard")), rapid.Uint32().Draw(t, "number"),
			rapid.Uint64Max(1<<63-1).Draw(t, "lt"), rapid.StringMatching(`[^\x00]{0,40}`).Draw(t, "name"),
			domain.JobID(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "job")),
		}
		var read place
		if err := readCursor(cursor('x', made.parts()), 'x', read.parts()); err != nil || read != made {
			t.Fatalf("read %+v of %+v: %v", read, made, err)
		}
	})
}

// TestACursorThatNoStoreCanHoldIsRefused: somebody made it up, and that is not our fault.
func TestACursorThatNoStoreCanHoldIsRefused(t *testing.T) {
	t.Parallel()
	large, huge, zero, longer := uint64(1<<32), uint64(1<<63), "a\x00b", [64]byte{}
	far := int64(1 << 31)
	var read place
	for name, one := range map[string]struct{ made, into any }{
		"a batch beyond all":   {&large, &read.number},
		"a logical time":       {&huge, &read.lt},
		"a shard beyond all":   {&far, &read.shard},
		"a name with a zero":   {&zero, &read.name},
		"an id and more":       {&longer, &read.job},
		"a number where an id": {&far, &read.job},
	} {
		if err := readCursor(cursor('x', []any{one.made}), 'x', []any{one.into}); err == nil {
			t.Errorf("%s: it is taken, as %+v", name, read)
		}
	}
	for _, text := range []string{"=", "eA==", "eAAA", "y"} {
		if err := readCursor(text, 'x', []any{&read.number}); err == nil {
			t.Errorf("%q is taken, as %+v", text, read)
		}
	}
}
