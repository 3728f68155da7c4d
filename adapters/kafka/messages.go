package kafka

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore"
)

// maxHeaders bounds what a record may say about itself before memory is taken for it.
const maxHeaders = 1000

// readMessages reads what stands in fetched batches from an offset on. The marker of a transaction is no
// message, and is passed. A message of a transaction that was taken back is one: nobody here sends such.
// What they point to shares the memory that the batches were unpacked to.
func readMessages(raw []byte, from int64) (Page, error) {
	page := Page{Next: from}
	for len(raw) > 0 {
		b, rest, err := nextBatch(raw)
		if errors.Is(err, errCut) {
			break
		}
		if err != nil {
			return Page{}, err
		}
		raw = rest
		switch {
		case int64(b.last) < page.Next:
			continue
		case int64(b.base) > page.Next:
			return Page{}, fmt.Errorf("batch at %d where %d belongs: %w", b.base, page.Next, eventstore.ErrGap)
		}
		if !b.control {
			messages, err := b.messages()
			if err != nil {
				return Page{}, err
			}
			page.Messages = append(page.Messages, messages[page.Next-int64(b.base):]...)
		}
		page.Next = int64(b.last) + 1
	}
	return page, nil
}

// messages returns the records of a batch with all that they say.
func (b batch) messages() ([]Message, error) {
	raw, err := b.unpacked()
	if err != nil {
		return nil, err
	}
	if len(raw) > maxUnpackedBytes {
		return nil, fmt.Errorf("batch at %d: more than %d bytes unpacked: %w", b.base, maxUnpackedBytes, eventstore.ErrCorrupt)
	}
	messages := make([]Message, b.count)
	for i := range messages {
		record, rest, ok := field(raw)
		if ok {
			messages[i], ok = b.message(record)
		}
		if !ok {
			return nil, fmt.Errorf("batch at %d: record %d: %w", b.base, i, eventstore.ErrCorrupt)
		}
		messages[i].Offset = int64(b.base + domain.Offset(i))
		raw = rest
	}
	return messages, nil
}

// message reads a record but for its place, which is known.
func (b batch) message(record []byte) (m Message, ok bool) {
	number := func() (v int64) {
		v, n := binary.Varint(record)
		if ok = ok && n > 0; ok {
			record = record[n:]
		}
		return v
	}
	bytes := func() (v []byte) {
		if ok {
			v, record, ok = field(record)
		}
		return v
	}
	if len(record) == 0 {
		return Message{}, false
	}
	record, ok = record[1:], true // attributes
	m.Time = b.time
	if later := number(); !b.brokers {
		m.Time = m.Time.Add(time.Duration(later) * time.Millisecond)
	}
	number() // difference in offset
	m.Key, m.Value = bytes(), bytes()
	headers := number()
	if headers < 0 || headers > maxHeaders {
		return Message{}, false
	}
	for range headers {
		m.Headers = append(m.Headers, Header{Name: string(bytes()), Value: bytes()})
	}
	return m, ok
}
