package verifier

import (
	"sync"
	"time"

	"github.com/filature/filature/domain"
)

const (
	// paceBurst is how many answers of one worker are looked at in a paceWindow. An honest one sends one, and again while
	// a reply does not come; a signature by the worker's key stands before each, so nobody else can use it up.
	paceBurst  = 5
	paceWindow = 5 * time.Minute
	// maxPaced bounds what is remembered.
	maxPaced = 1 << 17
)

// pace counts answers per worker. Safe for many goroutines.
type pace struct {
	mu    sync.Mutex
	since time.Time
	count map[domain.WorkerID]int
}

// allow counts one more, and says whether it is within the bound. All windows begin together: what is remembered is
// one number a worker, and nothing has to be swept.
func (p *pace) allow(worker domain.WorkerID, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.count == nil || now.Sub(p.since) >= paceWindow || now.Before(p.since) {
		p.since, p.count = now, map[domain.WorkerID]int{}
	}
	if p.count[worker] >= paceBurst || len(p.count) >= maxPaced {
		return false
	}
	p.count[worker]++
	return true
}

// giveBack takes one back that came to nothing by our own fault.
func (p *pace) giveBack(worker domain.WorkerID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.count[worker] > 0 {
		p.count[worker]--
	}
}
