package seglog_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore"
	"github.com/filature/filature/eventstore/eventstoretest"
	"github.com/filature/filature/eventstore/seglog"
)

// The test binary runs itself as another process, which plays the role that this variable names.
const roleVariable = "SEGLOG_TEST_ROLE"

func TestMain(m *testing.M) {
	roles := map[string]func(dir string, out io.Writer) error{
		"open":  func(dir string, _ io.Writer) error { _, err := seglog.Open(dir, options()); return err },
		"write": writeUntilKilled,
		"fill":  writeUntilFull,
	}
	role := roles[os.Getenv(roleVariable)]
	if role == nil {
		m.Run()
		return
	}
	if err := role(os.Args[1], os.Stdout); err != nil {
		panic(err)
	}
}

func process(t *testing.T, role, dir string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], dir)
	cmd.Env = append(os.Environ(), roleVariable+"="+role)
	return cmd
}

func options() seglog.Options {
	return seglog.Options{Shards: eventstoretest.Shards, Now: time.Now, SegmentBytes: 64 << 10}
}

func mustOpen(t *testing.T, dir string) *seglog.Log {
	t.Helper()
	log, err := seglog.Open(dir, options())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	})
	return log
}

func TestAFolderHasOneWriter(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "yet", "there")
	log := mustOpen(t, dir)
	_, err := seglog.Open(dir, options())
	if !errors.Is(err, seglog.ErrInUse) {
		t.Errorf("second open of this process: got error %v; want %v", err, seglog.ErrInUse)
	}
	out, err := process(t, "open", dir).CombinedOutput()
	if err == nil {
		t.Error("another process opened the folder, too")
	}
	for _, want := range []string{seglog.ErrInUse.Error(), dir, fmt.Sprintf("process %d", os.Getpid())} {
		if !strings.Contains(string(out), want) {
			t.Errorf("another process says %q; want it to name %q", out, want)
		}
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	if out, err := process(t, "open", dir).CombinedOutput(); err != nil {
		t.Errorf("open by another process after close: %v: %s", err, out)
	}
}

// ackedValue is what a writer process writes: a value that says where it belongs.
func ackedValue(writer, i int) []byte {
	return fmt.Appendf(nil, "writer %d value %d %s", writer, i, strings.Repeat("x", i*37%900))
}

// writeUntilKilled appends from several goroutines and prints each acknowledged place, as
// "shard offset writer i", after it was acknowledged.
func writeUntilKilled(dir string, out io.Writer) error {
	log, err := seglog.Open(dir, options())
	if err != nil {
		return err
	}
	var mu sync.Mutex
	failed := make(chan error)
	for w := range 8 {
		go func() { // until the process is killed
			shard := domain.Shard(w % eventstoretest.Shards)
			for i := 0; ; i++ {
				first, err := log.Append(context.Background(), shard, [][]byte{ackedValue(w, i), ackedValue(w, i+1)})
				if err == nil {
					mu.Lock()
					_, err = fmt.Fprintln(out, shard, first, w, i)
					mu.Unlock()
				}
				if err != nil {
					failed <- err
				}
			}
		}()
	}
	return <-failed
}

func TestKilledWritersLoseNothingAcknowledged(t *testing.T) {
	const kills = 15
	dir := t.TempDir()
	r := rand.New(rand.NewPCG(1, 1))
	want := map[domain.Position][]byte{}
	for range kills {
		cmd := process(t, "write", dir)
		cmd.Stderr = t.Output()
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines, until := bufio.NewScanner(out), 1+r.IntN(400)
		for n := 0; lines.Scan(); n++ { // to the end of the pipe: it was acknowledged before it died
			var p domain.Position
			var w, i int
			if _, err := fmt.Sscan(lines.Text(), &p.Shard, &p.Offset, &w, &i); err != nil {
				break // killed in the middle of a line
			}
			want[p], want[domain.Position{Shard: p.Shard, Offset: p.Offset + 1}] = ackedValue(w, i), ackedValue(w, i+1)
			if n == until {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := cmd.Wait(); err == nil {
			t.Fatal("the writer ended by itself")
		}
		log, err := seglog.OpenReadOnly(dir)
		if err != nil {
			t.Fatal(err)
		}
		checkAcked(t, log, want)
		if err := log.Close(); err != nil {
			t.Fatal(err)
		}
	}
	checkAcked(t, mustOpen(t, dir), want)
	if r, err := seglog.Verify(dir); err != nil || r.Segments < 3 {
		t.Errorf("verify: %+v, %v; want whole, and several segments", r, err)
	}
}

func checkAcked(t *testing.T, log eventstore.Reader, want map[domain.Position][]byte) {
	t.Helper()
	found := 0
	for shard := range domain.Shard(eventstoretest.Shards) {
		for _, r := range eventstoretest.ReadAll(t, log, shard, eventstore.MaxBatch) {
			v, ok := want[domain.Position{Shard: shard, Offset: r.Offset}]
			if !ok {
				continue // kept, and nobody was told
			}
			if found++; string(v) != string(r.Value) {
				t.Fatalf("record %d/%d is %.40q; %.40q was acknowledged", shard, r.Offset, r.Value, v)
			}
		}
	}
	if found != len(want) {
		t.Fatalf("found %d of %d acknowledged records", found, len(want))
	}
}

// writeUntilFull appends until the kernel takes no more bytes in one file, in the middle of a
// write, and prints how many values were acknowledged.
func writeUntilFull(dir string, out io.Writer) error {
	signal.Ignore(unix.SIGXFSZ) // so that the write fails instead
	log, err := seglog.Open(dir, seglog.Options{Shards: eventstoretest.Shards, Now: time.Now})
	if err != nil {
		return err
	}
	const limit = 50_000
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: limit, Max: limit}); err != nil {
		return err
	}
	for i := 0; ; i++ {
		if _, err := log.Append(context.Background(), 1, [][]byte{ackedValue(0, i)}); err != nil {
			if !errors.Is(err, eventstore.ErrFailed) || !errors.Is(err, unix.EFBIG) {
				return fmt.Errorf("got %w; want %w and %w", err, eventstore.ErrFailed, unix.EFBIG)
			}
			if _, err := log.Append(context.Background(), 1, [][]byte{nil}); !errors.Is(err, eventstore.ErrFailed) {
				return fmt.Errorf("append to a failed log: got %w", err)
			}
			if _, err := fmt.Fprintln(out, i); err != nil {
				return err
			}
			return log.Close()
		}
	}
}

func TestAWriteThatTheKernelCutsShortIsRepaired(t *testing.T) {
	dir := t.TempDir()
	out, err := process(t, "fill", dir).Output()
	if err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			t.Fatalf("%v: %s", err, exit.Stderr)
		}
		t.Fatal(err)
	}
	var acked int
	if _, err := fmt.Sscan(string(out), &acked); err != nil || acked < 10 {
		t.Fatalf("got %q; want the number of acknowledged values", out)
	}
	log := mustOpen(t, dir)
	if r, ok := log.Repaired(); !ok || r.Dropped == 0 {
		t.Errorf("repaired: %v, %v; want the half of a write cut off", r, ok)
	}
	got := eventstoretest.ReadAll(t, log, 1, 100)
	if len(got) != acked {
		t.Fatalf("got %d records; %d were acknowledged", len(got), acked)
	}
	for i, r := range got {
		if string(r.Value) != string(ackedValue(0, i)) {
			t.Fatalf("record %d is %.40q", i, r.Value)
		}
	}
}
