package gateway

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/semaphore"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// lane is one shard of intake. Its goroutine owns the memory; only queue and room are shared.
type lane struct {
	shard  domain.Shard
	cfg    Config
	queue  chan *submission
	room   *semaphore.Weighted // bytes of reports, queued or being written
	memory *memory             // nil: intake must be heard again before anything is taken
}

// submission is the part of a Submit that is for one lane. The lane fills its receipts, each at its
// own index, and then says so once on done.
type submission struct {
	reports  []heard
	receipts []*v1.Receipt
	size     int64 // of the reports, in bytes
	done     chan error
}

func newLane(shard domain.Shard, cfg Config) *lane {
	return &lane{shard: shard, cfg: cfg, queue: make(chan *submission, queueSubmits), room: semaphore.NewWeighted(queueBytes)}
}

// offer queues a submission, unless the queue is full. Its room is given back when it is answered; a
// lane that has ended takes nothing more, so what is left in its queue needs none.
func (l *lane) offer(s *submission) bool {
	if !l.room.TryAcquire(s.size) {
		return false
	}
	select {
	case l.queue <- s:
		return true
	default:
		l.room.Release(s.size)
		return false
	}
}

func (l *lane) run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case s := <-l.queue:
			if err := l.serve(ctx, l.gather(s)); err != nil {
				return fmt.Errorf("gateway, shard %d: %w", l.shard, err)
			}
		}
	}
}

// gather takes what else waits, as far as one append goes.
func (l *lane) gather(first *submission) []*submission {
	all, records, size := []*submission{first}, len(first.reports), first.size
	for records < laneRecords && size < laneBytes {
		select {
		case s := <-l.queue:
			all, records, size = append(all, s), records+len(s.reports), size+s.size
		default:
			return all
		}
	}
	return all
}

func sizeOf(reports []heard) int64 {
	size := int64(0)
	for _, r := range reports {
		size += int64(len(r.record))
	}
	return size
}

// serve answers submissions. After an error its reports may be kept or lost, so what is remembered is
// thrown away and heard again from the log; copies are then told apart as well as ever. It returns an
// error only where the log can't be used any more.
func (l *lane) serve(ctx context.Context, all []*submission) error {
	err := l.write(ctx, all)
	for _, s := range all {
		l.room.Release(s.size)
		s.done <- err
	}
	if err == nil {
		return nil
	}
	l.memory = nil
	for _, final := range []error{eventstore.ErrFailed, eventstore.ErrClosed, eventstore.ErrCorrupt, eventstore.ErrGap, eventstore.ErrNoShard} {
		if errors.Is(err, final) {
			return err
		}
	}
	return nil
}

// outcome is one report on its way to its receipt.
type outcome struct {
	receipt *v1.Receipt
	write   bool   // its bytes are new
	own     *known // the place of its bytes, nil if they are refused
	first   *known // the earlier report with its number, if there is one
}

// write appends what is new and fills the receipts of all.
func (l *lane) write(ctx context.Context, all []*submission) error {
	outcomes, values, err := l.placeAll(ctx, all)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBusy, err)
	}
	if len(values) > 0 {
		base, err := l.cfg.Intake.Append(ctx, l.shard, values)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrUnsure, err)
		}
		for _, o := range outcomes {
			if o.write {
				o.own.at += base
			}
		}
		l.wrote(ctx, base, len(values))
	}
	for _, o := range outcomes {
		o.finish(l.shard)
	}
	return nil
}

// wrote notes how far intake is known. What another gateway wrote before our append is heard now; if
// that fails, what we wrote is durable all the same, and all is heard again at the next report.
func (l *lane) wrote(ctx context.Context, base domain.Offset, records int) {
	if l.memory.hear(ctx, base) != nil {
		l.memory = nil
		return
	}
	l.memory.next = base + domain.Offset(records)
}

// placeAll says what each report is. Nothing is written yet when it fails.
func (l *lane) placeAll(ctx context.Context, all []*submission) (outcomes []outcome, values [][]byte, err error) {
	if l.memory == nil {
		if l.memory, err = l.remember(ctx); err != nil {
			return nil, nil, err
		}
	}
	if err := l.memory.forget(ctx); err != nil {
		return nil, nil, err
	}
	for _, s := range all {
		for _, r := range s.reports {
			o, err := l.place(ctx, r)
			if err != nil {
				return nil, nil, err
			}
			if o.write {
				o.own.at = domain.Offset(len(values)) // from the append's base, which write adds
				values = append(values, r.record)
			}
			s.receipts[r.index] = o.receipt
			outcomes = append(outcomes, o)
		}
	}
	return outcomes, values, nil
}

// place says what a report is before it is written, and remembers it if it is to be written.
func (l *lane) place(ctx context.Context, r heard) (outcome, error) {
	key := reportKey{r.signer, r.sequence}
	first, err := l.memory.find(ctx, key)
	if err != nil {
		return outcome{}, err
	}
	own := &known{reportKey: key, digest: r.digest}
	switch {
	case first != nil && first.digest == r.digest:
		return outcome{receipt: &v1.Receipt{Status: v1.ReceiptStatus_RECEIPT_STATUS_DUPLICATE}, own: first, first: first}, nil
	case first != nil:
		recorded := l.memory.conflict(own)
		if recorded == nil {
			l.memory.noteConflict(own)
			recorded = own
		}
		receipt := &v1.Receipt{Status: v1.ReceiptStatus_RECEIPT_STATUS_CONFLICT}
		return outcome{receipt: receipt, write: recorded == own, own: recorded, first: first}, nil
	case r.sequence <= l.memory.last[r.signer]:
		return l.replayed(ctx, r)
	}
	l.memory.note(own)
	return outcome{receipt: &v1.Receipt{Status: v1.ReceiptStatus_RECEIPT_STATUS_ACCEPTED}, write: true, own: own}, nil
}

// replayed refuses a number that was passed over, as the ledger would. Unless another gateway took it
// meanwhile: then it is a copy.
func (l *lane) replayed(ctx context.Context, r heard) (outcome, error) {
	before := l.memory.next
	if err := l.memory.hearAll(ctx); err != nil {
		return outcome{}, err
	}
	if l.memory.next > before {
		return l.place(ctx, r)
	}
	receipt := refused(nil, v1.Reason_REASON_SEQUENCE_REPLAYED, "sequence")
	return outcome{receipt: receipt}, nil
}

// finish fills the places in, once they are known.
func (o outcome) finish(shard domain.Shard) {
	o.receipt.Shard = uint32(shard)
	if o.first != nil {
		o.receipt.FirstOffset = int64(o.first.at)
	}
	if o.own != nil {
		o.receipt.Offset = int64(o.own.at)
	}
}
