package sdk

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

const (
	// firstPause is short: a request that met a dead connection costs one try.
	firstPause = 100 * time.Millisecond
	// lastPause is how long a gateway that is back may be idle before a worker notices, and long enough
	// that those of a large fleet are no load while it is not.
	lastPause = 10 * time.Second
)

// errTrouble marks what the gateway, or the way to it, did not do. The same bytes may be sent again.
var errTrouble = errors.New("gateway does not answer as it should")

// Run makes durable what was added, once it has lingered, and delivers what is in the spool, until the
// context ends; then it returns nil, with all that was added in the spool. While the gateway is down, busy
// or mistaken it tries again, for ever, with pauses of up to ten seconds. It returns an error if the spool
// fails, the emitter is closed, or the gateway is of another network.
//
// What is in the spool when Run ends waits there for the next one. Deliver empties it.
func (e *Emitter) Run(ctx context.Context) error {
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() error { return e.keepAll(groupCtx) })
	group.Go(func() error { return e.sendAll(groupCtx) })
	return group.Wait()
}

// keepAll flushes a while after something was added, and once more when it is told to stop.
func (e *Emitter) keepAll(ctx context.Context) error {
	for told := false; !told; {
		select {
		case <-e.life.Done():
		case <-ctx.Done():
			told = true
		case <-e.added:
			e.pause(ctx, e.cfg.Linger)
		}
		if err := e.Flush(ctx); err != nil {
			return err
		}
	}
	return nil
}

// sendAll sends whatever is in the spool.
func (e *Emitter) sendAll(ctx context.Context) error {
	for failures := 0; ctx.Err() == nil; {
		if e.Waiting() == 0 {
			select {
			case <-e.kept:
			case <-e.life.Done():
				return e.broken()
			case <-ctx.Done():
			}
			continue
		}
		err := e.sendNext(ctx)
		switch {
		case err == nil:
			failures = 0
		case ctx.Err() != nil: // told to stop
		case !errors.Is(err, errTrouble):
			return err
		default:
			failures++
			e.cfg.Trouble(err)
			if err := e.pauseAfter(ctx, failures, lastPause); err != nil {
				return err
			}
		}
	}
	return nil
}

// Deliver flushes, and then sends until all is answered that was in the spool by then. While the gateway
// is down or busy it tries again, and ends with ErrUnreachable after a while. It may be called while Run
// runs.
func (e *Emitter) Deliver(ctx context.Context) error {
	if err := e.Flush(ctx); err != nil {
		return err
	}
	for end := e.spool.end(); e.spool.done() < end; {
		if err := e.patiently(ctx, e.sendNext); err != nil {
			return fmt.Errorf("deliver, %d reports wait: %w", e.Waiting(), err)
		}
	}
	return nil
}

// patiently does something until it succeeds, fails for good, or has paused as long as the emitter is
// patient.
func (e *Emitter) patiently(ctx context.Context, do func(context.Context) error) error {
	begun := time.Now()
	for failures := 1; ; failures++ {
		err := do(ctx)
		if !errors.Is(err, errTrouble) || isPermanent(err) {
			return err
		}
		left := e.cfg.Patience - time.Since(begun)
		if left <= 0 || ctx.Err() != nil {
			return fmt.Errorf("%w: %w", ErrUnreachable, err)
		}
		if err := e.pauseAfter(ctx, failures, min(left, lastPause)); err != nil {
			return err
		}
	}
}

// pauseAfter waits after so many failures in a row, at most so long.
func (e *Emitter) pauseAfter(ctx context.Context, failures int, most time.Duration) error {
	var lot [8]byte
	e.mu.Lock() // a source of lots need not be safe for two
	_, err := io.ReadFull(e.cfg.Entropy, lot[:])
	e.mu.Unlock()
	if err != nil {
		return fmt.Errorf("draw a pause: %w", err)
	}
	e.pause(ctx, min(pauseBetween(failures, binary.LittleEndian.Uint64(lot[:])), most))
	return nil
}

// pauseBetween is how long to wait after so many failures in a row: twice as long after each, up to
// lastPause. Half of it is drawn by lot, so that a fleet does not come back all in one moment.
func pauseBetween(failures int, lot uint64) time.Duration {
	const doublings = 10 // beyond lastPause
	pause := min(firstPause<<min(failures-1, doublings), lastPause)
	return pause/2 + time.Duration(lot%uint64(pause/2+1))
}

// pause waits, unless the context or the emitter ends.
func (e *Emitter) pause(ctx context.Context, wait time.Duration) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	case <-e.life.Done():
	}
}

// alone speaks with the gateway while nobody else does. What is on its way ends with the emitter.
func (e *Emitter) alone(ctx context.Context, speak func(context.Context) error) error {
	select {
	case e.sending <- struct{}{}:
	case <-e.life.Done():
		return e.broken()
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-e.sending }()
	joined, done := e.within(ctx)
	defer done()
	err := speak(joined)
	if broken := e.broken(); broken != nil {
		return broken
	}
	if errors.Is(err, errTrouble) {
		e.greeted = false // whoever answers next may be another, and a small question costs less than a large body
	}
	return err
}

// within joins a caller's context to the life of the emitter.
func (e *Emitter) within(ctx context.Context) (context.Context, context.CancelFunc) {
	joined, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(e.life, func() { cancel(e.broken()) })
	return joined, func() {
		stop()
		cancel(nil)
	}
}

// greet sees to it that the gateway is of our network, and answers.
func (e *Emitter) greet(ctx context.Context) error {
	return e.alone(ctx, e.greetAlone)
}

func (e *Emitter) greetAlone(ctx context.Context) error {
	if e.greeted {
		return nil
	}
	id, shards, err := e.cfg.Gateway.Network(ctx)
	if err == nil && (id == (domain.NetworkID{}) || shards < 1) {
		err = errors.New("the network has not begun")
	}
	if err != nil {
		return fmt.Errorf("%w: ask for the network: %w", errTrouble, err)
	}
	switch n, known := (Network{id, shards}), e.known(); known {
	case n:
	case Network{}:
		if err := e.learn(n); err != nil {
			return e.fail(err)
		}
	default:
		return fmt.Errorf("spool %s is of network %s with %d data shards, the gateway of %s with %d: %w",
			e.cfg.SpoolDir, known.ID, known.DataShards, n.ID, n.DataShards, ErrOtherNetwork)
	}
	e.greeted = true
	return nil
}

// sendNext sends one body, if something waits, and takes its answer in. A crash on any line of it sends the
// same body again.
func (e *Emitter) sendNext(ctx context.Context) error {
	return e.alone(ctx, func(ctx context.Context) error {
		if e.Waiting() == 0 { // another one sent it
			return nil
		}
		if err := e.greetAlone(ctx); err != nil {
			return err
		}
		reports, err := e.spool.next(ctx)
		if err != nil {
			return err
		}
		answers, err := e.cfg.Gateway.Submit(ctx, reports)
		if err == nil && len(answers) != len(reports) {
			err = mistakeError{fmt.Errorf("%d receipts for %d reports", len(answers), len(reports))}
		}
		if err != nil {
			return fmt.Errorf("%w: %w", errTrouble, err)
		}
		return e.answered(reports, answers)
	})
}

// answered takes the answers in, and then shows them.
func (e *Emitter) answered(reports [][]byte, answers []*v1.Receipt) error {
	var (
		receipts = make([]Receipt, len(answers))
		refused  []byte
		last     uint64
		size     int64
	)
	for i, answer := range answers {
		report, err := readReport(reports[i])
		if err != nil {
			return fmt.Errorf("read our own report: %w", err)
		}
		r, err := readReceipt(answer, report)
		if err != nil {
			return fmt.Errorf("%w: %w", errTrouble, err)
		}
		if r.Status.Lost() {
			if refused, err = appendRefusal(refused, e.cfg.Now(), r, report, reports[i]); err != nil {
				return err
			}
		}
		receipts[i] = r
		last = max(last, r.Sequence)
		size += int64(len(reports[i]))
	}
	if err := e.spool.answered(reports, last, refused); err != nil {
		return e.fail(err)
	}
	e.mu.Lock()
	e.held -= size
	close(e.room)
	e.room = make(chan struct{})
	e.mu.Unlock()
	for _, r := range receipts {
		e.cfg.Receipts(r)
	}
	return nil
}
