// Package clerk knows how claims become facts: it reads one shard of intake, decides with
// domain/ledger, and appends the answers to the same shard of the ledger.
//
// A clerk keeps nothing of its own. After any crash it makes its state again from the ledger and goes
// on where the ledger ends. A second clerk on the same shard does no harm: each entry names the offset
// that it was decided for, so what the slower one appends is void (ledger.Void), and it notices,
// because its append did not land where it expected.
package clerk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/ledger"
	"github.com/filature/filature/domain/signing"
	"github.com/filature/filature/eventstore"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

const (
	// batchRecords is how many intake records are decided between two appends. More would not share
	// the sync noticeably better and would make a lost race dearer.
	batchRecords = 1024
	// batchBytes bounds the entries of one append; it stays well below what a log takes at once.
	batchBytes = 4 << 20
	// maxReloads is how often in a row a clerk starts again from the log and finds that nobody has
	// answered anything since. One that always loses to another clerk is no trouble, as then the other
	// one works; but appends that fail again and again are.
	maxReloads = 20
	// reloadPause is waited before each of them, and once more for each in a row, so that all together
	// last longer than a log takes to come back.
	reloadPause = 25 * time.Millisecond
	// tickEvery is how often a shard may ask for a tick: a tick is a record for ever, and a log whose
	// clock is behind ours would get one after the other.
	tickEvery = 100 * time.Millisecond
)

// Clock lets log time pass where nobody speaks. Tick appends a Tick claim to a shard of intake; it
// may be lost or doubled, since the next idle moment asks again.
type Clock interface {
	Tick(ctx context.Context, shard domain.Shard) error
}

// Config says what a clerk works on. Clock and Now go together: without them nothing is due until
// somebody speaks.
type Config struct {
	Shard    domain.Shard
	Intake   eventstore.Reader
	Ledger   eventstore.Log
	Genesis  *v1.Genesis // what an empty control ledger begins with
	Verifier *signing.Verifier
	Entropy  io.Reader // for checking signatures in batches: see signing.Batch
	Clock    Clock
	Now      func() time.Time
	// Decided is told of each entry that this clerk knows to stand in the ledger, in order, by the clerk's own
	// goroutine, so it must not wait. It is for counting: an entry whose append was kept although it failed is never
	// told. It may be nil.
	Decided func(*v1.Entry)
}

// Clerk is the writer of one shard of the ledger. Run owns it.
type Clerk struct {
	cfg    Config
	state  *ledger.State
	batch  *signing.Batch
	ticked time.Time // when the clock was asked last, by Now

	answered atomic.Int64
}

// New returns a clerk that has not looked at its logs yet.
func New(cfg Config) *Clerk {
	return &Clerk{cfg: cfg, batch: cfg.Verifier.NewBatch(batchRecords)}
}

// Answered is the intake offset up to which (exclusive) this clerk knows the answers to be durable.
func (c *Clerk) Answered() domain.Offset { return domain.Offset(c.answered.Load()) }

// What stands in the ledger is not what the state in memory says; the log is right.
var (
	errLostRace = errors.New("another clerk wrote to this shard")
	errUnsure   = errors.New("the fate of an append is unknown")
)

// Run decides until the context ends, and then returns nil. Any other return says why the shard can
// make no progress: the log failed or is damaged, or the entries in it do not follow from each other.
func (c *Clerk) Run(ctx context.Context) error {
	var (
		reloads int
		before  domain.Offset
	)
	for ctx.Err() == nil {
		err := c.turn(ctx)
		if now := c.Answered(); now > before {
			reloads, before = 0, now
		}
		switch {
		case ctx.Err() != nil: // told to stop
		case (errors.Is(err, errLostRace) || errors.Is(err, errUnsure)) && reloads < maxReloads:
			c.state = nil
			reloads++
			select {
			case <-ctx.Done():
			case <-time.After(time.Duration(reloads) * reloadPause):
			}
		case err != nil:
			return fmt.Errorf("clerk of shard %d: %w", c.cfg.Shard, err)
		}
	}
	return nil
}

// turn answers one batch, or waits until there is something to answer.
func (c *Clerk) turn(ctx context.Context) error {
	if c.state == nil {
		state, err := Load(ctx, c.cfg.Ledger, c.cfg.Shard)
		if err != nil {
			return err
		}
		c.state = state
		if err := c.begin(ctx); err != nil {
			return err
		}
		c.answered.Store(int64(c.state.NextIntake()))
	}
	records, err := c.cfg.Intake.Read(ctx, c.cfg.Shard, c.state.NextIntake(), batchRecords)
	if err != nil {
		return fmt.Errorf("read intake: %w", err)
	}
	if len(records) == 0 {
		return c.idle(ctx)
	}
	return c.answer(ctx, records)
}

// Load makes the state of a shard out of its ledger, up to the ledger's present end. What control said
// is read as far as the shard's pins go.
func Load(ctx context.Context, log eventstore.Reader, shard domain.Shard) (*ledger.State, error) {
	end, err := log.End(ctx, shard)
	if err != nil {
		return nil, fmt.Errorf("load shard %d: %w", shard, err)
	}
	state := ledger.New(shard)
	err = eventstore.Each(ctx, log, shard, 0, end, func(rec eventstore.Record) error {
		entry, err := eventstore.DecodeEntry(shard, rec)
		if err != nil {
			return err
		}
		if pin := entry.GetPin(); pin != nil && !ledger.Void(rec.Offset, entry) {
			if err := learn(ctx, log, state, domain.Offset(pin.ControlOffset)); err != nil {
				return err
			}
		}
		return state.Evolve(rec.Offset, entry)
	})
	if err != nil {
		return nil, fmt.Errorf("load shard %d: %w", shard, err)
	}
	return state, nil
}

// learn tells a data shard what control decided, up to an offset.
func learn(ctx context.Context, log eventstore.Reader, state *ledger.State, to domain.Offset) error {
	return eventstore.Each(ctx, log, domain.Control, state.KnowsControlTo(), to, func(rec eventstore.Record) error {
		entry, err := eventstore.DecodeEntry(domain.Control, rec)
		if err != nil {
			return err
		}
		return state.Learn(rec.Offset, entry)
	})
}

// begin writes the genesis where control's ledger is empty, and refuses a ledger that began
// otherwise. A data shard waits until control has begun: without a network it would refuse whatever it
// is told, for ever.
func (c *Clerk) begin(ctx context.Context) error {
	if c.cfg.Shard != domain.Control {
		if err := c.cfg.Ledger.Wait(ctx, domain.Control, 0); err != nil {
			return fmt.Errorf("wait for control to begin: %w", err)
		}
		return nil
	}
	want, err := ledger.NetworkIDOf(c.cfg.Genesis)
	if err != nil {
		return fmt.Errorf("genesis: %w", err)
	}
	if c.state.NextEntry() > 0 {
		if have := c.state.Network(); have != want {
			return fmt.Errorf("this ledger is of network %s, the configuration's is %s", have, want)
		}
		return nil
	}
	entry, err := c.state.Begin(c.cfg.Genesis)
	if err != nil {
		return err
	}
	return c.append(ctx, []*v1.Entry{entry})
}

// nextDueMs is when log time has something to do in the shard: what the state says, or the end of a month, so that months
// end in shards where nobody speaks, too, and their documents are final.
func (c *Clerk) nextDueMs() int64 {
	monthMs := domain.NextMonth(max(c.state.NowMs(), c.cfg.Genesis.GetCreatedAtMs()))
	if dueMs, ok := c.state.NextDueMs(); ok {
		return min(dueMs, monthMs)
	}
	return monthMs
}

// idle waits for the next record. Where something is due before one comes, it asks the clock to speak.
func (c *Clerk) idle(ctx context.Context) error {
	wait := ctx
	if c.cfg.Clock != nil {
		dueMs, now := c.nextDueMs(), c.cfg.Now()
		left := max(time.UnixMilli(dueMs).Sub(now), c.ticked.Add(tickEvery).Sub(now))
		if left <= 0 {
			if err := c.cfg.Clock.Tick(ctx, c.cfg.Shard); err != nil {
				return fmt.Errorf("tick: %w", err)
			}
			c.ticked, left = now, tickEvery
		}
		var cancel context.CancelFunc
		wait, cancel = context.WithTimeout(ctx, left)
		defer cancel()
	}
	err := c.cfg.Intake.Wait(wait, c.cfg.Shard, c.state.NextIntake())
	if err != nil && wait.Err() != nil && ctx.Err() == nil {
		return nil // something is due now
	}
	if err != nil {
		return fmt.Errorf("wait for intake: %w", err)
	}
	return nil
}

// answer decides a batch and makes the answers durable, in appends that a log takes.
func (c *Clerk) answer(ctx context.Context, records []eventstore.Record) error {
	said, err := c.hear(records)
	if err != nil {
		return err
	}
	// Intake was read before control's end is asked for: whatever a gateway knew of control when it
	// let a record in, this shard knows too when it decides on it.
	entries, err := c.pin(ctx)
	if err != nil {
		return err
	}
	size := 0
	for _, s := range said {
		entry, err := c.state.Step(s)
		if err != nil {
			return err
		}
		if n := entry.SizeVT(); size+n > batchBytes && len(entries) > 0 {
			if err := c.append(ctx, entries); err != nil {
				return err
			}
			entries, size = nil, n
		} else {
			size += n
		}
		entries = append(entries, entry)
	}
	return c.append(ctx, entries)
}

// hear reads records and checks all their signatures together, also those of keys that are not known
// yet: a record before theirs may register them.
func (c *Clerk) hear(records []eventstore.Record) ([]ledger.Said, error) {
	said := make([]ledger.Said, len(records))
	signed := make([]int, 0, len(records))
	for i, rec := range records {
		var report *v1.SignedReport
		said[i], report = ledger.Read(rec.Offset, rec.Time.UnixMilli(), rec.Value)
		if said[i].Report != nil {
			c.batch.Add(domain.KeyID(said[i].Report.Signer), report.Report, report.Signature)
			signed = append(signed, i)
		}
	}
	verdicts, err := c.batch.Verify(c.cfg.Entropy)
	if err != nil {
		return nil, fmt.Errorf("check signatures: %w", err)
	}
	for n, i := range signed {
		said[i].Signed = verdicts[n]
	}
	return said, nil
}

// pin learns what control decided since, and says so in this shard's ledger.
func (c *Clerk) pin(ctx context.Context) ([]*v1.Entry, error) {
	if c.cfg.Shard == domain.Control {
		return nil, nil
	}
	end, err := c.cfg.Ledger.End(ctx, domain.Control)
	if err != nil {
		return nil, fmt.Errorf("end of control: %w", err)
	}
	if end == c.state.KnowsControlTo() {
		return nil, nil
	}
	if err := learn(ctx, c.cfg.Ledger, c.state, end); err != nil {
		return nil, err
	}
	entry, err := c.state.Pin()
	if err != nil {
		return nil, err
	}
	return []*v1.Entry{entry}, nil
}

// append makes entries durable. They are already in the state, so an error of any kind, a crash
// included, means that the state is thrown away and made again from the log, where the entries either
// stand or do not.
func (c *Clerk) append(ctx context.Context, entries []*v1.Entry) error {
	values := make([][]byte, len(entries))
	for i, entry := range entries {
		raw, err := v1.Encode(entry)
		if err != nil {
			return fmt.Errorf("entry %d: %w", entry.Offset, err)
		}
		values[i] = raw
	}
	base, err := c.cfg.Ledger.Append(ctx, c.cfg.Shard, values)
	switch {
	case errors.Is(err, eventstore.ErrFailed) || errors.Is(err, eventstore.ErrClosed):
		return fmt.Errorf("append from entry %d: %w", entries[0].Offset, err)
	case err != nil:
		return fmt.Errorf("append from entry %d: %w: %w", entries[0].Offset, errUnsure, err)
	}
	if int64(base) != entries[0].Offset {
		return fmt.Errorf("append landed at %d, meant for %d: %w", base, entries[0].Offset, errLostRace)
	}
	if c.cfg.Decided != nil {
		for _, entry := range entries {
			c.cfg.Decided(entry)
		}
	}
	// The state may have taken in one answer more than is in these entries.
	if answer := entries[len(entries)-1].GetAnswer(); answer != nil {
		c.answered.Store(answer.IntakeOffset + 1)
	}
	return nil
}
