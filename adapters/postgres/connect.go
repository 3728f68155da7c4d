package postgres

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	postgresschema "github.com/filature/filature/schemas/sql/postgres"
)

const (
	// connectTimeout is long for any network; a server that is starting up refuses at once.
	connectTimeout = 10 * time.Second
	// writers bounds the connections that load and commit: the models of a batch are loaded side by side.
	writers = 8
	// readers bounds how many views are open at once; further ones wait.
	readers = 16
	// oldestServer is the first with SQL-standard function bodies, which finance's functions have.
	oldestServer = 14
	// stalledWriter is after how long the server ends a transaction whose writer says nothing. A process
	// that was stopped in the middle of a commit holds locks that the one that takes over waits for.
	stalledWriter = "10s"
)

// Config says which database, and who may read it.
type Config struct {
	// URL is as libpq has it: postgres://user:password@host:port/database?sslmode=verify-full. The user
	// owns the schemas filature and finance, which are made if they are not there.
	URL string
	// Reader is the role that may read the schema finance and nothing else. It is made if it is not there,
	// without a login: people are made members of it. Empty for none.
	Reader string
}

// Open connects, and brings the schema up to date. It is ErrNewerSchema where a newer program was here.
// An error that an operator can do something about says what.
func Open(ctx context.Context, c Config) (*Store, error) { return open(ctx, c, nil) }

// ErrOlderSchema: an older program made the tables, and they were opened to be read only. Run this version's engine once:
// it brings them up to date.
var ErrOlderSchema = errors.New("the database has an older schema than this program reads")

// OpenReadOnly connects to read, and changes nothing: every session of it is read-only, and the schema stays as it is. It
// is ErrOlderSchema or ErrNewerSchema where that is another program's.
func OpenReadOnly(ctx context.Context, c Config) (_ *Store, err error) {
	have, want, err := SchemaVersion(ctx, c)
	if err != nil {
		return nil, err
	}
	if have < want {
		return nil, fmt.Errorf("open projections to read: schema %d, this program reads %d: %w", have, want, ErrOlderSchema)
	}
	config, err := pgxpool.ParseConfig(c.URL)
	if err != nil {
		return nil, fmt.Errorf("open projections to read: %w", err) // pgx takes the password out of it
	}
	s := &Store{}
	defer func() {
		if err != nil {
			s.Close()
			err = fmt.Errorf("open projections to read: %w", explain(err))
		}
	}()
	only := map[string]string{"default_transaction_read_only": "on"}
	if s.writing, err = newPool(ctx, config, 1, only); err != nil {
		return nil, err
	}
	if s.reading, err = newPool(ctx, config, readers, only); err != nil {
		return nil, err
	}
	return s, s.reading.Ping(ctx)
}

func open(ctx context.Context, c Config, tracer pgx.QueryTracer) (_ *Store, err error) {
	config, err := pgxpool.ParseConfig(c.URL)
	if err != nil {
		return nil, fmt.Errorf("open projections: %w", err) // pgx takes the password out of it
	}
	where := fmt.Sprintf("%s:%d/%s", config.ConnConfig.Host, config.ConnConfig.Port, config.ConnConfig.Database)
	if config.ConnConfig.ConnectTimeout == 0 {
		config.ConnConfig.ConnectTimeout = connectTimeout
	}
	config.ConnConfig.Tracer = tracer
	s := &Store{}
	defer func() {
		if err != nil {
			s.Close()
			err = fmt.Errorf("open projections in PostgreSQL at %s: %w", where, explain(err))
		}
	}()
	if s.writing, err = newPool(ctx, config, writers, map[string]string{"idle_in_transaction_session_timeout": stalledWriter}); err != nil {
		return nil, err
	}
	if s.reading, err = newPool(ctx, config, readers, nil); err != nil {
		return nil, err
	}
	return s, s.writing.AcquireFunc(ctx, func(conn *pgxpool.Conn) error {
		return setUp(ctx, conn.Conn(), postgresschema.Migrations, c.Reader)
	})
}

// newPool makes a pool that has not connected yet. What the URL sets is not set here.
func newPool(ctx context.Context, base *pgxpool.Config, size int32, settings map[string]string) (*pgxpool.Pool, error) {
	config := base.Copy()
	config.MaxConns = size
	all := map[string]string{
		"application_name": "filature",
		"jit":              "off", // compiling takes longer than any of our queries
		// A question reads some thousand rows: to start workers takes longer than they save, and others wait for the processors.
		"max_parallel_workers_per_gather": "0",
	}
	maps.Copy(all, settings)
	maps.Copy(all, config.ConnConfig.RuntimeParams)
	config.ConnConfig.RuntimeParams = all
	return pgxpool.NewWithConfig(ctx, config)
}

// explain adds to an error what can be done about it, where we know.
func explain(err error) error {
	var refused *pgconn.PgError
	var unknownHost *net.DNSError
	var unreachable *net.OpError
	advice := ""
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refused):
		advice = adviceFor(refused)
	case errors.As(err, &unknownHost):
		advice = "nobody knows a host of that name: correct the URL"
	case errors.As(err, &unreachable) && unreachable.Op == "dial":
		advice = "nothing answers there: start PostgreSQL, or correct host and port in the URL"
	}
	if advice == "" {
		return err
	}
	return fmt.Errorf("%s: %w", advice, err)
}

// Conditions that an operator brings about, by SQLSTATE (PostgreSQL, appendix A).
const (
	invalidPassword      = "28P01"
	invalidAuthorization = "28000"
	invalidCatalogName   = "3D000"
	insufficientRight    = "42501"
	undefinedTable       = "42P01"
	tooManyConnections   = "53300"
	lockNotAvailable     = "55P03"
	invalidView          = "42P16"
)

func adviceFor(refused *pgconn.PgError) string {
	switch refused.Code {
	case invalidPassword:
		return "the user or its password is wrong: correct it in the URL"
	case invalidAuthorization:
		return "the server does not let this user in: correct the user in the URL, or pg_hba.conf"
	case invalidCatalogName:
		return "there is no such database: make it with CREATE DATABASE, or correct the URL"
	case insufficientRight:
		return "the user lacks a right: it has to own the database, or be granted CREATE on it"
	case undefinedTable:
		return "a table is gone: if a newer program has published its version, use that program"
	case tooManyConnections:
		return "the server has no connection left: raise its max_connections"
	case lockNotAvailable:
		return "somebody reads the old version for long: end that query, or wait"
	case invalidView:
		return "a new version of a model keeps the columns of the old one in front"
	default:
		return ""
	}
}
