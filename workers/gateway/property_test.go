package gateway

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"pgregory.net/rapid"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore/eventstoretest"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// Whatever is sent again, fails, is restarted and lags: each number of a signer stands in intake once,
// only conflicts beside it, each receipt names the record that was sent, and nothing that was
// acknowledged is missing.
func TestEachReportIsWrittenOnceWhateverHappens(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		defer func() { w.stop() }()
		var next [2]uint64
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			switch rapid.IntRange(0, 9).Draw(t, "step") {
			case 0:
				w.restart()
			case 1:
				w.reports.move(1, domain.Offset(rapid.IntRange(int(w.reports.to[1]), int(w.end(1))).Draw(t, "projected to")))
			case 2:
				w.intake.FailNext(rapid.SampledFrom([]eventstoretest.Fault{
					eventstoretest.Pass, eventstoretest.Lost, eventstoretest.Kept, eventstoretest.Cancelled,
				}).Draw(t, "fault"))
			default:
				w.submitAny(t, &next)
			}
		}
		w.checkIntake()
	})
}

// submitAny submits new reports, copies, conflicts and numbers that were passed over, mixed.
func (w *world) submitAny(t *rapid.T, next *[2]uint64) {
	names := []string{"ann", "bob"}
	var body [][]byte
	for range rapid.IntRange(1, 6).Draw(t, "reports") {
		who := rapid.IntRange(0, 1).Draw(t, "who")
		sequence := uint64(rapid.IntRange(1, int(next[who])+3).Draw(t, "sequence"))
		next[who] = max(next[who], sequence)
		if rapid.IntRange(0, 7).Draw(t, "conflict") == 0 {
			body = append(body, w.other(names[who], 1, sequence))
		} else {
			body = append(body, w.signed(names[who], 1, sequence))
		}
	}
	receipts, err := w.gateway.Submit(context.Background(), body)
	if errors.Is(err, ErrUnsure) {
		return
	}
	if err != nil {
		t.Fatalf("submit: %v", err)
	}
	stored := w.records(1)
	for i, r := range receipts {
		switch r.Status {
		case v1.ReceiptStatus_RECEIPT_STATUS_REFUSED:
			if r.Reason != v1.Reason_REASON_SEQUENCE_REPLAYED {
				t.Fatalf("report %d is refused: %v", i, r)
			}
			if at := place(stored, body[i]); at >= 0 {
				t.Fatalf("report %d is refused as passed over, and stands at %d", i, at)
			}
		case v1.ReceiptStatus_RECEIPT_STATUS_CONFLICT:
			first, own := readReport(t, stored[r.FirstOffset]), readReport(t, stored[r.Offset])
			if first.Sequence != own.Sequence || !bytes.Equal(first.Signer, own.Signer) || r.FirstOffset >= r.Offset {
				t.Fatalf("report %d is in conflict with %d, at %d: %v, %v", i, r.FirstOffset, r.Offset, first, own)
			}
			if place(stored, body[i]) < 0 {
				t.Fatalf("report %d is in conflict, and was not recorded", i)
			}
		case v1.ReceiptStatus_RECEIPT_STATUS_ACCEPTED, v1.ReceiptStatus_RECEIPT_STATUS_DUPLICATE:
			if !bytes.Equal(stored[r.Offset], body[i]) {
				t.Fatalf("report %d: another record stands where its receipt says: %v", i, r)
			}
			if at := place(stored, body[i]); at != int(r.Offset) {
				t.Fatalf("report %d stands at %d first, its receipt says %d", i, at, r.Offset)
			}
		}
	}
}

// checkIntake wants each number once, but for conflicts, and in the order in which the ledger takes them.
func (w *world) checkIntake() {
	w.Helper()
	type key struct {
		signer   domain.KeyID
		sequence uint64
	}
	first := map[key][]byte{}
	last := map[domain.KeyID]uint64{}
	for at, record := range w.records(1) {
		report := readReport(w, record)
		k := key{domain.KeyID(report.Signer), report.Sequence}
		switch {
		case first[k] == nil:
			first[k] = record
			if k.sequence <= last[k.signer] {
				w.Fatalf("record %d has number %d after %d: the ledger refuses it", at, k.sequence, last[k.signer])
			}
			last[k.signer] = k.sequence
		case bytes.Equal(first[k], record):
			w.Fatalf("record %d is a copy", at)
		}
	}
}

// place is where a record stands first, -1 if nowhere.
func place(stored [][]byte, record []byte) int {
	for at, s := range stored {
		if bytes.Equal(s, record) {
			return at
		}
	}
	return -1
}
