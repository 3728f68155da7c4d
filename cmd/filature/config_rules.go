package main

import (
	"encoding/base64"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/filature/filature/adapters/dashboard"
	"github.com/filature/filature/adapters/kafka"
	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/stream"
)

// Bounds of a config. Those of a network are the ledger's, which would refuse the claims later.
const (
	// maxReplicas is far beyond the brokers of any cluster.
	maxReplicas = 32
	// maxTopicPrefix leaves room in Kafka's names of 249 characters for the longest of ours.
	maxTopicPrefix = 180
	// maxNetworkName is Genesis.name's limit.
	maxNetworkName = 64
	// maxRoleName is PostgreSQL's limit of identifiers.
	maxRoleName = 63
	// leastPoll is what a public lite-server can be asked; a longer poll than mostPoll misses a challenge.
	leastPoll, mostPoll = 100 * time.Millisecond, 10 * time.Minute
	// maxThreshold: more is a slip in the unit.
	maxThreshold = 1_000_000 * domain.Coin
	// leastSecret and mostSecret are what Standard Webhooks wants of a secret, in bytes.
	leastSecret, mostSecret = 24, 64
	// maxConcurrency is more cores than any machine has for appraisals.
	maxConcurrency = 256
	// maxWebhooks bounds the consumers that one relay runs.
	maxWebhooks = 64
)

var (
	topicRule   = regexp.MustCompile(`^[a-zA-Z0-9.-]+$`)
	webhookRule = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)
	toldOf      = []string{string(stream.Completions), string(stream.Settlement), string(stream.Attestation)}
	levels      = []string{"debug", "info", "warn", "error"}
	formats     = []string{formatJSON, formatText}
	mechanisms  = []string{"", string(kafka.SCRAM), string(kafka.PLAIN)}
)

// problems is what is wrong with a config.
type problems struct {
	c     *config
	found []error
}

func (p *problems) add(err error) {
	if err != nil {
		p.found = append(p.found, err)
	}
}

// say adds a problem: key, value, where the value came from if not from the file, and the rule.
func (p *problems) say(key string, value any, rule string, args ...any) {
	from := ""
	whole, _, _ := strings.Cut(key, "[") // of kafka.brokers[0]
	if variable := p.c.overridden[whole]; variable != "" {
		from = " (" + variable + ")"
	}
	p.add(fmt.Errorf("%s = %s%s: %s", key, shown(value), from, fmt.Sprintf(rule, args...)))
}

func shown(value any) string {
	switch v := value.(type) {
	case secret, secretURL, filePath, string:
		return strconv.Quote(fmt.Sprint(v))
	case duration:
		if v.malformed != "" {
			return strconv.Quote(v.malformed)
		}
		return strconv.Quote(v.String())
	case coins:
		if v.malformed != "" {
			return strconv.Quote(v.malformed)
		}
		return strconv.Quote(v.String())
	default:
		return fmt.Sprint(v)
	}
}

// check finds all that is wrong with the values, each by itself and together, without looking at anything
// outside.
func (c *config) check(p *problems) {
	c.checkKafka(p)
	c.checkPostgres(p)
	p.span("ton.poll", c.TON.Poll, leastPoll, mostPoll)
	if c.TON.Unverified && c.TON.ConfigFile == "" {
		p.say("ton.unverified", true, "says how to read ton.config_file, which is missing")
	}
	p.address("http.listen", c.HTTP.Listen, true)
	if (c.HTTP.CertFile == "") != (c.HTTP.KeyFile == "") {
		p.say("http.cert_file", c.HTTP.CertFile, "want it together with http.key_file, or neither")
	}
	c.checkWallets(p)
	p.span("settlement.batch_every", c.Settlement.BatchEvery, 0, longest)
	p.coins("settlement.claim_at_least", c.Settlement.ClaimAtLeast)
	p.span("settlement.claim_after", c.Settlement.ClaimAfter, 0, longest)
	p.coins("settlement.claim_budget", c.Settlement.ClaimBudget)
	p.span("audit.every", c.Audit.Every, leastAuditEvery, longest)
	p.span("transparency.every", c.Transparency.Every, 0, longest)
	if c.Transparency.Policy != "" && c.Transparency.Folder == "" {
		p.say("transparency.policy", c.Transparency.Policy, "says who cosigns what is published in transparency.folder, which is missing")
	}
	c.checkVerifier(p)
	c.checkNetwork(p)
	p.oneOf("log.level", c.Log.Level, levels)
	p.oneOf("log.format", c.Log.Format, formats)
	c.checkWebhooks(p)
}

func (c *config) checkWallets(p *problems) {
	if at := c.HTTP.PublicURL; at != "" {
		u, err := url.Parse(at)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || strings.TrimSuffix(at, "/") != u.Scheme+"://"+u.Host {
			p.say("http.public_url", at, "want https://host, without a path: the pages are at /")
		}
	}
	if len(c.HTTP.Wallets) > dashboard.MaxWallets {
		p.say("http.wallets", len(c.HTTP.Wallets), "want at most %d", dashboard.MaxWallets)
	}
	if c.HTTP.WalletsFile == "" { // whether the names are in a file, its reader says
		_, err := c.wallets()
		p.add(err)
	}
}

func (c *config) checkKafka(p *problems) {
	k := &c.Kafka
	if len(k.Brokers) == 0 {
		p.say("kafka.brokers", "", "want host:port of at least one broker")
	}
	for i, broker := range k.Brokers {
		p.address(fmt.Sprintf("kafka.brokers[%d]", i), broker, false)
	}
	if len(k.Topics) > maxTopicPrefix || !topicRule.MatchString(k.Topics) {
		p.say("kafka.topics", k.Topics, "want 1 to %d letters, digits, dots and hyphens", maxTopicPrefix)
	}
	p.number("kafka.data_shards", k.DataShards, 1, maxShards)
	p.number("kafka.replicas", k.Replicas, 1, maxReplicas)

	for _, file := range []struct {
		key  string
		path filePath
	}{{"kafka.tls.ca_file", k.TLS.CAFile}, {"kafka.tls.cert_file", k.TLS.CertFile}, {"kafka.tls.key_file", k.TLS.KeyFile}} {
		if file.path != "" && !k.TLS.Enabled {
			p.say(file.key, file.path, "is set, and kafka.tls.enabled is false")
		}
	}
	if (k.TLS.CertFile == "") != (k.TLS.KeyFile == "") {
		p.say("kafka.tls.cert_file", k.TLS.CertFile, "want it together with kafka.tls.key_file, or neither")
	}

	login := &k.Login
	p.oneOf("kafka.login.mechanism", login.Mechanism, mechanisms)
	switch {
	case login.Mechanism == "":
		if login.User != "" || login.Password != "" || login.PasswordFile != "" {
			p.say("kafka.login.mechanism", "", "want %s or %s, as a user or password is set", kafka.SCRAM, kafka.PLAIN)
		}
		return
	case login.Mechanism == string(kafka.PLAIN) && !k.TLS.Enabled:
		p.say("kafka.login.mechanism", login.Mechanism, "would show the password to the network; want kafka.tls.enabled, or %s", kafka.SCRAM)
	}
	if login.User == "" {
		p.say("kafka.login.user", "", "want the user to log in as")
	}
	if login.Password == "" && login.PasswordFile == "" {
		p.say("kafka.login.password", "", "want a password, or kafka.login.password_file")
	}
}

func (c *config) checkPostgres(p *problems) {
	if c.Postgres.URL == "" {
		if c.Postgres.URLFile == "" {
			p.say("postgres.url", "", "want postgres://user:password@host:port/database, or postgres.url_file")
		}
		return
	}
	u, err := url.Parse(string(c.Postgres.URL))
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" || strings.Trim(u.Path, "/") == "" {
		p.say("postgres.url", c.Postgres.URL, "want postgres://user:password@host:port/database")
	}
	if len(c.Postgres.Reader) > maxRoleName || strings.ContainsRune(c.Postgres.Reader, 0) {
		p.say("postgres.reader", c.Postgres.Reader, "want the name of a role, at most %d bytes", maxRoleName)
	}
}

func (c *config) checkVerifier(p *problems) {
	v := &c.Verifier
	for _, folder := range []struct {
		key  string
		path filePath
	}{{"verifier.collateral", v.Collateral}, {"verifier.archive", v.Archive}} {
		if (folder.path == "") != (v.Policy == "") {
			p.say(folder.key, folder.path, "want it together with verifier.policy, or neither")
		}
	}
	p.number("verifier.concurrency", v.Concurrency, 0, maxConcurrency)
}

func (c *config) checkNetwork(p *problems) {
	n := &c.Network
	if n.Name == "" || len(n.Name) > maxNetworkName {
		p.say("network.name", n.Name, "want 1 to %d bytes", maxNetworkName)
	}
	p.span("network.dispute_window", n.DisputeWindow, 0, longest)
	p.span("network.bucket", n.Bucket, time.Second, longest)
	p.coins("network.threshold", n.Threshold)
	p.span("network.delay", n.Delay, 0, longest)
	if n.Delay.malformed == "" && n.Delay.Duration%time.Second != 0 {
		p.say("network.delay", n.Delay, "want whole seconds, as the vault counts them")
	}
	p.coins("network.vault_float", n.VaultFloat)
}

func (c *config) checkWebhooks(p *problems) {
	if len(c.Webhooks) > maxWebhooks {
		p.say("webhooks", len(c.Webhooks), "want at most %d", maxWebhooks)
	}
	names := map[string]int{}
	for i, w := range c.Webhooks {
		at := func(key string) string { return fmt.Sprintf("webhooks[%d].%s", i, key) }
		if !webhookRule.MatchString(w.Name) {
			p.say(at("name"), w.Name, "want 1 to 63 small letters, digits and hyphens: a consumer group is named after it")
		} else if first, again := names[w.Name]; again {
			p.say(at("name"), w.Name, "webhooks[%d] has this name already", first)
		} else {
			names[w.Name] = i
		}
		p.webhookURL(at("url"), w.URL)
		p.oneOf(at("stream"), w.Stream, toldOf)
		switch {
		case w.Secret == "" && w.SecretFile == "":
			p.say(at("secret"), "", "want %d bytes or more, or secret_file: deliveries are signed with it", leastSecret)
		case w.Secret != "" && !signsWell(string(w.Secret)):
			p.say(at("secret"), w.Secret, "want %d bytes or more, or whsec_ and %d to %d bytes in base64", leastSecret, leastSecret, mostSecret)
		}
	}
}

// signsWell tells whether a courier would take a secret.
func signsWell(text string) bool {
	encoded, is := strings.CutPrefix(text, "whsec_")
	if !is {
		return len(text) >= leastSecret
	}
	decoded, err := base64.StdEncoding.DecodeString(encoded)
	return err == nil && len(decoded) >= leastSecret && len(decoded) <= mostSecret
}

// webhookURL wants TLS, but for a receiver on this machine.
func (p *problems) webhookURL(key, value string) {
	u, err := url.Parse(value)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())) {
		p.say(key, value, "want https://host/path without a user; http only for this machine")
	}
}

func isLoopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && address.IsLoopback()
}

func (p *problems) number(key string, value, least, most int) {
	if value < least || value > most {
		p.say(key, value, "want %d to %d", least, most)
	}
}

func (p *problems) span(key string, value duration, least, most time.Duration) {
	if value.malformed != "" || value.Duration < least || value.Duration > most {
		p.say(key, value, `want a duration such as "90s" or "1h30m", from %s to %s`, duration{Duration: least}, duration{Duration: most})
	}
}

func (p *problems) coins(key string, value coins) {
	if value.malformed != "" || value.Nano <= 0 || value.Nano > maxThreshold {
		p.say(key, value, `want coins such as "1.5", above zero and at most %s`, coins{Nano: maxThreshold})
	}
}

func (p *problems) oneOf(key, value string, allowed []string) {
	if !slices.Contains(allowed, value) {
		p.say(key, value, "want one of %s", strings.Join(slices.DeleteFunc(slices.Clone(allowed), func(s string) bool { return s == "" }), ", "))
	}
}

func (p *problems) address(key, value string, anyHost bool) {
	host, port, err := net.SplitHostPort(value)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil || host == "" && !anyHost {
		p.say(key, value, "want host:port")
	}
}
