package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/workers/courier"
	"github.com/filature/filature/workers/relay"
)

// outlet is the topics that others consume.
type outlet struct {
	publisher message.Publisher
	tail      relay.Tail
	prefix    string // what the names of all topics begin with
	source    string // the CloudEvents source of all messages
	poison    string // the topic of messages that could not be dealt with
	place     func(*message.Message) string
	webhooks  []webhook
	// subscribers counts what they do.
	subscribers func(counted prometheus.Registerer, log *slog.Logger) (subscribers, error)
}

// subscribers makes members of consumer groups.
type subscribers func(ctx context.Context, group string) (message.Subscriber, error)

// webhook is who is told of a stream's messages.
type webhook struct {
	courier.Webhook
	topic string
}

// relay is the work of a relay on one shard.
func (e *engine) relay(ctx context.Context, shard domain.Shard) error {
	return e.keep(ctx, roleRelay, shard, relay.New(relay.Config{
		Ledger: e.ledger, Shard: shard, Publisher: e.streams.publisher, Tail: e.streams.tail,
		Prefix: e.streams.prefix, Source: e.streams.source,
		Trouble: func(err error) { e.log.Warn("relay", "error", err) },
	}).Run)
}

// callWebhooks tells webhooks of the streams' messages. Kafka shares each one's partitions among all processes.
func (e *engine) callWebhooks(ctx context.Context) (err error) {
	router, err := courier.New(courier.Config{
		Poison: e.streams.publisher, PoisonTopic: e.streams.poison,
		Registry: e.metrics.registry, Log: e.log, Place: e.streams.place,
	})
	if err != nil {
		return fmt.Errorf("webhooks: %w", err)
	}
	subscribe, err := e.streams.subscribers(e.metrics.registry, e.log)
	if err != nil {
		return fmt.Errorf("webhooks: %w", err)
	}
	for _, w := range e.streams.webhooks {
		caller, err := courier.NewCaller(w.Webhook, time.Now)
		if err != nil {
			return usage("webhook %s: %w", w.Name, err)
		}
		group := e.streams.prefix + ".webhook." + w.Name
		subscriber, err := subscribe(ctx, group)
		if err != nil {
			return fmt.Errorf("webhook %s: %w", w.Name, err)
		}
		defer func() { err = errors.Join(err, subscriber.Close()) }() // when the router has ended
		router.Handle(w.Name, w.topic, subscriber, caller.Deliver)    //nolint:contextcheck // the router brings each message's own
	}
	return router.Run(ctx)
}
