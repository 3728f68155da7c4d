package rig_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/settlement"
	"github.com/filature/filature/eventstore"
	"github.com/filature/filature/internal/rig"
)

func TestTheSameSeedMakesTheSameLogs(t *testing.T) {
	a, b := rig.New(t, rig.Options{Seed: 1}), rig.New(t, rig.Options{Seed: 1})
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
	leaves := []settlement.Leaf{{Payee: payee, Cumulative: 5}}
	root, err := settlement.Root(leaves)
	if err != nil {
		t.Fatal(err)
	}
	propose := func(epoch uint32, total domain.Nano) error {
		return v.Propose(t.Context(), settlement.OnChain{Epoch: epoch, Root: root, Total: total})
	}
	claim := func() error { return v.Claim(t.Context(), leaves, []domain.ProviderID{payee}) }
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
		{claim, rig.ErrNothingToClaim},
		{func() error { return propose(1, 5) }, rig.ErrBadEpoch},
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
