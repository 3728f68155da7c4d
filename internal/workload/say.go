package workload

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/filature/filature/projections"
)

// Say says all that there is to say: who takes part, then their accounts, and, when the deposits are booked, the
// jobs. Books are for what has to be heard before one can go on; deposit pays a lane's coins in. flowing is
// closed when jobs begin to flow. Say returns when everything is acknowledged.
func (w *Workload) Say(ctx context.Context, s *Sender, books *Books, deposit func(context.Context, *Lane) error, flowing chan<- struct{}) (err error) {
	if s.network, err = askNetwork(ctx, s.url); err != nil {
		return fmt.Errorf("ask for the network: %w", err)
	}
	if err := books.Await(ctx, "the network is set up", isSetUp); err != nil {
		return err
	}
	said := int64(0)
	answered := func(ctx context.Context, view projections.View) (bool, error) {
		reports, _, _, err := w.reported(ctx, view)
		return reports == said, err
	}
	for n, slice := range w.founding.slices {
		if err := s.run(ctx, &w.founding, n, n+1); err != nil {
			return err
		}
		said += int64(len(slice))
		if err := books.Await(ctx, "everybody is registered", answered); err != nil {
			return err
		}
	}
	opening, openingCtx := errgroup.WithContext(ctx)
	for _, lane := range w.Lanes {
		opening.Go(func() error { return s.run(openingCtx, lane, 0, 1) })
		said += int64(len(lane.slices[0]))
	}
	if err := opening.Wait(); err != nil {
		return err
	}
	// An account that has a deposit before it was opened is an admin's to open.
	if err := books.Await(ctx, "all accounts are open", answered); err != nil {
		return err
	}
	paying, payingCtx := errgroup.WithContext(ctx)
	for _, lane := range w.Lanes {
		paying.Go(func() error { return deposit(payingCtx, lane) })
	}
	if err := paying.Wait(); err != nil {
		return err
	}
	if err := books.Await(ctx, "all deposits are booked", func(ctx context.Context, view projections.View) (bool, error) {
		_, booked, err := depositsOf(ctx, view)
		return booked >= len(w.Lanes), err
	}); err != nil {
		return err
	}
	close(flowing)
	lanes, lanesCtx := errgroup.WithContext(ctx)
	for _, lane := range w.Lanes {
		lanes.Go(func() error { return s.run(lanesCtx, lane, 1, len(lane.slices)) })
	}
	return lanes.Wait()
}

func isSetUp(ctx context.Context, view projections.View) (bool, error) {
	for network, err := range projections.RowsOf(ctx, view, projections.TheNetwork) {
		if err != nil || network.ParametersSet.AtMs != 0 {
			return true, err
		}
	}
	return false, nil
}
