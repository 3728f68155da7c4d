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

	first   domain.Offset // of the window
	records []eventstore.Record
	said    []ledger.Said // of all records, once they were listened to; else of none
	signed  []int         // scratch: which of said are in the batch

	signatures int64 // of the records that were asked for
}

func newHearing(cfg Config, shard domain.Shard, end domain.Offset) *hearing {
	return &hearing{log: cfg.Intake, shard: shard, end: end, batch: cfg.Verifier.NewBatch(readRecords), entropy: cfg.Entropy}
}

// errSilent says that nothing was said at an offset.
var errSilent = errors.New("no such intake record")

// next returns what was said at an offset, which is the one after the last, and the record, or errSilent.
func (h *hearing) next(ctx context.Context, at domain.Offset) (*ledger.Said, eventstore.Record, error) {
	if at >= h.end {
		return nil, eventstore.Record{}, errSilent
	}
	if at >= h.first+domain.Offset(len(h.said)) {
		if err := h.listen(ctx, at); err != nil {
			return nil, eventstore.Record{}, err
		}
	}
	said := &h.said[at-h.first]
	if said.Report != nil {
		h.signatures++
	}
	return said, h.records[at-h.first], nil
}

// record returns the record at an offset, which is the one after the last, as it is, or errSilent.
func (h *hearing) record(ctx context.Context, at domain.Offset) (eventstore.Record, error) {
	if at >= h.end {
		return eventstore.Record{}, errSilent
	}
	if at >= h.first+domain.Offset(len(h.records)) {
		if err := h.read(ctx, at); err != nil {
			return eventstore.Record{}, err
		}
	}
	return h.records[at-h.first], nil
}

// read reads the window that begins at an offset.
func (h *hearing) read(ctx context.Context, at domain.Offset) error {
	h.first, h.records, h.said, h.signed = at, nil, h.said[:0], h.signed[:0]
	records, err := h.log.Read(ctx, h.shard, at, int(min(readRecords, h.end-at)))
	if err != nil {
		return err
	}
	if len(records) == 0 {
		return fmt.Errorf("nothing at %d: %w", at, eventstore.ErrGap)
	}
	for i, record := range records {
		if want := at + domain.Offset(i); record.Offset != want {
			return fmt.Errorf("gives record %d for %d: %w", record.Offset, want, eventstore.ErrGap)
		}
	}
	h.records = records
	return nil
}

// listen reads the window that begins at an offset, and checks its signatures. Those of keys that are not known yet are
// checked, too: a record before theirs may register them.
func (h *hearing) listen(ctx context.Context, at domain.Offset) error {
	if err := h.read(ctx, at); err != nil {
		return err
	}
	for i, record := range h.records {
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
	return nil
}
