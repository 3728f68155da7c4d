package auditor

import (
	"slices"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/workers/verifier"
)

// Verdict is what an audit comes to.
type Verdict string

// Verdicts.
const (
	// Pass: all that was looked at is as it has to be. Steps says what was not looked at.
	Pass Verdict = "pass"
	// Fail: there is an offence.
	Fail Verdict = "fail"
	// Incomplete: no offence was found, but something that was to be looked at could not be; or there are
	// batches, and no chain to compare them with.
	Incomplete Verdict = "incomplete"
)

// Kind is the sort of an offence.
type Kind string

// Kinds of offences, in the order of the steps that find them.
const (
	// DamagedFile: bytes of a log's file are not as they were written.
	DamagedFile Kind = "damaged_file"
	// UnreadableLog: a log does not give the records that it says it has.
	UnreadableLog Kind = "unreadable_log"
	// UnreadableEntry: a record of the ledger is no entry.
	UnreadableEntry Kind = "unreadable_entry"
	// MissingEntry: an entry stands before the place that it was made for, so that something was taken
	// out before it, or it was moved.
	MissingEntry Kind = "missing_entry"
	// VoidEntry: an entry stands after the place that it was made for, and what it answers has no other
	// answer, so that something was put in before it.
	VoidEntry Kind = "void_entry"
	// ChangedEntry: an entry is not what follows from what was said.
	ChangedEntry Kind = "changed_entry"
	// ChangedIntake: an intake record is not the one that the ledger answered.
	ChangedIntake Kind = "changed_intake"
	// MissingIntake: the ledger answers an intake record that is not there.
	MissingIntake Kind = "missing_intake"
	// ForgedSignature: the ledger took a report whose signature does not hold.
	ForgedSignature Kind = "forged_signature"
	// ReplayedReport: the ledger took a report a second time.
	ReplayedReport Kind = "replayed_report"
	// UnbalancedFact: the postings of a fact do not sum to zero.
	UnbalancedFact Kind = "unbalanced_fact"
	// Overdrawn: a client's account went below zero.
	Overdrawn Kind = "overdrawn"
	// BadCheckpoint: a checkpoint has no signature that holds, or is of another network.
	BadCheckpoint Kind = "bad_checkpoint"
	// RewrittenLog: a shard of the ledger does not begin with the tree that was published of it.
	RewrittenLog Kind = "rewritten_log"
	// ChangedBatch: a sealed batch is not what the ledger owed at its cut.
	ChangedBatch Kind = "changed_batch"
	// BatchOnChain: the vault holds another root, total or commitment than the sealed batch.
	BatchOnChain Kind = "batch_on_chain"
	// UnbookedEvent: the chain did something that the ledger passed over.
	UnbookedEvent Kind = "unbooked_event"
	// ChangedEvent: the ledger booked something of the chain otherwise than it was.
	ChangedEvent Kind = "changed_event"
	// InventedEvent: the ledger booked something that the chain never did.
	InventedEvent Kind = "invented_event"
	// BookedTwice: the ledger booked one transaction of the chain twice.
	BookedTwice Kind = "booked_twice"
	// ChangedRow: a row of a read model is not what the ledger adds up to.
	ChangedRow Kind = "changed_row"
	// LostRecords: a read model has taken in more records than the ledger has.
	LostRecords Kind = "lost_records"
	// Unbalanced: the trial balance is not zero.
	Unbalanced Kind = "unbalanced"
	// VaultShort: the vault holds less than it owes.
	VaultShort Kind = "vault_short"
	// CountedOtherwise: the second count of the books, made from the documents alone, comes to something else.
	CountedOtherwise Kind = "counted_otherwise"
)

// LogName is where an offence stands.
type LogName string

// Places where an offence can stand.
const (
	Intake     LogName = "intake"
	Ledger     LogName = "ledger"
	OnChain    LogName = "chain"
	ReadModels LogName = "projections"
)

// Bounds of a report, so that it can be read.
const (
	maxOffences = 100
	maxOfKind   = 20   // so that one kind does not hide the others
	maxShown    = 4096 // bytes of a record as JSON: most are whole
)

// Place is one record of a log.
type Place struct {
	Shard  int32 `json:"shard"`
	Offset int64 `json:"offset"`
}

func placeOf(shard domain.Shard, offset domain.Offset) *Place {
	return &Place{Shard: int32(shard), Offset: int64(offset)}
}

// Offence is one thing that is not as it has to be. Fields that say nothing are left out.
type Offence struct {
	Kind Kind    `json:"kind"`
	Log  LogName `json:"log"`
	At   *Place  `json:"at,omitempty"`
	// Intake is the intake record that the ledger's entry answers, Ledger the entry that answers the
	// intake record: the other side of At.
	Intake *Place `json:"intake,omitempty"`
	Ledger *Place `json:"ledger,omitempty"`
	// Pin is the pin that an entry was decided under. Where nothing else explains a changed entry, the
	// pin was moved: nobody's claim says where it belongs.
	Pin *Place `json:"pin,omitempty"`
	// File and Byte, for damaged files.
	File string `json:"file,omitempty"`
	Byte int64  `json:"byte,omitempty"`
	// Table and Row, for read models.
	Table string `json:"table,omitempty"`
	Row   string `json:"row,omitempty"`
	Batch uint32 `json:"batch,omitempty"`
	// LT and Tx name a transaction of the vault.
	LT uint64 `json:"lt,omitempty"`
	Tx string `json:"tx,omitempty"`
	// Field is the first field or column that differs, Have what is kept there, Want what belongs there.
	Field string `json:"field,omitempty"`
	Have  string `json:"have,omitempty"`
	Want  string `json:"want,omitempty"`
	// Stored and Follows are the whole record as it is and as it has to be, as JSON, cut where they are
	// long.
	Stored  string `json:"stored,omitempty"`
	Follows string `json:"follows,omitempty"`
	// Why says it in words.
	Why string `json:"why"`
}

// KindTotal is how many offences of a kind there are, listed or not.
type KindTotal struct {
	Kind  Kind  `json:"kind"`
	Total int64 `json:"total"`
}

// offences keeps the first ones of each kind and counts all.
type offences struct {
	list   []Offence
	totals []KindTotal // in the order of their first
}

func (o *offences) add(offence Offence) {
	at := slices.IndexFunc(o.totals, func(t KindTotal) bool { return t.Kind == offence.Kind })
	if at < 0 {
		at = len(o.totals)
		o.totals = append(o.totals, KindTotal{Kind: offence.Kind})
	}
	o.totals[at].Total++
	if len(o.list) < maxOffences && o.totals[at].Total <= maxOfKind {
		o.list = append(o.list, offence)
	}
}

// count is how many there are, listed or not.
func (o *offences) count() (n int64) {
	for _, of := range o.totals {
		n += of.Total
	}
	return n
}

// join takes in what was found apart, in its order.
func (o *offences) join(list []Offence, totals []KindTotal) {
	for _, offence := range list {
		o.add(offence)
	}
	for _, total := range totals {
		listed := int64(0)
		for _, offence := range list {
			if offence.Kind == total.Kind {
				listed++
			}
		}
		o.unlisted(total.Kind, total.Total-listed)
	}
}

// unlisted counts offences of a kind that somebody found and did not keep.
func (o *offences) unlisted(kind Kind, n int64) {
	for i := range o.totals {
		if o.totals[i].Kind == kind {
			o.totals[i].Total += n
		}
	}
}

// StepState says how far a step came.
type StepState string

// States of a step.
const (
	StepDone    StepState = "done"
	StepSkipped StepState = "skipped" // there was nothing to look at, or nothing to look with
	StepStopped StepState = "stopped" // something could not be looked at
)

// Count is a number of things that were checked.
type Count struct {
	Number int64  `json:"number"`
	Of     string `json:"of"`
}

func count(n int64, of string) Count { return Count{n, of} }

// Step is one part of an audit.
type Step struct {
	Name    string    `json:"name"`
	State   StepState `json:"state"`
	Checked []Count   `json:"checked,omitempty"`
	// Why says why a step was skipped, or where it stopped.
	Why string `json:"why,omitempty"`
	// Offences is how many were found in it.
	Offences int64 `json:"offences,omitempty"`
}

func (s Step) skip(why string) Step {
	s.State, s.Why = StepSkipped, why
	return s
}

// stop keeps the first reason.
func (s Step) stop(err error) Step {
	if s.State != StepStopped {
		s.State, s.Why = StepStopped, err.Error()
	}
	return s
}

func (s Step) done(checked ...Count) Step {
	if s.State == "" {
		s.State = StepDone
	}
	s.Checked = checked
	return s
}

// Shard is what was checked of one shard.
type Shard struct {
	Shard domain.Shard `json:"shard"`
	// Checked is the ledger offset up to which (exclusive) all is as it has to be, End where the ledger
	// ended when the audit began.
	Checked domain.Offset `json:"checked"`
	End     domain.Offset `json:"end"`
	// Answered is the intake offset up to which the checked entries answer, Pending how many records
	// came after and wait for their answer.
	Answered domain.Offset `json:"answered"`
	Pending  int64         `json:"pending"`

	Facts      int64 `json:"facts"`
	Rejections int64 `json:"rejections"`
	Refusals   int64 `json:"refusals"`
	Postings   int64 `json:"postings"`
	Signatures int64 `json:"signatures"`
	Void       int64 `json:"void"`
	// SignedTo and WitnessedTo are how many entries, from the first on, are under a checkpoint with the signatures that were
	// wanted, and under one that a witness cosigned.
	SignedTo    int64 `json:"signed_to,omitempty"`
	WitnessedTo int64 `json:"witnessed_to,omitempty"`
	// Why says why the shard was not checked to its end.
	Why string `json:"why,omitempty"`
}

// Batch is one settlement batch, three times: as it was sealed, as the log makes it again, and as the
// vault took it.
type Batch struct {
	Number  uint32  `json:"number"`
	Cut     []int64 `json:"cut"`
	Sealed  Place   `json:"sealed"`
	Root    string  `json:"root"`
	LogRoot string  `json:"root_from_log,omitempty"`
	// SecondRoot is what the second count came to, from the documents alone.
	SecondRoot string `json:"root_from_second_count,omitempty"`
	ChainRoot  string `json:"root_on_chain,omitempty"`
	// Equal says that all three are there and the same.
	Equal     bool        `json:"equal"`
	TotalNano domain.Nano `json:"total_nano"`
	Payees    int64       `json:"payees"`
	State     string      `json:"state"`
	// Tx is the vault's transaction that brought the state about.
	Tx string `json:"tx,omitempty"`
}

// Money is what the books say and what the vault holds.
type Money struct {
	TrialBalanceNano domain.Nano `json:"trial_balance_nano"`
	ClientsNano      domain.Nano `json:"clients_nano"`
	ProvidersNano    domain.Nano `json:"providers_nano"`
	NetworkNano      domain.Nano `json:"network_nano"`
	// BooksNano is what the vault has to hold by the books.
	BooksNano domain.Nano `json:"books_nano"`
	// Vault is nil where the chain was not looked at.
	Vault *VaultMoney `json:"vault,omitempty"`
}

// VaultMoney is what the vault holds, and what explains the difference to the books.
type VaultMoney struct {
	FreeNano domain.Nano `json:"free_nano"`
	PaidNano domain.Nano `json:"paid_nano"`
	// PendingInNano and PendingOutNano came in and went out, and are not booked yet.
	PendingInNano  domain.Nano `json:"pending_in_nano"`
	PendingOutNano domain.Nano `json:"pending_out_nano"`
	// SurplusNano is what the vault holds beyond the books: top-ups, less fees.
	SurplusNano domain.Nano `json:"surplus_nano"`
}

// Report is what an audit found.
type Report struct {
	Verdict  Verdict     `json:"verdict"`
	Network  string      `json:"network"`
	Steps    []Step      `json:"steps"`
	Shards   []Shard     `json:"shards"`
	Batches  []Batch     `json:"batches"`
	Money    *Money      `json:"money,omitempty"`
	Offences []Offence   `json:"offences"`
	Totals   []KindTotal `json:"totals"`
	// Resumed is what was not done in this run, but in an earlier one; nil where that is nothing.
	Resumed *Resumed `json:"resumed,omitempty"`
	// Diverges is where the ledger and the chain part; nil where they do not.
	Diverges *Divergence `json:"diverges,omitempty"`
	// Attestations is what archived evidence says; nil where nobody looked.
	Attestations *verifier.AuditReport `json:"attestations,omitempty"`
	// Decoded is the record that the first offence is about, field by field; nil where it is about none.
	Decoded *Decoded `json:"decoded,omitempty"`
}

func (r *Report) verdict() Verdict {
	switch {
	case len(r.Offences) > 0 || r.unborne() > 0:
		return Fail
	case slices.ContainsFunc(r.Steps, func(s Step) bool { return s.State == StepStopped }):
		return Incomplete
	case !slices.ContainsFunc(r.Steps, func(s Step) bool { return s.Name == "ledger" && s.State == StepDone }):
		return Incomplete
	case len(r.Batches) > 0 && !slices.ContainsFunc(r.Steps, func(s Step) bool { return s.Name == "chain" && s.State == StepDone }):
		// Whoever holds all keys can write another history that agrees with itself. Only the chain says that
		// this is the one that was paid by.
		return Incomplete
	default:
		return Pass
	}
}
