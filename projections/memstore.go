package projections

import (
	"context"
	"encoding/binary"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"
)

// MemStore is a Store in memory: for tests, and for audits, which fold everything again and compare. A
// View keeps writers out while it lasts.
type MemStore struct {
	mu     sync.RWMutex
	tables map[tableVersion]*memTable
}

type tableVersion struct {
	name    string
	version int
}

type memTable struct {
	checkpoint Checkpoint
	rows       map[string]Row // by SortKey
}

// NewMemStore returns an empty store.
func NewMemStore() *MemStore { return &MemStore{tables: map[tableVersion]*memTable{}} }

// View shows the store; see Store.
func (m *MemStore) View(ctx context.Context, see func(View) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	return see(memView{m})
}

type memView struct{ store *MemStore }

func (v memView) Checkpoint(_ context.Context, table Table) (Checkpoint, error) {
	if kept := v.store.tables[versionOf(table)]; kept != nil {
		return slices.Clone(kept.checkpoint), nil
	}
	return nil, nil
}

func (v memView) Rows(ctx context.Context, table Table) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		kept := v.store.tables[versionOf(table)]
		if kept == nil {
			return
		}
		out := table.New() // a copy, so that no reader can change what is kept
		var from, to []Column
		for _, key := range slices.Sorted(maps.Keys(kept.rows)) {
			if err := ctx.Err(); err != nil {
				yield(nil, err)
				return
			}
			from, to = kept.rows[key].Columns(from[:0]), out.Columns(to[:0])
			copyColumns(to, from)
			if !yield(out, nil) {
				return
			}
		}
	}
}

// Load fills rows; see Store.
func (m *MemStore) Load(ctx context.Context, table Table, rows []Row) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	kept := m.tables[versionOf(table)]
	if kept == nil {
		return nil
	}
	var to, from []Column
	var key []byte
	for _, row := range rows {
		to = row.Columns(to[:0])
		key = SortKey(key[:0], to[:table.KeyColumns])
		if old := kept.rows[string(key)]; old != nil {
			from = old.Columns(from[:0])
			copyColumns(to, from)
		}
	}
	return nil
}

// Commit writes changes; see Store.
func (m *MemStore) Commit(ctx context.Context, changes []Change) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	keys := make([][]string, len(changes))
	for i, change := range changes { // everything that can fail comes before the first write
		kept := m.tables[versionOf(change.Table)]
		if kept == nil {
			kept = &memTable{rows: map[string]Row{}}
		}
		if !kept.checkpoint.Equal(change.From) {
			return fmt.Errorf("commit %s: %w", change.Table, ErrConflict)
		}
		var err error
		if keys[i], err = kept.keysOf(change); err != nil {
			return fmt.Errorf("commit %s: %w", change.Table, err)
		}
	}
	for i, change := range changes {
		kept := m.tables[versionOf(change.Table)]
		if kept == nil {
			kept = &memTable{rows: map[string]Row{}}
			m.tables[versionOf(change.Table)] = kept
		}
		for j, row := range change.Rows {
			kept.rows[keys[i][j]] = row
		}
		kept.checkpoint = slices.Clone(change.To)
	}
	return nil
}

// keysOf returns the key of each row, or says which write-once row is there already.
func (t *memTable) keysOf(change Change) ([]string, error) {
	keys := make([]string, len(change.Rows))
	var columns []Column
	var key []byte
	for i, row := range change.Rows {
		columns = row.Columns(columns[:0])[:change.Table.KeyColumns]
		key = SortKey(key[:0], columns)
		keys[i] = string(key)
		if change.Table.WriteOnce && t.rows[keys[i]] != nil {
			return nil, fmt.Errorf("row %s: %w", describe(columns), errWrittenTwice)
		}
	}
	return keys, nil
}

// Forget throws rows away; see Store.
func (m *MemStore) Forget(ctx context.Context, table Table) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.tables, versionOf(table))
	return nil
}

// Publish throws older versions away; see Store.
func (m *MemStore) Publish(ctx context.Context, table Table) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	maps.DeleteFunc(m.tables, func(kept tableVersion, _ *memTable) bool {
		return kept.name == table.Name && kept.version < table.Version
	})
	return nil
}

func versionOf(table Table) tableVersion { return tableVersion{table.Name, table.Version} }

func copyColumns(to, from []Column) {
	for i, column := range to {
		column.copyFrom(from[i])
	}
}

// SortKey appends the key columns as bytes that sort as the columns do.
func SortKey(into []byte, columns []Column) []byte {
	for _, column := range columns {
		switch field := column.Field.(type) {
		case *[32]byte:
			into = append(into, field[:]...)
		case *string:
			into = append(append(into, *field...), 0)
		default:
			into = binary.BigEndian.AppendUint64(into, uint64(column.integer())^1<<63)
		}
	}
	return into
}
