package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/filature/filature/workers/courier"
)

// maxPoisonFiles bounds a folder of what was put aside. Beyond it a message is only logged: each is of a worker that is
// asked again.
const maxPoisonFiles = 10_000

// poisonFolder is where a process without topics puts messages aside: one file each, in JSON, for people to look at.
type poisonFolder string

// poisonFile is a message that was put aside.
type poisonFile struct {
	poisoned

	Payload []byte `json:"payload"` // as it came, in base64
}

var _ message.Publisher = poisonFolder("")

// Publish implements message.Publisher. When it returns nil the files are durable. The same message again, put aside
// for the same handler, is the same file.
func (f poisonFolder) Publish(_ string, messages ...*message.Message) error {
	if err := os.MkdirAll(string(f), 0o700); err != nil {
		return err
	}
	for _, m := range messages {
		if err := f.put(m); err != nil {
			return fmt.Errorf("put %s aside in %s: %w", m.UUID, string(f), err)
		}
	}
	return nil
}

func (f poisonFolder) put(m *message.Message) (err error) {
	have, err := os.ReadDir(string(f))
	if err != nil || len(have) >= maxPoisonFiles {
		return err // the courier has logged it
	}
	said := courier.ReadPoisoned(m)
	text, err := json.MarshalIndent(poisonFile{
		poisoned: poisoned{At: time.Now().UTC(), Topic: said.Topic, From: said.Place, Handler: said.Handler, Reason: said.Reason, ID: said.ID},
		Payload:  m.Payload,
	}, "", "  ")
	if err != nil {
		return err
	}
	file, err := os.OpenFile(filepath.Join(string(f), said.Handler+"-"+filepath.Base(said.ID)+".json"), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(append(text, '\n'))
	return errors.Join(err, file.Sync(), file.Close())
}

// Close implements message.Publisher.
func (poisonFolder) Close() error { return nil }
