package projections

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// ReportKey names a report for ever.
type ReportKey struct {
	Signer   domain.KeyID
	Shard    domain.Shard
	Sequence uint64
}

// ParseReportKey reads SIGNER:SHARD:SEQUENCE, the signer in hexadecimal.
func ParseReportKey(s string) (key ReportKey, err error) {
	parts := strings.Split(s, ":")
	if len(parts) != 3 {
		return key, fmt.Errorf("report %q has %d parts, want SIGNER:SHARD:SEQUENCE", s, len(parts))
	}
	if key.Signer, err = domain.ParseID[domain.KeyID](parts[0]); err != nil {
		return key, fmt.Errorf("report %q: signer: %w", s, err)
	}
	shard, err := strconv.ParseInt(parts[1], 10, 32)
	if err != nil {
		return key, fmt.Errorf("report %q: shard %q: want a number", s, parts[1])
	}
	key.Shard = domain.Shard(shard)
	if key.Sequence, err = strconv.ParseUint(parts[2], 10, 64); err != nil {
		return key, fmt.Errorf("report %q: sequence %q: want a number", s, parts[2])
	}
	return key, nil
}

// Report is a report that the ledger took: it was signed, new, and its claims were answered one by one.
//
// A report that was refused as a whole has no row here, because it took no sequence number: a copy must
// not hide the original, and anybody can put somebody else's key on a report. It is in Rejections.
type Report struct {
	ReportKey
	// IntakeDigest is the SHA-256 of the intake record: it tells a copy from another body under the same
	// number.
	IntakeDigest domain.Digest
	Intake       domain.Offset
	Answered     Moment // in the report's shard
	Accepted     int64  // claims
	Rejected     int64  // claims; Rejections says why
}

// Columns lists the columns.
func (r *Report) Columns(c []Column) []Column {
	return append(c,
		Column{"signer", (*[32]byte)(&r.Signer)},
		Column{"shard", (*int32)(&r.Shard)},
		Column{"sequence", &r.Sequence},
		Column{"intake_digest", (*[32]byte)(&r.IntakeDigest)},
		Column{"intake_offset", (*int64)(&r.Intake)},
		Column{"answered_at_ms", &r.Answered.AtMs}, Column{"answered_offset", (*int64)(&r.Answered.Offset)},
		Column{"accepted_claims", &r.Accepted},
		Column{"rejected_claims", &r.Rejected},
	)
}

// Reports is every report that the ledger took.
var Reports = &Definition[ReportKey, Report, *Report]{
	Name: "reports", Version: 1, KeyColumns: 3, WriteOnce: true,
	Row: func(k ReportKey) Report { return Report{ReportKey: k} },
	Fold: func(e *Entry, row func(ReportKey) *Report) error {
		a := e.Answer
		if a == nil || a.Refusal != nil || len(a.Signer) == 0 {
			return nil
		}
		r := row(ReportKey{id[domain.KeyID](a.Signer), e.Shard, a.Sequence})
		r.IntakeDigest, r.Intake, r.Answered = id[domain.Digest](a.IntakeDigest), domain.Offset(a.IntakeOffset), e.moment()
		counted := uint32(0) // facts are in the order of claims; 0 is what log time did
		for _, fact := range a.Facts {
			if fact.Claim == counted {
				continue
			}
			counted = fact.Claim
			if fact.GetRejection() != nil {
				r.Rejected++
			} else {
				r.Accepted++
			}
		}
		return nil
	},
}

// RejectionKey is the place of the fact in the ledger.
type RejectionKey struct {
	Shard  domain.Shard
	Ledger domain.Offset
	Fact   int64 // from 1; 0 where the whole report was refused
}

// Rejected is a claim, or a whole report, that the ledger did not accept, and why. Of a refused report
// the signer is what the report said: nobody may have checked it.
type Rejected struct {
	RejectionKey
	AtMs       int64
	Signer     domain.KeyID
	Sequence   uint64
	Claim      uint32 // its place in the report, from 1; 0 for the whole report
	Intake     domain.Offset
	Reason     string // ReasonName
	Field      string
	Have, Want int64
	Job        domain.JobID
}

// Columns lists the columns.
func (r *Rejected) Columns(c []Column) []Column {
	return append(c,
		Column{"shard", (*int32)(&r.Shard)},
		Column{"ledger_offset", (*int64)(&r.Ledger)},
		Column{"fact", &r.Fact},
		Column{"at_ms", &r.AtMs},
		Column{"signer", (*[32]byte)(&r.Signer)},
		Column{"sequence", &r.Sequence},
		Column{"claim", &r.Claim},
		Column{"intake_offset", (*int64)(&r.Intake)},
		Column{"reason", &r.Reason},
		Column{"field", &r.Field},
		Column{"have", &r.Have},
		Column{"want", &r.Want},
		Column{"job", (*[32]byte)(&r.Job)},
	)
}

// Rejections is everything that the ledger did not accept.
var Rejections = &Definition[RejectionKey, Rejected, *Rejected]{
	Name: "rejections", Version: 1, KeyColumns: 3, WriteOnce: true,
	Row: func(k RejectionKey) Rejected { return Rejected{RejectionKey: k} },
	Fold: func(e *Entry, row func(RejectionKey) *Rejected) error {
		if e.Answer == nil {
			return nil
		}
		if e.Answer.Refusal != nil {
			row(RejectionKey{e.Shard, e.Offset, 0}).reject(e, 0, e.Answer.Refusal)
		}
		for i, fact := range e.Answer.Facts {
			if rejection := fact.GetRejection(); rejection != nil {
				row(RejectionKey{e.Shard, e.Offset, int64(i + 1)}).reject(e, fact.Claim, rejection)
			}
		}
		return nil
	},
}

func (r *Rejected) reject(e *Entry, claim uint32, why *v1.Rejection) {
	r.AtMs, r.Signer, r.Sequence = e.AtMs, id[domain.KeyID](e.Answer.Signer), e.Answer.Sequence
	r.Claim, r.Intake = claim, domain.Offset(e.Answer.IntakeOffset)
	r.Reason, r.Field = ReasonName(why.Reason), strings.Clone(why.Field)
	r.Have, r.Want, r.Job = why.Have, why.Want, id[domain.JobID](why.Job)
}

// ReasonKey names an hour and a reason.
type ReasonKey struct {
	HourMs int64  // start of the hour of log time
	Reason string // ReasonName
}

// ReasonHour counts what was rejected for one reason in one hour.
type ReasonHour struct {
	ReasonKey
	Count int64
}

// Columns lists the columns.
func (r *ReasonHour) Columns(c []Column) []Column {
	return append(c, Column{"hour_ms", &r.HourMs}, Column{"reason", &r.Reason}, Column{"rejections", &r.Count})
}

// Reasons counts Rejections by hour and reason.
var Reasons = &Definition[ReasonKey, ReasonHour, *ReasonHour]{
	Name: "rejection_reasons", Version: 1, KeyColumns: 2,
	Row: func(k ReasonKey) ReasonHour { return ReasonHour{ReasonKey: k} },
	Fold: func(e *Entry, row func(ReasonKey) *ReasonHour) error {
		if e.Answer == nil {
			return nil
		}
		if e.Answer.Refusal != nil {
			row(ReasonKey{hourOf(e.AtMs), ReasonName(e.Answer.Refusal.Reason)}).Count++
		}
		for _, fact := range e.Answer.Facts {
			if rejection := fact.GetRejection(); rejection != nil {
				row(ReasonKey{hourOf(e.AtMs), ReasonName(rejection.Reason)}).Count++
			}
		}
		return nil
	},
}
