package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/filature/filature/adapters/kafka"
	"github.com/filature/filature/adapters/postgres"
	"github.com/filature/filature/adapters/ton"
	"github.com/filature/filature/adapters/ton/localchain"
	"github.com/filature/filature/internal/services"
	"github.com/filature/filature/internal/workload"
	"github.com/filature/filature/sdk"
)

const (
	brokers  = 3
	gateways = 2
	// perRole is how many processes share a role's work, or stand by.
	perRole = 2
	// treasuryCoins pay the fees of all batches and claims.
	treasuryCoins = 1000
)

// servers are what all runs of a trial work on.
type servers struct {
	kafka    *services.KafkaCluster
	postgres *services.PostgresServer
}

func startServers() (s *servers, err error) {
	s = &servers{}
	if s.kafka, err = services.StartKafka(brokers); err != nil {
		return nil, fmt.Errorf("start Kafka: %w", err)
	}
	if s.postgres, err = services.StartPostgres(); err != nil {
		s.stop()
		return nil, fmt.Errorf("start PostgreSQL: %w", err)
	}
	return s, nil
}

func (s *servers) stop() {
	s.kafka.Stop()
	if s.postgres != nil {
		s.postgres.Stop()
	}
}

// stage is a network of its own on the servers, with the processes that run it, and our own eyes on its logs and
// tables.
type stage struct {
	servers *servers
	name    string // of topics and database
	dir     string
	say     *workload.Workload
	crew    *crew
	chain   *post

	vault    ton.Address
	gateways []string // addresses
	turn     atomic.Uint64

	intake, ledger *kafka.Log
	tables         *postgres.Store
}

// build founds a network and starts all its processes. The stage has to be closed, also after an error.
func (s *stage) build(ctx context.Context, program string) error {
	database, err := s.createDatabase(ctx)
	if err != nil {
		return err
	}
	if err := s.writeKeys(); err != nil {
		return err
	}
	config := filepath.Join(s.dir, "filature.toml")
	if err := os.WriteFile(config, []byte(s.config()), 0o600); err != nil {
		return err
	}
	env := []string{"FILATURE_POSTGRES_URL=" + database}
	for _, own := range os.Environ() {
		if !strings.HasPrefix(own, "FILATURE_") {
			env = append(env, own)
		}
	}
	s.crew = newCrew(program, s.dir, env)
	if err := s.startChain(ctx); err != nil {
		return err
	}
	if err := s.found(ctx, config); err != nil {
		return err
	}
	if err := s.open(ctx, database); err != nil {
		return err
	}
	for n := range gateways {
		address, err := freeAddress(ctx)
		if err != nil {
			return err
		}
		s.gateways = append(s.gateways, address)
		if err := s.hire(ctx, n+1, address, "gateway"); err != nil {
			return err
		}
	}
	for n := range perRole {
		for _, roles := range [][]string{{"clerk"}, {"projector"}, {"settler", "watcher"}, {"relay"}} {
			if err := s.hire(ctx, n+1, "127.0.0.1:0", roles...); err != nil {
				return err
			}
		}
	}
	return s.crew.awaitReady(ctx)
}

// hire fills a post with some roles; it is named after the first.
func (s *stage) hire(ctx context.Context, number int, listen string, roles ...string) error {
	args := []string{"serve", "--config", filepath.Join(s.dir, "filature.toml")}
	for _, role := range roles {
		args = append(args, "--role", role)
	}
	_, err := s.crew.hire(ctx, fmt.Sprintf("%s-%d", roles[0], number), listen, args...)
	return err
}

func (s *stage) createDatabase(ctx context.Context) (database string, err error) {
	conn, err := pgx.Connect(ctx, s.servers.postgres.URL())
	if err != nil {
		return "", err
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, "CREATE DATABASE "+s.name); err != nil {
		return "", fmt.Errorf("create database %s: %w", s.name, err)
	}
	address, err := url.Parse(s.servers.postgres.URL())
	if err != nil {
		return "", err
	}
	address.Path = "/" + s.name
	return address.String(), nil
}

// writeKeys makes those keys that must be the workload's.
func (s *stage) writeKeys() error {
	for _, folder := range []string{"keys", "clients"} {
		if err := os.MkdirAll(filepath.Join(s.dir, folder), 0o700); err != nil {
			return err
		}
	}
	for name, key := range s.say.Keys() {
		if err := sdk.WriteKey(filepath.Join(s.dir, "keys", name+".key"), key); err != nil {
			return err
		}
	}
	for i, lane := range s.say.Lanes {
		if err := sdk.WriteKey(s.clientKey(i), lane.Key()); err != nil {
			return err
		}
	}
	return nil
}

func (s *stage) clientKey(lane int) string {
	return filepath.Join(s.dir, "clients", fmt.Sprintf("%d.key", lane))
}

// config has the shortest times that there are, so that money matures, is sealed and is paid within seconds, while
// all is disturbed.
func (s *stage) config() string {
	return fmt.Sprintf(`[kafka]
brokers = ["%s"]
topics = %q
data_shards = %d
replicas = %d
[ton]
config_file = %q
unverified = true
poll = "200ms"
[keys]
dir = "keys"
[network]
name = %q
dispute_window = "1s"
bucket = "1s"
threshold = "0.000000001"
delay = "1s"
[settlement]
batch_every = "2s"
`, strings.Join(s.servers.kafka.Brokers(), `", "`), s.name, workload.DataShards, brokers, filepath.Join("chain", localchain.GlobalConfigName), s.name)
}

// startChain starts a chain in a process of its own, with coins for whoever needs some.
func (s *stage) startChain(ctx context.Context) (err error) {
	treasury := filepath.Join(s.dir, "keys", "treasury.key")
	args := []string{"chain", "--data", filepath.Join(s.dir, "chain"), "--fund", fmt.Sprintf("%s=%d", treasury, treasuryCoins)}
	for i := range s.say.Lanes {
		args = append(args, "--fund", fmt.Sprintf("%s=%s", s.clientKey(i), workload.Endowment))
	}
	if s.chain, err = s.crew.hire(ctx, "chain", "", args...); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, readyLimit)
	defer cancel()
	for !s.crew.wrote(s.chain, "lite-server at") {
		if err := workload.Pause(ctx, lookAt); err != nil {
			return fmt.Errorf("wait for the chain: %w", err)
		}
	}
	return nil
}

// found runs filature init.
func (s *stage) found(ctx context.Context, config string) error {
	output, err := os.Create(filepath.Join(s.dir, "init.log"))
	if err != nil {
		return err
	}
	defer output.Close()
	command := exec.CommandContext(ctx, s.crew.program, "init", "--config", config, "--json")
	command.Env, command.Stderr = s.crew.env, output
	text, err := command.Output()
	if err != nil {
		return fmt.Errorf("filature init: %w: see %s", err, output.Name())
	}
	var result struct {
		Vault string `json:"vault"`
	}
	if err := json.Unmarshal(text, &result); err != nil {
		return fmt.Errorf("filature init: %w: %s", err, text)
	}
	s.vault, err = ton.ParseAddress(result.Vault)
	return err
}

// open opens logs and tables for our own eyes.
func (s *stage) open(ctx context.Context, database string) (err error) {
	cluster := kafka.Cluster{Brokers: s.servers.kafka.Brokers()}
	topic := func(log string) kafka.Topic {
		return kafka.Topic{Name: s.name + "." + log, DataShards: workload.DataShards, Event: kafka.Event{Type: "chaos", Source: "chaos"}}
	}
	if s.intake, err = kafka.Open(ctx, cluster, topic("intake")); err != nil {
		return err
	}
	if s.ledger, err = kafka.Open(ctx, cluster, topic("ledger")); err != nil {
		return err
	}
	s.tables, err = postgres.Open(ctx, postgres.Config{URL: database})
	return err
}

func (s *stage) close() {
	if s.crew != nil {
		s.crew.close()
	}
	for _, log := range []*kafka.Log{s.intake, s.ledger} {
		if log != nil {
			_ = log.Close() // it was only read
		}
	}
	if s.tables != nil {
		s.tables.Close()
	}
}

// gateway is where to send to next: a client knows them all, and not which of them lives.
func (s *stage) gateway() string {
	return "http://" + s.gateways[s.turn.Add(1)%uint64(len(s.gateways))]
}

// books fold the ledger, which stays open.
func (s *stage) books() *workload.Books {
	return workload.NewBooks(func() (workload.Reader, error) { return staysOpen{s.ledger}, nil })
}

type staysOpen struct{ *kafka.Log }

func (staysOpen) Close() error { return nil }

// reach connects to the chain.
func (s *stage) reach(ctx context.Context) (*ton.Client, *ton.Vault, error) {
	client, err := ton.Connect(ctx, ton.Config{GlobalConfigFile: filepath.Join(s.dir, "chain", localchain.GlobalConfigName)})
	if err != nil {
		return nil, nil, err
	}
	return client, client.Vault(s.vault), nil
}

// freeAddress is one that nobody listens at now.
func freeAddress(ctx context.Context) (string, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}

// since is a duration as people read it.
func since(began time.Time) time.Duration { return time.Since(began).Round(100 * time.Millisecond) }
