package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/filature/filature/adapters/kafka"
	"github.com/filature/filature/sdk"
)

// kafkaFlags say how to reach a cluster where no gateway stands between.
type kafkaFlags struct {
	Brokers      []string `name:"kafka" placeholder:"HOST:PORT" help:"Brokers of the network's Kafka: write to its intake, and leave the gateway out."`
	Topics       string   `name:"kafka-topics" default:"filature" help:"What the network's topics begin with."`
	CA           string   `name:"kafka-ca" type:"path" placeholder:"FILE" help:"Certificates (PEM) that the brokers' are signed with. Without it: no TLS."`
	User         string   `name:"kafka-user" placeholder:"NAME" help:"Log in as this user, with SCRAM-SHA-512."`
	PasswordFile string   `name:"kafka-password-file" type:"path" placeholder:"FILE" help:"File with the user's password."`
}

// way is how reports get into intake: through the gateway, or straight to Kafka. Close it when all is sent.
func (c *emitCmd) way() (gateway sdk.Gateway, done func() error, err error) {
	if len(c.Kafka.Brokers) == 0 {
		gateway, err := sdk.NewHTTP(c.Gateway, nil)
		if err != nil {
			return nil, nil, usage("--gateway: %w", err)
		}
		return gateway, func() error { return nil }, nil
	}
	cluster, err := c.Kafka.cluster()
	if err != nil {
		return nil, nil, usage("%w", err)
	}
	direct, err := kafka.NewDirect(cluster, c.Kafka.Topics)
	if err != nil {
		return nil, nil, usage("--kafka: %w", err)
	}
	return direct, direct.Close, nil
}

func (f kafkaFlags) cluster() (kafka.Cluster, error) {
	cluster := kafka.Cluster{Brokers: f.Brokers}
	if f.CA != "" {
		raw, err := os.ReadFile(f.CA)
		if err != nil {
			return kafka.Cluster{}, fmt.Errorf("--kafka-ca: %w", err)
		}
		cluster.TLS = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool()}
		if !cluster.TLS.RootCAs.AppendCertsFromPEM(raw) {
			return kafka.Cluster{}, fmt.Errorf("--kafka-ca: %s: holds no certificate", f.CA)
		}
	}
	switch {
	case (f.User == "") != (f.PasswordFile == ""):
		return kafka.Cluster{}, errors.New("--kafka-user and --kafka-password-file: want both, or none")
	case f.User != "":
		password, err := os.ReadFile(f.PasswordFile)
		if err != nil {
			return kafka.Cluster{}, fmt.Errorf("--kafka-password-file: %w", err)
		}
		cluster.Login = &kafka.Login{Mechanism: kafka.SCRAM, User: f.User, Password: strings.TrimSpace(string(password))}
	}
	return cluster, nil
}
