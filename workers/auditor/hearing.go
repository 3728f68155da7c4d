package auditor

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/ledger"
	"github.com/filature/filature/domain/signing"
	"github.com/filature/filature/eventstore"
)

// hearing reads one shard of intake in step with the ledger, a window at a time, and checks the
// signatures of a window together.
type hearing struct {
	log     eventstore.Reader
	shard   domain.Shard
	end     domain.Offset
	batch   *signing.Batch
	entropy io.Reader

	first  domain.Offset // of said
	said   []ledger.Said
	signed []int // scratch: which of said are in the batch

	signatures int64
}

func newHearing(cfg Config, shard domain.Shard, end domain.Offset) *hearing {
	return &hearing{log: cfg.Intake, shard: shard, end: end, batch: cfg.Verifier.NewBatch(readRecords), entropy: cfg.Entropy}
}

// errSilent says that nothing was said at an offset.
var errSilent = errors.New("no such intake record")

// next returns the record at an offset, which is the one after the last, or errSilent.
func (h *hearing) next(ctx context.Context, at domain.Offset) (*ledger.Said, error) {
	if at >= h.end {
		return nil, errSilent
	}
	if at >= h.first+domain.Offset(len(h.said)) {
		if err := h.listen(ctx, at); err != nil {
			return nil, err
		}
	}
	return &h.said[at-h.first], nil
}

// listen reads the window that begins at an offset. Signatures of keys that are not known yet are
// checked, too: a record before theirs may register them.
func (h *hearing) listen(ctx context.Context, at domain.Offset) error {
	records, err := h.log.Read(ctx, h.shard, at, int(min(readRecords, h.end-at)))
	if err != nil {
		return err
	}
	if len(records) == 0 {
		return fmt.Errorf("nothing at %d: %w", at, eventstore.ErrGap)
	}
	h.first, h.said, h.signed = at, h.said[:0], h.signed[:0]
	for i, record := range records {
		if want := at + domain.Offset(i); record.Offset != want {
			return fmt.Errorf("gives record %d for %d: %w", record.Offset, want, eventstore.ErrGap)
		}
		said, signed := ledger.Read(record.Offset, record.Time.UnixMilli(), record.Value)
		if said.Report != nil {
			h.batch.Add(domain.KeyID(said.Report.Signer), signed.Report, signed.Signature)
			h.signed = append(h.signed, i)
		}
		h.said = append(h.said, said)
	}
	verdicts, err := h.batch.Verify(h.entropy)
	if err != nil {
		return fmt.Errorf("check signatures: %w", err)
	}
	for n, i := range h.signed {
		h.said[i].Signed = verdicts[n]
	}
	h.signatures += int64(len(verdicts))
	return nil
}
