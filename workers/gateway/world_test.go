package gateway

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/ledger"
	"github.com/filature/filature/domain/signing"
	"github.com/filature/filature/eventstore"
	"github.com/filature/filature/eventstore/eventstoretest"
	"github.com/filature/filature/eventstore/memlog"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// failer is what *testing.T and *rapid.T have in common, as far as the world needs it.
type failer interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

const testDataShards = 2

// world is a network with a running gateway, logs that fail on demand, and a projection that is moved on
// by hand. It may be restarted; what was durable stays.
type world struct {
	failer
	intake  *eventstoretest.FaultyLog
	ledger  *memlog.Log
	reports *projection
	network domain.NetworkID
	gateway *Gateway
	halt    func() error
}

// keyOf is the private key of somebody.
func keyOf(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte("filature/test/" + name))
	return ed25519.NewKeyFromSeed(seed[:])
}

// newWorld begins a network that knows the keys of an admin, ann and bob.
func newWorld(t failer) *world {
	t.Helper()
	intake := memlog.New(testDataShards+1, time.Now)
	w := &world{failer: t, intake: eventstoretest.Faulty(intake), ledger: memlog.New(testDataShards+1, time.Now)}
	w.reports = &projection{intake: intake, to: make([]domain.Offset, testDataShards+1)}
	admin := signing.KeyOf(keyOf("admin"))
	control := ledger.New(domain.Control)
	entry, err := control.Begin(&v1.Genesis{Name: "test", Shards: testDataShards, Operator: admin[:], CreatedAtMs: 1})
	w.decided(entry, err)
	w.network = control.Network()
	for i, name := range []string{"ann", "bob"} {
		w.register(control, domain.Offset(i), name)
	}
	w.start()
	return w
}

// register lets control decide that somebody is an operator.
func (w *world) register(control *ledger.State, at domain.Offset, name string) {
	w.Helper()
	key := signing.KeyOf(keyOf(name))
	record := w.signed("admin", domain.Control, uint64(at)+1, &v1.Claim{Body: &v1.Claim_SetOperator{
		SetOperator: &v1.SetOperator{Key: key[:], Roles: []v1.Role{v1.Role_ROLE_PROXY}},
	}})
	said, _ := ledger.Read(at, 2, record)
	said.Signed = true
	entry, err := control.Step(said)
	if entry != nil && entry.GetAnswer().Refusal != nil {
		w.Fatalf("register %s: %v", name, entry)
	}
	w.decided(entry, err)
}

func (w *world) decided(entry *v1.Entry, err error) {
	w.Helper()
	if err != nil {
		w.Fatalf("control: %v", err)
	}
	raw, err := v1.Encode(entry)
	if err != nil {
		w.Fatalf("control: %v", err)
	}
	if _, err := w.ledger.Append(context.Background(), domain.Control, [][]byte{raw}); err != nil {
		w.Fatalf("control: %v", err)
	}
}

// start runs a gateway that remembers nothing.
func (w *world) start() {
	w.gateway = New(Config{
		Intake: w.intake, Ledger: w.ledger, Reports: w.reports, Verifier: signing.NewVerifier(16), Entropy: rand.Reader,
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func(g *Gateway) { ended <- g.Run(ctx) }(w.gateway)
	w.halt = func() error {
		cancel()
		return <-ended
	}
}

func (w *world) stop() {
	w.Helper()
	if err := w.halt(); err != nil {
		w.Errorf("a gateway that was told to stop: %v", err)
	}
}

func (w *world) restart() {
	w.Helper()
	w.stop()
	w.start()
}

// signed is a report as it goes over the wire; without claims it ticks.
func (w *world) signed(name string, shard domain.Shard, sequence uint64, claims ...*v1.Claim) []byte {
	w.Helper()
	if len(claims) == 0 {
		claims = []*v1.Claim{{Body: &v1.Claim_Tick{Tick: &v1.Tick{}}}}
	}
	record, err := signing.Report(keyOf(name), w.network, shard, sequence, claims)
	if err != nil {
		w.Fatalf("sign: %v", err)
	}
	return record
}

// other is another report under the same number.
func (w *world) other(name string, shard domain.Shard, sequence uint64) []byte {
	w.Helper()
	tick := &v1.Claim{Body: &v1.Claim_Tick{Tick: &v1.Tick{}}}
	return w.signed(name, shard, sequence, tick, tick)
}

// submit wants receipts for all.
func (w *world) submit(records ...[]byte) []*v1.Receipt {
	w.Helper()
	receipts, err := w.gateway.Submit(context.Background(), records)
	if err != nil {
		w.Fatalf("submit: %v", err)
	}
	if len(receipts) != len(records) {
		w.Fatalf("%d receipts for %d reports", len(receipts), len(records))
	}
	return receipts
}

// expect submits one report and wants one receipt, written as receiptText writes it.
func (w *world) expect(record []byte, want string) {
	w.Helper()
	if have := receiptText(w.submit(record)[0]); have != want {
		w.Errorf("receipt is %q, want %q", have, want)
	}
}

// receiptText is "accepted 1/0", "duplicate 1/0", "conflict 1/3 with 1/0" or "refused 1 REASON field".
func receiptText(r *v1.Receipt) string {
	switch r.Status {
	case v1.ReceiptStatus_RECEIPT_STATUS_ACCEPTED:
		return fmt.Sprintf("accepted %d/%d", r.Shard, r.Offset)
	case v1.ReceiptStatus_RECEIPT_STATUS_DUPLICATE:
		return fmt.Sprintf("duplicate %d/%d", r.Shard, r.Offset)
	case v1.ReceiptStatus_RECEIPT_STATUS_CONFLICT:
		return fmt.Sprintf("conflict %d/%d with %d/%d", r.Shard, r.Offset, r.Shard, r.FirstOffset)
	case v1.ReceiptStatus_RECEIPT_STATUS_REFUSED:
		return fmt.Sprintf("refused %d %s %s", r.Shard, r.Reason, r.Field)
	default:
		return fmt.Sprint("no status: ", r)
	}
}

// records is what a shard's intake holds.
func (w *world) records(shard domain.Shard) [][]byte {
	w.Helper()
	var all [][]byte
	err := eventstore.Each(context.Background(), w.intake, shard, 0, w.end(shard), func(rec eventstore.Record) error {
		all = append(all, rec.Value)
		return nil
	})
	if err != nil {
		w.Fatalf("read intake: %v", err)
	}
	return all
}

func (w *world) end(shard domain.Shard) domain.Offset {
	w.Helper()
	end, err := w.intake.End(context.Background(), shard)
	if err != nil {
		w.Fatalf("end of intake: %v", err)
	}
	return end
}

// projection knows the reports of intake as far as it was moved, which is over signed ones only.
type projection struct {
	intake eventstore.Reader

	mu     sync.Mutex
	to     []domain.Offset
	broken bool
	asked  int // calls of Heard
}

var errProjectionDown = errors.New("the database is away")

func (p *projection) move(shard domain.Shard, to domain.Offset) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.to[shard] = to
}

func (p *projection) breakDown(broken bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.broken = broken
}

func (p *projection) AnsweredTo(_ context.Context, shard domain.Shard) (domain.Offset, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.broken {
		return 0, errProjectionDown
	}
	return p.to[shard], nil
}

// each visits the reports that it knows, as the ledger took them: growing numbers only.
func (p *projection) each(
	ctx context.Context, shard domain.Shard, signer domain.KeyID, visit func(sequence uint64, digest domain.Digest, at domain.Offset),
) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.broken {
		return errProjectionDown
	}
	var last uint64
	return eventstore.Each(ctx, p.intake, shard, 0, p.to[shard], func(rec eventstore.Record) error {
		said, _ := ledger.Read(rec.Offset, 0, rec.Value)
		if said.Report != nil && domain.KeyID(said.Report.Signer) == signer && said.Report.Sequence > last {
			last = said.Report.Sequence
			visit(last, said.Digest, rec.Offset)
		}
		return nil
	})
}

func (p *projection) LastSequence(ctx context.Context, shard domain.Shard, signer domain.KeyID) (last uint64, err error) {
	err = p.each(ctx, shard, signer, func(sequence uint64, _ domain.Digest, _ domain.Offset) { last = sequence })
	return last, err
}

func (p *projection) Heard(
	ctx context.Context, shard domain.Shard, signer domain.KeyID, want uint64,
) (digest domain.Digest, at domain.Offset, ok bool, err error) {
	err = p.each(ctx, shard, signer, func(sequence uint64, d domain.Digest, o domain.Offset) {
		if sequence == want {
			digest, at, ok = d, o, true
		}
	})
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked++
	return digest, at, ok, err
}

// controlOf makes control's state again from its ledger, to go on deciding.
func controlOf(w *world) *ledger.State {
	w.Helper()
	control := ledger.New(domain.Control)
	end, err := w.ledger.End(context.Background(), domain.Control)
	if err != nil {
		w.Fatalf("end of control: %v", err)
	}
	err = eventstore.Each(context.Background(), w.ledger, domain.Control, 0, end, func(rec eventstore.Record) error {
		entry, err := eventstore.DecodeEntry(domain.Control, rec)
		if err != nil {
			return err
		}
		return control.Evolve(rec.Offset, entry)
	})
	if err != nil {
		w.Fatalf("read control: %v", err)
	}
	return control
}
