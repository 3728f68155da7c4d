package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	segmentio "github.com/segmentio/kafka-go"

	"github.com/filature/filature/adapters/kafka"
	"github.com/filature/filature/adapters/postgres"
	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore"
	"github.com/filature/filature/internal/forger"
	"github.com/filature/filature/internal/services"
	"github.com/filature/filature/workers/auditor"
)

// onServers puts a history into topics and tables of its own, each record at its time, as whoever runs the brokers can, and
// returns the config of a network that works on them, with the keys and the chain of a folder.
func onServers(t *testing.T, h *forger.Forgery, keys, globalConfig string) (configFile string) {
	t.Helper()
	dir := t.TempDir()
	brokers, database, topics := services.Kafka(t), services.Postgres(t), "laid-"+lot(t)
	configFile = filepath.Join(dir, "filature.toml")
	text := fmt.Sprintf(`
[kafka]
brokers = [%q]
topics = %q
data_shards = %d
replicas = 1
[postgres]
url = %q
[ton]
config_file = %q
unverified = true
[keys]
dir = %q
[transparency]
folder = %q
`, brokers[0], topics, len(h.Ledger)-1, database, globalConfig, keys, filepath.Join(dir, tilesDir))
	if err := os.WriteFile(configFile, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := loadConfig(configFile, nil)
	if err != nil {
		t.Fatal(err)
	}
	lay(t, brokers, cfg.intakeTopic(), h.Intake)
	lay(t, brokers, cfg.ledgerTopic(), h.Ledger)
	store, err := postgres.Open(t.Context(), cfg.postgres())
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if err := foldAll(t.Context(), h.Ledger, store); err != nil {
		t.Fatal(err)
	}
	return configFile
}

// lay makes a log's topics, writes records into them with times of its own choice, and then has the brokers say that the
// times are theirs.
func lay(t *testing.T, brokers []string, topic kafka.Topic, log forger.Log) {
	t.Helper()
	client := &segmentio.Client{Addr: segmentio.TCP(brokers...), Transport: &segmentio.Transport{}} // whose knowledge of topics is fresh
	defer client.Transport.(*segmentio.Transport).CloseIdleConnections()
	const control = ".control"
	settings := map[string]string{
		"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1", "message.timestamp.type": "CreateTime",
		"unclean.leader.election.enable": "false", "min.insync.replicas": "1", "max.message.bytes": "33554432",
	}
	create, alter := &segmentio.CreateTopicsRequest{}, &segmentio.IncrementalAlterConfigsRequest{}
	for name, partitions := range map[string]int{topic.Name: len(log) - 1, topic.Name + control: 1} {
		one := segmentio.TopicConfig{Topic: name, NumPartitions: partitions, ReplicationFactor: 1}
		for setting, value := range settings {
			one.ConfigEntries = append(one.ConfigEntries, segmentio.ConfigEntry{ConfigName: setting, ConfigValue: value})
		}
		create.Topics = append(create.Topics, one)
		alter.Resources = append(alter.Resources, segmentio.IncrementalAlterConfigsRequestResource{
			ResourceType: segmentio.ResourceTypeTopic, ResourceName: name, Configs: []segmentio.IncrementalAlterConfigsRequestConfig{
				{Name: "message.timestamp.type", Value: "LogAppendTime", ConfigOperation: segmentio.ConfigOperationSet},
			},
		})
	}
	made, err := client.CreateTopics(t.Context(), create)
	if err != nil {
		t.Fatal(err)
	}
	for name, err := range made.Errors {
		if err != nil {
			t.Fatalf("create %s: %v", name, err)
		}
	}
	for shard, records := range log {
		name, partition := topic.Name, shard-1
		if domain.Shard(shard) == domain.Control {
			name, partition = topic.Name+control, 0
		}
		for len(records) > 0 {
			run := sameTime(records)
			eventually(t, func() bool { // a topic that was made just now may have no leader yet
				produced := make([]segmentio.Record, len(run))
				for i, record := range run {
					produced[i] = segmentio.Record{Time: record.Time, Value: segmentio.NewBytes(record.Value)}
				}
				answer, err := client.Produce(t.Context(), &segmentio.ProduceRequest{
					Topic: name, Partition: partition, RequiredAcks: segmentio.RequireAll, Records: segmentio.NewRecordReader(produced...),
				})
				if err == nil {
					err = answer.Error
				}
				if err == nil && answer.BaseOffset != int64(run[0].Offset) {
					t.Fatalf("%s/%d: %d was put at %d", name, partition, run[0].Offset, answer.BaseOffset)
				}
				return err == nil
			})
			records = records[len(run):]
		}
	}
	if _, err := client.IncrementalAlterConfigs(t.Context(), alter); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { // the brokers hear of it one by one
		laid, err := kafka.Open(t.Context(), kafka.Cluster{Brokers: brokers}, topic)
		if err == nil {
			err = laid.Close()
		}
		return err == nil
	})
}

// sameTime are the first records of one millisecond: a batch has one time.
func sameTime(records []eventstore.Record) []eventstore.Record {
	n := 1
	for n < len(records) && n < 100 && records[n].Time.Equal(records[0].Time) {
		n++
	}
	return records[:n]
}

// TestOnServersAStrangerChecksEverythingAndAForgerIsGivenAway: Kafka, PostgreSQL and a lite-server, and nothing of the
// operator's but what it publishes.
func TestOnServersAStrangerChecksEverythingAndAForgerIsGivenAway(t *testing.T) {
	t.Parallel()
	folder := sharedDemo.copied(t)
	job, keys := aPaidJob(t, folder), filepath.Join(folder, keysDir)
	was, f := historyOf(t, folder), forgeries["a worker made one token more"]
	told := rewritten(t, folder, f.change, f.field)
	_, globalConfig := handedOver(t, mustCopy(t, folder))
	onChain := []string{"--vault", sharedDemo.result.Vault, "--ton-config", globalConfig, "--ton-unverified"}

	config := onServers(t, &was, keys, globalConfig)
	out := t.TempDir()
	file := filepath.Join(out, "job.proof")
	invoke(t, "prove", "job", job.String(), "--config", config, "--out", file).want(t, exitOK)
	invoke(t, append([]string{"verify", file}, onChain...)...).want(t, exitOK, job.String(), "by the chain")
	published := decoded[publication](t, invoke(t, "publish", "--config", config, "--json").want(t, exitOK))
	if len(published.Logs) != len(was.Ledger) {
		t.Fatalf("%+v", published)
	}
	invoke(t, "prove", "job", job.String(), "--config", config, "--out", file).want(t, exitOK)
	both := decoded[verdict](t, invoke(t, append([]string{"verify", file, "--key", published.Key, "--json"}, onChain...)...).want(t, exitOK))
	for _, record := range both.Records {
		if !record.BySignature || !record.ByChain {
			t.Errorf("%+v", record)
		}
	}
	other := append([]string{"verify", file, "--vault", aPayee(t, folder)}, onChain[2:]...)
	if a := invoke(t, other...); a.code == exitOK {
		t.Errorf("a vault that is none stands for a proof:\n%s", a.stdout)
	}

	// The same history gives the same archive, from Kafka as from the folder, but for what the folder did not publish.
	handed := filepath.Join(out, "handed.tar")
	invoke(t, "export", "archive", handed, "--config", config).want(t, exitOK, published.Key)
	report := decoded[auditor.Report](t, invoke(t, "audit", "--logs", handed, "--key", published.Key, "--ton-config", globalConfig,
		"--ton-unverified", "--json").want(t, exitOK))
	checkAudit(t, &report, "projections")
	report = decoded[auditor.Report](t, invoke(t, "audit", "--config", config, "--json").want(t, exitOK))
	checkAudit(t, &report, "files")
	table := filepath.Join(out, "balances.csv")
	invoke(t, "export", "table", "balances", "--config", config, "--out", table).want(t, exitOK, "rows of balances")
	own := filepath.Join(out, "own.csv")
	invoke(t, "export", "table", "balances", "--data", folder, "--out", own).want(t, exitOK)
	theirs, err := os.ReadFile(table)
	if err != nil {
		t.Fatal(err)
	}
	ours, err := os.ReadFile(own)
	if err != nil || string(theirs) != string(ours) {
		t.Errorf("balances from PostgreSQL are not those from SQLite: %v", err)
	}

	forged := onServers(t, told, keys, globalConfig)
	invoke(t, "publish", "--config", forged).want(t, exitOK)
	report = decoded[auditor.Report](t, invoke(t, "audit", "--config", forged, "--json").want(t, exitNo))
	givenAway(t, &report, f.field, "files")
}
