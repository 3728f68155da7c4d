package sdk

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/signing"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

const (
	// reportClaims is how many claims share a signature: enough to make it cheap, few enough that a
	// report which the gateway refuses takes few claims with it.
	reportClaims = 64
	// reportBytes bounds the claims of one report, with room left for its header.
	reportBytes = 900_000
)

// filling is what was taken and is not in the spool yet.
type filling struct {
	drafts map[domain.Shard]*draft
	signed [][]byte // reports in the order of their numbers
	size   int64    // of signed
	last   uint64   // number of the last report
	taken  uint64   // claims that were ever taken
	kept   uint64   // how many of them are in the spool
}

// draft is a report that is being filled.
type draft struct {
	claims []*v1.Claim
	size   int
}

// Emit is Add and Flush: when it returns nil the claims are durable.
func (e *Emitter) Emit(ctx context.Context, shard domain.Shard, claims ...*v1.Claim) error {
	if err := e.Add(ctx, shard, claims...); err != nil {
		return err
	}
	return e.Flush(ctx)
}

// Add takes claims for a shard, and waits while the spool is full, until Run or Deliver made room, or the
// context ends: then its error is that and ErrSpoolFull. They become durable when Run has let them linger,
// or with Flush. Either all are taken or, with an error, none. Do not change them before they are durable.
func (e *Emitter) Add(ctx context.Context, shard domain.Shard, claims ...*v1.Claim) error {
	for {
		room, err := e.tryAdd(ctx, shard, claims)
		if room == nil {
			return err
		}
		select {
		case <-room:
		case <-e.life.Done():
			return e.broken()
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", err, ctx.Err())
		}
	}
}

// TryAdd is Add, but a full spool is ErrSpoolFull at once.
func (e *Emitter) TryAdd(ctx context.Context, shard domain.Shard, claims ...*v1.Claim) error {
	_, err := e.tryAdd(ctx, shard, claims)
	return err
}

// tryAdd takes claims. If there is no room it returns what will be closed when there is some.
func (e *Emitter) tryAdd(ctx context.Context, shard domain.Shard, claims []*v1.Claim) (room <-chan struct{}, err error) {
	if err := e.broken(); err != nil {
		return nil, err
	}
	n, err := e.Network(ctx) // which asks only the first time
	if err != nil {
		return nil, err
	}
	size, err := e.check(n, shard, claims)
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	if e.held+size > e.cfg.MaxSpoolBytes && e.held > 0 {
		defer e.mu.Unlock()
		return e.room, fmt.Errorf("%d bytes of at most %d: %w", e.held, e.cfg.MaxSpoolBytes, ErrSpoolFull)
	}
	err = e.take(shard, claims)
	much := len(e.filling.signed) >= appendReports || e.filling.size >= appendBytes
	e.mu.Unlock()
	if err == nil && much { // sooner than Run would: memory is bounded
		err = e.Flush(ctx)
	}
	signal(e.added)
	return nil, err
}

// check says what claims can't be taken, ever, or how many bytes they have.
func (e *Emitter) check(n Network, shard domain.Shard, claims []*v1.Claim) (size int64, err error) {
	if shard < 0 || int(shard) > n.DataShards {
		return 0, fmt.Errorf("shard %d: this network has 0 to %d", shard, n.DataShards)
	}
	for i, c := range claims {
		if err := c.Check(); err != nil {
			return 0, fmt.Errorf("claims[%d]: %w", i, err)
		}
		bytes := c.SizeVT()
		if bytes > reportBytes {
			return 0, fmt.Errorf("claims[%d]: has %d bytes, at most %d are allowed: %w", i, bytes, reportBytes, ErrTooLarge)
		}
		size += int64(bytes)
	}
	if size > e.cfg.MaxSpoolBytes {
		return 0, fmt.Errorf("%d bytes, the spool holds %d: %w", size, e.cfg.MaxSpoolBytes, ErrTooLarge)
	}
	return size, nil
}

// take puts claims into drafts. It needs mu.
func (e *Emitter) take(shard domain.Shard, claims []*v1.Claim) error {
	f := &e.filling
	d := f.drafts[shard]
	if d == nil {
		d = &draft{}
		f.drafts[shard] = d
	}
	for _, c := range claims {
		bytes := c.SizeVT()
		if len(d.claims) == reportClaims || d.size+bytes > reportBytes {
			if err := e.sign(shard, d); err != nil {
				return err
			}
		}
		d.claims, d.size = append(d.claims, c), d.size+bytes
		e.held += int64(bytes)
	}
	f.taken += uint64(len(claims))
	return nil
}

// sign ends a draft. Reports are numbered by the clock, in microseconds, so that the numbers grow even if
// the spool is lost. It needs mu, so that they are signed in the order of their numbers.
func (e *Emitter) sign(shard domain.Shard, d *draft) error {
	f := &e.filling
	f.last = max(f.last+1, uint64(max(e.cfg.Now().UnixMicro(), 0))) // a clock before 1970 has no say
	report, err := signing.Report(e.cfg.Key, e.network.ID, shard, f.last, d.claims)
	if err != nil {
		return e.fail(err) // claims that were taken would be lost
	}
	f.signed, f.size = append(f.signed, report), f.size+int64(len(report))
	e.held += int64(len(report) - d.size)
	*d = draft{}
	return nil
}

// Flush makes all that was added durable, in the order in which it was added to each shard. After an
// error nobody knows what was kept: Close, Open again, and Waiting tells.
func (e *Emitter) Flush(ctx context.Context) error {
	e.mu.Lock()
	upTo := e.filling.taken
	e.mu.Unlock()
	e.keeping.Lock() // whoever has it now may take ours along
	defer e.keeping.Unlock()
	if err := e.broken(); err != nil {
		return err
	}
	signed, taken, err := e.signAll(upTo)
	if err != nil || len(signed) == 0 {
		return err
	}
	if err := e.spool.append(ctx, signed); err != nil {
		return e.fail(err)
	}
	e.mu.Lock()
	e.filling.kept = taken
	e.mu.Unlock()
	signal(e.kept)
	return nil
}

// signAll ends all drafts and returns what is to be kept, with how many claims were taken by then. It
// returns nothing if so many claims are kept already.
func (e *Emitter) signAll(upTo uint64) (signed [][]byte, taken uint64, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	f := &e.filling
	if f.kept >= upTo {
		return nil, 0, nil
	}
	for _, shard := range slices.Sorted(maps.Keys(f.drafts)) {
		if d := f.drafts[shard]; len(d.claims) > 0 {
			if err := e.sign(shard, d); err != nil {
				return nil, 0, err
			}
		}
	}
	signed, f.signed, f.size = f.signed, nil, 0
	return signed, f.taken, nil
}

// signal puts a token into a channel that holds one.
func signal(to chan struct{}) {
	select {
	case to <- struct{}{}:
	default: // whoever waits there has yet to look
	}
}
