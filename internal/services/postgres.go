package services

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// postgresEnv names a PostgreSQL server to use, as a URL. Its user must be allowed to make databases and roles.
const postgresEnv = "FILATURE_POSTGRES"

// PostgresPassword is the password of the servers that are started here, whose user is PostgresUser.
const (
	PostgresUser     = "filature"
	PostgresPassword = "silk worm" // with a space, so that whoever forgets to quote it finds out
)

const (
	startTimeout   = time.Minute     // a first start on a busy machine takes a few seconds
	installTimeout = 5 * time.Minute // of a package of 20 MB
)

// Postgres returns the URL of an empty database, which is dropped with the test. All tests of a process
// share one server, unless the environment names one. It forgets what it was told if the machine stops,
// which is much faster; if only its processes die it forgets nothing.
func Postgres(t testing.TB) (dsn string) {
	t.Helper()
	server := os.Getenv(postgresEnv)
	if server == "" {
		shared, err := sharedPostgres()
		if err != nil {
			t.Fatalf("start PostgreSQL: %v", err)
		}
		server = shared.dsn
	}
	name := "test_" + randomHex()
	admin(t, server, "CREATE DATABASE "+name)
	t.Cleanup(func() { admin(t, server, "DROP DATABASE "+name+" WITH (FORCE)") })
	return withDatabase(t, server, name)
}

// OwnPostgres returns the URL of an empty database on a server that nobody else uses, so that a test may
// crash it or measure it. It is as durable as PostgreSQL is by default. Settings are as in
// postgresql.conf: "shared_buffers=1GB".
func OwnPostgres(t testing.TB, settings ...string) (dsn string) {
	t.Helper()
	server, stop, err := startPostgres(settings...)
	if err != nil {
		t.Fatalf("start PostgreSQL: %v", err)
	}
	t.Cleanup(stop)
	return server
}

// PostgresTool returns the path of one of the programs that come with the server: "pgbench".
func PostgresTool(t testing.TB, name string) string {
	t.Helper()
	programs, err := postgresPrograms()
	if err != nil {
		t.Fatalf("find PostgreSQL: %v", err)
	}
	return filepath.Join(programs, name)
}

// postgresServer is a server that was started here. Its life is an open file, which stop holds.
type postgresServer struct {
	dsn  string
	stop func()
}

// sharedSettings make a server that many tests use at once.
var sharedSettings = []string{"fsync=off", "max_connections=300"}

// sharedPostgres is ended by the end of the process: see supervise.
var sharedPostgres = sync.OnceValues(func() (*postgresServer, error) {
	dsn, stop, err := startPostgres(sharedSettings...)
	return &postgresServer{dsn, stop}, err
})

func startPostgres(settings ...string) (dsn string, stop func(), err error) {
	programs, err := postgresPrograms()
	if err != nil {
		return "", nil, err
	}
	folder, err := os.MkdirTemp("", "filature-postgres-")
	if err != nil {
		return "", nil, err
	}
	owner, err := serverUser(folder)
	if err != nil {
		return "", nil, err
	}
	password := filepath.Join(folder, "password")
	if err := os.WriteFile(password, []byte(PostgresPassword), 0o644); err != nil { //nolint:gosec // no secret
		return "", nil, err
	}
	data := filepath.Join(folder, "data")
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	//nolint:gosec // the program is the one that we found, in a folder that we made
	initialize := exec.CommandContext(ctx, filepath.Join(programs, "initdb"), "--pgdata="+data, "--username="+PostgresUser,
		"--pwfile="+password, "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions")
	initialize.SysProcAttr, initialize.Dir = owner, folder
	if out, err := initialize.CombinedOutput(); err != nil {
		return "", nil, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	port, err := freePort()
	if err != nil {
		return "", nil, err
	}
	args := []string{"-D", data, "-p", strconv.Itoa(port), "-h", "127.0.0.1", "-k", folder}
	for _, setting := range settings {
		args = append(args, "-c", setting)
	}
	stop, err = supervise(folder, owner, filepath.Join(programs, "postgres"), args...)
	if err != nil {
		return "", nil, err
	}
	dsn = (&url.URL{
		Scheme: "postgres", User: url.UserPassword(PostgresUser, PostgresPassword),
		Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), Path: "/postgres", RawQuery: "sslmode=disable",
	}).String()
	if err := awaitPostgres(ctx, dsn); err != nil {
		stop()
		return "", nil, fmt.Errorf("%w\n%s", err, logOf(folder))
	}
	return dsn, stop, nil
}

// supervise starts a server that ends when stop is called, or when this process ends in whatever way: a
// shell waits for the end of its input, which is ours, then stops the server and removes the folder.
func supervise(folder string, owner *syscall.SysProcAttr, program string, args ...string) (stop func(), err error) {
	const script = `folder=$1; shift
"$@" >"$folder/log" 2>&1 </dev/null & server=$!
read -r _
kill -INT $server; wait $server
rm -rf "$folder"`
	//nolint:gosec // nothing of it comes from outside
	shell := exec.CommandContext(context.Background(), "/bin/sh", slices.Concat([]string{"-c", script, "sh", folder, program}, args)...)
	shell.SysProcAttr, shell.Dir = owner, folder
	shell.SysProcAttr.Setsid = true // what is typed at the terminal is for us, and we tell the shell
	life, err := shell.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := shell.Start(); err != nil {
		return nil, err
	}
	return sync.OnceFunc(func() {
		_ = life.Close()
		_ = shell.Wait() // how the server ended says nothing about the test
	}), nil
}

// serverUser gives the folder to a user who may run a server: PostgreSQL refuses to be root's.
func serverUser(folder string) (*syscall.SysProcAttr, error) {
	if os.Geteuid() != 0 {
		return &syscall.SysProcAttr{}, nil
	}
	who, err := user.Lookup("postgres")
	if err != nil {
		if who, err = user.Lookup("nobody"); err != nil {
			return nil, fmt.Errorf("find a user for the server: %w", err)
		}
	}
	uid, err := strconv.ParseUint(who.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(who.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	if err := os.Chown(folder, int(uid), int(gid)); err != nil {
		return nil, err
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
}

// postgresPrograms finds the newest installed server, or installs Debian's where that is possible.
func postgresPrograms() (folder string, err error) {
	if folder := installedPostgres(); folder != "" {
		return folder, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), installTimeout)
	defer cancel()
	install := exec.CommandContext(ctx, "apt-get", "install", "--yes", "--no-install-recommends", "postgresql", "postgresql-contrib")
	install.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	out, err := install.CombinedOutput()
	if folder := installedPostgres(); folder != "" {
		return folder, nil
	}
	return "", fmt.Errorf("no PostgreSQL here, and apt-get install postgresql did not help (%w): install it, or name a server in %s\n%s", err, postgresEnv, out)
}

func installedPostgres() string {
	version := func(path string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path)))) // no number is the oldest
		return n
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb") // the pattern is good
	if path, err := exec.LookPath("initdb"); err == nil && len(found) == 0 {
		found = []string{path}
	}
	if len(found) == 0 {
		return ""
	}
	newest := slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) })
	return filepath.Dir(newest)
}

func freePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it returns at once
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port, nil
}

func awaitPostgres(ctx context.Context, dsn string) error {
	retry := time.NewTicker(20 * time.Millisecond)
	defer retry.Stop()
	for {
		conn, err := pgx.Connect(ctx, dsn)
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-retry.C:
		case <-ctx.Done():
			return fmt.Errorf("server is not ready after %s: %w", startTimeout, err)
		}
	}
}

func logOf(folder string) string {
	raw, err := os.ReadFile(filepath.Join(folder, "log"))
	if err != nil {
		return err.Error()
	}
	return string(raw)
}

// admin runs a statement on the server itself.
func admin(t testing.TB, server, statement string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout) // cleanups have no test's context
	defer cancel()
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		t.Fatalf("connect to PostgreSQL: %v", err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, statement); err != nil {
		t.Errorf("%s: %v", statement, err)
	}
}

func withDatabase(t testing.TB, server, name string) string {
	t.Helper()
	address, err := url.Parse(server)
	if err != nil || !strings.HasPrefix(address.Scheme, "postgres") {
		t.Fatalf("%s: want postgres://user:password@host:port/database, have %q (%v)", postgresEnv, server, err)
	}
	address.Path = "/" + name
	return address.String()
}

func randomHex() string {
	var raw [8]byte
	_, _ = rand.Read(raw[:]) // never fails
	return hex.EncodeToString(raw[:])
}
