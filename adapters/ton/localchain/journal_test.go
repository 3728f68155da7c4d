package localchain

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/filature/filature/domain"
)

// fixedClock is a clock that moves a second at every look.
func fixedClock() func() time.Time {
	now := time.Unix(1_780_000_000, 0)
	return func() time.Time { now = now.Add(time.Second); return now }
}

// writtenJournal makes a chain of a few blocks with transactions and returns its journal and the
// masterchain root hash of every block.
func writtenJournal(t testing.TB, steps int) (journal []byte, roots [][]byte) {
	t.Helper()
	dir := t.TempDir()
	c := open(t, Options{Dir: dir, Now: fixedClock()})
	for i := range steps {
		if err := c.Faucet([32]byte{byte(i), 1}, domain.Coin); err != nil {
			t.Fatal(err)
		}
		step(t, c)
	}
	for _, b := range c.blocks {
		roots = append(roots, b.master.RootHash)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	journal, err := os.ReadFile(filepath.Join(dir, JournalName))
	if err != nil {
		t.Fatal(err)
	}
	return journal, roots
}

func open(t testing.TB, options Options) *Chain {
	t.Helper()
	c, err := Open(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func step(t testing.TB, c *Chain) int {
	t.Helper()
	count, err := c.Step(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return count
}

// replayed reads a journal without a chain's lite-server around it.
func replayed(t testing.TB, journal []byte) (roots [][]byte, kept int, err error) {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, JournalName)
	if err := os.WriteFile(path, journal, 0o600); err != nil {
		t.Fatal(err)
	}
	ledger, err := newLedger(1)
	if err != nil {
		t.Fatal(err)
	}
	c := &Chain{ledger: ledger, byHash: map[[32]byte]*block{}, changed: make(chan struct{})}
	j, err := openJournal(dir, ledger.config.Root().Hash(), c.replay)
	if err != nil {
		return nil, 0, err
	}
	if err := j.close(); err != nil {
		t.Fatal(err)
	}
	for _, b := range c.blocks {
		roots = append(roots, b.master.RootHash)
	}
	left, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return roots, len(left), nil
}

// frameEnds returns the byte after each frame, and before the first.
func frameEnds(journal []byte) []int {
	ends := []int{fileHeaderBytes}
	for at := fileHeaderBytes; at < len(journal); {
		at += frameHeader + int(binary.BigEndian.Uint32(journal[at:]))
		ends = append(ends, at)
	}
	return ends
}

func TestAJournalCutAnywhereOpensAtItsLastWholeBlock(t *testing.T) {
	journal, roots := writtenJournal(t, 3)
	ends := frameEnds(journal)
	for cut := range len(journal) + 1 {
		whole := 0
		for whole+1 < len(ends) && ends[whole+1] <= cut {
			whole++
		}
		got, kept, err := replayed(t, journal[:cut])
		if err != nil {
			t.Fatalf("cut at byte %d: %v", cut, err)
		}
		if len(got) != whole || kept != ends[whole] {
			t.Fatalf("cut at byte %d: %d blocks in %d bytes, want %d in %d", cut, len(got), kept, whole, ends[whole])
		}
		for i := range got {
			if !bytes.Equal(got[i], roots[i]) {
				t.Fatalf("cut at byte %d: block %d is %x, was %x", cut, i, got[i], roots[i])
			}
		}
	}
}

func TestAFlippedBitIsRefusedOrCostsTheLastBlockOnly(t *testing.T) {
	journal, roots := writtenJournal(t, 3)
	ends := frameEnds(journal)
	lastBody := ends[len(ends)-2] + frameHeader
	for at := range journal {
		changed := bytes.Clone(journal)
		changed[at] ^= 1 << (at % 8)
		got, _, err := replayed(t, changed)
		switch {
		case at >= lastBody:
			// Not to be told from a write that the crash of a machine cut off.
			if err != nil || len(got) != len(roots)-1 {
				t.Fatalf("byte %d of the last block: %d blocks (%v)", at, len(got), err)
			}
		case !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "byte "):
			t.Fatalf("byte %d: %d blocks, error %v; want a refusal that names the byte", at, len(got), err)
		}
	}
}

func TestTheTailOfAJournal(t *testing.T) {
	journal, roots := writtenJournal(t, 2)
	ends := frameEnds(journal)
	lastFrame := journal[ends[len(ends)-2]:]
	for name, c := range map[string]struct {
		tail   []byte
		refuse bool
	}{
		"zeros":                    {make([]byte, 5000), false},
		"garbage":                  {bytes.Repeat([]byte{0xa5}, 100), true},
		"zeros, then garbage":      {append(make([]byte, 100), 1), true},
		"the last block once more": {lastFrame, true},
	} {
		got, kept, err := replayed(t, append(bytes.Clone(journal), c.tail...))
		if c.refuse {
			if !errors.Is(err, ErrCorrupt) {
				t.Errorf("%s: %d blocks, error %v; want a refusal", name, len(got), err)
			}
			continue
		}
		if err != nil || len(got) != len(roots) || kept != len(journal) {
			t.Errorf("%s: %d blocks in %d bytes (%v)", name, len(got), kept, err)
		}
	}
}

func TestAMissingBlockIsRefused(t *testing.T) {
	journal, _ := writtenJournal(t, 3)
	ends := frameEnds(journal)
	without := append(bytes.Clone(journal[:ends[1]]), journal[ends[2]:]...)
	if _, _, err := replayed(t, without); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "block 2 where block 1 belongs") {
		t.Errorf("error %v", err)
	}
}

// resealed computes the sums of a changed frame again, as a forger would.
func resealed(journal []byte, at int) []byte {
	length := int(binary.BigEndian.Uint32(journal[at:]))
	body := journal[at+frameHeader : at+frameHeader+length]
	binary.BigEndian.PutUint32(journal[at+8:], crc32.Checksum(body, castagnoli))
	binary.BigEndian.PutUint32(journal[at+12:], crc32.Checksum(journal[at:at+12], castagnoli))
	return journal
}

func TestABlockThatExecutesToAnotherHashIsRefused(t *testing.T) {
	journal, _ := writtenJournal(t, 3)
	at := frameEnds(journal)[1]
	journal[at+frameHeader+3]++ // the block's time
	if _, _, err := replayed(t, resealed(journal, at)); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "executes to") {
		t.Errorf("error %v", err)
	}
}

func TestAJournalOfAnotherConfigurationIsRefused(t *testing.T) {
	journal, _ := writtenJournal(t, 1)
	journal[len(journalMagic)]++
	sum := fileHeaderBytes - 4
	binary.BigEndian.PutUint32(journal[sum:], crc32.Checksum(journal[:sum], castagnoli))
	if _, _, err := replayed(t, journal); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "configuration") {
		t.Errorf("error %v", err)
	}
}

func TestAFolderHasOneChainAtATime(t *testing.T) {
	dir := t.TempDir()
	first := open(t, Options{Dir: dir})
	if _, err := Open(Options{Dir: dir}); !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), dir) {
		t.Errorf("second Open: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, Options{Dir: dir})
}

func TestABlockThatCannotBeKeptIsNeverShownAndStopsTheChain(t *testing.T) {
	c := open(t, Options{Dir: t.TempDir(), Now: fixedClock()})
	if err := c.Faucet([32]byte{1}, domain.Coin); err != nil {
		t.Fatal(err)
	}
	step(t, c)
	shown := c.visible()
	if err := c.journal.file.Close(); err != nil { // the disk goes away
		t.Fatal(err)
	}
	if err := c.Faucet([32]byte{1}, domain.Coin); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Step(t.Context()); err == nil {
		t.Fatal("a block without a journal")
	}
	if c.visible() != shown {
		t.Errorf("block %d is shown", c.visible().seqno)
	}
	if got := c.history(accountID{1}, 1<<62); len(got) != 1 {
		t.Errorf("%d transactions are shown, want 1", len(got))
	}
	if err := c.Faucet([32]byte{1}, domain.Coin); err == nil {
		t.Error("the stopped chain took a message")
	}
	if _, err := c.Step(t.Context()); err == nil || c.Err() == nil {
		t.Error("the stopped chain made a block")
	}
}
