package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/filature/filature/eventstore/seglog"
	"github.com/filature/filature/internal/workload"
	"github.com/filature/filature/projections"
	"github.com/filature/filature/sdk"
)

// outcome is what a run of a workload left.
type outcome struct {
	workload *workload.Workload
	data     string
	books    *workload.Books
	sent     workload.Sent
	last     projections.Batch // once it was compared

	torn, repairs int // ends of logs that were torn, and repairs that were logged
	kills         map[moment]int
	phases        map[phase]int // in which kills were
	lives         int
	took          time.Duration
	progress      io.Writer
}

// live runs a workload against the program, kills it as planned, and then lets it end in peace: when all is
// answered, matured, sealed, activated and paid.
func live(ctx context.Context, out io.Writer, program, dir string, seed uint64, slices int, kills []kill) (_ *outcome, err error) {
	began := time.Now()
	w, err := workload.New(seed, slices)
	if err != nil {
		return nil, err
	}
	data := filepath.Join(dir, "data")
	if err := prepare(ctx, data, w); err != nil {
		return nil, fmt.Errorf("prepare: %w", err)
	}
	output, err := os.Create(filepath.Join(dir, "serve.log"))
	if err != nil {
		return nil, err
	}
	defer output.Close()
	v := &victim{program: program, data: data, output: output}
	defer v.slay()
	gate := workload.NewGate(2)
	sender := workload.NewSender(v.url, workload.Pacing(seed, paceUpTo), gate)
	o := &outcome{progress: out, workload: w, data: data, books: booksOf(data), kills: make(map[moment]int), phases: make(map[phase]int)}

	flowing, said := make(chan struct{}), make(chan struct{})
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(said)
		deposit := func(ctx context.Context, l *workload.Lane) error { return l.Deposit(ctx, chainOf(data, w)) }
		return w.Say(groupCtx, sender, booksOf(data), deposit, flowing) // with books of this goroutine
	})
	group.Go(func() error { return o.haunt(groupCtx, v, gate, kills, flowing, said) })
	if err := group.Wait(); err != nil {
		return nil, err
	}
	if err := o.books.Refresh(ctx); err != nil {
		return nil, err
	}
	o.sent, o.repairs = sender.Sent(), v.repairs
	o.took = time.Since(began)
	return o, nil
}

// prepare makes what must be there before the first start.
func prepare(ctx context.Context, data string, w *workload.Workload) error {
	if err := os.MkdirAll(filepath.Join(data, "keys"), 0o700); err != nil {
		return err
	}
	for name, key := range w.Keys() {
		if err := sdk.WriteKey(filepath.Join(data, "keys", name+".key"), key); err != nil {
			return err
		}
	}
	return endow(ctx, data, w)
}

// booksOf folds the ledger in a folder. Reading changes nothing in it, so that the program finds there what its
// predecessor left.
func booksOf(data string) *workload.Books {
	return workload.NewBooks(func() (workload.Reader, error) { return seglog.OpenReadOnly(filepath.Join(data, "ledger")) })
}

// haunt kills the program as planned, starts it a last time, and ends it when all is settled. After the
// foundation and quietKills more, kills wait until jobs flow.
func (o *outcome) haunt(ctx context.Context, v *victim, gate *workload.Gate, kills []kill, flowing, said <-chan struct{}) error {
	const quietKills = 2
	for i := 0; i < len(kills); {
		if err := v.start(ctx); err != nil {
			return err
		}
		o.lives++
		k := &kills[i]
		if i >= foundationKills+quietKills {
			if err := v.whileAlive(ctx, flowing); err != nil {
				return fmt.Errorf("kill %d: %w", i+1, err)
			}
		}
		killed, err := v.kill(ctx, *k)
		if err != nil {
			return fmt.Errorf("kill %d, %s: %w", i+1, k.Moment, err)
		}
		if !killed { // it was faster
			k.Grace /= 2
			continue
		}
		if k.Torn != "" {
			if err := k.tear(o.data); err != nil {
				return fmt.Errorf("after kill %d: %w", i+1, err)
			}
			o.torn++
		}
		if err := o.books.Refresh(ctx); err != nil {
			return fmt.Errorf("after kill %d, %s: %w", i+1, k.Moment, err)
		}
		at, err := phaseOf(ctx, o.books.Store())
		if err != nil {
			return err
		}
		o.kills[k.Moment]++
		o.phases[at]++
		fmt.Fprint(o.progress, ".")
		if i++; i >= foundationKills {
			gate.Admit(1)
		}
	}
	if err := v.start(ctx); err != nil {
		return err
	}
	o.lives++
	gate.Admit(o.workload.Slices())
	if err := v.whileAlive(ctx, said); err != nil {
		return err
	}
	if err := o.books.Await(ctx, "all is paid", func(ctx context.Context, view projections.View) (bool, error) {
		select {
		case <-v.process.ended:
			return false, errors.Join(errDied, v.process.err)
		default:
			return o.workload.IsSettled(ctx, view)
		}
	}); err != nil {
		return err
	}
	return v.end()
}

// whileAlive waits for something, and for nothing any more if the program ends.
func (v *victim) whileAlive(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	case <-v.process.ended:
		return errors.Join(errDied, v.process.err)
	case <-ctx.Done():
		return ctx.Err()
	}
}
