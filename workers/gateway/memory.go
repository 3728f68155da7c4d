package gateway

import (
	"context"
	"fmt"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/ledger"
	"github.com/filature/filature/domain/signing"
	"github.com/filature/filature/eventstore"
)

const (
	// maxUnprojected bounds the reports that a lane remembers because the projection does not know them
	// yet, at about 200 bytes each. A projection further behind than that makes the gateway busy: a copy
	// could not be told any more.
	maxUnprojected = 1 << 17
	// forgetEvery is how many new reports it takes to ask the projection how far it is: seldom enough
	// to cost nothing, often enough to stay small.
	forgetEvery = 1024
)

// memory tells a report from its copies. What the projection knows it asks the projection; all that is
// in intake behind that, it knows by itself. So there is no moment at which a copy is taken for new,
// however far the projection lags.
type memory struct {
	shard    domain.Shard
	intake   eventstore.Reader
	reports  Reports
	verifier *signing.Verifier

	next     domain.Offset // of intake: everything before it was heard
	forgetAt domain.Offset // when next gets here, the projection is asked how far it is
	known    map[reportKey]*known
	order    []*known // those in known, oldest first
	last     map[domain.KeyID]uint64
}

// reportKey names a report within its shard for ever.
type reportKey struct {
	signer   domain.KeyID
	sequence uint64
}

// known is the first report under its key.
type known struct {
	reportKey
	digest domain.Digest
	at     domain.Offset
}

// remember makes a memory of all of intake up to its present end.
func (l *lane) remember(ctx context.Context) (*memory, error) {
	m := &memory{
		shard: l.shard, intake: l.cfg.Intake, reports: l.cfg.Reports, verifier: l.cfg.Verifier,
		known: map[reportKey]*known{}, last: map[domain.KeyID]uint64{},
	}
	from, err := m.reports.AnsweredTo(ctx, m.shard)
	if err != nil {
		return nil, fmt.Errorf("ask for the projection's position: %w", err)
	}
	m.next = from
	return m, m.hearAll(ctx)
}

// hearAll hears what is in intake up to its present end.
func (m *memory) hearAll(ctx context.Context) error {
	end, err := m.intake.End(ctx, m.shard)
	if err != nil {
		return fmt.Errorf("end of intake: %w", err)
	}
	if end < m.next {
		return fmt.Errorf("intake ends at %d, and was heard up to %d: %w", end, m.next, eventstore.ErrGap)
	}
	return m.hear(ctx, end)
}

// hear takes in what is written up to an offset: after a restart, after a failed append, or because
// another gateway wrote it. A record that is not its signer's is passed over, as the ledger does.
func (m *memory) hear(ctx context.Context, to domain.Offset) error {
	if to == m.next {
		return nil
	}
	if behind := int(to-m.next) + len(m.order); behind > maxUnprojected {
		return fmt.Errorf("the projection of reports is %d records behind, at most %d can be remembered: %w", behind, maxUnprojected, ErrBusy)
	}
	err := eventstore.Each(ctx, m.intake, m.shard, m.next, to, func(rec eventstore.Record) error {
		m.next = rec.Offset + 1
		said, signed := ledger.Read(rec.Offset, 0, rec.Value)
		if said.Report == nil {
			return nil
		}
		key := reportKey{domain.KeyID(said.Report.Signer), said.Report.Sequence}
		if !m.verifier.Verify(key.signer, signed.Report, signed.Signature) {
			return nil
		}
		first, err := m.find(ctx, key)
		if err == nil && first == nil {
			m.note(&known{key, said.Digest, rec.Offset})
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("hear intake again: %w", err)
	}
	return nil
}

// find returns the first report under a key, nil if there was none.
func (m *memory) find(ctx context.Context, key reportKey) (*known, error) {
	if k := m.known[key]; k != nil {
		return k, nil
	}
	last, err := m.lastOf(ctx, key.signer)
	if err != nil || key.sequence > last {
		return nil, err
	}
	digest, at, ok, err := m.reports.Heard(ctx, m.shard, key.signer, key.sequence)
	if err != nil {
		return nil, fmt.Errorf("ask for report %s %d: %w", key.signer, key.sequence, err)
	}
	if !ok {
		return nil, nil //nolint:nilnil // there was none
	}
	return &known{key, digest, at}, nil
}

// lastOf returns the highest number of a signer, asking the projection the first time.
func (m *memory) lastOf(ctx context.Context, signer domain.KeyID) (uint64, error) {
	if last, ok := m.last[signer]; ok {
		return last, nil
	}
	last, err := m.reports.LastSequence(ctx, m.shard, signer)
	if err != nil {
		return 0, fmt.Errorf("ask for the last sequence of %s: %w", signer, err)
	}
	m.last[signer] = last
	return last, nil
}

// note remembers the first report under a key. Its signer's last number was asked for before.
func (m *memory) note(k *known) {
	m.known[k.reportKey] = k
	m.order = append(m.order, k)
	m.last[k.signer] = max(m.last[k.signer], k.sequence)
}

// forget lets go of what the projection knows by now, from time to time.
func (m *memory) forget(ctx context.Context) error {
	if m.next < m.forgetAt && len(m.order) < maxUnprojected {
		return nil
	}
	answered, err := m.reports.AnsweredTo(ctx, m.shard)
	if err != nil {
		return fmt.Errorf("ask for the projection's position: %w", err)
	}
	n := 0
	for n < len(m.order) && m.order[n].at < answered {
		delete(m.known, m.order[n].reportKey)
		n++
	}
	m.order = append([]*known(nil), m.order[n:]...)
	m.forgetAt = m.next + forgetEvery
	if len(m.order) >= maxUnprojected {
		return fmt.Errorf("%d reports are not in the projection yet: %w", len(m.order), ErrBusy)
	}
	return nil
}
