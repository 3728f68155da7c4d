package postgres

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/projections"
)

// querier is a connection or a transaction.
type querier interface {
	Query(ctx context.Context, query string, args ...any) (pgx.Rows, error)
}

// lockCheckpoints makes the checkpoints of some models ours until the transaction ends, and returns where
// those models stand, by tableName. Whoever else wants one of them waits here, and then sees what we left.
// Locks are taken in one order, so that two appliers can't wait for each other.
func lockCheckpoints(ctx context.Context, tx pgx.Tx, changes []projections.Change) (map[string]projections.Checkpoint, error) {
	models, versions := make([]string, len(changes)), make([]int64, len(changes))
	for i, change := range changes {
		models[i], versions[i] = change.Table.Name, int64(change.Table.Version)
	}
	batch := &pgx.Batch{}
	// A model that was never folded gets a row, as there is no lock without one. A rollback takes it back.
	batch.Queue(`INSERT INTO filature.checkpoints (model, version)
		SELECT model COLLATE "C", version FROM unnest($1::text[], $2::bigint[]) AS c (model, version) ORDER BY 1, 2
		ON CONFLICT DO NOTHING`, models, versions)
	var standing map[string]projections.Checkpoint
	batch.Queue(`SELECT model, version, ledger_offsets, intake_offsets FROM filature.checkpoints
		WHERE (model, version) IN (SELECT unnest($1::text[]), unnest($2::bigint[])) ORDER BY model, version FOR UPDATE`, models, versions).
		Query(func(rows pgx.Rows) (err error) {
			standing, err = scanCheckpoints(rows)
			return err
		})
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return nil, fmt.Errorf("lock checkpoints: %w", err)
	}
	return standing, nil
}

// moveStatement writes checkpoints that lockCheckpoints has locked.
const moveStatement = `UPDATE filature.checkpoints AS c
	SET ledger_offsets = n.ledger_offsets::bigint[], intake_offsets = n.intake_offsets::bigint[]
	FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[]) AS n (model, version, ledger_offsets, intake_offsets)
	WHERE c.model = n.model AND c.version = n.version`

// move is one row of moveStatement's parameters.
type move struct {
	model          string
	version        int64
	ledger, intake string // arrays of bigint as text: there are no arrays of arrays
}

// Columns lists the columns.
func (m *move) Columns(c []projections.Column) []projections.Column {
	return append(c,
		projections.Column{Name: "model", Field: &m.model}, projections.Column{Name: "version", Field: &m.version},
		projections.Column{Name: "ledger_offsets", Field: &m.ledger}, projections.Column{Name: "intake_offsets", Field: &m.intake},
	)
}

func moves(changes []projections.Change) []projections.Row {
	rows := make([]projections.Row, len(changes))
	for i, change := range changes {
		rows[i] = &move{
			model: change.Table.Name, version: int64(change.Table.Version),
			ledger: arrayOf(change.To, func(p projections.Progress) domain.Offset { return p.Ledger }),
			intake: arrayOf(change.To, func(p projections.Progress) domain.Offset { return p.Intake }),
		}
	}
	return rows
}

func arrayOf(at projections.Checkpoint, offset func(projections.Progress) domain.Offset) string {
	elements := make([]string, len(at))
	for shard, p := range at {
		elements[shard] = strconv.FormatInt(int64(offset(p)), 10)
	}
	return "{" + strings.Join(elements, ",") + "}"
}

// readCheckpoints returns where all models stand, by tableName.
func readCheckpoints(ctx context.Context, from querier) (map[string]projections.Checkpoint, error) {
	rows, err := from.Query(ctx, "SELECT model, version, ledger_offsets, intake_offsets FROM filature.checkpoints")
	if err != nil {
		return nil, fmt.Errorf("read checkpoints: %w", err)
	}
	all, err := scanCheckpoints(rows)
	if err != nil {
		return nil, fmt.Errorf("read checkpoints: %w", err)
	}
	return all, nil
}

func scanCheckpoints(rows pgx.Rows) (map[string]projections.Checkpoint, error) {
	defer rows.Close()
	all := map[string]projections.Checkpoint{}
	for rows.Next() {
		var table projections.Table
		var ledger, intake []domain.Offset
		if err := rows.Scan(&table.Name, &table.Version, &ledger, &intake); err != nil {
			return nil, err
		}
		if len(intake) != len(ledger) {
			return nil, fmt.Errorf("checkpoint of %s: %d ledger offsets and %d of intake: %w", table, len(ledger), len(intake), errMalformed)
		}
		var at projections.Checkpoint
		for shard := range ledger {
			at = append(at, projections.Progress{Ledger: ledger[shard], Intake: intake[shard]})
		}
		all[tableName(table)] = at
	}
	return all, rows.Err()
}
