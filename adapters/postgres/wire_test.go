package postgres_test

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
)

// A wire stands between a store and its server, sees what the store says message by message, and fails as
// it is told.

// fate is what becomes of a message, and of its connection.
type fate int

const (
	passes  fate = iota
	cut          // it never arrives: the connection ends before it
	answers      // it arrives, and the connection ends with the server's answer on the way
	hangs        // it is held back, and nothing else ends: the sender has stopped
)

// message is what a client sends: a type and the rest, as the protocol has it. The first message of a
// connection has no type.
type message struct {
	kind byte
	body string
}

// isQuery tells a statement without parameters.
func (m message) isQuery(text string) bool { return m.kind == 'Q' && m.body == text+"\x00" }

// runs tells a prepared statement by the beginning of its name.
func (m message) runs(prefix string) bool {
	return m.kind == 'B' && strings.HasPrefix(m.body, "\x00"+prefix)
}

type wire struct {
	url string // of the server, through the wire

	mu     sync.Mutex
	decide func(message) fate
	open   map[net.Conn]bool
}

func newWire(t *testing.T, server string) *wire {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	behind := address.Host
	address.Host = listener.Addr().String()
	w := &wire{url: address.String(), open: map[net.Conn]bool{}}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() { w.connect(client, behind) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		w.mu.Lock()
		for conn := range w.open {
			_ = conn.Close()
		}
		w.mu.Unlock()
		running.Wait()
	})
	return w
}

// onMessage says what becomes of messages from now on; nil lets all pass.
func (w *wire) onMessage(decide func(message) fate) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.decide = decide
}

func (w *wire) fateOf(m message) fate {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.decide == nil {
		return passes
	}
	return w.decide(m)
}

func (w *wire) hold(conn net.Conn) net.Conn {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open[conn] = true
	return conn
}

func (w *wire) connect(client net.Conn, behind string) {
	defer w.hold(client).Close()
	server, err := net.Dial("tcp", behind) //nolint:noctx // it is on this machine
	if err != nil {
		return
	}
	defer w.hold(server).Close()
	var lost sync.Mutex // held where answers are lost
	var back sync.WaitGroup
	defer back.Wait()
	defer client.Close()
	defer server.Close()
	answered := make(chan struct{}, 1)
	back.Go(func() {
		buffer := make([]byte, 64<<10)
		for {
			n, err := server.Read(buffer)
			if err != nil {
				_ = client.Close()
				return
			}
			if !lost.TryLock() {
				answered <- struct{}{}
				return
			}
			_, err = client.Write(buffer[:n])
			lost.Unlock()
			if err != nil {
				return
			}
		}
	})
	for first := true; ; first = false {
		raw, m, err := readMessage(client, first)
		if err != nil {
			return
		}
		switch w.fateOf(m) {
		case passes:
			if _, err := server.Write(raw); err != nil {
				return
			}
		case cut:
			return
		case answers:
			lost.Lock()
			if _, err := server.Write(raw); err == nil {
				<-answered
			}
			return
		case hangs:
			_, _ = io.Copy(io.Discard, server) // until the server has enough of it
			return
		}
	}
}

func readMessage(from io.Reader, first bool) ([]byte, message, error) {
	head := make([]byte, 5)
	if first {
		head = head[:4]
	}
	if _, err := io.ReadFull(from, head); err != nil {
		return nil, message{}, err
	}
	length := binary.BigEndian.Uint32(head[len(head)-4:])
	if length < 4 || length > 64<<20 {
		return nil, message{}, errors.New("no message of the protocol")
	}
	body := make([]byte, length-4)
	if _, err := io.ReadFull(from, body); err != nil {
		return nil, message{}, err
	}
	m := message{body: string(body)}
	if !first {
		m.kind = head[0]
	}
	return slices.Concat(head, body), m, nil
}
