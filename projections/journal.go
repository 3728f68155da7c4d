package projections

import (
	"github.com/filature/filature/domain"
)

// PostingKey is the place of a posting in the ledger.
type PostingKey struct {
	Shard  domain.Shard
	Ledger domain.Offset
	// Fact is the place of the fact in its entry, Posting the place in its fact, both from 1.
	Fact, Posting int64
}

// JournalLine is one posting.
type JournalLine struct {
	PostingKey
	Kind   string // KindName
	Owner  [32]byte
	Amount domain.Nano
	AtMs   int64
	What   string // FactName
	Job    domain.JobID
}

// Columns lists the columns.
func (r *JournalLine) Columns(c []Column) []Column {
	return append(c,
		Column{"shard", (*int32)(&r.Shard)},
		Column{"ledger_offset", (*int64)(&r.Ledger)},
		Column{"fact", &r.Fact},
		Column{"posting", &r.Posting},
		Column{"kind", &r.Kind},
		Column{"owner", &r.Owner},
		Column{"amount_nano", (*int64)(&r.Amount)},
		Column{"at_ms", &r.AtMs},
		Column{"what", &r.What},
		Column{"job", (*[32]byte)(&r.Job)},
	)
}

// Journal is every posting, in the order of the ledger.
var Journal = &Definition[PostingKey, JournalLine, *JournalLine]{
	Name: "journal", Version: 1, KeyColumns: 4, WriteOnce: true,
	Row: func(k PostingKey) JournalLine { return JournalLine{PostingKey: k} },
	Fold: func(e *Entry, row func(PostingKey) *JournalLine) error {
		for i, fact := range e.Facts() {
			for j, p := range fact.Postings {
				line := row(PostingKey{e.Shard, e.Offset, int64(i + 1), int64(j + 1)})
				line.Kind, line.Owner = KindName(p.Kind), id[[32]byte](p.Owner)
				line.Amount, line.AtMs = domain.Nano(p.AmountNano), e.AtMs
				line.What, line.Job = FactName(fact), jobOf(fact)
			}
		}
		return nil
	},
}
