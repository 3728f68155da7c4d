package pubsub_test

import (
	"crypto/tls"

	"github.com/filature/filature/adapters/kafka"
	"github.com/filature/filature/internal/services"
)

// secured reaches a cluster as one would in production.
func secured(broker *services.KafkaCluster) kafka.Cluster {
	return kafka.Cluster{
		Brokers: broker.LoginBrokers(), TLS: &tls.Config{RootCAs: broker.Roots(), MinVersion: tls.VersionTLS12},
		Login: &kafka.Login{Mechanism: kafka.SCRAM, User: services.KafkaUser, Password: services.KafkaPassword},
	}
}
