package domain

import (
	"crypto/sha256"
	"encoding/binary"
)

// ShardOf returns the data shard of an account: 1 plus Kafka's partition for that key, so that a
// producer that lets Kafka choose lands where the ledger looks.
func ShardOf(account AccountID, dataShards int) Shard {
	return Shard(1 + (murmur2(account[:])&0x7fffffff)%uint32(dataShards))
}

// murmur2 is the key hash of Kafka's default partitioner (org.apache.kafka.common.utils.Utils).
func murmur2(data []byte) uint32 {
	const (
		seed = 0x9747b28c
		m    = 0x5bd1e995
		r    = 24
	)
	h := seed ^ uint32(len(data))
	for ; len(data) >= 4; data = data[4:] {
		k := binary.LittleEndian.Uint32(data) * m
		k ^= k >> r
		h = h*m ^ k*m
	}
	switch len(data) {
	case 3:
		h ^= uint32(data[2]) << 16
		fallthrough
	case 2:
		h ^= uint32(data[1]) << 8
		fallthrough
	case 1:
		h = (h ^ uint32(data[0])) * m
	}
	h ^= h >> 13
	h *= m
	return h ^ h>>15
}

// JobIDOf returns the id of the account's job with a number. Numbers only grow, so an id is never
// used twice, and nobody has to remember all ids to know that.
func JobIDOf(account AccountID, number uint64) JobID {
	const domain = "filature/job/v1\x00"
	buf := make([]byte, 0, len(domain)+len(account)+8)
	buf = append(buf, domain...)
	buf = append(buf, account[:]...)
	return sha256.Sum256(binary.BigEndian.AppendUint64(buf, number))
}
