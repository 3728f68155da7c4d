package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/filature/filature/adapters/dashboard"
	"github.com/filature/filature/adapters/kafka"
	"github.com/filature/filature/adapters/postgres"
	"github.com/filature/filature/domain/settlement"
	"github.com/filature/filature/domain/stream"
	"github.com/filature/filature/workers/relay"
)

const (
	formatJSON = "json"
	formatText = "text"
)

// keepAnswers is how long answers are kept: as long as somebody may want to see what a worker sent. Evidence is archived.
const keepAnswers = 24 * time.Hour

// errNoCertificate: a file of certificates has none.
var errNoCertificate = errors.New("has no certificate in PEM form")

// cluster is how Kafka is reached. It reads the files of [kafka.tls].
func (c *config) cluster() (kafka.Cluster, error) {
	cluster := kafka.Cluster{Brokers: c.Kafka.Brokers}
	if login := c.Kafka.Login; login.Mechanism != "" {
		cluster.Login = &kafka.Login{Mechanism: kafka.Mechanism(login.Mechanism), User: login.User, Password: string(login.Password)}
	}
	if !c.Kafka.TLS.Enabled {
		return cluster, nil
	}
	cluster.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	if file := string(c.Kafka.TLS.CAFile); file != "" {
		raw, err := os.ReadFile(file)
		if err != nil {
			return kafka.Cluster{}, usage("kafka.tls.ca_file: %w", err)
		}
		cluster.TLS.RootCAs = x509.NewCertPool()
		if !cluster.TLS.RootCAs.AppendCertsFromPEM(raw) {
			return kafka.Cluster{}, usage("kafka.tls.ca_file: %s: %w", file, errNoCertificate)
		}
	}
	if c.Kafka.TLS.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(string(c.Kafka.TLS.CertFile), string(c.Kafka.TLS.KeyFile))
		if err != nil {
			return kafka.Cluster{}, usage("kafka.tls.cert_file %s, kafka.tls.key_file %s: %w", c.Kafka.TLS.CertFile, c.Kafka.TLS.KeyFile, err)
		}
		cluster.TLS.Certificates = []tls.Certificate{pair}
	}
	return cluster, nil
}

// certificate reads who the HTTP server is; nil where it speaks no TLS.
func (c *config) certificate() (*tls.Certificate, error) {
	if c.HTTP.CertFile == "" {
		return nil, nil //nolint:nilnil // no TLS
	}
	pair, err := tls.LoadX509KeyPair(string(c.HTTP.CertFile), string(c.HTTP.KeyFile))
	if err != nil {
		return nil, usage("http.cert_file %s, http.key_file %s: %w", c.HTTP.CertFile, c.HTTP.KeyFile, err)
	}
	return &pair, nil
}

// wallets are those that pages offer, in the order of http.wallets.
func (c *config) wallets() ([]dashboard.Wallet, error) {
	known := dashboard.KnownWallets()
	if name := string(c.HTTP.WalletsFile); name != "" {
		file, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("http.wallets_file: %w", err)
		}
		known, err = dashboard.ReadWallets(file)
		if err := errors.Join(err, file.Close()); err != nil {
			return nil, fmt.Errorf("http.wallets_file: %s: %w", name, err)
		}
	}
	var offered []dashboard.Wallet
	for i, name := range c.HTTP.Wallets {
		at := slices.IndexFunc(known, func(w dashboard.Wallet) bool { return w.AppName == name })
		if at < 0 {
			var names []string
			for _, w := range known {
				names = append(names, w.AppName)
			}
			return nil, fmt.Errorf("http.wallets[%d] = %q: want one of %s, or a list that has it in http.wallets_file", i, name, strings.Join(names, ", "))
		}
		offered = append(offered, known[at])
	}
	return offered, nil
}

func (c *config) intakeTopic() kafka.Topic {
	return kafka.IntakeTopic(c.Kafka.Topics, c.Kafka.DataShards)
}

func (c *config) ledgerTopic() kafka.Topic {
	return kafka.LedgerTopic(c.Kafka.Topics, c.Kafka.DataShards)
}

// stream is the name of one of our topics: completions, settlement, attestation, poison.
func (c *config) stream(name string) string { return c.Kafka.Topics + "." + name }

// streams are the topics of what others are told, and of what is put aside. They can be made again from the ledger,
// but a reader who was away for long should not have to ask for that, and the relay has to see what it
// published last: they are kept for ever, as the logs are. Workers' answers are of no use once their challenges have ended.
func (c *config) streams() []kafka.Stream {
	var all []kafka.Stream
	for _, name := range []stream.Name{stream.Completions, stream.Settlement, stream.Attestation} {
		partitions := 1
		if name == stream.Completions {
			partitions = c.Kafka.DataShards
		}
		all = append(all, kafka.Stream{Name: relay.Topic(c.Kafka.Topics, name), Partitions: partitions, Replicas: c.Kafka.Replicas})
	}
	return append(all,
		kafka.Stream{Name: c.stream(answersTopic), Partitions: c.Kafka.DataShards, Replicas: c.Kafka.Replicas, Retention: keepAnswers},
		kafka.Stream{Name: c.stream(poisonTopic), Partitions: 1, Replicas: c.Kafka.Replicas})
}

func (c *config) postgres() postgres.Config {
	return postgres.Config{URL: string(c.Postgres.URL), Reader: c.Postgres.Reader}
}

// terms are the rules that filature init founds a network with.
func (c *config) terms() terms {
	rules := defaultTerms()
	rules.network.MaturityBucketMs = c.Network.Bucket.Milliseconds()
	rules.network.PayoutThresholdNano = int64(c.Network.Threshold.Nano)
	rules.network.RequireAttestation = c.Network.RequireAttestation
	rules.disputes.WindowMs = c.Network.DisputeWindow.Milliseconds()
	return rules
}

// logger writes as [log] says.
func (c *config) logger(to io.Writer) *slog.Logger {
	var options slog.HandlerOptions
	level := new(slog.LevelVar)
	if level.UnmarshalText([]byte(c.Log.Level)) == nil { // check has refused what is no level
		options.Level = level
	}
	if c.Log.Format == formatText {
		return slog.New(slog.NewTextHandler(to, &options))
	}
	return slog.New(slog.NewJSONHandler(to, &options))
}

// needs is the error of a role that can't work without some keys that others leave out.
func (c *config) needs(role string, keys ...string) error {
	var errs []error
	for _, k := range c.keys() {
		for _, key := range keys {
			if k.path == key && k.blank() {
				errs = append(errs, fmt.Errorf("%s: is missing, and %s needs it; set it, or %s", key, role, variableOf(key)))
			}
		}
	}
	if err := errors.Join(errs...); err != nil {
		return usage("config:\n%w", err)
	}
	return nil
}

// claims is for whom the settler claims, nil for nobody.
func (s *settlementConfig) claims() *settlement.ClaimPolicy {
	if !s.ClaimFor {
		return nil
	}
	return &settlement.ClaimPolicy{
		AtLeastNano: s.ClaimAtLeast.Nano, AfterMs: s.ClaimAfter.Milliseconds(), BudgetNano: s.ClaimBudget.Nano,
	}
}
