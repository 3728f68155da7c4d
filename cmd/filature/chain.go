package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/filature/filature/adapters/ton"
	"github.com/filature/filature/adapters/ton/localchain"
)

// chainFlags say which TON network a folder settles on. It is the same code on all of them.
type chainFlags struct {
	TonConfig     string `type:"existingfile" help:"Global config file of the TON network to settle on. Default: a chain of the folder's own."`
	TonUnverified bool   `help:"With --ton-config: do not check the validators' signatures, for a network that has none."`
}

// errNoChain: the folder has no chain of its own, and no other was named.
var errNoChain = errors.New("has no chain of its own; name the network with --ton-config")

// connect reaches the network. Where none is named that is the folder's own chain: it is started, or, if it
// runs in another process, joined. With found it is not made where there is none: errNoChain.
func (f chainFlags) connect(ctx context.Context, dir string, found bool) (*ton.Client, *localchain.Chain, error) {
	if f.TonConfig != "" {
		client, err := ton.Connect(ctx, ton.Config{GlobalConfigFile: f.TonConfig, CheckSignatures: !f.TonUnverified})
		return client, nil, err
	}
	own := filepath.Join(dir, chainDir)
	if _, err := os.Stat(own); found && errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("%s: %w", dir, errNoChain)
	}
	interval := localchain.DefaultInterval
	if found {
		interval = 0 // to look at it, no block is needed
	}
	chain, err := localchain.Open(localchain.Options{Dir: own, Interval: interval})
	if found && errors.Is(err, localchain.ErrInUse) {
		client, err := ton.Connect(ctx, ton.Config{GlobalConfigFile: filepath.Join(own, localchain.GlobalConfigName)})
		if err != nil {
			return nil, nil, fmt.Errorf("reach the running chain: %w", err)
		}
		return client, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	client, err := ton.Connect(ctx, ton.Config{GlobalConfigFile: chain.GlobalConfigFile()})
	if err != nil {
		return nil, nil, errors.Join(err, chain.Close())
	}
	return client, chain, nil
}
