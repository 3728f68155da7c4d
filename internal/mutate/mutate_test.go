package mutate

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"
)

// table is a list of offsets and lengths, each four bytes, little-endian, that ends with zeros: AMD's certificate table in
// small, with a mistake that was in a parser of it.
func table(entries ...[2]uint32) []byte {
	var raw []byte
	for _, entry := range append(entries, [2]uint32{}) {
		raw = binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(raw, entry[0]), entry[1])
	}
	return append(raw, bytes.Repeat([]byte("content "), 8)...)
}

var errTable = errors.New("is no table")

// wrapsAround adds offset and length as 32 bits, so that 16 + 0xFFFFFFF8 is within any table.
func wrapsAround(raw []byte) error {
	for at := 0; at+8 <= len(raw); at += 8 {
		offset, length := binary.LittleEndian.Uint32(raw[at:]), binary.LittleEndian.Uint32(raw[at+4:])
		switch {
		case offset == 0 && length == 0:
			return nil
		case uint64(offset+length) > uint64(len(raw)):
			return errTable
		}
		_ = raw[offset:][:length] // panics
	}
	return errTable
}

// believes makes room for what a length announces before it looks whether that is there.
func believes(raw []byte) error {
	if len(raw) < 8 {
		return errTable
	}
	room := make([]byte, min(binary.LittleEndian.Uint32(raw[4:]), 64<<20))
	if copy(room, raw[8:]) < len(room) {
		return errTable
	}
	return nil
}

// TestItFindsALengthThatWrapsAround is why this package is there: Go's fuzzing did not find it in a minute.
func TestItFindsALengthThatWrapsAround(t *testing.T) {
	for seed := range uint64(5) {
		m, inputs := New(seed), [][]byte{table([2]uint32{24, 16}, [2]uint32{40, 8})}
		panics := func(raw []byte) (did bool) {
			defer func() { did = recover() != nil }()
			_ = wrapsAround(raw)
			return false
		}
		found := false
		for range 20_000 {
			if found = panics(m.Mutant(inputs)); found {
				break
			}
		}
		if !found {
			t.Errorf("seed %d: 20,000 mutants, and the parser stands", seed)
		}
	}
}

func TestItFindsALengthThatIsBelieved(t *testing.T) {
	m, inputs := New(1), [][]byte{table([2]uint32{24, 16})}
	for range 5_000 {
		raw := m.Mutant(inputs)
		if Allocated(func() { _ = believes(raw) }) > 1<<20 {
			return
		}
	}
	t.Error("5,000 mutants, and the parser never allocates a mebibyte")
}

func TestTheSameSeedGivesTheSameMutants(t *testing.T) {
	inputs := [][]byte{table([2]uint32{24, 16}), []byte(`{"svn":12,"levels":[3,4]}`), {}}
	before := table([2]uint32{24, 16})
	a, b, other, same := New(7), New(7), New(8), 0
	for range 1000 {
		one, two := a.Mutant(inputs), b.Mutant(inputs)
		if !bytes.Equal(one, two) {
			t.Fatalf("%x and %x", one, two)
		}
		if len(one) > MaxBytes {
			t.Fatalf("a mutant of %d bytes", len(one))
		}
		if bytes.Equal(one, other.Mutant(inputs)) {
			same++
		}
	}
	if same > 200 {
		t.Errorf("another seed gave the same %d times", same)
	}
	if !bytes.Equal(inputs[0], before) {
		t.Error("an input was changed")
	}
}
