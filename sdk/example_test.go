package sdk_test

import (
	"context"
	"fmt"
	"os"

	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
	"github.com/filature/filature/sdk"
)

// A worker that emits what it metered, and delivers it.
func Example() {
	if err := meter(context.Background()); err != nil {
		fmt.Println(err) // what was emitted and not delivered waits in the spool
	}
	// Output: accepted: 1 claim
}

func meter(ctx context.Context) error {
	spool, err := os.MkdirTemp("", "spool") // a real one is a folder that stays
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(spool) }()
	gateway, err := sdk.NewHTTP("http://127.0.0.1:8420", newGateway(nil).client()) // nil is a real client
	if err != nil {
		return err
	}
	emitter, err := sdk.Open(ctx, sdk.Config{
		Key:      annsKey(), // sdk.ReadKey reads a key file
		Gateway:  gateway,
		SpoolDir: spool,
		Receipts: func(r sdk.Receipt) { fmt.Printf("%s: %d claim\n", r.Status, r.Claims) },
	})
	if err != nil {
		return err
	}
	defer func() { _ = emitter.Close() }()
	network, err := emitter.Network(ctx)
	if err != nil {
		return err
	}
	account := domain.AccountID{7} // the job's payer: the job is in its shard
	job := domain.JobIDOf(account, 1)
	err = emitter.Emit(ctx, network.ShardOf(account), &v1.Claim{Body: &v1.Claim_MeterJob{MeterJob: &v1.MeterJob{
		Job: job[:], Usage: &v1.Usage{PromptTokens: 34, CachedTokens: 11, CompletionTokens: 100, ReasoningTokens: 10},
	}}})
	if err != nil {
		return err
	}
	// From here on the claim is on disk, and reaches the ledger once, whatever crashes.
	return emitter.Deliver(ctx)
}
