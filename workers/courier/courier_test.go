package courier_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/filature/filature/workers/courier"
)

const (
	topic       = "test.completions"
	poisonTopic = "test.poison"
	patience    = 10 * time.Second
)

// world is a courier on channels in memory.
type world struct {
	*testing.T

	courier  *courier.Courier
	registry *prometheus.Registry
	channels *gochannel.GoChannel
	poison   *poison
	stop     context.CancelFunc
	ended    chan error
}

// poison is a poison topic. It fails as often as it is told to.
type poison struct {
	mu       sync.Mutex
	failures int
	asked    int
	kept     chan *message.Message
}

func (p *poison) Publish(to string, messages ...*message.Message) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked++
	if p.failures > 0 {
		p.failures--
		return errors.New("no poison topic today")
	}
	for _, m := range messages {
		if err := m.Context().Err(); err != nil { // as a real publisher would
			return err
		}
		if to != poisonTopic {
			return fmt.Errorf("to %s", to)
		}
		p.kept <- m.Copy()
	}
	return nil
}

func (*poison) Close() error { panic("the poison publisher is not the courier's") }

func newWorld(t *testing.T, change func(*courier.Config)) *world {
	t.Helper()
	w := &world{T: t, registry: prometheus.NewRegistry(), poison: &poison{kept: make(chan *message.Message, 100)}, ended: make(chan error, 1)}
	w.channels = gochannel.NewGoChannel(gochannel.Config{Persistent: true, BlockPublishUntilSubscriberAck: false}, watermill.NopLogger{})
	config := courier.Config{
		Poison: w.poison, PoisonTopic: poisonTopic, Registry: w.registry, Log: slog.New(slog.DiscardHandler),
		Place: func(m *message.Message) string { return "place of " + m.UUID }, Tries: 3, Pause: time.Millisecond, Timeout: patience,
	}
	if change != nil {
		change(&config)
	}
	var err error
	if w.courier, err = courier.New(config); err != nil {
		t.Fatal(err)
	}
	return w
}

// run runs the courier until the test ends.
func (w *world) run() {
	w.Helper()
	ctx, cancel := context.WithCancel(w.Context())
	w.stop = cancel
	go func() { w.ended <- w.courier.Run(ctx) }()
	w.Cleanup(func() {
		cancel()
		_ = w.channels.Close()
	})
}

func (w *world) publish(ids ...string) {
	w.Helper()
	for _, id := range ids {
		if err := w.channels.Publish(topic, message.NewMessage(id, []byte("payload of "+id))); err != nil {
			w.Fatal(err)
		}
	}
}

// want waits for one value.
func want[T any](t *testing.T, from <-chan T, what string) (value T) {
	t.Helper()
	select {
	case value = <-from:
	case <-time.After(patience):
		t.Fatalf("no %s after %v", what, patience)
	}
	return value
}

func TestAMessageThatFailsIsTriedAgainAndThenPutAside(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	tries := make(chan string, 100)
	w.courier.Handle("books", topic, w.channels, func(_ context.Context, m *message.Message) error {
		tries <- m.UUID
		if m.UUID == "bad" {
			return errors.New("the ink is dry")
		}
		return nil
	})
	w.run()
	w.publish("bad", "good")
	got := []string{}
	for range 4 {
		got = append(got, want(t, tries, "try"))
	}
	if slices.Sort(got); !slices.Equal(got, []string{"bad", "bad", "bad", "good"}) {
		t.Errorf("tried %v", got)
	}
	m := want(t, w.poison.kept, "message in the poison topic")
	for key, value := range map[string]string{
		middleware.ReasonForPoisonedKey: "the ink is dry", middleware.PoisonedTopicKey: topic, middleware.PoisonedHandlerKey: "books",
		"place_poisoned": "place of bad",
	} {
		if m.Metadata[key] != value {
			t.Errorf("%s is %q; want %q", key, m.Metadata[key], value)
		}
	}
	if m.UUID != "bad" || string(m.Payload) != "payload of bad" {
		t.Errorf("put aside: %s %q", m.UUID, m.Payload)
	}
	w.end()
	w.counts("filature_courier_poisoned_messages_total", 1)
	w.counts("filature_courier_handler_execution_time_seconds", 2) // good and bad tries
}

// end stops the courier and waits for it. A message is counted just after it was put aside, so counts are whole from here on.
func (w *world) end() {
	w.Helper()
	w.stop()
	_ = want(w.T, w.ended, "end") // how it ended is another test's
}

func (w *world) counts(metric string, series int) {
	w.Helper()
	if n, err := testutil.GatherAndCount(w.registry, metric); err != nil || n != series {
		w.Errorf("%s has %d series (%v); want %d", metric, n, err, series)
	}
}

func TestWhatIsRefusedIsNotTriedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	tries := make(chan string, 100)
	w.courier.Handle("books", topic, w.channels, func(_ context.Context, m *message.Message) error {
		tries <- m.UUID
		return fmt.Errorf("no such account: %w", courier.ErrRefused)
	})
	w.run()
	w.publish("bad")
	m := want(t, w.poison.kept, "message in the poison topic")
	if n := len(tries); n != 1 {
		t.Errorf("%d tries; want 1", n)
	}
	if reason := m.Metadata[middleware.ReasonForPoisonedKey]; reason != "no such account: refused" {
		t.Errorf("reason %q", reason)
	}
}

// TestAPanicAndATimeoutArePutAside: both would block a partition for ever with Watermill's own middleware.
func TestAPanicAndATimeoutArePutAside(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		handle func(context.Context, *message.Message) error
		reason string
	}{
		"panic":   {func(context.Context, *message.Message) error { panic("a bug") }, "handler panicked: a bug"},
		"timeout": {func(ctx context.Context, _ *message.Message) error { <-ctx.Done(); return ctx.Err() }, context.DeadlineExceeded.Error()},
		"long": {
			func(context.Context, *message.Message) error { return errors.New(strings.Repeat("ä", 1000)) },
			strings.Repeat("ä", 500) + " ...",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(c *courier.Config) { c.Timeout = 20 * time.Millisecond })
			w.courier.Handle("books", topic, w.channels, c.handle)
			w.run()
			w.publish("bad")
			m := want(t, w.poison.kept, "message in the poison topic")
			if reason := m.Metadata[middleware.ReasonForPoisonedKey]; reason != c.reason {
				t.Errorf("reason %q; want %q", reason, c.reason)
			}
		})
	}
}

// TestWhatCantBePutAsideIsDeliveredAgain: a message is never dropped.
func TestWhatCantBePutAsideIsDeliveredAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.poison.failures = 2
	tries := make(chan string, 100)
	w.courier.Handle("books", topic, w.channels, func(_ context.Context, m *message.Message) error {
		tries <- m.UUID
		return courier.ErrRefused
	})
	w.run()
	w.publish("bad")
	want(t, w.poison.kept, "message in the poison topic")
	if n := len(tries); n != 3 {
		t.Errorf("handled %d times; want 3: each time that it could not be put aside", n)
	}
	w.end()
	w.counts("filature_courier_poisoned_messages_total", 1)
}

// TestWhatIsInterruptedIsNotPutAside: that we end says nothing about the message.
func TestWhatIsInterruptedIsNotPutAside(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	began := make(chan struct{}, 1)
	w.courier.Handle("books", topic, w.channels, func(ctx context.Context, _ *message.Message) error {
		began <- struct{}{}
		<-ctx.Done()
		return errors.New("the other side does not answer") // which does not say why
	})
	w.run()
	w.publish("good")
	want(t, began, "handler")
	w.stop()
	if err := want(t, w.ended, "end"); err != nil {
		t.Errorf("run: %v", err)
	}
	w.poison.mu.Lock()
	defer w.poison.mu.Unlock()
	if w.poison.asked != 0 {
		t.Errorf("%d messages were to be put aside", w.poison.asked)
	}
}

func TestAMessageThatWasBroughtBackIsHandledByWhoPutItAside(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	handled := make(chan string, 100)
	for _, name := range []string{"books", "mail"} {
		w.courier.Handle(name, topic, w.channels, func(_ context.Context, m *message.Message) error {
			handled <- name + " " + m.UUID
			if name == "books" && m.Metadata["replayed_from"] == "" && m.UUID == "bad" {
				return courier.ErrRefused
			}
			return nil
		})
	}
	w.run()
	w.publish("bad")
	aside := want(t, w.poison.kept, "message in the poison topic")
	to, again, err := courier.Revive(aside, "test.poison/0/7")
	if err != nil || to != topic {
		t.Fatalf("revive: to %q, %v", to, err)
	}
	for key, value := range map[string]string{"only_handler": "books", "replayed_from": "test.poison/0/7"} {
		if again.Metadata[key] != value {
			t.Errorf("%s is %q; want %q", key, again.Metadata[key], value)
		}
		delete(again.Metadata, key)
	}
	if len(again.Metadata) != 0 || again.UUID != "bad" {
		t.Errorf("brought back: %s with %v", again.UUID, again.Metadata)
	}
	if to, again, err = courier.Revive(aside, "test.poison/0/7"); err != nil {
		t.Fatal(err)
	}
	if err := w.channels.Publish(to, again); err != nil {
		t.Fatal(err)
	}
	w.publish("last")
	got := []string{}
	for range 5 {
		got = append(got, want(t, handled, "message"))
	}
	if slices.Sort(got); !slices.Equal(got, []string{"books bad", "books bad", "books last", "mail bad", "mail last"}) {
		t.Errorf("handled %v", got)
	}
	select {
	case more := <-handled:
		t.Errorf("handled %s, too", more)
	case <-time.After(100 * time.Millisecond):
	}
}

func TestWhatWasNotPutAsideCantBeBroughtBack(t *testing.T) {
	t.Parallel()
	_, _, err := courier.Revive(message.NewMessage("stranger", nil), "test.poison/0/7")
	if err == nil || !strings.Contains(err.Error(), "stranger at test.poison/0/7") {
		t.Errorf("revive: %v", err)
	}
}

func TestACourierThatCantWorkSaysWhy(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	if err := w.channels.Close(); err != nil {
		t.Fatal(err)
	}
	w.courier.Handle("books", topic, w.channels, func(context.Context, *message.Message) error { return nil })
	if err := w.courier.Run(t.Context()); err == nil || !strings.Contains(err.Error(), topic) {
		t.Errorf("run without a subscription: %v", err)
	}
	registry := prometheus.NewRegistry()
	full := courier.Config{Poison: w.poison, PoisonTopic: poisonTopic, Registry: registry}
	for name, change := range map[string]func(*courier.Config){
		"no publisher": func(c *courier.Config) { c.Poison = nil },
		"no topic":     func(c *courier.Config) { c.PoisonTopic = "" },
		"no registry":  func(c *courier.Config) { c.Registry = nil },
	} {
		config := full
		change(&config)
		if _, err := courier.New(config); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	full.Registry = w.registry
	if _, err := courier.New(full); err != nil {
		t.Errorf("a second one in a process: %v", err)
	}
}

func TestACourierWhoseSubscriptionsEndSaysSo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	handled := make(chan struct{}, 1)
	w.courier.Handle("books", topic, w.channels, func(context.Context, *message.Message) error { handled <- struct{}{}; return nil })
	w.run()
	w.publish("good")
	want(t, handled, "message")
	_ = w.channels.Close()
	if err := want(t, w.ended, "end"); err == nil || !strings.Contains(err.Error(), "all subscriptions ended") {
		t.Errorf("run: %v", err)
	}
}

func TestACourierWithoutHandlersEndsWhenItIsToldTo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.run()
	w.stop()
	if err := want(t, w.ended, "end"); err != nil {
		t.Errorf("run: %v", err)
	}
}
