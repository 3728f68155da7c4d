// Package reporter knows how the operator's own programs (clock, watcher, settler) speak: with signed
// reports through the gateway, as everybody does.
package reporter

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/signing"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

const (
	// MaxClaims is how many claims one report carries: as many as the schema lets it.
	MaxClaims = 1000
	// attempts to get a report in before giving up, pause between them: a minute in all, longer than a
	// gateway takes to come back.
	attempts = 60
	pause    = time.Second
)

// Gateway takes signed reports in. It is idempotent: a copy of a report that was taken before is told
// so and writes nothing, so after any error the same bytes may be submitted again.
type Gateway interface {
	Submit(ctx context.Context, reports [][]byte) ([]*v1.Receipt, error)
}

// ErrRefused says that the gateway will never take a report. That is a mistake in this program or in
// its keys.
var ErrRefused = errors.New("report refused")

// errReplayed: a later number was used already, before a restart. The clock was set back.
var errReplayed = fmt.Errorf("its number was passed already; was the clock set back?: %w", ErrRefused)

// Reporter speaks for one key. Safe for many goroutines.
type Reporter struct {
	key     ed25519.PrivateKey
	network domain.NetworkID
	gateway Gateway
	now     func() time.Time

	mu   sync.Mutex
	last uint64
}

// New returns a reporter. One key belongs to one reporter at a time.
func New(key ed25519.PrivateKey, network domain.NetworkID, gateway Gateway, now func() time.Time) *Reporter {
	return &Reporter{key: key, network: network, gateway: gateway, now: now}
}

// Key names the signer.
func (r *Reporter) Key() domain.KeyID { return signing.KeyOf(r.key) }

// sequence numbers reports by the clock, in microseconds. So it goes on after a restart without having
// kept anything, at the price that a clock that was set back meanwhile makes it wait until it has caught
// up. It needs mu.
func (r *Reporter) sequence() uint64 {
	r.last = max(r.last+1, uint64(max(r.now().UnixMicro(), 0))) // a clock before 1970 has no say
	return r.last
}

// Report submits claims to a shard, as one report, and returns when they are durable in intake, with
// the report's offset there. The ledger's answer comes later.
func (r *Reporter) Report(ctx context.Context, shard domain.Shard, claims ...*v1.Claim) (domain.Offset, error) {
	r.mu.Lock() // reports of one key must arrive in the order of their numbers
	defer r.mu.Unlock()
	var report []byte
	for attempt := 1; ; attempt++ {
		if report == nil {
			var err error
			if report, err = signing.Report(r.key, r.network, shard, r.sequence(), claims); err != nil {
				return 0, err
			}
		}
		at, err := r.submit(ctx, report)
		switch {
		case err == nil:
			return at, nil
		case errors.Is(err, errReplayed):
			report = nil // nothing was written, so the same claims under a later number are no second report
		case errors.Is(err, ErrRefused):
			return 0, fmt.Errorf("report %d to shard %d: %w", r.last, shard, err)
		}
		if attempt == attempts || ctx.Err() != nil {
			return 0, fmt.Errorf("report %d to shard %d, attempt %d: %w", r.last, shard, attempt, err)
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(pause):
		}
	}
}

// submit returns where a report stands. A conflict is a refusal, too: the ledger takes the other report.
func (r *Reporter) submit(ctx context.Context, report []byte) (domain.Offset, error) {
	receipts, err := r.gateway.Submit(ctx, [][]byte{report})
	if err != nil {
		return 0, err
	}
	switch receipt := receipts[0]; {
	case receipt.Reason == v1.Reason_REASON_SEQUENCE_REPLAYED:
		return 0, errReplayed
	case receipt.Status == v1.ReceiptStatus_RECEIPT_STATUS_REFUSED:
		return 0, fmt.Errorf("%s %s: %w", receipt.Reason, receipt.Field, ErrRefused)
	case receipt.Status == v1.ReceiptStatus_RECEIPT_STATUS_CONFLICT:
		return 0, fmt.Errorf("another report with this number is at %d/%d; is the key used twice?: %w", receipt.Shard, receipt.FirstOffset, ErrRefused)
	default:
		return domain.Offset(receipt.Offset), nil
	}
}

// Clock is a Reporter that only says that time passes.
type Clock struct{ *Reporter }

// Tick implements what a clerk asks of a clock.
func (c Clock) Tick(ctx context.Context, shard domain.Shard) error {
	_, err := c.Report(ctx, shard, &v1.Claim{Body: &v1.Claim_Tick{Tick: &v1.Tick{}}})
	return err
}
