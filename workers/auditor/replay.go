package auditor

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/ledger"
	"github.com/filature/filature/eventstore"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// Bounds of what one shard holds in memory at a time.
const (
	// readRecords of either log; also the size of a batch of signatures. At most 256 MB, and in truth
	// a few hundred KB.
	readRecords = 256
	// maxVoid is how many void entries may wait for another entry to answer what they answer. A clerk
	// leaves as many as it decides between two appends, about a thousand.
	maxVoid = 1 << 16
)

// replay makes one shard of the ledger again. One goroutine owns it.
type replay struct {
	cfg      Config
	shard    domain.Shard
	end      domain.Offset // of the ledger
	control  *replay       // nil for control itself
	state    *ledger.State
	intake   *hearing
	encoded  []byte
	progress *progress

	heads  *heads     // nil where nothing is saved
	taken  savedPoint // up to where an earlier run has checked
	failed error      // what ends the whole audit

	void     []voidEntry // unanswered so far, in the order of the log
	voidPin  *voidEntry  // the entry before, if it was one
	pin      *Place      // the last that counts
	books    books
	summary  Shard
	offences []Offence
}

type voidEntry struct {
	at     domain.Offset
	intake domain.Offset
	meant  domain.Offset
}

func newReplay(cfg Config, shard domain.Shard, cut savedShard, p *progress) *replay {
	r := &replay{
		cfg: cfg, shard: shard, end: cut.LedgerEnd, state: ledger.New(shard), progress: p, taken: cut.Checked,
		intake:  newHearing(cfg, shard, cut.IntakeEnd),
		books:   newBooks(shard),
		summary: Shard{Shard: shard, End: cut.LedgerEnd},
	}
	if cfg.Saved != nil {
		r.heads = newHeads()
	}
	return r
}

// errOffence ends a shard; the offence is noted.
var errOffence = errors.New("offence")

// run makes the shard again up to its end, or to where it can't be believed or followed any more.
func (r *replay) run(ctx context.Context) {
	err := r.entries(ctx)
	if errors.Is(err, ErrOtherState) || errors.Is(err, errNotSaved) {
		r.failed = err
		return
	}
	if errors.Is(err, errYoung) {
		r.end, err = r.state.NextEntry(), nil
		r.summary.End = r.end
	}
	if err == nil {
		err = r.unanswered() // of those at the end: nothing comes after them
	}
	if err == nil && r.voidPin != nil {
		err = r.lonelyPin()
	}
	r.summary.Checked, r.summary.Answered = r.state.NextEntry(), r.state.NextIntake()
	switch {
	case err == nil:
		r.summary.Pending = int64(r.intake.end - r.summary.Answered)
	case errors.Is(err, errOffence):
		at := r.offences[0].At
		if ledgerPlace := r.offences[0].Ledger; ledgerPlace != nil {
			at = ledgerPlace
		}
		r.summary.Checked = domain.Offset(at.Offset)
		r.summary.Why = fmt.Sprintf("not to be believed from entry %d on", at.Offset)
	default:
		r.summary.Why = err.Error()
	}
	r.summary.Signatures = r.intake.signatures
}

func (r *replay) offend(o Offence) error {
	r.offences = append(r.offences, o)
	return errOffence
}

func (r *replay) entries(ctx context.Context) error {
	for next := r.state.NextEntry(); next < r.end; {
		limit := min(readRecords, r.end-next)
		if next < r.taken.Ledger {
			limit = min(limit, r.taken.Ledger-next)
		}
		records, err := r.cfg.Ledger.Read(ctx, r.shard, next, int(limit))
		if err == nil && len(records) == 0 {
			err = fmt.Errorf("nothing at %d: %w", next, eventstore.ErrGap)
		}
		if err != nil {
			return r.unreadable(Ledger, next, err)
		}
		facts := r.summary.Facts
		for _, record := range records {
			if record.Offset != next {
				return r.unreadable(Ledger, next, fmt.Errorf("gives record %d: %w", record.Offset, eventstore.ErrGap))
			}
			if err := r.entry(ctx, record); err != nil {
				return err
			}
			if err := r.heads.entry(record); err != nil {
				return err
			}
			next++
		}
		if err := r.mark(int64(len(records)) + r.summary.Facts - facts); err != nil {
			return err
		}
		r.progress.add(int64(len(records)))
	}
	return nil
}

// unreadable tells a log that is damaged from one that can't be had at the moment.
func (r *replay) unreadable(log LogName, at domain.Offset, err error) error {
	if errors.Is(err, eventstore.ErrGap) || errors.Is(err, eventstore.ErrCorrupt) {
		o := Offence{Kind: UnreadableLog, Log: log, At: placeOf(r.shard, at), Why: err.Error()}
		if log == Intake {
			o.Ledger = placeOf(r.shard, r.state.NextEntry())
		}
		return r.offend(o)
	}
	return fmt.Errorf("read %s from %d: %w", log, at, err)
}

func (r *replay) entry(ctx context.Context, record eventstore.Record) error {
	if record.Offset >= r.taken.Ledger && r.voidPin == nil && seemsAnswer(record) {
		said, heard, err := r.intake.next(ctx, r.state.NextIntake())
		switch {
		case err == nil:
			return r.answer(record, said, heard)
		case !errors.Is(err, errSilent):
			return r.unreadable(Intake, r.state.NextIntake(), err)
		}
	}
	stored, err := eventstore.DecodeEntry(r.shard, record)
	if err != nil {
		return r.offend(Offence{Kind: UnreadableEntry, Log: Ledger, At: placeOf(r.shard, record.Offset), Why: err.Error()})
	}
	if ledger.Void(record.Offset, stored) {
		return r.passOver(record.Offset, stored)
	}
	if r.voidPin != nil {
		return r.lonelyPin()
	}
	if record.Offset < r.taken.Ledger {
		said, err := r.recall(ctx, record.Offset, stored)
		if err != nil {
			return err
		}
		return r.accept(record.Offset, stored, said)
	}
	follows, said, err := r.follow(ctx, record.Offset, stored)
	if err != nil {
		return err
	}
	if r.encoded, err = v1.AppendEncoded(r.encoded[:0], follows); err != nil {
		return fmt.Errorf("entry %d: %w", record.Offset, err)
	}
	if !bytes.Equal(r.encoded, record.Value) {
		return r.offend(r.explain(record.Offset, stored, follows, said))
	}
	return r.accept(record.Offset, follows, said)
}

// answer makes the answer that has to stand in a record. As a rule it does, and then nobody has to decode the record: there
// is one encoding per value.
func (r *replay) answer(record eventstore.Record, said *ledger.Said, heard eventstore.Record) error {
	if err := r.heads.answered(heard); err != nil {
		return err
	}
	follows, err := r.state.Step(*said)
	if err != nil {
		return err
	}
	if r.encoded, err = v1.AppendEncoded(r.encoded[:0], follows); err != nil {
		return fmt.Errorf("entry %d: %w", record.Offset, err)
	}
	if bytes.Equal(r.encoded, record.Value) {
		return r.accept(record.Offset, follows, said)
	}
	stored, err := eventstore.DecodeEntry(r.shard, record)
	if err != nil {
		return r.offend(Offence{Kind: UnreadableEntry, Log: Ledger, At: placeOf(r.shard, record.Offset), Why: err.Error()})
	}
	return r.offend(r.explain(record.Offset, stored, follows, said))
}

// seemsAnswer tells whether a record begins as an answer that stands at its place does: log time, place, answer. One that
// does not may be one all the same.
func seemsAnswer(record eventstore.Record) bool {
	rest, value := record.Value, uint64(0)
	for _, field := range []protowire.Number{1, 2} { // at_ms, offset
		number, kind, tag := protowire.ConsumeTag(rest)
		if tag < 0 || number != field || kind != protowire.VarintType {
			return false
		}
		var length int
		if value, length = protowire.ConsumeVarint(rest[tag:]); length < 0 {
			return false
		}
		rest = rest[tag+length:]
	}
	number, _, tag := protowire.ConsumeTag(rest)
	return tag > 0 && number == 4 && value == uint64(record.Offset) // 4 is answer
}

// passOver judges an entry that does not count. A clerk that woke up too late leaves some that stand
// after the place they were made for, and others answer what they answer. Anything else was done to the
// log by hand: nothing lets an entry stand before its place, and a clerk pins only what it then answers
// from, in the same append.
func (r *replay) passOver(at domain.Offset, stored *v1.Entry) error {
	v := voidEntry{at: at, meant: domain.Offset(stored.Offset)}
	if v.meant > at || v.meant < 0 {
		return r.offend(Offence{
			Kind: MissingEntry, Log: Ledger, At: placeOf(r.shard, at), Stored: show(stored),
			Field: "offset", Have: fmt.Sprint(v.meant), Want: fmt.Sprint(at),
			Why: fmt.Sprintf("was made for place %d: records before it are missing, or it was moved", v.meant),
		})
	}
	r.summary.Void++
	r.voidPin = nil
	switch body := stored.Body.(type) {
	case *v1.Entry_Pin:
		r.voidPin = &v
	case *v1.Entry_Answer:
		if v.intake = domain.Offset(body.Answer.IntakeOffset); v.intake >= r.state.NextIntake() {
			r.void = append(r.void, v)
		}
	}
	if len(r.void) > maxVoid {
		if err := r.unanswered(); err != nil {
			return err
		}
	}
	return r.state.Evolve(at, stored)
}

// unanswered finds the first void entry whose intake record nobody else answered.
func (r *replay) unanswered() error {
	for _, v := range r.void {
		if v.intake >= r.state.NextIntake() {
			return r.offend(r.voidOffence(v))
		}
	}
	r.void = r.void[:0]
	return nil
}

func (r *replay) voidOffence(v voidEntry) Offence {
	return Offence{
		Kind: VoidEntry, Log: Ledger, At: placeOf(r.shard, v.at), Intake: placeOf(r.shard, v.intake),
		Field: "offset", Have: fmt.Sprint(v.meant), Want: fmt.Sprint(v.at),
		Why: fmt.Sprintf("was made for place %d, and no entry that counts answers intake %d/%d", v.meant, r.shard, v.intake),
	}
}

func (r *replay) lonelyPin() error {
	return r.offend(Offence{
		Kind: VoidEntry, Log: Ledger, At: placeOf(r.shard, r.voidPin.at),
		Field: "offset", Have: fmt.Sprint(r.voidPin.meant), Want: fmt.Sprint(r.voidPin.at),
		Why: fmt.Sprintf("a pin made for place %d, without the answers that a clerk appends with it", r.voidPin.meant),
	})
}

// follow returns the entry that has to stand at an offset, and the intake record that it answers, if it
// answers one. It believes nothing of what is stored there but its kind.
func (r *replay) follow(ctx context.Context, at domain.Offset, stored *v1.Entry) (*v1.Entry, *ledger.Said, error) {
	if r.shard == domain.Control && at == 0 {
		genesis := r.cfg.Genesis
		if genesis == nil {
			genesis = stored.GetGenesis()
		}
		if genesis == nil {
			return nil, nil, r.offend(r.changed(at, stored, "control does not begin with a genesis"))
		}
		if have := r.cfg.Ledger.Shards(); have != int(genesis.Shards)+1 {
			return nil, nil, r.offend(r.changed(at, stored, fmt.Sprintf("begins %d data shards and control, and the log has %d shards", genesis.Shards, have)))
		}
		follows, err := r.state.Begin(genesis)
		if err != nil {
			return nil, nil, r.offend(r.changed(at, stored, err.Error()))
		}
		return follows, nil, nil
	}
	if pin := stored.GetPin(); pin != nil && r.shard != domain.Control {
		if err := r.learn(ctx, at, stored); err != nil {
			return nil, nil, err
		}
		follows, err := r.state.Pin()
		return follows, nil, err
	}
	said, record, err := r.intake.next(ctx, r.state.NextIntake())
	if errors.Is(err, errSilent) {
		next := placeOf(r.shard, r.state.NextIntake())
		return nil, nil, r.offend(Offence{
			Kind: MissingIntake, Log: Intake, At: next, Ledger: placeOf(r.shard, at), Stored: show(stored),
			Why: fmt.Sprintf("is not there, and ledger %d/%d answers it", r.shard, at),
		})
	}
	if err != nil {
		return nil, nil, r.unreadable(Intake, r.state.NextIntake(), err)
	}
	if err := r.heads.answered(record); err != nil {
		return nil, nil, err
	}
	follows, err := r.state.Step(*said)
	return follows, said, err
}

// learn tells the shard of control as far as its pin says, but only what was made again.
func (r *replay) learn(ctx context.Context, at domain.Offset, stored *v1.Entry) error {
	to := domain.Offset(stored.GetPin().ControlOffset)
	if to > r.control.summary.Checked {
		if why := r.control.summary.Why; why != "" {
			return fmt.Errorf("entry %d wants control to %d, and control is %s", at, to, why)
		}
		end, err := r.cfg.Ledger.End(ctx, domain.Control)
		if err != nil {
			return fmt.Errorf("end of control: %w", err)
		}
		if to > end {
			return r.offend(r.changed(at, stored, fmt.Sprintf("pins control at %d, which ends at %d", to, end)))
		}
		return errYoung
	}
	err := eventstore.Each(ctx, r.cfg.Ledger, domain.Control, r.state.KnowsControlTo(), to, func(record eventstore.Record) error {
		entry, err := eventstore.DecodeEntry(domain.Control, record)
		if err != nil {
			return err
		}
		return r.state.Learn(record.Offset, entry)
	})
	if err != nil {
		return fmt.Errorf("tell of control: %w", err)
	}
	return nil
}

// errYoung says that an entry is younger than the audit: it was decided with what control said after the
// audit began. The shard ends before it.
var errYoung = errors.New("entry is younger than the audit")

// accept takes in what an entry did. It was made again, so it is believed.
func (r *replay) accept(at domain.Offset, entry *v1.Entry, said *ledger.Said) error {
	if entry.GetPin() != nil {
		r.pin = placeOf(r.shard, at)
	}
	answer := entry.GetAnswer()
	if answer == nil {
		return nil
	}
	for len(r.void) > 0 && r.void[0].intake < r.state.NextIntake() {
		r.void = r.void[1:]
	}
	if answer.Refusal != nil {
		r.summary.Refusals++
	}
	for i, fact := range answer.Facts {
		r.summary.Facts++
		r.summary.Postings += int64(len(fact.Postings))
		if fact.GetRejection() != nil {
			r.summary.Rejections++
		}
		field := func() string { return fmt.Sprintf("answer.facts[%d].postings", i) }
		if err := ledger.SumsToZero(fact); err != nil {
			return r.offend(Offence{Kind: UnbalancedFact, Log: Ledger, At: placeOf(r.shard, at), Field: field(), Stored: show(fact), Why: err.Error()})
		}
		if why := r.books.post(fact); why != "" {
			return r.offend(Offence{Kind: Overdrawn, Log: Ledger, At: placeOf(r.shard, at), Field: field(), Stored: show(fact), Why: why})
		}
		r.books.note(at, fact, said)
	}
	return nil
}

// changed is an entry that can't follow from anything.
func (r *replay) changed(at domain.Offset, stored *v1.Entry, why string) Offence {
	return Offence{Kind: ChangedEntry, Log: Ledger, At: placeOf(r.shard, at), Stored: show(stored), Why: why}
}

// explain says which record is not genuine where an entry is not what follows: the entry, or the
// intake record that it answers.
func (r *replay) explain(at domain.Offset, stored, follows *v1.Entry, said *ledger.Said) Offence {
	o := r.changed(at, stored, "is not what follows from the log before it")
	o.Field, o.Have, o.Want = firstDifference(stored.ProtoReflect(), follows.ProtoReflect())
	o.Follows, o.Pin = show(follows), r.pin
	if said == nil {
		return o
	}
	o.Intake = placeOf(r.shard, said.Offset)
	have, want := stored.GetAnswer(), follows.GetAnswer()
	if have.GetIntakeOffset() > want.IntakeOffset {
		for _, v := range r.void { // the answer that is passed over is there, but made void
			if v.intake == said.Offset {
				return r.voidOffence(v)
			}
		}
	}
	if have == nil || have.IntakeOffset != want.IntakeOffset {
		return o
	}
	switch {
	case !bytes.Equal(have.IntakeDigest, want.IntakeDigest) && !answers(have, said):
		o.Kind, o.Field = ChangedIntake, "answer.intake_digest"
		o.Have, o.Want = fmt.Sprintf("%x", have.IntakeDigest), fmt.Sprintf("%x", want.IntakeDigest)
		o.Why = "is not the record that the ledger answered: " + condition(said)
		o.Log, o.At, o.Intake, o.Ledger = Intake, o.Intake, nil, o.At
	case have.Refusal != nil || want.Refusal == nil:
		// The report as a whole is not at issue.
	case want.Refusal.Reason == v1.Reason_REASON_BAD_SIGNATURE:
		o.Kind, o.Why = ForgedSignature, "its signature does not hold, and the ledger took it"
		o.Log, o.At, o.Intake, o.Ledger = Intake, o.Intake, nil, o.At
	case replayed(want.Refusal.Reason):
		o.Kind, o.Why = ReplayedReport, "takes a report that was taken before: "+ledger.Explain(want.Refusal)
	}
	return o
}

// answers tells whether an answer is for this very report: then it is the digest in the answer that was
// changed.
func answers(answer *v1.Answer, said *ledger.Said) bool {
	return said.Report != nil && said.Signed && bytes.Equal(answer.Signer, said.Report.Signer) && answer.Sequence == said.Report.Sequence
}

func condition(said *ledger.Said) string {
	switch {
	case said.Report == nil:
		return "it cannot be read: " + said.Malformed.Error()
	case !said.Signed:
		return "its signature does not hold"
	default:
		return fmt.Sprintf("it is report %d of signer %x", said.Report.Sequence, said.Report.Signer)
	}
}

func replayed(reason v1.Reason) bool {
	return reason == v1.Reason_REASON_DUPLICATE_REPORT || reason == v1.Reason_REASON_SEQUENCE_CONFLICT ||
		reason == v1.Reason_REASON_SEQUENCE_REPLAYED
}
