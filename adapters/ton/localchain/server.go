package localchain

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/xssnick/tonutils-go/liteclient"
	"github.com/xssnick/tonutils-go/tl"
	"github.com/xssnick/tonutils-go/ton"
)

const (
	keyName = "liteserver.key"
	// GlobalConfigName is the file in the folder of a chain that leads clients to it while it runs.
	GlobalConfigName = "global.config.json"
	// maxClients and maxQueries bound what strangers on this machine can make the chain hold.
	maxClients = 64
	maxQueries = 256
	// listenAttempts: a free port may be taken between our finding it and our listening on it.
	listenAttempts = 5
	// readyTimeout is ample for a handshake on loopback.
	readyTimeout = 5 * time.Second
	// codeBusy is the lite-server's "too many requests"; clients try again.
	codeBusy = 228
)

// server is the chain's lite-server: ADNL over TCP, as on every TON network.
type server struct {
	address    string
	key        ed25519.PublicKey
	configFile string
	tempDir    string // holds the configuration file of a chain without a folder

	inner     *liteclient.Server
	slots     chan struct{}
	listening sync.WaitGroup
	queries   sync.WaitGroup
	clients   sync.WaitGroup

	mu     sync.Mutex
	online map[*liteclient.ServerClient]struct{}
}

// serve listens and returns when the server answers.
func serve(listen string, key ed25519.PrivateKey, answer func(context.Context, any) tl.Serializable) (*server, error) {
	for attempt := 1; ; attempt++ {
		s, err := listenOnce(listen, key, answer)
		if err == nil || attempt == listenAttempts {
			return s, err
		}
	}
}

func listenOnce(listen string, key ed25519.PrivateKey, answer func(context.Context, any) tl.Serializable) (*server, error) {
	// The library's server opens its socket itself and doesn't say on which port.
	probe, err := new(net.ListenConfig).Listen(context.Background(), "tcp", listen)
	if err != nil {
		return nil, fmt.Errorf("lite-server: %w", err)
	}
	s := &server{
		address: probe.Addr().String(),
		key:     key.Public().(ed25519.PublicKey),
		inner:   liteclient.NewServer([]ed25519.PrivateKey{key}),
		slots:   make(chan struct{}, maxQueries),
		online:  map[*liteclient.ServerClient]struct{}{},
	}
	if err := probe.Close(); err != nil {
		return nil, fmt.Errorf("lite-server: %w", err)
	}
	s.inner.SetConnectionHook(s.admit)
	s.inner.SetDisconnectHook(s.dismiss)
	s.inner.SetQueryHandler(func(ctx context.Context, client *liteclient.ServerClient, queryID []byte, query tl.Serializable) {
		s.handle(ctx, client, queryID, query, answer)
	})
	failed := make(chan error, 1)
	s.listening.Go(func() { failed <- s.inner.Listen(s.address) })

	ready := make(chan error, 1)
	ctx, cancel := context.WithTimeout(context.Background(), readyTimeout)
	defer cancel()
	go func() { ready <- s.awaitSelf(ctx) }()
	select {
	case err = <-failed:
		cancel()
		return nil, errors.Join(fmt.Errorf("lite-server on %s: %w", s.address, err), <-ready)
	case err = <-ready:
		if err != nil {
			return nil, errors.Join(fmt.Errorf("lite-server on %s: %w", s.address, err), s.close())
		}
		return s, nil
	}
}

// awaitSelf returns when a client that knows our key gets through: only we can answer it.
func (s *server) awaitSelf(ctx context.Context) error {
	for {
		pool := liteclient.NewConnectionPool()
		err := pool.AddConnection(ctx, s.address, base64.StdEncoding.EncodeToString(s.key))
		pool.Stop()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(time.Millisecond):
		}
	}
}

func (s *server) admit(client *liteclient.ServerClient) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.online) >= maxClients {
		return fmt.Errorf("%d clients are connected already", maxClients)
	}
	s.online[client] = struct{}{}
	s.clients.Add(1)
	return nil
}

func (s *server) dismiss(client *liteclient.ServerClient) {
	s.mu.Lock()
	delete(s.online, client)
	s.mu.Unlock()
	s.clients.Done()
}

// handle must not block: it is called by the connection's reader.
func (s *server) handle(ctx context.Context, client *liteclient.ServerClient, queryID []byte, query tl.Serializable,
	answer func(context.Context, any) tl.Serializable,
) {
	id := append([]byte(nil), queryID...) // the library's buffer
	select {
	case s.slots <- struct{}{}:
	default:
		client.Answer(id, ton.LSError{Code: codeBusy, Text: "too many queries"})
		return
	}
	s.queries.Go(func() {
		defer func() { <-s.slots }()
		client.Answer(id, answer(ctx, query))
	})
}

// close stops listening, drops the clients, and waits until their last queries are answered.
func (s *server) close() error {
	err := s.inner.Close()
	s.listening.Wait() // no client comes after this
	s.mu.Lock()
	for client := range s.online {
		client.Close()
	}
	s.mu.Unlock()
	s.clients.Wait()
	s.queries.Wait()
	if s.tempDir != "" {
		err = errors.Join(err, os.RemoveAll(s.tempDir))
	}
	return err
}

// writeGlobalConfig writes the file that leads clients here, and names the chain. Without a folder it goes to a temporary
// one, until close.
func (s *server) writeGlobalConfig(dir string, zero *ton.ZeroStateIDExt) (err error) {
	if dir == "" {
		if dir, err = os.MkdirTemp("", "filature-localchain-"); err != nil {
			return fmt.Errorf("global configuration: %w", err)
		}
		s.tempDir = dir
	}
	host, port, err := net.SplitHostPort(s.address)
	if err != nil {
		return fmt.Errorf("global configuration: %w", err)
	}
	ip := net.ParseIP(host).To4()
	number, portErr := strconv.Atoi(port)
	if ip == nil || portErr != nil {
		return fmt.Errorf("global configuration: lite-server address %s: want an IPv4 address and a port", s.address)
	}
	config := liteclient.GlobalConfig{
		Type: "config.global",
		Liteservers: []liteclient.LiteserverConfig{{
			IP: int64(int32(binary.BigEndian.Uint32(ip))), Port: number,
			ID: liteclient.ServerID{Type: "pub.ed25519", Key: base64.StdEncoding.EncodeToString(s.key)},
		}},
		Validator: liteclient.ValidatorConfig{
			Type:      "validator.config.global",
			ZeroState: liteclient.ConfigBlock{Workchain: zero.Workchain, Shard: math.MinInt64, RootHash: zero.RootHash, FileHash: zero.FileHash},
		},
	}
	raw, err := json.MarshalIndent(config, "", "  ")
	if err != nil {
		return fmt.Errorf("global configuration: %w", err)
	}
	s.configFile = filepath.Join(dir, GlobalConfigName)
	fresh := s.configFile + ".new" // another process may be reading the old one
	if err := os.WriteFile(fresh, raw, 0o600); err != nil {
		return fmt.Errorf("global configuration: %w", err)
	}
	if err := os.Rename(fresh, s.configFile); err != nil {
		return fmt.Errorf("global configuration: %w", err)
	}
	return nil
}

// serverKey is the lite-server's key: kept in the folder, so that a client's pinned key stays right.
func serverKey(dir string) (ed25519.PrivateKey, error) {
	seed := make([]byte, ed25519.SeedSize)
	if _, err := rand.Read(seed); err != nil {
		return nil, fmt.Errorf("lite-server key: %w", err)
	}
	if dir == "" {
		return ed25519.NewKeyFromSeed(seed), nil
	}
	path := filepath.Join(dir, keyName)
	kept, err := os.ReadFile(path)
	switch {
	case err == nil && len(kept) == ed25519.SeedSize:
		return ed25519.NewKeyFromSeed(kept), nil
	case err == nil || errors.Is(err, os.ErrNotExist):
		// A file that a crash cut short is replaced: the key protects nothing but this loopback.
		if err := os.WriteFile(path, seed, 0o600); err != nil {
			return nil, fmt.Errorf("lite-server key: %w", err)
		}
		return ed25519.NewKeyFromSeed(seed), nil
	default:
		return nil, fmt.Errorf("lite-server key: %w", err)
	}
}
