package main

import (
	"strings"
	"testing"
	"time"

	"github.com/filature/filature/adapters/ton"
	"github.com/filature/filature/domain"
)

func TestAVaultIsHandedOverByItsAdminToWhomTheGuardianLets(t *testing.T) {
	t.Parallel()
	address := func(name byte) ton.Address { return ton.Address{Account: [32]byte{name}} }
	admin, guardian, heir, stranger := address('a'), address('g'), address('h'), address('s')
	now := time.Unix(1_800_000_000, 0)
	vault := func(change *ton.PendingChange, paused bool) ton.VaultState {
		return ton.VaultState{
			Params: ton.VaultParams{Admin: admin, Guardian: guardian}, At: ton.Head{Time: now}, Change: change, Paused: paused,
		}
	}
	due := func(who ton.Address, at time.Time) *ton.PendingChange {
		return &ton.PendingChange{ID: domain.Digest{1}, Change: ton.Change{Admin: who}, DueAt: at}
	}
	code := &ton.PendingChange{ID: domain.Digest{2}, Change: ton.Change{Code: domain.Digest{3}}, DueAt: now}
	for _, one := range []struct {
		err  error
		want string // nothing: it may
	}{
		{mayPropose(vault(nil, false), admin, heir), ""},
		{mayPropose(vault(nil, true), admin, heir), ""},
		{mayPropose(vault(nil, false), stranger, heir), "the vault's admin is"},
		{mayPropose(vault(nil, false), guardian, heir), "the vault's admin is"},
		{mayPropose(vault(nil, false), admin, guardian), "is the guardian"},
		{mayPropose(vault(nil, false), admin, admin), "already"},
		{mayPropose(vault(code, false), admin, heir), "is pending"},

		{mayAccept(vault(due(heir, now), false), heir), ""},
		{mayAccept(vault(nil, false), heir), "no admin is announced"},
		{mayAccept(vault(code, false), heir), "no admin is announced"},
		{mayAccept(vault(due(heir, now), false), stranger), "announced is"},
		{mayAccept(vault(due(heir, now), true), heir), "paused"},
		{mayAccept(vault(due(heir, now.Add(time.Second)), false), heir), "not before 2027-01-15T08:00:01Z"},
	} {
		if (one.err == nil) != (one.want == "") || one.err != nil && !strings.Contains(one.err.Error(), one.want) {
			t.Errorf("%v, want %q", one.err, one.want)
		}
	}
}
