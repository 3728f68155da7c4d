// Package courier knows how messages get their effects outside: tried again for a while, put aside with their
// reason where they can't be dealt with, and brought back from there.
//
// It is Watermill's Router with a fixed stack of middleware, outermost first:
//
//	Recoverer      a bug in what follows nacks the message, and not more
//	PoisonQueue    what failed for good goes to the poison topic, and the partition goes on
//	judge          says what failed for good: not what was interrupted because we end
//	Retry          tries again, ever later, a bounded number of times
//	CorrelationID  what a handler publishes belongs to what it was told
//	metrics        counts and times each try
//	attempt        bounds a try, and makes an error of a panic
//
// Watermill's Recoverer alone would let a message that makes its handler panic be delivered for ever: a panic
// passes PoisonQueue by. And Watermill's Timeout leaves the message with a context that has ended, under which
// nothing can be put on the poison topic. So both are done in attempt.
//
// The Router starts a goroutine for each message. Order is kept because a subscriber delivers the next message of a
// partition only after the one before was dealt with.
package courier

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/components/metrics"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
	"github.com/prometheus/client_golang/prometheus"
)

const (
	// defaultTries, with pauses from firstPause to lastPause, are about five minutes: longer than a restart on the
	// other side, and short enough that what waits behind the message is not forgotten.
	defaultTries = 10
	firstPause   = time.Second
	lastPause    = time.Minute
	// pauseGrowth is per pause that Retry draws, and it draws two for each try that failed: one to ask whether
	// to go on, one to wait for.
	pauseGrowth = 1.5
	// pauseSpread keeps those who failed together from coming back together.
	pauseSpread = 0.5
	// defaultTimeout bounds one try.
	defaultTimeout = 15 * time.Second
	// closeTimeout is how long Run waits for messages that are being handled when it is to end. A subscriber
	// ends their contexts before.
	closeTimeout = 20 * time.Second
)

// ErrRefused: a handler wraps it where trying again is of no use. The message is put aside at once.
var ErrRefused = errors.New("refused")

// Config says how to deal with messages. Poison, PoisonTopic and Registry are needed.
type Config struct {
	// Poison publishes what is put aside; when it returns nil that is durable. It is not closed.
	Poison      message.Publisher
	PoisonTopic string
	Registry    prometheus.Registerer
	Log         *slog.Logger // nil: none
	// Place names where a received message stands, for whoever looks at it in the poison topic. It may be nil.
	Place func(*message.Message) string

	Tries   int           // of one message, the first included; 0: ten
	Pause   time.Duration // before the second try; it grows up to a minute; 0: a second
	Timeout time.Duration // of one try; 0: 15 seconds
}

// Courier hands messages to their handlers. Add the handlers, then Run it once.
type Courier struct {
	router   *message.Router
	config   Config
	poisoned *prometheus.CounterVec
	handlers int
}

// New returns a courier without handlers. Those with the same registry count together.
func New(config Config) (*Courier, error) {
	switch {
	case config.Poison == nil:
		return nil, errors.New("courier: no publisher for what is put aside")
	case config.Registry == nil:
		return nil, errors.New("courier: no registry for its metrics")
	}
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	if config.Place == nil {
		config.Place = func(*message.Message) string { return "" }
	}
	if config.Tries == 0 {
		config.Tries = defaultTries
	}
	if config.Pause == 0 {
		config.Pause = firstPause
	}
	if config.Timeout == 0 {
		config.Timeout = defaultTimeout
	}
	c := &Courier{config: config, poisoned: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "filature_courier_poisoned_messages_total",
		Help: "Messages that were put on the poison topic.",
	}, []string{"handler"})}
	if err := config.Registry.Register(c.poisoned); err != nil {
		already, is := errors.AsType[prometheus.AlreadyRegisteredError](err)
		if !is {
			return nil, fmt.Errorf("courier: %w", err)
		}
		c.poisoned = already.ExistingCollector.(*prometheus.CounterVec) // several couriers of one process count together
	}
	log := watermill.NewSlogLoggerWithLevelMapping(config.Log, quieter)
	var err error
	if c.router, err = message.NewRouter(message.RouterConfig{CloseTimeout: closeTimeout}, log); err != nil {
		return nil, fmt.Errorf("courier: %w", err)
	}
	aside, err := middleware.PoisonQueueWithFilter(poisoner{c}, config.PoisonTopic, func(err error) bool { return !errors.Is(err, errInterrupted) })
	if err != nil {
		return nil, fmt.Errorf("courier: %w", err)
	}
	retry := middleware.Retry{
		MaxRetries: config.Tries - 1, InitialInterval: config.Pause, MaxInterval: max(lastPause, config.Pause), Multiplier: pauseGrowth,
		RandomizationFactor: pauseSpread, ResetContextOnRetry: true, Logger: log,
		ShouldRetry: func(p middleware.RetryParams) bool { return !errors.Is(p.Err, ErrRefused) },
	}
	c.router.AddMiddleware(middleware.Recoverer, aside, c.judge, retry.Middleware, middleware.CorrelationID)
	metrics.NewPrometheusMetricsBuilder(config.Registry, "filature", "courier").AddPrometheusRouterMetrics(c.router)
	c.router.AddMiddleware(c.attempt)
	return c, nil
}

// quieter makes Watermill's news about its own work ours to look for, not ours to read.
var quieter = map[slog.Level]slog.Level{slog.LevelInfo: slog.LevelDebug} //nolint:exhaustive // the others stay as they are

// Handle has a handler called for each message of a topic. Its name is unique, and stays the same for as long as
// messages of its are in the poison topic: they come back to it by name. The subscriber belongs to a
// consumer group of the handler's own, so that a handler that fails holds nobody else up; it is the
// caller's to close after Run.
//
// handle returns nil when the effect is there. An error has it called again (unless it is an ErrRefused), so the
// same message may have its effect more than once. The context ends after the time of one try.
func (c *Courier) Handle(name, topic string, subscriber message.Subscriber, handle func(context.Context, *message.Message) error) {
	c.handlers++
	c.router.AddConsumerHandler(name, topic, subscriber, func(m *message.Message) error {
		if only := m.Metadata[onlyHandler]; only != "" && only != name {
			return nil // brought back for another handler; this one had it the first time
		}
		return handle(m.Context(), m)
	})
}

// Run handles messages until the context ends, and then returns nil when those under way were dealt with or given
// up. An error says why it can't go on: a topic could not be subscribed to, or all subscriptions ended.
func (c *Courier) Run(ctx context.Context) error {
	if c.handlers == 0 { // a router without handlers does not end
		<-ctx.Done()
		return nil
	}
	err := c.router.Run(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("courier: %w", err)
	case ctx.Err() == nil:
		return errors.New("courier: all subscriptions ended")
	}
	return nil
}
