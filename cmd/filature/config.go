package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"

	"github.com/filature/filature/domain"
)

// config is all that production mode is told. One file serves every role; each reads what it needs.
// docs/operations.md and filature.example.toml explain the keys, and a test holds the example to this
// struct. A relative path is taken from the folder of the file.
type config struct {
	Kafka        kafkaConfig        `toml:"kafka"`
	Postgres     postgresConfig     `toml:"postgres"`
	TON          tonConfig          `toml:"ton"`
	Keys         keysConfig         `toml:"keys"`
	HTTP         httpConfig         `toml:"http"`
	Documents    documentsConfig    `toml:"documents"`
	Settlement   settlementConfig   `toml:"settlement"`
	Audit        auditConfig        `toml:"audit"`
	Verifier     verifierConfig     `toml:"verifier"`
	Transparency transparencyConfig `toml:"transparency"`
	Network      networkConfig      `toml:"network"`
	Log          logConfig          `toml:"log"`
	Webhooks     []webhookConfig    `toml:"webhooks"`

	// overridden says which environment variable set a key.
	overridden map[string]string
}

type kafkaConfig struct {
	Brokers    []string         `toml:"brokers"`
	Topics     string           `toml:"topics"` // what the names of all topics begin with
	DataShards int              `toml:"data_shards"`
	Replicas   int              `toml:"replicas"`
	TLS        kafkaTLSConfig   `toml:"tls"`
	Login      kafkaLoginConfig `toml:"login"`
}

type kafkaTLSConfig struct {
	Enabled  bool     `toml:"enabled"`
	CAFile   filePath `toml:"ca_file"`
	CertFile filePath `toml:"cert_file"`
	KeyFile  filePath `toml:"key_file"`
}

type kafkaLoginConfig struct {
	Mechanism    string   `toml:"mechanism"` // a kafka.Mechanism; empty for no login
	User         string   `toml:"user"`
	Password     secret   `toml:"password"`
	PasswordFile filePath `toml:"password_file"`
}

type postgresConfig struct {
	URL     secretURL `toml:"url"`
	URLFile filePath  `toml:"url_file"`
	Reader  string    `toml:"reader"`
}

type tonConfig struct {
	ConfigFile filePath `toml:"config_file"`
	Unverified bool     `toml:"unverified"`
	Poll       duration `toml:"poll"`
}

type keysConfig struct {
	Dir filePath `toml:"dir"`
}

type documentsConfig struct {
	PricesFile filePath `toml:"prices_file"` // see documents.ReadPrices
}

type httpConfig struct {
	Listen   string   `toml:"listen"`
	CertFile filePath `toml:"cert_file"` // PEM, with its chain
	KeyFile  filePath `toml:"key_file"`
	KeysFile filePath `toml:"keys_file"` // askersFile

	PublicURL   string   `toml:"public_url"`
	Wallets     []string `toml:"wallets"`      // their names for programs, as dashboard.Wallet has them
	WalletsFile filePath `toml:"wallets_file"` // see dashboard.ReadWallets
}

type settlementConfig struct {
	BatchEvery duration `toml:"batch_every"`
	ClaimFor   bool     `toml:"claim_for"`
	// For whom it is worth it, and how much; see settlement.ClaimPolicy.
	ClaimAtLeast coins    `toml:"claim_at_least"`
	ClaimAfter   duration `toml:"claim_after"`
	ClaimBudget  coins    `toml:"claim_budget"`
}

// transparencyConfig is where the ledger's trees are published.
type transparencyConfig struct {
	Folder filePath `toml:"folder"`
	Every  duration `toml:"every"`
	Policy filePath `toml:"policy"`
}

// auditConfig is what an auditor goes by. Without a folder no process is one.
type auditConfig struct {
	Folder filePath `toml:"folder"`
	Every  duration `toml:"every"`
}

// verifierConfig is what a verifier goes by. Without a policy no process is one.
type verifierConfig struct {
	Policy      filePath `toml:"policy"`
	Collateral  filePath `toml:"collateral"`
	Archive     filePath `toml:"archive"`
	Fetch       bool     `toml:"fetch"`
	Concurrency int      `toml:"concurrency"`
}

// networkConfig is what a network is founded with. Later it says nothing.
type networkConfig struct {
	Name               string   `toml:"name"`
	DisputeWindow      duration `toml:"dispute_window"`
	Bucket             duration `toml:"bucket"`
	Threshold          coins    `toml:"threshold"`
	Delay              duration `toml:"delay"`
	VaultFloat         coins    `toml:"vault_float"`
	RequireAttestation bool     `toml:"require_attestation"`
}

type logConfig struct {
	Level  string `toml:"level"`
	Format string `toml:"format"`
}

type webhookConfig struct {
	Name       string   `toml:"name"`
	URL        string   `toml:"url"`
	Stream     string   `toml:"stream"`
	Secret     secret   `toml:"secret"`
	SecretFile filePath `toml:"secret_file"`
}

// maxFileBytes bounds a config file, and each file that it names for a secret.
const maxFileBytes = 1 << 20

func defaultConfig() *config {
	return &config{
		Kafka: kafkaConfig{Topics: "filature", DataShards: 4, Replicas: 3},
		TON:   tonConfig{Poll: duration{Duration: 2 * time.Second}},
		HTTP:  httpConfig{Listen: "127.0.0.1:8420", Wallets: []string{"tonkeeper", "telegram-wallet", "mytonwallet", "tonhub"}},
		Settlement: settlementConfig{
			BatchEvery: duration{Duration: time.Hour}, ClaimFor: true,
			ClaimAtLeast: coins{Nano: 1}, ClaimAfter: duration{Duration: day}, ClaimBudget: coins{Nano: 20 * domain.Coin},
		},
		Transparency: transparencyConfig{Every: duration{Duration: time.Second}},
		Audit:        auditConfig{Every: duration{Duration: time.Hour}},
		Verifier:     verifierConfig{Fetch: true},
		Network: networkConfig{
			Name: "filature", DisputeWindow: duration{Duration: day}, Bucket: duration{Duration: time.Hour},
			Threshold: coins{Nano: domain.Coin}, Delay: duration{Duration: 10 * time.Minute}, VaultFloat: coins{Nano: 10 * domain.Coin},
		},
		Log: logConfig{Level: "info", Format: formatJSON},
	}
}

// loadConfig reads a config file, lets environment variables (as os.Environ has them) take the place of
// what it says, and reads the files that hold secrets. Without a file the environment says all, and relative
// paths are taken from the working folder. The error names everything that is wrong, and has the exit code
// for bad input.
func loadConfig(file string, env []string) (*config, error) {
	var raw []byte
	where := "of the environment"
	if file != "" {
		var err error
		if raw, err = readBounded(file); err != nil {
			return nil, usage("config: %w", err)
		}
		where = file
	}
	c := defaultConfig()
	unknown, err := c.decode(raw)
	if err != nil {
		return nil, usage("config %s: %w", where, err)
	}
	wrong := problems{c: c, found: unknown}
	wrong.add(c.override(env))
	c.resolve(filepath.Dir(file))
	wrong.add(c.readSecrets())
	c.check(&wrong)
	if err := errors.Join(wrong.found...); err != nil {
		return nil, usage("config %s:\n%w", where, err)
	}
	return c, nil
}

// decode reads TOML over the defaults. Unknown keys are returned apart: what else is wrong can still be
// found.
func (c *config) decode(raw []byte) (unknown []error, err error) {
	err = toml.NewDecoder(bytes.NewReader(raw)).DisallowUnknownFields().Decode(c)
	if missing, is := errors.AsType[*toml.StrictMissingError](err); is {
		for i := range missing.Errors {
			unknown = append(unknown, unknownKey(&missing.Errors[i]))
		}
		return unknown, nil
	}
	if malformed, is := errors.AsType[*toml.DecodeError](err); is {
		return nil, wrongValue(malformed)
	}
	return nil, err
}

// resolve takes relative paths from the folder of the config file.
func (c *config) resolve(folder string) {
	absolute := func(p *filePath) {
		if *p != "" && !filepath.IsAbs(string(*p)) {
			*p = filePath(filepath.Join(folder, string(*p)))
		}
	}
	for _, k := range c.keys() {
		if p, is := k.field.(*filePath); is {
			absolute(p)
		}
	}
	for i := range c.Webhooks {
		absolute(&c.Webhooks[i].SecretFile)
	}
}

// readSecrets fills in the secrets that stand in files of their own.
func (c *config) readSecrets() error {
	var errs []error
	read := func(key string, file filePath, into *string) {
		switch {
		case file == "":
		case *into != "":
			errs = append(errs, fmt.Errorf("%s_file = %q: want it or %s, not both", key, file, key))
		default:
			text, err := readSecret(string(file))
			if err != nil {
				errs = append(errs, fmt.Errorf("%s_file: %w", key, err))
			}
			*into = text
		}
	}
	read("kafka.login.password", c.Kafka.Login.PasswordFile, (*string)(&c.Kafka.Login.Password))
	read("postgres.url", c.Postgres.URLFile, (*string)(&c.Postgres.URL))
	for i := range c.Webhooks {
		read(fmt.Sprintf("webhooks[%d].secret", i), c.Webhooks[i].SecretFile, (*string)(&c.Webhooks[i].Secret))
	}
	return errors.Join(errs...)
}

// readSecret reads a file of one line.
func readSecret(file string) (string, error) {
	raw, err := readBounded(file)
	if err != nil {
		return "", err
	}
	text := strings.TrimSpace(string(raw))
	if text == "" {
		return "", fmt.Errorf("%s: is empty", file)
	}
	return text, nil
}

func readBounded(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	raw, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err == nil && len(raw) > maxFileBytes {
		err = fmt.Errorf("%s: want at most %d bytes", file, maxFileBytes)
	}
	return raw, err
}
