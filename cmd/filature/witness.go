package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/filature/filature/adapters/witness"
	"github.com/filature/filature/eventstore/tlog"
	"github.com/filature/filature/sdk"
)

// witnessCmd cosigns the checkpoints of other people's logs.
type witnessCmd struct {
	Name   string   `required:"true" help:"Name of the witness, as a URL without its scheme: witness.example.com/w1."`
	Key    string   `required:"true" type:"existingfile" help:"Key file of the witness, and of nothing else, as filature keygen makes it."`
	State  string   `required:"true" type:"path" help:"Folder that remembers what was cosigned. Never lose it, and never go back to an older copy."`
	Log    []string `required:"true" help:"Key of a network's logs, as filature publish prints it. May be repeated."`
	Listen string   `default:"127.0.0.1:8421" help:"Address to take checkpoints at. There is no TLS: put a proxy before it."`
}

// witnessTimeout bounds each request and answer.
const witnessTimeout = 10 * time.Second

// Run serves until the context ends.
func (c *witnessCmd) Run(ctx context.Context, out *console) (err error) {
	key, err := sdk.ReadKey(c.Key)
	if err != nil {
		return usage("--key: %w", err)
	}
	logs, err := tlog.Keys(c.Log...)
	if err != nil {
		return usage("--log: %w", err)
	}
	listener, err := listenAt(ctx, c.Listen)
	if err != nil {
		return err
	}
	state, err := tlog.OpenFolder(c.State)
	if err != nil {
		return errors.Join(usage("--state: %w", err), listener.Close())
	}
	defer func() { err = errors.Join(err, state.Close()) }()
	server := &http.Server{
		Handler:     witness.New(c.Name, key, logs, state, time.Now),
		ReadTimeout: witnessTimeout, WriteTimeout: witnessTimeout, IdleTimeout: time.Minute,
	}
	fmt.Fprintf(out.out, "witness %s %s http://%s\n", c.Name, tlog.WitnessKey(c.Name, key.Public().(ed25519.PublicKey)), listener.Addr())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err = <-ended:
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
	defer cancel()
	err = server.Shutdown(grace)
	if served := <-ended; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}
