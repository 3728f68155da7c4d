package recount

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	v1 "github.com/filature/filature/schemas/filature/v1"
)

var errSealedElsewhere = errors.New("recount: no such batch is sealed there")

// Batch counts to the cut of a sealed batch, makes the batch as docs/settlement.md says, and notes where the sealed one
// is another. It returns the payout root that it came to, and how many payees have a leaf under it.
func (c *Count) Batch(ctx context.Context, sealed Sealed) (root [32]byte, payees int64, err error) {
	if err := c.To(ctx, sealed.Cut); err != nil {
		return root, 0, err
	}
	fact, err := c.sealedAt(ctx, sealed)
	if err != nil {
		return root, 0, err
	}
	again, err := c.make(sealed.Number)
	if err != nil {
		return root, 0, err
	}
	if field, have, want := differ(fact, again); field != "" {
		c.total++
		c.disagreements = append(c.disagreements, Disagreement{
			Shard: control, Offset: sealed.Offset, Batch: sealed.Number, Field: field, Have: have, Want: want,
			Why: "is not what the ledger owes at its cut",
		})
	}
	return id(again.PayoutRoot), again.Payees, nil
}

// sealedAt reads the batch again: nobody keeps its lines.
func (c *Count) sealedAt(ctx context.Context, sealed Sealed) (*v1.SealBatch, error) {
	records, err := c.log.Read(ctx, control, sealed.Offset, 1)
	if err != nil {
		return nil, fmt.Errorf("recount: batch %d: %w", sealed.Number, err)
	}
	var entry v1.Entry
	if err := proto.Unmarshal(records[0], &entry); err != nil {
		return nil, fmt.Errorf("recount: batch %d: %w", sealed.Number, err)
	}
	for _, fact := range entry.GetAnswer().GetFacts() {
		if batch := fact.GetBatchSealed(); batch.GetNumber() == sealed.Number {
			return batch, nil
		}
	}
	return nil, fmt.Errorf("%w: batch %d at %d", errSealedElsewhere, sealed.Number, sealed.Offset)
}

// payee is one account that is owed something, or was.
type payee struct {
	id            [32]byte
	due, promised int64
}

// payees adds up what each payee is owed over all shards, in the order of their ids.
func (c *Count) payees() ([]payee, error) {
	due := map[[32]byte]int64{}
	for _, s := range c.shards {
		for id, amount := range s.payable {
			sum, ok := add(due[id], amount)
			if !ok {
				return nil, fmt.Errorf("recount: provider/payable of %x: %w", id, errOverflow)
			}
			due[id] = sum
		}
	}
	promised := c.shards[control].promised
	for id := range promised {
		due[id] += 0
	}
	all := make([]payee, 0, len(due))
	for id, amount := range due {
		all = append(all, payee{id, amount, promised[id]})
	}
	slices.SortFunc(all, func(a, b payee) int { return bytes.Compare(a.id[:], b.id[:]) })
	return all, nil
}

// make makes a batch out of what was counted.
func (c *Count) make(number uint32) (*v1.SealBatch, error) {
	all, err := c.payees()
	if err != nil {
		return nil, err
	}
	network := c.rules.inForce(c.shards[control].next).network
	chosen := choose(all, network)
	batch := &v1.SealBatch{Number: number}
	var leaves []leaf
	for _, p := range all {
		if _, in := chosen[p.id]; in {
			after, ok := add(p.promised, p.due)
			if !ok {
				return nil, fmt.Errorf("recount: batch %d, payee %x: %w", number, p.id, errOverflow)
			}
			batch.Lines = append(batch.Lines, &v1.PayoutLine{Payee: p.id[:], CumulativeNano: after, DeltaNano: p.due})
			p.promised = after
		}
		if p.promised == 0 {
			continue
		}
		leaves = append(leaves, leaf{p.id, uint64(p.promised)})
		var ok bool
		if batch.TotalNano, ok = add(batch.TotalNano, p.promised); !ok {
			return nil, fmt.Errorf("recount: total of batch %d: %w", number, errOverflow)
		}
	}
	root := dictionaryRoot(leaves)
	batch.PayoutRoot, batch.Payees = root[:], int64(len(leaves))
	for _, s := range c.shards {
		head := s.tree.root()
		batch.Cut = append(batch.Cut, s.next)
		batch.LogRoots = append(batch.LogRoots, head[:])
	}
	commitment := commit(batch, network)
	batch.Commitment = commitment[:]
	return batch, nil
}

// choose says who is in a batch: whoever is owed the threshold, the largest amounts first, of equal ones the smaller id.
func choose(all []payee, network *v1.SetNetwork) map[[32]byte]struct{} {
	var due []payee
	for _, p := range all {
		if p.due > 0 && p.due >= network.PayoutThresholdNano {
			due = append(due, p)
		}
	}
	slices.SortFunc(due, func(a, b payee) int { return cmp.Or(cmp.Compare(b.due, a.due), bytes.Compare(a.id[:], b.id[:])) })
	chosen := map[[32]byte]struct{}{}
	for _, p := range due[:min(len(due), int(network.BatchPayees))] {
		chosen[p.id] = struct{}{}
	}
	return chosen
}

// commit is docs/settlement.md, "The commitment".
func commit(batch *v1.SealBatch, network *v1.SetNetwork) [32]byte {
	var b bytes.Buffer
	number := func(n any) { _ = binary.Write(&b, binary.BigEndian, n) } // a buffer takes all
	b.WriteString("filature/batch/v1\x00")
	number(batch.Number)
	b.Write(batch.PayoutRoot)
	number(batch.TotalNano)
	number(batch.Payees)
	number(network.PayoutThresholdNano)
	number(network.BatchPayees)
	number(uint32(len(batch.Cut)))
	for i, offset := range batch.Cut {
		number(offset)
		b.Write(batch.LogRoots[i])
	}
	return sha256.Sum256(b.Bytes())
}

// differ names the first thing in which two batches are not the same.
func differ(have, want *v1.SealBatch) (field, haveText, wantText string) {
	for _, c := range []struct {
		field      string
		have, want any
	}{
		{"lines", len(have.Lines), len(want.Lines)},
		{"payees", have.Payees, want.Payees},
		{"total_nano", have.TotalNano, want.TotalNano},
		{"payout_root", fmt.Sprintf("%x", have.PayoutRoot), fmt.Sprintf("%x", want.PayoutRoot)},
		{"log_roots", len(have.LogRoots), len(want.LogRoots)},
	} {
		if c.have != c.want {
			return c.field, fmt.Sprint(c.have), fmt.Sprint(c.want)
		}
	}
	for i, line := range have.Lines {
		if again := want.Lines[i]; !bytes.Equal(line.Payee, again.Payee) || line.DeltaNano != again.DeltaNano || line.CumulativeNano != again.CumulativeNano {
			return fmt.Sprintf("lines[%d]", i), lineText(line), lineText(again)
		}
	}
	for i, root := range have.LogRoots {
		if !bytes.Equal(root, want.LogRoots[i]) {
			return fmt.Sprintf("log_roots[%d]", i), fmt.Sprintf("%x", root), fmt.Sprintf("%x", want.LogRoots[i])
		}
	}
	if !bytes.Equal(have.Commitment, want.Commitment) {
		return "commitment", fmt.Sprintf("%x", have.Commitment), fmt.Sprintf("%x", want.Commitment)
	}
	return "", "", ""
}

func lineText(line *v1.PayoutLine) string {
	return fmt.Sprintf("%x: %d more, %d in all", line.Payee, line.DeltaNano, line.CumulativeNano)
}
