// Command worker shows what a worker says of a job, from Go: it begins the job, meters it, and completes it.
//
//	worker -gateway http://127.0.0.1:8430 -key worker.key -spool worker.spool -account HEX -job HEX
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"

	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
	"github.com/filature/filature/sdk"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "worker:", err)
		os.Exit(1) //nolint:forbidigo,gocritic // this is main, and what stop gives back ends with the process
	}
}

func run(ctx context.Context, args []string, out io.Writer) (err error) {
	flags := flag.NewFlagSet("worker", flag.ContinueOnError)
	address := flags.String("gateway", "http://127.0.0.1:8420", "where reports are taken")
	keyFile := flags.String("key", "", "the worker's key file, as filature keygen makes it")
	spool := flags.String("spool", "", "folder where reports wait; it stays when the worker ends")
	accountHex := flags.String("account", "", "who pays for the job")
	jobHex := flags.String("job", "", "the job that a proxy assigned to this worker")
	if err := flags.Parse(args); err != nil {
		return err
	}
	account, errAccount := domain.ParseID[domain.AccountID](*accountHex)
	job, errJob := domain.ParseID[domain.JobID](*jobHex)
	key, errKey := sdk.ReadKey(*keyFile)
	gateway, errGateway := sdk.NewHTTP(*address, nil)
	if err := errors.Join(errAccount, errJob, errKey, errGateway); err != nil {
		return err
	}
	emitter, err := sdk.Open(ctx, sdk.Config{
		Key: key, Gateway: gateway, SpoolDir: *spool,
		Receipts: func(r sdk.Receipt) { fmt.Fprintf(out, "%s: %d claims\n", r.Status, r.Claims) },
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, emitter.Close()) }()
	network, err := emitter.Network(ctx)
	if err != nil {
		return err
	}
	shard := network.ShardOf(account) // a job is where its account is
	for _, claim := range []*v1.Claim{
		{Body: &v1.Claim_StartJob{StartJob: &v1.StartJob{Job: job[:]}}},
		// From time to time: all tokens so far, not those since the last time.
		{Body: &v1.Claim_MeterJob{MeterJob: &v1.MeterJob{Job: job[:], Usage: &v1.Usage{PromptTokens: 34, CompletionTokens: 60}}}},
		// The final count is what is paid.
		{Body: &v1.Claim_CompleteJob{CompleteJob: &v1.CompleteJob{Job: job[:], Usage: &v1.Usage{PromptTokens: 34, CompletionTokens: 100}}}},
	} {
		if err := emitter.Emit(ctx, shard, claim); err != nil { // on disk, when it returns
			return err
		}
	}
	return emitter.Deliver(ctx) // what is not answered stays in the spool, for the next run
}
