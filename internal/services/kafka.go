package services

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
)

// kafkaEnv names a Kafka cluster to use: host:port of some of its brokers, with commas, open to all.
const kafkaEnv = "FILATURE_KAFKA"

// KafkaUser may log in to the clusters that are started here, with this password, by SCRAM-SHA-512 and
// by PLAIN.
const (
	KafkaUser     = "filature"
	KafkaPassword = "silk worm's" //nolint:gosec // no secret; with what a careless quoting would break
)

// kafkaPorts is how often a broker is given other ports, as somebody may take those that were free.
const kafkaPorts = 3

// Kafka returns the addresses of a cluster that all tests of a process share: one broker, unless the
// environment names a cluster. Give topics and groups names of your own.
func Kafka(t testing.TB) (brokers []string) {
	t.Helper()
	if addresses := os.Getenv(kafkaEnv); addresses != "" {
		return strings.Split(addresses, ",")
	}
	cluster, err := sharedKafka()
	if err != nil {
		t.Fatalf("start Kafka: %v", err)
	}
	return cluster.Brokers()
}

// sharedKafka is ended by the end of the process: see newLeash.
var sharedKafka = sync.OnceValues(func() (*KafkaCluster, error) { return StartKafka(1) })

// OwnKafka starts a cluster that nobody else uses, so that a test may kill its brokers. It is stopped
// with the test.
func OwnKafka(t testing.TB, brokers int) *KafkaCluster {
	t.Helper()
	cluster, err := StartKafka(brokers)
	if err != nil {
		t.Fatalf("start Kafka: %v", err)
	}
	t.Cleanup(cluster.Stop)
	return cluster
}

// KafkaCluster is a running cluster of real brokers, each of which is a controller, too. Its methods are
// for one goroutine.
type KafkaCluster struct {
	folder  string
	roots   *x509.CertPool
	brokers []*broker
	leash   *leash
}

// broker is one process, and where it listens.
type broker struct {
	id        int
	folder    string
	classpath string
	plain     int // ports
	secure    int // TLS
	login     int // TLS, and a password
	quorum    int
	process   *exec.Cmd
	ended     chan struct{} // closed when the process is gone
}

// Brokers returns the addresses that are open to all, in the order of the brokers' numbers.
func (c *KafkaCluster) Brokers() []string {
	return c.addresses(func(b *broker) int { return b.plain })
}

// TLSBrokers returns the addresses that speak TLS, with certificates that Roots knows.
func (c *KafkaCluster) TLSBrokers() []string {
	return c.addresses(func(b *broker) int { return b.secure })
}

// LoginBrokers returns the addresses that speak TLS and want a user and a password.
func (c *KafkaCluster) LoginBrokers() []string {
	return c.addresses(func(b *broker) int { return b.login })
}

func (c *KafkaCluster) addresses(port func(*broker) int) []string {
	out := make([]string, len(c.brokers))
	for i, b := range c.brokers {
		out[i] = localhost(port(b))
	}
	return out
}

// Roots signed the brokers' certificates.
func (c *KafkaCluster) Roots() *x509.CertPool { return c.roots }

// Kill ends a broker with SIGKILL and waits until it is gone. Brokers are numbered from 0.
func (c *KafkaCluster) Kill(t testing.TB, number int) {
	t.Helper()
	c.must(t, c.Signal(number, syscall.SIGKILL))
}

// Freeze stops a broker in the middle of whatever it does, until Thaw.
func (c *KafkaCluster) Freeze(t testing.TB, number int) {
	t.Helper()
	c.must(t, c.Signal(number, syscall.SIGSTOP))
}

// Thaw lets a frozen broker go on, as if no time had passed for it.
func (c *KafkaCluster) Thaw(t testing.TB, number int) {
	t.Helper()
	c.must(t, c.Signal(number, syscall.SIGCONT))
}

// Restart starts a broker again that was killed, with the disk that it had, and waits until the cluster
// knows it.
func (c *KafkaCluster) Restart(t testing.TB, number int) {
	t.Helper()
	c.must(t, c.Revive(t.Context(), number))
}

func (c *KafkaCluster) must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Signal sends a signal to a broker, and waits until it is gone if that was SIGKILL.
func (c *KafkaCluster) Signal(number int, signal syscall.Signal) error {
	b := c.brokers[number]
	if err := b.process.Process.Signal(signal); err != nil {
		return fmt.Errorf("%s to broker %d: %w", signal, number, err)
	}
	if signal == syscall.SIGKILL {
		<-b.ended
	}
	return nil
}

// Revive is Restart for a program that is no test. The others must run. A broker that ends at once is started
// again for a while, as somebody may use its port just now, and be it as the near end of a connection.
func (c *KafkaCluster) Revive(ctx context.Context, number int) error {
	b := c.brokers[number]
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		if err := b.start(); err != nil { //nolint:contextcheck // a server outlives the call that starts it
			return fmt.Errorf("restart broker %d: %w", number, err)
		}
		err := c.await(ctx, b)
		if err == nil {
			return nil
		}
		if !errors.Is(err, errEnded) || !b.hasEnded() || ctx.Err() != nil {
			return fmt.Errorf("restart broker %d: %w", number, err)
		}
	}
}

// Stop ends all brokers and throws their disks away.
func (c *KafkaCluster) Stop() {
	c.leash.release()
	for _, b := range c.brokers {
		if b.ended != nil {
			<-b.ended
		}
	}
}

// StartKafka starts a cluster, for a program that is no test. It ends with Stop, or with this process. Where a
// broker ended at once it is tried again with other ports.
func StartKafka(brokers int) (cluster *KafkaCluster, err error) {
	classpath, err := kafkaJars()
	if err != nil {
		return nil, err
	}
	for range kafkaPorts {
		if cluster, err = tryKafka(classpath, brokers); !errors.Is(err, errEnded) {
			break
		}
	}
	return cluster, err
}

func tryKafka(classpath string, brokers int) (*KafkaCluster, error) {
	folder, err := os.MkdirTemp("", "filature-kafka-")
	if err != nil {
		return nil, err
	}
	held, err := newLeash(folder, thrownAway)
	if err != nil {
		return nil, err
	}
	cluster := &KafkaCluster{folder: folder, leash: held}
	if err := cluster.begin(classpath, brokers); err != nil {
		cluster.Stop()
		return nil, err
	}
	return cluster, nil
}

func (c *KafkaCluster) begin(classpath string, brokers int) error {
	certificates, roots, err := writeCertificates(c.folder)
	if err != nil {
		return err
	}
	c.roots = roots
	for i := range brokers {
		b := &broker{id: i + 1, classpath: classpath, folder: filepath.Join(c.folder, strconv.Itoa(i+1))}
		for _, port := range []*int{&b.plain, &b.secure, &b.login, &b.quorum} {
			if *port, err = freePort(); err != nil {
				return err
			}
		}
		c.brokers = append(c.brokers, b)
	}
	cluster := newClusterID()
	formatted := make(chan error, brokers)
	for _, b := range c.brokers {
		if err := b.configure(c.brokers, certificates); err != nil {
			return err
		}
		go func() { formatted <- b.format(cluster) }()
	}
	for range c.brokers {
		err = errors.Join(err, <-formatted)
	}
	if err != nil {
		return err
	}
	for _, b := range c.brokers {
		if err := b.start(); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	for _, b := range c.brokers {
		if err := c.await(ctx, b); err != nil {
			return err
		}
	}
	return nil
}

// errEnded: the process ended before it was ready.
var errEnded = errors.New("server ended")

// await waits until a broker knows all of them, and gives up when any of them ends: one that finds its port taken
// does, and whoever has the port may know as many brokers.
func (c *KafkaCluster) await(ctx context.Context, b *broker) error {
	retry := time.NewTicker(50 * time.Millisecond)
	defer retry.Stop()
	for {
		known, err := brokersKnownTo(ctx, localhost(b.plain))
		for _, other := range c.brokers {
			if other.hasEnded() {
				return fmt.Errorf("broker %d: %w\n%s", other.id, errEnded, logOf(other.folder))
			}
		}
		if known == len(c.brokers) {
			return nil
		}
		select {
		case <-retry.C:
		case <-ctx.Done():
			return fmt.Errorf("broker %d knows %d of %d brokers after %s (%w)\n%s", b.id, known, len(c.brokers), startTimeout,
				errors.Join(ctx.Err(), err), logOf(b.folder))
		}
	}
}

func (b *broker) hasEnded() bool {
	select {
	case <-b.ended:
		return true
	default:
		return false
	}
}

func brokersKnownTo(ctx context.Context, address string) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	conn, err := kafka.DialContext(ctx, "tcp", address)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return 0, err
	}
	known, err := conn.Brokers()
	return len(known), err
}

func localhost(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
