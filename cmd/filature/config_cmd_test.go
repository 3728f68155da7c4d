package main

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"

	"github.com/filature/filature/adapters/postgres"
	"github.com/filature/filature/adapters/ton/localchain"
	"github.com/filature/filature/internal/services"
)

// checked is the JSON of config check.
type checked struct {
	Config     map[string]any    `json:"config"`
	Overridden map[string]string `json:"overridden"`
	Found      []finding         `json:"found"`
}

func TestConfigCheckPrintsWhatCountsWithSecretsMasked(t *testing.T) {
	file := writeConfig(t, leastConfig+`
kafka.login = {mechanism = "SCRAM-SHA-512", user = "u", password = "geheim"}
[[webhooks]]
name = "w"
url = "https://h/"
stream = "completions"
secret = "geheim geheim geheim geheim"
`)
	t.Setenv("FILATURE_TON_POLL", "3s")
	said := invoke(t, "config", "check", file).want(t, exitOK, "poll = '3s'  # FILATURE_TON_POLL", "password = 'xxxxx'", "[[webhooks]]")
	if strings.Contains(said.stdout, "geheim") {
		t.Errorf("shows a secret: %s", said.stdout)
	}
	// What it prints is a config again, but for the secrets, which are too short then.
	printed := defaultConfig()
	if _, err := printed.decode([]byte(said.stdout)); err != nil || printed.TON.Poll.String() != "3s" || printed.Kafka.Login.User != "u" {
		t.Errorf("%v: printed %s", err, said.stdout)
	}
	var document map[string]any
	if err := toml.Unmarshal([]byte(said.stdout), &document); err != nil {
		t.Fatal(err)
	}
	for _, k := range defaultConfig().keys() {
		if !states(document, k.path) {
			t.Errorf("%s is not printed", k.path)
		}
	}

	asJSON := invoke(t, "config", "check", file, "--json").want(t, exitOK)
	result := decoded[checked](t, asJSON)
	if strings.Contains(asJSON.stdout, "geheim") || result.Overridden["ton.poll"] != "FILATURE_TON_POLL" || !states(result.Config, "kafka.login.password") {
		t.Errorf("prints %s", asJSON.stdout)
	}
}

func TestConfigCheckTakesAllFromTheEnvironmentWhereThereIsNoFile(t *testing.T) {
	invoke(t, "config", "check").want(t, exitUsage, "config of the environment:", `kafka.brokers = ""`, `postgres.url = ""`)
	t.Setenv("FILATURE_KAFKA_BROKERS", "a:1,b:2")
	t.Setenv("FILATURE_POSTGRES_URL", "postgres://h/d")
	invoke(t, "config", "check").want(t, exitOK, "brokers = ['a:1', 'b:2']")
}

func TestConfigCheckReadsTheFilesThatTheConfigNames(t *testing.T) {
	file := writeConfig(t, leastConfig+`
kafka.tls = {enabled = true, ca_file = "absent.pem"}
ton.config_file = "network.json"
keys.dir = "keys"
`)
	folder := filepath.Dir(file)
	if err := os.WriteFile(filepath.Join(folder, "network.json"), []byte("<html>"), 0o600); err != nil {
		t.Fatal(err)
	}
	invoke(t, "config", "check", file).want(t, exitUsage,
		"# ✗ kafka.tls: kafka.tls.ca_file: open ", "# ✗ ton.config_file: ", "is no JSON; want a global config file",
		"# ✗ keys.dir: ", "make all with filature init")

	if err := os.WriteFile(filepath.Join(folder, "network.json"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	keysFolder := filepath.Join(folder, "keys")
	for _, name := range []string{"clock", "settler"} {
		if _, err := makeKey(filepath.Join(keysFolder, name+keySuffix)); err != nil {
			t.Fatal(err)
		}
	}
	certificate, _ := writeCertificate(t)
	t.Setenv("FILATURE_KAFKA_TLS_CA_FILE", certificate)
	invoke(t, "config", "check", file).want(t, exitOK, "# ✓ kafka.tls:", "# ✓ ton.config_file:", "# ✓ keys.dir: has clock, settler; has not operator, watcher,")

	if err := os.Chmod(filepath.Join(keysFolder, "clock"+keySuffix), 0o644); err != nil {
		t.Fatal(err)
	}
	// Servers are not tried while files are wrong.
	said := invoke(t, "config", "check", file, "--connect").want(t, exitUsage, "# ✗ keys.dir: ", "can be read by others; chmod 600 it")
	if strings.Contains(said.stdout, "Kafka:") {
		t.Errorf("tried the servers: %s", said.stdout)
	}
}

func TestConfigCheckTriesTheServers(t *testing.T) {
	brokers, database := services.Kafka(t), services.Postgres(t)
	chain, err := localchain.Open(localchain.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = chain.Close() })
	file := writeConfig(t, fmt.Sprintf(`
kafka = {brokers = [%q], topics = "check-%s", replicas = 1, data_shards = 2}
postgres.url = %q
ton = {config_file = %q, unverified = true}
`, brokers[0], nameOf(t, database), database, chain.GlobalConfigFile()))

	invoke(t, "config", "check", file, "--connect").want(t, exitUnfinished,
		"# ✗ Kafka: check-", "create the log's topics first, as filature init does",
		"# ✓ PostgreSQL: schema 0; the next start of this program brings it to ", "# ✓ TON: network -217 answers")

	cfg, err := loadConfig(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := createTopics(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	store, err := postgres.Open(t.Context(), cfg.postgres())
	if err != nil {
		t.Fatal(err)
	}
	store.Close()
	said := invoke(t, "config", "check", file, "--connect").want(t, exitOK,
		"2 data shards and control, set as a log needs", "# ✓ Kafka: streams: check-", ".poison are there", "which is this program's")
	if strings.Contains(said.stdout, services.PostgresPassword) {
		t.Errorf("shows the password: %s", said.stdout)
	}
}

// nameOf is the name of a database, which no other test has, as part of a topic's name.
func nameOf(t *testing.T, database string) string {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(strings.Trim(u.Path, "/"), "_", "-")
}

func TestConfigCheckSaysWhatToDoWhereServersAreAway(t *testing.T) {
	closed, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	wrong, err := url.Parse(services.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	wrong.User = url.UserPassword(wrong.User.Username(), "geheim")
	network := filepath.Join(t.TempDir(), "network.json")
	if err := os.WriteFile(network, []byte(`{"liteservers": []}`), 0o600); err != nil {
		t.Fatal(err)
	}
	file := writeConfig(t, fmt.Sprintf("kafka.brokers = [%q]\npostgres.url = %q\nton.config_file = %q\n", closed.Addr(), wrong, network))
	said := invoke(t, "config", "check", file, "--connect").want(t, exitUnfinished,
		"# ✗ Kafka: filature.intake: ", "check that it runs and that the addresses are right",
		"# ✗ PostgreSQL: ", "the user or its password is wrong: correct it in the URL",
		"# ✗ TON: ", "check that a lite-server that ")
	if strings.Contains(said.stdout, "geheim") {
		t.Errorf("shows the password: %s", said.stdout)
	}
}
