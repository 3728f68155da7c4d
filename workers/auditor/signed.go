package auditor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore"
	"github.com/filature/filature/eventstore/tlog"
)

// Published is what the operator, and those who watch it, said of the ledger before: the heads of its trees.
type Published struct {
	// Notes are signed checkpoints, of any shard and size.
	Notes []Note
	// Told are heads that nobody signed, as an archive's manifest has them.
	Told []ToldHead
	// Policy has the keys that count, and the witnesses. Nil takes a checkpoint as its file's word.
	Policy *tlog.Policy
	// Wanted says that whoever asks for the audit named the policy: a shard without a checkpoint that meets it is not
	// passed over.
	Wanted bool
	// Key says, where it was not named, whose word the key is.
	Key string
}

// Note is a signed checkpoint, and the file that it is from.
type Note struct {
	From   string
	Signed []byte
}

// ToldHead is a head without a signature, and the file that it is from.
type ToldHead struct {
	From  string
	Shard domain.Shard
	Head  tlog.Head
}

// claimed is a head that the ledger has to lead to.
type claimed struct {
	tlog.Head
	from string
	by   string // who says so
}

var errNoCheckpoint = errors.New("no checkpoint that meets the policy")

// compareHeads makes the tree of each shard again and compares it with all heads that were published of it.
func (a *audit) compareHeads(ctx context.Context) Step {
	step := Step{Name: "checkpoints"}
	if len(a.shards) == 0 {
		return step.skip("the ledger was not made again")
	}
	p := a.cfg.Published
	heads := make([][]claimed, len(a.shards))
	for _, told := range p.Told {
		if told.Shard >= 0 && int(told.Shard) < len(heads) {
			heads[told.Shard] = append(heads[told.Shard], claimed{told.Head, told.From, "nobody"})
		}
	}
	signed, witnessed := a.openNotes(p, heads)
	under, err := a.makeTrees(ctx, heads)
	if err != nil {
		step = step.stop(err)
	}
	if p.Wanted {
		for shard, row := range a.report.Shards {
			if row.SignedTo == 0 && a.shards[shard].end > 0 {
				step = step.stop(fmt.Errorf("shard %d: %w (%s)", shard, errNoCheckpoint, p.Policy.Quorum()))
			}
		}
	}
	step = step.done(count(signed, "checkpoints"), count(witnessed, "witness signatures"), count(under, "entries under a root"))
	switch {
	case step.State == StepStopped:
	case signed == 0:
		step.Why = "nobody signed the roots"
	case p.Policy == nil:
		step.Why = "no key was given: signatures are not checked"
	case p.Key != "":
		step.Why = p.Key
	}
	return step
}

// openNotes checks signatures, and adds what was signed to the heads of its shard.
func (a *audit) openNotes(p *Published, heads [][]claimed) (signed, witnessed int64) {
	for _, note := range p.Notes {
		bad := func(why string) {
			a.offences.add(Offence{Kind: BadCheckpoint, Log: Ledger, Why: fmt.Sprintf("%s: %s", note.From, why)})
		}
		checkpoint, meets, err := open(p.Policy, note.Signed)
		if err != nil {
			bad(err.Error())
			continue
		}
		if have := checkpoint.Log.Network.String(); have != a.report.Network {
			bad("is of network " + have)
			continue
		}
		shard := checkpoint.Log.Shard
		if int(shard) >= len(heads) {
			bad(fmt.Sprintf("is of shard %d, and the ledger has %d", shard, len(heads)))
			continue
		}
		by := "the log's key"
		for _, w := range checkpoint.Witnessed {
			by += " and witness " + w.Witness
		}
		if p.Policy == nil {
			by = "a key that was not checked"
		}
		signed++
		witnessed += int64(len(checkpoint.Witnessed))
		heads[shard] = append(heads[shard], claimed{checkpoint.Head, note.From, by})
		row := &a.report.Shards[shard]
		if meets {
			row.SignedTo = max(row.SignedTo, checkpoint.Head.Size)
		}
		if len(checkpoint.Witnessed) > 0 {
			row.WitnessedTo = max(row.WitnessedTo, checkpoint.Head.Size)
		}
	}
	return signed, witnessed
}

// open reads a checkpoint, and says whether it has the signatures that are wanted. What only witnesses lack is no crime.
func open(policy *tlog.Policy, note []byte) (c *tlog.Checkpoint, meets bool, err error) {
	if policy == nil {
		log, head, err := tlog.Peek(note)
		return &tlog.Checkpoint{Log: log, Head: head}, false, err
	}
	c, err = policy.Open(note)
	if errors.Is(err, tlog.ErrNotWitnessed) {
		return c, false, nil
	}
	return c, err == nil, err
}

// makeTrees makes the trees that heads are of, shards side by side, and returns how many entries are under them.
func (a *audit) makeTrees(ctx context.Context, heads [][]claimed) (under int64, err error) {
	for shard := range heads {
		slices.SortStableFunc(heads[shard], func(a, b claimed) int { return cmp.Compare(a.Size, b.Size) })
		if n := len(heads[shard]); n > 0 {
			under += min(heads[shard][n-1].Size, int64(a.shards[shard].end))
		}
	}
	a.progress.begin(a.cfg.Progress, under, "making trees")
	offences := make([][]Offence, len(heads))
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for shard := range heads {
		group.Go(func() (err error) {
			offences[shard], err = a.compareTree(groupCtx, domain.Shard(shard), heads[shard])
			return err
		})
	}
	err = group.Wait()
	for _, some := range offences {
		for _, offence := range some {
			a.offences.add(offence)
		}
	}
	return under, err
}

// compareTree compares one shard's tree with heads of it, the smallest first.
func (a *audit) compareTree(ctx context.Context, shard domain.Shard, heads []claimed) (offences []Offence, err error) {
	tree := tlog.NewGrowing()
	end, err := a.cfg.Ledger.End(ctx, shard) // a head may be younger than the audit's cut
	if err != nil {
		return nil, fmt.Errorf("end of ledger %d: %w", shard, err)
	}
	for _, want := range heads {
		offence := Offence{
			Kind: RewrittenLog, Log: Ledger, Field: fmt.Sprintf("root of the first %d entries of shard %d", want.Size, shard), Want: want.Root.String(),
			Why: fmt.Sprintf("the ledger of shard %d does not begin with the %d entries of %s, signed by %s", shard, want.Size, want.from, want.by),
		}
		if want.Size > int64(end) {
			offence.Have = fmt.Sprintf("the ledger has %d entries", end)
			offences = append(offences, offence)
			continue
		}
		from := domain.Offset(tree.Size())
		if err := eventstore.Each(ctx, a.cfg.Ledger, shard, from, domain.Offset(want.Size), func(r eventstore.Record) error {
			return tree.Append(r.Value)
		}); err != nil {
			return offences, fmt.Errorf("tree of shard %d: %w", shard, err)
		}
		a.progress.add(want.Size - int64(from))
		have, err := tree.Head()
		if err != nil {
			return offences, err
		}
		if have != want.Head {
			offence.Have = have.Root.String()
			offences = append(offences, offence)
		}
	}
	return offences, nil
}
