package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/filature/filature/adapters/ton"
	"github.com/filature/filature/domain"
)

// chainProposeCmd announces who is to be a vault's admin.
type chainProposeCmd struct {
	Admin string `arg:"" help:"The new admin: its public key, as keygen prints it, or the address of its wallet."`
	governFlags
}

// Run announces the new admin. Until it has accepted, which it can when the delay is over, the old one goes on.
func (c *chainProposeCmd) Run(ctx context.Context, out *console) error {
	key, err := domain.ParseID[domain.KeyID](c.Admin)
	var admin ton.Address
	if isKey := err == nil; !isKey {
		if admin, err = ton.ParseAddress(c.Admin); err != nil {
			return usage("propose-admin %q: want 64 hexadecimal digits, or an address: %w", c.Admin, err)
		}
	}
	return c.govern(ctx, out,
		func(v *ton.Vault) ton.Message { return v.ProposeAdminMessage(admin) },
		func(client *ton.Client, s ton.VaultState, who ton.Address) (err error) {
			if admin == (ton.Address{}) {
				if admin, err = client.WalletAddress(key); err != nil {
					return err
				}
			}
			return mayPropose(s, who, admin)
		},
		func(s ton.VaultState) bool { return s.Change != nil && s.Change.Admin == admin })
}

// mayPropose says what speaks against a new admin.
func mayPropose(s ton.VaultState, who, admin ton.Address) error {
	switch {
	case who != s.Params.Admin:
		return fmt.Errorf("the key's wallet is %s, the vault's admin is %s", who, s.Params.Admin)
	case s.Change != nil:
		return fmt.Errorf("change %s is pending, and there is one at a time: the guardian may veto it", s.Change.ID)
	case admin == s.Params.Guardian:
		return errors.New("that is the guardian, who can't be the admin, too")
	case admin == s.Params.Admin:
		return errors.New("that is the admin already")
	default:
		return nil
	}
}

// chainAcceptCmd makes whoever was announced the admin.
type chainAcceptCmd struct{ governFlags }

// Run accepts. The old admin may nothing from then on, so the key that the settler has must be the new one.
func (c *chainAcceptCmd) Run(ctx context.Context, out *console) error {
	var me ton.Address
	return c.govern(ctx, out,
		func(v *ton.Vault) ton.Message { return v.AcceptAdminMessage() },
		func(_ *ton.Client, s ton.VaultState, who ton.Address) error {
			me = who
			return mayAccept(s, who)
		},
		func(s ton.VaultState) bool { return s.Params.Admin == me })
}

// mayAccept says what speaks against a handover. The time is the chain's.
func mayAccept(s ton.VaultState, who ton.Address) error {
	switch {
	case s.Change == nil || s.Change.Admin == (ton.Address{}):
		return errors.New("no admin is announced: the one that there is has to run filature chain propose-admin first")
	case s.Change.Admin != who:
		return fmt.Errorf("the key's wallet is %s, announced is %s", who, s.Change.Admin)
	case s.Paused:
		return errors.New("the vault is paused: it changes no admin until the guardian lets it go on")
	case s.At.Time.Before(s.Change.DueAt):
		return &tooEarlyError{s.Change.DueAt}
	default:
		return nil
	}
}
