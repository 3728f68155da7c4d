package sevsnp

import "fmt"

// The lines of processors that we can read.
const (
	Milan = "Milan"
	Genoa = "Genoa"
	Turin = "Turin"
)

// TCB is a level of firmware and microcode: five version numbers that are compared one by one.
type TCB struct {
	FMC        uint8 // FMC firmware: Turin only
	Bootloader uint8
	TEE        uint8
	SNP        uint8
	Microcode  uint8
}

// DecodeTCB reads the eight bytes of a level, which a line's firmware lays out in its own way (AMD 56860, tables
// 3 and 4). Bytes that are reserved are not looked at: the endorsement key's certificate has to agree with the rest.
func DecodeTCB(line string, level uint64) TCB {
	at := func(i int) uint8 { return uint8(level >> (8 * i)) }
	if line == Turin {
		return TCB{FMC: at(0), Bootloader: at(1), TEE: at(2), SNP: at(3), Microcode: at(7)}
	}
	return TCB{Bootloader: at(0), TEE: at(1), SNP: at(6), Microcode: at(7)}
}

// Encode is the reverse of DecodeTCB, with zero in what is reserved.
func (t TCB) Encode(line string) uint64 {
	put := func(b uint8, i int) uint64 { return uint64(b) << (8 * i) }
	if line == Turin {
		return put(t.FMC, 0) | put(t.Bootloader, 1) | put(t.TEE, 2) | put(t.SNP, 3) | put(t.Microcode, 7)
	}
	return put(t.Bootloader, 0) | put(t.TEE, 1) | put(t.SNP, 6) | put(t.Microcode, 7)
}

// AtLeast says whether no number is below its floor.
func (t TCB) AtLeast(floor TCB) bool {
	return t.FMC >= floor.FMC && t.Bootloader >= floor.Bootloader && t.TEE >= floor.TEE && t.SNP >= floor.SNP && t.Microcode >= floor.Microcode
}

func (t TCB) String() string {
	s := fmt.Sprintf("bootloader %d, tee %d, snp %d, microcode %d", t.Bootloader, t.TEE, t.SNP, t.Microcode)
	if t.FMC != 0 {
		s = fmt.Sprintf("fmc %d, ", t.FMC) + s
	}
	return s
}
