package main

import (
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pelletier/go-toml/v2"

	"github.com/filature/filature/adapters/kafka"
	"github.com/filature/filature/domain"
	"github.com/filature/filature/workers/courier"
)

const exampleFile = "../../filature.example.toml"

// leastConfig has what is required, and defaults for the rest.
const leastConfig = `
kafka.brokers = ["127.0.0.1:9092"]
postgres.url = "postgres://filature:geheim@127.0.0.1/filature"
`

func writeConfig(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "filature.toml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// writeCertificate writes a certificate that signs itself, and its key.
func writeCertificate(t *testing.T) (certificate, key string) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	signed, err := x509.CreateCertificate(nil, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	certificate, key = filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem")
	for file, block := range map[string]*pem.Block{certificate: {Type: "CERTIFICATE", Bytes: signed}, key: {Type: "PRIVATE KEY", Bytes: encoded}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certificate, key
}

func mustLoad(t *testing.T, text string, env ...string) *config {
	t.Helper()
	c, err := loadConfig(writeConfig(t, text), env)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestTheExampleHasEveryKeyAndEveryDefault also wants a comment above each key, or above the key before it.
func TestTheExampleHasEveryKeyAndEveryDefault(t *testing.T) {
	raw, err := os.ReadFile(exampleFile)
	if err != nil {
		t.Fatal(err)
	}
	var stated map[string]any
	if err := toml.Unmarshal(raw, &stated); err != nil {
		t.Fatal(err)
	}
	example, err := loadConfig(exampleFile, nil)
	if err != nil {
		t.Fatal(err)
	}
	required := []string{"kafka.brokers", "postgres.url"}
	defaults := defaultConfig().keys()
	for i, k := range example.keys() {
		if !states(stated, k.path) {
			t.Errorf("%s is not in the example", k.path)
		}
		have, want := reflect.ValueOf(k.field).Elem().Interface(), reflect.ValueOf(defaults[i].field).Elem().Interface()
		if !slices.Contains(required, k.path) && !reflect.DeepEqual(have, want) {
			t.Errorf("%s is %v in the example, %v by default", k.path, have, want)
		}
	}
	if len(example.Webhooks) != 1 {
		t.Fatalf("the example has %d webhooks; want one", len(example.Webhooks))
	}
	webhook := stated["webhooks"].([]any)[0].(map[string]any)
	for _, k := range webhookKeys(&example.Webhooks[0]) {
		if _, is := webhook[strings.TrimPrefix(k.path, "webhooks.")]; !is {
			t.Errorf("%s is not in the example", k.path)
		}
	}
	for i, line := range strings.Split(string(raw), "\n") {
		before := strings.Split(string(raw), "\n")[max(0, i-2):i]
		if regexp.MustCompile(`^[a-z_]+ = `).MatchString(line) && !slices.ContainsFunc(before, func(s string) bool { return strings.HasPrefix(s, "# ") }) {
			t.Errorf("line %d of the example says nothing of %s", i+1, line)
		}
	}
}

// states tells whether a document has a key.
func states(document map[string]any, path string) bool {
	table, rest, deeper := strings.Cut(path, ".")
	value, is := document[table]
	if !is || !deeper {
		return is
	}
	inner, is := value.(map[string]any)
	return is && states(inner, rest)
}

func TestWhatIsLeftOutHasItsDefault(t *testing.T) {
	c := mustLoad(t, leastConfig)
	if c.Kafka.Topics != "filature" || c.Kafka.DataShards != 4 || c.Kafka.Replicas != 3 || c.HTTP.Listen != "127.0.0.1:8420" ||
		c.TON.Poll.Duration != 2*time.Second || !c.Settlement.ClaimFor || c.Network.VaultFloat.Nano != 10*domain.Coin {
		t.Errorf("defaults are %+v", c)
	}
}

func TestWalletsAreOfferedByNameFromOurListOrTheOperators(t *testing.T) {
	names := func(c *config) (all []string) {
		wallets, err := c.wallets()
		if err != nil {
			t.Fatal(err)
		}
		for _, wallet := range wallets {
			all = append(all, wallet.Name)
		}
		return all
	}
	if got := names(mustLoad(t, leastConfig)); len(got) != 4 || got[0] != "Tonkeeper" {
		t.Errorf("offered are %s", got)
	}
	if got := names(mustLoad(t, leastConfig+"\nhttp.wallets = []")); len(got) != 0 {
		t.Errorf("offered are %s", got)
	}
	file := filepath.Join(t.TempDir(), "wallets-v2.json")
	list := `[{"app_name": "purse", "name": "Purse", "bridge": [{"type": "sse", "url": "https://purse.example/bridge"}]}]`
	if err := os.WriteFile(file, []byte(list), 0o600); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("%s\nhttp.wallets_file = %q\nhttp.wallets = ", leastConfig, file)
	if got := names(mustLoad(t, text+`["purse"]`)); !slices.Equal(got, []string{"Purse"}) {
		t.Errorf("offered are %s", got)
	}
	if _, err := mustLoad(t, text+`["tonkeeper"]`).wallets(); err == nil || !strings.Contains(err.Error(), `http.wallets[0] = "tonkeeper": want one of purse`) {
		t.Errorf("a wallet that is not in the file: %v", err)
	}
}

func TestEachProblemNamesItsKeyValueAndRule(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{`kafka.data_shards = 0`, `kafka.data_shards = 0: want 1 to 1024`},
		{`kafka.data_shards = 1025`, `kafka.data_shards = 1025: want 1 to 1024`},
		{`kafka.replicas = 33`, `kafka.replicas = 33: want 1 to 32`},
		{`kafka.topics = "a_b"`, `kafka.topics = "a_b": want 1 to 180 letters, digits, dots and hyphens`},
		{`kafka.tls.ca_file = "/ca.pem"`, `kafka.tls.ca_file = "/ca.pem": is set, and kafka.tls.enabled is false`},
		{"kafka.tls.enabled = true\nkafka.tls.key_file = \"/k\"", `kafka.tls.cert_file = "": want it together with kafka.tls.key_file, or neither`},
		{`kafka.login.mechanism = "GSSAPI"`, `kafka.login.mechanism = "GSSAPI": want one of SCRAM-SHA-512, PLAIN`},
		{`kafka.login = {mechanism = "SCRAM-SHA-512", password = "geheim"}`, `kafka.login.user = "": want the user to log in as`},
		{`kafka.login = {mechanism = "SCRAM-SHA-512", user = "u"}`, `kafka.login.password = "": want a password, or kafka.login.password_file`},
		{`kafka.login = {mechanism = "PLAIN", user = "u", password = "geheim"}`, `kafka.login.mechanism = "PLAIN": would show the password`},
		{`kafka.login.user = "u"`, `kafka.login.mechanism = "": want SCRAM-SHA-512 or PLAIN, as a user or password is set`},
		{`kafka.login.password_file = "absent"`, `kafka.login.password_file: open `},
		{`postgres.url_file = "/x"`, `postgres.url_file = "/x": want it or postgres.url, not both`},
		{`postgres.reader = "` + strings.Repeat("r", 64) + `"`, `rrr": want the name of a role, at most 63 bytes`},
		{`ton.poll = "soon"`, `ton.poll = "soon": want a duration such as "90s" or "1h30m", from 100ms to 10m`},
		{`ton.poll = "1ms"`, `ton.poll = "1ms": want a duration`},
		{`ton.unverified = true`, `ton.unverified = true: says how to read ton.config_file, which is missing`},
		{`http.listen = "8420"`, `http.listen = "8420": want host:port`},
		{`http.listen = "h:http"`, `http.listen = "h:http": want host:port`},
		{`http.cert_file = "/c"`, `http.cert_file = "/c": want it together with http.key_file, or neither`},
		{`http.public_url = "filature.example"`, `http.public_url = "filature.example": want https://host, without a path`},
		{`http.public_url = "https://filature.example/books"`, `http.public_url = "https://filature.example/books": want https://host`},
		{`http.wallets = ["tonkeeper", "purse"]`, `http.wallets[1] = "purse": want one of tonkeeper, telegram-wallet, mytonwallet, tonhub`},
		{`http.wallets = ["` + strings.Repeat(`tonhub","`, 20) + `tonhub"]`, `http.wallets = 21: want at most 20`},
		{`settlement.batch_every = "-1s"`, `settlement.batch_every = "-1s": want a duration`},
		{`network.name = ""`, `network.name = "": want 1 to 64 bytes`},
		{`network.dispute_window = "8785h"`, `network.dispute_window = "8785h": want a duration`},
		{`network.bucket = "10ms"`, `network.bucket = "10ms": want a duration`},
		{`network.threshold = "0"`, `network.threshold = "0": want coins such as "1.5", above zero and at most 1000000`},
		{`network.threshold = "much"`, `network.threshold = "much": want coins`},
		{`network.delay = "1500ms"`, `network.delay = "1.5s": want whole seconds, as the vault counts them`},
		{`network.vault_float = "1000001"`, `network.vault_float = "1000001": want coins`},
		{`log.level = "loud"`, `log.level = "loud": want one of debug, info, warn, error`},
		{`log.format = "xml"`, `log.format = "xml": want one of json, text`},
		{`kafka.data_shard = 4`, `line 4: kafka.data_shard: there is no such key; the nearest is kafka.data_shards`},
		{`kafak.topics = "x"`, `line 4: kafak.topics: there is no such key; the nearest is kafka.topics`},
		{"[[webhooks]]\nurls = \"x\"", `line 5: webhooks.urls: there is no such key; the nearest is webhooks.url`},
		{`kafka.replicas = "3"`, `line 4: kafka.replicas: want a whole number`},
		{`ton.poll = [2]`, `line 4: ton.poll: want a duration in quotes, such as "90s" or "1h30m"`},
		{`ton.unverified = "yes"`, `line 4: ton.unverified: want true or false`},
		{`kafka.topics = [1]`, `line 4: kafka.topics: want text in quotes`},
		{`kafka.topics = `, `line 4: `},
	} {
		_, err := loadConfig(writeConfig(t, leastConfig+test.text+"\n"), nil)
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Count(err.Error(), "exit 2: ") != 1 { // which people are not told
			t.Errorf("%s\nsays %v\nwant %s", test.text, err, test.want)
		} else if strings.Contains(err.Error(), "geheim") {
			t.Errorf("%s\nshows a secret: %v", test.text, err)
		}
	}
}

func TestADatabaseIsNamedByAURL(t *testing.T) {
	for _, good := range []string{"postgres://h/d", "postgresql://u:geheim@h:1/d?sslmode=disable", "postgres:///d?host=/run/postgresql"} {
		mustLoad(t, "", "FILATURE_KAFKA_BROKERS=h:1", "FILATURE_POSTGRES_URL="+good)
	}
	for _, bad := range []string{
		"postgres://u:geheim@h", "postgres://u:geheim@h/", "mysql://u:geheim@h/d", "host=h password=geheim", "postgres://u:geheim@h:x/d",
	} {
		_, err := loadConfig(writeConfig(t, ""), []string{"FILATURE_KAFKA_BROKERS=h:1", "FILATURE_POSTGRES_URL=" + bad})
		if err == nil || !strings.Contains(err.Error(), "(FILATURE_POSTGRES_URL): want postgres://") || strings.Contains(err.Error(), "geheim") {
			t.Errorf("%s says %v", bad, err)
		}
	}
}

func TestEachProblemOfAWebhookNamesItsPlace(t *testing.T) {
	const good = `
[[webhooks]]
name = "good"
url = "http://127.0.0.1:9/x"
stream = "settlement"
secret = "0123456789abcdef01234567"
`
	mustLoad(t, leastConfig+good)
	for _, test := range []struct{ old, replacement, want string }{
		{`"good"`, `"Good"`, `webhooks[1].name = "Good": want 1 to 63 small letters`},
		{`"good"`, `"first"`, `webhooks[1].name = "first": webhooks[0] has this name already`},
		{`http://127.0.0.1:9/x`, `http://example.org/x`, `webhooks[1].url = "http://example.org/x": want https://`},
		{`http://127.0.0.1:9/x`, `https://user@example.org/x`, `webhooks[1].url = "https://user@example.org/x": want https://`},
		{`http://127.0.0.1:9/x`, `ftp://127.0.0.1/x`, `webhooks[1].url = "ftp://127.0.0.1/x": want https://`},
		{`"settlement"`, `"ledger"`, `webhooks[1].stream = "ledger": want one of completions, settlement, attestation`},
		{`0123456789abcdef01234567`, `geheim`, `webhooks[1].secret = "xxxxx": want 24 bytes or more, or whsec_ and 24 to 64 bytes in base64`},
		{`0123456789abcdef01234567`, ``, `webhooks[1].secret = "": want 24 bytes or more, or secret_file`},
	} {
		text := leastConfig + strings.ReplaceAll(good, "good", "first") + strings.Replace(good, test.old, test.replacement, 1)
		_, err := loadConfig(writeConfig(t, text), nil)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s says %v\nwant %s", test.replacement, err, test.want)
		}
	}
}

// TestAConfigTakesTheWebhooksThatACourierTakes holds two rules together: the config's, which says all that is wrong at
// once, and the courier's.
func TestAConfigTakesTheWebhooksThatACourierTakes(t *testing.T) {
	long := func(n int) string { return "whsec_" + base64.StdEncoding.EncodeToString(make([]byte, n)) }
	good := webhookConfig{Name: "w", URL: "https://h/", Stream: "completions", Secret: secret(long(24))}
	var all []webhookConfig
	for _, text := range []string{
		long(23), long(24), long(64), long(65), "whsec_???", strings.Repeat("x", 23), strings.Repeat("x", 24), strings.Repeat("x", 99),
	} {
		w := good
		w.Secret = secret(text)
		all = append(all, w)
	}
	for _, text := range []string{"http://h/", "http://localhost/", "http://127.1.2.3:1/", "http://[::1]/", "https://u@h/", "https://", "h", "ftp://h/"} {
		w := good
		w.URL = text
		all = append(all, w)
	}
	taken := 0
	for _, w := range all {
		c := defaultConfig()
		c.Webhooks = []webhookConfig{w}
		wrong := problems{c: c}
		c.checkWebhooks(&wrong)
		_, err := courier.NewCaller(courier.Webhook{
			Name: w.Name, URL: w.URL, Secret: string(w.Secret), JSON: func(payload []byte) ([]byte, error) { return payload, nil },
		}, time.Now)
		if (err == nil) != (len(wrong.found) == 0) {
			t.Errorf("%s, secret of %d: the config says %v, a courier %v", w.URL, len(w.Secret), wrong.found, err)
		}
		if err == nil {
			taken++
		}
	}
	if taken != 7 {
		t.Errorf("%d webhooks are taken, want 7", taken)
	}
}

func TestAllProblemsAreSaidAtOnce(t *testing.T) {
	_, err := loadConfig(writeConfig(t, `
kafka.data_shards = 0
postgress.url = "x"
ton.poll = "never"
log.level = "loud"
`), []string{"FILATURE_KAFKA_REPLICAS=many", "FILATURE_HTTP_LISTN=:1"})
	if err == nil {
		t.Fatal("loads")
	}
	lines := strings.Split(err.Error(), "\n")[1:]
	for i, start := range []string{
		"line 3: postgress.url:", "FILATURE_HTTP_LISTN:", "kafka.replicas = \"many\" (FILATURE_KAFKA_REPLICAS):", "kafka.brokers =",
		"kafka.data_shards =", "postgres.url =", "ton.poll =", "log.level =",
	} {
		if i >= len(lines) || !strings.HasPrefix(lines[i], start) {
			t.Fatalf("want problem %d to begin with %s:\n%v", i, start, err)
		}
	}
	if len(lines) != 8 {
		t.Errorf("want 8 problems:\n%v", err)
	}
}

func TestAVariableTakesThePlaceOfEachKey(t *testing.T) {
	values := map[string]string{ // where the kind of the key does not say enough
		"kafka.brokers": "a:1, b:2", "kafka.login.mechanism": "SCRAM-SHA-512", "postgres.url": "postgres://h/d",
		"http.listen": ":1", "http.public_url": "https://h",
		"log.level": "warn", "log.format": "text", "kafka.tls.enabled": "true", "ton.unverified": "true", "settlement.claim_for": "false",
		"network.require_attestation": "true", "verifier.fetch": "false",
	}
	empty := []string{"kafka.login.password_file", "postgres.url_file"} // alternatives of keys that are set
	var env, seen []string
	for _, k := range defaultConfig().keys() {
		value := values[k.path]
		switch {
		case slices.Contains(empty, k.path):
		case value != "":
		case k.kind() == "a whole number":
			value = "7"
		case strings.HasPrefix(k.kind(), "a duration"), strings.HasPrefix(k.kind(), "coins"):
			value = map[bool]string{true: "7s", false: "7"}[strings.HasPrefix(k.kind(), "a duration")]
		default:
			value = "/x"
			if k.path == "kafka.topics" {
				value = "x"
			}
		}
		if slices.Contains(seen, variableOf(k.path)) {
			t.Errorf("%s is the variable of two keys", variableOf(k.path))
		}
		seen = append(seen, variableOf(k.path))
		env = append(env, variableOf(k.path)+"="+value)
	}
	c := mustLoad(t, leastConfig, env...)
	defaults := defaultConfig().keys()
	for i, k := range c.keys() {
		same := reflect.DeepEqual(reflect.ValueOf(k.field).Elem().Interface(), reflect.ValueOf(defaults[i].field).Elem().Interface())
		if want := slices.Contains(empty, k.path); same != want || (c.overridden[k.path] == "") != want {
			t.Errorf("%s is %v after %s", k.path, reflect.ValueOf(k.field).Elem().Interface(), variableOf(k.path))
		}
	}
	if !slices.Equal(c.Kafka.Brokers, []string{"a:1", "b:2"}) {
		t.Errorf("brokers are %q", c.Kafka.Brokers)
	}
}

func TestAVariableAlsoTakesThePlaceOfTheFileThatSaysIt(t *testing.T) {
	c := mustLoad(t, "kafka.brokers = [\"h:1\"]\npostgres.url_file = \"absent\"", "FILATURE_POSTGRES_URL=postgres://h/d")
	if c.Postgres.URL != "postgres://h/d" || c.Postgres.URLFile != "" {
		t.Errorf("postgres is %+v", c.Postgres)
	}
}

func TestVariablesOfTestsAndOfKubernetesAreNotOurs(t *testing.T) {
	mustLoad(t, leastConfig,
		"FILATURE_KAFKA=127.0.0.1:1", "FILATURE_POSTGRES=x", "FILATURE_TRACE=x", "PATH=/bin", "FILATURE_KAFKA_TOPICS=",
		"FILATURE_SERVICE_HOST=10.0.0.1", "FILATURE_SERVICE_PORT_HTTP=8420", "FILATURE_PORT=tcp://10.0.0.1:8420", "FILATURE_PORT_8420_TCP_ADDR=10.0.0.1",
		"FILATURE_KAFKA_SERVICE_HOST=10.0.0.1", "FILATURE_KAFKA_PORT=tcp://10.0.0.1:9092", "FILATURE_KAFKA_PORT_9092_TCP_PROTO=tcp")
}

func TestSecretsAreReadFromFilesBesideTheConfig(t *testing.T) {
	file := writeConfig(t, `
kafka.brokers = ["h:1"]
kafka.login = {mechanism = "SCRAM-SHA-512", user = "u", password_file = "password"}
postgres.url_file = "url"
[[webhooks]]
name = "w"
url = "https://h/"
stream = "completions"
secret_file = "secret"
`)
	for name, text := range map[string]string{"password": "geheim\n", "url": "postgres://u:p@h/d\n", "secret": strings.Repeat("s", leastSecret)} {
		if err := os.WriteFile(filepath.Join(filepath.Dir(file), name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := loadConfig(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	cluster, err := c.cluster()
	if err != nil {
		t.Fatal(err)
	}
	want := kafka.Login{Mechanism: kafka.SCRAM, User: "u", Password: "geheim"}
	if *cluster.Login != want || c.postgres().URL != "postgres://u:p@h/d" || len(c.Webhooks[0].Secret) != leastSecret {
		t.Errorf("read %+v, %q, %d", cluster.Login, c.postgres().URL, len(c.Webhooks[0].Secret))
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(file), "password"), []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	complaint := "kafka.login.password_file: " + filepath.Join(filepath.Dir(file), "password") + ": is empty"
	if _, err := loadConfig(file, nil); err == nil || !strings.Contains(err.Error(), complaint) {
		t.Errorf("an empty file of a secret says %v", err)
	}
}

func TestNothingThatPrintsAConfigShowsASecret(t *testing.T) {
	c := mustLoad(t, leastConfig+`
postgres.reader = "finance"
kafka.login = {mechanism = "SCRAM-SHA-512", user = "u", password = "geheim"}
[[webhooks]]
name = "w"
url = "https://h/"
stream = "completions"
secret = "geheim geheim geheim geheim"
`)
	c.Postgres.URL += "?sslpassword=geheim"
	var text, inJSON strings.Builder
	slog.New(slog.NewTextHandler(&text, nil)).Info("config", "config", c, "url", c.Postgres.URL)
	slog.New(slog.NewJSONHandler(&inJSON, nil)).Info("config", "config", c, "url", c.Postgres.URL)
	for _, printed := range []string{fmt.Sprint(c), fmt.Sprintf("%+v", *c), fmt.Sprintf("%#v", *c), text.String(), inJSON.String()} {
		if strings.Contains(printed, "geheim") {
			t.Errorf("shows a secret: %s", printed)
		}
	}
	c.Postgres.URL = "host=h password=geheim"
	if shown := c.Postgres.URL.String(); shown != masked {
		t.Errorf("shows %s", shown)
	}
}

func TestTheClusterIsReachedAsTheConfigSays(t *testing.T) {
	certificate, key := writeCertificate(t)
	c := mustLoad(t, leastConfig+fmt.Sprintf("kafka.tls = {enabled = true, ca_file = %q, cert_file = %q, key_file = %q}", certificate, certificate, key))
	cluster, err := c.cluster()
	if err != nil {
		t.Fatal(err)
	}
	if cluster.TLS.RootCAs == nil || len(cluster.TLS.Certificates) != 1 || cluster.TLS.MinVersion != tls.VersionTLS12 || cluster.Login != nil {
		t.Errorf("cluster is %+v", cluster)
	}
	c.Kafka.TLS.CAFile = filePath(key)
	if _, err := c.cluster(); err == nil || !strings.Contains(err.Error(), "kafka.tls.ca_file: "+key+": has no certificate in PEM form") {
		t.Errorf("a CA file without certificates says %v", err)
	}
	c.Kafka.TLS.CAFile, c.Kafka.TLS.KeyFile = "", filePath(certificate)
	if _, err := c.cluster(); err == nil || !strings.Contains(err.Error(), "kafka.tls.key_file "+certificate) {
		t.Errorf("a key file without a key says %v", err)
	}
	intake, ledger := c.intakeTopic(), c.ledgerTopic()
	if intake.Name != "filature.intake" || ledger.Name != "filature.ledger" || intake.DataShards != 4 || intake.Event.Source == ledger.Event.Source {
		t.Errorf("topics are %+v, %+v", intake, ledger)
	}
}

func TestANetworkIsFoundedAsTheConfigSays(t *testing.T) {
	c := mustLoad(t, leastConfig+`network = {dispute_window = "2h", bucket = "3m", threshold = "0.5", require_attestation = true}`)
	rules := c.terms()
	if rules.disputes.WindowMs != 7_200_000 || rules.network.MaturityBucketMs != 180_000 ||
		rules.network.PayoutThresholdNano != 500_000_000 || !rules.network.RequireAttestation {
		t.Errorf("terms are %+v", rules)
	}
}

func TestARoleSaysWhatItMisses(t *testing.T) {
	c := mustLoad(t, leastConfig)
	err := c.needs("settler", "ton.config_file", "keys.dir", "kafka.brokers")
	if err == nil || !strings.Contains(err.Error(), "ton.config_file: is missing, and settler needs it; set it, or FILATURE_TON_CONFIG_FILE") ||
		!strings.Contains(err.Error(), "keys.dir:") || strings.Contains(err.Error(), "kafka.brokers") {
		t.Errorf("says %v", err)
	}
	if err := c.needs("gateway", "kafka.brokers", "postgres.url"); err != nil {
		t.Error(err)
	}
}

func TestTheLogIsWrittenAsTheConfigSays(t *testing.T) {
	c := mustLoad(t, leastConfig+`log = {level = "warn", format = "text"}`)
	var out strings.Builder
	log := c.logger(&out)
	log.Info("quiet")
	log.Warn("loud")
	if strings.Contains(out.String(), "quiet") || !strings.Contains(out.String(), "level=WARN msg=loud") {
		t.Errorf("log is %s", out.String())
	}
}

func TestDurationsAreShownAsPeopleWriteThem(t *testing.T) {
	for text, want := range map[string]string{
		"1h0m0s": "1h", "24h": "24h", "10m": "10m", "90s": "1m30s", "1h0m5s": "1h0m5s", "0s": "0s", "100ms": "100ms", "10s": "10s", "1h10m": "1h10m",
	} {
		var d duration
		if err := d.UnmarshalText([]byte(text)); err != nil || d.String() != want {
			t.Errorf("%s is shown as %s, want %s", text, d, want)
		}
	}
}
