package main

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
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

// TestAFoldersChainThatStoodStillHandsItsVaultOver: its last block is two hours old, and so would be how long a message is good for.
func TestAFoldersChainThatStoodStillHandsItsVaultOver(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	dir := t.TempDir()
	ago := func() time.Time { return time.Now().Add(-2 * time.Hour) }
	p, err := openEmbedded(ctx, dir, 1, chainFlags{}, ago, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	e, err := newEngine(ctx, p, slog.New(slog.DiscardHandler), embeddedRoles(), settleOptions{every: time.Hour},
		&founding{name: "left", terms: defaultTerms(), delay: time.Second, vaultFloat: domain.Coin, treasuryFloat: 10 * domain.Coin})
	if err != nil {
		t.Fatal(err)
	}
	working, stopWork := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- e.run(working) }()
	select {
	case <-e.ready:
	case <-ctx.Done():
		t.Error("the network is not ready")
	}
	if err := awaitVaultIn(ctx, dir); err != nil {
		t.Error(err)
	}
	stopWork()
	if err := errors.Join(<-done, e.close()); err != nil {
		t.Fatal(err)
	}

	heir := filepath.Join(dir, "heir"+keySuffix)
	public := strings.TrimSpace(invoke(t, "keygen", heir).want(t, exitOK).stdout)
	old := filepath.Join(dir, keysDir, "treasury"+keySuffix)
	announced := decoded[vaultStatus](t, invoke(t, "chain", "propose-admin", public, "--key", old, "--data", dir, "--json").want(t, exitOK))
	accepted := decoded[vaultStatus](t, invoke(t, "chain", "accept-admin", "--key", heir, "--data", dir, "--json").want(t, exitOK))
	if announced.Change == nil || accepted.Admin != announced.Change.Admin || accepted.Change != nil {
		t.Errorf("announced was %+v, and it ends as %+v", announced.Change, accepted)
	}
}

// awaitVaultIn waits until a folder's tables know where its vault is.
func awaitVaultIn(ctx context.Context, dir string) error {
	for {
		if _, err := vaultOf(ctx, dir); err == nil {
			return nil
		}
		if err := pause(ctx, localPoll); err != nil {
			return err
		}
	}
}

func TestWhoIsALittleTooEarlyIsLetWait(t *testing.T) {
	t.Parallel()
	began := time.Unix(1_800_000_000, 0)
	for _, one := range []struct {
		name   string
		due    time.Time
		block  time.Duration // from one look at the chain to the next, by its clock
		looks  int
		passes bool
	}{
		{"in time", began, time.Minute, 1, true},
		{"half a minute early", began.Add(governWait / 2), governWait / 4, 3, true},
		{"a minute early", began.Add(governWait), governWait, 2, true},
		{"too early to wait", began.Add(governWait + time.Second), governWait, 1, false},
		{"the chain stands still", began.Add(time.Second), 0, 3, false},
	} {
		t.Run(one.name, func(t *testing.T) {
			t.Parallel()
			looks, clock := 0, began
			look := func(context.Context) (s ton.VaultState, err error) {
				s.At.Time = began.Add(time.Duration(looks) * one.block)
				looks++
				return s, nil
			}
			now := func() time.Time { // it is asked once before the first look, and once after each that was too early
				defer func() { clock = clock.Add(governWait * 3 / 4) }()
				return clock
			}
			var log lines
			err := awaitTime(t.Context(), &console{err: &log}, look, now, func(s ton.VaultState) error {
				if s.At.Time.Before(one.due) {
					return &tooEarlyError{one.due}
				}
				return nil
			})
			var said *exitError
			if passes := err == nil; passes != one.passes || !passes && (!errors.As(err, &said) || said.code != exitNo) || looks != one.looks {
				t.Errorf("after %d looks: %v", looks, err)
			}
			if told := strings.Count(log.String(), "waiting until the chain is at"); told != min(1, one.looks-1) {
				t.Errorf("it says %d times that it waits: %q", told, log.String())
			}
		})
	}
}
