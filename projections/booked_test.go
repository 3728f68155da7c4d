package projections_test

import (
	"slices"
	"testing"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/internal/rig"
	"github.com/filature/filature/projections"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// Of all that a vault ever did, whatever part of it is asked about.
func TestTheTablesTellWhatOfAHistoryIsNotBooked(t *testing.T) {
	w := rig.New(t, rig.Options{Seed: 12, Honest: true})
	w.Live(40)
	w.Work()
	w.Mature()
	w.Work()
	if w.Settle() == nil {
		t.Fatal("nobody is owed anything")
	}
	w.Watch()
	w.Work()
	w.Fold()
	all := history(t, w)
	kinds := map[string]bool{}
	for _, claim := range all {
		kinds[string(claim.ProtoReflect().WhichOneof(claim.ProtoReflect().Descriptor().Oneofs().Get(0)).Name())] = true
	}
	if len(kinds) != 4 {
		t.Fatalf("there are only %v", kinds)
	}
	w.Vault.Deposit(w.Accounts[0].ID, domain.Coin)
	w.Vault.Deposit(w.Accounts[1].ID, domain.Coin)
	late := history(t, w)[len(all):]
	for from := range all {
		asked := slices.Concat(all[from:], late)
		left, err := projections.Unbooked(t.Context(), w.Store, w.DataShards, asked)
		if err != nil || len(left) != len(late) || left[0] != late[0] || left[1] != late[1] {
			t.Fatalf("of %d events that are booked and %d that are not, %d are left (%v)", len(all)-from, len(late), len(left), err)
		}
	}
}

func history(t *testing.T, w *rig.World) (all []*v1.Claim) {
	t.Helper()
	h := w.Vault.History()
	for {
		claims, _, err := h.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(claims) == 0 {
			return all
		}
		all = append(all, claims...)
	}
}
