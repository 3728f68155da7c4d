package kafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore"
)

// producer is who sends the batches of a lane. A broker keeps a batch only if its number follows the one
// before, and keeps none of an epoch that a later one has followed.
type producer struct {
	id    int64
	epoch int16
	next  int32 // the number of the next record
}

// after returns the producer once records were kept. Numbers begin again behind the largest.
func (p producer) after(records int) producer {
	p.next = int32((int64(p.next) + int64(records)) & math.MaxInt32)
	return p
}

// lane sends the batches of one shard, one after the other. Its goroutine owns what is below queue.
type lane struct {
	queue chan request

	named    bool // producer is one
	producer producer
	doubt    bool          // the fate of a batch is unknown; it must not be kept once the next one is
	end      domain.Offset // behind the last batch of ours, or the shard's end when the lane began
}

// request is one Append on its way. The lane answers each that it takes.
type request struct {
	batch []byte
	count int
	reply chan reply // holds one, so the lane never waits for a caller that left
}

type reply struct {
	first domain.Offset
	err   error
}

// Append implements eventstore.Appender. If the context ends while the batch is on its way, Append returns
// at once, and the batch may have been kept; the next Append to the shard waits until that is decided.
func (l *Log) Append(ctx context.Context, number domain.Shard, values [][]byte) (domain.Offset, error) {
	s, err := l.at(ctx, number)
	if err == nil {
		err = eventstore.CheckBatch(values)
	}
	if err != nil {
		return 0, fmt.Errorf("append to shard %d: %w", number, err)
	}
	if len(values) == 0 {
		return l.End(ctx, number)
	}
	batch, err := encodeBatch(values, l.headers)
	if err != nil {
		return 0, fmt.Errorf("append to shard %d: %w", number, err)
	}
	r := request{batch, len(values), make(chan reply, 1)}
	select {
	case s.lane.queue <- r:
	case <-l.closing:
		return 0, eventstore.ErrClosed
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	select {
	case a := <-r.reply:
		return a.first, a.err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// run is a shard's lane, until the log is closed.
func (l *Log) run(s *shard) {
	for {
		select {
		case <-l.closing:
			return
		case r := <-s.lane.queue:
			first, err := l.send(s, r)
			if err != nil {
				err = fmt.Errorf("append to shard %d: %w", s.number, err)
			} else {
				s.lane.end = first + domain.Offset(r.count)
				s.ahead.saw(s.lane.end)
			}
			r.reply <- reply{first, err}
		}
	}
}

// send gets a batch kept, and returns where. An error that is not one of eventstore's leaves its fate
// unknown, and the lane in doubt.
func (l *Log) send(s *shard, r request) (first domain.Offset, err error) {
	maybe := false // it may have been kept already
	renewed := false
	err = again(l.sending, l.patience, func(ctx context.Context) error {
		if err := l.prepare(ctx, s); err != nil {
			return err
		}
		stamp(r.batch, s.lane.producer)
		at, err := l.produce(ctx, s, r.batch)
		said := judge(err)
		switch decide(said, maybe, renewed) {
		case succeed:
			first = at
			return nil
		case repeat:
			maybe = maybe || said == unclear
			return fmt.Errorf("%w (%w)", errAgain, err)
		case rename:
			s.lane.named, renewed = false, true
			return fmt.Errorf("%w (%w)", errAgain, err)
		case search:
			maybe = true
			var found bool
			if first, found, err = l.find(ctx, s, s.lane.producer); err != nil {
				return err
			}
			if !found {
				return fmt.Errorf("the broker knows neither the batch nor its sender: %w", errLost)
			}
			return nil
		case fail:
			if said == tooLarge && !maybe {
				return fmt.Errorf("%d bytes: %w: %w", len(r.batch), eventstore.ErrTooLarge, err)
			}
			return fmt.Errorf("%w (%w)", errLost, err)
		}
		panic("not a step")
	})
	if err == nil {
		s.lane.producer = s.lane.producer.after(r.count)
		return first, nil
	}
	s.lane.doubt = s.lane.doubt || maybe
	switch {
	case l.sending.Err() == nil:
		return 0, err
	case maybe:
		return 0, errGivenUp
	default:
		return 0, eventstore.ErrClosed
	}
}

var (
	// errAgain: the same batch can be sent again.
	errAgain = errors.New("not acknowledged")
	// errLost: sending it again does not help.
	errLost = errors.New("not acknowledged, and can't be sent again")
	// errGivenUp: the log was closed, and did not wait any longer.
	errGivenUp = errors.New("not acknowledged when the log was closed")
)

// step is what to do after an answer.
type step int

const (
	succeed step = iota
	repeat       // send the same bytes again
	rename       // send them under another producer
	search       // look for them in the log
	fail
)

// decide says what to do with an answer. maybe says that an earlier request may have had the batch kept;
// renewed that the producer is new.
func decide(said answer, maybe, renewed bool) step {
	switch said {
	case kept:
		return succeed
	case notNow, unclear:
		return repeat
	case known:
		return search
	case disowned:
		// If an earlier request was carried out, another producer would write the batch a second time.
		if maybe {
			return search
		}
		if !renewed {
			return rename
		}
		return fail
	case tooLarge, refused:
		return fail
	}
	panic(fmt.Sprintf("answer %d is none", said))
}

// prepare gives the lane a producer whose next batch the brokers will take.
func (l *Log) prepare(ctx context.Context, s *shard) error {
	lane := &s.lane
	if lane.named && lane.doubt && lane.producer.epoch < math.MaxInt16 {
		// Nothing of the old epoch is kept behind what is kept of the new one.
		lane.producer.epoch++
		lane.producer.next = 0
		lane.doubt = false
	}
	if lane.named && !lane.doubt {
		return nil
	}
	end, err := l.listEnd(ctx, s)
	if err != nil {
		return err
	}
	answer, err := l.client.InitProducerID(ctx, &kafka.InitProducerIDRequest{ProducerID: -1, ProducerEpoch: -1})
	if err == nil {
		err = answer.Error
	}
	if err != nil {
		return fmt.Errorf("become a producer: %w", err)
	}
	lane.producer = producer{id: int64(answer.Producer.ProducerID), epoch: int16(answer.Producer.ProducerEpoch)}
	lane.named, lane.doubt, lane.end = true, false, end
	return nil
}

// produce sends a batch once.
func (l *Log) produce(ctx context.Context, s *shard, batch []byte) (domain.Offset, error) {
	answer, err := l.client.RawProduce(ctx, &kafka.RawProduceRequest{
		Topic: s.topic, Partition: s.partition, RequiredAcks: kafka.RequireAll, MessageVersion: magic,
		RawRecords: protocol.RawRecordSet{Reader: bytes.NewReader(batch)},
	})
	if err != nil {
		return 0, err
	}
	if answer.Error == nil && answer.BaseOffset < 0 { // kept, by an earlier request
		return 0, kafka.DuplicateSequenceNumber
	}
	return domain.Offset(answer.BaseOffset), answer.Error
}

// find looks for a batch by its producer and number, from the end of the one before to the end.
func (l *Log) find(ctx context.Context, s *shard, want producer) (first domain.Offset, found bool, err error) {
	end, err := l.listEnd(ctx, s)
	if err != nil {
		return 0, false, err
	}
	for from := s.lane.end; from < end; {
		reply, err := l.fetch(ctx, s, from, 0)
		if err == nil {
			err = reply.err
		}
		if err != nil {
			return 0, false, fmt.Errorf("look for the batch: %w", err)
		}
		before := from
		for raw := reply.batches; len(raw) > 0; {
			b, rest, err := nextBatch(raw)
			if errors.Is(err, errCut) {
				break
			}
			if err != nil {
				return 0, false, err
			}
			if b.producer == want {
				return b.base, true, nil
			}
			raw, from = rest, b.last+1
		}
		if from == before {
			return 0, false, fmt.Errorf("look for the batch: nothing at %d of %d: %w", from, end, kafka.OffsetNotAvailable)
		}
	}
	return 0, false, nil
}
