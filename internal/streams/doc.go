// Package streams knows that ledger, relay, Kafka, HTTP and readers fit together: it holds tests that no single
// one of them may hold, and the measurements behind docs/decisions/0015-the-relay-is-a-batch-loop.md.
package streams
