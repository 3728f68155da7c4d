package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// stayRest and stayWave make some twelve jobs a second: enough to see figures move, and for a laptop to stay cool.
	stayRest = 250 * time.Millisecond
	stayWave = 3
	// stayMischief is a round of mischief every half a minute.
	stayMischief = 120
	// stayJobs is how many jobs are drawn at once: a minute's.
	stayJobs = 720
	// stayBatch is the least time between two batches: so long that one looks at a batch before the next one is there, and
	// so short that one waits for it.
	stayBatch = 20 * time.Second
	// stayAudit is the time between two audits: short enough to see one, and a few seconds' work while the folder is small.
	stayAudit = time.Minute
	// stayAttest is how often workers are attested again: sooner than their results expire.
	stayAttest = 45 * time.Minute
)

// stay goes on with the demo's network, on the folder that it left, until the context ends. Jobs come, batches are sealed,
// and nobody claims for a provider but who clicks: so there is something to click. It closes the listener.
func (c *demoCmd) stay(ctx context.Context, out *console, listener net.Listener) error {
	log := slog.New(slog.NewTextHandler(out.err, &slog.HandlerOptions{Level: slog.LevelWarn}))
	p, err := openEmbedded(ctx, c.Data, c.Shards, chainFlags{}, time.Now, log)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	r := embeddedRoles()
	r[roleAuditor] = true
	if err := p.auditsFolder(c.Data, stayAudit, headFlags{}, chainFlags{}); err != nil {
		return errors.Join(err, p.close(), listener.Close())
	}
	e, err := newEngine(ctx, p, log, r, settleOptions{every: stayBatch}, nil)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	c.world.engine = e
	// Who serves goes on until it is told to stop; who makes jobs has to be through with it before.
	making, stopMaking := context.WithCancel(ctx)
	group, groupCtx := errgroup.WithContext(making)
	group.Go(func() error {
		defer stopMaking()
		return e.serve(groupCtx, listener)
	})
	group.Go(func() error {
		err := c.goOn(groupCtx, out, listener.Addr())
		if groupCtx.Err() != nil {
			return nil //nolint:nilerr // it was told to stop
		}
		return err
	})
	err = group.Wait()
	stopMaking()
	return errors.Join(err, e.close())
}

// goOn makes jobs at an easy pace until the context ends.
func (c *demoCmd) goOn(ctx context.Context, out *console, address net.Addr) error {
	w := c.world
	select {
	case <-w.engine.ready:
	case <-ctx.Done():
		return nil
	}
	w.dismissUnproven()
	out.stepf("\nThe network goes on, with some twelve jobs a second and a batch every %s; providers claim for themselves.\n", stayBatch)
	out.stepf("  http://%s/\n\nOpen it, look at a provider, and click Claim. Ctrl-C ends it.", address)
	lots := rand.New(rand.NewPCG(c.Seed, 3)) //nolint:gosec // a demo is to be repeated, not guarded
	t := newTraffic(w, lots, c.Trace == "")
	t.pace = pace{wave: stayWave, mischief: stayMischief, rest: stayRest}
	var attested time.Time
	for {
		if time.Since(attested) >= stayAttest {
			if err := w.attest(ctx, w.workers...); err != nil {
				return fmt.Errorf("attest again: %w", err)
			}
			attested = time.Now()
		}
		if err := t.run(ctx, drawJobs(lots, stayJobs), func(int) {}); err != nil {
			return fmt.Errorf("stream jobs: %w", err)
		}
	}
}
