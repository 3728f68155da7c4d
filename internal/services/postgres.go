package services

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
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
		server = shared.url
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
	server, err := StartPostgres(settings...)
	if err != nil {
		t.Fatalf("start PostgreSQL: %v", err)
	}
	t.Cleanup(server.Stop)
	return server.url
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

// PostgresServer is a running server. Its methods are for one goroutine.
type PostgresServer struct {
	url     string
	folder  string // data, and all that is about it
	program string
	args    []string
	owner   *syscall.SysProcAttr
	process *exec.Cmd
	ended   chan struct{} // closed when the process is gone
	leash   *leash
}

// sharedSettings make a server that many tests use at once.
var sharedSettings = []string{"fsync=off", "max_connections=300"}

// sharedPostgres is ended by the end of the process: see newLeash.
var sharedPostgres = sync.OnceValues(func() (*PostgresServer, error) { return StartPostgres(sharedSettings...) })

// StartPostgres is OwnPostgres for a program that is no test. The server ends with Stop, or with this process.
func StartPostgres(settings ...string) (*PostgresServer, error) {
	folder, err := os.MkdirTemp("", "filature-postgres-")
	if err != nil {
		return nil, err
	}
	held, err := newLeash(folder, thrownAway)
	if err != nil {
		return nil, err
	}
	return startPostgres(folder, held, settings)
}

// KeptPostgres returns the URL of a server whose data is in a folder, made there if it is not, and left there. A test
// that is killed kills the server, which repairs its data the next time. One server at a time may have the folder.
func KeptPostgres(t testing.TB, folder string, settings ...string) (dsn string) {
	t.Helper()
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	held, err := newLeash(folder, kept)
	if err != nil {
		t.Fatal(err)
	}
	server, err := startPostgres(folder, held, settings)
	if err != nil {
		t.Fatalf("start PostgreSQL in %s: %v", folder, err)
	}
	t.Cleanup(server.Stop)
	return server.url
}

func startPostgres(folder string, held *leash, settings []string) (*PostgresServer, error) {
	s := &PostgresServer{folder: folder, leash: held}
	if err := s.begin(settings); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

func (s *PostgresServer) begin(settings []string) error {
	programs, err := postgresPrograms()
	if err != nil {
		return err
	}
	s.program = filepath.Join(programs, "postgres")
	if s.owner, err = serverUser(s.folder); err != nil {
		return err
	}
	s.owner.Setsid = true // what is typed at the terminal is for us
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	data := filepath.Join(s.folder, "data")
	if _, err := os.Stat(filepath.Join(data, "PG_VERSION")); err != nil { // no data
		if err := s.initialize(ctx, filepath.Join(programs, "initdb"), data); err != nil {
			return err
		}
	}
	port, err := freePort()
	if err != nil {
		return err
	}
	s.args = []string{"-D", data, "-p", strconv.Itoa(port), "-h", "127.0.0.1", "-k", s.folder}
	for _, setting := range settings {
		s.args = append(s.args, "-c", setting)
	}
	s.url = (&url.URL{
		Scheme: "postgres", User: url.UserPassword(PostgresUser, PostgresPassword),
		Host: localhost(port), Path: "/postgres", RawQuery: "sslmode=disable",
	}).String()
	return s.Revive(ctx)
}

// initialize makes the data.
func (s *PostgresServer) initialize(ctx context.Context, initdb, data string) error {
	password := filepath.Join(s.folder, "password")
	if err := os.WriteFile(password, []byte(PostgresPassword), 0o644); err != nil { //nolint:gosec // no secret
		return err
	}
	//nolint:gosec // the program is the one that we found, in a folder that we made
	initialize := exec.CommandContext(ctx, initdb, "--pgdata="+data, "--username="+PostgresUser,
		"--pwfile="+password, "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions")
	initialize.SysProcAttr, initialize.Dir = s.owner, s.folder
	if out, err := initialize.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return nil
}

// URL is the address of an empty database on the server.
func (s *PostgresServer) URL() string { return s.url }

// Kill ends the server with SIGKILL and waits until it is gone. The processes that it had for its clients end by
// themselves when they notice.
func (s *PostgresServer) Kill() error {
	if err := s.process.Process.Kill(); err != nil {
		return fmt.Errorf("kill PostgreSQL: %w", err)
	}
	<-s.ended
	return nil
}

// Revive starts the server, also one that was killed, with the disk that it had, and waits until it answers. A
// server does not start while processes of the one before are left, so it is tried again.
func (s *PostgresServer) Revive(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		if err := s.start(); err != nil { //nolint:contextcheck // a server outlives the call that starts it
			return fmt.Errorf("start PostgreSQL: %w", err)
		}
		err := s.await(ctx)
		if !errors.Is(err, errEnded) || ctx.Err() != nil {
			return err
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return err
		}
	}
}

// start starts the process, with its output in <folder>/log, and notes its number for the leash.
func (s *PostgresServer) start() error {
	output, err := os.OpenFile(filepath.Join(s.folder, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer output.Close()
	process := exec.CommandContext(context.Background(), s.program, s.args...) //nolint:gosec // nothing of it comes from outside
	process.SysProcAttr, process.Dir = s.owner, s.folder
	process.Stdout, process.Stderr = output, output
	if err := process.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() {
		_ = process.Wait() // how the server ended says nothing about the test
		close(ended)
	}()
	s.process, s.ended = process, ended
	note := filepath.Join(s.folder, "server", "pid")
	if err := os.MkdirAll(filepath.Dir(note), 0o700); err != nil {
		return err
	}
	return os.WriteFile(note, []byte(strconv.Itoa(process.Process.Pid)+"\n"), 0o600)
}

// await waits until the server answers.
func (s *PostgresServer) await(ctx context.Context) error {
	retry := time.NewTicker(20 * time.Millisecond)
	defer retry.Stop()
	for {
		conn, err := pgx.Connect(ctx, s.url)
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-retry.C:
		case <-s.ended:
			return fmt.Errorf("PostgreSQL: %w\n%s", errEnded, logOf(s.folder))
		case <-ctx.Done():
			return fmt.Errorf("PostgreSQL is not ready after %s: %w\n%s", startTimeout, err, logOf(s.folder))
		}
	}
}

// Stop ends the server, and throws its disk away unless it is kept.
func (s *PostgresServer) Stop() {
	if s.ended != nil {
		_ = s.process.Process.Signal(syscall.SIGINT) // "fast": it waits for no client; it may be gone already
		<-s.ended
	}
	s.leash.release()
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
