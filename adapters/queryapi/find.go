package queryapi

import (
	"context"
	"fmt"

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
	kinds := []projections.NamedKind{projections.NamedModel, projections.NamedWorker}
	if askerIn(ctx).seesAll() {
		kinds = append(kinds, projections.NamedProvider, projections.NamedClient)
	}
	return answer(ctx, s, asked.Reading, func(r projections.Reader, at *queryv1.Position) (*queryv1.FindResponse, error) {
		found, more, err := projections.Find(ctx, r, asked.Text, kinds, maxFound)
		if err != nil {
			return nil, err
		}
		return &queryv1.FindResponse{Position: at, Found: each(found, named), More: more}, nil
	})
}

func named(n projections.Named) *queryv1.Found {
	return &queryv1.Found{Kind: string(n.Kind), Id: text(n.ID), Name: n.Name}
}
