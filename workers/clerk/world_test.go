package clerk_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/ledger"
	"github.com/filature/filature/domain/signing"
	"github.com/filature/filature/eventstore"
	"github.com/filature/filature/eventstore/memlog"
	v1 "github.com/filature/filature/schemas/filature/v1"
	"github.com/filature/filature/workers/clerk"
)

// failer is what *testing.T and *rapid.T have in common, as far as the world needs it.
type failer interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

const (
	startMs = 1_767_225_600_000 // 2026-01-01
	shard   = domain.Shard(1)   // the only data shard
)

var ctx = context.Background()

// world is a network of two shards: its logs, their clock, and the people whose claims go into intake.
type world struct {
	failer
	nowMs   atomic.Int64
	moving  time.Time // if set, the clock moves from there on, with a bubble's time
	intake  *memlog.Log
	genesis *v1.Genesis
	network domain.NetworkID
	last    map[string]uint64
}

func newWorld(t failer) *world {
	admin := signing.KeyOf(keyOf("admin"))
	w := &world{
		failer: t, last: map[string]uint64{},
		genesis: &v1.Genesis{Name: "test", Shards: 1, Operator: admin[:], CreatedAtMs: startMs},
	}
	w.nowMs.Store(startMs)
	w.intake = w.newLog()
	var err error
	if w.network, err = ledger.NetworkIDOf(w.genesis); err != nil {
		t.Fatalf("genesis: %v", err)
	}
	return w
}

func (w *world) now() time.Time {
	now := time.UnixMilli(w.nowMs.Load())
	if !w.moving.IsZero() {
		now = now.Add(time.Since(w.moving))
	}
	return now
}

func (w *world) newLog() *memlog.Log { return memlog.New(2, w.now) }

// config is a clerk's, on the world's intake.
func (w *world) config(of domain.Shard, log eventstore.Log) clerk.Config {
	return clerk.Config{
		Shard: of, Intake: w.intake, Ledger: log, Genesis: w.genesis, Verifier: signing.NewVerifier(16), Entropy: rand.Reader,
	}
}

func id(name string) []byte {
	sum := sha256.Sum256([]byte("filature/test/" + name))
	return sum[:]
}

func keyOf(name string) ed25519.PrivateKey { return ed25519.NewKeyFromSeed(id(name)) }

func publicKey(name string) []byte { return keyOf(name).Public().(ed25519.PublicKey) }

// say puts a report into intake.
func (w *world) say(to domain.Shard, name string, claims ...*v1.Claim) {
	w.Helper()
	w.last[name]++
	w.record(to, w.signed(to, name, w.last[name], claims...))
}

func (w *world) signed(to domain.Shard, name string, sequence uint64, claims ...*v1.Claim) []byte {
	w.Helper()
	record, err := signing.Report(keyOf(name), w.network, to, sequence, claims)
	if err != nil {
		w.Fatalf("sign: %v", err)
	}
	return record
}

func (w *world) record(to domain.Shard, record []byte) {
	w.Helper()
	if _, err := w.intake.Append(ctx, to, [][]byte{record}); err != nil {
		w.Fatalf("intake: %v", err)
	}
}

// found registers a client, ann, a worker, and the operator "operator", who may do all.
func (w *world) found() {
	w.Helper()
	roles := []v1.Role{
		v1.Role_ROLE_PROXY, v1.Role_ROLE_VERIFIER, v1.Role_ROLE_WATCHER, v1.Role_ROLE_SETTLER,
		v1.Role_ROLE_ARBITER, v1.Role_ROLE_TREASURER, v1.Role_ROLE_CLOCK,
	}
	w.say(domain.Control, "admin",
		&v1.Claim{Body: &v1.Claim_SetOperator{SetOperator: &v1.SetOperator{Key: publicKey("operator"), Roles: roles}}},
		&v1.Claim{Body: &v1.Claim_RegisterClient{RegisterClient: &v1.RegisterClient{Client: id("ann"), Key: publicKey("ann")}}},
		&v1.Claim{Body: &v1.Claim_RegisterProvider{RegisterProvider: &v1.RegisterProvider{Provider: id("provider"), Key: publicKey("provider")}}},
		&v1.Claim{Body: &v1.Claim_RegisterWorker{RegisterWorker: &v1.RegisterWorker{Worker: id("gpu"), Provider: id("provider"), Key: publicKey("gpu")}}},
	)
}

// opening opens the account "a".
func opening() *v1.Claim {
	return &v1.Claim{Body: &v1.Claim_OpenAccount{OpenAccount: &v1.OpenAccount{Account: id("a"), Client: id("ann")}}}
}

func deposit(account string, amount domain.Nano, lt uint64) *v1.Claim {
	return &v1.Claim{Body: &v1.Claim_ObserveDeposit{ObserveDeposit: &v1.ObserveDeposit{
		Account: id(account), AmountNano: int64(amount), TxHash: id(fmt.Sprint("transaction ", lt)), Lt: lt,
	}}}
}

func withdraw(account string, amount domain.Nano) *v1.Claim {
	return &v1.Claim{Body: &v1.Claim_RequestWithdrawal{RequestWithdrawal: &v1.RequestWithdrawal{
		Account: id(account), AmountNano: int64(amount), Destination: id("ann's wallet"),
	}}}
}

// live says a number of things on the data shard whose answers hang on all that was said before: money
// comes and goes, some of it twice, some of it not there.
func (w *world) live(reports int) {
	w.Helper()
	if reports > 0 {
		w.say(shard, "ann", opening(), opening())
	}
	for i := 1; i < reports; i++ {
		w.nowMs.Add(int64(i % 3))
		switch i % 5 {
		case 0:
			w.record(shard, w.signed(shard, "ann", w.last["ann"], withdraw("a", 1))) // a used number
		case 1, 2:
			w.say(shard, "operator", deposit("a", domain.Nano(10*i), uint64(i-i%2)))
		case 3:
			w.say(shard, "ann", withdraw("a", domain.Nano(12*i)), withdraw("a", domain.Nano(7*i)))
		default:
			w.record(shard, fmt.Appendf(nil, "junk %d", i))
		}
	}
}

// running is a clerk at work.
type running struct {
	*clerk.Clerk
	cancel context.CancelFunc
	ended  chan error
}

func start(cfg clerk.Config) *running {
	r := prepared(cfg)
	r.run()
	return r
}

func prepared(cfg clerk.Config) *running {
	return &running{Clerk: clerk.New(cfg), ended: make(chan error, 1)}
}

func (r *running) run() {
	ctx, cancel := context.WithCancel(ctx)
	r.cancel = cancel
	go func() { r.ended <- r.Run(ctx) }()
}

func (r *running) stop() error {
	r.cancel()
	return <-r.ended
}

// answer runs a clerk until a shard's ledger answers all of intake.
func (w *world) answer(cfg clerk.Config) {
	w.Helper()
	c := start(cfg)
	if cfg.Shard == domain.Control {
		if err := cfg.Ledger.Wait(ctx, domain.Control, 0); err != nil { // for the genesis
			w.Fatalf("genesis: %v", err)
		}
	}
	w.await(cfg.Ledger, cfg.Shard, w.said(cfg.Shard), c.ended)
	if err := c.stop(); err != nil {
		w.Errorf("a clerk that was told to stop: %v", err)
	}
}

// said is how many records a shard's intake has.
func (w *world) said(of domain.Shard) int {
	w.Helper()
	end, err := w.intake.End(ctx, of)
	if err != nil {
		w.Fatalf("end of intake: %v", err)
	}
	return int(end)
}

// await waits until a shard's ledger answers so many records. It fails when the clerk ends instead.
func (w *world) await(log eventstore.Reader, of domain.Shard, want int, ended <-chan error) {
	w.Helper()
	waiting, cancel := context.WithTimeoutCause(ctx, 30*time.Second, errors.New("waited long enough"))
	defer cancel()
	waiting, died := context.WithCancelCause(waiting)
	watching := make(chan struct{})
	go func() {
		defer close(watching)
		select {
		case err := <-ended:
			died(fmt.Errorf("clerk ended: %w", err))
		case <-waiting.Done():
		}
	}()
	for len(w.answers(log, of)) < want {
		end, err := log.End(ctx, of)
		if err == nil && len(w.answers(log, of)) < want {
			err = log.Wait(waiting, of, end)
		}
		if err != nil {
			w.Fatalf("shard %d answers %d of %d: %v", of, len(w.answers(log, of)), want, context.Cause(waiting))
		}
	}
	died(nil)
	<-watching
}

// answers is what a shard's ledger says of intake, one text for each record, with the rest of the entry
// but for where it stands. It wants one answer for each, in order.
func (w *world) answers(log eventstore.Reader, of domain.Shard) []string {
	w.Helper()
	var all []string
	for _, entry := range w.entries(log, of) {
		answer := entry.GetAnswer()
		if answer == nil {
			continue
		}
		if answer.IntakeOffset != int64(len(all)) {
			w.Fatalf("intake %d is answered where %d belongs", answer.IntakeOffset, len(all))
		}
		raw, err := v1.Encode(answer)
		if err != nil {
			w.Fatalf("answer: %v", err)
		}
		all = append(all, fmt.Sprintf("at %d: %x", entry.AtMs, raw))
	}
	return all
}

// entries are those that are not void.
func (w *world) entries(log eventstore.Reader, of domain.Shard) []*v1.Entry {
	w.Helper()
	end, err := log.End(ctx, of)
	if err != nil {
		w.Fatalf("end of the ledger: %v", err)
	}
	var all []*v1.Entry
	if err := eventstore.Each(ctx, log, of, 0, end, func(rec eventstore.Record) error {
		entry, err := eventstore.DecodeEntry(of, rec)
		if err == nil && !ledger.Void(rec.Offset, entry) {
			all = append(all, entry)
		}
		return err
	}); err != nil {
		w.Fatalf("read the ledger: %v", err)
	}
	return all
}

// undisturbed is what the ledger comes to if nothing goes wrong.
func (w *world) undisturbed() []string {
	w.Helper()
	log := w.newLog()
	w.answer(w.config(domain.Control, log))
	w.answer(w.config(shard, log))
	return w.answers(log, shard)
}

func (w *world) want(have, want []string) {
	w.Helper()
	if len(have) != len(want) {
		w.Fatalf("%d answers, want %d", len(have), len(want))
	}
	for i := range want {
		if have[i] != want[i] {
			w.Fatalf("answer to intake %d is\n%s, want\n%s", i, have[i], want[i])
		}
	}
}

// sips is an intake that gives a few records at a time, so that a short history takes many appends.
type sips struct {
	eventstore.Reader
	records int
}

func (s sips) Read(ctx context.Context, of domain.Shard, from domain.Offset, limit int) ([]eventstore.Record, error) {
	return s.Reader.Read(ctx, of, from, min(limit, s.records))
}
