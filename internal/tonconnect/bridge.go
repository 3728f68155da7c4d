// Package tonconnect knows how to be the other side of TON Connect 2, for tests: a bridge, and a wallet that scans a
// page's link, checks what it is asked as people's wallets do, and signs it. It is written from the protocol's own
// documents (ton-blockchain/ton-connect: bridge.md, session.md, requests-responses.md) and shares no code with the page.
package tonconnect

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	// mostTTL is how long a bridge keeps a message for who is not there: what bridge.md has every bridge support.
	mostTTL = 300 * time.Second
	// heartbeat is sent often, so that each test hears some.
	heartbeat = 50 * time.Millisecond
	// mostBody bounds a message.
	mostBody = 64 << 10
)

// Bridge passes sealed messages between clients, who are known by their public keys. It keeps what it passed on for as long
// as it may live, and sends it again to who comes without an event's id, so that a client which takes it twice is found out.
type Bridge struct {
	URL string

	mu     sync.Mutex
	queues map[string][]passed // by whom they are for
	last   int
	more   chan struct{} // closed when there is something new
	log    []string      // see Asked
	down   bool
}

type passed struct {
	id      int
	data    []byte
	expires time.Time
}

// StartBridge starts one, and ends it with the test.
func StartBridge(t *testing.T) *Bridge {
	t.Helper()
	b := &Bridge{queues: map[string][]passed{}, more: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /bridge/events", b.events)
	mux.HandleFunc("POST /bridge/message", b.message)
	server := httptest.NewServer(b.reached(mux))
	t.Cleanup(func() {
		server.CloseClientConnections() // whoever listens does so for ever
		server.Close()
	})
	b.URL = server.URL + "/bridge"
	return b
}

// SetDown has the bridge answer nobody, and end what it was saying.
func (b *Bridge) SetDown(down bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.down = down
	b.wake()
}

// Asked is what the bridge was asked so far: methods, paths and topics.
func (b *Bridge) Asked() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.log...)
}

func (b *Bridge) wake() {
	close(b.more)
	b.more = make(chan struct{})
}

// reached is what all of a bridge's answers share: any page may read them.
func (b *Bridge) reached(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.mu.Lock()
		down := b.down
		b.log = append(b.log, r.Method+" "+r.URL.Path+" "+r.URL.Query().Get("topic"))
		b.mu.Unlock()
		w.Header().Set("Access-Control-Allow-Origin", "*")
		if down {
			http.Error(w, "down", http.StatusBadGateway)
			return
		}
		next.ServeHTTP(w, r)
	})
}

var clientID = regexp.MustCompile(`^[0-9a-f]{64}$`)

func (b *Bridge) events(w http.ResponseWriter, r *http.Request) {
	clients := strings.Split(r.URL.Query().Get("client_id"), ",")
	for _, client := range clients {
		if !clientID.MatchString(client) {
			http.Error(w, fmt.Sprintf("client_id %q: want 32 bytes in hexadecimal", client), http.StatusBadRequest)
			return
		}
	}
	seen := 0
	for _, last := range []string{r.URL.Query().Get("last_event_id"), r.Header.Get("Last-Event-ID")} {
		if last == "" {
			continue
		}
		id, err := strconv.Atoi(last)
		if err != nil {
			http.Error(w, "last_event_id: want what an event had", http.StatusBadRequest)
			return
		}
		seen = max(seen, id)
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.WriteHeader(http.StatusOK)
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		news, more, down := b.after(clients, seen)
		for _, one := range news {
			seen = one.id
			if _, err := fmt.Fprintf(w, "event: message\r\nid: %d\r\ndata: %s\r\n\r\n", one.id, one.data); err != nil {
				return
			}
		}
		if down || http.NewResponseController(w).Flush() != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-more:
		case <-beat.C:
			if _, err := io.WriteString(w, "event: message\r\ndata: heartbeat\r\n\r\n"); err != nil {
				return
			}
		}
	}
}

// after is what came for some clients after an event, and when to look again.
func (b *Bridge) after(clients []string, seen int) (news []passed, more <-chan struct{}, down bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, client := range clients {
		for _, one := range b.queues[client] {
			if one.id > seen && time.Now().Before(one.expires) {
				news = append(news, one)
			}
		}
	}
	return news, b.more, b.down
}

func (b *Bridge) message(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	from, to := query.Get("client_id"), query.Get("to")
	seconds, err := strconv.Atoi(query.Get("ttl"))
	ttl := time.Duration(seconds) * time.Second
	switch {
	case !clientID.MatchString(from) || !clientID.MatchString(to):
		http.Error(w, "client_id, to: want 32 bytes in hexadecimal", http.StatusBadRequest)
		return
	case err != nil || ttl <= 0 || ttl > mostTTL:
		http.Error(w, fmt.Sprintf("ttl: want 1 to %d", int(mostTTL.Seconds())), http.StatusBadRequest)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, mostBody))
	if err != nil {
		http.Error(w, "message: too long", http.StatusRequestEntityTooLarge)
		return
	}
	data, err := json.Marshal(envelope{From: from, Message: string(body)})
	if err != nil {
		http.Error(w, "message: want text", http.StatusBadRequest)
		return
	}
	b.mu.Lock()
	b.last++
	b.queues[to] = append(b.queues[to], passed{b.last, data, time.Now().Add(ttl)})
	b.wake()
	b.mu.Unlock()
	_, _ = io.WriteString(w, `{"message":"OK","statusCode":200}`) // who went away has nothing to be told
}

// envelope is what a bridge passes on (BridgeMessage).
type envelope struct {
	From    string `json:"from"`
	Message string `json:"message"`
}
