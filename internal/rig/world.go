// Package rig knows how to make a small world for tests: clients, providers and workers with keys of
// their own, who say things in an order that a seed decides; clerks that answer them; and a vault
// that refuses what the real one refuses. Nothing in it waits: its clock moves when it is told to, and
// its clerks stop when they have answered all. The same options give the same logs, byte for byte.
package rig

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/ledger"
	"github.com/filature/filature/domain/signing"
	"github.com/filature/filature/eventstore"
	"github.com/filature/filature/eventstore/memlog"
	"github.com/filature/filature/projections"
	v1 "github.com/filature/filature/schemas/filature/v1"
	"github.com/filature/filature/workers/clerk"
)

// Test is what a world needs of a test, a benchmark or a property.
type Test interface {
	Helper()
	Fatalf(format string, args ...any)
}

// Options say how large a world is. The zero value is a small one.
type Options struct {
	Seed        uint64
	DataShards  int // 0: 2
	Clients     int // with two accounts each; 0: 3
	Providers   int // with two workers each; 0: 3
	VaultDelay  time.Duration
	Store       projections.Store // the live read models; nil: in memory
	OpenLogs    func(now func() time.Time) (intake, ledger eventstore.Log)
	Deposit     domain.Nano // into each account; 0: 100 coins
	MaxOpenJobs int         // per account; 0: 64
	Honest      bool        // nobody forges, repeats or makes up a report
	Judged      bool        // pay waits for attestations, and workers are judged by what they do
}

func (o *Options) complete() {
	def := func(n *int, usual int) {
		if *n == 0 {
			*n = usual
		}
	}
	def(&o.DataShards, 2)
	def(&o.Clients, 3)
	def(&o.Providers, 3)
	def(&o.MaxOpenJobs, 64)
	if o.Deposit == 0 {
		o.Deposit = 100 * domain.Coin
	}
	if o.VaultDelay == 0 {
		o.VaultDelay = time.Minute
	}
	if o.Store == nil {
		o.Store = projections.NewMemStore()
	}
	if o.OpenLogs == nil {
		o.OpenLogs = func(now func() time.Time) (intake, ledger eventstore.Log) {
			return memlog.New(o.DataShards+1, now), memlog.New(o.DataShards+1, now)
		}
	}
}

// Rules of the world's network.
const (
	JobTimeout    = time.Minute
	DisputeWindow = 10 * time.Minute
	ResolveWithin = 30 * time.Minute
	MatureBucket  = time.Minute
)

// Actor is somebody who speaks: a key, and an id where the ledger has one for it.
type Actor struct {
	Name string
	ID   [32]byte
	Key  ed25519.PrivateKey

	sequence map[domain.Shard]uint64
}

// KeyID names the actor's key.
func (a *Actor) KeyID() domain.KeyID { return signing.KeyOf(a.Key) }

// Account is a client's account.
type Account struct {
	ID     domain.AccountID
	Shard  domain.Shard
	Client *Actor

	jobs uint64 // number of the last one
}

// Worker is a provider's worker.
type Worker struct {
	*Actor
	Provider *Actor
}

// World is a network and all who take part in it. One goroutine owns it.
type World struct {
	Options
	Genesis *v1.Genesis
	Network domain.NetworkID
	Intake  eventstore.Log
	Ledger  eventstore.Log
	Vault   *Vault

	Admin, Proxy, Verifier, Watcher, Settler, Arbiter, Treasurer, Clock *Actor

	Clients   []*Actor
	Accounts  []*Account
	Providers []*Actor
	Workers   []*Worker
	Models    []domain.ModelID

	t       Test
	ctx     context.Context //nolint:containedctx // a world lives as long as its test, and nothing in it blocks
	random  *rand.Rand
	nowMs   atomic.Int64
	history *History
	open    []*job

	challenges, images int // so many there were
}

// Keys are the keys of all who speak, by their public halves.
func (w *World) Keys() map[domain.KeyID]ed25519.PrivateKey {
	actors := []*Actor{w.Admin, w.Proxy, w.Verifier, w.Watcher, w.Settler, w.Arbiter, w.Treasurer, w.Clock}
	actors = append(append(actors, w.Clients...), w.Providers...)
	for _, worker := range w.Workers {
		actors = append(actors, worker.Actor)
	}
	keys := map[domain.KeyID]ed25519.PrivateKey{}
	for _, actor := range actors {
		keys[actor.KeyID()] = actor.Key
	}
	return keys
}

// birth is when every world begins: 2026-01-01, in Unix milliseconds.
const birth = 1_767_225_600_000

// New makes a world, brings everybody in, and fills the accounts.
func New(t Test, options Options) *World {
	t.Helper()
	options.complete()
	w := &World{Options: options, t: t, ctx: context.Background()}
	w.random = rand.New(rand.NewPCG(options.Seed, 1)) //nolint:gosec // a world has to be the same again
	w.nowMs.Store(birth)
	w.Intake, w.Ledger = options.OpenLogs(w.Now)
	w.Vault = NewVault(w.Now, options.VaultDelay)
	w.history = w.Vault.History()
	w.Admin = w.actor("admin")
	admin := w.Admin.KeyID()
	w.Genesis = &v1.Genesis{Name: "rig", Shards: uint32(options.DataShards), Operator: admin[:], CreatedAtMs: birth}
	network, err := ledger.NetworkIDOf(w.Genesis)
	w.must(err)
	w.Network = network
	w.foundNetwork()
	w.bringIn()
	w.Work()
	if w.Judged {
		w.judge()
	}
	w.fund()
	w.Work()
	return w
}

func (w *World) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatalf("rig: %v", err)
	}
}

// Now is the world's clock.
func (w *World) Now() time.Time { return time.UnixMilli(w.nowMs.Load()).UTC() }

// Pass lets time pass. Nobody notices until somebody speaks: see Tick.
func (w *World) Pass(d time.Duration) { w.nowMs.Add(d.Milliseconds()) }

// actor makes somebody whose key and id follow from seed and name.
func (w *World) actor(name string) *Actor {
	seed := sha256.Sum256(fmt.Appendf(nil, "rig %d key of %s", w.Seed, name))
	return &Actor{
		Name: name, ID: w.id(name), Key: ed25519.NewKeyFromSeed(seed[:]), sequence: map[domain.Shard]uint64{},
	}
}

func (w *World) id(name string) [32]byte {
	return sha256.Sum256(fmt.Appendf(nil, "rig %d id of %s", w.Seed, name))
}

// Sign makes an actor's next report to a shard, and puts it nowhere.
func (w *World) Sign(who *Actor, shard domain.Shard, claims ...*v1.Claim) []byte {
	w.t.Helper()
	who.sequence[shard]++
	raw, err := signing.Report(who.Key, w.Network, shard, who.sequence[shard], claims)
	w.must(err)
	return raw
}

// Say signs claims and puts the report into a shard's intake. Time passes: a millisecond.
func (w *World) Say(who *Actor, shard domain.Shard, claims ...*v1.Claim) domain.Offset {
	w.t.Helper()
	return w.Put(shard, w.Sign(who, shard, claims...))
}

// Put puts any bytes into a shard's intake.
func (w *World) Put(shard domain.Shard, record []byte) domain.Offset {
	w.t.Helper()
	w.Pass(time.Millisecond)
	at, err := w.Intake.Append(w.ctx, shard, [][]byte{record})
	w.must(err)
	return at
}

// Tick lets the clock speak in every shard.
func (w *World) Tick() {
	w.t.Helper()
	for shard := range w.Ledger.Shards() {
		w.Say(w.Clock, domain.Shard(shard), &v1.Claim{Body: &v1.Claim_Tick{Tick: &v1.Tick{}}})
	}
}

// Work lets the clerks answer all that was said, one shard after the other.
func (w *World) Work() {
	w.t.Helper()
	for shard := range w.Ledger.Shards() {
		w.must(w.Answer(domain.Shard(shard), w.Ledger))
	}
}

// Answer runs a clerk of one shard until it has answered all, and has it write to a ledger that may be
// another than the world's: one that loses writes, or that somebody else writes to, too.
func (w *World) Answer(shard domain.Shard, log eventstore.Log) error {
	ctx, idle := context.WithCancel(w.ctx)
	defer idle()
	return clerk.New(clerk.Config{
		Shard: shard, Intake: untilIdle{w.Intake, idle}, Ledger: log, Genesis: w.Genesis,
		Verifier: signing.NewVerifier(1024), Entropy: zeros{},
	}).Run(ctx)
}

// untilIdle is an intake whose readers stop where they would wait.
type untilIdle struct {
	eventstore.Reader
	idle context.CancelFunc
}

func (u untilIdle) Wait(ctx context.Context, _ domain.Shard, _ domain.Offset) error {
	u.idle()
	return ctx.Err()
}

// zeros is entropy for tests: nobody in a world aims at it.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// Ends are the ends of the ledger's shards.
func (w *World) Ends() []domain.Offset {
	w.t.Helper()
	ends := make([]domain.Offset, w.Ledger.Shards())
	for shard := range ends {
		end, err := w.Ledger.End(w.ctx, domain.Shard(shard))
		w.must(err)
		ends[shard] = end
	}
	return ends
}

// Fold brings the world's read models up to the end of the ledger.
func (w *World) Fold() {
	w.t.Helper()
	w.must(projections.FoldTo(w.ctx, w.Ledger, w.Store, w.Ends(), projections.All()...))
}

// shardOf is where an account lives.
func (w *World) shardOf(account domain.AccountID) domain.Shard {
	return domain.ShardOf(account, w.DataShards)
}
