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

	"github.com/filature/filature/projections"
	"github.com/filature/filature/sdk"
)

// outcome is what a run of a workload left.
type outcome struct {
	workload *workload
	data     string
	books    *books
	acks     []acknowledged

	sent, duplicates int64
	torn, repairs    int // ends of logs that were torn, and repairs that were logged
	kills            map[moment]int
	phases           map[phase]int // in which kills were
	lives            int
	took             time.Duration
	progress         io.Writer
}

// live runs a workload against the program, kills it as planned, and then lets it end in peace: when all is
// answered, matured, sealed, activated and paid.
func live(ctx context.Context, out io.Writer, program, dir string, seed uint64, slices int, kills []kill) (_ *outcome, err error) {
	began := time.Now()
	w, err := newWorkload(seed, slices)
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
	l := &loader{url: v.url, lots: pacing(seed), gate: newGate(2)}
	o := &outcome{progress: out, workload: w, data: data, books: newBooks(data), kills: make(map[moment]int), phases: make(map[phase]int)}

	flowing, said := make(chan struct{}), make(chan struct{})
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(said)
		return o.load(groupCtx, l, flowing)
	})
	group.Go(func() error { return o.haunt(groupCtx, v, l.gate, kills, flowing, said) })
	if err := group.Wait(); err != nil {
		return nil, err
	}
	if err := o.books.refresh(ctx); err != nil {
		return nil, err
	}
	o.acks, o.sent, o.duplicates, o.repairs = l.acks, l.sent, l.duplicates, v.repairs
	o.took = time.Since(began)
	return o, nil
}

// prepare makes what must be there before the first start.
func prepare(ctx context.Context, data string, w *workload) error {
	if err := os.MkdirAll(filepath.Join(data, "keys"), 0o700); err != nil {
		return err
	}
	for name, key := range w.operatorKeys() {
		if err := sdk.WriteKey(filepath.Join(data, "keys", name+".key"), key); err != nil {
			return err
		}
	}
	return endow(ctx, data, w)
}

// load says all that there is to say. flowing is closed when jobs begin to flow.
func (o *outcome) load(ctx context.Context, l *loader, flowing chan<- struct{}) error {
	w := o.workload
	var err error
	if l.network, err = askNetwork(ctx, l.url); err != nil {
		return fmt.Errorf("ask for the network: %w", err)
	}
	books := newBooks(o.data) // of this goroutine
	if err := books.await(ctx, "the network is set up", func(view projections.View) (bool, error) {
		for network, err := range projections.RowsOf(ctx, view, projections.TheNetwork) {
			if err != nil || network.ParametersSet.AtMs != 0 {
				return true, err
			}
		}
		return false, nil
	}); err != nil {
		return err
	}
	if err := l.run(ctx, &w.founding, 0, 1); err != nil {
		return err
	}
	if err := books.await(ctx, "everybody is registered", func(view projections.View) (bool, error) {
		reports, _, _, err := w.reported(ctx, view)
		return reports == int64(len(w.founding.slices[0])), err
	}); err != nil {
		return err
	}
	opening, openingCtx := errgroup.WithContext(ctx)
	for _, lane := range w.lanes {
		opening.Go(func() error { return l.run(openingCtx, lane, 0, 1) })
		opening.Go(func() error { return lane.deposit(openingCtx, o.data, w) })
	}
	if err := opening.Wait(); err != nil {
		return err
	}
	if err := books.await(ctx, "all deposits are booked", func(view projections.View) (bool, error) {
		_, booked, err := depositsOf(ctx, view)
		return booked >= len(w.lanes), err
	}); err != nil {
		return err
	}
	close(flowing)
	lanes, lanesCtx := errgroup.WithContext(ctx)
	for _, lane := range w.lanes {
		lanes.Go(func() error { return l.run(lanesCtx, lane, 1, len(lane.slices)) })
	}
	return lanes.Wait()
}

// haunt kills the program as planned, starts it a last time, and ends it when all is settled. After the
// foundation and quietKills more, kills wait until jobs flow.
func (o *outcome) haunt(ctx context.Context, v *victim, gate *gate, kills []kill, flowing, said <-chan struct{}) error {
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
		if err := o.books.refresh(ctx); err != nil {
			return fmt.Errorf("after kill %d, %s: %w", i+1, k.Moment, err)
		}
		at, err := o.books.phase(ctx)
		if err != nil {
			return err
		}
		o.kills[k.Moment]++
		o.phases[at]++
		fmt.Fprint(o.progress, ".")
		if i++; i >= foundationKills {
			gate.admit(1)
		}
	}
	if err := v.start(ctx); err != nil {
		return err
	}
	o.lives++
	gate.admit(len(o.workload.lanes[0].slices))
	if err := v.whileAlive(ctx, said); err != nil {
		return err
	}
	if err := o.books.await(ctx, "all is paid", func(view projections.View) (bool, error) {
		select {
		case <-v.process.ended:
			return false, errors.Join(errDied, v.process.err)
		default:
			return o.workload.isSettled(ctx, view)
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
