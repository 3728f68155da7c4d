package settler

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/settlement"
	"github.com/filature/filature/projections"
)

// Whatever was earned, taken back, vetoed, or sealed by another settler meanwhile.
func TestAWarmTreeMakesTheBatchThatAColdOneMakes(t *testing.T) {
	warm := 0
	rapid.Check(t, func(t *rapid.T) {
		s := New(Config{})
		b := owedTo(rapid.IntRange(1, 40).Draw(t, "payees"))
		b.Policy = settlement.Policy{ThresholdNano: 5, MaxPayees: rapid.IntRange(1, 20).Draw(t, "of a batch")}
		for number := uint32(1); number < 12; number++ {
			for range rapid.IntRange(0, 10).Draw(t, "changes") {
				i := rapid.IntRange(0, len(b.Owed)-1).Draw(t, "payee")
				b.Owed[i].Payable += domain.Nano(rapid.Int64Range(-3, 20).Draw(t, "amount"))
			}
			if tree, err := s.warm(b); err != nil || tree.Root() != rootOf(t, b) {
				t.Fatalf("batch %d: goes on from root %s (%v), want %s", number, tree.Root(), err, rootOf(t, b))
			}
			if b.Last.Number != 0 && s.tree.Root() == b.Last.PayoutRoot {
				warm++
			}
			want, wantErr := settlement.Seal(number, b.Cut, b.Owed, b.Policy)
			batch, err := s.assemble(number, b)
			if !errors.Is(err, wantErr) || !proto.Equal(batch, want) {
				t.Fatalf("batch %d is %v (%v), want %v (%v)", number, batch, err, want, wantErr)
			}
			if err != nil {
				number--
				b.Owed[0].Payable += 5
				continue
			}
			b.Last = projections.Batch{Number: number, State: projections.BatchActivated, PayoutRoot: domain.Digest(batch.PayoutRoot)}
			switch rapid.SampledFrom([]string{"taken", "taken", "taken", "vetoed", "another's"}).Draw(t, "end") {
			case "vetoed":
				b.Last.State = projections.BatchVetoed
				continue
			case "another's": // who saw other earnings
				b.Owed[0].Payable += 7
				other, err := settlement.Seal(number, b.Cut, b.Owed, b.Policy)
				if err != nil {
					t.Fatal(err)
				}
				batch, b.Last.PayoutRoot = other, domain.Digest(other.PayoutRoot)
			}
			for _, line := range batch.Lines {
				for i := range b.Owed {
					if b.Owed[i].Payee == domain.ProviderID(line.Payee) {
						b.Owed[i].Committed, b.Owed[i].Payable = domain.Nano(line.CumulativeNano), b.Owed[i].Payable-domain.Nano(line.DeltaNano)
					}
				}
			}
		}
	})
	if warm == 0 {
		t.Error("no tree was ever kept: nothing is tested")
	}
}

func rootOf(t *rapid.T, b projections.Settlement) domain.Digest {
	tree, err := settlement.CommittedTree(b.Owed)
	if err != nil {
		t.Fatal(err)
	}
	return tree.Root()
}

func owedTo(payees int) (b projections.Settlement) {
	for i := range payees {
		b.Owed = append(b.Owed, settlement.Owed{Payee: sha256.Sum256(binary.BigEndian.AppendUint32(nil, uint32(i)))})
	}
	b.Cut = settlement.Cut{Offsets: []domain.Offset{1}, LogRoots: []domain.Digest{{1}}}
	return b
}

// One batch of 4,096 payees among a million, with the rows read already.
func BenchmarkABatchAmongAMillionPayees(b *testing.B) {
	owed := owedTo(1_000_000)
	owed.Policy = settlement.Policy{ThresholdNano: 1, MaxPayees: 4096}
	for i := range owed.Owed {
		owed.Owed[i].Committed = domain.Nano(i + 1)
		if i%244 == 0 {
			owed.Owed[i].Payable = domain.Coin
		}
	}
	tree, err := settlement.CommittedTree(owed.Owed)
	if err != nil {
		b.Fatal(err)
	}
	owed.Last = projections.Batch{Number: 1, State: projections.BatchActivated, PayoutRoot: tree.Root()}
	for name, kept := range map[string]settlement.Tree{"cold": {}, "warm": tree} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				s := Settler{tree: kept}
				if _, err := s.assemble(2, owed); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
