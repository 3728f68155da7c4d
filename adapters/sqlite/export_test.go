package sqlite

import (
	"context"
	"database/sql"

	"github.com/filature/filature/projections"
)

// ReadTraced is Read, and tells of every statement.
func (s *Store) ReadTraced(ctx context.Context, asked func(statement string, args []any), see func(projections.Reader) error) error {
	return s.read(ctx, func(tx *sql.Tx) error { return see(reader{view{moment{tx, asked}}}) })
}
