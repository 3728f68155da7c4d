package queryapi

import (
	"context"
	"fmt"
	"slices"

	"github.com/filature/filature/projections"
	queryv1 "github.com/filature/filature/schemas/filature/query/v1"
)

const (
	// maxFound is how many of a kind are found by name, and as many by id: a screenful, and whoever wants others writes more of it.
	maxFound = 20
	// maxTextBytes is the longest name that there can be, a model's.
	maxTextBytes = 128
)

// Find implements queryv1.NetworkServiceHandler. Who may not list providers and clients does not find them.
func (s *server) Find(ctx context.Context, asked *queryv1.FindRequest) (*queryv1.FindResponse, error) {
	if size := len(asked.Text); size == 0 || size > maxTextBytes || !isText([]byte(asked.Text)) {
		return nil, wrong("text", fmt.Sprintf("want 1 to %d bytes of text", maxTextBytes))
	}
	kinds := slices.Insert(namesFor(askerIn(ctx)), 1, projections.NamedWorker)
	return answer(ctx, s, asked.Reading, func(r projections.Reader, at *queryv1.Position) (*queryv1.FindResponse, error) {
		found, more, err := projections.Find(ctx, r, asked.Text, kinds, maxFound)
		if err != nil {
			return nil, err
		}
		return &queryv1.FindResponse{Position: at, Found: each(found, named), More: more}, nil
	})
}

// ListNames implements queryv1.NetworkServiceHandler.
func (s *server) ListNames(ctx context.Context, asked *queryv1.ListNamesRequest) (*queryv1.ListNamesResponse, error) {
	return answer(ctx, s, asked.Reading, func(r projections.Reader, at *queryv1.Position) (*queryv1.ListNamesResponse, error) {
		var names []projections.Named
		for _, kind := range namesFor(askerIn(ctx)) {
			some, err := r.NamesFrom(ctx, kind, "", projections.MaxRows)
			if err != nil {
				return nil, fmt.Errorf("names of %ss: %w", kind, err)
			}
			names = append(names, some...)
		}
		return &queryv1.ListNamesResponse{Position: at, Names: each(names, named)}, nil
	})
}

// namesFor are the kinds with names that an asker may list, models first.
func namesFor(asker Asker) []projections.NamedKind {
	if !asker.seesAll() {
		return []projections.NamedKind{projections.NamedModel}
	}
	return []projections.NamedKind{projections.NamedModel, projections.NamedProvider, projections.NamedClient}
}

func named(n projections.Named) *queryv1.Named {
	return &queryv1.Named{Kind: string(n.Kind), Id: text(n.ID), Name: n.Name, SinceMs: n.SinceMs}
}
