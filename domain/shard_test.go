package domain

import (
	"encoding/hex"
	"testing"

	"pgregory.net/rapid"
)

// TestMurmur2IsKafkas has the vectors of org.apache.kafka.common.utils.UtilsTest.testMurmur2.
func TestMurmur2IsKafkas(t *testing.T) {
	for key, want := range map[string]int32{
		"21":                         -973932308,
		"foobar":                     -790332482,
		"a-little-bit-long-string":   -985981536,
		"a-little-bit-longer-string": -1486304829,
		"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
		"abc": 479470107,
	} {
		if got := int32(murmur2([]byte(key))); got != want {
			t.Errorf("%q: got %d, want %d", key, got, want)
		}
	}
}

func TestAnAccountLivesInOneDataShardAndNeverInControl(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		account := AccountID(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "account"))
		shards := rapid.IntRange(1, 1024).Draw(t, "shards")
		shard := ShardOf(account, shards)
		if shard < 1 || int(shard) > shards {
			t.Fatalf("shard %d of %d", shard, shards)
		}
		// Kafka's partitioner: toPositive(murmur2(key)) % partitions.
		if want := Shard(1 + int(murmur2(account[:])&0x7fffffff)%shards); shard != want {
			t.Fatalf("shard %d, Kafka says %d", shard, want)
		}
	})
}

func TestAccountsSpreadOverTheShards(t *testing.T) {
	const shards, accounts = 16, 16_000
	var count [shards + 1]int
	for n := range accounts {
		count[ShardOf(AccountID(JobIDOf(AccountID{}, uint64(n))), shards)]++
	}
	for shard, n := range count[1:] {
		if n < accounts/shards*8/10 || n > accounts/shards*12/10 {
			t.Errorf("shard %d has %d of %d accounts", shard+1, n, accounts)
		}
	}
}

func TestJobIDIsTheDigestOfPrefixAccountAndNumber(t *testing.T) {
	var account AccountID
	for i := range account {
		account[i] = byte(i)
	}
	// python3: sha256(b"filature/job/v1\0" + bytes(range(32)) + bytes(range(1, 9)))
	const want = "71ef32e6acdce853695a16021b9546b3b4c2aa81d752e8fda4a9df01acd9dc21"
	if got := JobIDOf(account, 0x0102030405060708); hex.EncodeToString(got[:]) != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
