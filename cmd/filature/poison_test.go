package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/filature/filature/adapters/kafka"
	"github.com/filature/filature/adapters/kafka/pubsub"
	"github.com/filature/filature/internal/services"
	"github.com/filature/filature/workers/courier"
)

// poisonWorld is a network's streams, and two webhooks on the same one.
type poisonWorld struct {
	*testing.T

	cluster kafka.Cluster
	prefix  string
	config  string // file
	calls   chan string
	refuse  chan bool // what books does from now on
}

func newPoisonWorld(t *testing.T) *poisonWorld {
	t.Helper()
	w := &poisonWorld{
		T: t, cluster: kafka.Cluster{Brokers: services.Kafka(t)}, prefix: fmt.Sprintf("poison-%d", time.Now().UnixNano()),
		calls: make(chan string, 100), refuse: make(chan bool, 1),
	}
	w.refuse <- false
	w.config = writeConfig(t, fmt.Sprintf("[kafka]\nbrokers = [%q]\ntopics = %q\nreplicas = 1\n[postgres]\nurl = \"postgres://x@127.0.0.1/x\"\n",
		w.cluster.Brokers[0], w.prefix))
	err := pubsub.Create(t.Context(), w.cluster,
		kafka.Stream{Name: w.prefix + ".completions", Partitions: 2, Replicas: 1}, kafka.Stream{Name: w.prefix + ".poison", Partitions: 1, Replicas: 1})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// run runs the webhooks until the test ends.
func (w *poisonWorld) run() (publish func(id string)) {
	w.Helper()
	publisher, err := pubsub.NewPublisher(w.Context(), w.cluster)
	if err != nil {
		w.Fatal(err)
	}
	router, err := courier.New(courier.Config{
		Poison: publisher, PoisonTopic: w.prefix + ".poison", Registry: prometheus.NewRegistry(), Place: pubsub.Place,
	})
	if err != nil {
		w.Fatal(err)
	}
	var closers []func() error
	for _, name := range []string{"books", "mail"} {
		receiver := httptest.NewServer(http.HandlerFunc(func(answer http.ResponseWriter, r *http.Request) {
			refuses := <-w.refuse
			w.refuse <- refuses
			if name == "books" && refuses {
				answer.WriteHeader(http.StatusUnprocessableEntity)
				fmt.Fprint(answer, "no such\x1b[2Jaccount")
			}
			w.calls <- name + " " + r.Header.Get("Webhook-Id")
		}))
		subscriber, err := pubsub.NewSubscriber(w.Context(), w.cluster, pubsub.SubscriberConfig{Group: w.prefix + ".webhook." + name})
		if err != nil {
			w.Fatal(err)
		}
		caller, err := courier.NewCaller(courier.Webhook{
			Name: name, URL: receiver.URL, Secret: "an example that is no secret",
			JSON: func(payload []byte) ([]byte, error) { return json.Marshal(string(payload)) },
		}, time.Now)
		if err != nil {
			w.Fatal(err)
		}
		router.Handle(name, w.prefix+".completions", subscriber, caller.Deliver)
		closers = append(closers, subscriber.Close, func() error { receiver.Close(); return nil })
	}
	ctx, cancel := context.WithCancel(w.Context())
	ended := make(chan error, 1)
	go func() { ended <- router.Run(ctx) }()
	w.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			w.Errorf("run: %v", err)
		}
		for _, closer := range append(closers, publisher.Close) {
			if err := closer(); err != nil {
				w.Errorf("close: %v", err)
			}
		}
	})
	return func(id string) {
		if err := publisher.Publish(w.prefix+".completions", message.NewMessage(id, []byte("a job"))); err != nil {
			w.Fatal(err)
		}
	}
}

// wantCalls waits for calls, in any order.
func (w *poisonWorld) wantCalls(want ...string) {
	w.Helper()
	left := map[string]int{}
	for _, call := range want {
		left[call]++
	}
	for range want {
		select {
		case call := <-w.calls:
			left[call]--
		case <-time.After(time.Minute):
			w.Fatalf("not called: %v", left)
		}
	}
	for call, n := range left {
		if n != 0 {
			w.Errorf("%s: %d calls too few", call, n)
		}
	}
}

// list waits until so many messages were put aside.
func (w *poisonWorld) list(count int) (all []poisoned) {
	w.Helper()
	for limit := time.Now().Add(time.Minute); ; {
		all = nil
		said := invoke(w.T, "poison", "list", "--config", w.config, "--json").want(w.T, exitOK)
		for lines := bufio.NewScanner(bytes.NewBufferString(said.stdout)); lines.Scan(); {
			var one poisoned
			if err := json.Unmarshal(lines.Bytes(), &one); err != nil {
				w.Fatal(err)
			}
			all = append(all, one)
		}
		if len(all) == count {
			return all
		}
		if time.Now().After(limit) {
			w.Fatalf("%d messages were put aside; want %d", len(all), count)
		}
	}
}

// TestWhatAWebhookRefusedIsListedAndComesBackToItAlone is the whole way: refused, put aside, listed, mended, brought
// back once, and to nobody else.
func TestWhatAWebhookRefusedIsListedAndComesBackToItAlone(t *testing.T) {
	t.Parallel()
	w := newPoisonWorld(t)
	publish := w.run()
	<-w.refuse
	w.refuse <- true
	publish("1/1/1")
	publish("1/2/1")
	w.wantCalls("books 1/1/1", "books 1/2/1", "mail 1/1/1", "mail 1/2/1")

	all := w.list(2)
	first := all[0]
	if first.Handler != "books" || first.Topic != w.prefix+".completions" || !strings.HasPrefix(first.From, first.Topic+"/") ||
		!strings.HasPrefix(first.Position, w.prefix+".poison/0/") || !strings.Contains(first.Reason, "422") || time.Since(first.At) > time.Hour {
		t.Errorf("put aside: %+v", first)
	}
	table := invoke(t, "poison", "list", "--config", w.config).want(t, exitOK, "POSITION", first.Position, "books", "1/1/1", "1/2/1", "no such")
	if strings.Contains(table.stdout, "\x1b") {
		t.Errorf("the receiver moves the cursor: %q", table.stdout)
	}

	<-w.refuse
	w.refuse <- false
	invoke(t, "poison", "replay", "--config", w.config, "--id", "1/2/1").want(t, exitOK, "1 brought back")
	w.wantCalls("books 1/2/1")
	if left := w.list(1); left[0].ID != "1/1/1" {
		t.Errorf("left: %+v", left)
	}
	invoke(t, "poison", "replay", "--config", w.config, "--id", "1/2/1").want(t, exitNo, "brought back already")
	invoke(t, "poison", "replay", "--config", w.config, "--all").want(t, exitOK, "1 brought back")
	publish("1/3/1") // what mail gets next, if it got nothing of the replays
	publish("1/4/1")
	w.wantCalls("books 1/1/1", "books 1/3/1", "books 1/4/1", "mail 1/3/1", "mail 1/4/1")
	w.list(0)
	invoke(t, "poison", "list", "--config", w.config).want(t, exitOK, "nothing was put aside")
}

func TestPoisonSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	file := writeConfig(t, fmt.Sprintf("[kafka]\nbrokers = [%q]\ntopics = \"nowhere\"\n[postgres]\nurl = \"postgres://x@127.0.0.1/x\"\n", services.Kafka(t)[0]))
	invoke(t, "poison", "list", "--config", file).want(t, exitUnfinished, "nowhere.poison", "create it first")
	invoke(t, "poison", "replay", "--config", file).want(t, exitUsage, "--all")
	invoke(t, "poison", "replay", "--config", file, "--all", "--id", "1").want(t, exitUsage, "can't be used together")
	invoke(t, "poison", "list", "--config", writeConfig(t, "")).want(t, exitUsage, "kafka.brokers")
}
