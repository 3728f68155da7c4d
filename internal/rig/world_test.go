package rig_test

import (
	"bytes"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/settlement"
	"github.com/filature/filature/eventstore"
	"github.com/filature/filature/internal/rig"
	"github.com/filature/filature/projections"
)

func TestTheSameSeedMakesTheSameLogs(t *testing.T) {
	for _, judged := range []bool{false, true} {
		theSameSeed(t, rig.Options{Seed: 1, Judged: judged})
	}
}

func theSameSeed(t *testing.T, options rig.Options) {
	t.Helper()
	a, b := rig.New(t, options), rig.New(t, options)
	for _, w := range []*rig.World{a, b} {
		w.Live(40)
		w.Work()
		w.Mature()
		w.Work()
		if w.Settle() == nil {
			t.Fatal("nobody is owed anything")
		}
	}
	for _, logs := range [][2]eventstore.Reader{{a.Intake, b.Intake}, {a.Ledger, b.Ledger}} {
		for shard := range domain.Shard(logs[0].Shards()) {
			had, have := records(t, logs[0], shard), records(t, logs[1], shard)
			if len(had) != len(have) || len(had) == 0 {
				t.Fatalf("shard %d: %d and %d records", shard, len(had), len(have))
			}
			for i := range had {
				if !bytes.Equal(had[i].Value, have[i].Value) || !had[i].Time.Equal(have[i].Time) {
					t.Fatalf("record %d/%d differs", shard, i)
				}
			}
		}
	}
}

func records(t *testing.T, log eventstore.Reader, shard domain.Shard) (all []eventstore.Record) {
	t.Helper()
	end, err := log.End(t.Context(), shard)
	if err == nil {
		err = eventstore.Each(t.Context(), log, shard, 0, end, func(r eventstore.Record) error {
			all = append(all, r)
			return nil
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestTheVaultRefusesWhatTheContractRefuses(t *testing.T) {
	now := time.UnixMilli(0)
	v := rig.NewVault(func() time.Time { return now }, time.Minute)
	payee := domain.ProviderID{1}
	tree, err := settlement.NewTree([]settlement.Leaf{{Payee: payee, Cumulative: 5}})
	if err != nil {
		t.Fatal(err)
	}
	root := tree.Root()
	propose := func(epoch uint32, total domain.Nano) error {
		return v.Propose(t.Context(), settlement.OnChain{Epoch: epoch, Root: root, Total: total})
	}
	claim := func() error {
		_, err := v.Claim(t.Context(), tree, []domain.ProviderID{payee})
		return err
	}
	for i, step := range []struct {
		do   func() error
		want error
	}{
		{func() error { return propose(1, 5) }, rig.ErrUnderfunded},
		{func() error { v.TopUp(6); return v.Activate(t.Context()) }, rig.ErrNothingPending},
		{v.Veto, rig.ErrNothingPending},
		{func() error { return propose(1, 5) }, nil},
		{func() error { return propose(2, 5) }, rig.ErrRootPending},
		{func() error { return v.Activate(t.Context()) }, rig.ErrTooEarly},
		{claim, rig.ErrBadProof},
		{func() error { now = now.Add(time.Minute); return v.Activate(t.Context()) }, nil},
		{claim, nil},
		{claim, nil}, // and pays nothing
		{func() error { return propose(1, 5) }, rig.ErrBadEpoch},
		{func() error { return propose(3, 6) }, rig.ErrBadEpoch},
		{func() error { return propose(math.MaxUint32, 6) }, rig.ErrBadEpoch},
		{func() error { return propose(2, 4) }, rig.ErrTotalDecreased},
		{func() error { return propose(2, 7) }, rig.ErrUnderfunded},
		{func() error { return propose(2, 6) }, nil},
		{v.Veto, nil},
		{func() error { return propose(2, 6) }, rig.ErrBadEpoch},
		{func() error { return propose(3, 6) }, nil},
	} {
		if err := step.do(); !errors.Is(err, step.want) {
			t.Fatalf("step %d: %v, want %v", i, err, step.want)
		}
	}
	if seen, _ := v.Look(t.Context()); seen.Paid != 5 || seen.Free != 1 || seen.LastEpoch != 3 || v.Claimed(payee) != 5 {
		t.Errorf("%+v", seen)
	}
}

// TestAJudgedWorldHasAllThatCanHappen: what a judged world never came to, no test of it would show.
func TestAJudgedWorldHasAllThatCanHappen(t *testing.T) {
	w := rig.New(t, rig.Options{Seed: 2, Judged: true})
	for range 3 {
		w.Live(200)
		w.Work()
		w.Pass(20 * time.Minute)
		w.Tick()
		w.Work()
		w.Live(50)
		w.Mature()
		w.Work()
	}
	heard := map[string]int{}
	for shard := range domain.Shard(w.Ledger.Shards()) {
		for _, record := range records(t, w.Ledger, shard) {
			entry, err := eventstore.DecodeEntry(shard, record)
			if err != nil {
				t.Fatal(err)
			}
			for _, fact := range entry.GetAnswer().GetFacts() {
				heard[projections.FactName(fact)]++
				heard[projections.ReasonName(fact.GetRejection().GetReason())]++
			}
		}
	}
	for _, name := range []string{
		"standing_set", "pay_released", "pay_refused", "holdback_released", "holdback_forfeited", "image_retired",
		"attestation_passed", "attestation_failed", "attestation_revoked", "attestation_expired", "worker_suspended",
	} {
		if heard[name] == 0 {
			t.Errorf("nothing came to %s", name)
		}
	}
	t.Log(heard)
}
