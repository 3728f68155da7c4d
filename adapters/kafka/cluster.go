package kafka

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"
)

const (
	// clientID is what brokers' logs and quotas call us.
	clientID = "filature"
	// dialTimeout bounds one connection with its handshakes; a broker that needs longer is as good as down.
	dialTimeout = 5 * time.Second
	// metadataAge is how long we may take a broker for a leader that it no longer is.
	metadataAge = time.Second
)

// Mechanism is a way to log in.
type Mechanism string

// The mechanisms that this package speaks.
const (
	SCRAM Mechanism = "SCRAM-SHA-512"
	PLAIN Mechanism = "PLAIN" // shows the password to whoever reads the wire: with TLS only
)

// Login is who we are to a cluster that asks.
type Login struct {
	Mechanism Mechanism
	User      string
	Password  string
}

// Cluster is where a Kafka cluster is, and how to talk to it.
type Cluster struct {
	Brokers []string    // host:port of some of its brokers; the others are found through them
	TLS     *tls.Config // nil: no TLS
	Login   *Login      // nil: the cluster does not ask
}

var (
	// ErrUnreachable: no broker answered. Nothing was written.
	ErrUnreachable = errors.New("kafka does not answer")
	// ErrLogin: the cluster does not know the user, the password is wrong, or it wants another mechanism.
	ErrLogin = errors.New("kafka refuses the login")
)

// link is how both of kafka-go's paths reach a cluster.
type link struct {
	address net.Addr
	tls     *tls.Config
	sasl    sasl.Mechanism
}

func (c Cluster) link() (link, error) {
	if len(c.Brokers) == 0 {
		return link{}, errors.New("kafka brokers: none; want host:port of at least one")
	}
	for i, broker := range c.Brokers {
		if _, _, err := net.SplitHostPort(broker); err != nil {
			return link{}, fmt.Errorf("kafka brokers[%d]: %q; want host:port", i, broker)
		}
	}
	l := link{address: kafka.TCP(c.Brokers...), tls: c.TLS}
	if c.Login == nil {
		return l, nil
	}
	var err error
	switch c.Login.Mechanism {
	case SCRAM:
		if l.sasl, err = scram.Mechanism(scram.SHA512, c.Login.User, c.Login.Password); err != nil {
			return link{}, fmt.Errorf("kafka login: %w", err)
		}
	case PLAIN:
		if c.TLS == nil {
			return link{}, errors.New("kafka login: PLAIN without TLS would show the password to the network; want TLS, or SCRAM-SHA-512")
		}
		l.sasl = plain.Mechanism{Username: c.Login.User, Password: c.Login.Password}
	default:
		return link{}, fmt.Errorf("kafka login: mechanism is %q; want %s or %s", c.Login.Mechanism, SCRAM, PLAIN)
	}
	return l, nil
}

// transport is for requests that find their broker by topic. topics are those that it may be asked about.
func (l link) transport(topics ...string) *kafka.Transport {
	return &kafka.Transport{
		DialTimeout: dialTimeout, MetadataTTL: metadataAge, MetadataTopics: topics,
		ClientID: clientID, TLS: l.tls, SASL: l.sasl,
	}
}

// dialer is for consumer groups.
func (l link) dialer() *kafka.Dialer {
	return &kafka.Dialer{ClientID: clientID, Timeout: dialTimeout, TLS: l.tls, SASLMechanism: l.sasl}
}

func refusesLogin(err error) bool {
	return errors.Is(err, kafka.SASLAuthenticationFailed) || errors.Is(err, kafka.UnsupportedSASLMechanism) || errors.Is(err, kafka.IllegalSASLState)
}

// explain makes an error say what to do, where a first contact failed.
func (c Cluster) explain(err error) error {
	brokers := strings.Join(c.Brokers, ", ")
	user := "nobody"
	if c.Login != nil {
		user = fmt.Sprintf("%s (%s)", c.Login.User, c.Login.Mechanism)
	}
	switch {
	case refusesLogin(err):
		return fmt.Errorf("log in to %s as %s: %w: check the user, the password and the mechanism: %w", brokers, user, ErrLogin, err)
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return fmt.Errorf("talk to %s as %s: %w as expected: check that the port is the one for this use of TLS and login: %w",
			brokers, user, ErrUnreachable, err)
	default:
		return fmt.Errorf("connect to %s: %w: check that it runs and that the addresses are right: %w", brokers, ErrUnreachable, err)
	}
}
