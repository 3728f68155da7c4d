// Package mutate knows how to spoil bytes that a parser is to read, so that what it believes of them is wrong in the ways
// in which parsers have failed: a length that wraps around, a cut, a part of one input in another.
//
// Go's own fuzzing looks for new branches and needs luck to write 0xFFFFFFF8 into one field; it ran 1.4 million times
// past a length that wrapped around. This package has no coverage to go by. It knows numbers at borders and where lengths
// stand, and the same seed gives the same bytes on every machine.
package mutate

import (
	"encoding/binary"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
)

// MaxBytes is the longest mutant. Parsers have shorter limits of their own, and must be seen to keep them.
const MaxBytes = 48 << 10

// Mutator makes mutants. It has one owner.
type Mutator struct{ random *rand.Rand }

// New returns a mutator whose mutants follow from the seed.
func New(seed uint64) *Mutator {
	return &Mutator{rand.New(rand.NewPCG(seed, 0x66696c6174757265))} //nolint:gosec // mutants must come again from their seed
}

// Mutant spoils one of some inputs, in one to four ways. The inputs stay as they are.
func (m *Mutator) Mutant(inputs [][]byte) []byte {
	raw := slices.Clone(inputs[m.random.IntN(len(inputs))])
	for range 1 + m.random.IntN(4) {
		raw = m.spoil(raw, inputs)
		raw = raw[:min(len(raw), MaxBytes)]
	}
	return raw
}

// spoil does one thing.
func (m *Mutator) spoil(raw []byte, inputs [][]byte) []byte {
	if len(raw) == 0 {
		return slices.Clone(m.part(inputs[m.random.IntN(len(inputs))]))
	}
	switch m.random.IntN(10) {
	case 0:
		raw[m.place(raw)] ^= 1 << m.random.IntN(8)
		return raw
	case 1:
		raw[m.place(raw)] = []byte{0, 1, 0x7f, 0x80, 0x81, 0x84, 0xff}[m.random.IntN(7)]
		return raw
	case 2:
		return raw[:m.random.IntN(len(raw))]
	case 3: // a part of some input over what is there
		copy(raw[m.place(raw):], m.part(inputs[m.random.IntN(len(inputs))]))
		return raw
	case 4: // or between
		return slices.Insert(raw, m.place(raw), m.part(inputs[m.random.IntN(len(inputs))])...)
	case 5:
		from := m.place(raw)
		return slices.Delete(raw, from, from+m.random.IntN(len(raw)-from))
	case 6:
		return m.spoilDER(raw)
	case 7:
		return m.spoilDecimal(raw)
	default: // twice as often as others
		return m.spoilInteger(raw)
	}
}

func (m *Mutator) place(raw []byte) int { return m.random.IntN(len(raw)) }

// part is a part of an input: mostly short, since a long one leaves nothing to read.
func (m *Mutator) part(input []byte) []byte {
	if len(input) == 0 {
		return nil
	}
	from := m.place(input)
	return input[from : from+m.random.IntN(min(len(input)-from, 64<<(2*m.random.IntN(4))))]
}

// spoilInteger writes a number at a border over two, four or eight bytes, in either order: one at which an integer ends, or
// one near the length of what is there or what follows.
func (m *Mutator) spoilInteger(raw []byte) []byte {
	width := 2 << m.random.IntN(3)
	if len(raw) < width {
		return raw
	}
	at := m.random.IntN(len(raw) - width + 1)
	if m.random.IntN(2) == 0 {
		at = lengthFrom(raw, at, width)
	}
	borders := []uint64{0, 127, 128, 255, 256, 1<<15 - 1, 1 << 15, 1<<16 - 1, 1 << 16, 1<<31 - 1, 1 << 31, 1<<32 - 1, 1<<63 - 1, 1 << 63, 1<<64 - 1,
		uint64(len(raw)), uint64(len(raw) - at), uint64(len(raw) - at - width)}
	number := borders[m.random.IntN(len(borders))] + uint64(m.random.IntN(17)) - 8 // it may wrap around: so do theirs
	var field [8]byte
	if m.random.IntN(4) > 0 { // formats of processors are little-endian
		binary.LittleEndian.PutUint64(field[:], number)
		copy(raw[at:at+width], field[:])
	} else {
		binary.BigEndian.PutUint64(field[:], number)
		copy(raw[at:at+width], field[8-width:])
	}
	return raw
}

// lengthFrom finds, from a place on, a little-endian number that could be the length of something behind it. Where there is
// none it is the place.
func lengthFrom(raw []byte, place, width int) int {
	for i := range len(raw) - width + 1 {
		var field [8]byte
		at := (place + i) % (len(raw) - width + 1)
		copy(field[:], raw[at:at+width])
		if n := binary.LittleEndian.Uint64(field[:]); n >= 16 && n <= uint64(len(raw)-at-width) {
			return at
		}
	}
	return place
}

// spoilDER finds a tag of ASN.1's DER and changes the length behind it, or the tag.
func (m *Mutator) spoilDER(raw []byte) []byte {
	at := m.place(raw)
	for range raw {
		if at = (at + 1) % len(raw); slices.Contains([]byte{0x02, 0x03, 0x04, 0x06, 0x30, 0x31, 0xa0, 0xa3}, raw[at]) {
			break
		}
	}
	if at+1 >= len(raw) {
		return raw
	}
	switch m.random.IntN(4) {
	case 0: // a length of many bytes, as long as they come
		long := []byte{0x84, 0xff, 0xff, 0xff, 0xff}
		return slices.Replace(raw, at+1, at+2, long[:2+m.random.IntN(4)]...)
	case 1: // a length without end
		raw[at+1] = 0x80
	case 2:
		raw[at+1] += byte(m.random.IntN(5)) - 2
	default:
		raw[at] = []byte{0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x13, 0x17, 0x30, 0xa0}[m.random.IntN(10)]
	}
	return raw
}

// spoilDecimal finds a number in a text and writes another one, or repeats what stands around it.
func (m *Mutator) spoilDecimal(raw []byte) []byte {
	digit := func(b byte) bool { return '0' <= b && b <= '9' }
	from := m.place(raw)
	for from < len(raw) && !digit(raw[from]) {
		from++
	}
	to := from
	for to < len(raw) && digit(raw[to]) {
		to++
	}
	numbers := []string{"0", "-1", "255", "256", "65536", strconv.Itoa(1<<31 - 1), "4294967296", "9223372036854775808", "1e309", "null", "[]", "{}", `""`, "~"}
	return slices.Replace(raw, from, to, []byte(numbers[m.random.IntN(len(numbers))])...)
}

// Allocated says how many bytes a function allocates, and the goroutines beside it. It is exact, for which the runtime stops
// the world twice: some fifty microseconds.
func Allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}
