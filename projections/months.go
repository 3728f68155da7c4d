package projections

import (
	"github.com/filature/filature/domain"
)

// runningMonth is the key of a shard's row that goes with the log. No network began in January 1970.
const runningMonth int64 = 0

// MonthKey names a shard and a month of log time.
type MonthKey struct {
	Shard   domain.Shard
	MonthMs int64 // its start, UTC; runningMonth for the row that goes with the log
}

// Month is where in a shard a month begins: every entry below Size was decided before, and none from there on. As log
// time never goes back, nothing is added to a month when a later one has begun: its books are closed, and the root
// says of which entries they are made.
type Month struct {
	MonthKey
	// ReachedMs is the log time of the first entry of the month; of the newest one in the row that goes with the log.
	ReachedMs int64
	Size      int64  // of the shard's Merkle tree there
	Nodes     []byte // as LogTree.Nodes
}

// Columns lists the columns.
func (r *Month) Columns(c []Column) []Column {
	return append(c,
		Column{"shard", (*int32)(&r.Shard)},
		Column{"month_ms", &r.MonthMs},
		Column{"reached_ms", &r.ReachedMs},
		Column{"size", &r.Size},
		Column{"nodes", &r.Nodes},
	)
}

// Root returns the head of the shard's tree where the month begins.
func (r *Month) Root() (domain.Digest, error) {
	return (&LogTree{Shard: r.Shard, Size: r.Size, Nodes: r.Nodes}).Root()
}

// Months is where each month begins in each shard. Months in which nothing was decided are missing.
var Months = &Definition[MonthKey, Month, *Month]{
	Name: "months", Version: 1, KeyColumns: 2,
	Row: func(k MonthKey) Month { return Month{MonthKey: k} },
	Fold: func(e *Entry, row func(MonthKey) *Month) error {
		running := row(MonthKey{e.Shard, runningMonth})
		if !e.Void { // whoever wrote a void entry may have been late, so its time says nothing
			month := domain.MonthStart(e.AtMs)
			if begun := row(MonthKey{e.Shard, month}); begun.ReachedMs == 0 && month > runningMonth {
				begun.ReachedMs, begun.Size, begun.Nodes = e.AtMs, running.Size, running.Nodes
			}
			running.ReachedMs = e.AtMs
		}
		tree := LogTree{Size: running.Size, Nodes: running.Nodes}
		tree.append(hashLeaf(e.Stored)) // not e.leafHash: that is the fold's of LogTrees, which runs beside this one
		running.Size, running.Nodes = tree.Size, tree.Nodes
		return nil
	},
}
