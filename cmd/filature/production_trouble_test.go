package main

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	kafkago "github.com/segmentio/kafka-go"

	"github.com/filature/filature/adapters/postgres"
	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/ledger"
	"github.com/filature/filature/eventstore/memlog"
	"github.com/filature/filature/internal/services"
	"github.com/filature/filature/projections"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// wrongPassword must stand in no message.
const wrongPassword = "wr0ng"

func TestWhatKeepsProductionFromStartingSaysWhatToDo(t *testing.T) {
	t.Parallel()
	good := newSite(t)
	good.runChain(t)
	good.found(t)
	for name, c := range map[string]struct {
		change func(*testing.T, *site)
		roles  string // empty for all
		code   int
		says   []string
	}{
		"Kafka is away": {
			func(t *testing.T, s *site) { s.brokers = closedPort(t) }, "", exitUnfinished,
			[]string{"kafka does not answer", "check that it runs and that the addresses are right"},
		},
		"PostgreSQL is away": {
			func(t *testing.T, s *site) {
				s.database = changed(t, s.database, func(u *url.URL) { u.Host = closedPort(t) })
			}, "", exitUnfinished, []string{"nothing answers there", "start PostgreSQL"},
		},
		"Kafka's password is wrong": {
			loginWrongly, "", exitUnfinished, []string{"kafka refuses the login", "check the user, the password and the mechanism"},
		},
		"PostgreSQL's password is wrong": {
			func(t *testing.T, s *site) {
				s.database = changed(t, s.database, func(u *url.URL) { u.User = url.UserPassword(u.User.Username(), wrongPassword) })
			}, "", exitUnfinished, []string{"its password is wrong", "correct it in the URL"},
		},
		"PostgreSQL lacks the database": {
			func(t *testing.T, s *site) {
				s.database = changed(t, s.database, func(u *url.URL) { u.Path = "/nowhere" })
			}, "", exitUnfinished, []string{"there is no such database", "CREATE DATABASE"},
		},
		"a topic would forget": {
			forgetful, "", exitUnfinished, []string{`retention.ms is "3600000"`, "kafka-configs.sh", "--add-config retention.ms=-1"},
		},
		"the schema is newer": {
			newerSchema, "", exitUnfinished, []string{"9999", "use that program", "give this one a database of its own"},
		},
		"the database is another network's": {
			func(t *testing.T, s *site) {
				s.database = services.Postgres(t)
				foldGenesis(t, s.database)
			}, "", exitUsage, []string{"the tables are of network", "postgres.url", "CREATE DATABASE"},
		},
		"a settler lacks its keys": {
			func(_ *testing.T, s *site) { s.keys = "nowhere" }, "settler", exitUsage,
			[]string{"keys.dir", "settler.key", "treasury.key", "which a settler speaks with", "filature init made"},
		},
		"a clerk lacks its key": {
			func(_ *testing.T, s *site) { s.keys = "nowhere" }, "clerk", exitUsage, []string{"clock.key", "which a clerk speaks with"},
		},
		"the topics are missing": {
			func(t *testing.T, s *site) { s.topics += lot(t) }, "", exitUnfinished, []string{good.topics, "filature init"},
		},
		"nothing was founded": {
			func(t *testing.T, s *site) {
				s.topics, s.database = s.topics+lot(t), services.Postgres(t)
				s.create(t)
			}, "", exitUnfinished, []string{"no network was founded", "filature init"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := good
			c.change(t, &s)
			args := []string{"serve", "--config", s.config(t)}
			if c.roles != "" {
				args = append(args, "--role", c.roles)
			}
			ctx, cancel := context.WithTimeout(t.Context(), waitLimit) // or else it would serve
			defer cancel()
			said := invokeWith(ctx, args...).want(t, c.code, c.says...)
			for _, secret := range []string{wrongPassword, services.PostgresPassword, url.PathEscape(services.PostgresPassword)} {
				if strings.Contains(said.stdout+said.stderr, secret) {
					t.Errorf("it gives the password away: %s", said.stderr)
				}
			}
		})
	}
}

// closedPort is an address where nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

func changed(t testing.TB, dsn string, change func(*url.URL)) string {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	change(u)
	return u.String()
}

// loginWrongly leads the site to a cluster that asks for a password, with another.
func loginWrongly(t *testing.T, s *site) {
	t.Helper()
	cluster := services.OwnKafka(t, 1)
	s.brokers = cluster.LoginBrokers()[0]
	s.kafka = `
[kafka.tls]
enabled = true
ca_file = "roots.pem"
[kafka.login]
mechanism = "SCRAM-SHA-512"
user = "` + services.KafkaUser + `"
password = "` + wrongPassword + `"
`
	// The root comes with the broker's certificate.
	conn, err := (&tls.Dialer{Config: &tls.Config{RootCAs: cluster.Roots(), MinVersion: tls.VersionTLS12}}).DialContext(t.Context(), "tcp", s.brokers)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var roots []byte
	for _, certificate := range conn.(*tls.Conn).ConnectionState().PeerCertificates {
		roots = append(roots, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw})...)
	}
	if err := os.WriteFile(filepath.Join(s.dir, "roots.pem"), roots, 0o600); err != nil {
		t.Fatal(err)
	}
}

// create makes the site's topics.
func (s *site) create(t testing.TB) *config {
	t.Helper()
	c, err := loadConfig(s.config(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := createTopics(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	return c
}

// forgetful gives the site topics of which one drops records after an hour.
func forgetful(t *testing.T, s *site) {
	t.Helper()
	s.topics += lot(t)
	c := s.create(t)
	client := &kafkago.Client{Addr: kafkago.TCP(s.brokers), Timeout: 10 * time.Second}
	answer, err := client.IncrementalAlterConfigs(t.Context(), &kafkago.IncrementalAlterConfigsRequest{
		Resources: []kafkago.IncrementalAlterConfigsRequestResource{{
			ResourceType: kafkago.ResourceTypeTopic, ResourceName: c.ledgerTopic().Name,
			Configs: []kafkago.IncrementalAlterConfigsRequestConfig{{Name: "retention.ms", Value: "3600000", ConfigOperation: kafkago.ConfigOperationSet}},
		}},
	})
	if err != nil || answer.Resources[0].Error != nil {
		t.Fatalf("set retention: %v, %+v", err, answer)
	}
}

// newerSchema gives the site a database that a later program has migrated.
func newerSchema(t *testing.T, s *site) {
	t.Helper()
	s.database = services.Postgres(t)
	store, err := postgres.Open(t.Context(), postgres.Config{URL: s.database})
	if err != nil {
		t.Fatal(err)
	}
	store.Close()
	conn, err := pgx.Connect(t.Context(), s.database)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), "INSERT INTO filature.migrations (number, name) VALUES (9999, '9999_later.sql')"); err != nil {
		t.Fatal(err)
	}
}

// foldGenesis makes a database know a network of its own.
func foldGenesis(t *testing.T, dsn string) {
	t.Helper()
	store, err := postgres.Open(t.Context(), postgres.Config{URL: dsn})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	entry, err := ledger.New(domain.Control).Begin(&v1.Genesis{Name: "another", Shards: 2, Operator: make([]byte, 32), CreatedAtMs: 1})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := v1.Encode(entry)
	if err != nil {
		t.Fatal(err)
	}
	log := memlog.New(3, time.Now)
	if _, err := log.Append(t.Context(), domain.Control, [][]byte{raw}); err != nil {
		t.Fatal(err)
	}
	if err := projections.FoldTo(t.Context(), log, store, []domain.Offset{1, 0, 0}, projections.All()...); err != nil {
		t.Fatal(err)
	}
	// As whoever folds for good leaves it.
	for _, model := range projections.All() {
		if err := store.Publish(t.Context(), model.Table()); err != nil {
			t.Fatal(err)
		}
	}
}
