package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/filature/filature/adapters/queryapi"
)

func TestAKeyThatApikeyMakesIsTakenByAKeysFile(t *testing.T) {
	provider := strings.Repeat("ab", 32)
	out := invoke(t, "apikey", "silk & sons", "--role", "provider", "--subject", provider).want(t, exitOK).stdout
	_, file, _ := strings.Cut(out, "For http.keys_file of the servers:")
	keys, err := parseAskers([]byte(file))
	if err != nil {
		t.Fatalf("%v in\n%s", err, out)
	}
	_, rest, _ := strings.Cut(out, "filature_")
	key, _, _ := strings.Cut("filature_"+rest, "\n")
	asker, known := keys[sha256.Sum256([]byte(key))]
	if !known || asker.Name != "silk & sons" || asker.Role != queryapi.RoleProvider || asker.Subject[0] != 0xab {
		t.Errorf("the key is %+v in %s", asker, out)
	}
	var made map[string]string
	printed := invoke(t, "apikey", "books", "--role", "finance", "--json").want(t, exitOK).stdout
	if err := json.Unmarshal([]byte(printed), &made); err != nil || made["role"] != "finance" {
		t.Errorf("in JSON: %v (%v)", made, err)
	}
	added := filepath.Join(t.TempDir(), "keys.toml")
	for range 2 {
		key := strings.TrimSpace(invoke(t, "apikey", "books", "--role", "finance", "--add", added).want(t, exitOK).stdout)
		raw, err := os.ReadFile(added)
		if err != nil {
			t.Fatal(err)
		}
		if keys, err := parseAskers(raw); err != nil || keys[sha256.Sum256([]byte(key))].Name != "books" {
			t.Errorf("%q is not in\n%s: %v", key, raw, err)
		}
	}
	invoke(t, "apikey", "books", "--role", "finance", "--add", os.DevNull+"/x").want(t, exitUsage, "--add")
	invoke(t, "apikey", "books", "--role", "finance", "--subject", provider).want(t, exitUsage, "sees all books")
	invoke(t, "apikey", "books", "--role", "client").want(t, exitUsage, "whose books a client may see")
}

func TestAKeysFileIsReadStrictly(t *testing.T) {
	good := "[[keys]]\nname = 'a'\nrole = 'auditor'\nsha256 = '" + strings.Repeat("12", 32) + "'\n"
	if keys, err := parseAskers([]byte(good)); err != nil || len(keys) != 1 {
		t.Fatalf("%v, %v", keys, err)
	}
	for text, want := range map[string]string{
		strings.Replace(good, "auditor", "root", 1):             `keys[0] "a": role "root": want provider, client, finance or auditor`,
		strings.Replace(good, "auditor", "client", 1):           `keys[0] "a": subject: whose books a client may see`,
		strings.Replace(good, "'a'", "''", 1):                   "name: want 1 to 64 bytes",
		strings.Replace(good, "12", "", 1):                      "sha256: id",
		strings.Replace(good, "name", "nome", 1):                "want [[keys]] with name",
		good + good:                                             `keys[1] "a": sha256: is "a"'s, too`,
		good + "subject = '" + strings.Repeat("12", 32) + "'\n": "sees all books, and has none",
	} {
		if _, err := parseAskers([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\nsays %v, want %s", text, err, want)
		}
	}
}

// TestWithoutKeysOnlyThisMachineMayAsk.
func TestWithoutKeysOnlyThisMachineMayAsk(t *testing.T) {
	for listen, open := range map[string]bool{"127.0.0.1:1": true, "localhost:1": true, "[::1]:1": true, "0.0.0.0:1": false, ":1": false, "10.0.0.1:1": false} {
		c := mustLoad(t, leastConfig+"http.listen = '"+listen+"'\n")
		keys, err := c.askers()
		if err != nil || (keys == nil) != open {
			t.Errorf("%s: %v, %v", listen, keys, err)
		}
	}
	folder := t.TempDir()
	file := filepath.Join(folder, "askers.toml")
	if err := os.WriteFile(file, []byte("[[keys]]\nname = 'a'\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := mustLoad(t, leastConfig+"http.keys_file = '"+file+"'\n").askers(); err == nil || !strings.Contains(err.Error(), "http.keys_file") {
		t.Errorf("a broken file: %v", err)
	}
}

func TestACertificateIsReadFromItsFiles(t *testing.T) {
	folder := t.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	cert, secret := write("cert.pem", "CERTIFICATE", der), write("key.pem", "PRIVATE KEY", private)
	pair, err := mustLoad(t, leastConfig+"http.cert_file = '"+cert+"'\nhttp.key_file = '"+secret+"'\n").certificate()
	if err != nil || pair == nil {
		t.Fatalf("%v, %v", pair, err)
	}
	if _, err := mustLoad(t, leastConfig+"http.cert_file = '"+secret+"'\nhttp.key_file = '"+cert+"'\n").certificate(); err == nil {
		t.Error("a key is taken for a certificate")
	}
	if pair, err := mustLoad(t, leastConfig).certificate(); pair != nil || err != nil {
		t.Errorf("without files: %v, %v", pair, err)
	}
}
