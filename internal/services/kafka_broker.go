package services

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// configure writes the broker's settings. What differs from Kafka's defaults is for a small machine and
// for tests that wait for a dead broker to be found dead.
func (b *broker) configure(all []*broker, certificates string) error {
	if err := os.MkdirAll(b.folder, 0o700); err != nil {
		return err
	}
	voters := make([]string, len(all))
	for i, v := range all {
		voters[i] = fmt.Sprintf("%d@%s", v.id, localhost(v.quorum))
	}
	open := fmt.Sprintf("PLAIN://%s,SECURE://%s,LOGIN://%s", localhost(b.plain), localhost(b.secure), localhost(b.login))
	replicas := strconv.Itoa(min(3, len(all)))
	settings := []string{
		"process.roles=broker,controller",
		"node.id=" + strconv.Itoa(b.id),
		"controller.quorum.voters=" + strings.Join(voters, ","),
		"listeners=" + open + ",CONTROLLER://" + localhost(b.quorum),
		"advertised.listeners=" + open,
		"listener.security.protocol.map=PLAIN:PLAINTEXT,SECURE:SSL,LOGIN:SASL_SSL,CONTROLLER:PLAINTEXT",
		"controller.listener.names=CONTROLLER",
		"inter.broker.listener.name=PLAIN",
		"log.dirs=" + filepath.Join(b.folder, "data"),
		"auto.create.topics.enable=false",

		"ssl.keystore.type=PEM",
		"ssl.keystore.location=" + certificates,
		"sasl.enabled.mechanisms=SCRAM-SHA-512,PLAIN",
		"listener.name.login.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;",
		fmt.Sprintf(`listener.name.login.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_%s="%s";`,
			KafkaUser, KafkaPassword),

		"offsets.topic.replication.factor=" + replicas,
		"offsets.topic.num.partitions=4",
		"transaction.state.log.replication.factor=" + replicas,
		"transaction.state.log.min.isr=1",
		"transaction.state.log.num.partitions=4",
		"group.initial.rebalance.delay.ms=0",

		"num.network.threads=2",
		"num.io.threads=4",
		"num.recovery.threads.per.data.dir=1",
		"log.cleaner.dedupe.buffer.size=2097152",

		"broker.heartbeat.interval.ms=500",
		"broker.session.timeout.ms=3000",
		"controller.quorum.election.timeout.ms=500",
		"controller.quorum.fetch.timeout.ms=1000",
	}
	return os.WriteFile(b.settings(), []byte(strings.Join(settings, "\n")+"\n"), 0o600)
}

func (b *broker) settings() string { return filepath.Join(b.folder, "server.properties") }

// format prepares the broker's disk, as an operator would, and makes the user known.
func (b *broker) format(cluster string) error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	command := java(ctx, b.classpath, "kafka.tools.StorageTool", "format", "--cluster-id", cluster, "--config", b.settings(),
		"--add-scram", fmt.Sprintf("SCRAM-SHA-512=[name=%s,password=%q]", KafkaUser, KafkaPassword))
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("format the disk of broker %d: %w\n%s", b.id, err, out)
	}
	return nil
}

// start starts the process, with its output in <folder>/log, and notes its number for the leash.
func (b *broker) start() error {
	output, err := os.OpenFile(filepath.Join(b.folder, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer output.Close()
	process := java(context.Background(), b.classpath, "kafka.Kafka", b.settings())
	process.Stdout, process.Stderr = output, output
	process.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // what is typed at the terminal is for us
	if err := process.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() {
		_ = process.Wait() // killed, as a rule
		close(ended)
	}()
	b.process, b.ended = process, ended
	return os.WriteFile(filepath.Join(b.folder, "pid"), []byte(strconv.Itoa(process.Process.Pid)+"\n"), 0o600)
}

// java is a machine that starts fast and stays small.
func java(ctx context.Context, classpath string, args ...string) *exec.Cmd {
	//nolint:gosec // nothing of it comes from outside
	return exec.CommandContext(ctx, "java", append([]string{
		"-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
		"-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
		"-cp", classpath,
	}, args...)...)
}

// newClusterID is 16 random bytes, as Kafka writes them.
func newClusterID() string {
	var raw [16]byte
	_, _ = rand.Read(raw[:]) // never fails
	raw[0] &= 0x7f           // an id that begins with "-" would be read as an option
	return base64.RawURLEncoding.EncodeToString(raw[:])
}
