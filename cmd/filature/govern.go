package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"github.com/filature/filature/adapters/ton"
	"github.com/filature/filature/adapters/ton/localchain"
	"github.com/filature/filature/domain"
	"github.com/filature/filature/projections"
	"github.com/filature/filature/sdk"
)

// vaultFlags name a vault. A guardian needs no more than its address, a network and a key: none of the operator's
// servers has to be up, or honest.
type vaultFlags struct {
	chainFlags

	Vault string `help:"The vault's address, as init and serve print it. Needs --ton-config."`
	Data  string `type:"existingdir" help:"Instead: folder that serve or demo made. It may be in use."`
	JSON  bool   `help:"Print JSON."`
}

// reach returns the vault, and the faucet where this process runs the chain. The function returned ends it.
func (f vaultFlags) reach(ctx context.Context) (_ *ton.Vault, p parts, err error) {
	switch {
	case f.Vault == "" && f.Data == "":
		return nil, p, usage("name the vault: --vault with --ton-config, or --data")
	case f.Data == "" && f.TonConfig == "":
		return nil, p, usage("--vault: needs the network, too: --ton-config")
	}
	var address ton.Address
	if f.Vault != "" {
		if address, err = ton.ParseAddress(f.Vault); err != nil {
			return nil, p, usage("--vault: %w", err)
		}
	} else if address, err = vaultOf(ctx, f.Data); err != nil {
		return nil, p, err
	}
	client, chain, err := f.run(ctx, f.Data, time.Now)
	if errors.Is(err, localchain.ErrInUse) {
		own := filepath.Join(f.Data, chainDir, localchain.GlobalConfigName)
		client, err = ton.Connect(ctx, ton.Config{GlobalConfigFile: own})
	}
	if err != nil {
		return nil, p, fmt.Errorf("reach the chain: %w", err)
	}
	p = parts{now: time.Now, chain: client, pollChain: localPoll}
	if chain != nil {
		p.faucet = chain.Faucet
		p.closing(chain.Close)
	}
	p.closing(func() error { client.Close(); return nil })
	if chain != nil {
		// It stood still until now, and says the time at which it stopped. Delays, and how long a message is good for, go by its next block.
		if _, err := chain.Step(ctx); err != nil {
			return nil, p, errors.Join(fmt.Errorf("have the chain go on: %w", err), p.close())
		}
	}
	return client.Vault(address), p, nil
}

// vaultOf is the vault of a folder's network.
func vaultOf(ctx context.Context, dir string) (address ton.Address, err error) {
	store, err := readStore(ctx, dir)
	if err != nil {
		return address, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	err = store.View(ctx, func(view projections.View) error {
		for network, err := range projections.RowsOf(ctx, view, projections.TheNetwork) {
			if err != nil {
				return err
			}
			address.Account = network.Vault
		}
		return nil
	})
	if err == nil && address == (ton.Address{}) {
		err = &exitError{exitNo, errNoVault}
	}
	return address, err
}

// vaultStatus is what chain status prints, and what the others end with.
type vaultStatus struct {
	Vault     string      `json:"vault"`
	Block     uint32      `json:"block"`
	At        time.Time   `json:"at"`
	Paused    bool        `json:"paused"`
	Balance   domain.Nano `json:"balance_nano"`
	Paid      domain.Nano `json:"paid_nano"`
	LastEpoch uint32      `json:"last_epoch"`
	Admin     string      `json:"admin"`
	Guardian  string      `json:"guardian"`
	Delay     string      `json:"delay"`
	Active    *rootStatus `json:"active,omitempty"`
	Pending   *rootStatus `json:"pending,omitempty"`
	// Change is what the admin wants to change: its own key, or the code.
	Change *changeStatus `json:"change,omitempty"`
}

type changeStatus struct {
	ID    string    `json:"id"`
	Admin string    `json:"admin,omitempty"`
	Code  string    `json:"code,omitempty"`
	DueAt time.Time `json:"due_at"`
}

type rootStatus struct {
	Epoch      uint32      `json:"epoch"`
	Root       string      `json:"root"`
	Total      domain.Nano `json:"total_nano"`
	Commitment string      `json:"commitment"`
	ActivateAt *time.Time  `json:"activate_at,omitempty"`
}

func vaultStatusOf(vault *ton.Vault, s ton.VaultState) vaultStatus {
	root := func(r ton.Root) *rootStatus {
		return &rootStatus{Epoch: r.Epoch, Root: r.Root.String(), Total: r.Total, Commitment: r.Commitment.String()}
	}
	status := vaultStatus{
		Vault: vault.Address().String(), Block: s.At.Seqno, At: s.At.Time.UTC(), Paused: s.Paused, Balance: s.Balance, Paid: s.Paid,
		LastEpoch: s.LastEpoch, Admin: s.Params.Admin.String(), Guardian: s.Params.Guardian.String(), Delay: s.Params.Delay.String(),
	}
	if s.Active.Epoch != 0 {
		status.Active = root(s.Active)
	}
	if c := s.Change; c != nil {
		status.Change = &changeStatus{ID: c.ID.String(), DueAt: c.DueAt.UTC()}
		if c.Admin != (ton.Address{}) {
			status.Change.Admin = c.Admin.String()
		} else {
			status.Change.Code = c.Code.String()
		}
	}
	if s.Pending != nil {
		status.Pending = root(s.Pending.Root)
		at := s.Pending.ActivateAt.UTC()
		status.Pending.ActivateAt = &at
	}
	return status
}

func (s vaultStatus) show(out *console, json bool) error {
	if json {
		return out.json(s)
	}
	state := "works"
	if s.Paused {
		state = "paused: only the guardian lets it go on"
	}
	fmt.Fprintf(out.out, "Vault     %s, as of block %d (%s)\nState     %s\nBalance   %s coins\nPaid      %s coins\nLast      epoch %d\n",
		s.Vault, s.Block, s.At.Format(time.RFC3339), state, s.Balance, s.Paid, s.LastEpoch)
	for _, one := range []struct {
		name string
		root *rootStatus
	}{{"Active", s.Active}, {"Pending", s.Pending}} {
		if one.root == nil {
			fmt.Fprintf(out.out, "%-9s none\n", one.name)
			continue
		}
		fmt.Fprintf(out.out, "%-9s epoch %d, %s coins in all\n          root %s\n          commitment %s\n",
			one.name, one.root.Epoch, one.root.Total, one.root.Root, one.root.Commitment)
		if one.root.ActivateAt != nil {
			fmt.Fprintf(out.out, "          to be vetoed before %s\n", one.root.ActivateAt.Format(time.RFC3339))
		}
	}
	if c := s.Change; c != nil {
		what := "code " + c.Code
		if c.Admin != "" {
			what = "admin " + c.Admin
		}
		fmt.Fprintf(out.out, "Change    to %s, from %s on\n          id %s\n", what, c.DueAt.Format(time.RFC3339), c.ID)
	}
	_, err := fmt.Fprintf(out.out, "Admin     %s\nGuardian  %s\nDelay     %s\n", s.Admin, s.Guardian, s.Delay)
	return err
}

// chainStatusCmd looks at a vault.
type chainStatusCmd struct{ vaultFlags }

// Run prints the vault as of the newest final block.
func (c *chainStatusCmd) Run(ctx context.Context, out *console) (err error) {
	vault, p, err := c.reach(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	state, err := vault.State(ctx)
	if err != nil {
		return err
	}
	return vaultStatusOf(vault, state).show(out, c.JSON)
}

// governFlags are those of the commands that tell a vault something.
type governFlags struct {
	vaultFlags

	Key string `required:"true" type:"existingfile" help:"Key file of who may: the guardian, or the admin. Its wallet pays the fee, about 0.001 coins."`
}

// govern sends one message to the vault, unless the vault as it is refuses it, and returns when a final block shows
// that it did what it should.
func (f governFlags) govern(ctx context.Context, out *console, message func(*ton.Vault) ton.Message,
	refuse func(*ton.Client, ton.VaultState, ton.Address) error, done func(ton.VaultState) bool,
) (err error) {
	vault, p, err := f.reach(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	key, err := sdk.ReadKey(f.Key)
	if err != nil {
		return usage("--key: %w", err)
	}
	wallet, err := p.chain.Wallet(key)
	if err != nil {
		return err
	}
	err = awaitTime(ctx, out, vault.State, p.now, func(s ton.VaultState) error { return refuse(p.chain, s, wallet.Address()) })
	if err != nil {
		return err
	}
	if p.faucet != nil {
		if err := p.fund(ctx, wallet, domain.Coin); err != nil {
			return err
		}
	}
	fate, err := wallet.Deliver(ctx, []ton.Message{message(vault)})
	if err != nil {
		return err
	}
	if fate.Outcome != ton.Landed || fate.Sent != 1 {
		return fmt.Errorf("the message did not leave wallet %s (%s): run it again", wallet.Address(), fate.Outcome)
	}
	out.stepf("✓ sent in transaction %s", fate.TxHash)
	state, err := awaitVault(ctx, vault, done)
	if err != nil {
		return err
	}
	return vaultStatusOf(vault, state).show(out, f.JSON)
}

// tooEarlyError: the vault takes the message from a moment of the chain's time on.
type tooEarlyError struct{ due time.Time }

func (e *tooEarlyError) Error() string {
	return fmt.Sprintf("not before %s: the guardian has until then to veto it", e.due.UTC().Format(time.RFC3339))
}

// awaitTime returns nil when nothing speaks against a message to the vault, and what does otherwise. Who comes too early by less than
// governWait is let wait.
func awaitTime(ctx context.Context, out *console, look func(context.Context) (ton.VaultState, error), now func() time.Time,
	refuse func(ton.VaultState) error,
) error {
	began := now()
	for waits := false; ; waits = true {
		state, err := look(ctx)
		if err != nil {
			return err
		}
		refused := refuse(state)
		if refused == nil {
			return nil
		}
		early, is := errors.AsType[*tooEarlyError](refused)
		if !is || early.due.After(began.Add(governWait)) || now().After(began.Add(2*governWait)) {
			return &exitError{exitNo, refused}
		}
		if !waits {
			out.stepf("… waiting until the chain is at %s; it is at %s", early.due.UTC().Format(time.RFC3339), state.At.Time.UTC().Format(time.RFC3339))
		}
		if err := pause(ctx, localPoll); err != nil {
			return err
		}
	}
}

// governWait is how long the vault may take to do what it was told: far longer than the two blocks that it needs.
const governWait = time.Minute

var errNotDone = errors.New("the vault did not do what it was told: look at chain status, and run it again")

func awaitVault(ctx context.Context, vault *ton.Vault, done func(ton.VaultState) bool) (ton.VaultState, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, governWait, errNotDone)
	defer cancel()
	for {
		state, err := vault.State(ctx)
		if err == nil && done(state) {
			return state, nil
		}
		if pause(ctx, localPoll) != nil {
			return state, errors.Join(context.Cause(ctx), err)
		}
	}
}

// chainVetoCmd is the guardian's veto.
type chainVetoCmd struct {
	What string `arg:"" name:"pending" help:"The pending root's epoch, or the pending change's id, as chain status shows them."`
	governFlags
}

// Run throws the pending root, or the pending change, away.
func (c *chainVetoCmd) Run(ctx context.Context, out *console) error {
	if id, err := domain.ParseID[domain.Digest](c.What); err == nil {
		return c.vetoChange(ctx, out, id)
	}
	epoch, err := strconv.ParseUint(c.What, 10, 32)
	if err != nil {
		return usage("veto %q: want an epoch, or 64 hexadecimal digits", c.What)
	}
	return c.vetoRoot(ctx, out, uint32(epoch))
}

func (c *chainVetoCmd) vetoRoot(ctx context.Context, out *console, epoch uint32) error {
	late := false
	err := c.govern(ctx, out,
		func(v *ton.Vault) ton.Message { return v.VetoMessage(epoch) },
		func(_ *ton.Client, s ton.VaultState, who ton.Address) error {
			switch {
			case s.Pending == nil:
				return errors.New("nothing is pending: there is nothing to veto")
			case s.Pending.Epoch != epoch:
				return fmt.Errorf("pending is epoch %d, not %d", s.Pending.Epoch, epoch)
			default:
				return onlyGuardian(s, who)
			}
		},
		func(s ton.VaultState) bool {
			late = s.Active.Epoch == epoch
			return s.Pending == nil || s.Pending.Epoch != epoch
		})
	if err == nil && late {
		return &exitError{exitNo, fmt.Errorf("too late: epoch %d was activated first. Pause the vault before anybody claims: filature chain pause", epoch)}
	}
	return err
}

func (c *chainVetoCmd) vetoChange(ctx context.Context, out *console, id domain.Digest) error {
	return c.govern(ctx, out,
		func(v *ton.Vault) ton.Message { return v.VetoChangeMessage(id) },
		func(_ *ton.Client, s ton.VaultState, who ton.Address) error {
			if s.Change == nil || s.Change.ID != id {
				return fmt.Errorf("no change %s is pending", id)
			}
			return onlyGuardian(s, who)
		},
		func(s ton.VaultState) bool { return s.Change == nil || s.Change.ID != id })
}

func onlyGuardian(s ton.VaultState, who ton.Address) error {
	if who != s.Params.Guardian {
		return fmt.Errorf("the key's wallet is %s, the vault's guardian is %s", who, s.Params.Guardian)
	}
	return nil
}

// chainPauseCmd stops a vault.
type chainPauseCmd struct{ governFlags }

// Run pauses the vault.
func (c *chainPauseCmd) Run(ctx context.Context, out *console) error {
	return c.govern(ctx, out,
		func(v *ton.Vault) ton.Message { return v.PauseMessage(true) },
		func(_ *ton.Client, s ton.VaultState, who ton.Address) error {
			switch {
			case s.Paused:
				return errors.New("it is paused already")
			case who == s.Params.Admin:
				return nil
			default:
				return onlyGuardian(s, who)
			}
		},
		func(s ton.VaultState) bool { return s.Paused })
}

// chainUnpauseCmd lets a vault go on.
type chainUnpauseCmd struct{ governFlags }

// Run unpauses the vault.
func (c *chainUnpauseCmd) Run(ctx context.Context, out *console) error {
	return c.govern(ctx, out,
		func(v *ton.Vault) ton.Message { return v.PauseMessage(false) },
		func(_ *ton.Client, s ton.VaultState, who ton.Address) error {
			if !s.Paused {
				return errors.New("it is not paused")
			}
			return onlyGuardian(s, who)
		},
		func(s ton.VaultState) bool { return !s.Paused })
}
