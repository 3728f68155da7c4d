package settling

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/xssnick/tonutils-go/tl"
	tonlib "github.com/xssnick/tonutils-go/ton"

	"github.com/filature/filature/adapters/ton"
	"github.com/filature/filature/adapters/ton/localchain"
	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/settlement"
	"github.com/filature/filature/internal/rig"
	"github.com/filature/filature/projections"
	v1 "github.com/filature/filature/schemas/filature/v1"
	"github.com/filature/filature/workers/settler"
	"github.com/filature/filature/workers/watcher"
)

const (
	blockEvery = 2 * time.Millisecond
	poll       = 2 * time.Millisecond
	// delay is the vault's; the chain's clock is advanced past it.
	delay = time.Hour
	// rigDeposits is more than the accounts of a world hold, which saw no deposits on this chain.
	rigDeposits = 2000 * domain.Coin
	// refund is what a client takes back, through the same tree as everybody who is paid.
	refund = 3 * domain.Coin
	// externals is the most that a cell may use up of the treasury's sequence numbers: what the steps need, and as much
	// again. More is a storm.
	externals = 12
)

// patience is far more than a cell takes on any machine. A run that is to fail shortens it (make settle-mutants).
var patience = flag.Duration("settling.patience", 5*time.Minute, "how long to wait for a cell's end")

// chain is one local chain for all cells; each has wallets and a vault of its own on it.
type chain struct {
	*localchain.Chain
	plain *ton.Client // of a lite-server without faults
}

func openChain(t *testing.T) *chain {
	t.Helper()
	c, err := localchain.Open(localchain.Options{Interval: blockEvery})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	client, err := ton.Connect(t.Context(), ton.Config{GlobalConfigFile: c.GlobalConfigFile(), Look: poll, Resend: 4 * poll})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return &chain{Chain: c, plain: client}
}

// stage is one cell's world: people who are owed something, a vault, settlers and watchers.
type stage struct {
	t     *testing.T
	chain *chain
	// ctx ends with the cell, and everything that runs in it.
	ctx      context.Context //nolint:containedctx // a stage lives as long as its cell
	treasury ed25519.PrivateKey
	wallet   *ton.Wallet
	guardian *ton.Wallet
	vault    *ton.Vault
	first    uint32 // the treasury's sequence number when the vault was there
	works    sync.WaitGroup
	line     *line

	mu     sync.Mutex // guards the world
	world  *rig.World
	booked map[string]int // events that a watcher's reports brought in

	step, fault string
	armed       atomic.Bool // the step has begun
	bites       atomic.Int64
	met         atomic.Int64    // who have come to do the step, where there are two
	looks       [2]atomic.Int64 // of each settler at the vault
	halted      atomic.Pointer[string]
	lastWhy     atomic.Pointer[string]
}

func key(seed string) ed25519.PrivateKey {
	sum := sha256.Sum256([]byte(seed))
	return ed25519.NewKeyFromSeed(sum[:])
}

func newStage(ctx context.Context, t *testing.T, c *chain, step, fault string) *stage {
	t.Helper()
	s := &stage{t: t, chain: c, ctx: ctx, step: step, fault: fault, treasury: key("treasury " + step + fault), booked: map[string]int{}}
	var err error
	if s.wallet, err = c.plain.Wallet(s.treasury); err != nil {
		t.Fatal(err)
	}
	if s.guardian, err = c.plain.Wallet(key("guardian " + step + fault)); err != nil {
		t.Fatal(err)
	}
	s.faucet(s.wallet, 2*rigDeposits)
	s.faucet(s.guardian, 1000*domain.Coin)
	vault, deploy, err := c.plain.NewVault(ton.VaultParams{Admin: s.wallet.Address(), Guardian: s.guardian.Address(), Delay: delay}, ton.VaultReserve)
	if err != nil {
		t.Fatal(err)
	}
	s.vault = vault
	s.send(s.wallet, deploy)
	s.until("the vault is there", func() bool { _, err := vault.State(ctx); return err == nil })
	if fault != "vault short" {
		s.send(s.wallet, vault.TopUpMessage(rigDeposits))
	}
	s.first = s.seqno()
	s.world = owing(t, uint64(binary.BigEndian.Uint32(s.treasury))) //nolint:contextcheck // a world never waits
	return s
}

// owing is a world in which some are owed something, and no batch was made.
func owing(t *testing.T, seed uint64) *rig.World {
	t.Helper()
	w := rig.New(t, rig.Options{Seed: seed, Honest: true})
	w.Live(12)
	w.Work()
	w.Mature()
	account, to := w.Accounts[0], refunded(seed)
	w.Say(account.Client, account.Shard, &v1.Claim{Body: &v1.Claim_RequestWithdrawal{RequestWithdrawal: &v1.RequestWithdrawal{
		Account: account.ID[:], AmountNano: int64(refund), Destination: to[:],
	}}})
	w.Work()
	return w
}

// refunded is where a client wants its coins back.
func refunded(seed uint64) domain.ProviderID {
	return sha256.Sum256(binary.BigEndian.AppendUint64([]byte("refunded"), seed))
}

func (s *stage) faucet(w *ton.Wallet, amount domain.Nano) {
	s.t.Helper()
	before := s.balance(w.Address())
	if err := s.chain.Faucet(w.Address().Account, amount); err != nil {
		s.t.Fatal(err)
	}
	s.until("the faucet has paid", func() bool { return s.balance(w.Address()) > before })
}

func (s *stage) balance(at ton.Address) domain.Nano {
	balance, err := s.chain.plain.Balance(s.ctx, at)
	if err != nil && s.ctx.Err() == nil {
		s.t.Errorf("balance: %v", err)
	}
	return balance
}

// send sends past the faults and returns when it has landed.
func (s *stage) send(w *ton.Wallet, messages ...ton.Message) {
	s.t.Helper()
	fate, err := w.Deliver(s.ctx, messages)
	if err != nil || fate.Sent != len(messages) {
		s.t.Fatalf("%s, %s: send: %+v, %v", s.step, s.fault, fate, err)
	}
}

// seqno is the treasury's next sequence number.
func (s *stage) seqno() uint32 {
	external, err := s.wallet.Sign(s.ctx, []ton.Message{ton.Transfer(s.guardian.Address(), 1)}, time.Now().Add(time.Hour))
	if err != nil && !errors.Is(err, ton.ErrPoor) && s.ctx.Err() == nil {
		s.t.Errorf("seqno: %v", err)
	}
	return external.Seqno
}

func (s *stage) until(what string, holds func() bool) {
	s.t.Helper()
	deadline := time.After(*patience)
	for !holds() {
		select {
		case <-deadline:
			why := s.lastWhy.Load()
			if why == nil {
				why = new(string)
			}
			s.t.Fatalf("%s, %s: waited too long until %s; the settler says %q", s.step, s.fault, what, *why)
		case <-time.After(poll):
		}
	}
}

// bite notes that the fault did something.
func (s *stage) bite() { s.bites.Add(1) }

// settle keeps a settler at work, each life of it on a client of its own, until the cell ends.
func (s *stage) settle(client *ton.Client, which int) {
	wallet, err := client.Wallet(s.treasury)
	if err != nil {
		s.t.Error(err)
		return
	}
	s.keep(func(ctx context.Context, die context.CancelFunc) error {
		return settler.New(settler.Config{
			Chain: gate{&ton.Treasury{Vault: client.Vault(s.vault.Address()), Wallet: wallet}, s, die, which},
			Books: books{s.world.Store, s}, Reporter: reporter{s, s.world.Settler, die}, Poll: poll,
			Claims: &settlement.ClaimPolicy{FeeNano: 1, BudgetNano: domain.Coin}, Now: s.world.Now,
			Notice: func(d settlement.Decision, err error) {
				why := fmt.Sprintf("%s: %s (%v)", d.Step, d.Why, err)
				s.lastWhy.Store(&why)
				if d.Step == settlement.StepHalt {
					s.halted.Store(&why)
				}
				if errors.Is(err, ton.ErrPoor) && s.fault == "wallet poor" {
					s.bite()
				}
			},
		}).Run(ctx)
	})
}

// watch keeps a watcher at work until the cell ends.
func (s *stage) watch(client *ton.Client) {
	s.keep(func(ctx context.Context, die context.CancelFunc) error {
		s.mu.Lock()
		s.world.Work() //nolint:contextcheck // a world never waits
		s.world.Fold()
		progress, err := projections.ReadProgress(ctx, s.world.Store)
		s.mu.Unlock()
		if err != nil {
			return err
		}
		return watcher.Run(ctx, watcher.Config{
			History: ton.Claims{History: client.Vault(s.vault.Address()).HistoryBehind(progress.ChainLT)}, Reporter: reporter{s, s.world.Watcher, die},
			Books: bookedIn{s.world}, BookedLT: progress.ChainLT, DataShards: s.world.DataShards, Poll: poll,
		})
	})
}

// keep runs something again and again: each life gets a context that a fault may end.
func (s *stage) keep(life func(ctx context.Context, die context.CancelFunc) error) {
	s.works.Go(func() {
		for s.ctx.Err() == nil {
			ctx, die := context.WithCancel(s.ctx)
			s.line.mourn(die)
			err := life(ctx, die)
			die()
			if err != nil && !errors.Is(err, errInjected) && s.ctx.Err() == nil {
				s.t.Errorf("%s, %s: %v", s.step, s.fault, err)
				return
			}
		}
	})
}

// bookedIn is what a world has booked.
type bookedIn struct{ world *rig.World }

func (b bookedIn) Unbooked(ctx context.Context, claims []*v1.Claim) ([]*v1.Claim, error) {
	return projections.Unbooked(ctx, b.world.Store, b.world.DataShards, claims)
}

type books struct {
	projections.Store
	stage *stage
}

func (b books) Fresh(context.Context) error {
	b.stage.mu.Lock()
	defer b.stage.mu.Unlock()
	b.stage.world.Work() //nolint:contextcheck // a world never waits
	b.stage.world.Fold()
	return nil
}

var errInjected = errors.New("injected")

// reporter brings claims in as somebody, or not, and tells the truth about it, or not.
type reporter struct {
	stage *stage
	who   *rig.Actor
	die   context.CancelFunc
}

func (r reporter) Report(ctx context.Context, shard domain.Shard, claims ...*v1.Claim) (domain.Offset, error) {
	s := r.stage
	say := func() domain.Offset {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.world.Say(r.who, shard, claims...)
	}
	if !slices.ContainsFunc(claims, s.isStep) {
		return say(), nil
	}
	s.arm()
	if s.fault == "two at once" {
		s.meet(ctx)
		return say(), nil
	}
	if s.bites.Load() > 0 {
		return say(), nil
	}
	switch s.fault {
	case "append lost":
		s.bite()
		return 0, errInjected
	case "append kept":
		s.bite()
		say()
		return 0, errInjected
	case "crash before append":
		s.bite()
		r.die()
		return 0, ctx.Err()
	case "crash after append":
		s.bite()
		at := say()
		r.die()
		return at, nil
	}
	return say(), nil
}

// isStep tells whether a claim is what the cell's step says.
func (s *stage) isStep(claim *v1.Claim) bool {
	switch claim.Body.(type) {
	case *v1.Claim_SealBatch:
		return s.step == "seal"
	case *v1.Claim_ObserveVeto:
		return s.step == "book veto" || s.step == "book void"
	case *v1.Claim_ObservePayout:
		return s.step == "book payout"
	case *v1.Claim_ObserveDeposit:
		return s.step == "book deposit"
	default:
		return false
	}
}

// arm begins the step: from here on the fault is there.
func (s *stage) arm() { s.armWith(s.newest()) }

func (s *stage) armWith(old tl.Serializable) {
	if s.armed.CompareAndSwap(false, true) {
		s.line.begin(old)
	}
}

// newest is what a lite-server says of its newest block.
func (s *stage) newest() tl.Serializable { return s.chain.Answer(s.ctx, tonlib.GetMasterchainInf{}) }

// second is who comes to a step when another waits to do the same.
const second = 2

// meet returns when two have come to do the step, each of whom decided on it before any of them did it. It tells as how
// many-th one came.
func (s *stage) meet(ctx context.Context) int64 {
	came := s.met.Add(1)
	if came <= second {
		s.bite()
		s.wait(ctx, func() bool { return s.met.Load() >= second })
	}
	return came
}

func (s *stage) wait(ctx context.Context, holds func() bool) {
	for !holds() {
		select {
		case <-ctx.Done():
			return
		case <-time.After(poll):
		}
	}
}

// gate arms the fault when its step begins.
type gate struct {
	*ton.Treasury
	stage *stage
	die   context.CancelFunc
	which int // of the settlers
}

func (g gate) Look(ctx context.Context) (settlement.Seen, error) {
	seen, err := g.Treasury.Look(ctx)
	if err == nil {
		g.stage.looks[g.which].Add(1)
	}
	return seen, err
}

func (g gate) Propose(ctx context.Context, root settlement.OnChain) error {
	return g.stage.sending(ctx, "propose", func() error { return g.Treasury.Propose(ctx, root) })
}

func (g gate) Activate(ctx context.Context) error {
	return g.stage.sending(ctx, "activate", func() error { return g.Treasury.Activate(ctx) })
}

func (g gate) Claim(ctx context.Context, tree settlement.Tree, payees []domain.ProviderID) (sent int, err error) {
	err = g.stage.sending(ctx, "claim", func() (err error) { sent, err = g.Treasury.Claim(ctx, tree, payees); return err })
	return sent, err
}

func (s *stage) sending(ctx context.Context, step string, send func() error) error {
	if step == "claim" && s.step == "book payout" && s.fault == "stale node" {
		s.arm() // before there is anything to book
	}
	if step == s.step && s.fault == "two at once" {
		s.arm()
		if s.meet(ctx) == second { // decided at once, signed a second later: other bytes
			s.wait(ctx, s.line.holds)
			before, err := s.chain.plain.Head(ctx)
			s.chain.Advance(2 * time.Second)
			s.wait(ctx, func() bool {
				head, headErr := s.chain.plain.Head(ctx)
				return err == nil && headErr == nil && head.Time.After(before.Time)
			})
		}
		return send()
	}
	if step != s.step || s.armed.Load() {
		return send()
	}
	switch s.fault {
	case "wallet poor": // its coins go elsewhere
		s.send(s.wallet, ton.Transfer(s.guardian.Address(), s.balance(s.wallet.Address())-10_000_000))
	case "node went back": // to where it was before the step, once the step is done
		old := s.newest()
		defer s.armWith(old)
		return send()
	}
	s.arm()
	return send()
}
