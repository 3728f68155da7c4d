// Command mutants shows that each cell of settlement's table of faults would be seen if it were not held: it takes away what
// holds the cell, plays it, and wants it to fail. Where one guard is enough of several, all of them go, and the table says
// which. It ends with 1 where a cell does without.
//
//	make settle-mutants           # all cells
//	go run ./internal/settling/mutants claim/   # those whose name has "claim/" in it
//
// The sources are changed in copies that the compiler is given in their place (go build -overlay): no program has them.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/filature/filature/internal/settling"
)

const (
	// A cell that is to fail may take so many times as long as the slowest with all guards on, or leastPatience.
	timesAsLong   = 4
	leastPatience = 4 * time.Second
	// allPatience is for a cell with all guards on.
	allPatience = time.Minute
	// bound ends a cell that hangs beyond its patience, boundAll all of them with all guards on, which take some minutes on a busy machine.
	bound    = time.Minute
	boundAll = 15 * time.Minute
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, strings.Join(os.Args[1:], " "))
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1) //nolint:forbidigo // this is main
	}
}

var errHangs = errors.New("it hangs")

var errMissed = errors.New("without their guards these cells are as good as with them")

func run(ctx context.Context, named string) error {
	began := time.Now()
	folder, err := os.MkdirTemp("", "filature-mutants-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	p, err := build(ctx, folder)
	if err != nil {
		return err
	}
	out, err := p.play(ctx, nil, "", allPatience)
	if err != nil {
		return fmt.Errorf("with all guards on: %w\n%s", err, out)
	}
	p.patience = max(leastPatience, timesAsLong*slowest(out))
	fmt.Printf("with all guards on every cell is green, after %s; who fails has %s to do so\n\n", //nolint:forbidigo // this is main
		time.Since(began).Round(time.Second), p.patience)
	cells := slices.DeleteFunc(settling.Cells(), func(cell settling.Cell) bool { return !strings.Contains(cell.Name(), named) })
	found := p.each(ctx, cells)
	if err := ctx.Err(); err != nil {
		return err
	}
	fmt.Println(report(cells, found))                             //nolint:forbidigo // this is main
	fmt.Printf("took %s\n", time.Since(began).Round(time.Second)) //nolint:forbidigo // this is main
	var missed []string
	for _, cell := range cells {
		if f := found[cell]; len(f.without) > 0 && f.why == "" {
			missed = append(missed, cell.Name())
		}
	}
	if len(missed) > 0 {
		return fmt.Errorf("%w: %s", errMissed, strings.Join(missed, ", "))
	}
	return nil
}

// finding is what became of a cell without its guards.
type finding struct {
	without []string
	why     string // it failed; empty: it did not
	always  bool   // it fails without them when nothing goes wrong, too
}

// each plays all cells, as many at once as there are processors.
func (p *program) each(ctx context.Context, cells []settling.Cell) map[settling.Cell]finding {
	var (
		mu    sync.Mutex
		works sync.WaitGroup
		found = map[settling.Cell]finding{}
		todo  = make(chan settling.Cell)
	)
	for range runtime.NumCPU() {
		works.Go(func() {
			for cell := range todo {
				f := finding{without: removed(cell)}
				if len(f.without) > 0 {
					f.why = p.fails(ctx, f.without, cell)
					f.always = p.failsAlways(ctx, f.without, cell.Step)
				}
				mu.Lock()
				found[cell] = f
				mu.Unlock()
			}
		})
	}
	for _, cell := range cells {
		if ctx.Err() == nil {
			todo <- cell
		}
	}
	close(todo)
	works.Wait()
	return found
}

// failsAlways tells whether a step fails without some guards though nothing goes wrong.
func (p *program) failsAlways(ctx context.Context, without []string, step string) bool {
	once, _ := p.always.LoadOrStore(step+fmt.Sprint(without), sync.OnceValue(func() bool {
		return p.fails(ctx, without, settling.Cell{Step: step, Fault: "none"}) != ""
	}))
	return once.(func() bool)() //nolint:forcetypeassert // nothing else is stored
}

// slowest is the longest that a cell took.
func slowest(out string) (longest time.Duration) {
	for _, match := range took.FindAllStringSubmatch(out, -1) {
		if d, err := time.ParseDuration(match[1]); err == nil {
			longest = max(longest, d)
		}
	}
	return longest
}

var took = regexp.MustCompile(`--- PASS: \S+/\S+/\S+ \((\S+)\)`)

// fails plays a cell without some guards, and returns why it failed, or nothing.
func (p *program) fails(ctx context.Context, without []string, cell settling.Cell) string {
	out, err := p.play(ctx, without, cell.Name(), p.patience)
	switch {
	case err == nil || ctx.Err() != nil:
		return ""
	case errors.Is(err, errHangs):
		return err.Error()
	}
	for line := range strings.Lines(out) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "panic: "):
			return line
		case strings.Contains(line, "_test.go:"):
			_, why, _ := strings.Cut(line, ": ")
			return short(strings.TrimPrefix(why, cell.Step+", "+cell.Fault+": "))
		}
	}
	return err.Error()
}

// short is a reason without what differs from run to run.
func short(why string) string {
	const most = 140
	why, _, _ = strings.Cut(noise.ReplaceAllString(why, "…"), " (<nil>)")
	if len(why) > most {
		why = why[:most] + "…"
	}
	return why
}

var noise = regexp.MustCompile(`[0-9a-f]{32,}|EQ[A-Za-z0-9_-]{46}`)

// play runs the test of one cell, or of all.
func (p *program) play(ctx context.Context, without []string, cell string, patience time.Duration) (string, error) {
	pattern, limit := "^TestEveryStepComesThroughEveryFault$", boundAll
	if step, fault, is := strings.Cut(strings.ReplaceAll(cell, " ", "_"), "/"); is {
		pattern, limit = pattern+"/^"+step+"$/^"+fault+"$", patience+bound
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	flags := []string{"-test.v", "-test.run", pattern, "-settling.patience", patience.String()}
	test := exec.CommandContext(ctx, p.test, flags...) //nolint:gosec // it was built here
	test.Env = append(os.Environ(), "BROKEN_CLAIM_ACCOUNT="+p.claimAccount, "GUARDS_OFF=["+strings.Join(without, "][")+"]")
	out, err := test.CombinedOutput()
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		err = errHangs
	}
	return string(out), err
}

// report is the table, and below it what went for each cell, and how it failed.
func report(cells []settling.Cell, found map[settling.Cell]finding) string {
	table := settling.Table(func(cell settling.Cell) string {
		f, played := found[cell]
		switch {
		case !played:
			return "not played"
		case len(f.without) == 0:
			return "control"
		case f.why == "":
			return "GREEN"
		case f.always:
			return "red, always"
		default:
			return "red"
		}
	})
	var b strings.Builder
	b.WriteString("Each cell without what holds it. red, always: without it the step fails though nothing goes wrong.\n" + table + "\n")
	b.WriteString("| cell | without | then |\n|---|---|---|\n")
	for _, cell := range cells {
		if f := found[cell]; len(f.without) > 0 {
			fmt.Fprintf(&b, "| %s | %s | %s |\n", cell.Name(), strings.Join(f.without, " + "), f.why)
		}
	}
	b.WriteString("\n| guard | what it is |\n|---|---|\n")
	for _, g := range guards {
		fmt.Fprintf(&b, "| %s | %s |\n", g.name, g.keeps)
	}
	return b.String()
}
