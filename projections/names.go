package projections

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// NamedKind is a kind of what people look for by its name or its id. Workers have no names.
type NamedKind string

// Kinds of what is looked for.
const (
	NamedModel    NamedKind = "model"
	NamedProvider NamedKind = "provider"
	NamedClient   NamedKind = "client"
	NamedWorker   NamedKind = "worker"
)

// SinceColumn is the column that has when something of the kind began to be.
func (k NamedKind) SinceColumn() string {
	if k == NamedModel {
		return "listed_at_ms"
	}
	return "registered_at_ms"
}

// Named is what somebody looks for: its id, its name if it has one, and when it was registered or listed.
type Named struct {
	Kind    NamedKind
	ID      [32]byte
	Name    string
	SinceMs int64
}

// minIDDigits is how much of an id has to be given: fewer digits begin so many ids that names would not be seen among them.
const minIDDigits = 4

// Find returns what is of one of the kinds and has a name, or an id in hexadecimal, that begins with text, the letters A to Z
// being as good as a to z: kind by kind as they are given, names before ids, each in order, and at most limit by name and
// limit by id of a kind. more says that there are others.
func Find(ctx context.Context, r Reader, text string, kinds []NamedKind, limit int) (found []Named, more bool, err error) {
	text = FoldName(text)
	id, digits := idFrom(text)
	for _, kind := range kinds {
		var named, identified []Named
		if kind != NamedWorker {
			if named, err = r.NamesFrom(ctx, kind, text, limit+1); err != nil {
				return nil, false, fmt.Errorf("find a %s by name: %w", kind, err)
			}
		}
		if digits {
			if identified, err = r.IDsFrom(ctx, kind, id, limit+1); err != nil {
				return nil, false, fmt.Errorf("find a %s by id: %w", kind, err)
			}
		}
		// Each list is in order and begins where the text would stand, so what begins with it comes first.
		named = while(named, func(n Named) bool { return strings.HasPrefix(FoldName(n.Name), text) })
		identified = while(identified, func(n Named) bool { return strings.HasPrefix(hex.EncodeToString(n.ID[:]), text) })
		more = more || len(named) > limit || len(identified) > limit
		named, identified = named[:min(limit, len(named))], identified[:min(limit, len(identified))]
		found = append(found, named...)
		for _, n := range identified {
			if !slices.Contains(named, n) {
				found = append(found, n)
			}
		}
	}
	return found, more, nil
}

// FoldName is a name as it is looked for: in lower case, as far as it is ASCII. Every store folds so, whatever its locale is.
func FoldName(name string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r - 'A' + 'a'
		}
		return r
	}, name)
}

// idFrom returns the least id that begins with text, or false if none does, or too many.
func idFrom(text string) (id [32]byte, digits bool) {
	if len(text) < minIDDigits || len(text) > hex.EncodedLen(len(id)) {
		return id, false
	}
	_, err := hex.Decode(id[:], []byte(text+strings.Repeat("0", hex.EncodedLen(len(id))-len(text))))
	return id, err == nil
}

// while returns the rows up to the first that is not meant.
func while(rows []Named, meant func(Named) bool) []Named {
	if end := slices.IndexFunc(rows, func(n Named) bool { return !meant(n) }); end >= 0 {
		return rows[:end]
	}
	return rows
}
