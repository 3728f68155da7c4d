package verifier

import (
	"sync"

	"github.com/filature/filature/domain"
)

// maxOpen bounds the challenges that are remembered. Each ends after minutes, and a network has fewer workers.
const maxOpen = 1 << 17

// open is a challenge that a worker may answer.
type open struct {
	nonce     domain.Digest
	at        domain.FactPosition
	expiresMs int64
	answered  bool
}

// book holds the last challenge of each worker, as the ledger's stream tells it. Safe for many goroutines.
type book struct {
	mu   sync.Mutex
	last map[domain.WorkerID]*open
}

// issue notes a challenge. One that is older than what is known is an old message that came again.
func (b *book) issue(worker domain.WorkerID, c open, nowMs int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if known := b.last[worker]; known != nil && known.at.Compare(c.at) >= 0 {
		return
	}
	if b.last == nil {
		b.last = map[domain.WorkerID]*open{}
	}
	if len(b.last) >= maxOpen {
		for other, old := range b.last {
			if old.expiresMs <= nowMs {
				delete(b.last, other)
			}
		}
	}
	if len(b.last) < maxOpen { // else the worker is asked again when this one has run out
		b.last[worker] = &c
	}
}

// find returns the last challenge of a worker.
func (b *book) find(worker domain.WorkerID) (open, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if known := b.last[worker]; known != nil {
		return *known, true
	}
	return open{}, false
}

// answer notes that a challenge was used up.
func (b *book) answer(worker domain.WorkerID, nonce domain.Digest) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if known := b.last[worker]; known != nil && known.nonce == nonce {
		known.answered = true
	}
}
