package attestation

import (
	"crypto/sha256"
	"sync"

	"github.com/filature/filature/domain"
)

// memoEntries bounds each memo. Only what verified gets in, after all that is cheap was checked, so a flood needs as many
// answers to open challenges, and a certificate of the vendor's for each. Ten thousand chips fit, with the tables of their
// keys (10 KB each) into 160 MB.
const memoEntries = 1 << 14

// memo remembers what verified: answers that hold for ever, like a signature's, and never those that hang on the time,
// like a date's or a revocation's. Safe for many goroutines.
type memo[V any] struct {
	mu    sync.RWMutex
	known map[domain.Digest]V
}

// of returns what was found under a key, or finds it. An error is not remembered.
func (m *memo[V]) of(key domain.Digest, find func() (V, error)) (V, error) {
	m.mu.RLock()
	v, known := m.known[key]
	m.mu.RUnlock()
	if known {
		return v, nil
	}
	v, err := find()
	if err != nil {
		return v, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.known == nil || len(m.known) >= memoEntries {
		m.known = map[domain.Digest]V{} // all are found again in a millisecond each
	}
	m.known[key] = v
	return v, nil
}

// keyOf names what was verified and against whom: the same bytes under another authority are another question. A
// report that claimed to be Milan's once rode on a certificate that was remembered for Genoa.
func keyOf(against string, content []byte) domain.Digest {
	h := sha256.New()
	h.Write([]byte{byte(len(against))})
	h.Write([]byte(against))
	h.Write(content)
	return domain.Digest(h.Sum(nil))
}
