// Package witness knows how a log asks others to cosign its checkpoints, and how to be one whom it asks (C2SP
// tlog-witness). A witness remembers the last head of each log, and signs only what goes on from there, so whoever
// believes enough witnesses knows that everybody is shown the same log.
package witness

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"

	"github.com/filature/filature/domain"
)

const (
	addCheckpoint = "/add-checkpoint"
	sizeType      = "text/x.tlog.size"
	// maxProofLines is the protocol's.
	maxProofLines = 63
	// maxBodyBytes bounds a request: an old size, a proof, and a checkpoint with its signatures.
	maxBodyBytes = 80 << 10
)

// request is the body of add-checkpoint.
type request struct {
	seen        int64
	consistency []domain.Digest
	checkpoint  []byte
}

func (r request) encode() []byte {
	body := fmt.Appendf(nil, "old %d\n", r.seen)
	for _, hash := range r.consistency {
		body = append(base64.StdEncoding.AppendEncode(body, hash[:]), '\n')
	}
	return append(append(body, '\n'), r.checkpoint...)
}

var errRequest = errors.New("want an old size line, up to 63 lines of hashes, an empty line and a checkpoint")

func parseRequest(body []byte) (r request, err error) {
	head, checkpoint, found := bytes.Cut(body, []byte("\n\n"))
	if !found {
		return r, errRequest
	}
	lines := bytes.Split(head, []byte("\n"))
	if len(lines) > 1+maxProofLines {
		return r, fmt.Errorf("%d lines of hashes: %w", len(lines)-1, errRequest)
	}
	r.checkpoint = checkpoint
	r.seen, _ = strconv.ParseInt(string(bytes.TrimPrefix(lines[0], []byte("old "))), 10, 64)
	for i, line := range lines[1:] {
		hash, err := base64.StdEncoding.Strict().DecodeString(string(line))
		if err != nil || len(hash) != sha256.Size {
			return r, fmt.Errorf("line %d of the proof: %w", i+1, errRequest)
		}
		r.consistency = append(r.consistency, domain.Digest(hash))
	}
	if r.seen < 0 || !bytes.Equal(r.encode(), body) {
		return r, errRequest
	}
	return r, nil
}
