package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/ledger"
	"github.com/filature/filature/domain/settlement"
	"github.com/filature/filature/eventstore"
	"github.com/filature/filature/eventstore/tlog"
	"github.com/filature/filature/projections"
	v1 "github.com/filature/filature/schemas/filature/v1"
	"github.com/filature/filature/sdk/proof"
)

// proveFlags are those of proofs of what is in the ledger.
type proveFlags struct {
	ledgerFlags `embed:""`

	Tiles string `type:"path" help:"Folder where the ledger is published, whose checkpoint the proof leads to. Default: as filature publish."`
	Out   string `type:"path" help:"Write the proof to this file. Default: print it."`
}

// proveFactCmd proves that one entry is in the ledger.
type proveFactCmd struct {
	Shard  int32 `arg:"" help:"Shard of the ledger; 0 is control."`
	Offset int64 `arg:"" help:"Offset of the entry."`

	proveFlags `embed:""`
}

// proveJobCmd proves all facts about a job.
type proveJobCmd struct {
	ID string `arg:"" help:"Job id in hexadecimal."`

	proveFlags `embed:""`
}

// Run proves the entry.
func (c *proveFactCmd) Run(ctx context.Context, out *console) error {
	about := proof.Subject{Kind: proof.Fact, Shard: domain.Shard(c.Shard), Offset: domain.Offset(c.Offset)}
	return c.prove(ctx, out, about, func(context.Context, *ledgerParts) ([]domain.Position, error) {
		return []domain.Position{{Shard: about.Shard, Offset: about.Offset}}, nil
	})
}

// Run proves the facts that name the job.
func (c *proveJobCmd) Run(ctx context.Context, out *console) error {
	job, err := domain.ParseID[domain.JobID](c.ID)
	if err != nil {
		return usage("%w", err)
	}
	return c.prove(ctx, out, proof.Subject{Kind: proof.Job, ID: domain.Digest(job)}, func(ctx context.Context, p *ledgerParts) ([]domain.Position, error) {
		return factsAbout(ctx, p, job)
	})
}

// factsAbout finds the entries with facts that name a job: all in its life, and those after its end that the tables
// know of.
func factsAbout(ctx context.Context, p *ledgerParts, job domain.JobID) ([]domain.Position, error) {
	var verdict projections.Verdict
	err := p.store.Read(ctx, func(r projections.Reader) (err error) {
		verdict, err = projections.WhyJob(ctx, r, job)
		return err
	})
	if errors.Is(err, projections.ErrNotFound) {
		return nil, &exitError{exitNo, fmt.Errorf("job %s: %w", job, errNoSuchThing)}
	}
	if err != nil {
		return nil, err
	}
	var candidates []domain.Position
	for _, fact := range verdict.Facts {
		candidates = append(candidates, fact.At)
	}
	slices.SortFunc(candidates, comparePositions)
	candidates = slices.Compact(candidates)
	var found []domain.Position
	for i, at := range candidates {
		to := at.Offset + 1
		if i+1 < len(candidates) && candidates[i+1].Shard == at.Shard && at.Shard != domain.Control {
			to = candidates[i+1].Offset // what happened in between, above all the counts
		}
		err := eventstore.Each(ctx, p.ledger, at.Shard, at.Offset, to, func(rec eventstore.Record) error {
			entry, err := eventstore.DecodeEntry(at.Shard, rec)
			if err != nil || ledger.Void(rec.Offset, entry) {
				return err
			}
			if slices.ContainsFunc(entry.GetAnswer().GetFacts(), func(fact *v1.Fact) bool { return proof.JobOf(fact) == job }) {
				found = append(found, domain.Position{Shard: at.Shard, Offset: rec.Offset})
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

func comparePositions(a, b domain.Position) int {
	if a.Shard != b.Shard {
		return int(a.Shard - b.Shard)
	}
	return int(max(-1, min(1, a.Offset-b.Offset)))
}

var errNotProvable = errors.New("no checkpoint and no batch on chain covers it yet: run filature publish")

// prove makes the file, checks it, and writes it.
func (c *proveFlags) prove(
	ctx context.Context, out *console, about proof.Subject, find func(context.Context, *ledgerParts) ([]domain.Position, error),
) (err error) {
	p, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	if c.Tiles != "" {
		p.site.Folder = filePath(c.Tiles)
	}
	positions, err := find(ctx, p)
	if err != nil {
		return err
	}
	if len(positions) > proof.MaxRecords {
		return &exitError{exitNo, fmt.Errorf("%d entries are about it, want at most %d in a file: prove them one by one", len(positions), proof.MaxRecords)}
	}
	b := newFileBuilder(p, about)
	defer func() { err = errors.Join(err, b.close()) }()
	if err := b.build(ctx, positions); err != nil {
		return err
	}
	raw, err := proof.Encode(b.file)
	if err != nil {
		return err
	}
	if c.Out == "" {
		_, err = out.out.Write(raw)
		return err
	}
	if err := os.WriteFile(c.Out, raw, 0o600); err != nil {
		return err
	}
	out.stepf("%s: %d entries, %s bytes; check it with filature verify", c.Out, len(b.file.Records), count(len(raw)))
	return nil
}

// provePayout writes the proof file of a payee's leaf in a batch.
func provePayout(
	ctx context.Context, from ledgerFlags, number uint32, payee domain.ProviderID, amount domain.Nano, boc []byte, path string,
) (err error) {
	p, err := from.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	b := newFileBuilder(p, proof.Subject{Kind: proof.Payout, ID: domain.Digest(payee)})
	defer func() { err = errors.Join(err, b.close()) }()
	rows, err := batches(ctx, p.store)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(rows, func(row projections.Batch) bool { return row.Number == number })
	if at < 0 {
		return &exitError{exitNo, fmt.Errorf("batch %d: is not active on chain", number)}
	}
	sealed, err := readSealed(ctx, p.ledger, rows[at])
	if err != nil {
		return err
	}
	if b.file.Batch, err = b.committed(ctx, sealed); err != nil {
		return err
	}
	b.file.Payout = &proof.PayeeProof{Payee: payee, CumulativeNano: amount, BOC: boc}
	raw, err := proof.Encode(b.file)
	if err != nil {
		return err
	}
	return os.WriteFile(path, raw, 0o600)
}

// fileBuilder makes a proof file.
type fileBuilder struct {
	parts     *ledgerParts
	file      *proof.File
	trees     map[domain.Shard]*proofTree
	temporary string // folder of trees that are not published
}

// proofTree is the tree of a shard, and the checkpoint of it, if it was published.
type proofTree struct {
	*tlog.Published

	note   string
	listed bool // the file has the checkpoint
}

func newFileBuilder(p *ledgerParts, about proof.Subject) *fileBuilder {
	return &fileBuilder{
		parts: p, trees: map[domain.Shard]*proofTree{},
		file: &proof.File{Format: proof.Format, Network: p.network, About: about, Records: []proof.Record{}, Checkpoints: []proof.SignedHead{}},
	}
}

func (b *fileBuilder) close() error {
	if b.temporary == "" {
		return nil
	}
	return os.RemoveAll(b.temporary)
}

// build proves the entries at some positions: in the first batch on chain that has them all, or else in the newest, and
// in checkpoints.
func (b *fileBuilder) build(ctx context.Context, positions []domain.Position) error {
	batch, err := b.batch(ctx, positions)
	if err != nil {
		return err
	}
	for _, at := range positions {
		inBatch := batch != nil && int(at.Shard) < len(batch.Cut) && int64(at.Offset) < batch.Cut[at.Shard]
		if err := b.record(ctx, at, inBatch, batch); err != nil {
			return err
		}
		if inBatch && b.file.Batch == nil {
			if b.file.Batch, err = b.committed(ctx, batch); err != nil {
				return err
			}
		}
	}
	_, err = proof.Encode(b.file)
	return err
}

// record adds an entry with its path.
func (b *fileBuilder) record(ctx context.Context, at domain.Position, inBatch bool, batch *sealedBatch) error {
	if at.Shard < 0 || int(at.Shard) >= b.parts.ledger.Shards() {
		return usage("shard %d: the ledger has %d", at.Shard, b.parts.ledger.Shards())
	}
	records, err := b.parts.ledger.Read(ctx, at.Shard, at.Offset, 1)
	if errors.Is(err, eventstore.ErrGap) || err == nil && len(records) == 0 {
		return &exitError{exitNo, fmt.Errorf("ledger %s: %w", at, errNoSuchThing)}
	}
	if err != nil {
		return err
	}
	least := int64(at.Offset) + 1
	if inBatch {
		least = batch.Cut[at.Shard]
	}
	tree, err := b.tree(ctx, at.Shard, least)
	if err != nil {
		return err
	}
	in, size := proof.InCheckpoint, tree.Head().Size
	if inBatch {
		in, size = proof.InBatch, least
	} else if tree.note == "" {
		return &exitError{exitNo, fmt.Errorf("ledger %s: %w", at, errNotProvable)}
	}
	path, err := tree.Inclusion(size, at.Offset)
	if err != nil {
		return err
	}
	b.file.Records = append(b.file.Records, proof.Record{Shard: at.Shard, Offset: at.Offset, In: in, Path: path, Entry: records[0].Value})
	if tree.note == "" || tree.listed {
		return nil
	}
	tree.listed = true
	signed := proof.SignedHead{Note: tree.note}
	if batch != nil && int(at.Shard) < len(batch.Cut) && batch.Cut[at.Shard] <= tree.Head().Size && inBatch {
		if signed.FromBatch, err = tree.Consistency(batch.Cut[at.Shard]); err != nil {
			return err
		}
	}
	b.file.Checkpoints = append(b.file.Checkpoints, signed)
	return nil
}

// tree is the tree of a shard with at least so many records: as it is published, or, where that is not far enough, made
// from the log.
func (b *fileBuilder) tree(ctx context.Context, shard domain.Shard, least int64) (*proofTree, error) {
	if tree := b.trees[shard]; tree != nil && tree.Head().Size >= least {
		return tree, nil
	}
	files := tlog.ReadFolder(string(b.parts.site.Folder)).In(logFolder(shard))
	log := tlog.Log{Network: b.parts.network, Shard: shard}
	signed, err := tlog.ReadCheckpoint(files)
	if err == nil {
		of, head, err := tlog.Peek(signed)
		if err != nil {
			return nil, err
		}
		if of == log && head.Size >= least {
			b.trees[shard] = &proofTree{Published: tlog.Read(files, head), note: string(signed)}
			return b.trees[shard], nil
		}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if b.temporary == "" {
		if b.temporary, err = os.MkdirTemp("", "filature-tree-"); err != nil {
			return nil, err
		}
	}
	made, err := treeOf(ctx, log, b.parts.ledger, tlog.ReadFolder(filepath.Join(b.temporary, fmt.Sprint(len(b.trees), "-", shard))), least)
	if err != nil {
		return nil, err
	}
	b.trees[shard] = &proofTree{Published: made}
	return b.trees[shard], nil
}

// treeOf makes the tree of the first records of a log.
func treeOf(ctx context.Context, log tlog.Log, ledger eventstore.Reader, files tlog.Files, size int64) (*tlog.Published, error) {
	tree, err := tlog.OpenTree(log, files, nil)
	if err != nil {
		return nil, err
	}
	err = eventstore.Each(ctx, ledger, log.Shard, 0, domain.Offset(size), func(rec eventstore.Record) error { return tree.Append(rec.Value) })
	if err == nil {
		err = tree.Flush()
	}
	if err != nil {
		return nil, err
	}
	head, err := tree.Head()
	return tlog.Read(files, head), err
}

// sealedBatch is a batch, and where it was sealed.
type sealedBatch struct {
	*v1.SealBatch

	at domain.Offset
}

// batch is the first on chain that has all positions, or else the last; nil where there is none.
func (b *fileBuilder) batch(ctx context.Context, positions []domain.Position) (*sealedBatch, error) {
	rows, err := batches(ctx, b.parts.store)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	var broken error
	first, _ := slices.BinarySearchFunc(rows, true, func(row projections.Batch, _ bool) int {
		sealed, err := readSealed(ctx, b.parts.ledger, row)
		if err != nil {
			broken = errors.Join(broken, err)
			return 0
		}
		if sealed.has(positions) {
			return 0
		}
		return -1
	})
	if broken != nil {
		return nil, broken
	}
	return readSealed(ctx, b.parts.ledger, rows[min(first, len(rows)-1)])
}

// batches are those that the vault activated, in order.
func batches(ctx context.Context, store store) (rows []projections.Batch, err error) {
	err = store.View(ctx, func(view projections.View) error {
		for row, err := range projections.RowsOf(ctx, view, projections.Batches) {
			if err != nil {
				return err
			}
			if row.State == projections.BatchActivated {
				rows = append(rows, row)
			}
		}
		return nil
	})
	slices.SortFunc(rows, func(a, b projections.Batch) int { return int(a.Number) - int(b.Number) })
	return rows, err
}

// has reports whether a batch's cut is behind all positions.
func (s *sealedBatch) has(positions []domain.Position) bool {
	return !slices.ContainsFunc(positions, func(at domain.Position) bool {
		return int(at.Shard) >= len(s.Cut) || int64(at.Offset) >= s.Cut[at.Shard]
	})
}

func readSealed(ctx context.Context, log eventstore.Reader, row projections.Batch) (*sealedBatch, error) {
	records, err := log.Read(ctx, domain.Control, row.Sealed.Offset, 1)
	if err != nil || len(records) == 0 {
		return nil, fmt.Errorf("read batch %d at control %d: %w", row.Number, row.Sealed.Offset, errors.Join(err, eventstore.ErrGap))
	}
	entry, err := eventstore.DecodeEntry(domain.Control, records[0])
	if err != nil {
		return nil, err
	}
	for _, fact := range entry.GetAnswer().GetFacts() {
		if sealed := fact.GetBatchSealed(); sealed.GetNumber() == row.Number {
			return &sealedBatch{SealBatch: sealed, at: row.Sealed.Offset}, nil
		}
	}
	return nil, fmt.Errorf("control %d does not seal batch %d: %w", row.Sealed.Offset, row.Number, eventstore.ErrCorrupt)
}

// committed is all that the batch's commitment is made of.
func (b *fileBuilder) committed(ctx context.Context, sealed *sealedBatch) (*proof.Batch, error) {
	policy, err := policyAt(ctx, b.parts.ledger, sealed.at)
	if err != nil {
		return nil, err
	}
	if commitment := settlement.CommitmentOf(sealed.SealBatch, policy); commitment != domain.Digest(sealed.Commitment) {
		return nil, fmt.Errorf("batch %d commits to %x, the ledger makes %s: run filature audit", sealed.Number, sealed.Commitment, commitment)
	}
	control, err := b.tree(ctx, domain.Control, sealed.Cut[domain.Control])
	if err != nil {
		return nil, err
	}
	path, err := control.Inclusion(sealed.Cut[domain.Control], 0)
	if err != nil {
		return nil, err
	}
	genesis, err := b.parts.ledger.Read(ctx, domain.Control, 0, 1)
	if err != nil || len(genesis) == 0 {
		return nil, errors.Join(err, errNoNetwork)
	}
	batch := &proof.Batch{
		Number: sealed.Number, PayoutRoot: domain.Digest(sealed.PayoutRoot), TotalNano: domain.Nano(sealed.TotalNano), Payees: sealed.Payees,
		ThresholdNano: policy.ThresholdNano, MaxPayees: uint32(policy.MaxPayees), Cut: sealed.Cut,
		Genesis: proof.Genesis{Path: path, Entry: genesis[0].Value},
	}
	for _, root := range sealed.LogRoots {
		batch.LogRoots = append(batch.LogRoots, domain.Digest(root))
	}
	return batch, nil
}

// policyAt is the settlement policy that held at an offset of control.
func policyAt(ctx context.Context, log eventstore.Reader, at domain.Offset) (policy settlement.Policy, err error) {
	err = eventstore.Each(ctx, log, domain.Control, 0, at, func(rec eventstore.Record) error {
		entry, err := eventstore.DecodeEntry(domain.Control, rec)
		if err != nil || ledger.Void(rec.Offset, entry) {
			return err
		}
		for _, fact := range entry.GetAnswer().GetFacts() {
			if set := fact.GetNetworkSet(); set != nil {
				policy = settlement.PolicyOf(set)
			}
		}
		return nil
	})
	return policy, err
}
