package reporter_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/signing"
	v1 "github.com/filature/filature/schemas/filature/v1"
	"github.com/filature/filature/workers/reporter"
)

var (
	network = domain.NetworkID{1, 2, 3}
	errAway = errors.New("no gateway")
)

// trouble is what a gateway does to one report.
type trouble int

const (
	none trouble = iota
	lost         // an error, and nothing taken
	kept         // an error, and the report taken
)

// gateway takes reports in as a gateway does, and polices their order and their signatures.
type gateway struct {
	t *testing.T

	mu       sync.Mutex
	plan     []trouble
	unknown  bool // it does not know the signer
	sent     [][]byte
	taken    [][]byte
	last     map[domain.Shard]uint64
	occupied map[uint64]bool // numbers that another report has
}

func newGateway(t *testing.T) *gateway {
	t.Helper()
	return &gateway{t: t, last: map[domain.Shard]uint64{}, occupied: map[uint64]bool{}}
}

func (g *gateway) Submit(ctx context.Context, reports [][]byte) ([]*v1.Receipt, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if len(reports) != 1 {
		g.t.Errorf("%d reports at once", len(reports))
	}
	now := none
	if len(g.plan) > 0 {
		now, g.plan = g.plan[0], g.plan[1:]
	}
	g.sent = append(g.sent, bytes.Clone(reports[0]))
	if now == lost {
		return nil, errAway
	}
	receipt := g.judge(reports[0])
	if now == kept {
		return nil, errAway
	}
	return []*v1.Receipt{receipt}, nil
}

func (g *gateway) judge(record []byte) *v1.Receipt {
	signed, report := &v1.SignedReport{}, &v1.Report{}
	if err := errors.Join(v1.Decode(record, signed), v1.Decode(signed.Report, report)); err != nil {
		g.t.Errorf("a report that can't be read: %v", err)
	}
	if !signing.NewVerifier(1).Verify(domain.KeyID(report.Signer), signed.Report, signed.Signature) {
		g.t.Error("a report that is not its signer's")
	}
	shard := domain.Shard(report.Shard)
	at := slices.IndexFunc(g.taken, func(r []byte) bool { return bytes.Equal(r, record) })
	switch {
	case g.unknown:
		return &v1.Receipt{Status: v1.ReceiptStatus_RECEIPT_STATUS_REFUSED, Reason: v1.Reason_REASON_UNKNOWN_SIGNER, Field: "signer"}
	case at >= 0:
		return &v1.Receipt{Status: v1.ReceiptStatus_RECEIPT_STATUS_DUPLICATE, Offset: int64(at), FirstOffset: int64(at)}
	case g.occupied[report.Sequence]:
		return &v1.Receipt{Status: v1.ReceiptStatus_RECEIPT_STATUS_CONFLICT, Offset: 99, FirstOffset: 7}
	case report.Sequence <= g.last[shard]:
		return &v1.Receipt{Status: v1.ReceiptStatus_RECEIPT_STATUS_REFUSED, Reason: v1.Reason_REASON_SEQUENCE_REPLAYED, Field: "sequence"}
	}
	g.last[shard] = report.Sequence
	g.taken = append(g.taken, bytes.Clone(record))
	return &v1.Receipt{Status: v1.ReceiptStatus_RECEIPT_STATUS_ACCEPTED, Offset: int64(len(g.taken) - 1)}
}

func key() ed25519.PrivateKey {
	seed := sha256.Sum256([]byte("filature/test/reporter"))
	return ed25519.NewKeyFromSeed(seed[:])
}

func tick() *v1.Claim { return &v1.Claim{Body: &v1.Claim_Tick{Tick: &v1.Tick{}}} }

func TestTheSameBytesAreSentUntilTheyAreTaken(t *testing.T) {
	for _, plan := range [][]trouble{{}, {lost}, {kept}, {lost, lost, kept, lost, kept}} {
		synctest.Test(t, func(t *testing.T) {
			g := newGateway(t)
			g.plan = slices.Clone(plan)
			r := reporter.New(key(), network, g, time.Now)
			for want := range domain.Offset(3) {
				if at, err := r.Report(t.Context(), 1, tick()); err != nil || at != want {
					t.Errorf("%v: report %d stands at %d, %v", plan, want, at, err)
				}
			}
			if len(g.taken) != 3 || len(g.sent) != 3+len(plan) {
				t.Errorf("%v: %d reports were taken of %d sent", plan, len(g.taken), len(g.sent))
			}
			for _, again := range g.sent[1 : 1+len(plan)] {
				if !bytes.Equal(again, g.sent[0]) {
					t.Errorf("%v: other bytes were sent after an error", plan)
				}
			}
		})
	}
}

func TestAGatewayThatStaysAwayIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGateway(t)
		g.plan = slices.Repeat([]trouble{lost}, 1000)
		begun := time.Now()
		_, err := reporter.New(key(), network, g, time.Now).Report(t.Context(), 3, tick())
		if !errors.Is(err, errAway) || !strings.Contains(err.Error(), "shard 3") {
			t.Errorf("report: %v", err)
		}
		if took := time.Since(begun); took < 30*time.Second || took > 2*time.Minute {
			t.Errorf("it gave up after %v", took)
		}
	})
}

func TestARefusalIsFinal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGateway(t)
		g.unknown = true
		r := reporter.New(key(), network, g, time.Now)
		_, err := r.Report(t.Context(), 1, tick())
		if !errors.Is(err, reporter.ErrRefused) || !strings.Contains(err.Error(), "REASON_UNKNOWN_SIGNER signer") {
			t.Errorf("report: %v", err)
		}
		g.unknown, g.occupied[uint64(time.Now().UnixMicro())+1] = false, true
		if _, err := r.Report(t.Context(), 1, tick()); !errors.Is(err, reporter.ErrRefused) || !strings.Contains(err.Error(), "used twice") {
			t.Errorf("report under a number that another one has: %v", err)
		}
		if len(g.sent) != 2 {
			t.Errorf("%d reports were sent, want 2", len(g.sent))
		}
	})
}

func TestAfterARestartAClockThatWasSetBackIsWaitedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGateway(t)
		if _, err := reporter.New(key(), network, g, time.Now).Report(t.Context(), 1, tick()); err != nil {
			t.Fatal(err)
		}
		behind := func() time.Time { return time.Now().Add(-9500 * time.Millisecond) }
		begun := time.Now()
		at, err := reporter.New(key(), network, g, behind).Report(t.Context(), 1, tick())
		if err != nil || at != 1 {
			t.Errorf("report stands at %d, %v; want 1", at, err)
		}
		if took := time.Since(begun); took < 9500*time.Millisecond || took > 11*time.Second {
			t.Errorf("it took %v to make up 9.5 s", took)
		}
		if len(g.taken) != 2 {
			t.Errorf("%d reports were taken, want 2", len(g.taken))
		}
		hours := func() time.Time { return time.Now().Add(-time.Hour) }
		if _, err := reporter.New(key(), network, g, hours).Report(t.Context(), 1, tick()); !errors.Is(err, reporter.ErrRefused) {
			t.Errorf("an hour behind: %v, want %v", err, reporter.ErrRefused)
		}
	})
}

func TestManyReportersOfOneKeyKeepItsOrder(t *testing.T) {
	g := newGateway(t)
	now := time.UnixMilli(1)
	r := reporter.New(key(), network, g, func() time.Time { return now }) // a clock that stands still
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			for range 5 {
				if err := (reporter.Clock{Reporter: r}).Tick(t.Context(), 1); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if len(g.taken) != 100 {
		t.Errorf("%d reports were taken, want 100", len(g.taken))
	}
}

func TestAnEndedContextEndsTheTrying(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGateway(t)
		g.plan = slices.Repeat([]trouble{lost}, 1000)
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		begun := time.Now()
		if _, err := reporter.New(key(), network, g, time.Now).Report(ctx, 1, tick()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("report: %v", err)
		}
		if took := time.Since(begun); took != 1500*time.Millisecond {
			t.Errorf("it took %v", took)
		}
	})
}

func TestClaimsThatAreNoReportAreNotSent(t *testing.T) {
	g := newGateway(t)
	r := reporter.New(key(), network, g, time.Now)
	for what, claims := range map[string][]*v1.Claim{
		"too many":     slices.Repeat([]*v1.Claim{tick()}, reporter.MaxClaims+1),
		"half a claim": {{}},
	} {
		if _, err := r.Report(t.Context(), 1, claims...); err == nil || len(g.sent) != 0 {
			t.Errorf("%s: %v, and %d reports were sent", what, err, len(g.sent))
		}
	}
	if _, err := r.Report(t.Context(), 1, slices.Repeat([]*v1.Claim{tick()}, reporter.MaxClaims)...); err != nil {
		t.Errorf("as many as there may be: %v", err)
	}
	if r.Key() != signing.KeyOf(key()) {
		t.Error(fmt.Sprint("the key is ", r.Key()))
	}
}
