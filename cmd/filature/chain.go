package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/filature/filature/adapters/ton"
	"github.com/filature/filature/adapters/ton/localchain"
)

// chainFlags say which TON network a folder settles on. It is the same code on all of them.
type chainFlags struct {
	TonConfig     string `type:"existingfile" help:"Global config file of the TON network to settle on. Default: a chain of the folder's own."`
	TonUnverified bool   `help:"With --ton-config: do not check the validators' signatures, for a network that has none."`

	zeroState string // that the chain has to have, as global config files write it; empty for any
}

var errOtherChain = errors.New("is another TON network than the one that the logs are settled on")

// errNoChain: the folder has no chain of its own, and no other was named.
var errNoChain = errors.New("has no chain of its own; name the network with --ton-config")

func (f chainFlags) named(ctx context.Context) (*ton.Client, error) {
	return ton.Connect(ctx, ton.Config{GlobalConfigFile: f.TonConfig, CheckSignatures: !f.TonUnverified})
}

// run reaches the network that is named, or else starts the folder's own chain, which is returned then.
func (f chainFlags) run(ctx context.Context, dir string, now func() time.Time) (*ton.Client, *localchain.Chain, error) {
	if f.TonConfig != "" {
		client, err := f.named(ctx)
		return client, nil, err
	}
	return start(ctx, localchain.Options{Dir: filepath.Join(dir, chainDir), Interval: localchain.DefaultInterval, Now: now})
}

func start(ctx context.Context, o localchain.Options) (*ton.Client, *localchain.Chain, error) {
	chain, err := localchain.Open(o)
	if err != nil {
		return nil, nil, err
	}
	client, err := ton.Connect(ctx, ton.Config{GlobalConfigFile: chain.GlobalConfigFile()})
	if err != nil {
		return nil, nil, errors.Join(err, chain.Close())
	}
	return client, chain, nil
}

// look reaches the network that is named, or else the folder's own chain, and changes nothing: where that
// runs in another process it is joined, where it does not a copy is started. It is errNoChain where there is
// none. The function returned ends it.
func (f chainFlags) look(ctx context.Context, dir string) (_ *ton.Client, end func() error, err error) {
	join := func(client *ton.Client, err error) (*ton.Client, func() error, error) {
		if err != nil {
			return nil, nil, fmt.Errorf("reach the chain: %w", err)
		}
		if have := client.ZeroState(); f.zeroState != "" && have != f.zeroState {
			client.Close()
			return nil, nil, usage("--ton-config %s: %w: its zero state is %s, the archive's manifest says %s", f.TonConfig, errOtherChain, have, f.zeroState)
		}
		return client, func() error { client.Close(); return nil }, nil
	}
	if f.TonConfig != "" {
		return join(f.named(ctx))
	}
	own := filepath.Join(dir, chainDir)
	temporary, err := os.MkdirTemp("", "filature-chain-")
	if err != nil {
		return nil, nil, err
	}
	remove := func() error { return os.RemoveAll(temporary) }
	err = localchain.Snapshot(own, temporary)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil, errors.Join(fmt.Errorf("%s: %w", dir, errNoChain), remove())
	case errors.Is(err, localchain.ErrInUse):
		client, end, err := join(ton.Connect(ctx, ton.Config{GlobalConfigFile: filepath.Join(own, localchain.GlobalConfigName)}))
		return client, end, errors.Join(err, remove())
	case err != nil:
		return nil, nil, errors.Join(err, remove())
	}
	client, chain, err := start(ctx, localchain.Options{Dir: temporary})
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("copy of %s: %w", filepath.Join(own, localchain.JournalName), err), remove())
	}
	return client, func() error {
		client.Close()
		return errors.Join(chain.Close(), remove())
	}, nil
}
