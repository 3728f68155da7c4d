// Package kafka knows how to keep a log on a Kafka cluster. It is an eventstore.Log, as seglog is on a
// local disk, and it shares the shards of a log among the processes that work on them.
//
// # Topics
//
// A log named filature.intake is two topics:
//
//	filature.intake.control   one partition: shard 0
//	filature.intake           n partitions: shard s is partition s-1
//
// Control has a topic of its own so that the accounts' topic has exactly the partitions that Kafka's own
// partitioner counts: a producer anywhere that sends a signed report to filature.intake with the 32
// bytes of the account as its key lands where the ledger looks (PartitionFor, domain.ShardOf). Records
// of ours have no key; their shard was decided before.
//
// Topics keep everything for ever. Create makes them so, and Open refuses topics that do not.
//
// # Appending
//
// One Append is one record batch, which Kafka keeps whole or not at all. A batch bears the id of its
// producer and a sequence number, and there is one batch in flight per shard, so it can be sent
// again as often as it takes: the broker keeps the first and knows the others. If it is given up, the
// producer's epoch rises with the next batch, and from then on the old one can't be kept any more. A process
// that dies leaves nobody to do that: its last batch may still be kept a moment after its successor looked.
// A clerk notices (its append does not stand where it should), and a gateway's reports have numbers.
//
// # Reading
//
// Offsets have no gaps, and a read that would jump one fails (eventstore.ErrGap): a record that
// retention took, a log that ends before where it once ended. What a producer from outside wrote in a
// transaction is read whether it committed or not, since it was said; the marker that ends a
// transaction takes an offset, so it is read as an empty record, which nobody can have signed.
//
// The time of a record is the broker's (LogAppendTime). It goes back where a new leader's clock is
// behind the old one's; the ledger's log time does not go back with it (ledger.State).
//
// # kafka-go
//
// Reader and Writer of segmentio/kafka-go are not used: Writer sends without sequence numbers, and
// Reader jumps over gaps and takes the producer's time for the broker's. Used are its Transport
// (connections, TLS, logins, routing), Client, and ConsumerGroup.
package kafka
