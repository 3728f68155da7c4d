package main

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/filature/filature/adapters/queryapi"
	"github.com/filature/filature/domain"
)

// askersFile is the file of http.keys_file: who may ask the books, by the SHA-256 of their key. It holds no secret.
type askersFile struct {
	Keys []askerEntry `toml:"keys"`
}

type askerEntry struct {
	Name    string `toml:"name"`
	Role    string `toml:"role"`
	Subject string `toml:"subject"`
	SHA256  string `toml:"sha256"`
}

// Bounds of askers. The key is 32 random bytes, as no password is.
const (
	maxAskerName  = 64
	askerKeyBytes = 32
)

var errKeysFile = errors.New("want [[keys]] with name, role, sha256, and a subject for providers and clients")

// askers are who may ask a server of this config. Without a file that is anyone who can reach it, if only this machine
// can, and nobody otherwise.
func (c *config) askers() (queryapi.Keys, error) {
	return readAskers(c.HTTP.Listen, string(c.HTTP.KeysFile), "http.keys_file")
}

// readAskers are who may ask at an address. setting is where the file's name is from.
func readAskers(listen, file, setting string) (queryapi.Keys, error) {
	if file == "" {
		host, _, _ := net.SplitHostPort(listen)
		if isLoopback(host) {
			return nil, nil //nolint:nilnil // no keys: anyone
		}
		return queryapi.Keys{}, nil
	}
	raw, err := readBounded(file)
	if err != nil {
		return nil, usage("%s: %w", setting, err)
	}
	keys, err := parseAskers(raw)
	if err != nil {
		return nil, usage("%s %s: %w", setting, file, err)
	}
	return keys, nil
}

// parseAskers reads a keys file, strictly.
func parseAskers(raw []byte) (queryapi.Keys, error) {
	var file askersFile
	if err := toml.NewDecoder(bytes.NewReader(raw)).DisallowUnknownFields().Decode(&file); err != nil {
		return nil, fmt.Errorf("%w: %w", errKeysFile, err)
	}
	keys := queryapi.Keys{}
	var wrong []error
	for i, entry := range file.Keys {
		digest, asker, err := entry.parse()
		if other, twice := keys[digest]; err == nil && twice {
			err = fmt.Errorf("sha256: is %q's, too", other.Name)
		}
		if err != nil {
			wrong = append(wrong, fmt.Errorf("keys[%d] %q: %w", i, entry.Name, err))
			continue
		}
		keys[digest] = asker
	}
	return keys, errors.Join(wrong...)
}

func (e askerEntry) parse() (digest domain.Digest, asker queryapi.Asker, err error) {
	asker = queryapi.Asker{Name: e.Name, Role: queryapi.Role(e.Role)}
	if e.Name == "" || len(e.Name) > maxAskerName {
		return digest, asker, fmt.Errorf("name: want 1 to %d bytes", maxAskerName)
	}
	if digest, err = domain.ParseID[domain.Digest](e.SHA256); err != nil {
		return digest, asker, fmt.Errorf("sha256: %w", err)
	}
	switch asker.Role {
	case queryapi.RoleProvider, queryapi.RoleClient:
		if asker.Subject, err = domain.ParseID[[32]byte](e.Subject); err != nil {
			return digest, asker, fmt.Errorf("subject: whose books a %s may see: %w", e.Role, err)
		}
	case queryapi.RoleFinance, queryapi.RoleAuditor:
		if e.Subject != "" {
			return digest, asker, fmt.Errorf("subject: a key of role %s sees all books, and has none", e.Role)
		}
	default:
		return digest, asker, fmt.Errorf("role %q: want provider, client, finance or auditor", e.Role)
	}
	return digest, asker, nil
}

// apikeyCmd makes a key to ask the books with.
type apikeyCmd struct {
	Name    string `arg:"" help:"Whose key it is; the access log says it."`
	Role    string `required:"true" enum:"provider,client,finance,auditor" help:"What it may ask: provider, client, finance or auditor."`
	Subject string `help:"The provider or client, in hexadecimal, for the roles of these names."`
	Add     string `type:"path" help:"Add it to this keys file, which is made if it is missing, and print the key alone."`
	JSON    bool   `help:"Print JSON."`
}

// Run prints the key, once, and what a keys file says of it.
func (c *apikeyCmd) Run(out *console) error {
	raw := make([]byte, askerKeyBytes)
	if _, err := io.ReadFull(rand.Reader, raw); err != nil {
		return fmt.Errorf("draw a key: %w", err)
	}
	key := "filature_" + base64.RawURLEncoding.EncodeToString(raw)
	digest := sha256.Sum256([]byte(key))
	entry := askerEntry{Name: c.Name, Role: c.Role, Subject: strings.ToLower(c.Subject), SHA256: hex.EncodeToString(digest[:])}
	if _, _, err := entry.parse(); err != nil {
		return usage("%w", err)
	}
	text, err := toml.Marshal(askersFile{Keys: []askerEntry{entry}})
	if err != nil {
		return err
	}
	if c.Add != "" {
		if err := addAsker(c.Add, text); err != nil {
			return usage("--add %s: %w", c.Add, err)
		}
	}
	if c.JSON {
		return out.json(map[string]string{"key": key, "name": entry.Name, "role": entry.Role, "subject": entry.Subject, "sha256": entry.SHA256})
	}
	if c.Add != "" {
		out.stepf("Added to %s. The key, which nobody can read again later; send it as \"Authorization: Bearer KEY\":", c.Add)
		fmt.Fprintln(out.out, key)
		return nil
	}
	const shown = "The key, which nobody can read again later. Send it as \"Authorization: Bearer KEY\":\n\n  %s\n\n" +
		"For http.keys_file of the servers:\n\n%s"
	fmt.Fprintf(out.out, shown, key, text)
	return nil
}

// addAsker adds an entry behind those of a keys file, if the file is one. A crash in the middle of it opens nothing: servers
// refuse the file until what was cut off is taken out.
func addAsker(name string, entry []byte) error {
	before, err := readBounded(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if len(before) > 0 {
		entry = append([]byte("\n"), entry...)
	}
	if _, err := parseAskers(append(before, entry...)); err != nil {
		return err
	}
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(entry)
	return errors.Join(err, file.Sync(), file.Close())
}
