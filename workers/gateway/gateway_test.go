package gateway

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/signing"
	"github.com/filature/filature/eventstore"
	"github.com/filature/filature/eventstore/eventstoretest"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

func TestACopyIsToldFromANewReport(t *testing.T) {
	for _, c := range []struct {
		name string
		// between is what happens between a report of number 7 and its copy.
		between func(w *world)
		want    string
	}{
		{"right away", func(*world) {}, "duplicate 1/0"},
		{"after others", func(w *world) { w.submit(w.signed("bob", 1, 7), w.signed("ann", 1, 8)) }, "duplicate 1/0"},
		{"after a restart, nothing projected", (*world).restart, "duplicate 1/0"},
		{"after a restart, all projected", func(w *world) {
			for shard := range domain.Shard(testDataShards + 1) {
				w.reports.move(shard, w.end(shard))
			}
			w.restart()
		}, "duplicate 1/0"},
		{"after a restart, half projected", func(w *world) {
			w.submit(w.signed("ann", 1, 8))
			w.reports.move(1, 1)
			w.restart()
		}, "duplicate 1/0"},
		{"long after, nothing projected", func(w *world) { w.submit(manyOf(w, 8, MaxReports)...) }, "duplicate 1/0"},
		{"long after, all projected", func(w *world) {
			for i := range uint64(3) {
				w.submit(manyOf(w, 8+i*MaxReports, MaxReports)...)
				w.reports.move(1, w.end(1))
			}
		}, "duplicate 1/0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			defer w.stop()
			w.expect(w.signed("ann", 1, 7), "accepted 1/0")
			c.between(w)
			before := len(w.records(1))
			w.expect(w.signed("ann", 1, 7), c.want)
			if after := len(w.records(1)); after != before {
				t.Errorf("a copy was written: %d records, before it %d", after, before)
			}
			w.expect(w.other("ann", 1, 7), fmt.Sprintf("conflict 1/%d with 1/0", before))
		})
	}
}

// manyOf are reports of ann with numbers from first on.
func manyOf(w *world, first uint64, n int) [][]byte {
	var all [][]byte
	for i := range uint64(n) {
		all = append(all, w.signed("ann", 1, first+i))
	}
	return all
}

func TestOneBodyMayHoldCopiesConflictsAndAllShards(t *testing.T) {
	w := newWorld(t)
	defer w.stop()
	receipts := w.submit(
		w.signed("ann", 1, 7), w.signed("ann", 2, 7), w.signed("ann", 1, 7), w.other("ann", 1, 7),
		[]byte("no report"), w.signed("ann", 0, 7), w.signed("ann", 1, 8), w.signed("ann", 1, 6), w.other("ann", 2, 7),
	)
	for i, want := range []string{
		"accepted 1/0", "accepted 2/0", "duplicate 1/0", "conflict 1/1 with 1/0",
		"", "accepted 0/0", "accepted 1/2", "refused 1 REASON_SEQUENCE_REPLAYED sequence", "conflict 2/1 with 2/0",
	} {
		if have := receiptText(receipts[i]); want != "" && have != want {
			t.Errorf("receipt %d is %q, want %q", i, have, want)
		}
	}
	if receipts[4].Reason != v1.Reason_REASON_MALFORMED {
		t.Errorf("receipt of bytes that are no report: %v", receipts[4])
	}
	if one, two := len(w.records(1)), len(w.records(2)); one != 3 || two != 2 {
		t.Errorf("%d and %d records in shards 1 and 2, want 3 and 2", one, two)
	}
}

func TestWhatTheLedgerWouldRefuseIsRefusedAtTheDoor(t *testing.T) {
	w := newWorld(t)
	defer w.stop()
	good := w.signed("ann", 1, 7)
	tick := []*v1.Claim{{Body: &v1.Claim_Tick{Tick: &v1.Tick{}}}}
	badSignature := bytes.Clone(good)
	badSignature[len(badSignature)-40] ^= 1
	elsewhere, err := signing.Report(keyOf("ann"), domain.NetworkID{1}, 1, 7, tick)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		record []byte
		shard  uint32
		reason v1.Reason
		field  string
	}{
		{"nothing", nil, 0, v1.Reason_REASON_MALFORMED, ""},
		{"no protobuf", []byte("no report"), 0, v1.Reason_REASON_MALFORMED, ""},
		{"one byte short", good[:len(good)-1], 0, v1.Reason_REASON_MALFORMED, ""},
		{"one byte more", append(bytes.Clone(good), 0), 0, v1.Reason_REASON_MALFORMED, ""},
		{"another network", elsewhere, 1, v1.Reason_REASON_WRONG_NETWORK, "network"},
		{"no such shard", w.signed("ann", testDataShards+1, 7), testDataShards + 1, v1.Reason_REASON_WRONG_SHARD, "shard"},
		{"a stranger", w.signed("eve", 1, 7), 1, v1.Reason_REASON_UNKNOWN_SIGNER, "signer"},
		{"number zero", w.signed("ann", 1, 0), 1, v1.Reason_REASON_SEQUENCE_REPLAYED, "sequence"},
		{"a changed signature", badSignature, 1, v1.Reason_REASON_BAD_SIGNATURE, "signature"},
	} {
		receipt := w.submit(c.record)[0]
		if receipt.Status != v1.ReceiptStatus_RECEIPT_STATUS_REFUSED || receipt.Reason != c.reason || receipt.Shard != c.shard {
			t.Errorf("%s: receipt %v, want it refused in shard %d as %v", c.name, receipt, c.shard, c.reason)
		}
		if c.field != "" && receipt.Field != c.field || receipt.Field == "" {
			t.Errorf("%s: names the field %q, want %q", c.name, receipt.Field, c.field)
		}
	}
	for shard := range domain.Shard(testDataShards + 1) {
		if n := w.end(shard); n != 0 {
			t.Errorf("shard %d holds %d records of those", shard, n)
		}
	}
	// One bad signature among good ones does not touch them.
	receipts := w.submit(w.signed("ann", 1, 1), badSignature, w.signed("ann", 1, 7))
	for i, want := range []string{"accepted 1/0", "refused 1 REASON_BAD_SIGNATURE signature", "accepted 1/1"} {
		if have := receiptText(receipts[i]); have != want {
			t.Errorf("receipt %d is %q, want %q", i, have, want)
		}
	}
}

func TestAKeyIsKnownAsSoonAsControlKnowsIt(t *testing.T) {
	w := newWorld(t)
	defer w.stop()
	w.expect(w.signed("cat", 1, 1), "refused 1 REASON_UNKNOWN_SIGNER signer")
	control := controlOf(w)
	w.register(control, control.NextIntake(), "cat")
	w.expect(w.signed("cat", 1, 1), "accepted 1/0")
	if id, shards, err := w.gateway.Network(t.Context()); id != w.network || shards != testDataShards || err != nil {
		t.Errorf("network is %v with %d data shards, %v", id, shards, err)
	}
}

func TestAFailedAppendIsAskedAboutAndThenToldRight(t *testing.T) {
	for _, c := range []struct {
		fault eventstoretest.Fault
		want  []string
	}{
		{eventstoretest.Lost, []string{"accepted 1/1", "accepted 1/2"}},
		{eventstoretest.Kept, []string{"duplicate 1/1", "duplicate 1/2"}},
		{eventstoretest.Cancelled, []string{"duplicate 1/1", "duplicate 1/2"}},
	} {
		t.Run(c.fault.String(), func(t *testing.T) {
			w := newWorld(t)
			defer w.stop()
			w.expect(w.signed("bob", 1, 1), "accepted 1/0")
			reports := [][]byte{w.signed("ann", 1, 1), w.signed("ann", 1, 2)}
			w.intake.FailNext(c.fault)
			if receipts, err := w.gateway.Submit(t.Context(), reports); !errors.Is(err, ErrUnsure) || receipts != nil {
				t.Fatalf("submit: %v, %v; want no receipts and %v", receipts, err, ErrUnsure)
			}
			for i, receipt := range w.submit(reports...) {
				if have := receiptText(receipt); have != c.want[i] {
					t.Errorf("receipt %d is %q, want %q", i, have, c.want[i])
				}
			}
			if n := len(w.records(1)); n != 3 {
				t.Errorf("%d records, want 3", n)
			}
		})
	}
}

func TestALogThatFailedForGoodEndsTheGateway(t *testing.T) {
	w := newWorld(t)
	w.intake.FailForGood(eventstoretest.Kept)
	for sequence := range uint64(2) {
		if _, err := w.gateway.Submit(t.Context(), [][]byte{w.signed("ann", 1, sequence+1)}); !errors.Is(err, ErrUnsure) {
			t.Fatalf("submit: %v, want %v", err, ErrUnsure)
		}
	}
	<-w.gateway.closed
	if err := w.halt(); !errors.Is(err, eventstore.ErrFailed) {
		t.Errorf("run: %v, want %v", err, eventstore.ErrFailed)
	}
	if _, err := w.gateway.Submit(t.Context(), [][]byte{w.signed("ann", 1, 1)}); !errors.Is(err, ErrClosed) {
		t.Errorf("submit to what has ended: %v, want %v", err, ErrClosed)
	}
	w.intake.Reopen()
	w.start()
	defer w.stop()
	w.expect(w.signed("ann", 1, 1), "duplicate 1/0")
}

func TestAProjectionThatIsAwayMakesBusyAndWritesNothing(t *testing.T) {
	w := newWorld(t)
	defer w.stop()
	w.reports.breakDown(true)
	for range 2 {
		if _, err := w.gateway.Submit(t.Context(), [][]byte{w.signed("ann", 1, 1)}); !errors.Is(err, ErrBusy) || !errors.Is(err, errProjectionDown) {
			t.Fatalf("submit: %v, want %v and %v", err, ErrBusy, errProjectionDown)
		}
	}
	if n := w.end(1); n != 0 {
		t.Errorf("%d records were written", n)
	}
	w.reports.breakDown(false)
	w.expect(w.signed("ann", 1, 1), "accepted 1/0")
}

func TestAProjectionTooFarBehindMakesBusy(t *testing.T) {
	w := newWorld(t)
	defer w.stop()
	junk := make([][]byte, eventstore.MaxBatch)
	for left := maxUnprojected + 1; left > 0; left -= len(junk) {
		if _, err := w.intake.Append(t.Context(), 1, junk[:min(left, len(junk))]); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.gateway.Submit(t.Context(), [][]byte{w.signed("ann", 1, 1)}); !errors.Is(err, ErrBusy) {
		t.Fatalf("submit: %v, want %v", err, ErrBusy)
	}
	w.reports.move(1, 1)
	w.expect(w.signed("ann", 1, 1), fmt.Sprintf("accepted 1/%d", maxUnprojected+1))
}

func TestWhatTheProjectionKnowsIsForgotten(t *testing.T) {
	w := newWorld(t)
	defer w.stop()
	for i := range uint64(3) {
		w.submit(manyOf(w, 1+i*MaxReports, MaxReports)...)
		w.reports.move(1, w.end(1))
	}
	if n := len(w.gateway.lanes[1].memory.order); n > forgetEvery+MaxReports {
		t.Errorf("%d reports are remembered, with a projection that knows all", n)
	}
	if w.reports.asked > 0 {
		t.Errorf("new reports asked the projection %d times", w.reports.asked)
	}
}

func TestIntakeThatIsShorterThanWhatWasHeardEndsTheGateway(t *testing.T) {
	w := newWorld(t)
	w.reports.move(1, 5)
	if _, err := w.gateway.Submit(t.Context(), [][]byte{w.signed("ann", 1, 1)}); !errors.Is(err, eventstore.ErrGap) {
		t.Errorf("submit: %v, want %v", err, eventstore.ErrGap)
	}
	<-w.gateway.closed
	if err := w.halt(); !errors.Is(err, eventstore.ErrGap) {
		t.Errorf("run: %v, want %v", err, eventstore.ErrGap)
	}
}

// Whatever a stranger puts into intake beside the gateway, an honest report under the same number is new.
func TestAForgeryInIntakeTakesNobodysNumber(t *testing.T) {
	w := newWorld(t)
	defer w.stop()
	forged := w.other("ann", 1, 7)
	forged[len(forged)-1] ^= 1
	if _, err := w.intake.Append(t.Context(), 1, [][]byte{forged, []byte("junk")}); err != nil {
		t.Fatal(err)
	}
	w.expect(w.signed("ann", 1, 7), "accepted 1/2")
	w.expect(w.signed("ann", 1, 7), "duplicate 1/2")
}

func TestTwoGatewaysOnOneLogKnowEachOthersReports(t *testing.T) {
	w := newWorld(t)
	defer w.stop()
	second := *w
	second.start()
	defer second.stop()
	w.expect(w.signed("ann", 1, 1), "accepted 1/0")
	second.expect(w.signed("ann", 1, 1), "duplicate 1/0")
	w.expect(w.signed("ann", 1, 2), "accepted 1/1")
	second.expect(w.signed("ann", 1, 4), "accepted 1/2")
	second.expect(w.signed("ann", 1, 2), "duplicate 1/1")
	w.expect(w.signed("ann", 1, 5), "accepted 1/3")
	w.expect(w.signed("ann", 1, 4), "duplicate 1/2")
	second.expect(w.signed("ann", 1, 8), "accepted 1/4")
	w.expect(w.signed("ann", 1, 7), "accepted 1/5") // it has not heard of 8; the ledger has
	second.expect(w.signed("ann", 1, 7), "duplicate 1/5")
	second.expect(w.signed("ann", 1, 3), "refused 1 REASON_SEQUENCE_REPLAYED sequence")
}

func TestABodyHasLimits(t *testing.T) {
	w := newWorld(t)
	defer w.stop()
	junk := make([]byte, 1<<20)
	for _, c := range []struct {
		name    string
		records [][]byte
		want    error
	}{
		{"no reports", nil, nil},
		{"most reports", make([][]byte, MaxReports), nil},
		{"a report too many", make([][]byte, MaxReports+1), ErrTooLarge},
		{"most bytes", [][]byte{junk, junk, junk, junk}, nil},
		{"a byte too many", [][]byte{junk, junk, junk, junk, {0}}, ErrTooLarge},
	} {
		receipts, err := w.gateway.Submit(t.Context(), c.records)
		if !errors.Is(err, c.want) || err == nil && len(receipts) != len(c.records) {
			t.Errorf("%s: %d receipts, %v; want %v", c.name, len(receipts), err, c.want)
		}
	}
}

// gate is a log whose appends wait until it is opened.
type gate struct {
	eventstore.Log
	opened chan struct{}
}

func (g gate) Append(ctx context.Context, shard domain.Shard, values [][]byte) (domain.Offset, error) {
	<-g.opened
	return g.Log.Append(ctx, shard, values)
}

func TestAFullQueueIsBusyAndTheQueuedAreWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.stop()
		slow := gate{w.intake.Log, make(chan struct{})}
		w.intake.Log = slow
		var wg sync.WaitGroup
		for i := range queueSubmits + 1 {
			wg.Go(func() {
				if _, err := w.gateway.Submit(t.Context(), [][]byte{w.signed("ann", 1, uint64(i)+1)}); err != nil {
					t.Errorf("report %d: %v", i, err)
				}
			})
			synctest.Wait() // one stands in the append, the others behind it
		}
		if _, err := w.gateway.Submit(t.Context(), [][]byte{w.signed("bob", 1, 1)}); !errors.Is(err, ErrBusy) {
			t.Errorf("submit to a full queue: %v, want %v", err, ErrBusy)
		}
		close(slow.opened)
		wg.Wait()
		if n := len(w.records(1)); n != queueSubmits+1 {
			t.Errorf("%d records, want %d", n, queueSubmits+1)
		}
	})
}

func TestReportsOfOneSignerKeepTheirOrder(t *testing.T) {
	w := newWorld(t)
	defer w.stop()
	var wg sync.WaitGroup
	const bodies, size = 20, 25
	for _, name := range []string{"ann", "bob"} {
		wg.Go(func() {
			for body := range uint64(bodies) {
				var records [][]byte
				for i := range uint64(size) {
					records = append(records, w.signed(name, 1, 1+body*size+i))
				}
				if _, err := w.gateway.Submit(t.Context(), records); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
	wg.Wait()
	next := map[domain.KeyID]uint64{}
	for at, record := range w.records(1) {
		report := readReport(t, record)
		signer := domain.KeyID(report.Signer)
		next[signer]++
		if report.Sequence != next[signer] {
			t.Fatalf("record %d is number %d of its signer, want %d", at, report.Sequence, next[signer])
		}
	}
	if n := len(w.records(1)); n != 2*bodies*size {
		t.Errorf("%d records, want %d", n, 2*bodies*size)
	}
}

func TestAReceiptNamesTheRecord(t *testing.T) {
	w := newWorld(t)
	defer w.stop()
	records := manyOf(w, 1, 50)
	stored := map[domain.Offset][]byte{}
	for i, receipt := range w.submit(records...) {
		stored[domain.Offset(receipt.Offset)] = records[i]
	}
	for at, have := range w.records(1) {
		if !bytes.Equal(have, stored[domain.Offset(at)]) {
			t.Errorf("record %d is not the one that the receipt names", at)
		}
	}
}

func TestAGatewayThatWasToldToStopAnswersAll(t *testing.T) {
	w := newWorld(t)
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			record := w.signed("ann", 1, uint64(i)+1)
			_, err := w.gateway.Submit(context.Background(), [][]byte{record})
			if err != nil && !errors.Is(err, ErrClosed) && !errors.Is(err, ErrUnsure) && !errors.Is(err, ErrBusy) {
				t.Errorf("report %d: %v", i, err)
			}
		})
	}
	w.stop()
	wg.Wait()
}

func readReport(t failer, record []byte) *v1.Report {
	t.Helper()
	signed, report := &v1.SignedReport{}, &v1.Report{}
	if err := errors.Join(v1.Decode(record, signed), v1.Decode(signed.Report, report)); err != nil {
		t.Fatalf("record %x: %v", sha256.Sum256(record), err)
	}
	return report
}
