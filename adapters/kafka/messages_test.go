package kafka

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/segmentio/kafka-go/protocol"
	"pgregory.net/rapid"

	"github.com/filature/filature/eventstore"
)

// storeMessages encodes messages as kafka-go does, and gives them a place as a broker does.
func storeMessages(t failer, messages []Message, base int64) []byte {
	t.Helper()
	records := make([]protocol.Record, len(messages))
	for i, m := range messages {
		records[i] = m.record()
		records[i].Time = m.Time
	}
	var buffer bytes.Buffer
	set := protocol.RecordSet{Version: magic, Attributes: protocol.Attributes(codec), Records: protocol.NewRecordReader(records...)}
	if _, err := set.WriteTo(&buffer); err != nil {
		t.Fatal(err)
	}
	b := buffer.Bytes()[sizePrefixBytes:]
	binary.BigEndian.PutUint64(b[baseOffsetAt:], uint64(base))
	return b
}

func anyMessage(t *rapid.T) Message {
	m := Message{Time: noon.Add(time.Duration(rapid.IntRange(0, 1000).Draw(t, "later")) * time.Millisecond)}
	m.Value = rapid.SliceOfN(rapid.Byte(), 0, 100).Draw(t, "value")
	if rapid.Bool().Draw(t, "has a key") {
		m.Key = rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "key")
	}
	for range rapid.IntRange(0, 4).Draw(t, "headers") {
		m.Headers = append(m.Headers, Header{rapid.String().Draw(t, "name"), rapid.SliceOfN(rapid.Byte(), 1, 20).Draw(t, "text")})
	}
	return m
}

// TestMessagesComeBackFromAnyOffset with key, headers and time as they were sent.
func TestMessagesComeBackFromAnyOffset(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		base := rapid.Int64Range(0, 1<<40).Draw(t, "base")
		var raw []byte
		var all []Message
		for range rapid.IntRange(1, 4).Draw(t, "batches") {
			batch := rapid.SliceOfN(rapid.Custom(anyMessage), 1, 8).Draw(t, "batch")
			raw = append(raw, storeMessages(t, batch, base+int64(len(all)))...)
			all = append(all, batch...)
		}
		skip := rapid.IntRange(0, len(all)-1).Draw(t, "skip")
		page, err := readMessages(raw, base+int64(skip))
		if err != nil || page.Next != base+int64(len(all)) || len(page.Messages) != len(all)-skip {
			t.Fatalf("%d messages up to %d, %v; want %d", len(page.Messages), page.Next, err, len(all)-skip)
		}
		for i, got := range page.Messages {
			want := all[skip+i]
			want.Offset = base + int64(skip+i)
			if fmt.Sprint(got) != fmt.Sprint(want) || (got.Key == nil) != (want.Key == nil) {
				t.Fatalf("message %d: %v; want %v", i, got, want)
			}
		}
	})
}

func TestAPageEndsBehindMarkersAndBeforeWhatIsCutOff(t *testing.T) {
	t.Parallel()
	one := []Message{{Time: noon, Value: []byte("v")}}
	marker := storeMessages(t, one, 1)
	marker[attributesAt+1] |= controlBit
	reseal(marker)
	raw := slices.Concat(storeMessages(t, one, 0), marker, storeMessages(t, one, 2), marker[:recordsAt+1])
	page, err := readMessages(raw, 0)
	if err != nil || len(page.Messages) != 2 || page.Messages[1].Offset != 2 || page.Next != 3 {
		t.Errorf("%+v, %v", page, err)
	}
	if page, err = readMessages(raw, 1); err != nil || len(page.Messages) != 1 || page.Next != 3 {
		t.Errorf("from the marker: %+v, %v", page, err)
	}
}

func TestTheBrokersTimeCountsWhereTheTopicSaysSo(t *testing.T) {
	t.Parallel()
	raw := storeMessages(t, []Message{{Time: noon}, {Time: noon.Add(time.Second)}}, 0)
	raw[attributesAt+1] |= appendTimeBit
	binary.BigEndian.PutUint64(raw[maxTimeAt:], uint64(noon.Add(time.Hour).UnixMilli()))
	page, err := readMessages(reseal(raw), 0)
	if err != nil || !page.Messages[0].Time.Equal(noon.Add(time.Hour)) || !page.Messages[1].Time.Equal(noon.Add(time.Hour)) {
		t.Errorf("%+v, %v", page, err)
	}
}

func TestMessagesThatAreDamagedOrMissingAreSaid(t *testing.T) {
	t.Parallel()
	good := func() []byte { return storeMessages(t, []Message{{Time: noon, Value: []byte("value")}}, 5) }
	for name, c := range map[string]struct {
		change func(b []byte) []byte
		want   error
	}{
		"a flipped bit":        {func(b []byte) []byte { b[len(b)-1] ^= 1; return b }, eventstore.ErrCorrupt},
		"a hole before it":     {func(b []byte) []byte { binary.BigEndian.PutUint64(b[baseOffsetAt:], 6); return b }, eventstore.ErrGap},
		"more records":         {func(b []byte) []byte { b[lastDeltaAt+3], b[countAt+3] = 1, 2; return reseal(b) }, eventstore.ErrCorrupt},
		"no records that pack": {func(b []byte) []byte { clear(b[recordsAt:]); return reseal(b) }, eventstore.ErrCorrupt},
	} {
		if _, err := readMessages(c.change(good()), 5); !errors.Is(err, c.want) {
			t.Errorf("%s: %v; want %v", name, err, c.want)
		}
	}
}

func FuzzReadMessages(f *testing.F) {
	f.Add(storeMessages(f, []Message{{Time: noon, Key: []byte("k"), Value: []byte("v"), Headers: []Header{{"a", []byte("b")}}}}, 0))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if len(raw) >= recordsAt {
			raw[magicAt] = magic
			reseal(raw)
		}
		page, err := readMessages(raw, 0)
		if err == nil && page.Next < int64(len(page.Messages)) {
			t.Errorf("%d messages up to %d", len(page.Messages), page.Next)
		}
	})
}
