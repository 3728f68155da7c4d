// Package pubsub knows how messages travel through Kafka: it is Watermill's Publisher and Subscriber on
// kafka-go, and passes Watermill's own conformance suite whole.
//
// A message is what has an effect outside: a webhook, a payout step, a line in somebody's stream. Facts
// are no messages; they go through adapters/kafka's Log, in batches, and their readers keep their own place.
//
// # What is promised
//
// At least once. Publish returns when all replicas in sync have the messages. A lost acknowledgement makes
// it send them again, so a message may stand twice in its topic; and a message may be delivered twice, by a
// member of a group that died before it committed, or that was cut off and does not know. Consumers that
// count look at the message's UUID, which stays the same.
//
// In order within a partition: the next message is delivered after the Ack of the one before. Messages with
// the same key are in the same partition, and keys go where Kafka's own clients put them (murmur2).
//
// Nothing is jumped over silently. If messages are gone that a group had not read (retention was shorter than
// its absence, or a topic was made anew), that is logged as an error and counted in
// filature_stream_missing_messages_total, and the group goes on at the first message that is kept:
// to stop for ever would bring none of them back, and the ledger still has what they were about.
//
// Kafka forgets the place of a group that nobody was a member of for a week (offsets.retention.minutes). It
// then begins with the first message that is kept.
//
// # How a message looks
//
// The payload is the record's value and each metadatum a header. Watermill's UUID is in the header that
// Watermill's other adapter for Kafka uses. CloudEvents attributes (ce_type, ce_source, ...) are metadata
// of these names. The metadata Topic, Partition, Offset and Key say where a received message stands.
package pubsub
