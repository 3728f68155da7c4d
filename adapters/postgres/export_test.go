package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// OpenTraced opens a store whose queries a test looks at.
func OpenTraced(ctx context.Context, c Config, tracer pgx.QueryTracer) (*Store, error) {
	return open(ctx, c, tracer)
}

// LoadQuery is what Load asks.
var LoadQuery = loadStatement
