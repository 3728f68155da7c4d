package gateway

import (
	"context"
	"errors"
	"fmt"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/ledger"
	"github.com/filature/filature/eventstore"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// remembered is how many of a signer's latest reports a lane knows without asking the projection.
const remembered = 64

// lane is one shard of intake. Its goroutine owns signers; only queue is shared.
type lane struct {
	shard   domain.Shard
	intake  eventstore.Log
	reports Reports
	queue   chan *submission
	signers map[domain.KeyID]*past
}

// submission is the part of a Submit that is for one lane. The lane fills its receipts, each at its
// own index, and then says so once on done.
type submission struct {
	reports  []heard
	receipts []*v1.Receipt
	done     chan error
}

// past is what a lane remembers of one signer.
type past struct {
	last   uint64
	recent []*known // a ring once it is full
	next   int
}

type known struct {
	sequence uint64
	digest   domain.Digest
	at       domain.Offset
}

func newLane(shard domain.Shard, intake eventstore.Log, reports Reports) *lane {
	return &lane{
		shard: shard, intake: intake, reports: reports,
		queue: make(chan *submission, queueSubmits), signers: map[domain.KeyID]*past{},
	}
}

func (l *lane) run(ctx context.Context) error {
	if err := l.catchUp(ctx); err != nil {
		return fmt.Errorf("gateway, shard %d: %w", l.shard, err)
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case s := <-l.queue:
			if err := l.write(ctx, l.gather(s)); err != nil {
				return fmt.Errorf("gateway, shard %d: %w", l.shard, err)
			}
		}
	}
}

// catchUp hears again what is in intake but not in the projection yet, so that a copy of a report that
// was accepted just before a crash is still known.
func (l *lane) catchUp(ctx context.Context) error {
	from, err := l.reports.AnsweredTo(ctx, l.shard)
	if err != nil {
		return fmt.Errorf("ask for the projection's position: %w", err)
	}
	to, err := l.intake.End(ctx, l.shard)
	if err != nil {
		return fmt.Errorf("end of intake: %w", err)
	}
	return eventstore.Each(ctx, l.intake, l.shard, from, to, func(rec eventstore.Record) error {
		said, _ := ledger.Read(rec.Offset, 0, rec.Value)
		if said.Report == nil {
			return nil
		}
		p, err := l.signer(ctx, domain.KeyID(said.Report.Signer))
		if err != nil {
			return err
		}
		if said.Report.Sequence > p.last {
			p.add(&known{said.Report.Sequence, said.Digest, rec.Offset})
		}
		return nil
	})
}

// gather takes what else waits, as far as one append goes.
func (l *lane) gather(first *submission) []*submission {
	all, records, size := []*submission{first}, len(first.reports), sizeOf(first)
	for records < laneRecords && size < laneBytes {
		select {
		case s := <-l.queue:
			all, records, size = append(all, s), records+len(s.reports), size+sizeOf(s)
		default:
			return all
		}
	}
	return all
}

func sizeOf(s *submission) int {
	size := 0
	for _, r := range s.reports {
		size += len(r.record)
	}
	return size
}

// outcome is one report on its way to its receipt.
type outcome struct {
	receipt *v1.Receipt
	own     *known // its place, if it is written
	first   *known // the earlier report with its number, if there is one
}

// write appends what is new and answers all. If the append fails its reports may be kept or lost, so
// what is remembered is thrown away and heard again from the log; copies of them are then told apart
// as well as ever.
func (l *lane) write(ctx context.Context, all []*submission) error {
	var (
		outcomes []outcome
		values   [][]byte
	)
	err := func() error {
		for _, s := range all {
			for _, r := range s.reports {
				o, err := l.place(ctx, r)
				if err != nil {
					return err
				}
				if o.own != nil {
					o.own.at = domain.Offset(len(values)) // from the append's base, added below
					values = append(values, r.record)
				}
				s.receipts[r.index] = o.receipt
				outcomes = append(outcomes, o)
			}
		}
		if len(values) == 0 {
			return nil
		}
		base, err := l.intake.Append(ctx, l.shard, values)
		for _, o := range outcomes {
			if o.own != nil {
				o.own.at += base
			}
		}
		return err
	}()
	if err == nil {
		for _, o := range outcomes {
			o.finish(l.shard)
		}
		answer(all, nil)
		return nil
	}
	answer(all, fmt.Errorf("%w: %w", ErrUnsure, err))
	if errors.Is(err, eventstore.ErrFailed) || errors.Is(err, eventstore.ErrClosed) || ctx.Err() != nil {
		return err
	}
	l.signers = map[domain.KeyID]*past{}
	return l.catchUp(ctx)
}

func answer(all []*submission, err error) {
	for _, s := range all {
		s.done <- err
	}
}

// place says what a report is before it is written, and remembers it if it is new.
func (l *lane) place(ctx context.Context, r heard) (outcome, error) {
	p, err := l.signer(ctx, r.signer)
	if err != nil {
		return outcome{}, err
	}
	first := p.find(r.sequence)
	if first == nil && r.sequence <= p.last {
		digest, at, ok, err := l.reports.Heard(ctx, l.shard, r.signer, r.sequence)
		if err != nil {
			return outcome{}, fmt.Errorf("ask for report %s %d: %w", r.signer, r.sequence, err)
		}
		if ok {
			first = &known{r.sequence, digest, at}
		}
	}
	switch {
	case first == nil:
		own := &known{sequence: r.sequence, digest: r.digest}
		p.add(own)
		return outcome{&v1.Receipt{Status: v1.ReceiptStatus_RECEIPT_STATUS_ACCEPTED}, own, nil}, nil
	case first.digest == r.digest:
		return outcome{&v1.Receipt{Status: v1.ReceiptStatus_RECEIPT_STATUS_DUPLICATE}, nil, first}, nil
	default:
		own := &known{sequence: r.sequence, digest: r.digest}
		return outcome{&v1.Receipt{Status: v1.ReceiptStatus_RECEIPT_STATUS_CONFLICT}, own, first}, nil
	}
}

// finish fills the places in, once they are known.
func (o outcome) finish(shard domain.Shard) {
	o.receipt.Shard = uint32(shard)
	if o.first != nil {
		o.receipt.FirstOffset = int64(o.first.at)
		o.receipt.Offset = o.receipt.FirstOffset
	}
	if o.own != nil {
		o.receipt.Offset = int64(o.own.at)
	}
}

// signer returns what is remembered of a key, asking the projection the first time.
func (l *lane) signer(ctx context.Context, key domain.KeyID) (*past, error) {
	if p := l.signers[key]; p != nil {
		return p, nil
	}
	last, err := l.reports.LastSequence(ctx, l.shard, key)
	if err != nil {
		return nil, fmt.Errorf("ask for the last sequence of %s: %w", key, err)
	}
	p := &past{last: last}
	l.signers[key] = p
	return p, nil
}

func (p *past) find(sequence uint64) *known {
	for _, k := range p.recent {
		if k.sequence == sequence {
			return k
		}
	}
	return nil
}

func (p *past) add(k *known) {
	p.last = max(p.last, k.sequence)
	if len(p.recent) < remembered {
		p.recent = append(p.recent, k)
		return
	}
	p.recent[p.next] = k
	p.next = (p.next + 1) % remembered
}
