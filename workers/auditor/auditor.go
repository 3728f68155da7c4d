// Package auditor knows whether to believe a ledger. It trusts nothing that it is handed: it checks
// every signature, makes every entry again from what was said, and compares the two byte for byte; it
// makes every batch again and compares it with the ledger and with the chain; it folds every read
// model again and compares each row; it has the books counted a second time by a program that shares no
// code with all this (package recount). It ends in a verdict, and names what is wrong by log, shard and
// offset.
//
// One thing in a ledger is not decided by anybody's claim: how far a clerk had read control when it wrote
// a pin. So a pin that was moved shows in the first entry that it would have decided otherwise. Where it
// changes no decision it is as good as the true one, until a batch is sealed over it: the batch holds the
// tree head of every shard, and so shows the change.
//
// An audit reads and never writes. It goes on after an offence where that makes sense: a shard ends
// where it can't be believed any more, the others go on, so that one run names all that is wrong.
package auditor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/settlement"
	"github.com/filature/filature/domain/signing"
	"github.com/filature/filature/eventstore"
	"github.com/filature/filature/projections"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// Chain is the vault, as an auditor reads it.
type Chain interface {
	// Look returns the vault as of the newest final block.
	Look(ctx context.Context) (settlement.Seen, error)
	// Next returns what the vault did since its birth as claims, oldest first, page by page, and the
	// logical time up to which everything was returned. Nothing new is no claims and the same time
	// again.
	Next(ctx context.Context) (claims []*v1.Claim, upToLT uint64, err error)
}

// Folder is what was found when every byte of a log's files was read.
type Folder struct {
	Log   LogName
	Files int
	Bytes int64
	// Damage is the first byte that is not as it was written; nil where there is none.
	Damage *Damage
}

// Damage names a byte of a file.
type Damage struct {
	File   string
	Byte   int64
	Record *domain.Position // the first record that can't be trusted, where it can be told
	Why    string
}

// Config says what an audit looks at.
type Config struct {
	// Files reads all files of the logs. It is nil for logs that are no files. Its error means that
	// the files could not be read at all.
	Files func(context.Context) ([]Folder, error)
	// Intake and Ledger are the two logs. They may go on growing; what comes after the start is left
	// to the next audit. Both are nil where a log is so damaged that it could not be opened: then Files
	// has to say why.
	Intake, Ledger eventstore.Reader
	// Genesis is what the ledger has to begin with; nil takes any.
	Genesis  *v1.Genesis
	Verifier *signing.Verifier
	Entropy  io.Reader // for checking signatures in batches: see signing.Batch
	// Published are heads of the ledger's trees that were told to others before. Nil where there are none: then the report has
	// no such step.
	Published *Published
	// Store has the read models that people look at. It is nil where there are none to compare.
	Store projections.Store
	// Scratch makes an empty store to fold read models into again, and returns what ends it and throws it away. What it holds
	// in memory is bounded, however many rows there are. Nil is a store in memory, for small ledgers. With Saved it may be a
	// store that an earlier run of this audit folded into, and that is kept.
	Scratch func(ctx context.Context) (store projections.Store, discard func() error, err error)
	// Chain is nil where the chain is out of reach. Then nobody vouches that the log was not rewritten
	// as a whole, and the report says so.
	Chain Chain
	// Saved keeps how far this audit has come, so that another run goes on from there. Nil keeps nothing.
	Saved *Saved
	// Progress is told now and then how much is done, by one goroutine at a time. It may be nil.
	Progress func(done, total int64, what string)
}

// Audit does it all and returns what it found. An error means that the context ended, that what was saved does not fit
// (ErrOtherState), or that nothing could be saved: whatever else goes wrong is in the report.
func Audit(ctx context.Context, cfg Config) (Report, error) {
	a := &audit{cfg: cfg}
	steps := []func(context.Context) Step{
		a.readFiles, a.remakeEntries, a.remakeBatches, a.readChain, a.remakeRows, a.countMoney, a.countAgain,
	}
	if cfg.Published != nil {
		const behindEntries = 2
		steps = slices.Insert(steps, behindEntries, a.compareHeads)
	}
	for _, step := range steps {
		before := a.offences.count()
		made := step(ctx)
		made.Offences = a.offences.count() - before
		a.report.Steps = append(a.report.Steps, made)
		if a.failed != nil {
			return Report{}, fmt.Errorf("audit: %w", a.failed)
		}
		if err := errors.Join(ctx.Err(), a.cfg.Saved.flush()); err != nil {
			return Report{}, fmt.Errorf("audit: %w", err)
		}
	}
	return a.finish(ctx), nil
}

// audit is one run.
type audit struct {
	cfg      Config
	report   Report
	offences offences
	progress progress
	failed   error // what ends the audit

	shards []*replay
	// vault is what the chain says; nil where it was not looked at or did not answer.
	vault *vault
}

func (a *audit) finish(ctx context.Context) Report {
	a.report.Offences, a.report.Totals = a.offences.list, a.offences.totals
	a.report.Decoded = a.decodeFirst(ctx)
	a.report.Verdict = a.report.verdict()
	return a.report
}

// readFiles has every byte of every file read.
func (a *audit) readFiles(ctx context.Context) Step {
	step := Step{Name: "files"}
	if a.cfg.Files == nil {
		return step.skip("the logs are not kept in files")
	}
	a.progress.begin(a.cfg.Progress, 0, "reading files")
	folders, err := a.cfg.Files(ctx)
	if err != nil {
		return step.stop(err)
	}
	var files, bytes int64
	for _, f := range folders {
		files += int64(f.Files)
		bytes += f.Bytes
		if d := f.Damage; d != nil {
			offence := Offence{Kind: DamagedFile, Log: f.Log, File: d.File, Byte: d.Byte, Why: d.Why}
			if d.Record != nil {
				offence.At = placeOf(d.Record.Shard, d.Record.Offset)
			}
			a.offences.add(offence)
		}
	}
	return step.done(count(files, "files"), count(bytes, "bytes"))
}

// remakeEntries makes each entry of the ledger again: control first, as the other shards have to be
// told of it, then those side by side.
func (a *audit) remakeEntries(ctx context.Context) Step {
	step := Step{Name: "ledger"}
	if a.cfg.Intake == nil || a.cfg.Ledger == nil {
		return step.skip("the logs could not be opened")
	}
	if have, want := a.cfg.Intake.Shards(), a.cfg.Ledger.Shards(); have != want {
		a.offences.add(Offence{Kind: UnreadableLog, Log: Intake, Why: fmt.Sprintf("has %d shards, the ledger %d", have, want)})
		return step.stop(errShards)
	}
	total, err := a.cut(ctx)
	if err == nil {
		err = a.compareSaved(ctx)
	}
	if errors.Is(err, ErrOtherState) {
		a.failed = err
	}
	if err != nil {
		return step.stop(err)
	}
	a.progress.begin(a.cfg.Progress, total, "making the ledger again")
	control := a.shards[domain.Control]
	control.run(ctx)
	if control.failed != nil {
		a.failed = control.failed
		return step.stop(control.failed)
	}
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for _, shard := range a.shards[domain.Control+1:] {
		shard.control = control
		group.Go(func() error {
			shard.run(groupCtx)
			return nil
		})
	}
	_ = group.Wait() // run has no way to fail: what it meets is in its shard
	for _, shard := range a.shards {
		if shard.failed != nil {
			a.failed = shard.failed
			return step.stop(shard.failed)
		}
	}
	a.sayResumed()
	var entries, facts, signatures, postings int64
	for _, shard := range a.shards {
		entries += int64(shard.summary.Checked)
		facts += shard.summary.Facts
		signatures += shard.summary.Signatures
		postings += shard.summary.Postings
		a.report.Shards = append(a.report.Shards, shard.summary)
		for _, offence := range shard.offences {
			a.offences.add(offence)
		}
		if shard.summary.Why != "" {
			step = step.stop(fmt.Errorf("shard %d: %s", shard.shard, shard.summary.Why))
		}
	}
	if network := control.state.Network(); network != (domain.NetworkID{}) {
		a.report.Network = network.String()
	}
	return step.done(count(entries, "entries"), count(facts, "facts"), count(postings, "postings"), count(signatures, "signatures"))
}

var errShards = errors.New("the logs have different numbers of shards")

// cut decides up to where this audit looks. Control's end is taken first: then a batch that it holds
// was cut within the ends of the other shards, and a pin beyond it is younger than this audit. Intake
// is taken last, as whatever was answered was said before. An audit that goes on goes to where it began to go.
func (a *audit) cut(ctx context.Context) (total int64, err error) {
	cut := make([]savedShard, a.cfg.Ledger.Shards())
	for shard := range cut {
		if cut[shard].LedgerEnd, err = a.cfg.Ledger.End(ctx, domain.Shard(shard)); err != nil {
			return 0, fmt.Errorf("end of ledger %d: %w", shard, err)
		}
	}
	for shard := range cut {
		if cut[shard].IntakeEnd, err = a.cfg.Intake.End(ctx, domain.Shard(shard)); err != nil {
			return 0, fmt.Errorf("end of intake %d: %w", shard, err)
		}
	}
	if a.cfg.Saved != nil {
		if cut, err = a.cfg.Saved.begin(a.cfg.Genesis, cut); err != nil {
			return 0, err
		}
	}
	shards := make([]*replay, len(cut))
	for shard := range cut {
		shards[shard] = newReplay(a.cfg, domain.Shard(shard), cut[shard], &a.progress)
		total += int64(cut[shard].LedgerEnd)
	}
	a.shards = shards
	return total, nil
}

// progress counts what is done, for a terminal.
type progress struct {
	mu          sync.Mutex
	tell        func(done, total int64, what string)
	done, total int64
	what        string
}

func (p *progress) begin(tell func(done, total int64, what string), total int64, what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tell, p.done, p.total, p.what = tell, 0, total, what
	if tell != nil {
		tell(0, total, what)
	}
}

func (p *progress) add(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done += n
	if p.tell != nil {
		p.tell(p.done, p.total, p.what)
	}
}
