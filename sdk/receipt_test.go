package sdk_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
	"github.com/filature/filature/sdk"
)

// oracle gives every report the same answer.
type oracle struct{ answer *v1.Receipt }

func (*oracle) Network(context.Context) (domain.NetworkID, int, error) {
	return network.ID, network.DataShards, nil
}

func (o *oracle) Submit(_ context.Context, reports [][]byte) ([]*v1.Receipt, error) {
	receipts := make([]*v1.Receipt, len(reports))
	for i := range receipts {
		receipts[i] = o.answer
	}
	return receipts, nil
}

// A conflict does not count, so what it said is kept, as of a refused report.
func TestAConflictIsKeptAndSaysWhoWasFirst(t *testing.T) {
	var seen []sdk.Receipt
	e := open(t, sdk.Config{
		Key: annsKey(), SpoolDir: t.TempDir(), Receipts: func(r sdk.Receipt) { seen = append(seen, r) },
		Gateway: &oracle{&v1.Receipt{Status: v1.ReceiptStatus_RECEIPT_STATUS_CONFLICT, Shard: 1, Offset: 9, FirstOffset: 4}},
	})
	must(t, e.Emit(t.Context(), 1, named("one")))
	must(t, e.Deliver(t.Context()))
	if len(seen) != 1 || seen[0].Status != sdk.Conflict || !seen[0].Status.Lost() || seen[0].Offset != 9 || seen[0].FirstOffset != 4 {
		t.Errorf("receipts %+v", seen)
	}
	kept := lines(t, e.RefusedFile())
	if len(kept) != 1 || !strings.Contains(kept[0], `"status":"conflict"`) || !strings.Contains(kept[0], `"name":"one"`) {
		t.Errorf("refused.jsonl says %q", kept)
	}
}

// What a later gateway may answer is not taken for anything: the report waits for a later program.
func TestAnAnswerThatIsNotUnderstoodLeavesTheReportInTheSpool(t *testing.T) {
	for _, status := range []v1.ReceiptStatus{v1.ReceiptStatus_RECEIPT_STATUS_UNSPECIFIED, 99} {
		e := open(t, sdk.Config{Key: annsKey(), SpoolDir: t.TempDir(), Gateway: &oracle{&v1.Receipt{Status: status}}})
		must(t, e.Emit(t.Context(), 1, named("one")))
		if err := e.Deliver(t.Context()); err == nil || errors.Is(err, sdk.ErrUnreachable) || e.Waiting() != 1 {
			t.Errorf("status %v: deliver: %v, %d wait", status, err, e.Waiting())
		}
	}
}
