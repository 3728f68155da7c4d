package localchain

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/filature/filature/domain"
)

// victimDir, in the environment, makes this test program a chain that works until it is killed.
const victimDir = "FILATURE_LOCALCHAIN_VICTIM"

func TestMain(m *testing.M) {
	if dir := os.Getenv(victimDir); dir != "" {
		panic(workUntilKilled(dir, os.Stdout)) // it ends with an error or with the kill
	}
	m.Run()
}

// workUntilKilled writes down every block that it can see.
func workUntilKilled(dir string, out io.Writer) error {
	c, err := Open(Options{Dir: dir, Interval: time.Millisecond})
	if err != nil {
		return err
	}
	for {
		c.mu.Lock()
		b, changed := c.visible(), c.changed
		c.mu.Unlock()
		if _, err := fmt.Fprintf(out, "block %d %x\n", b.seqno, b.master.RootHash); err != nil {
			return err
		}
		if err := c.Faucet([32]byte{byte(b.seqno)}, domain.Coin); err != nil {
			return err
		}
		<-changed
	}
}

func TestNoBlockThatAnyoneSawIsLostByKilling(t *testing.T) {
	dir := t.TempDir()
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 1))
	t.Logf("seed %d", seed)
	blocks := 0
	for round := range 8 {
		seen := killedAfter(t, dir, time.Duration(20+random.IntN(120))*time.Millisecond)
		c, err := Open(Options{Dir: dir})
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		for seqno, hash := range seen {
			if int(seqno) >= len(c.blocks) || hex.EncodeToString(c.blocks[seqno].master.RootHash) != hash {
				t.Errorf("round %d: block %d %s was seen and is gone", round, seqno, hash)
			}
		}
		blocks = len(c.blocks)
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d blocks", blocks)
}

// killedAfter runs a victim, kills it, and returns the blocks that it saw. The delay starts with its
// first block.
func killedAfter(t *testing.T, dir string, delay time.Duration) map[uint32]string {
	t.Helper()
	victim := exec.CommandContext(t.Context(), os.Args[0])
	victim.Env = append(os.Environ(), victimDir+"="+dir)
	victim.Stderr = os.Stderr
	out, err := victim.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	seen := map[uint32]string{}
	lines := bufio.NewScanner(out)
	var kill *time.Timer
	for lines.Scan() {
		if kill == nil {
			kill = time.AfterFunc(delay, func() { _ = victim.Process.Kill() })
		}
		var seqno uint32
		var hash string
		// The last line may be cut off: then nobody read it whole.
		if _, err := fmt.Sscanf(lines.Text(), "block %d %s", &seqno, &hash); err == nil && len(strings.TrimSpace(hash)) == 64 {
			seen[seqno] = hash
		}
	}
	if len(seen) < 2 {
		t.Errorf("the victim saw %d blocks", len(seen))
	}
	_ = victim.Wait() // it was killed
	return seen
}
