package seglog

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore"
)

func wantIs(t *testing.T, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("got error %v; want %v", got, want)
	}
}

// sample is a small log of several segments, closed, with groups of one block and of three.
func sample(t *testing.T) (*memDisk, *model) {
	t.Helper()
	d, m := newMemDisk(), &model{}
	log, err := open(d, "log", testOptions())
	if err != nil {
		t.Fatal(err)
	}
	for i := range 6 {
		m.commit(t, log, i)
	}
	if n := len(log.segments); n < 3 {
		t.Fatalf("sample has %d segments; want 3 or more", n)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	return d, m
}

// commit writes one group for all shards, past the queue, so that it is one group for sure.
func (m *model) commit(t testing.TB, log *Log, i int) {
	t.Helper()
	var requests []request
	for shard := range testShards {
		batch := [][]byte{fmt.Appendf(nil, "group %d shard %d", i, shard), bytes.Repeat([]byte{byte('a' + i)}, 20+10*shard)}
		frames := make([]byte, blockHeaderBytes)
		for _, v := range batch {
			frames = appendFrame(frames, log.seed, v)
		}
		requests = append(requests, request{shard: domain.Shard(shard), count: len(batch), frames: &frames, answer: make(chan answer, 1)})
		m.sure[shard] = append(m.sure[shard], batch...)
	}
	log.commit(requests)
	for _, r := range requests {
		if a := <-r.answer; a.err != nil {
			t.Fatal(a.err)
		}
	}
}

// groups returns where the groups of a segment start, and where the last one ends.
func groups(t *testing.T, d *memDisk, name string) []int64 {
	t.Helper()
	f := d.names[name]
	s, err := openSegment(name, &memHandle{memFile: f}, int64(len(f.cache)))
	if err != nil {
		t.Fatal(err)
	}
	places := []int64{s.size}
	for at := s.size; at < int64(len(f.cache)); {
		h, err := decodeBlock(f.cache[at:], segmentSeed(s.head.id.seed(), s.head.number))
		if err != nil {
			t.Fatal(err)
		}
		if at = h.end(at); h.left == 0 {
			places = append(places, at)
		}
	}
	return places
}

func (d *memDisk) lastSegment() string {
	last := ""
	for name := range d.names {
		if filepath.Ext(name) == segmentSuffix {
			last = max(last, name)
		}
	}
	return last
}

// refused checks that nobody takes the log.
func refused(t *testing.T, what string, d *memDisk) {
	t.Helper()
	if damageOf(t, what, d) == nil {
		t.Fatalf("%s: no damage", what)
	}
}

// damageOf checks that neither Open, nor OpenReadOnly, nor Verify takes the log, that all name the
// same damage, and that Open left it untouched. It returns what they said.
func damageOf(t *testing.T, what string, d *memDisk) *Damage {
	t.Helper()
	before := d.clone()
	_, errOpen := open(d, "log", testOptions())
	_, errRead := openReadOnly(d, "log")
	_, errVerify := verify(d, "log")
	var damage [3]*Damage
	for i, err := range []error{errOpen, errRead, errVerify} {
		if !errors.Is(err, eventstore.ErrCorrupt) || !errors.As(err, &damage[i]) {
			t.Fatalf("%s: got error %v (%d); want damage", what, err, i)
		}
	}
	if damage[0].File != damage[1].File || damage[0].Byte != damage[1].Byte || damage[0].File != damage[2].File || damage[0].Byte != damage[2].Byte {
		t.Fatalf("%s: open, read and verify see different damage: %v", what, damage)
	}
	for name, f := range before.names {
		if !bytes.Equal(d.names[name].cache, f.cache) {
			t.Fatalf("%s: refused, and %s was changed", what, name)
		}
	}
	return damage[0]
}

// repaired checks that Open takes the log as the model has it, and says that it cut the last
// segment at a byte, or nothing if that is where the file ended. Verify must have refused it.
func repaired(t *testing.T, what string, d *memDisk, m *model, cut int64) {
	t.Helper()
	name := d.lastSegment()
	length := int64(len(d.names[name].cache))
	if _, err := verify(d, "log"); (err != nil) != (cut < length) {
		t.Fatalf("%s: verify: %v; leftover bytes: %d", what, err, length-cut)
	}
	r, err := openReadOnly(d, "log")
	if err != nil {
		t.Fatalf("%s: open to read: %v", what, err)
	}
	m.check(t, r)
	log, err := open(d, "log", testOptions())
	if err != nil {
		t.Fatalf("%s: open: %v", what, err)
	}
	m.check(t, log)
	got, ok := log.Repaired()
	want := Repair{File: filepath.Join("log", name), Byte: cut, Dropped: length - cut}
	if ok != (cut < length) || ok && got != want {
		t.Fatalf("%s: repaired %v, %v; want %v", what, got, ok, want)
	}
	if _, err := log.Append(t.Context(), 1, [][]byte{[]byte("goes on")}); err != nil {
		t.Fatalf("%s: append after repair: %v", what, err)
	}
	kill(log)
	if _, err := verify(d, "log"); err != nil {
		t.Fatalf("%s: verify after repair: %v", what, err)
	}
}

func TestAFlipOfAnyByteIsRefusedAndNamed(t *testing.T) {
	d, _ := sample(t)
	owner := owners(t, d)
	total, unplaced := 0, 0
	// One bit of each byte, and all bits of its neighbour: every field of every header sees both.
	masks := [...]byte{0x01, 0xff, 0x80, 0x10, 0xff}
	for name, f := range d.names {
		for at := range f.cache {
			mask := masks[at%len(masks)]
			what := fmt.Sprintf("%s, byte %d, mask %x", name, at, mask)
			broken := d.clone()
			broken.names[name].cache[at] ^= mask
			damage := damageOf(t, what, broken)
			if damage.File != filepath.Join("log", name) || damage.Byte > int64(at) {
				t.Fatalf("%s: blamed on %v", what, damage)
			}
			record, ok := owner[place{name, at}]
			if !ok {
				continue // belongs to no record
			}
			total++
			if !damage.Placed {
				unplaced++
			} else if damage.Record != record {
				t.Fatalf("%s: blamed on record %v; want %v: %v", what, damage.Record, record, damage)
			}
		}
	}
	if total == 0 || unplaced > 0 {
		t.Errorf("%d of %d flips were not traced to a record", unplaced, total)
	}
}

type place struct {
	file string
	at   int
}

// owners tells for each byte of each block to which record it belongs: a header to its first.
func owners(t *testing.T, d *memDisk) map[place]domain.Position {
	t.Helper()
	out := map[place]domain.Position{}
	for name, f := range d.names {
		if filepath.Ext(name) != segmentSuffix {
			continue
		}
		starts := groups(t, d, name)
		for at := int(starts[0]); at < len(f.cache); {
			h := looseBlock(f.cache[at:])
			for i := range blockHeaderBytes {
				out[place{name, at + i}] = domain.Position{Shard: h.shard, Offset: h.first}
			}
			at += blockHeaderBytes
			for i := range h.count {
				n, err := frameBytes(f.cache[at:])
				if err != nil {
					t.Fatal(err)
				}
				for j := range n {
					out[place{name, at + j}] = domain.Position{Shard: h.shard, Offset: h.first + domain.Offset(i)}
				}
				at += n
			}
		}
	}
	return out
}

// crashed is the sample as a power cut leaves it that kept the whole log, and an old watermark: the
// last group might as well be one that nobody was told about.
func crashed(t *testing.T) (d *memDisk, last string, start, end int64, without *model) {
	t.Helper()
	d, m := sample(t)
	last = d.lastSegment()
	places := groups(t, d, last)
	if len(places) < 3 {
		t.Fatal("the last segment of the sample has one group; want two")
	}
	start, end = places[len(places)-2], places[len(places)-1]
	d.setMark(t, 0, 400)
	for shard := range m.sure {
		m.sure[shard] = m.sure[shard][:len(m.sure[shard])-2]
	}
	return d, last, start, end, m
}

func (d *memDisk) setMark(t *testing.T, segment uint64, bytes int64) {
	t.Helper()
	w, err := decodeWatermark(d.names[watermarkName].cache)
	if err != nil {
		t.Fatal(err)
	}
	w.segment, w.bytes = segment, bytes
	d.add(watermarkName, w.encode())
}

func (m *model) clone() *model {
	c := *m
	for i := range c.sure {
		c.sure[i] = slices.Clone(c.sure[i])
	}
	return &c
}

func TestATornTailIsRepairedWhereverItTears(t *testing.T) {
	d, last, start, end, without := crashed(t)
	for at := start; at < end; at++ {
		what := fmt.Sprintf("torn at %d of %d..%d", at, start, end)
		torn := d.clone()
		torn.names[last].cache = torn.names[last].cache[:at]
		repaired(t, what, torn, without.clone(), start)

		// The length may arrive before the bytes.
		torn = d.clone()
		clear(torn.names[last].cache[at:])
		if bytes.Equal(torn.names[last].cache, d.names[last].cache) {
			continue
		}
		if !bytes.Equal(torn.names[last].cache[at:], make([]byte, end-at)) {
			t.Fatal("not cleared")
		}
		if at%sectorBytes == 0 || at == start { // a disk writes whole sectors
			repaired(t, what+", zeros after", torn, without.clone(), start)
		}
	}
}

func TestAnyTearOfTheLastGroupBySectorsIsRepaired(t *testing.T) {
	d, last, start, end, without := crashed(t)
	rapid.Check(t, func(rt *rapid.T) {
		torn := d.clone()
		content := torn.names[last].cache
		lost := 0
		for from := start; from < end; {
			to := min(end, (from/sectorBytes+1)*sectorBytes)
			if rapid.Bool().Draw(rt, "lost") {
				clear(content[from:to])
				lost++
			}
			from = to
		}
		if lost == 0 {
			return
		}
		repaired(t, "sectors lost", torn, without.clone(), start)
	})
}

func TestAcknowledgedBytesAreNeverTakenForATornTail(t *testing.T) {
	d, _ := sample(t) // closed: its watermark is exact
	last := d.lastSegment()
	places := groups(t, d, last)
	start, end := places[len(places)-2], places[len(places)-1]
	for at := start; at < end; at++ {
		cut := d.clone()
		cut.names[last].cache = cut.names[last].cache[:at]
		refused(t, fmt.Sprintf("cut at %d", at), cut)
		zero := d.clone()
		clear(zero.names[last].cache[at:])
		if !bytes.Equal(zero.names[last].cache, d.names[last].cache) {
			refused(t, fmt.Sprintf("zeros from %d", at), zero)
		}
	}
}

func TestAfterCloseNotEvenAPowerCutHidesDamage(t *testing.T) {
	for seed := range uint64(10) {
		d, _ := sample(t)
		d = d.powerCut(rand.New(rand.NewPCG(seed, 0)))
		f := d.names[d.lastSegment()]
		f.cache = f.cache[:len(f.cache)-1]
		refused(t, "cut by one byte", d)
	}
}

func TestAfterAPowerCutAFlipBelowTheLastGroupIsRefused(t *testing.T) {
	d, last, start, _, _ := crashed(t)
	first := int(groups(t, d, last)[0])
	for at := first; at < int(start); at++ {
		broken := d.clone()
		broken.names[last].cache[at] ^= 0x10
		refused(t, fmt.Sprintf("flip at %d", at), broken)
	}
}

// After a power cut, damage to the last group is told from a tear if its header is whole.
func TestAfterAPowerCutAFlipInTheLastGroupIsRefusedUnlessInItsHeader(t *testing.T) {
	d, last, start, end, without := crashed(t)
	for at := start; at < end; at++ {
		broken := d.clone()
		broken.names[last].cache[at] ^= 0x10
		if what := fmt.Sprintf("flip at %d", at); at < start+blockHeaderBytes {
			repaired(t, what, broken, without.clone(), start)
		} else {
			refused(t, what, broken)
		}
	}
}

func TestATornGroupWithMoreBehindItIsRefused(t *testing.T) {
	d, last, start, end, _ := crashed(t)
	hole := (start/sectorBytes + 1) * sectorBytes
	if hole >= end {
		t.Fatal("the last group lies in one sector")
	}
	torn := d.clone()
	f := torn.names[last]
	clear(f.cache[hole:end])
	f.cache = append(f.cache, 0, 0, 1)
	refused(t, "a byte behind a torn group", torn)
}

func TestAGroupThatIsThereTwiceIsRefused(t *testing.T) {
	for _, content := range []string{"text", string(make([]byte, 3*sectorBytes))} { // zeros look like a hole
		d, m := newMemDisk(), &model{}
		log, err := open(d, "log", Options{Shards: testShards, Now: testOptions().Now})
		if err != nil {
			t.Fatal(err)
		}
		if !m.appendTogether(log, map[int][][]byte{0: {[]byte(content)}}) {
			t.Fatal("append failed")
		}
		kill(log)
		f := d.names[d.lastSegment()]
		f.cache = append(f.cache, f.cache[groups(t, d, d.lastSegment())[0]:]...)
		refused(t, fmt.Sprintf("%.4q twice", content), d)
	}
}

// A log that was restored from a copy and went on has two futures. Their groups have the same
// numbers, offsets and lengths, and still do not fit each other.
func TestTwoFuturesOfALogDoNotMix(t *testing.T) {
	past, _ := sample(t)
	future := func(name string) *memDisk {
		d := past.clone()
		log, err := open(d, "log", testOptions())
		if err != nil {
			t.Fatal(err)
		}
		for i := range 10 {
			if _, err := log.Append(t.Context(), 0, [][]byte{fmt.Appendf(nil, "%s %d", name, i)}); err != nil {
				t.Fatal(err)
			}
		}
		kill(log)
		return d
	}
	a, b := future("a"), future("b")
	last := a.lastSegment()
	places := groups(t, a, last)
	if len(places) < 3 {
		t.Fatal("the last segment has one group; want more")
	}
	for _, from := range places[1 : len(places)-1] {
		mixed := a.clone()
		mixed.names[last].cache = append(mixed.names[last].cache[:from], b.names[last].cache[from:]...)
		refused(t, fmt.Sprintf("the other future from byte %d on", from), mixed)
	}
	mixed := a.clone()
	mixed.names[last] = b.names[last]
	refused(t, "the last segment of the other future", mixed)
}

func TestAReaderOfALiveLogSeesWhatWasAcknowledgedAndNoMore(t *testing.T) {
	d, m := sample(t)
	last := d.lastSegment()
	places := groups(t, d, last)
	if len(places) < 3 {
		t.Fatal("the last segment of the sample has one group; want two")
	}
	number := uint64(len(d.names) - 2)
	without := m.clone()
	for shard := range without.sure {
		without.sure[shard] = without.sure[shard][:len(without.sure[shard])-2]
	}
	d.writing = true
	d.names[last].cache = append(d.names[last].cache, "the half of the next group"...)
	d.add(segmentName(number+1)+newSuffix, []byte("the half of the next segment"))
	d.setMark(t, number, places[len(places)-2])
	r, err := openReadOnly(d, "log")
	if err != nil {
		t.Fatal(err)
	}
	without.check(t, r)
	if got, err := verify(d, "log"); err != nil || !got.Live {
		t.Errorf("verify: %+v, %v; want whole and live", got, err)
	}
	d.setMark(t, number, places[len(places)-1])
	if r, err = openReadOnly(d, "log"); err != nil {
		t.Fatal(err)
	}
	m.check(t, r)
	d.setMark(t, number, places[len(places)-1]+5)
	if _, err := verify(d, "log"); !errors.Is(err, eventstore.ErrCorrupt) {
		t.Errorf("verify of half a group that was acknowledged: got %v; want %v", err, eventstore.ErrCorrupt)
	}
}

func TestGarbageAtTheEndIsCutOff(t *testing.T) {
	for what, garbage := range map[string][]byte{
		"one byte":      {0x55},
		"a zero byte":   {0},
		"noise":         bytes.Repeat([]byte{0xde, 0xad, 0xbe, 0xef, 1}, 1000),
		"a zero page":   make([]byte, 4096),
		"magic numbers": bytes.Repeat([]byte{0x1a, 0xf1, 0x0c, 0xb1}, 500),
	} {
		d, m := sample(t)
		last := d.lastSegment()
		end := int64(len(d.names[last].cache))
		d.names[last].cache = append(d.names[last].cache, garbage...)
		repaired(t, what, d, m, end)
	}
}

func TestZeroedOrGarbledStretchesInTheMiddleAreRefused(t *testing.T) {
	for _, acked := range []bool{true, false} {
		d, _ := sample(t)
		if !acked {
			d.setMark(t, 0, 400)
		}
		for name := range d.names {
			if name == watermarkName {
				continue
			}
			places := groups(t, d, name)
			for i := range places[:len(places)-2] {
				broken := d.clone()
				clear(broken.names[name].cache[places[i]:places[i+1]])
				refused(t, fmt.Sprintf("%s: group %d zeroed", name, i), broken)

				broken = d.clone()
				for at := places[i]; at < places[i+1]; at++ {
					broken.names[name].cache[at] ^= byte(at*7 + 1)
				}
				refused(t, fmt.Sprintf("%s: group %d garbled", name, i), broken)

				broken = d.clone()
				broken.names[name].cache = slices.Delete(broken.names[name].cache, int(places[i]), int(places[i+1]))
				refused(t, fmt.Sprintf("%s: group %d removed", name, i), broken)

				broken = d.clone()
				broken.names[name].cache = slices.Insert(broken.names[name].cache, int(places[i]), broken.names[name].cache[places[i]:places[i+1]]...)
				refused(t, fmt.Sprintf("%s: group %d doubled", name, i), broken)
			}
		}
	}
}

func TestMissingAndForeignFilesAreRefused(t *testing.T) {
	name := segmentName
	for what, c := range map[string]struct {
		harm  func(*testing.T, *memDisk)
		blame string
	}{
		"first segment missing":  {func(_ *testing.T, d *memDisk) { delete(d.names, name(0)) }, name(0)},
		"middle segment missing": {func(_ *testing.T, d *memDisk) { delete(d.names, name(1)) }, name(1)},
		"last segment missing":   {func(_ *testing.T, d *memDisk) { delete(d.names, d.lastSegment()) }, ""},
		"all segments missing": {func(_ *testing.T, d *memDisk) {
			for n := range d.names {
				if n != watermarkName {
					delete(d.names, n)
				}
			}
		}, name(0)},
		"watermark missing": {func(_ *testing.T, d *memDisk) { delete(d.names, watermarkName) }, watermarkName},
		"watermark short": {func(_ *testing.T, d *memDisk) {
			d.add(watermarkName, d.names[watermarkName].cache[:40])
		}, watermarkName},
		"segments swapped": {func(_ *testing.T, d *memDisk) {
			d.names[name(0)], d.names[name(1)] = d.names[name(1)], d.names[name(0)]
		}, name(0)},
		"last two segments swapped": {func(_ *testing.T, d *memDisk) {
			d.names[name(2)], d.names[name(1)] = d.names[name(1)], d.names[name(2)]
		}, name(1)},
		"segment doubled under the next number": {func(_ *testing.T, d *memDisk) {
			d.names["000000000099.seg"] = d.names[name(1)]
		}, ""},
		"segment under another name": {func(_ *testing.T, d *memDisk) {
			d.names["copy of 1.seg"] = d.names[name(1)]
		}, "copy of 1.seg"},
		"segment number without zeros": {func(_ *testing.T, d *memDisk) {
			d.names["7.seg"] = d.names[name(1)]
		}, "7.seg"},
		"empty segment": {func(_ *testing.T, d *memDisk) { d.add(name(1), nil) }, name(1)},
		"segment of another log": {func(t *testing.T, d *memDisk) {
			o := testOptions()
			o.Random = bytes.NewReader(bytes.Repeat([]byte{8}, 16))
			other, m := newMemDisk(), &model{}
			log, err := open(other, "log", o)
			if err != nil {
				t.Fatal(err)
			}
			for i := range 9 {
				m.commit(t, log, i)
			}
			kill(log)
			d.names[name(1)] = other.names[name(1)]
		}, name(1)},
	} {
		t.Run(what, func(t *testing.T) {
			d, _ := sample(t)
			blame := c.blame
			if blame == "" {
				blame = d.lastSegment()
			}
			c.harm(t, d)
			if what == "segment doubled under the next number" {
				blame = segmentName(uint64(len(d.names) - 2)) // the first that is missing before it
			}
			if damage := damageOf(t, what, d); damage.File != filepath.Join("log", blame) {
				t.Errorf("blamed on %v; want %s", damage, blame)
			}
		})
	}
}

func TestAFileThatWasNeverCompletedIsRemovedAndOthersAreLeftAlone(t *testing.T) {
	d, m := sample(t)
	unborn := segmentName(99) + newSuffix
	d.add("notes.txt", []byte("by the operator"))
	d.add("notes.new", []byte("by the operator"))
	if _, err := verify(d, "log"); err != nil {
		t.Errorf("verify beside foreign files: %v", err)
	}
	d.add(unborn, []byte("half a head"))
	_, err := verify(d, "log")
	var damage *Damage
	if !errors.As(err, &damage) || damage.File != filepath.Join("log", unborn) {
		t.Errorf("verify: got %v; want damage in %s", err, unborn)
	}
	log, err := open(d, "log", testOptions())
	if err != nil {
		t.Fatal(err)
	}
	m.check(t, log)
	kill(log)
	for name, want := range map[string]bool{unborn: false, "notes.txt": true, "notes.new": true} {
		if _, ok := d.names[name]; ok != want {
			t.Errorf("%s is there: %v; want %v", name, ok, want)
		}
	}
}

func TestAnotherNumberOfShardsIsRefused(t *testing.T) {
	d, _ := sample(t)
	o := testOptions()
	o.Shards++
	_, err := open(d, "log", o)
	if other, is := errors.AsType[*OtherShardsError](err); !is || other.Have != testShards || other.Asked != o.Shards {
		t.Errorf("got %v; want the number of shards that the log has", err)
	}
}

func TestAFlipUnderAnOpenLogIsSeenByItsReader(t *testing.T) {
	d, m := sample(t)
	log, err := open(d, "log", testOptions())
	if err != nil {
		t.Fatal(err)
	}
	defer kill(log)
	m.check(t, log)
	for where, record := range owners(t, d) {
		d.names[where.file].cache[where.at] ^= 0x20
		_, err := log.Read(t.Context(), record.Shard, record.Offset, 1)
		var damage *Damage
		if !errors.As(err, &damage) || damage.File != filepath.Join("log", where.file) || damage.Record != record {
			t.Errorf("flip at %v, read of %v: got error %v; want damage there", where, record, err)
		}
		d.names[where.file].cache[where.at] ^= 0x20
	}
}
