package pubsub

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"pgregory.net/rapid"

	"github.com/filature/filature/adapters/kafka"
	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore"
)

// TestAMessageComesBackAsItWas, whatever its key and metadata are, and says where it stands.
func TestAMessageComesBackAsItWas(t *testing.T) {
	t.Parallel()
	own := []string{Topic, Partition, Offset, Key, uuidHeader, idHeader, versionHeader}
	names := rapid.StringN(1, 20, -1).Filter(func(s string) bool { return !slices.Contains(own, s) })
	rapid.Check(t, func(t *rapid.T) {
		m := message.NewMessage(rapid.StringN(1, 40, -1).Draw(t, "uuid"), rapid.SliceOf(rapid.Byte()).Draw(t, "payload"))
		maps.Copy(m.Metadata, rapid.MapOf(names, rapid.String()).Draw(t, "metadata"))
		delete(m.Metadata, typeHeader)
		if rapid.Bool().Draw(t, "has a key") {
			m.Metadata[Key] = string(rapid.SliceOf(rapid.Byte()).Draw(t, "key"))
		}
		record, err := encode(m)
		if err != nil {
			t.Fatal(err)
		}
		record.Offset = 7
		got := decode("books", 3, record)
		want := message.NewMessage(m.UUID, m.Payload)
		maps.Copy(want.Metadata, m.Metadata)
		want.Metadata[Topic], want.Metadata[Partition], want.Metadata[Offset] = "books", "3", "7"
		if !got.Equals(want) {
			t.Fatalf("came back as %v %v; want %v %v", got.UUID, got.Metadata, want.UUID, want.Metadata)
		}
		if Place(got) != "books/3/7" || Place(message.NewMessage("", nil)) != "" {
			t.Fatalf("place %q", Place(got))
		}
		// What is passed on does not say that it stands where it was received.
		if second, err := encode(got); err != nil || !slices.EqualFunc(second.Headers, record.Headers, sameHeader) {
			t.Fatalf("passed on with %v, %v; want %v", second.Headers, err, record.Headers)
		}
	})
}

func sameHeader(a, b kafka.Header) bool {
	return a.Name == b.Name && string(a.Value) == string(b.Value)
}

func TestACloudEventIsWholeAndNothingElseIsMadeOne(t *testing.T) {
	t.Parallel()
	m := message.NewMessage("3/1042/7", nil)
	m.Metadata["ce_type"] = "filature.v1.Completion"
	record, err := encode(m)
	if err != nil {
		t.Fatal(err)
	}
	got := decode("t", 0, record).Metadata
	if got["ce_id"] != "3/1042/7" || got["ce_specversion"] != "1.0" {
		t.Errorf("metadata %v", got)
	}
	m.Metadata["ce_id"] = "another"
	if record, err = encode(m); err != nil || decode("t", 0, record).Metadata["ce_id"] != "another" {
		t.Errorf("an id that was given is not kept: %v", err)
	}
	plain, err := encode(message.NewMessage("1", nil))
	if err != nil || len(plain.Headers) != 1 || plain.Headers[0].Name != "_watermill_message_uuid" {
		t.Errorf("headers %v, %v", plain.Headers, err)
	}
}

func TestAMessageFromElsewhereHasAnID(t *testing.T) {
	t.Parallel()
	if m := decode("t", 0, kafka.Message{Offset: 4, Headers: []kafka.Header{{Name: "ce_id", Value: []byte("theirs")}}}); m.UUID != "theirs" {
		t.Errorf("a CloudEvent's is %q", m.UUID)
	}
	if m := decode("t", 0, kafka.Message{Offset: 4}); m.UUID != "t/0/4" {
		t.Errorf("a plain record's is %q", m.UUID)
	}
}

func TestAMessageThatIsTooLargeIsRefusedBeforeItIsSent(t *testing.T) {
	t.Parallel()
	large := message.NewMessage("1", make([]byte, eventstore.MaxRecordBytes+1))
	wordy := message.NewMessage("1", nil)
	wordy.Metadata["note"] = strings.Repeat("x", maxMetadataBytes)
	for name, m := range map[string]*message.Message{"payload has": large, "metadata have": wordy} {
		if _, err := encode(m); !errors.Is(err, eventstore.ErrTooLarge) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestKeysGoWhereTheLedgerLooks: an account's messages are in the partition of its shard.
func TestKeysGoWhereTheLedgerLooks(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		shards := rapid.IntRange(1, 40).Draw(t, "shards")
		account := domain.AccountID(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "account"))
		distributed := distribute([]kafka.Message{{Key: account[:]}}, shards, 3)
		if want := int(domain.ShardOf(account, shards)) - 1; len(distributed[want]) != 1 {
			t.Fatalf("not in partition %d of %d", want, shards)
		}
	})
}

// TestDistributedMessagesKeepTheirOrder, and none is lost; those without a key go where it is their turn.
func TestDistributedMessagesKeepTheirOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		partitions := rapid.IntRange(1, 9).Draw(t, "partitions")
		keys := rapid.SliceOf(rapid.SampledFrom([]string{"", "a", "b", "c"})).Draw(t, "keys")
		records := make([]kafka.Message, len(keys))
		for i, key := range keys {
			records[i].Offset = int64(i)
			if key != "" {
				records[i].Key = []byte(key)
			}
		}
		turn := rapid.IntRange(0, 100).Draw(t, "turn")
		count, where := 0, map[string]int{"": turn % partitions}
		for partition, own := range distribute(records, partitions, turn) {
			last := int64(-1)
			for _, r := range own {
				if at, seen := where[string(r.Key)]; seen && at != partition || r.Offset <= last {
					t.Fatalf("key %q at %d after %d in partition %d", r.Key, r.Offset, last, partition)
				}
				where[string(r.Key)], last = partition, r.Offset
				count++
			}
		}
		if count != len(keys) {
			t.Fatalf("%d of %d", count, len(keys))
		}
	})
}

func TestBatchesAreBoundedAndNeverEmpty(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		sizes := rapid.SliceOfN(rapid.IntRange(0, batchBytes+10), 1, 20).Draw(t, "sizes")
		records := make([]kafka.Message, 0, 3000)
		for _, size := range sizes {
			records = append(records, kafka.Message{Value: make([]byte, size)})
		}
		records = append(records, make([]kafka.Message, rapid.IntRange(0, 2900).Draw(t, "small ones"))...)
		for len(records) > 0 {
			n := batchLength(records)
			size := 0
			for _, r := range records[:max(n, 0)] {
				size += sizeOf(r)
			}
			if n < 1 || n > batchMessages || n > 1 && size > batchBytes {
				t.Fatalf("a batch of %d with %d bytes", n, size)
			}
			if n < len(records) && n < batchMessages && size+sizeOf(records[n]) <= batchBytes {
				t.Fatalf("a batch of %d with %d bytes, and the next would fit", n, size)
			}
			records = records[n:]
		}
	})
}
