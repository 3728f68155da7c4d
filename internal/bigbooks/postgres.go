package bigbooks

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net/url"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/filature/filature/adapters/postgres"
	"github.com/filature/filature/projections"
)

// ServerSettings are what a server must have to be filled quickly: what it loads goes to its tables and nowhere else, and nothing is
// waited for. If the machine stops, the books are lost; if the server does, they are there.
func ServerSettings() []string {
	return []string{
		"fsync=off", "full_page_writes=off", "wal_level=minimal", "max_wal_senders=0", "max_wal_size=8GB", "autovacuum=off",
		"maintenance_work_mem=512MB", "shared_buffers=512MB", "synchronous_commit=off",
	}
}

// copyBytes of rows go to the server at once.
const copyBytes = 4 << 20

// database is a database that is being filled, in one transaction: what a transaction writes into a table that it has emptied
// needs no log, and nobody else sees it.
type database struct {
	server, name string
	conn         *pgx.Conn
	restore      []string // keys and indexes, as they are to be made in the end
	waiting      map[string]*bytes.Buffer
}

// databaseURL is the address of another database of a server.
func databaseURL(server, name string) (string, error) {
	address, err := url.Parse(server)
	if err != nil {
		return "", fmt.Errorf("address of PostgreSQL: %w", err)
	}
	address.Path = "/" + name
	return address.String(), nil
}

// onServer runs statements that are about databases.
func onServer(ctx context.Context, server string, statements ...string) error {
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	for _, statement := range statements {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

// thereAlready tells whether a server has a database.
func thereAlready(ctx context.Context, server, name string) (there bool, err error) {
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return false, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	err = conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name).Scan(&there)
	return there, err
}

func newDatabase(ctx context.Context, server, name string) (_ *database, err error) {
	d := &database{server: server, name: name, waiting: map[string]*bytes.Buffer{}}
	defer func() {
		if err != nil {
			d.drop(ctx)
			err = fmt.Errorf("begin database %s: %w", name, err)
		}
	}()
	begun := filling(name)
	if err := onServer(ctx, server, fmt.Sprintf("DROP DATABASE IF EXISTS %q", begun), fmt.Sprintf("CREATE DATABASE %q", begun)); err != nil {
		return nil, err
	}
	address, err := databaseURL(server, begun)
	if err != nil {
		return nil, err
	}
	store, err := postgres.Open(ctx, postgres.Config{URL: address}) // which makes the tables
	if err != nil {
		return nil, err
	}
	store.Close()
	if d.conn, err = pgx.Connect(ctx, address); err != nil {
		return nil, err
	}
	return d, d.empty(ctx)
}

func (d *database) execute(ctx context.Context, statement string) error {
	if _, err := d.conn.Exec(ctx, statement); err != nil {
		return fmt.Errorf("%s: %w", statement, err)
	}
	return nil
}

// empty begins the transaction, and takes all keys and indexes off the tables.
func (d *database) empty(ctx context.Context) error {
	// A key's index is its constraint's. Keys come first.
	const query = `
		SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname),
			format('ALTER TABLE %s ADD CONSTRAINT %I %s', conrelid::regclass, conname, pg_get_constraintdef(oid)), 0 AS first
		FROM pg_constraint WHERE contype = 'p' AND conrelid = ANY ($1::text[]::regclass[])
		UNION ALL
		SELECT format('DROP INDEX %s', indexrelid::regclass), pg_get_indexdef(indexrelid), 1
		FROM pg_index WHERE NOT indisprimary AND indrelid = ANY ($1::text[]::regclass[])
		ORDER BY 3, 2`
	tables := make([]string, 0, len(projections.All()))
	for _, model := range projections.All() {
		tables = append(tables, tableOf(model.Table()))
	}
	found, err := d.conn.Query(ctx, query, tables)
	if err != nil {
		return err
	}
	type index struct{ Drop, Make string }
	indexes, err := pgx.CollectRows(found, func(row pgx.CollectableRow) (i index, err error) {
		var first int
		return i, row.Scan(&i.Drop, &i.Make, &first)
	})
	if err != nil {
		return err
	}
	if err := d.execute(ctx, "BEGIN"); err != nil {
		return err
	}
	for _, i := range indexes {
		if err := d.execute(ctx, i.Drop); err != nil {
			return err
		}
		d.restore = append(d.restore, i.Make)
	}
	for _, table := range tables { // nothing is written over here, so no page needs room for it: that is 2 GB of ten million jobs
		if err := d.execute(ctx, "ALTER TABLE "+table+" SET (fillfactor = 100)"); err != nil {
			return err
		}
	}
	return d.execute(ctx, "TRUNCATE "+strings.Join(tables, ", "))
}

func tableOf(table projections.Table) string {
	return fmt.Sprintf("filature.%s_v%d", table.Name, table.Version)
}

func (d *database) rows(ctx context.Context, changes []projections.Change) error {
	var columns []projections.Column
	for _, change := range changes {
		if len(change.Rows) == 0 {
			continue
		}
		into := d.waiting[change.Table.Name]
		if into == nil {
			into = &bytes.Buffer{}
			d.waiting[change.Table.Name] = into
		}
		for _, row := range change.Rows {
			columns = row.Columns(columns[:0])
			into.Write(appendTuple(into.AvailableBuffer(), columns))
		}
		if into.Len() >= copyBytes {
			if err := d.send(ctx, change.Table); err != nil {
				return err
			}
		}
	}
	return nil
}

// copySignature begins what COPY reads in binary form; copyEnd ends it. See "Binary Format" of COPY in PostgreSQL's manual.
var (
	copySignature = []byte("PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00")
	copyEnd       = []byte{0xff, 0xff}
)

// appendTuple appends a row as COPY reads it: how many columns, and of each its length and its value.
func appendTuple(into []byte, columns []projections.Column) []byte {
	into = binary.BigEndian.AppendUint16(into, uint16(len(columns)))
	for _, c := range columns {
		switch v := c.Value().(type) {
		case int64:
			into = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(into, 8), uint64(v))
		case string:
			into = append(binary.BigEndian.AppendUint32(into, uint32(len(v))), v...)
		case []byte:
			into = append(binary.BigEndian.AppendUint32(into, uint32(len(v))), v...)
		}
	}
	return into
}

// send copies what waits for a table. The rows are older than whoever reads them, so nobody has to look whether they count.
func (d *database) send(ctx context.Context, table projections.Table) error {
	waiting := d.waiting[table.Name]
	if waiting == nil || waiting.Len() == 0 {
		return nil
	}
	columns := table.New().Columns(nil)
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.Name
	}
	statement := fmt.Sprintf("COPY %s (%s) FROM STDIN WITH (FORMAT binary, FREEZE)", tableOf(table), strings.Join(names, ", "))
	all := bytes.Join([][]byte{copySignature, waiting.Bytes(), copyEnd}, nil)
	if _, err := d.conn.PgConn().CopyFrom(ctx, bytes.NewReader(all), statement); err != nil {
		return fmt.Errorf("copy rows of %s: %w", table, err)
	}
	waiting.Reset()
	return nil
}

func (d *database) finish(ctx context.Context, to projections.Checkpoint, tell Tell) error {
	for _, model := range projections.All() {
		if err := d.send(ctx, model.Table()); err != nil {
			return err
		}
	}
	for i, index := range d.restore {
		if err := d.execute(ctx, index); err != nil {
			return err
		}
		tell("PostgreSQL: indexes built", i+1, len(d.restore))
	}
	for _, statement := range []string{"COMMIT", "VACUUM ANALYZE"} { // the latter as the server does by itself, later
		if err := d.execute(ctx, statement); err != nil {
			return err
		}
	}
	d.drop(ctx)
	begun := filling(d.name)
	address, err := databaseURL(d.server, begun)
	if err != nil {
		return err
	}
	store, err := postgres.Open(ctx, postgres.Config{URL: address})
	if err != nil {
		return err
	}
	err = arrived(ctx, store, to)
	store.Close()
	if err != nil {
		return err
	}
	return onServer(ctx, d.server, "CHECKPOINT", fmt.Sprintf("ALTER DATABASE %q RENAME TO %q", begun, d.name))
}

// drop hangs up.
func (d *database) drop(ctx context.Context) {
	if d.conn != nil {
		_ = d.conn.Close(context.WithoutCancel(ctx)) // what is not committed is gone
	}
	d.conn = nil
}
