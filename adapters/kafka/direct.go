package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/segmentio/kafka-go"
	"golang.org/x/sync/errgroup"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/ledger"
	"github.com/filature/filature/eventstore"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

const (
	// directLanes is how many shards one Submit appends to at a time: a report's acknowledgement takes
	// milliseconds, and each holds a connection.
	directLanes = 16
	// genesisAt is where the ledger of control begins, and so the network.
	genesisAt = 0
)

// IntakeTopic is the log of what was said, in a cluster whose topics begin with a prefix: "filature".
func IntakeTopic(prefix string, dataShards int) Topic {
	return logTopic(prefix, "intake", "filature.v1.SignedReport", dataShards)
}

// LedgerTopic is the log of what was decided.
func LedgerTopic(prefix string, dataShards int) Topic {
	return logTopic(prefix, "ledger", "filature.v1.Entry", dataShards)
}

func logTopic(prefix, log, event string, dataShards int) Topic {
	return Topic{Name: prefix + "." + log, DataShards: dataShards, Event: Event{Type: event, Source: "/" + prefix + "/" + log}}
}

// Direct takes signed reports straight into intake, without a gateway between: it is what the SDK's emitter
// wants of one. It is for who may write to the cluster: WRITE, DESCRIBE and DESCRIBE_CONFIGS on intake's two
// topics, READ on the ledger's control topic, and IDEMPOTENT_WRITE on the cluster.
//
// Nobody looks at the door. What can't be read, or is for another network or shard, is refused here; an
// unknown signer, a bad signature and a copy are not noticed before the ledger does, and then they stand in
// intake for ever. A report whose acknowledgement was lost in a crash is sent again and stands there twice:
// the ledger answers the first, and rejects the copy as duplicate_report, or sequence_replayed if it comes
// late. So a receipt says accepted or refused and never duplicate. `filature why report` tells what the ledger says.
//
// It connects when it is used, so a program can start while the cluster is away. Safe for many goroutines.
type Direct struct {
	cluster Cluster
	prefix  string
	client  *Client

	mu      sync.Mutex // guards all below
	network domain.NetworkID
	shards  int  // data shards; 0 until the network was read
	intake  *Log // nil until it was opened
	closed  bool
}

// NewDirect returns the way to a cluster's intake, and does not connect. prefix is what its topics begin with:
// "filature" stands for filature.intake and filature.ledger. Close it.
func NewDirect(cluster Cluster, prefix string) (*Direct, error) {
	if !nameRule.MatchString(prefix) {
		return nil, fmt.Errorf("kafka topics: prefix is %q; want 1 to 200 letters, digits, dots and hyphens", prefix)
	}
	if err := IntakeTopic(prefix, 1).check(); err != nil {
		return nil, err
	}
	client, err := Attach(cluster)
	if err != nil {
		return nil, err
	}
	return &Direct{cluster: cluster, prefix: prefix, client: client}, nil
}

// Close ends what is on its way, as Log.Close does.
func (d *Direct) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return eventstore.ErrClosed
	}
	d.closed = true
	d.client.Close()
	if d.intake == nil {
		return nil
	}
	return d.intake.Close()
}

// Network reads the network's id and its number of data shards from its genesis; a zero id says that there
// is none yet.
func (d *Direct) Network(ctx context.Context) (domain.NetworkID, int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.readNetwork(ctx); err != nil {
		return domain.NetworkID{}, 0, markPermanent(fmt.Errorf("which network is on Kafka: %w", err))
	}
	return d.network, d.shards, nil
}

// readNetwork reads the genesis. It needs mu. It takes no longer than a request, since who waits is asked
// to be patient elsewhere.
func (d *Direct) readNetwork(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	control := LedgerTopic(d.prefix, 1).control()
	if _, err := d.client.Partitions(ctx, control); err != nil { // which says what to do if it is not there
		return err
	}
	page, err := d.client.Fetch(ctx, control, 0, genesisAt, 0)
	if err != nil {
		return err
	}
	if len(page.Messages) == 0 {
		return nil // it has not begun
	}
	entry, err := eventstore.DecodeEntry(domain.Control, eventstore.Record{Offset: genesisAt, Value: page.Messages[0].Value})
	if err != nil {
		return err
	}
	genesis := entry.GetGenesis()
	if genesis == nil {
		return fmt.Errorf("%s begins with what is no genesis: %w", control, eventstore.ErrCorrupt)
	}
	id, err := ledger.NetworkIDOf(genesis)
	if err != nil {
		return fmt.Errorf("genesis in %s: %w", control, err)
	}
	d.network, d.shards = id, int(genesis.Shards)
	return nil
}

// Submit appends reports to intake and returns where each stands, once all that are accepted do. After an
// error any of them may stand there.
func (d *Direct) Submit(ctx context.Context, reports [][]byte) ([]*v1.Receipt, error) {
	intake, network, err := d.open(ctx)
	if err != nil {
		return nil, markPermanent(fmt.Errorf("open intake: %w", err))
	}
	receipts := make([]*v1.Receipt, len(reports))
	good := map[domain.Shard][]int{}
	for i, report := range reports {
		said, _ := ledger.Read(0, 0, report)
		if receipts[i] = refuse(&said, network, intake.Shards()); receipts[i] == nil {
			shard := domain.Shard(said.Report.Shard)
			good[shard] = append(good[shard], i)
		}
	}
	var group errgroup.Group // without a context: what fails in one shard is no reason to leave copies in another
	group.SetLimit(directLanes)
	for shard, indexes := range good {
		group.Go(func() error {
			values := make([][]byte, len(indexes))
			for n, i := range indexes {
				values[n] = reports[i]
			}
			first, err := intake.Append(ctx, shard, values)
			if err != nil {
				return err
			}
			for n, i := range indexes {
				receipts[i] = &v1.Receipt{
					Status: v1.ReceiptStatus_RECEIPT_STATUS_ACCEPTED, Shard: uint32(shard), Offset: int64(first) + int64(n),
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, markPermanent(err)
	}
	return receipts, nil
}

// open returns the intake and the network that it is of.
func (d *Direct) open(ctx context.Context) (*Log, domain.NetworkID, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.intake != nil {
		return d.intake, d.network, nil
	}
	if err := d.readNetwork(ctx); err != nil {
		return nil, domain.NetworkID{}, err
	}
	if d.shards == 0 {
		return nil, domain.NetworkID{}, errors.New("the network has not begun")
	}
	intake, err := Open(ctx, d.cluster, IntakeTopic(d.prefix, d.shards))
	if err != nil {
		return nil, domain.NetworkID{}, err
	}
	d.intake = intake
	return intake, d.network, nil
}

// refuse says what the ledger would not take, as far as one can know that without following it, or nil.
func refuse(said *ledger.Said, network domain.NetworkID, shards int) *v1.Receipt {
	var (
		report = said.Report
		reason v1.Reason
		field  string
	)
	switch {
	case report == nil:
		reason, field = v1.Reason_REASON_MALFORMED, said.Malformed.Error()
	case domain.NetworkID(report.Network) != network:
		reason, field = v1.Reason_REASON_WRONG_NETWORK, "network"
	case int(report.Shard) >= shards:
		reason, field = v1.Reason_REASON_WRONG_SHARD, "shard"
	case report.Sequence == 0:
		reason, field = v1.Reason_REASON_SEQUENCE_REPLAYED, "sequence"
	default:
		return nil
	}
	return &v1.Receipt{Status: v1.ReceiptStatus_RECEIPT_STATUS_REFUSED, Shard: report.GetShard(), Reason: reason, Field: field}
}

// permanentError needs a person: the SDK then does not keep a command waiting.
type permanentError struct{ error }

// Permanent implements what the SDK asks of a gateway's errors.
func (permanentError) Permanent() bool { return true }

// Unwrap lets errors.Is look inside.
func (e permanentError) Unwrap() error { return e.error }

// markPermanent marks the errors of which somebody has to change a setting, or the logs.
func markPermanent(err error) error {
	for _, cause := range []error{
		ErrTopic, ErrLogin, eventstore.ErrCorrupt, eventstore.ErrGap, eventstore.ErrTooLarge, eventstore.ErrClosed,
		kafka.TopicAuthorizationFailed, kafka.ClusterAuthorizationFailed,
	} {
		if errors.Is(err, cause) {
			return permanentError{err}
		}
	}
	return err
}
