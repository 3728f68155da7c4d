package sdk

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/filature/filature/domain"
)

const (
	// DefaultMaxSpoolBytes holds some millions of claims, days of a worker's.
	DefaultMaxSpoolBytes = 256 << 20
	// DefaultLinger is short beside a job, and long enough that a busy worker's claims share signatures
	// and syncs.
	DefaultLinger = 50 * time.Millisecond
	// DefaultPatience is as long as a gateway takes to come back.
	DefaultPatience = 15 * time.Second
)

var (
	// ErrConfig: a field of Config can't be used.
	ErrConfig = errors.New("bad configuration")
	// ErrSpoolFull: as much waits as the spool may hold. Nothing was taken; say it again when some of it
	// was delivered, or use Add, which waits for that.
	ErrSpoolFull = errors.New("spool is full")
	// ErrTooLarge: a claim fits no report, or claims fit no spool. Nothing was taken.
	ErrTooLarge = errors.New("claim is too large")
	// ErrOtherNetwork: the spool, the gateway and the configuration are not of one network. Nothing was
	// sent.
	ErrOtherNetwork = errors.New("another network")
	// ErrUnreachable: the gateway was down or busy for a while. What it did not answer stays in the spool; try
	// again later.
	ErrUnreachable = errors.New("gateway is unreachable")

	errClosed = errors.New("emitter is closed")
)

// Config says who emits, and where to. Key, Gateway and SpoolDir are needed.
type Config struct {
	// Key signs. The spool's numbering is the key's, so a key belongs to one spool.
	Key ed25519.PrivateKey
	// Gateway takes what was emitted: HTTP, or adapters/kafka.Direct.
	Gateway Gateway
	// SpoolDir keeps what was emitted until it is answered. It belongs to one process at a time.
	SpoolDir string
	// Network is asked of the gateway where it is zero, once, and then kept in the spool. Who sets it can
	// emit before the gateway was ever reached.
	Network Network
	// Receipts gets each answer, in order, when it is durable in the spool: so after a crash an answer may
	// not be shown, and none is shown twice. It must not wait for the emitter (Add, Emit, Deliver, Close).
	// nil: nobody asks.
	Receipts func(Receipt)
	// Trouble is told why a try of Run failed. nil: nobody asks.
	Trouble func(error)
	// MaxSpoolBytes bounds the reports that wait; 0 is DefaultMaxSpoolBytes. On the disk may be a tenth
	// more, which was answered.
	MaxSpoolBytes int64
	// Linger is how long Run lets claims gather, before it signs them together and makes them durable; 0 is
	// DefaultLinger.
	Linger time.Duration
	// Patience is how long Deliver and Network go on trying while the gateway is down or busy; 0 is
	// DefaultPatience.
	Patience time.Duration
	// Now is the clock that numbers reports; nil is time.Now.
	Now func() time.Time
	// Entropy draws how long to wait between tries; nil is crypto/rand.
	Entropy io.Reader
}

// withDefaults fills in what was left out, and refuses what can't be.
func (c Config) withDefaults() (Config, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Entropy == nil {
		c.Entropy = rand.Reader
	}
	if c.Receipts == nil {
		c.Receipts = func(Receipt) {}
	}
	if c.Trouble == nil {
		c.Trouble = func(error) {}
	}
	if c.MaxSpoolBytes == 0 {
		c.MaxSpoolBytes = DefaultMaxSpoolBytes
	}
	if c.Linger == 0 {
		c.Linger = DefaultLinger
	}
	if c.Patience == 0 {
		c.Patience = DefaultPatience
	}
	switch {
	case len(c.Key) != ed25519.PrivateKeySize:
		return c, fmt.Errorf("%w: Key has %d bytes, want %d", ErrConfig, len(c.Key), ed25519.PrivateKeySize)
	case c.Gateway == nil:
		return c, fmt.Errorf("%w: Gateway is missing", ErrConfig)
	case c.SpoolDir == "":
		return c, fmt.Errorf("%w: SpoolDir is missing", ErrConfig)
	case c.MaxSpoolBytes < 0 || c.Linger < 0 || c.Patience < 0:
		return c, fmt.Errorf("%w: MaxSpoolBytes is %d, Linger %v, Patience %v; want none below zero", ErrConfig, c.MaxSpoolBytes, c.Linger, c.Patience)
	}
	return c, nil
}

// Emitter signs claims, keeps them on disk, and delivers them in order.
//
// What Flush or Emit returned nil for is durable: it reaches the gateway, and the ledger counts it once,
// whatever crashes in between. Reports of a shard keep their order. Safe for many goroutines: those that
// emit at the same time share a signature and a sync, and none of them waits for the network.
//
// A worker has Run in a goroutine of its own. A program that says a few things and ends calls Deliver.
type Emitter struct {
	cfg   Config
	spool *spool

	life context.Context //nolint:containedctx // the emitter's own: it ends with Close, or when the spool fails
	end  context.CancelCauseFunc

	closing sync.Once
	keeping sync.Mutex    // who has it appends to the spool
	sending chan struct{} // who put something in speaks with the gateway; it holds one
	greeted bool          // of who sends: the gateway is of this network, and has answered since that was seen
	added   chan struct{} // holds one: something is to be kept
	kept    chan struct{} // holds one: something is to be sent

	mu      sync.Mutex // guards all below; nobody waits for disk or network with it
	network Network    // zero until it is known
	filling filling
	held    int64         // bytes of all that waits: drafts, reports, and what is in the spool
	room    chan struct{} // closed and replaced when held has fallen
}

// Open opens the spool, or makes one, and asks nobody. It fails with seglog.ErrInUse if another process
// has the spool. Close the emitter when done.
func Open(ctx context.Context, cfg Config) (*Emitter, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	s, err := openSpool(ctx, cfg.SpoolDir, cfg.MaxSpoolBytes, cfg.Now)
	if err != nil {
		return nil, err
	}
	_, held := s.waiting()
	e := &Emitter{
		cfg: cfg, spool: s, held: held, room: make(chan struct{}), filling: filling{last: s.last, drafts: map[domain.Shard]*draft{}},
		sending: make(chan struct{}, 1), added: make(chan struct{}, 1), kept: make(chan struct{}, 1),
	}
	e.life, e.end = context.WithCancelCause(context.WithoutCancel(ctx))
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
	e.mu.Lock()
	defer e.mu.Unlock()
	e.network = n
	return nil
}

// Network returns the network, asking the gateway if the spool does not know it yet. It may take as long
// as Deliver to end with ErrUnreachable.
func (e *Emitter) Network(ctx context.Context) (Network, error) {
	if n := e.known(); n != (Network{}) {
		return n, nil
	}
	if err := e.patiently(ctx, e.greet); err != nil {
		return Network{}, fmt.Errorf("ask for the network: %w", err)
	}
	return e.known(), nil
}

// known is the network, if it is known.
func (e *Emitter) known() Network {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.network
}

// Waiting is how many reports are in the spool and not answered yet.
func (e *Emitter) Waiting() int {
	reports, _ := e.spool.waiting()
	return reports
}

// RefusedFile is where the reports stand that the gateway refused, one JSON object a line, with the
// reason, the claims and the signed bytes.
func (e *Emitter) RefusedFile() string { return filepath.Join(e.cfg.SpoolDir, refusedName) }

// broken is why the emitter can't be used any more, or nil: it was closed, or its spool failed.
func (e *Emitter) broken() error {
	if e.life.Err() == nil {
		return nil
	}
	return context.Cause(e.life)
}

// fail ends the emitter's life, since nobody knows what is on the disk.
func (e *Emitter) fail(err error) error {
	e.end(err)
	return err
}

// Close makes what was added durable and gives the spool free. A request on its way is given up, and what
// it carried stays in the spool.
func (e *Emitter) Close() (err error) {
	e.closing.Do(func() {
		if e.broken() == nil {
			err = e.Flush(e.life)
		}
		e.end(errClosed)
		e.sending <- struct{}{} // and never out again: whoever sent has noticed, and nobody else will
		e.keeping.Lock()
		defer e.keeping.Unlock()
		err = errors.Join(err, e.spool.close())
	})
	return err
}
