package courier

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"
	"github.com/prometheus/client_golang/prometheus"
)

const secret = "an example that is no secret"

// TestSignaturesAreThoseOfStandardWebhooks: the example of its libraries.
func TestSignaturesAreThoseOfStandardWebhooks(t *testing.T) {
	t.Parallel()
	key, err := keyOf("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	const want = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
	if got := signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`)); got != want {
		t.Errorf("signature %s; want %s", got, want)
	}
}

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func quote(payload []byte) ([]byte, error) {
	if string(payload) == "not ours" {
		return nil, errors.New("not protobuf")
	}
	return strconv.AppendQuote(nil, string(payload)), nil
}

func newCaller(t *testing.T, address string) *Caller {
	t.Helper()
	c, err := NewCaller(Webhook{Name: "books", URL: address, Secret: secret, JSON: quote}, func() time.Time { return noon })
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func newMessage(id string) *message.Message {
	m := message.NewMessage(id, []byte("a job"))
	m.Metadata["position"], m.Metadata["correlation_id"] = "3/1042/7", "ab12"
	return m
}

func TestADeliveryIsSignedAndSaysWhatItIs(t *testing.T) {
	t.Parallel()
	got := make(chan *http.Request, 1)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		got <- r
	}))
	defer receiver.Close()
	if err := newCaller(t, receiver.URL+"/hook").Deliver(t.Context(), newMessage("3/1042/7")); err != nil {
		t.Fatal(err)
	}
	r := <-got
	for name, want := range map[string]string{
		"Content-Type": "application/json", "Webhook-Id": "3/1042/7", "Webhook-Timestamp": strconv.FormatInt(noon.Unix(), 10),
		"Webhook-Signature": signature([]byte(secret), "3/1042/7", noon, []byte(`"a job"`)), "Filature-Position": "3/1042/7", "Filature-About": "ab12",
	} {
		if r.Header.Get(name) != want {
			t.Errorf("%s is %q; want %q", name, r.Header.Get(name), want)
		}
	}
	if body, _ := io.ReadAll(r.Body); string(body) != `"a job"` || r.Method != http.MethodPost || r.URL.Path != "/hook" {
		t.Errorf("%s %s %s", r.Method, r.URL, body)
	}
}

func TestOnlySomeAnswersAreForGood(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]string{
		200: "", 204: "", 299: "", 301: "again", 307: "again", 400: "refused", 401: "refused", 404: "refused", 408: "again", 410: "refused",
		422: "refused", 429: "again", 500: "again", 503: "again",
	} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			t.Parallel()
			var elsewhere atomic.Int32
			other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
			defer other.Close()
			receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", other.URL)
				w.WriteHeader(status)
				if status != http.StatusNoContent {
					fmt.Fprint(w, strings.Repeat("because ", 100_000))
				}
			}))
			defer receiver.Close()
			err := newCaller(t, receiver.URL+"/?token=hush").Deliver(t.Context(), newMessage("1"))
			got := ""
			switch {
			case errors.Is(err, ErrRefused):
				got = "refused"
			case err != nil:
				got = "again"
			}
			if got != want {
				t.Errorf("%v; want %q", err, want)
			}
			if err != nil && (len(err.Error()) > 2*maxAnswerBytes || strings.Contains(err.Error(), "hush")) {
				t.Errorf("the error has %d bytes: %.300v", len(err.Error()), err)
			}
			if elsewhere.Load() != 0 {
				t.Error("a redirect was followed")
			}
		})
	}
}

func TestAPayloadThatCantBeReadIsRefusedAndNotSent(t *testing.T) {
	t.Parallel()
	c := newCaller(t, "http://127.0.0.1:1/")
	if err := c.Deliver(t.Context(), message.NewMessage("1", []byte("not ours"))); !errors.Is(err, ErrRefused) {
		t.Errorf("deliver: %v", err)
	}
}

func TestAnUnreachableReceiverIsNotNamedInTheError(t *testing.T) {
	t.Parallel()
	err := newCaller(t, "http://127.0.0.1:1/?token=hush").Deliver(t.Context(), newMessage("1"))
	if err == nil || errors.Is(err, ErrRefused) || strings.Contains(err.Error(), "hush") {
		t.Errorf("deliver: %v", err)
	}
}

func TestAWebhookThatIsNotSafeIsRefused(t *testing.T) {
	t.Parallel()
	long := base64.StdEncoding.EncodeToString(make([]byte, 65))
	for name, c := range map[string]struct {
		webhook Webhook
		says    string
	}{
		"http":          {Webhook{URL: "http://books.example/", Secret: secret, JSON: quote}, "url: want https"},
		"a user":        {Webhook{URL: "https://a:b@books.example/", Secret: secret, JSON: quote}, "url: want https"},
		"no host":       {Webhook{URL: "https:///path", Secret: secret, JSON: quote}, "url: want https"},
		"another":       {Webhook{URL: "ftp://localhost/", Secret: secret, JSON: quote}, "url: want https"},
		"short":         {Webhook{URL: "https://books.example/", Secret: "hush", JSON: quote}, "secret: has 4 bytes"},
		"short encoded": {Webhook{URL: "https://books.example/", Secret: "whsec_aHVzaA==", JSON: quote}, "secret: has 4 bytes"},
		"long encoded":  {Webhook{URL: "https://books.example/", Secret: "whsec_" + long, JSON: quote}, "secret: has 65 bytes"},
		"not encoded":   {Webhook{URL: "https://books.example/", Secret: "whsec_" + secret, JSON: quote}, "not base64"},
		"no JSON":       {Webhook{URL: "https://books.example/", Secret: secret}, "JSON"},
	} {
		c.webhook.Name = "books"
		if _, err := NewCaller(c.webhook, time.Now); err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "webhook books") {
			t.Errorf("%s: %v; want %q", name, err, c.says)
		}
	}
	for _, good := range []string{"https://books.example/", "http://localhost:80/", "http://127.0.0.1/", "http://[::1]/"} {
		if _, err := NewCaller(Webhook{URL: good, Secret: secret, JSON: quote}, time.Now); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
}

// receiver is a webhook's other side. It answers as it is told to, and notes what it got.
type receiver struct {
	mu     sync.Mutex
	script []func(http.ResponseWriter)
	got    chan string
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	r.mu.Lock()
	var answer func(http.ResponseWriter)
	if len(r.script) > 0 {
		answer, r.script = r.script[0], r.script[1:]
	}
	r.mu.Unlock()
	r.got <- request.Header.Get("Webhook-Id")
	if answer != nil {
		answer(w)
	}
}

// carried runs a courier with one webhook until the test ends.
func carried(t *testing.T, caller *Caller) (publish func(id string)) {
	t.Helper()
	channels := gochannel.NewGoChannel(gochannel.Config{Persistent: true}, watermill.NopLogger{})
	c, err := New(Config{Poison: channels, PoisonTopic: "poison", Registry: prometheus.NewRegistry(), Pause: 5 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	c.Handle("webhook-books", "completions", channels, caller.Deliver)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
		_ = channels.Close()
	})
	return func(id string) {
		if err := channels.Publish("completions", newMessage(id)); err != nil {
			t.Fatal(err)
		}
	}
}

func (r *receiver) want(t *testing.T, ids ...string) {
	t.Helper()
	for _, id := range ids {
		select {
		case got := <-r.got:
			if got != id {
				t.Errorf("got %s; want %s", got, id)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("%s did not come", id)
		}
	}
}

// TestAReceiverThatComesBackGetsTheMessage: at first nobody listens, then it is not ready.
func TestAReceiverThatComesBackGetsTheMessage(t *testing.T) {
	t.Parallel()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	_ = listener.Close()
	caller, tries := newCaller(t, "http://"+address), make(chan struct{}, 100)
	caller.webhook.JSON = func(payload []byte) ([]byte, error) {
		tries <- struct{}{}
		return quote(payload)
	}
	publish := carried(t, caller)
	publish("1")
	<-tries
	<-tries // so the first has failed
	r := &receiver{got: make(chan string, 10), script: []func(http.ResponseWriter){func(w http.ResponseWriter) { w.WriteHeader(http.StatusServiceUnavailable) }}}
	if listener, err = new(net.ListenConfig).Listen(t.Context(), "tcp", address); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(r)
	server.Listener = listener
	server.Start()
	defer server.Close()
	r.want(t, "1", "1")
}

// TestALostAnswerIsASecondDeliveryWithTheSameID: the receiver had it, and we can't know.
func TestALostAnswerIsASecondDeliveryWithTheSameID(t *testing.T) {
	t.Parallel()
	r := &receiver{got: make(chan string, 10), script: []func(http.ResponseWriter){func(http.ResponseWriter) { panic(http.ErrAbortHandler) }}}
	server := httptest.NewServer(r)
	defer server.Close()
	publish := carried(t, newCaller(t, server.URL))
	publish("1")
	r.want(t, "1", "1")
	publish("2")
	r.want(t, "2")
}
