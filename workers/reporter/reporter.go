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
// kept anything, at the price that a clock set back makes it wait until it has caught up.
func (r *Reporter) sequence() uint64 {
	r.last = max(r.last+1, uint64(r.now().UnixMicro()))
	return r.last
}

// Report submits claims to a shard, as one report, and returns when they are durable in intake, with
// the report's offset there. The ledger's answer comes later.
func (r *Reporter) Report(ctx context.Context, shard domain.Shard, claims ...*v1.Claim) (domain.Offset, error) {
	r.mu.Lock() // reports of one key must arrive in the order of their numbers
	defer r.mu.Unlock()
	sequence := r.sequence()
	report, err := signing.Report(r.key, r.network, shard, sequence, claims)
	if err != nil {
		return 0, err
	}
	for attempt := 1; ; attempt++ {
		receipts, err := r.gateway.Submit(ctx, [][]byte{report})
		switch {
		case err == nil && receipts[0].Status == v1.ReceiptStatus_RECEIPT_STATUS_REFUSED:
			return 0, fmt.Errorf("report %d to shard %d: %s %s: %w", sequence, shard, receipts[0].Reason, receipts[0].Field, ErrRefused)
		case err == nil:
			return domain.Offset(receipts[0].Offset), nil
		case attempt == attempts || ctx.Err() != nil:
			return 0, fmt.Errorf("report %d to shard %d, attempt %d: %w", sequence, shard, attempt, err)
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(pause):
		}
	}
}

// Clock is a Reporter that only says that time passes.
type Clock struct{ *Reporter }

// Tick implements what a clerk asks of a clock.
func (c Clock) Tick(ctx context.Context, shard domain.Shard) error {
	_, err := c.Report(ctx, shard, &v1.Claim{Body: &v1.Claim_Tick{Tick: &v1.Tick{}}})
	return err
}
