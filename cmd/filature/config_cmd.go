package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"

	"github.com/filature/filature/adapters/attestation"
	"github.com/filature/filature/adapters/kafka"
	"github.com/filature/filature/adapters/postgres"
	"github.com/filature/filature/adapters/ton"
	"github.com/filature/filature/sdk"
)

// configCmd looks at config files.
type configCmd struct {
	Check configCheckCmd `cmd:"" help:"Say what a config file comes to, and whether what it names is there."`
}

// configCheckCmd checks a config file and changes nothing.
type configCheckCmd struct {
	File    string `arg:"" optional:"" type:"existingfile" help:"The config file. Without it the environment says all."`
	Connect bool   `help:"Also try Kafka, PostgreSQL and the lite-server."`
	JSON    bool   `help:"Print the result as JSON."`
}

// contactTimeout bounds each try to reach a server, with the five seconds that a topic made just now is given.
const contactTimeout = 20 * time.Second

// finding is what came of looking at one thing that a config names.
type finding struct {
	What string `json:"what"`
	OK   bool   `json:"ok"`
	Says string `json:"says"` // what was found, or what is wrong and what to do
}

// Run prints the config as it counts, secrets masked, and what was found.
func (c *configCheckCmd) Run(ctx context.Context, out *console) error {
	cfg, err := loadConfig(c.File, os.Environ())
	if err != nil {
		return err
	}
	findings := cfg.lookAtFiles()
	code := exitUsage
	if c.Connect && allOK(findings) {
		findings, code = append(findings, cfg.contact(ctx)...), exitUnfinished
	}
	if c.JSON {
		err = out.json(map[string]any{"config": cfg.effective(), "overridden": cfg.overridden, "found": findings})
	} else {
		err = cfg.print(out, findings)
	}
	if err == nil && !allOK(findings) {
		err = &exitError{code: code}
	}
	return err
}

func allOK(findings []finding) bool {
	for _, f := range findings {
		if !f.OK {
			return false
		}
	}
	return true
}

// lookAtFiles looks at the files that the config names and loadConfig does not read.
func (c *config) lookAtFiles() []finding {
	var findings []finding
	look := func(what string, there bool, look func() (string, error)) {
		if there {
			findings = append(findings, found(what, look))
		}
	}
	look("kafka.tls", c.Kafka.TLS.Enabled, func() (string, error) {
		_, err := c.cluster()
		return "certificates can be read", err
	})
	look("ton.config_file", c.TON.ConfigFile != "", func() (string, error) { return lookAtNetworkFile(string(c.TON.ConfigFile)) })
	look("keys.dir", c.Keys.Dir != "", func() (string, error) { return lookAtKeys(string(c.Keys.Dir)) })
	look("verifier.policy", c.Verifier.Policy != "", func() (string, error) { return lookAtPolicy(string(c.Verifier.Policy)) })
	look("verifier.collateral", c.Verifier.Collateral != "", func() (string, error) { return lookAtCollateral(string(c.Verifier.Collateral)) })
	return findings
}

// lookAtPolicy reads a policy as a verifier would.
func lookAtPolicy(file string) (string, error) {
	text, err := readBounded(file)
	if err != nil {
		return "", err
	}
	policy, err := attestation.ParsePolicy(text)
	if err != nil {
		return "", fmt.Errorf("%s: %w", file, err)
	}
	return fmt.Sprintf("policy %s, %s: %d images, %d machines", policy.ID, policy.Digest(), len(policy.Measurements), len(policy.Platforms.Allow)), nil
}

// lookAtCollateral reads the folder as a verifier would. One that is not there yet is made by it.
func lookAtCollateral(folder string) (string, error) {
	if _, err := os.Stat(folder); errors.Is(err, fs.ErrNotExist) {
		return folder + " is not there; a verifier makes it", nil
	}
	collateral, err := attestation.ReadCollateral(folder)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s has %d files", folder, collateral.Len()), nil
}

func found(what string, look func() (string, error)) finding {
	says, err := look()
	if said, is := errors.AsType[*exitError](err); is {
		err = said.err
	}
	if err != nil {
		return finding{what, false, err.Error()}
	}
	return finding{what, true, says}
}

func lookAtNetworkFile(file string) (string, error) {
	raw, err := readBounded(file)
	if err != nil {
		return "", err
	}
	if !json.Valid(raw) {
		return "", fmt.Errorf("%s is no JSON; want a global config file, as the TON networks publish it", file)
	}
	return file + " can be read", nil
}

// lookAtKeys tells which keys are there and which are not. A key that is not there is no fault: each
// machine should have those of its roles alone.
func lookAtKeys(dir string) (string, error) {
	if _, err := os.Stat(dir); err != nil {
		return "", fmt.Errorf("%w; put the keys of this machine's roles there, or make all with filature init", err)
	}
	var have, missing []string
	var errs []error
	for _, o := range operators {
		_, err := sdk.ReadKey(filepath.Join(dir, o.name+keySuffix))
		switch {
		case err == nil:
			have = append(have, o.name)
		case errors.Is(err, fs.ErrNotExist):
			missing = append(missing, o.name)
		default:
			errs = append(errs, err)
		}
	}
	return fmt.Sprintf("has %s; has not %s", listed(have), listed(missing)), errors.Join(errs...)
}

func listed(names []string) string {
	if len(names) == 0 {
		return "any other"
	}
	return strings.Join(names, ", ")
}

// contact tries the servers that the config names, one after the other, and changes nothing there.
func (c *config) contact(ctx context.Context) []finding {
	var findings []finding
	try := func(what string, try func(context.Context) (string, error)) {
		findings = append(findings, found(what, func() (string, error) {
			ctx, cancel := context.WithTimeout(ctx, contactTimeout)
			defer cancel()
			return try(ctx)
		}))
	}
	for _, topic := range []kafka.Topic{c.intakeTopic(), c.ledgerTopic()} {
		try("Kafka: "+topic.Name, func(ctx context.Context) (string, error) { return c.contactKafka(ctx, topic) })
	}
	if allOK(findings) { // whatever keeps us from the logs would be said again for each stream
		try("Kafka: streams", c.contactStreams)
	}
	try("PostgreSQL", c.contactPostgres)
	if c.TON.ConfigFile != "" {
		try("TON", c.contactTON)
	}
	return findings
}

func (c *config) contactKafka(ctx context.Context, topic kafka.Topic) (string, error) {
	cluster, err := c.cluster()
	if err != nil {
		return "", err
	}
	log, err := kafka.Open(ctx, cluster, topic)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d data shards and control, set as a log needs", c.Kafka.DataShards), log.Close()
}

// contactStreams looks for the topics of what others are told.
func (c *config) contactStreams(ctx context.Context) (string, error) {
	cluster, err := c.cluster()
	if err != nil {
		return "", err
	}
	client, err := kafka.Dial(ctx, cluster)
	if err != nil {
		return "", err
	}
	defer client.Close()
	var names []string
	for _, one := range c.streams() {
		have, err := client.Partitions(ctx, one.Name)
		if errors.Is(err, kafka.ErrTopic) {
			return "", fmt.Errorf("%w; filature init makes topics that are missing", err)
		}
		if err != nil {
			return "", err
		}
		if have != one.Partitions {
			return "", fmt.Errorf("topic %s has %d partitions; want %d, as an account's place depends on their number", one.Name, have, one.Partitions)
		}
		names = append(names, one.Name)
	}
	return strings.Join(names, ", ") + " are there", nil
}

func (c *config) contactPostgres(ctx context.Context) (string, error) {
	have, want, err := postgres.SchemaVersion(ctx, c.postgres())
	switch {
	case err != nil:
		return "", err
	case have == want:
		return fmt.Sprintf("schema %d, which is this program's", have), nil
	default:
		return fmt.Sprintf("schema %d; the next start of this program brings it to %d", have, want), nil
	}
}

func (c *config) contactTON(ctx context.Context) (string, error) {
	client, err := ton.Connect(ctx, ton.Config{GlobalConfigFile: string(c.TON.ConfigFile), CheckSignatures: !c.TON.Unverified})
	if err != nil {
		return "", fmt.Errorf("%w; check that a lite-server that %s names can be reached from here, "+
			"and that ton.unverified is true only for a network without validators", err, c.TON.ConfigFile)
	}
	defer client.Close()
	return fmt.Sprintf("network %d answers", client.NetworkID()), nil
}

// effective is the config as it counts, as nested tables; secrets are masked.
func (c *config) effective() map[string]any {
	top := map[string]any{}
	for _, k := range c.keys() {
		table := top
		names := strings.Split(k.path, ".")
		for _, name := range names[:len(names)-1] {
			if table[name] == nil {
				table[name] = map[string]any{}
			}
			table = table[name].(map[string]any)
		}
		table[names[len(names)-1]] = k.plain()
	}
	webhooks := make([]map[string]any, len(c.Webhooks))
	for i := range c.Webhooks {
		webhooks[i] = map[string]any{}
		for _, k := range webhookKeys(&c.Webhooks[i]) {
			webhooks[i][strings.TrimPrefix(k.path, "webhooks.")] = k.plain()
		}
	}
	top["webhooks"] = webhooks
	return top
}

// plain is the key's value as TOML and JSON know it; masked if it is secret.
func (k configKey) plain() any {
	switch field := k.field.(type) {
	case *bool, *int, *[]string:
		return reflect.ValueOf(field).Elem().Interface()
	default:
		return fmt.Sprint(reflect.ValueOf(field).Elem().Interface())
	}
}

// print writes the config as a file would have it, and what was found below.
func (c *config) print(out *console, findings []finding) error {
	var text strings.Builder
	table := ""
	for _, k := range c.keys() {
		dot := strings.LastIndexByte(k.path, '.')
		if k.path[:dot] != table {
			table = k.path[:dot]
			fmt.Fprintf(&text, "\n[%s]\n", table)
		}
		line, err := k.line()
		if err != nil {
			return err
		}
		if variable := c.overridden[k.path]; variable != "" {
			line += "  # " + variable
		}
		fmt.Fprintln(&text, line)
	}
	for i := range c.Webhooks {
		fmt.Fprintln(&text, "\n[[webhooks]]")
		for _, k := range webhookKeys(&c.Webhooks[i]) {
			line, err := k.line()
			if err != nil {
				return err
			}
			fmt.Fprintln(&text, line)
		}
	}
	if len(findings) > 0 {
		fmt.Fprintln(&text)
	}
	for _, f := range findings {
		mark := "✓"
		if !f.OK {
			mark = "✗"
		}
		fmt.Fprintf(&text, "# %s %s: %s\n", mark, f.What, strings.ReplaceAll(f.Says, "\n", "\n#   "))
	}
	_, err := fmt.Fprint(out.out, strings.TrimPrefix(text.String(), "\n"))
	return err
}

// line is the key in TOML.
func (k configKey) line() (string, error) {
	raw, err := toml.Marshal(map[string]any{k.path[strings.LastIndexByte(k.path, '.')+1:]: k.plain()})
	return strings.TrimSuffix(string(raw), "\n"), err
}
