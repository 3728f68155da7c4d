package relay

import (
	"context"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"google.golang.org/protobuf/proto"

	"github.com/filature/filature/domain/stream"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// Metadata of the messages. Those that begin with ce_ are CloudEvents attributes in binary mode, so that
// any consumer that knows CloudEvents can route without decoding.
const (
	metaID          = "ce_id" // the position, as the UUID and metaPosition
	metaSource      = "ce_source"
	metaType        = "ce_type" // "filature.v1.Completion"
	metaSpecVersion = "ce_specversion"
	metaTime        = "ce_time" // log time
	metaContentType = "content-type"
	metaPosition    = "position" // shard/offset/fact
	metaKey         = "key"      // 32 bytes as they are; absent where there is no key
	metaCorrelation = "correlation_id"
)

// batch is what is published to a topic at once.
type batch struct {
	topic    string
	messages []*message.Message
	bytes    int
}

func (b *batch) full() bool { return len(b.messages) >= batchMessages || b.bytes >= batchBytes }

// add wraps a message. Its context is the relay's, for a publisher that can be told to stop.
func (b *batch) add(ctx context.Context, m stream.Message, source string) error {
	wrapped, err := wrap(m, source)
	if err != nil {
		return fmt.Errorf("message of fact %s: %w", m.Position, err)
	}
	wrapped.SetContext(ctx)
	b.messages = append(b.messages, wrapped)
	b.bytes += len(wrapped.Payload)
	return nil
}

// wrap makes of what the ledger tells what a topic takes.
func wrap(m stream.Message, source string) (*message.Message, error) {
	payload, err := v1.Encode(m.Body)
	if err != nil {
		return nil, err
	}
	position := m.Position.String()
	wrapped := message.NewMessage(position, payload)
	wrapped.Metadata = message.Metadata{
		metaID:          position,
		metaSource:      source,
		metaType:        string(m.Body.(proto.Message).ProtoReflect().Descriptor().FullName()),
		metaSpecVersion: "1.0",
		metaTime:        time.UnixMilli(m.AtMs).UTC().Format(time.RFC3339Nano),
		metaContentType: "application/protobuf",
		metaPosition:    position,
		metaCorrelation: m.About,
	}
	if m.Key != nil {
		wrapped.Metadata[metaKey] = string(m.Key)
	}
	return wrapped, nil
}
