package projections

import (
	"github.com/filature/filature/domain"
)

// PostingKey names a posting by its account first, because that is how journals are read, and then by its
// time and its place in the ledger.
type PostingKey struct {
	BalanceKey
	AtMs   int64
	Shard  domain.Shard
	Ledger domain.Offset
	// Fact is the place of the fact in its entry, Posting the place in its fact, both from 1.
	Fact, Posting int64
}

// JournalLine is one posting.
type JournalLine struct {
	PostingKey
	Amount domain.Nano
	What   string // FactName
	Job    domain.JobID
}

// Columns lists the columns.
func (r *JournalLine) Columns(c []Column) []Column {
	return append(c,
		Column{"kind", &r.Kind},
		Column{"owner", &r.Owner},
		Column{"at_ms", &r.AtMs},
		Column{"shard", (*int32)(&r.Shard)},
		Column{"ledger_offset", (*int64)(&r.Ledger)},
		Column{"fact", &r.Fact},
		Column{"posting", &r.Posting},
		Column{"amount_nano", (*int64)(&r.Amount)},
		Column{"what", &r.What},
		Column{"job", (*[32]byte)(&r.Job)},
	)
}

// Journal is every posting.
var Journal = &Definition[PostingKey, JournalLine, *JournalLine]{
	Name: "journal", Version: 1, KeyColumns: 7, WriteOnce: true,
	Row: func(k PostingKey) JournalLine { return JournalLine{PostingKey: k} },
	Fold: func(e *Entry, row func(PostingKey) *JournalLine) error {
		for i, fact := range e.Facts() {
			for j, p := range fact.Postings {
				line := row(PostingKey{
					BalanceKey: BalanceKey{KindName(p.Kind), id[[32]byte](p.Owner)}, AtMs: e.AtMs,
					Shard: e.Shard, Ledger: e.Offset, Fact: int64(i + 1), Posting: int64(j + 1),
				})
				line.Amount, line.What, line.Job = domain.Nano(p.AmountNano), FactName(fact), jobOf(fact)
			}
		}
		return nil
	},
}
