package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"

	"github.com/filature/filature/adapters/attestation"
	"github.com/filature/filature/adapters/kafka"
	"github.com/filature/filature/adapters/kafka/pubsub"
	"github.com/filature/filature/adapters/postgres"
	"github.com/filature/filature/adapters/ton"
	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/stream"
	"github.com/filature/filature/projections"
	v1 "github.com/filature/filature/schemas/filature/v1"
	"github.com/filature/filature/workers/courier"
	"github.com/filature/filature/workers/relay"
)

const (
	// poisonTopic holds messages that could not be dealt with.
	poisonTopic = "poison"
	// answersTopic takes workers' answers from gateways to verifiers.
	answersTopic = "attestation-answers"
	// answersGroup shares them out; the role's own name is the group that chooses who asks.
	answersGroup = "verifier.answers"
)

// openProduction opens what a process with some roles works on: logs in Kafka, tables in PostgreSQL, and a TON
// network behind its lite-servers. Any number of processes do so; Kafka shares the work among them.
func openProduction(ctx context.Context, c *config, r roles) (p parts, err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, p.close())
		}
	}()
	if p, err = openServers(ctx, c); err != nil {
		return p, err
	}
	if p.keys, err = readKeys(string(c.Keys.Dir), r); err != nil {
		return p, usage("keys.dir %s: %w", c.Keys.Dir, err)
	}
	// Who answers for claims tells of the network that they are on, where the file names it.
	if r[roleSettler] || r[roleWatcher] || r[roleAPI] && c.TON.ConfigFile != "" {
		if err := p.reachChain(ctx, c); err != nil {
			return p, err
		}
	}
	if p.certificate, err = c.certificate(); err != nil {
		return p, err
	}
	if r[roleAPI] {
		if p.askers, err = c.askers(); err != nil {
			return p, err
		}
		if p.pages.Wallets, err = c.wallets(); err != nil {
			return p, usage("%w", err)
		}
		p.pages.PublicURL = c.HTTP.PublicURL
		if name := string(c.Documents.PricesFile); name != "" {
			if p.prices, err = readPrices(name); err != nil {
				return p, fmt.Errorf("documents.prices_file: %w", err)
			}
		}
	}
	if r[rolePublisher] {
		if err := p.publishes(c.Transparency); err != nil {
			return p, err
		}
	}
	if r[roleRelay] {
		if err := p.openStreams(ctx, c); err != nil {
			return p, err
		}
	}
	if r[roleVerifier] {
		p.verifying = &verifying{
			policy: string(c.Verifier.Policy), collateral: string(c.Verifier.Collateral), archive: string(c.Verifier.Archive),
			fetch: c.Verifier.Fetch, concurrency: c.Verifier.Concurrency, every: workersPoll, verifier: attestation.New(),
		}
	}
	if r[roleGateway] || r[roleVerifier] {
		err = p.openAnswers(ctx, c)
	}
	return p, err
}

// workersPoll is how often the workers are looked at for whom to ask.
const workersPoll = 10 * time.Second

// openAnswers opens the topic in which answers travel from gateways to verifiers.
func (p *parts) openAnswers(ctx context.Context, c *config) error {
	cluster, err := c.cluster()
	if err != nil {
		return err
	}
	publisher, err := pubsub.NewPublisher(ctx, cluster)
	if err != nil {
		return err
	}
	p.closing(publisher.Close)
	p.answers = &answers{
		topic: c.stream(answersTopic), publisher: publisher, poison: publisher, poisonTopic: c.stream(poisonTopic), place: pubsub.Place,
		subscribe: func(ctx context.Context, counted prometheus.Registerer, log *slog.Logger) (message.Subscriber, error) {
			metrics, err := p.streamMetrics(counted)
			if err != nil {
				return nil, err
			}
			return pubsub.NewSubscriber(ctx, cluster, pubsub.SubscriberConfig{Group: c.stream(answersGroup), Log: log, Metrics: metrics})
		},
	}
	return nil
}

// oneSet makes the metrics of subscribers when they are needed for the first time, and keeps them: a process has one set.
func oneSet() func(prometheus.Registerer) (*pubsub.Metrics, error) {
	var once sync.Once
	var metrics *pubsub.Metrics
	var err error
	return func(registry prometheus.Registerer) (*pubsub.Metrics, error) {
		once.Do(func() { metrics, err = pubsub.NewMetrics(registry) })
		return metrics, err
	}
}

// openStreams opens the topics that a relay publishes to.
func (p *parts) openStreams(ctx context.Context, c *config) error {
	cluster, err := c.cluster()
	if err != nil {
		return err
	}
	publisher, err := pubsub.NewPublisher(ctx, cluster)
	if err != nil {
		return err
	}
	p.closing(publisher.Close)
	tail, err := pubsub.NewTail(ctx, cluster, c.Kafka.DataShards)
	if err != nil {
		return err
	}
	p.closing(func() error { tail.Close(); return nil })
	p.streams = &outlet{
		publisher: publisher, tail: tail, prefix: c.Kafka.Topics, source: "/" + c.Kafka.Topics,
		poison: c.stream(poisonTopic), place: pubsub.Place,
		subscribers: func(counted prometheus.Registerer, log *slog.Logger) (subscribers, error) {
			metrics, err := p.streamMetrics(counted)
			return func(ctx context.Context, group string) (message.Subscriber, error) {
				return pubsub.NewSubscriber(ctx, cluster, pubsub.SubscriberConfig{Group: group, Log: log, Metrics: metrics})
			}, err
		},
	}
	for _, w := range c.Webhooks {
		p.streams.webhooks = append(p.streams.webhooks, webhook{
			courier.Webhook{Name: w.Name, URL: w.URL, Secret: string(w.Secret), JSON: jsonOf[stream.Name(w.Stream)]}, c.stream(w.Stream),
		})
	}
	return nil
}

// openServers opens both logs and the tables.
func openServers(ctx context.Context, c *config) (p parts, err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, p.close())
		}
	}()
	if err := c.needs("filature", "kafka.brokers", "postgres.url"); err != nil {
		return p, err
	}
	cluster, err := c.cluster()
	if err != nil {
		return p, err
	}
	p = parts{
		now:       time.Now,
		pollChain: c.TON.Poll.Duration, streamMetrics: oneSet(),
		lasting: []error{kafka.ErrTopic, kafka.ErrLogin, postgres.ErrNewerSchema, relay.ErrStranger, pubsub.ErrForgotten},
		share: func(ctx context.Context, task string, work func(context.Context, domain.Shard) error) error {
			return kafka.Own(ctx, cluster, c.ledgerTopic(), c.stream(task), work)
		},
	}
	intake, err := kafka.Open(ctx, cluster, c.intakeTopic())
	if err != nil {
		return p, err
	}
	p.intake = intake
	p.closing(intake.Close)
	ledger, err := kafka.Open(ctx, cluster, c.ledgerTopic())
	if err != nil {
		return p, err
	}
	p.ledger = ledger
	p.closing(ledger.Close)
	store, err := postgres.Open(ctx, c.postgres())
	if err != nil {
		return p, err
	}
	p.store = store
	p.closing(func() error { store.Close(); return nil })
	return p, nil
}

// reachChain connects to the network that the config names.
func (p *parts) reachChain(ctx context.Context, c *config) error {
	if err := c.needs("the chain", "ton.config_file"); err != nil {
		return err
	}
	client, err := ton.Connect(ctx, ton.Config{GlobalConfigFile: string(c.TON.ConfigFile), CheckSignatures: !c.TON.Unverified})
	if err != nil {
		return fmt.Errorf("reach the chain that %s names: %w", c.TON.ConfigFile, err)
	}
	p.joinChain(client, nil)
	return nil
}

// jsonOf makes of a stream's messages what webhooks are sent.
var jsonOf = map[stream.Name]func([]byte) ([]byte, error){
	stream.Completions: inJSON[v1.Completion],
	stream.Settlement:  inJSON[v1.SettlementStep],
	stream.Attestation: inJSON[v1.AttestationRequest],
}

func inJSON[T any, M interface {
	*T
	v1.Message
	proto.Message
}](payload []byte) ([]byte, error) {
	m := M(new(T))
	if err := v1.Decode(payload, m); err != nil {
		return nil, err
	}
	return v1.AppendJSON(nil, m), nil
}

// errNotEmpty: the demo founds a network, and the tables know one already.
var errNotEmpty = errors.New("the database holds a network already; make an empty one: CREATE DATABASE")

// openServersAndFolder opens what the demo works on in production mode: new logs in Kafka, empty tables in
// PostgreSQL, and keys and a TON chain of its own in a folder.
func openServersAndFolder(ctx context.Context, c *config, dir string) (p parts, err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, p.close())
		}
	}()
	if err := c.needs("filature demo --production", "kafka.brokers", "postgres.url"); err != nil {
		return p, err
	}
	if err := createTopics(ctx, c); err != nil {
		return p, err
	}
	if p, err = openServers(ctx, c); err != nil {
		return p, err
	}
	err = p.store.Read(ctx, func(reader projections.Reader) error {
		at, err := reader.At(ctx)
		if err == nil && len(at) > 0 {
			err = usage("postgres.url: %w", errNotEmpty)
		}
		return err
	})
	if err != nil {
		return p, err
	}
	if p.keys, err = makeKeys(filepath.Join(dir, keysDir)); err != nil {
		return p, err
	}
	client, own, err := chainFlags{}.run(ctx, dir, time.Now)
	if err != nil {
		return p, err
	}
	p.pollChain = localPoll
	p.joinChain(client, own)
	return p, p.openStreams(ctx, c)
}

// createTopics makes the topics of both logs and of the streams where they are missing.
func createTopics(ctx context.Context, c *config) error {
	cluster, err := c.cluster()
	if err != nil {
		return err
	}
	for _, topic := range []kafka.Topic{c.intakeTopic(), c.ledgerTopic()} {
		if err := kafka.Create(ctx, cluster, topic, c.Kafka.Replicas); err != nil {
			return err
		}
	}
	return pubsub.Create(ctx, cluster, c.streams()...)
}
