package projections_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"testing"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/settlement"
	"github.com/filature/filature/projections"
	"github.com/filature/filature/projections/projectionstest"
)

func readSettlement(ctx context.Context, store projections.Store) (s projections.Settlement, err error) {
	err = store.View(ctx, func(view projections.View) (err error) {
		s, err = projections.ReadSettlement(ctx, view)
		return err
	})
	return s, err
}

func TestASettlementIsAllThatTheNextBatchIsMadeOf(t *testing.T) {
	t.Parallel()
	ctx := projectionstest.Context(t)
	story, store := projectionstest.NewStory(t), projections.NewMemStore()
	mustFold(ctx, t, story.Ledger, store, projections.SettlementModels()...)
	s, err := readSettlement(ctx, store)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(s.Cut.Offsets, story.Cut()) {
		t.Errorf("the cut is %v, want the end %v", s.Cut.Offsets, story.Cut())
	}
	for shard, root := range s.Cut.LogRoots {
		if want := referenceRoot(ctx, t, story, domain.Shard(shard)); root != want {
			t.Errorf("log root of shard %d is %s, want %s", shard, root, want)
		}
	}
	if s.Policy != (settlement.Policy{ThresholdNano: 100, MaxPayees: 50}) || s.Network.Name != "test" {
		t.Errorf("policy %+v, network %+v", s.Policy, s.Network)
	}
	if s.Last.Number != 3 || s.Last.State != projections.BatchProposed {
		t.Errorf("the last batch is %+v", s.Last)
	}
	want := []settlement.Owed{ // the veto gave back what batch 2 had taken, batch 3 took it again
		{Payee: projectionstest.ID[domain.ProviderID]("prov-a"), Payable: 1000, Committed: 2000},
		{Payee: projectionstest.ID[domain.ProviderID]("prov-b"), Payable: 0, Committed: 700},
		{Payee: projectionstest.ID[domain.ProviderID]("prov-c"), Payable: 1900},
	}
	if !slices.Equal(s.Owed, want) {
		t.Errorf("owed is %+v, want %+v", s.Owed, want)
	}
	batch, err := settlement.Seal(s.Last.Number+1, s.Cut, s.Owed, s.Policy)
	if err != nil || len(batch.Lines) != 2 || batch.Lines[0].CumulativeNano != 3000 || batch.TotalNano != 5600 {
		t.Errorf("the next batch is %+v (%v)", batch, err)
	}
}

// TestACutHasAShardInWhichNobodyHasSpoken is a network whose last shards are quiet: control takes no cut without them, so
// nobody would be paid.
func TestACutHasAShardInWhichNobodyHasSpoken(t *testing.T) {
	t.Parallel()
	ctx := projectionstest.Context(t)
	ledger, store := projectionstest.NewLedger(t, projectionstest.StoryShards), projections.NewMemStore()
	ledger.Begin()
	mustFold(ctx, t, ledger, store, projections.SettlementModels()...)
	var s projections.Settlement
	if err := store.View(ctx, func(view projections.View) (err error) {
		s, err = projections.ReadSettlement(ctx, controlAlone{view})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	nothing := domain.Digest(sha256.Sum256(nil))
	quiet := []domain.Digest{nothing, nothing}
	if !slices.Equal(s.Cut.Offsets, []domain.Offset{1, 0, 0}) || s.Cut.LogRoots[0] == nothing || !slices.Equal(s.Cut.LogRoots[1:], quiet) {
		t.Errorf("the cut is %+v", s.Cut)
	}
}

// controlAlone is a view of tables that were only ever told of control, as a projector's are of a network that begins.
type controlAlone struct{ projections.View }

func (v controlAlone) Checkpoint(ctx context.Context, table projections.Table) (projections.Checkpoint, error) {
	at, err := v.View.Checkpoint(ctx, table)
	return at[:1], err
}

// referenceRoot is the definition of RFC 6962, section 2.1, word for word.
func referenceRoot(ctx context.Context, t *testing.T, story *projectionstest.Story, shard domain.Shard) domain.Digest {
	t.Helper()
	records, err := story.Read(ctx, shard, 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	var head func(lo, hi int) domain.Digest
	head = func(lo, hi int) domain.Digest {
		if hi-lo == 1 {
			return sha256.Sum256(append([]byte{0}, records[lo].Value...))
		}
		split := 1
		for split*2 < hi-lo {
			split *= 2
		}
		left, right := head(lo, lo+split), head(lo+split, hi)
		return sha256.Sum256(append(append([]byte{1}, left[:]...), right[:]...))
	}
	return head(0, len(records))
}

func TestASettlementIsReadAtOnePlaceOrNotAtAll(t *testing.T) {
	t.Parallel()
	ctx := projectionstest.Context(t)
	story, store := projectionstest.NewStory(t), projections.NewMemStore()
	if _, err := readSettlement(ctx, store); !errors.Is(err, projections.ErrNotFound) {
		t.Errorf("before the genesis: error is %v, want ErrNotFound", err)
	}
	for _, model := range projections.SettlementModels() {
		mustFold(ctx, t, story.Ledger, store, projections.SettlementModels()...)
		if err := store.Forget(ctx, model.Table()); err != nil {
			t.Fatal(err)
		}
		if _, err := readSettlement(ctx, store); !errors.Is(err, projections.ErrNotTogether) {
			t.Errorf("%s forgotten: error is %v, want ErrNotTogether", model.Table(), err)
		}
	}
}

func TestFoldedAgainToItsCutABatchHasTheSameSettlement(t *testing.T) {
	t.Parallel()
	ctx := projectionstest.Context(t)
	story := projectionstest.NewStory(t)
	later, earlier := projections.NewMemStore(), projections.NewMemStore()
	cut := []domain.Offset{6, 9, 4}
	if err := projections.FoldTo(ctx, story, earlier, cut, projections.SettlementModels()...); err != nil {
		t.Fatal(err)
	}
	want, err := readSettlement(ctx, earlier)
	if err != nil {
		t.Fatal(err)
	}
	for offset := range cut[1] + 1 { // in many steps, shard by shard
		step := []domain.Offset{min(cut[0], offset), offset, min(cut[2], offset/2)}
		if err := projections.FoldTo(ctx, story, later, step, projections.SettlementModels()...); err != nil {
			t.Fatal(err)
		}
	}
	have, err := readSettlement(ctx, later)
	if err != nil || !slices.Equal(have.Cut.LogRoots, want.Cut.LogRoots) || !slices.Equal(have.Owed, want.Owed) {
		t.Errorf("the settlement is %+v (%v), want %+v", have, err, want)
	}
}
