// Package gateway knows how a signed report gets into intake: it is read strictly, its signature is
// checked, it is told from its copies for ever, and it is acknowledged when it is durable.
//
// Each shard of intake has one lane, a goroutine that owns what was heard since the projection last
// looked, and appends many reports with one sync. Nothing else is shared. Two gateways on one log do no
// harm: a copy that both let in at once is answered as a duplicate by the ledger.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/ledger"
	"github.com/filature/filature/domain/signing"
	"github.com/filature/filature/eventstore"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

const (
	// MaxReports bounds one Submit.
	MaxReports = 1000
	// MaxBytes bounds the bytes of its reports.
	MaxBytes = 4 << 20
	// queueSubmits bounds what waits for a lane. A full queue is some tens of milliseconds of work;
	// whoever comes then is told to come again, which keeps memory bounded and waiting short.
	queueSubmits = 256
	// laneRecords and laneBytes bound one append.
	laneRecords = 4096
	laneBytes   = 4 << 20
)

var (
	// ErrBusy: a lane's queue is full, or what it needs to know does not answer, and it wrote nothing.
	// Send the same reports again a little later (HTTP 503 with Retry-After): those for other shards may
	// have been written, and are duplicates then.
	ErrBusy = errors.New("gateway is busy")
	// ErrTooLarge: more than MaxReports or MaxBytes. Nothing was written; send less at once.
	ErrTooLarge = errors.New("too many reports at once")
	// ErrUnsure: the log failed while it wrote. The reports may be kept or lost; send the same bytes
	// again, a copy does no harm.
	ErrUnsure = errors.New("reports may not be durable")
	// ErrClosed: the gateway is shutting down and wrote nothing, with the same exception as for ErrBusy.
	ErrClosed = errors.New("gateway is closed")
)

// Reports is what was ever reported, as a projection knows it. It may lag behind the log.
type Reports interface {
	// AnsweredTo is the intake offset up to which (exclusive) the shard's reports are known.
	AnsweredTo(ctx context.Context, shard domain.Shard) (domain.Offset, error)
	// LastSequence is the highest number that a signer used in a shard; 0 if none.
	LastSequence(ctx context.Context, shard domain.Shard, signer domain.KeyID) (uint64, error)
	// Heard tells whether the signer used a number before, for which record and where.
	Heard(ctx context.Context, shard domain.Shard, signer domain.KeyID, sequence uint64) (digest domain.Digest, at domain.Offset, ok bool, err error)
}

// Config says what a gateway works on.
type Config struct {
	Intake   eventstore.Log
	Ledger   eventstore.Reader // of which it follows control, for the keys
	Reports  Reports
	Verifier *signing.Verifier
	Entropy  io.Reader // for checking signatures in batches: see signing.Batch
}

// Gateway takes reports in. Run owns its lanes; Submit may be called from many goroutines while Run
// runs.
type Gateway struct {
	cfg    Config
	lanes  []*lane
	closed chan struct{}

	mu   sync.Mutex // guards view
	view *ledger.View
}

// New returns a gateway that takes nothing in until Run runs.
func New(cfg Config) *Gateway {
	g := &Gateway{cfg: cfg, view: ledger.NewView(), closed: make(chan struct{})}
	for shard := range cfg.Intake.Shards() {
		g.lanes = append(g.lanes, newLane(domain.Shard(shard), cfg))
	}
	return g
}

// Run works until the context ends, and then returns nil, or until the log fails. What is queued by
// then is answered with ErrClosed.
func (g *Gateway) Run(ctx context.Context) error {
	defer close(g.closed)
	group, ctx := errgroup.WithContext(ctx)
	for _, l := range g.lanes {
		group.Go(func() error { return l.run(ctx) })
	}
	return group.Wait()
}

// Submit judges signed reports, each an encoded SignedReport, and writes those that are good. It
// returns a receipt for each, in order, when all that are accepted are durable. On an error it
// returns none: see ErrBusy, ErrTooLarge, ErrUnsure and ErrClosed for what happened to them.
//
// Reports of one signer and shard keep their order within a call. The records are not changed, and
// not kept after the call.
func (g *Gateway) Submit(ctx context.Context, records [][]byte) ([]*v1.Receipt, error) {
	size := 0
	for _, r := range records {
		size += len(r)
	}
	if len(records) > MaxReports || size > MaxBytes {
		return nil, fmt.Errorf("%d reports of %d bytes, at most %d of %d bytes: %w", len(records), size, MaxReports, MaxBytes, ErrTooLarge)
	}
	receipts := make([]*v1.Receipt, len(records))
	good, err := g.judge(ctx, records, receipts)
	if err != nil {
		return nil, err
	}
	var waiting []*submission
	for shard, reports := range good {
		s := &submission{reports: reports, receipts: receipts, done: make(chan error, 1)}
		select {
		case <-g.closed:
			err = ErrClosed
		default:
			select {
			case g.lanes[shard].queue <- s:
				waiting = append(waiting, s)
			default:
				err = ErrBusy
			}
		}
	}
	// What is queued is waited for even after an error, so that no lane writes to receipts later on.
	for _, s := range waiting {
		select {
		case e := <-s.done:
			err = errors.Join(err, e)
		case <-g.closed:
			select {
			case e := <-s.done:
				err = errors.Join(err, e)
			default:
				err = errors.Join(err, ErrClosed)
			}
		}
	}
	if err != nil {
		return nil, fmt.Errorf("submit %d reports: %w", len(records), err)
	}
	return receipts, nil
}

// heard is a report that may be written, and the place of its receipt.
type heard struct {
	index    int
	record   []byte
	signer   domain.KeyID
	sequence uint64
	digest   domain.Digest
}

// judge refuses what can be refused at the door and sorts the rest by shard.
func (g *Gateway) judge(ctx context.Context, records [][]byte, receipts []*v1.Receipt) (map[domain.Shard][]heard, error) {
	batch := g.cfg.Verifier.NewBatch(len(records))
	said := make([]ledger.Said, len(records))
	var signed []int
	for i, record := range records {
		var report *v1.SignedReport
		said[i], report = ledger.Read(0, 0, record)
		reason, field, err := g.atTheDoor(ctx, &said[i])
		if err != nil {
			return nil, err
		}
		if reason != v1.Reason_REASON_UNSPECIFIED {
			receipts[i] = refused(said[i].Report, reason, field)
			continue
		}
		batch.Add(domain.KeyID(said[i].Report.Signer), report.Report, report.Signature)
		signed = append(signed, i)
	}
	verdicts, err := batch.Verify(g.cfg.Entropy)
	if err != nil {
		return nil, fmt.Errorf("check signatures: %w", err)
	}
	good := map[domain.Shard][]heard{}
	for n, i := range signed {
		report := said[i].Report
		if !verdicts[n] {
			receipts[i] = refused(report, v1.Reason_REASON_BAD_SIGNATURE, "signature")
			continue
		}
		shard := domain.Shard(report.Shard)
		good[shard] = append(good[shard], heard{
			index: i, record: records[i], signer: domain.KeyID(report.Signer), sequence: report.Sequence, digest: said[i].Digest,
		})
	}
	return good, nil
}

// atTheDoor checks what the ledger would refuse for the whole report. Refusing it here keeps garbage
// out of a log that is kept for ever.
func (g *Gateway) atTheDoor(ctx context.Context, said *ledger.Said) (v1.Reason, string, error) {
	if said.Report == nil {
		return v1.Reason_REASON_MALFORMED, said.Malformed.Error(), nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	key := domain.KeyID(said.Report.Signer)
	if !g.view.Knows(key) {
		if err := g.follow(ctx); err != nil {
			return 0, "", err
		}
	}
	switch {
	case domain.NetworkID(said.Report.Network) != g.view.Network():
		return v1.Reason_REASON_WRONG_NETWORK, "network", nil
	case int(said.Report.Shard) >= len(g.lanes):
		return v1.Reason_REASON_WRONG_SHARD, "shard", nil
	case !g.view.Knows(key):
		return v1.Reason_REASON_UNKNOWN_SIGNER, "signer", nil
	case said.Report.Sequence == 0:
		return v1.Reason_REASON_SEQUENCE_REPLAYED, "sequence", nil
	}
	return v1.Reason_REASON_UNSPECIFIED, "", nil
}

// follow brings the view up to control's present end. A key that was retired since the last time
// still passes here; the ledger refuses it.
func (g *Gateway) follow(ctx context.Context) error {
	end, err := g.cfg.Ledger.End(ctx, domain.Control)
	if err != nil {
		return fmt.Errorf("follow control: %w", err)
	}
	return eventstore.Each(ctx, g.cfg.Ledger, domain.Control, g.view.KnowsTo(), end, func(rec eventstore.Record) error {
		entry, err := eventstore.DecodeEntry(domain.Control, rec)
		if err != nil {
			return err
		}
		return g.view.Learn(rec.Offset, entry)
	})
}

// Network is the id of the network and the number of its data shards, once control has begun.
func (g *Gateway) Network(ctx context.Context) (domain.NetworkID, int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	err := g.follow(ctx)
	return g.view.Network(), g.view.DataShards(), err
}

func refused(report *v1.Report, reason v1.Reason, field string) *v1.Receipt {
	return &v1.Receipt{Status: v1.ReceiptStatus_RECEIPT_STATUS_REFUSED, Shard: report.GetShard(), Reason: reason, Field: field}
}
