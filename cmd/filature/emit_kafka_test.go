package main

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/filature/filature/adapters/kafka"
	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/signing"
	"github.com/filature/filature/internal/services"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

func TestEmitWritesToKafkaWithoutAGateway(t *testing.T) {
	var unique [6]byte
	_, _ = rand.Read(unique[:]) // never fails
	cluster, topics := kafka.Cluster{Brokers: services.Kafka(t)}, "test."+hex.EncodeToString(unique[:])
	intakeTopic, ledgerTopic := kafka.IntakeTopic(topics, emitShards), kafka.LedgerTopic(topics, emitShards)
	w := &emitWorld{T: t, dir: t.TempDir()}
	operator := signing.KeyOf(w.key("key"))
	emit := func(input string, more ...string) (code int, said string) {
		args := append([]string{
			"emit", "--kafka", strings.Join(cluster.Brokers, ","), "--kafka-topics", topics,
			"--key", filepath.Join(w.dir, "key"), "--spool", filepath.Join(w.dir, "spool"),
		}, more...)
		var out, err strings.Builder
		code = run(t.Context(), args, strings.NewReader(input), &out, &err)
		return code, out.String() + err.String()
	}
	if code, said := emit(listModel("first")); code != exitUnfinished || !strings.Contains(said, "create it first") {
		t.Errorf("without topics: exit code %d, %s", code, said)
	}
	for _, topic := range []kafka.Topic{intakeTopic, ledgerTopic} {
		if err := kafka.Create(t.Context(), cluster, topic, 1); err != nil {
			t.Fatal(err)
		}
	}
	genesis, err := v1.Encode(&v1.Entry{Body: &v1.Entry_Genesis{
		Genesis: &v1.Genesis{Name: topics, Shards: emitShards, Operator: operator[:], CreatedAtMs: 1},
	}})
	if err != nil {
		t.Fatal(err)
	}
	books, err := kafka.Open(t.Context(), cluster, ledgerTopic)
	if err != nil {
		t.Fatal(err)
	}
	defer books.Close()
	if _, err := books.Append(t.Context(), domain.Control, [][]byte{genesis}); err != nil {
		t.Fatal(err)
	}
	account := hexID(0xa1)
	code, said := emit(listModel("first") + "\n" + openAccount(account))
	want := fmt.Sprintf("accepted   2 reports, 2 claims\nshard 0    up to intake 0/0\nshard %d    up to intake %[1]d/0\n", homeOf(t, account))
	if code != exitOK || !strings.HasPrefix(said, want) {
		t.Errorf("exit code %d, it says %q, want %q", code, said, want)
	}
}

func TestEmitRefusesAWayToKafkaThatCanNotBe(t *testing.T) {
	w := &emitWorld{T: t, dir: t.TempDir()}
	w.key("key")
	noCA := filepath.Join(w.dir, "ca")
	if err := os.WriteFile(noCA, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, more := range map[string][]string{
		"want host:port":                        {"--kafka", "nowhere"},
		"--kafka-user and --kafka-password":     {"--kafka", "host:1", "--kafka-user", "ann"},
		"--kafka-password-file: open":           {"--kafka", "host:1", "--kafka-user", "ann", "--kafka-password-file", filepath.Join(w.dir, "none")},
		"--kafka-ca: open":                      {"--kafka", "host:1", "--kafka-ca", filepath.Join(w.dir, "none")},
		noCA + ": holds no certificate":         {"--kafka", "host:1", "--kafka-ca", noCA},
		`kafka topics: prefix is "a b"; want 1`: {"--kafka", "host:1", "--kafka-topics", "a b"},
	} {
		args := append([]string{"emit", "--key", filepath.Join(w.dir, "key"), "--spool", filepath.Join(w.dir, "spool")}, more...)
		var out, err strings.Builder
		if code := run(t.Context(), args, strings.NewReader(""), &out, &err); code != exitUsage || !strings.Contains(err.String(), want) {
			t.Errorf("%q: exit code %d, %s; want %s", more, code, err.String(), want)
		}
	}
}
