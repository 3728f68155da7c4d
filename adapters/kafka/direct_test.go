package kafka_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/filature/filature/adapters/kafka"
	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/ledger"
	"github.com/filature/filature/domain/signing"
	"github.com/filature/filature/eventstore"
	"github.com/filature/filature/eventstore/eventstoretest"
	"github.com/filature/filature/internal/services"
	v1 "github.com/filature/filature/schemas/filature/v1"
	"github.com/filature/filature/sdk"
	"github.com/filature/filature/workers/clerk"
)

var _ sdk.Gateway = (*kafka.Direct)(nil)

// directShards are the data shards of the networks below.
const directShards = 3

func keyOf(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte("filature/test/" + name))
	return ed25519.NewKeyFromSeed(seed[:])
}

// genesis begins a network whose operator is "operator".
func genesis(prefix string) *v1.Genesis {
	operator := signing.KeyOf(keyOf("operator"))
	return &v1.Genesis{Name: prefix, Shards: directShards, Operator: operator[:], CreatedAtMs: 1}
}

// newNetwork makes the topics of a network under a prefix that nobody else has.
func newNetwork(t testing.TB, cluster kafka.Cluster) (prefix string) {
	t.Helper()
	prefix = newTopic().Name
	for _, topic := range []kafka.Topic{kafka.IntakeTopic(prefix, directShards), kafka.LedgerTopic(prefix, directShards)} {
		if err := kafka.Create(t.Context(), cluster, topic, 1); err != nil {
			t.Fatal(err)
		}
	}
	return prefix
}

// writeGenesis does what the first clerk of control does.
func writeGenesis(ctx context.Context, cluster kafka.Cluster, prefix string) error {
	entry, err := v1.Encode(&v1.Entry{Body: &v1.Entry_Genesis{Genesis: genesis(prefix)}})
	if err != nil {
		return err
	}
	log, err := kafka.Open(ctx, cluster, kafka.LedgerTopic(prefix, directShards))
	if err != nil {
		return err
	}
	_, err = log.Append(ctx, domain.Control, [][]byte{entry})
	return errors.Join(err, log.Close())
}

func begin(t testing.TB, cluster kafka.Cluster, prefix string) domain.NetworkID {
	t.Helper()
	must(t, writeGenesis(t.Context(), cluster, prefix))
	id, err := ledger.NetworkIDOf(genesis(prefix))
	must(t, err)
	return id
}

func newDirect(t testing.TB, cluster kafka.Cluster, prefix string) *kafka.Direct {
	t.Helper()
	direct, err := kafka.NewDirect(cluster, prefix)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = direct.Close() }) // it may be closed already
	return direct
}

func emitter(t testing.TB, gateway sdk.Gateway, receipts func(sdk.Receipt)) *sdk.Emitter {
	t.Helper()
	e, err := sdk.Open(t.Context(), sdk.Config{Key: keyOf("operator"), Gateway: gateway, SpoolDir: t.TempDir(), Receipts: receipts})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

func model(name string) *v1.Claim {
	id := sha256.Sum256([]byte(name))
	return &v1.Claim{Body: &v1.Claim_ListModel{ListModel: &v1.ListModel{Model: id[:], Name: name}}}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// namesIn are the models that the reports of an intake shard list, in order.
func namesIn(t *testing.T, intake eventstore.Reader, shard domain.Shard) []string {
	t.Helper()
	var names []string
	for _, rec := range eventstoretest.ReadAll(t, intake, shard, eventstore.MaxBatch) {
		said, _ := ledger.Read(rec.Offset, 0, rec.Value)
		for _, c := range said.Report.GetClaims() {
			names = append(names, c.GetListModel().GetName())
		}
	}
	return names
}

func TestWhatIsEmittedStraightToKafkaStandsInIntakeInOrder(t *testing.T) {
	t.Parallel()
	cluster := kafka.Cluster{Brokers: services.Kafka(t)}
	prefix := newNetwork(t, cluster)
	want := begin(t, cluster, prefix)
	var receipts []sdk.Receipt
	e := emitter(t, newDirect(t, cluster, prefix), func(r sdk.Receipt) { receipts = append(receipts, r) })
	if network, err := e.Network(t.Context()); err != nil || network != (sdk.Network{ID: want, DataShards: directShards}) {
		t.Fatalf("network %v, %v; want %v with %d data shards", network, err, want, directShards)
	}
	said := map[domain.Shard][]string{}
	for round := range 3 {
		for i := range 1000 {
			shard := domain.Shard(i % (directShards + 1))
			name := fmt.Sprintf("claim %d of round %d", i, round)
			must(t, e.Add(t.Context(), shard, model(name)))
			said[shard] = append(said[shard], name)
		}
		must(t, e.Deliver(t.Context()))
	}
	intake := open(t, cluster, kafka.IntakeTopic(prefix, directShards))
	for shard, names := range said {
		if have := namesIn(t, intake, shard); !slices.Equal(have, names) {
			t.Errorf("shard %d of intake holds %d claims: %q", shard, len(have), have)
		}
	}
	for _, r := range receipts {
		records, err := intake.Read(t.Context(), r.Shard, r.Offset, 1)
		must(t, err)
		if read, _ := ledger.Read(r.Offset, 0, records[0].Value); r.Status != sdk.Accepted || read.Report.Sequence != r.Sequence {
			t.Errorf("receipt %+v; there stands report %d", r, read.Report.Sequence)
		}
	}
}

// forgetful loses the answer to its first Submit, as a crash does.
type forgetful struct {
	*kafka.Direct
	done bool
}

func (f *forgetful) Submit(ctx context.Context, reports [][]byte) ([]*v1.Receipt, error) {
	receipts, err := f.Direct.Submit(ctx, reports)
	if err == nil && !f.done {
		f.done = true
		return nil, io.ErrUnexpectedEOF
	}
	return receipts, err
}

// A copy stands in intake, too, and the ledger takes the first.
func TestTheLedgerTakesOnceWhatWasSentTwice(t *testing.T) {
	t.Parallel()
	cluster := kafka.Cluster{Brokers: services.Kafka(t)}
	prefix := newNetwork(t, cluster)
	intake, books := open(t, cluster, kafka.IntakeTopic(prefix, directShards)), open(t, cluster, kafka.LedgerTopic(prefix, directShards))
	control := clerk.New(clerk.Config{
		Shard: domain.Control, Intake: intake, Ledger: books, Genesis: genesis(prefix), Verifier: signing.NewVerifier(1), Entropy: rand.Reader,
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- control.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})

	e := emitter(t, &forgetful{Direct: newDirect(t, cluster, prefix)}, nil)
	must(t, e.Emit(t.Context(), domain.Control, model("first"), model("second")))
	must(t, e.Deliver(t.Context()))
	must(t, e.Emit(t.Context(), domain.Control, model("third")))
	must(t, e.Deliver(t.Context()))
	if have, want := namesIn(t, intake, domain.Control), []string{"first", "second", "first", "second", "third"}; !slices.Equal(have, want) {
		t.Fatalf("intake holds %q; want %q", have, want)
	}

	const answers = 3 // behind the genesis
	must(t, books.Wait(t.Context(), domain.Control, answers))
	var listed []string
	rejected := v1.Reason_REASON_UNSPECIFIED
	for _, rec := range eventstoretest.ReadAll(t, books, domain.Control, eventstore.MaxBatch) {
		entry, err := eventstore.DecodeEntry(domain.Control, rec)
		must(t, err)
		if r := entry.GetAnswer().GetRefusal(); r != nil {
			rejected = r.Reason
		}
		for _, fact := range entry.GetAnswer().GetFacts() {
			listed = append(listed, fact.GetModelListed().GetName())
		}
	}
	if want := []string{"first", "second", "third"}; !slices.Equal(listed, want) || rejected != v1.Reason_REASON_DUPLICATE_REPORT {
		t.Errorf("the ledger lists %q and rejects a report as %v; want %q and %v", listed, rejected, want, v1.Reason_REASON_DUPLICATE_REPORT)
	}
}

func TestOneMayEmitWhileKafkaIsAwayOrTheNetworkHasNotBegun(t *testing.T) {
	t.Parallel()
	cluster := kafka.Cluster{Brokers: services.Kafka(t)}
	prefix := newNetwork(t, cluster)
	direct := newDirect(t, cluster, prefix)
	if id, _, err := direct.Network(t.Context()); err != nil || id != (domain.NetworkID{}) {
		t.Fatalf("network %v, %v; want none yet", id, err)
	}
	if _, err := direct.Submit(t.Context(), [][]byte{{1}}); err == nil || permanent(err) || !strings.Contains(err.Error(), "not begun") {
		t.Errorf("submit to a network that has not begun: %v; want what passes", err)
	}
	id := begin(t, cluster, prefix)
	away := newDirect(t, kafka.Cluster{Brokers: []string{"127.0.0.1:1"}}, prefix)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, _, err := away.Network(ctx); err == nil || permanent(err) {
		t.Errorf("network of a cluster that is away: %v; want what passes", err)
	}
	if have, shards, err := direct.Network(t.Context()); err != nil || have != id || shards != directShards {
		t.Errorf("network %v with %d shards, %v; want %v with %d", have, shards, err, id, directShards)
	}
}

func permanent(err error) bool {
	var marked interface{ Permanent() bool }
	return errors.As(err, &marked) && marked.Permanent()
}

func TestWhatNeedsAPersonIsMarked(t *testing.T) {
	t.Parallel()
	cluster := kafka.Cluster{Brokers: services.Kafka(t)}
	if _, _, err := newDirect(t, cluster, "nobody.made.these").Network(t.Context()); !errors.Is(err, kafka.ErrTopic) || !permanent(err) {
		t.Errorf("no topics: %v; want %v, permanent", err, kafka.ErrTopic)
	}
	prefix := newNetwork(t, cluster)
	log := open(t, cluster, kafka.LedgerTopic(prefix, directShards))
	_, err := log.Append(t.Context(), domain.Control, [][]byte{[]byte("no entry")})
	must(t, err)
	if _, _, err := newDirect(t, cluster, prefix).Network(t.Context()); !errors.Is(err, eventstore.ErrCorrupt) || !permanent(err) {
		t.Errorf("no genesis: %v; want %v, permanent", err, eventstore.ErrCorrupt)
	}
	direct := newDirect(t, cluster, prefix)
	must(t, direct.Close())
	if _, err := direct.Submit(t.Context(), nil); !errors.Is(err, eventstore.ErrClosed) {
		t.Errorf("submit after close: %v; want %v", err, eventstore.ErrClosed)
	}
	for _, prefix := range []string{"", "a b"} {
		if _, err := kafka.NewDirect(cluster, prefix); err == nil {
			t.Errorf("topics that begin with %q are taken", prefix)
		}
	}
}

// What can never be right is not kept for ever.
func TestWhatNoShardWouldTakeIsRefused(t *testing.T) {
	t.Parallel()
	_, cluster := fake(t, 1)
	prefix := newNetwork(t, cluster)
	id := begin(t, cluster, prefix)
	direct := newDirect(t, cluster, prefix)
	signed := func(network domain.NetworkID, shard domain.Shard, sequence uint64) []byte {
		t.Helper()
		report, err := signing.Report(keyOf("operator"), network, shard, sequence, []*v1.Claim{model("x")})
		must(t, err)
		return report
	}
	receipts, err := direct.Submit(t.Context(), [][]byte{
		signed(id, 1, 1), {1, 2, 3}, signed(domain.NetworkID{9}, 1, 2), signed(id, directShards+1, 3), signed(id, directShards, 5), signed(id, 1, 6),
	})
	must(t, err)
	var have []string
	for _, r := range receipts {
		have = append(have, fmt.Sprintf("%s %s %d/%d", r.Status, r.Reason, r.Shard, r.Offset))
	}
	want := []string{
		"RECEIPT_STATUS_ACCEPTED REASON_UNSPECIFIED 1/0", "RECEIPT_STATUS_REFUSED REASON_MALFORMED 0/0",
		"RECEIPT_STATUS_REFUSED REASON_WRONG_NETWORK 1/0", "RECEIPT_STATUS_REFUSED REASON_WRONG_SHARD 4/0",
		"RECEIPT_STATUS_ACCEPTED REASON_UNSPECIFIED 3/0", "RECEIPT_STATUS_ACCEPTED REASON_UNSPECIFIED 1/1",
	}
	if !slices.Equal(have, want) {
		t.Errorf("receipts\n%q\nwant\n%q", have, want)
	}
}
