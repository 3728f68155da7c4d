// Command chaos runs Filature in production mode on three real brokers, disturbs whatever it is made of, and looks
// for what that lost.
//
// It runs one workload twice, each time in a network of its own: gateways, clerks, projectors, settlers,
// watchers and relays in processes of their own, on Kafka, PostgreSQL and a TON chain. The first time it kills, stops and moves
// what there is, each in turn and then at random. The second time it leaves all alone. Then it compares both with
// the plan that the workload was made from, and with each other: what was acknowledged is there, nothing is counted
// twice, everybody was paid what is owed, and the payout root is the same. scripts/chaos.sh builds and runs it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/filature/filature/internal/workload"
)

// limit ends a run that hangs; it takes about four minutes on two cores.
const limit = 20 * time.Minute

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	ctx, cancel := context.WithTimeout(ctx, limit)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	cancel()
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, out, errs io.Writer) int {
	flags := flag.NewFlagSet("chaos", flag.ContinueOnError)
	flags.SetOutput(errs)
	program := flags.String("program", "bin/filature", "the program to disturb")
	folder := flags.String("dir", "", "new folder for configs and logs; kept only if something is wrong (default: a temporary one)")
	number := flags.Int("kills", 2*len(kinds), "how often to disturb it")
	seed := flags.Uint64("seed", 0, "of the workload and of what is disturbed when; 0 draws one")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if *seed == 0 {
		*seed = rand.Uint64()
	}
	if *number < 1 || flags.NArg() > 0 {
		fmt.Fprintln(errs, "chaos: want -kills of 1 or more, and nothing but flags")
		return 2
	}
	dir := *folder
	if dir == "" {
		var err error
		if dir, err = os.MkdirTemp("", "filature-chaos-"); err != nil {
			fmt.Fprintln(errs, "chaos:", err)
			return 2
		}
	}
	fmt.Fprintf(out, "seed %d, %d disturbances, logs in %s\n", *seed, *number, dir)
	fmt.Fprint(out, "(the same seed gives the same workload and the same disturbances; what they hit depends on the machine)\n\n")
	began := time.Now()
	wrong, err := trial(ctx, out, *program, dir, *seed, drawStrikes(workload.Drawn(*seed, byPlan), *number))
	if err != nil {
		fmt.Fprintf(errs, "chaos: %v\n", err)
	}
	if err != nil || len(wrong) > 0 {
		for _, one := range wrong {
			fmt.Fprintf(out, "  ✗ %s\n", one)
		}
		fmt.Fprintf(out, "\nFAIL after %.0f s; seed %d; the logs are left: %s\n", time.Since(began).Seconds(), *seed, dir)
		return 1
	}
	fmt.Fprintf(out, "\nPASS after %.0f s\n", time.Since(began).Seconds())
	if *folder == "" {
		_ = os.RemoveAll(dir) // it is in the machine's temporary folder anyway
	}
	return 0
}

// trial runs the workload disturbed and undisturbed, prints what happened, and returns all that is wrong.
func trial(ctx context.Context, out io.Writer, program, dir string, seed uint64, strikes []strike) (workload.Findings, error) {
	began := time.Now()
	s, err := startServers() //nolint:contextcheck // servers outlive the call that starts them
	if err != nil {
		return nil, err
	}
	defer s.stop()
	fmt.Fprintf(out, "%d brokers and a PostgreSQL run after %s\n", brokers, since(began))
	slicesOfLoad := slicesFor(strikes)
	disturbed, err := perform(ctx, out, s, program, dir, "disturbed", seed, slicesOfLoad, strikes)
	if err != nil {
		return nil, fmt.Errorf("the disturbed run: %w", err)
	}
	calm, err := perform(ctx, out, s, program, dir, "calm", seed, slicesOfLoad, nil)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the undisturbed run: %w", err), printTables(out, disturbed, nil))
	}
	wrong := slices.Concat(disturbed.wrong, calm.wrong)
	if err := workload.CheckSame(ctx, &wrong, "disturbed", disturbed.books, calm.books); err != nil {
		return nil, err
	}
	return wrong, printTables(out, disturbed, calm)
}
