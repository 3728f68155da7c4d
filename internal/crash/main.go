// Command crash kills the program at random moments while it works, and looks for what that lost.
//
// It runs one workload twice. The first time it kills "filature serve" again and again: during its first
// start, while it starts, under load, while it shuts down. The second time it leaves it alone. Then it
// compares both with the plan that the workload was made from, and with each other: what was acknowledged
// is there, nothing is counted twice, and the payout root is the same. scripts/crash.sh builds and runs it.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/filature/filature/internal/workload"
)

// minSlices of load are sent however few kills there are.
const minSlices = 4

// limit ends a run that hangs; it takes about two minutes on two cores.
const limit = 8 * time.Minute

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	ctx, cancel := context.WithTimeout(ctx, limit)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	cancel()
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, out, errs io.Writer) int {
	flags := flag.NewFlagSet("crash", flag.ContinueOnError)
	flags.SetOutput(errs)
	program := flags.String("program", "bin/filature", "the program to kill")
	folder := flags.String("dir", "", "new folder for data and logs; kept only if something is wrong (default: a temporary one)")
	kills := flags.Int("kills", 36, "how often to kill it")
	seed := flags.Uint64("seed", 0, "of the workload and of the moments to kill at; 0 draws one")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if *seed == 0 {
		*seed = rand.Uint64()
	}
	if *kills < 1 || flags.NArg() > 0 {
		fmt.Fprintln(errs, "crash: want -kills of 1 or more, and nothing but flags")
		return 2
	}
	dir := *folder
	if dir == "" {
		var err error
		if dir, err = os.MkdirTemp("", "filature-crash-"); err != nil {
			fmt.Fprintln(errs, "crash:", err)
			return 2
		}
	}
	fmt.Fprintf(out, "seed %d, %d kills, data in %s\n", *seed, *kills, dir)
	fmt.Fprint(out, "(the same seed gives the same workload and the same kills; what they hit depends on the machine)\n\n")
	began := time.Now()
	verdict, err := trial(ctx, out, *program, dir, *seed, *kills)
	if err != nil {
		fmt.Fprintf(errs, "crash: %v\n", err)
	}
	if err != nil || len(verdict) > 0 {
		for _, wrong := range verdict {
			fmt.Fprintf(out, "  ✗ %s\n", wrong)
		}
		fmt.Fprintf(out, "\nFAIL after %.0f s; seed %d; the folder is left as it is: %s\n", time.Since(began).Seconds(), *seed, dir)
		return 1
	}
	fmt.Fprintf(out, "\nPASS after %.0f s\n", time.Since(began).Seconds())
	if *folder == "" {
		_ = os.RemoveAll(dir) // it is in the machine's temporary folder anyway
	}
	return 0
}

// trial runs the workload with and without kills, prints what happened, and returns all that is wrong.
func trial(ctx context.Context, out io.Writer, program, dir string, seed uint64, kills int) ([]string, error) {
	slices := max(minSlices, kills-foundationKills)
	inCradle, err := rock(ctx, program, dir, workload.Drawn(seed, byCradle))
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(out, "%d kills of %d new folders in their first moments: each got ready afterwards\n", inCradle, cradles)
	fmt.Fprint(out, "the run with kills, a dot for each ")
	killed, err := live(ctx, out, program, filepath.Join(dir, "killed"), seed, slices, drawKills(workload.Drawn(seed, byKiller), kills))
	if err != nil {
		return nil, fmt.Errorf("the run with kills: %w", err)
	}
	fmt.Fprintln(out, "\nthe undisturbed run")
	calm, err := live(ctx, out, program, filepath.Join(dir, "undisturbed"), seed, slices, nil)
	if err != nil {
		return nil, fmt.Errorf("the undisturbed run: %w", err)
	}
	wrong, err := compare(ctx, program, killed, calm)
	if err != nil {
		return nil, fmt.Errorf("compare: %w", err)
	}
	printTable(out, killed, calm)
	return wrong, nil
}
