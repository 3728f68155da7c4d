package sdk

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// Pauses between two tries double from firstPause to lastPause.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = 4 * time.Second
	// DefaultPatience is as long as a gateway takes to come back.
	DefaultPatience = 15 * time.Second
)

// ErrUnreachable: the gateway was down or busy for a while. What it did not answer stays in the spool; try
// again later.
var ErrUnreachable = errors.New("gateway is unreachable")

// Status is what the gateway did with a report.
type Status string

// The statuses of v1.ReceiptStatus, by their JSON names.
const (
	Accepted  Status = "accepted"
	Duplicate Status = "duplicate" // it was accepted before: after a crash, or an answer that was lost
	Conflict  Status = "conflict"  // another report has its number; this one does not count
	Refused   Status = "refused"
)

// Lost says that the report will not count. Such reports are kept in the RefusedFile.
func (s Status) Lost() bool { return s == Conflict || s == Refused }

// Receipt is the gateway's answer to one report.
type Receipt struct {
	Status   Status        `json:"status"`
	Shard    domain.Shard  `json:"shard"`
	Sequence uint64        `json:"sequence"`
	Claims   int           `json:"claims"`
	Offset   domain.Offset `json:"offset"` // in the shard's intake; nothing for a refused one
	// FirstOffset is the report that took the number, in a conflict.
	FirstOffset domain.Offset `json:"first_offset,omitempty"`
	Reason      string        `json:"reason,omitempty"` // why it was refused: "unknown_signer"
	Field       string        `json:"field,omitempty"`
}

// refusal is one line of the RefusedFile.
type refusal struct {
	At time.Time `json:"at"`
	Receipt
	ClaimsJSON []json.RawMessage `json:"said"`
	Report     string            `json:"report"` // the signed bytes, in hexadecimal
}

// Deliver flushes, and then sends what waits in the spool until all is answered. It calls see with each
// receipt, in order, when the answer is durable in the spool; see may be nil and must not call the
// emitter. While the gateway is down or busy it tries again, and ends with ErrUnreachable after a while.
func (e *Emitter) Deliver(ctx context.Context, see func(Receipt)) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.flush(ctx); err != nil {
		return err
	}
	for e.spool.waiting() > 0 {
		if err := e.retry(ctx, func() error { return e.deliverNext(ctx, see) }); err != nil {
			return fmt.Errorf("deliver, %d reports wait: %w", e.spool.waiting(), err)
		}
	}
	size := int64(renewBytes)
	if e.full {
		size = 0
	}
	if err := e.spool.renew(size); err != nil {
		e.broken = err
		return err
	}
	e.full = false
	return nil
}

// retry does something until it succeeds, fails for good, or has paused as long as the emitter is patient.
func (e *Emitter) retry(ctx context.Context, do func() error) error {
	var paused time.Duration
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		err := do()
		if !errors.Is(err, errTransient) {
			return err
		}
		if paused += pause; paused > e.cfg.Patience || ctx.Err() != nil {
			return fmt.Errorf("%w: %w", ErrUnreachable, err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// deliverNext sends one body and takes its answer in. A crash on any line of it sends the same body
// again.
func (e *Emitter) deliverNext(ctx context.Context, see func(Receipt)) error {
	if err := e.greet(ctx); err != nil {
		return err
	}
	reports, err := e.spool.next(ctx)
	if err != nil {
		return err
	}
	answers, err := e.gateway.submit(ctx, reports)
	if err != nil {
		return err
	}
	var (
		receipts []Receipt
		refused  []byte
		last     uint64
	)
	for i, answer := range answers {
		report, err := readReport(reports[i])
		if err != nil {
			return err
		}
		r := Receipt{
			Status: Status(answer.Status), Shard: domain.Shard(report.Shard), Sequence: report.Sequence, Claims: len(report.Claims),
			Offset: domain.Offset(answer.Offset), Reason: answer.Reason, Field: answer.Field,
		}
		switch r.Status {
		case Accepted, Duplicate:
		case Conflict:
			r.FirstOffset = domain.Offset(answer.FirstOffset)
			fallthrough
		case Refused:
			if refused, err = appendRefusal(refused, e.cfg.Now(), r, report, reports[i]); err != nil {
				return err
			}
		default:
			return fmt.Errorf("receipt %d has the status %q", i, answer.Status)
		}
		receipts = append(receipts, r)
		last = max(last, r.Sequence)
	}
	if err := e.spool.answered(len(reports), last, refused); err != nil {
		e.broken = err
		return err
	}
	if see != nil {
		for _, r := range receipts {
			see(r)
		}
	}
	return nil
}

func appendRefusal(buf []byte, at time.Time, r Receipt, report *v1.Report, record []byte) ([]byte, error) {
	line := refusal{At: at.UTC(), Receipt: r, Report: hex.EncodeToString(record)}
	for _, c := range report.Claims {
		line.ClaimsJSON = append(line.ClaimsJSON, v1.AppendJSON(nil, c))
	}
	raw, err := json.Marshal(line)
	if err != nil {
		return nil, fmt.Errorf("write down refused report %d: %w", r.Sequence, err)
	}
	return append(append(buf, raw...), '\n'), nil
}
