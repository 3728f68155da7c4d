package sdk_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
	"github.com/filature/filature/sdk"
)

// A worker that meters its jobs while something else sends: neither waits for the other.
func Example_background() {
	if err := work(context.Background()); err != nil {
		fmt.Println(err)
	}
	// Output:
	// the network goes away
	// 100 jobs metered
	// it is back
	// all 100 claims are delivered
}

func work(ctx context.Context) error {
	spool, err := os.MkdirTemp("", "spool") // a real one is a folder that stays
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(spool) }()
	delivered := 0
	wire := newWire(newGateway(nil)) // plays gateway and network; sdk.NewHTTP and kafka.NewDirect are real
	emitter, err := sdk.Open(ctx, sdk.Config{
		Key: annsKey(), Gateway: wire, SpoolDir: spool,
		Network:  network,                                             // told, so that it need not be asked
		Receipts: func(r sdk.Receipt) { delivered += r.Claims },       // in order, each when it is durable
		Trouble:  func(err error) { slog.Debug("sdk", "error", err) }, // it goes on by itself
	})
	if err != nil {
		return err
	}
	sending, stop := context.WithCancel(ctx)
	defer stop()
	sent := make(chan error, 1)
	go func() { sent <- emitter.Run(sending) }()

	fmt.Println("the network goes away")
	wire.set(true)
	account := domain.AccountID{7}
	for number := range 100 {
		job := domain.JobIDOf(account, uint64(number))
		// Add waits for the disk, at times, and for room when the spool is full: never for the network.
		if err := emitter.Add(ctx, network.ShardOf(account), &v1.Claim{Body: &v1.Claim_CompleteJob{CompleteJob: &v1.CompleteJob{
			Job: job[:], Usage: &v1.Usage{PromptTokens: 34, CompletionTokens: int64(100 + number)},
		}}}); err != nil {
			return err
		}
	}
	fmt.Println("100 jobs metered")
	wire.set(false)
	fmt.Println("it is back")

	// The end of a worker: no more is sent in the background, and what still waits is delivered now, or by
	// the next life.
	stop()
	if err := errors.Join(<-sent, emitter.Deliver(ctx)); err != nil {
		return err
	}
	fmt.Printf("all %d claims are delivered\n", delivered)
	return emitter.Close()
}
