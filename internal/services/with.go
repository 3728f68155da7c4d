package services

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// With starts a Kafka and a PostgreSQL, unless the environment names them, runs a command that finds
// them in its environment, and stops them. So one start serves many test processes. The error is the
// command's, or says what did not start.
func With(ctx context.Context, command []string) (err error) {
	if len(command) == 0 {
		return errors.New("no command; want a program and its arguments")
	}
	program := exec.CommandContext(ctx, command[0], command[1:]...) //nolint:gosec // running it is what this is for
	program.Stdin, program.Stdout, program.Stderr = os.Stdin, os.Stdout, os.Stderr
	program.Env = os.Environ()
	if os.Getenv(kafkaEnv) == "" {
		cluster, err := sharedKafka()
		if err != nil {
			return fmt.Errorf("start Kafka: %w", err)
		}
		defer cluster.Stop()
		program.Env = append(program.Env, kafkaEnv+"="+strings.Join(cluster.Brokers(), ","))
	}
	if os.Getenv(postgresEnv) == "" {
		server, err := sharedPostgres()
		if err != nil {
			return fmt.Errorf("start PostgreSQL: %w", err)
		}
		defer server.Stop()
		program.Env = append(program.Env, postgresEnv+"="+server.url)
	}
	// An interrupt goes to the command too, if it comes from a terminal; it then ends, and so do we.
	program.Cancel = func() error { return program.Process.Signal(os.Interrupt) }
	return program.Run()
}
