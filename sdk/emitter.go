package sdk

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/signing"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

const (
	// reportClaims is how many claims share a signature: enough to make it cheap, few enough that a
	// report which the gateway refuses takes few claims with it.
	reportClaims = 64
	// reportBytes bounds the claims of one report, with room left for its header.
	reportBytes = 900_000
	// flushReports bounds one append to the spool, well within what a log takes at once.
	flushReports = 1000
	flushBytes   = 8 << 20

	// DefaultMaxSpoolBytes holds some millions of claims, days of a worker's.
	DefaultMaxSpoolBytes = 256 << 20
)

var (
	// ErrConfig: a field of Config can't be used.
	ErrConfig = errors.New("bad configuration")
	// ErrSpoolFull: the spool holds as much as it may. Nothing was taken; Deliver what waits, then say it
	// again.
	ErrSpoolFull = errors.New("spool is full")
	// ErrTooLarge: a claim fits no report, or claims fit no spool. Nothing was taken.
	ErrTooLarge = errors.New("claim is too large")
	// ErrOtherNetwork: the spool, the gateway and the configuration are not of one network. Nothing was
	// sent.
	ErrOtherNetwork = errors.New("another network")
)

// Config says who emits, and where to.
type Config struct {
	// Key signs. The spool's numbering is the key's, so a key belongs to one spool.
	Key ed25519.PrivateKey
	// Gateway is the base URL: "http://127.0.0.1:8420".
	Gateway string
	// SpoolDir keeps what was emitted until it is answered. It belongs to one process at a time.
	SpoolDir string
	// Network is asked of the gateway where it is zero, once, and then kept in the spool.
	Network Network
	// MaxSpoolBytes bounds the reports in the spool; 0 is DefaultMaxSpoolBytes.
	MaxSpoolBytes int64
	// Patience is how long to go on trying while the gateway is down or busy; 0 is DefaultPatience.
	Patience time.Duration
	// Now is the clock that numbers reports; nil is time.Now.
	Now func() time.Time
	// HTTP is for tests and proxies; nil is a client with a timeout.
	HTTP *http.Client
}

// Emitter signs claims, keeps them on disk, and delivers them in order.
//
// What Flush or Emit returned nil for is durable: it reaches the gateway, and the ledger counts it once,
// whatever crashes in between. Reports of a shard keep their order. Safe for many goroutines, one of
// which works at a time.
type Emitter struct {
	cfg     Config
	gateway gatewayClient
	mu      sync.Mutex // guards all below
	spool   *spool
	network Network // zero until it is known
	greeted bool    // the gateway was seen to be of this network
	drafts  map[domain.Shard]*draft
	signed  [][]byte // reports that are not in the spool yet, in the order of their numbers
	size    int64    // of signed
	last    uint64   // number of the last report
	full    bool     // Add was refused for want of room
	broken  error    // the spool's state is unknown, or it is closed
}

// draft is a report that is being filled.
type draft struct {
	claims []*v1.Claim
	size   int
}

// Open opens the spool, or makes one, and asks nobody. It fails with seglog.ErrInUse if another process
// has the spool. Close the emitter when done.
func Open(ctx context.Context, cfg Config) (*Emitter, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Patience == 0 {
		cfg.Patience = DefaultPatience
	}
	if cfg.MaxSpoolBytes == 0 {
		cfg.MaxSpoolBytes = DefaultMaxSpoolBytes
	}
	if len(cfg.Key) != ed25519.PrivateKeySize {
		return nil, fmt.Errorf("%w: key has %d bytes, want %d", ErrConfig, len(cfg.Key), ed25519.PrivateKeySize)
	}
	gateway, err := newGatewayClient(cfg.Gateway, cfg.HTTP)
	if err != nil {
		return nil, err
	}
	s, err := openSpool(ctx, cfg.SpoolDir, cfg.Now)
	if err != nil {
		return nil, err
	}
	e := &Emitter{cfg: cfg, gateway: gateway, spool: s, last: s.last, drafts: map[domain.Shard]*draft{}}
	if err := e.openNetwork(); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return e, nil
}

// networkFile is what the spool remembers of its network.
type networkFile struct {
	Network    string `json:"network"`
	DataShards int    `json:"data_shards"`
}

// openNetwork takes the network from the spool or from the configuration, which must not contradict.
func (e *Emitter) openNetwork() error {
	raw, err := os.ReadFile(filepath.Join(e.cfg.SpoolDir, networkName))
	if errors.Is(err, fs.ErrNotExist) {
		if e.cfg.Network == (Network{}) {
			return nil
		}
		return e.learn(e.cfg.Network)
	}
	if err != nil {
		return err
	}
	var kept networkFile
	if err := json.Unmarshal(raw, &kept); err != nil {
		return fmt.Errorf("network of spool %s: %w", e.cfg.SpoolDir, err)
	}
	id, err := domain.ParseID[domain.NetworkID](kept.Network)
	if err != nil || kept.DataShards < 1 {
		return fmt.Errorf("network of spool %s: %q with %d data shards", e.cfg.SpoolDir, kept.Network, kept.DataShards)
	}
	e.network = Network{id, kept.DataShards}
	if e.cfg.Network != (Network{}) && e.cfg.Network != e.network {
		return fmt.Errorf("spool %s is of network %s, the configuration of %s: %w", e.cfg.SpoolDir, id, e.cfg.Network.ID, ErrOtherNetwork)
	}
	return nil
}

// learn keeps the network in the spool.
func (e *Emitter) learn(n Network) error {
	raw, err := json.Marshal(networkFile{n.ID.String(), n.DataShards})
	if err != nil {
		return err
	}
	if err := replaceFile(e.cfg.SpoolDir, networkName, append(raw, '\n')); err != nil {
		return fmt.Errorf("keep the network: %w", err)
	}
	e.network = n
	return nil
}

// Network returns the network, asking the gateway if the spool does not know it yet. It may take as long
// as Deliver to end with ErrUnreachable.
func (e *Emitter) Network(ctx context.Context) (Network, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.network == (Network{}) {
		if err := e.retry(ctx, func() error { return e.greet(ctx) }); err != nil {
			return Network{}, err
		}
	}
	return e.network, nil
}

// greet sees to it that the gateway is of our network.
func (e *Emitter) greet(ctx context.Context) error {
	if e.greeted {
		return nil
	}
	n, err := e.gateway.network(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("ask for the network: %w", err)
	case e.network == (Network{}):
		if err := e.learn(n); err != nil {
			return err
		}
	case n != e.network:
		return fmt.Errorf("spool %s is of network %s, gateway %s of %s: %w", e.cfg.SpoolDir, e.network.ID, e.cfg.Gateway, n.ID, ErrOtherNetwork)
	}
	e.greeted = true
	return nil
}

// Emit is Add and Flush.
func (e *Emitter) Emit(ctx context.Context, shard domain.Shard, claims ...*v1.Claim) error {
	if err := e.Add(ctx, shard, claims...); err != nil {
		return err
	}
	return e.Flush(ctx)
}

// Add takes claims for a shard into the report that is being filled for it. They are not durable before
// Flush returns nil. Either all are taken or, with an error, none.
func (e *Emitter) Add(ctx context.Context, shard domain.Shard, claims ...*v1.Claim) error {
	n, err := e.Network(ctx)
	if err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.broken != nil {
		return e.broken
	}
	if shard < 0 || int(shard) > n.DataShards {
		return fmt.Errorf("shard %d: this network has 0 to %d", shard, n.DataShards)
	}
	var size int64
	for i, c := range claims {
		if err := c.Check(); err != nil {
			return fmt.Errorf("claims[%d]: %w", i, err)
		}
		if c.SizeVT() > reportBytes {
			return fmt.Errorf("claims[%d]: has %d bytes, at most %d are allowed: %w", i, c.SizeVT(), reportBytes, ErrTooLarge)
		}
		size += int64(c.SizeVT())
	}
	switch have := e.spool.bytes + e.size + e.drafted(); {
	case size > e.cfg.MaxSpoolBytes:
		return fmt.Errorf("%d bytes, the spool holds %d: %w", size, e.cfg.MaxSpoolBytes, ErrTooLarge)
	case have+size > e.cfg.MaxSpoolBytes:
		e.full = true
		return fmt.Errorf("%d bytes of at most %d: %w", have, e.cfg.MaxSpoolBytes, ErrSpoolFull)
	}
	for _, c := range claims {
		if err := e.draft(ctx, shard, c); err != nil {
			return err
		}
	}
	return nil
}

func (e *Emitter) drafted() (size int64) {
	for _, d := range e.drafts {
		size += int64(d.size)
	}
	return size
}

func (e *Emitter) draft(ctx context.Context, shard domain.Shard, c *v1.Claim) error {
	d := e.drafts[shard]
	if d == nil {
		d = &draft{}
		e.drafts[shard] = d
	}
	if len(d.claims) == reportClaims || d.size+c.SizeVT() > reportBytes {
		if err := e.sign(shard, d); err != nil {
			return err
		}
		if len(e.signed) >= flushReports || e.size >= flushBytes {
			if err := e.keep(ctx); err != nil {
				return err
			}
		}
	}
	d.claims, d.size = append(d.claims, c), d.size+c.SizeVT()
	return nil
}

// sign ends a draft. Reports are numbered by the clock, in microseconds, so that the numbers grow even if
// the spool is lost.
func (e *Emitter) sign(shard domain.Shard, d *draft) error {
	e.last = max(e.last+1, uint64(max(e.cfg.Now().UnixMicro(), 0))) // a clock before 1970 has no say
	report, err := signing.Report(e.cfg.Key, e.network.ID, shard, e.last, d.claims)
	if err != nil {
		e.broken = err // claims that were taken would be lost
		return err
	}
	e.signed, e.size = append(e.signed, report), e.size+int64(len(report))
	*d = draft{}
	return nil
}

// keep makes signed reports durable.
func (e *Emitter) keep(ctx context.Context) error {
	if len(e.signed) == 0 {
		return nil
	}
	if err := e.spool.append(ctx, e.signed); err != nil {
		e.broken = err
		return err
	}
	e.signed, e.size = nil, 0
	return nil
}

// Flush makes all that was added durable, in the order in which it was added to each shard. After an
// error nobody knows what was kept: Close, Open again, and Waiting tells.
func (e *Emitter) Flush(ctx context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.flush(ctx)
}

func (e *Emitter) flush(ctx context.Context) error {
	if e.broken != nil {
		return e.broken
	}
	shards := make([]domain.Shard, 0, len(e.drafts))
	for shard, d := range e.drafts {
		if len(d.claims) > 0 {
			shards = append(shards, shard)
		}
	}
	slices.Sort(shards)
	for _, shard := range shards {
		if err := e.sign(shard, e.drafts[shard]); err != nil {
			return err
		}
	}
	return e.keep(ctx)
}

// Waiting is how many reports are in the spool and not answered yet.
func (e *Emitter) Waiting() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.spool.waiting()
}

// RefusedFile is where the reports stand that the gateway refused, one JSON object a line, with the
// reason, the claims and the signed bytes.
func (e *Emitter) RefusedFile() string { return filepath.Join(e.cfg.SpoolDir, refusedName) }

// Close gives the spool free. What was added and not flushed is lost.
func (e *Emitter) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if errors.Is(e.broken, errClosed) {
		return nil
	}
	e.broken = errors.Join(errClosed, e.broken)
	return e.spool.close()
}

var errClosed = errors.New("emitter is closed")
