package projections

import (
	"errors"
	"fmt"
)

// Model is a read model as runners and stores see it. Definition is the one way to make one.
type Model interface {
	Table() Table
	// begin starts on the rows of one batch of entries.
	begin() working
}

// Definition is a read model: rows R under keys K, and how an entry changes them.
type Definition[K comparable, R any, P interface {
	*R
	Row
}] struct {
	Name       string
	Version    int
	KeyColumns int
	WriteOnce  bool

	// Row returns the row of a key that has no history: it says nothing beside the key. Such a row is
	// not kept, so a row with history must not become one again.
	Row func(K) R

	// Fold changes the rows that an entry concerns; row(k) is the one way to reach them. It is pure:
	// what it does depends on the entry and on the rows and on nothing else. It must
	//
	//   - ask for rows by what the entry says alone, never by what another row says: a fold is run
	//     once on blank rows to learn which ones it needs, then they are loaded, then it is run again;
	//   - come to the same rows in whatever order entries of different shards arrive;
	//   - replace bytes in a row, never write into them.
	//
	// An error says that the ledger itself is impossible: an amount out of range. It stops the model.
	Fold func(e *Entry, row func(K) *R) error
}

// Table describes the model to a store.
func (d *Definition[K, R, P]) Table() Table {
	return Table{
		Name: d.Name, Version: d.Version, KeyColumns: d.KeyColumns, WriteOnce: d.WriteOnce,
		New: func() Row { return P(new(R)) },
	}
}

func (d *Definition[K, R, P]) begin() working {
	w := &workingRows[K, R, P]{definition: d, index: map[K]*R{}}
	w.row = w.find
	return w
}

// working holds the rows that one batch of entries touches. A batch goes through it in this order:
// touch each entry, load the rows, fold each entry, write the rows.
type working interface {
	touch(e *Entry)
	toLoad() []Row
	fold(e *Entry) error
	toWrite() []Row
}

// slabRows is how many rows are allocated together: enough to make allocation cheap, few enough that a
// row which is kept for long does not hold on to much else.
const slabRows = 64

type workingRows[K comparable, R any, P interface {
	*R
	Row
}] struct {
	definition *Definition[K, R, P]
	row        func(K) *R // find, made once: a method value is an allocation
	index      map[K]*R   // empty for write-once rows: each is asked for once
	order      []Row      // as first asked for, so that stores see the same order each time
	slab       []R
	loaded     bool
	unloaded   error // the fold asked for a row that touch did not
}

func (w *workingRows[K, R, P]) touch(e *Entry) {
	if !w.definition.WriteOnce {
		// What the fold comes to on blank rows is thrown away, and so is its error.
		_ = w.definition.Fold(e, w.row)
	}
}

func (w *workingRows[K, R, P]) toLoad() []Row {
	w.loaded = true
	for key, row := range w.index {
		*row = w.definition.Row(key)
	}
	return w.order
}

func (w *workingRows[K, R, P]) fold(e *Entry) error {
	if err := w.definition.Fold(e, w.row); err != nil {
		return err
	}
	return w.unloaded
}

func (w *workingRows[K, R, P]) find(key K) *R {
	if row, ok := w.index[key]; ok {
		return row
	}
	if len(w.slab) == 0 {
		w.slab = make([]R, slabRows)
	}
	row := &w.slab[0]
	w.slab = w.slab[1:]
	*row = w.definition.Row(key)
	w.order = append(w.order, P(row))
	switch {
	case w.definition.WriteOnce:
	case w.loaded:
		w.unloaded = fmt.Errorf("fold asks for row %v on its second run only: %w", key, errImpureFold)
	default:
		w.index[key] = row
	}
	return row
}

var errImpureFold = errors.New("which rows a fold asks for must depend on the entry alone")

func (w *workingRows[K, R, P]) toWrite() []Row {
	kept := w.order[:0]
	var columns []Column
	for _, row := range w.order {
		columns = row.Columns(columns[:0])
		if !isBlank(columns, w.definition.KeyColumns) {
			kept = append(kept, row)
		}
	}
	return kept
}
