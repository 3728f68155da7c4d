package sqlite_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"

	"github.com/filature/filature/adapters/sqlite"
	"github.com/filature/filature/domain"
	"github.com/filature/filature/projections"
	"github.com/filature/filature/projections/projectionstest"
)

// crashFile tells this test binary to be the program that is killed, and which file it writes.
const crashFile = "FILATURE_TEST_CRASH_FILE"

const (
	crashJobs  = 400
	crashSteps = 40 // commits of a program that nobody kills
	crashes    = 12
)

func TestMain(m *testing.M) {
	path := os.Getenv(crashFile)
	if path == "" {
		m.Run()
		return
	}
	if err := foldUntilKilled(context.Background(), path, os.Stdout); err != nil {
		panic(err)
	}
}

// exits ends the program where a test would fail.
type exits struct{}

func (exits) Helper() {}

func (exits) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

// crashCut is where the program commits for the n-th time.
func crashCut(ledger *projectionstest.Ledger, n int) []domain.Offset {
	cut := ledger.Cut()
	for shard := range cut {
		cut[shard] = cut[shard] * domain.Offset(n) / crashSteps
	}
	return cut
}

// foldUntilKilled folds step by step and says each step that is done.
func foldUntilKilled(ctx context.Context, path string, out io.Writer) error {
	ledger := projectionstest.BusyLedger(exits{}, crashJobs) //nolint:contextcheck // a ledger in memory waits for nothing
	store, err := sqlite.Open(ctx, path)
	if err != nil {
		return err
	}
	for n := 1; n <= crashSteps; n++ {
		err := projections.FoldTo(ctx, ledger, store, crashCut(ledger, n), projections.All()...)
		if errors.Is(err, projections.ErrBeyondCut) {
			continue // was done before a crash
		}
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintln(out, n); err != nil {
			return err
		}
	}
	return store.Close()
}

func TestKilledAtAnyMomentRowsAndCheckpointAreOfTheSamePlace(t *testing.T) {
	t.Parallel()
	ctx := projectionstest.Context(t)
	ledger, path := projectionstest.BusyLedger(t, crashJobs), newPath(t)
	for range crashes {
		killAfter(ctx, t, path, 1+rand.IntN(crashSteps/crashes))
		store, memory := open(t, path), projections.NewMemStore()
		var at projections.Checkpoint
		if err := store.Read(ctx, func(r projections.Reader) (err error) {
			at, err = r.At(ctx) // all models at one place
			return err
		}); err != nil {
			t.Fatalf("after a crash: %v", err)
		}
		if err := projections.FoldTo(ctx, ledger, memory, at.Cut(), projections.All()...); err != nil {
			t.Fatal(err)
		}
		projectionstest.SameRows(ctx, t, memory, store, projections.All()...)
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// killAfter runs the program and kills it some time after it has said a number of steps: while it is in
// one of the next.
func killAfter(ctx context.Context, t *testing.T, path string, steps int) {
	t.Helper()
	program := exec.CommandContext(ctx, os.Args[0])
	program.Env = append(os.Environ(), crashFile+"="+path)
	program.Stderr = os.Stderr
	said, err := program.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(said); steps > 0 && lines.Scan(); steps-- {
		continue
	}
	if err := program.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
	var exited *exec.ExitError // being killed is no success
	if err := program.Wait(); err != nil && (!errors.As(err, &exited) || exited.Exited()) {
		t.Fatalf("the program ended by itself: %v", err)
	}
}
