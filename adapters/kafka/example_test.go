package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/filature/filature/adapters/kafka"
	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
	"github.com/filature/filature/sdk"
)

// A worker that writes to the network's intake itself.
func ExampleDirect() {
	brokers, closeBrokers, err := aNetwork(context.Background()) // what its operator set up
	if err == nil {
		err = meter(context.Background(), brokers)
		closeBrokers()
	}
	if err != nil {
		fmt.Println(err)
	}
	// Output: accepted: 1 claim, in shard 2 at 0
}

func meter(ctx context.Context, brokers []string) (err error) {
	spool, err := os.MkdirTemp("", "spool") // a real one is a folder that stays
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(spool) }()
	// A real cluster wants TLS and a Login, too.
	direct, err := kafka.NewDirect(kafka.Cluster{Brokers: brokers}, "filature")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, direct.Close()) }()
	emitter, err := sdk.Open(ctx, sdk.Config{
		Key: keyOf("worker"), Gateway: direct, SpoolDir: spool, // sdk.ReadKey reads a key file
		Receipts: func(r sdk.Receipt) {
			fmt.Printf("%s: %d claim, in shard %d at %d\n", r.Status, r.Claims, r.Shard, r.Offset)
		},
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, emitter.Close()) }()
	network, err := emitter.Network(ctx)
	if err != nil {
		return err
	}
	account := domain.AccountID{7} // the job's payer: the job is in its shard
	job := domain.JobIDOf(account, 1)
	err = emitter.Emit(ctx, network.ShardOf(account), &v1.Claim{Body: &v1.Claim_MeterJob{MeterJob: &v1.MeterJob{
		Job: job[:], Usage: &v1.Usage{PromptTokens: 34, CompletionTokens: 100},
	}}})
	if err != nil {
		return err
	}
	return emitter.Deliver(ctx) // or emitter.Run, beside the worker
}

// aNetwork is a broker with the topics of a network that has begun.
func aNetwork(ctx context.Context) (brokers []string, closeBrokers func(), err error) {
	broker, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		return nil, nil, err
	}
	cluster := kafka.Cluster{Brokers: broker.ListenAddrs()}
	if err := found(ctx, cluster); err != nil {
		broker.Close()
		return nil, nil, err
	}
	return cluster.Brokers, broker.Close, nil
}

// found is what filature init and the first clerk do.
func found(ctx context.Context, cluster kafka.Cluster) error {
	for _, topic := range []kafka.Topic{kafka.IntakeTopic("filature", directShards), kafka.LedgerTopic("filature", directShards)} {
		if err := kafka.Create(ctx, cluster, topic, 1); err != nil {
			return err
		}
	}
	return writeGenesis(ctx, cluster, "filature")
}
