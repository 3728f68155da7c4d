package sqlite

import (
	"context"
	"fmt"

	"github.com/filature/filature/projections"
)

// SQLite's lower is projections.FoldName: it knows ASCII alone.

func (q reader) NamesFrom(ctx context.Context, kind projections.NamedKind, name string, limit int) ([]projections.Named, error) {
	return named(ctx, q, kind, "name", "WHERE lower(name) >= ? ORDER BY lower(name), %s", name, limit)
}

func (q reader) IDsFrom(ctx context.Context, kind projections.NamedKind, id [32]byte, limit int) ([]projections.Named, error) {
	name := "name"
	if kind == projections.NamedWorker {
		name = "''"
	}
	return named(ctx, q, kind, name, "WHERE %[1]s >= ? ORDER BY %[1]s", blob(id), limit)
}

// named reads what is of a kind: its table is called after it, and has it as its key. The tail wants the key's name.
func named(ctx context.Context, q reader, kind projections.NamedKind, name, tail string, from any, limit int) ([]projections.Named, error) {
	if err := projections.CheckLimit(limit); err != nil {
		return nil, fmt.Errorf("read names: %w", err)
	}
	found, err := scanAll(ctx, q, func(n *projections.Named) []any { return []any{id[[32]byte]{&n.ID}, &n.Name, &n.SinceMs} },
		fmt.Sprintf("SELECT %[1]s, %[2]s, %[3]s FROM %[1]ss ", kind, name, kind.SinceColumn())+fmt.Sprintf(tail, kind)+" LIMIT ?", from, limit)
	if err != nil {
		return nil, fmt.Errorf("read names of %ss: %w", kind, err)
	}
	for i := range found {
		found[i].Kind = kind
	}
	return found, nil
}
