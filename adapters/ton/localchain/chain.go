// Package localchain knows how to be a TON network inside one process: real transactions on the Go
// TVM, real blocks and Merkle proofs, the main network's prices, and a lite-server on loopback, so
// that the stock client and the stock wallet work on it unchanged. It is what `filature demo`
// settles on and what the contracts are tested on.
//
// It has one basechain shard and no validators: a client checks its Merkle proofs but can't check
// signatures. There are no masterchain accounts, no message queues between shards, and no reorgs.
//
// The chain survives the death of its process at any moment: see journal.go.
package localchain

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"math/big"
	"sync"
	"time"

	"github.com/xssnick/tonutils-go/address"
	"github.com/xssnick/tonutils-go/tlb"
	"github.com/xssnick/tonutils-go/ton"
	"github.com/xssnick/tonutils-go/tvm"
	"github.com/xssnick/tonutils-go/tvm/cell"

	"github.com/filature/filature/domain"
)

const (
	// poolMessages bounds what waits for a block: ten blocks' worth of wallet messages.
	poolMessages = 1024
	// messageBytes is the network's own bound on an external message (parameter 43's default).
	messageBytes = 65_535
	// blocksKept is how far back states and proofs reach, as a lite-server's do: an hour of an idle
	// chain, some 40 MB. Transactions are kept for ever.
	blocksKept = 4096
	// DefaultInterval is a block interval that a person takes for immediate.
	DefaultInterval = 100 * time.Millisecond
)

// ErrClosed: the chain was closed.
var ErrClosed = errors.New("local chain is closed")

// ErrPoolFull: too many messages wait for a block; send again after the next one.
var ErrPoolFull = errors.New("message pool is full")

// Options say how a chain runs.
type Options struct {
	// Dir is the chain's own folder. Empty: the chain is kept nowhere and ends with Close.
	Dir string
	// Listen is the lite-server's address. Empty: a free port on loopback.
	Listen string
	// Interval is the time between blocks while messages wait; when none do, there is a block for
	// every second of the clock. 0: no block is made but by Step.
	Interval time.Duration
	// Now is the clock. Nil: time.Now. Blocks have whole seconds.
	Now func() time.Time
	// Prices multiplies those of the main network on the basechain: gas, messages, storage. 0: 1. A chain in a folder keeps
	// those that it was born with, and opens with no others.
	Prices uint64
}

// Chain is a running network. Close stops it.
type Chain struct {
	options Options
	journal *journal // nil without a folder
	server  *server
	stop    context.CancelFunc
	done    sync.WaitGroup // the block loop

	mu      sync.Mutex
	ledger  *ledger
	zero    *ton.ZeroStateIDExt // of block 0, which tells this chain from all others
	blocks  []*block            // the last blocksKept, oldest first
	byHash  map[[32]byte]*block
	pool    []*cell.Cell
	ahead   time.Duration // how far the chain's clock runs before Options.Now
	changed chan struct{} // closed and replaced at every block
	stopped error         // why there will be no more blocks
}

// Open starts a new chain, or one from its folder as it was: every block that anybody ever saw is
// there again, with the same hashes.
func Open(options Options) (*Chain, error) {
	if options.Now == nil {
		options.Now = time.Now
	}
	if options.Listen == "" {
		options.Listen = "127.0.0.1:0"
	}
	ledger, err := newLedger(max(1, options.Prices))
	if err != nil {
		return nil, fmt.Errorf("open local chain: %w", err)
	}
	c := &Chain{options: options, ledger: ledger, byHash: map[[32]byte]*block{}, changed: make(chan struct{})}
	if options.Dir != "" {
		if c.journal, err = openJournal(options.Dir, ledger.config.Root().Hash(), c.replay); err != nil {
			return nil, err
		}
	}
	if err := c.start(); err != nil {
		return nil, errors.Join(fmt.Errorf("open local chain: %w", err), c.closeJournal())
	}
	return c, nil
}

func (c *Chain) start() error {
	if last := c.ledger.last; last != nil {
		// A chain whose clock was advanced goes on from there, not from the wall clock.
		c.ahead = max(0, time.Unix(int64(last.utime), 0).Sub(c.options.Now()))
	} else if _, err := c.Step(context.Background()); err != nil { // block 0
		return err
	}
	key, err := serverKey(c.options.Dir)
	if err != nil {
		return err
	}
	if c.server, err = serve(c.options.Listen, key, c.Answer); err != nil {
		return err
	}
	if err := c.server.writeGlobalConfig(c.options.Dir, c.zero); err != nil {
		return errors.Join(err, c.server.close())
	}
	ctx, stop := context.WithCancel(context.Background())
	c.stop = stop
	if c.options.Interval > 0 {
		c.done.Go(func() { c.run(ctx) })
	}
	return nil
}

// Close stops the blocks and the lite-server and waits for both.
func (c *Chain) Close() error {
	c.stop()
	c.done.Wait()
	c.halt(ErrClosed)
	err := c.server.close()
	return errors.Join(err, c.closeJournal())
}

func (c *Chain) closeJournal() error {
	if c.journal == nil {
		return nil
	}
	return c.journal.close()
}

// halt makes all further blocks and messages fail with reason. The first reason stays.
func (c *Chain) halt(reason error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped == nil {
		c.stopped = reason
		close(c.changed)
		c.changed = make(chan struct{})
	}
}

// Err returns why the chain makes no more blocks: ErrClosed, or what went wrong; nil if it runs.
func (c *Chain) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stopped
}

// run makes blocks until the context ends or the chain fails.
func (c *Chain) run(ctx context.Context) {
	ticker := time.NewTicker(c.options.Interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if !c.due() {
			continue
		}
		if _, err := c.Step(ctx); err != nil {
			return // Step recorded why; senders and Err learn it
		}
	}
}

// due says whether the next block would differ from the last one: messages wait, or it is later. The
// time must go on, for roots become due by it; the journal should not grow for nothing.
func (c *Chain) due() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.pool)+len(c.ledger.queue) > 0 || c.utime() > c.ledger.last.utime
}

// Step makes one block of what waits and returns the number of its transactions. The block is
// durable before it is visible. An error stops the chain for good.
func (c *Chain) Step(ctx context.Context) (transactions int, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped != nil {
		return 0, c.stopped
	}
	defer func() {
		if err != nil {
			c.stopped = fmt.Errorf("local chain stopped: %w", err)
		}
	}()
	in := input{utime: c.utime(), messages: c.pool}
	c.pool = nil
	made, err := c.ledger.next(in)
	if err != nil {
		return 0, err
	}
	// Crash here: the ledger in memory is gone with the block; the journal is as it was.
	if c.journal != nil {
		if err := c.journal.append(frame{seqno: made.seqno, in: in, rootHash: made.master.RootHash}); err != nil {
			return 0, err
		}
	}
	c.show(made)
	return made.count, nil
}

// replay makes a block of the journal again.
func (c *Chain) replay(f frame) error {
	made, err := c.ledger.next(f.in)
	if err != nil {
		return err
	}
	if !bytes.Equal(made.master.RootHash, f.rootHash) {
		return fmt.Errorf("executes to %x now, and to %x when it was made: %w", made.master.RootHash, f.rootHash, ErrCorrupt)
	}
	c.show(made)
	return nil
}

// show makes a block visible. The caller holds the lock, or is the only one there.
func (c *Chain) show(made *block) {
	if c.zero == nil {
		c.zero = &ton.ZeroStateIDExt{Workchain: masterchain, RootHash: made.masterState.Hash(), FileHash: made.master.FileHash}
	}
	c.blocks = append(c.blocks, made)
	c.byHash[[32]byte(made.shard.RootHash)] = made
	c.byHash[[32]byte(made.master.RootHash)] = made
	if len(c.blocks) > blocksKept {
		old := c.blocks[0]
		c.blocks[0] = nil
		c.blocks = c.blocks[1:]
		delete(c.byHash, [32]byte(old.shard.RootHash))
		delete(c.byHash, [32]byte(old.master.RootHash))
	}
	close(c.changed)
	c.changed = make(chan struct{})
}

// utime is the time of the next block: the clock, but never before the last block.
func (c *Chain) utime() uint32 {
	now := uint32(c.options.Now().Add(c.ahead).Unix())
	if c.ledger.last != nil {
		return max(now, c.ledger.last.utime)
	}
	return now
}

// Advance sets the chain's clock ahead by d, from the next block on. It can't be set back.
func (c *Chain) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += max(0, d)
}

// Faucet gives an account of the basechain coins out of nothing, in the next block.
func (c *Chain) Faucet(account [32]byte, amount domain.Nano) error {
	if amount <= 0 {
		return fmt.Errorf("faucet: amount %s: want more than nothing", amount)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	transfer, err := tlb.ToCell(&tlb.InternalMessage{
		IHRDisabled: true,
		SrcAddr:     address.NewAddress(0, 0, make([]byte, 32)), // nobody's
		DstAddr:     accountID(account).address(),
		Amount:      tlb.FromNanoTON(big.NewInt(int64(amount))),
		CreatedLT:   c.ledger.lt,
		CreatedAt:   c.utime(),
		Body:        cell.BeginCell().EndCell(),
	})
	if err != nil {
		return fmt.Errorf("faucet: %w", err)
	}
	return c.enqueue(transfer)
}

// Send takes an external message, as a bag of cells, into the pool if the contract that it is for
// would accept it now, as a node does.
func (c *Chain) Send(boc []byte) error {
	if len(boc) > messageBytes {
		return fmt.Errorf("external message of %d bytes: the limit is %d", len(boc), messageBytes)
	}
	message, prepared, err := parseExternal(boc)
	if err != nil {
		return fmt.Errorf("external message: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped != nil {
		return c.stopped
	}
	accepted, err := c.ledger.accepts(prepared, c.utime())
	if err != nil {
		return fmt.Errorf("external message %x: %w", message.Hash(), err)
	}
	if !accepted {
		return fmt.Errorf("external message %x: not accepted by the contract", message.Hash())
	}
	return c.enqueue(message)
}

func parseExternal(boc []byte) (_ *cell.Cell, _ *tvm.PreparedMessage, err error) {
	defer recovered(&err)
	message, err := cell.FromBOC(boc)
	if err != nil {
		return nil, nil, err
	}
	prepared, err := tvm.PrepareMessage(message)
	if err != nil {
		return nil, nil, err
	}
	if prepared.Message().MsgType != tlb.MsgTypeExternalIn {
		return nil, nil, errors.New("not an inbound external message")
	}
	return message, prepared, nil
}

func (c *Chain) enqueue(message *cell.Cell) error {
	if c.stopped != nil {
		return c.stopped
	}
	if len(c.pool) >= poolMessages {
		return ErrPoolFull
	}
	c.pool = append(c.pool, message)
	return nil
}

// LiteServer returns the address and the public key of the chain's lite-server.
func (c *Chain) LiteServer() (hostPort string, key ed25519.PublicKey) {
	return c.server.address, c.server.key
}

// GlobalConfigFile is the path of a global configuration file that leads any TON client to this
// chain; it is valid until Close.
func (c *Chain) GlobalConfigFile() string { return c.server.configFile }
