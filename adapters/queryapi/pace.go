package queryapi

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// questionsPerSecond is what one asker may ask, and questionsAtOnce what it may ask after a pause: a page of the dashboard
// asks a dozen.
const questionsPerSecond, questionsAtOnce = 50, 200

// pace limits how often each asker asks. It remembers as many as there are keys. Safe for many goroutines.
type pace struct {
	mu     sync.Mutex
	limits map[string]*rate.Limiter
}

func (p *pace) allow(asker string, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	limit := p.limits[asker]
	if limit == nil {
		if p.limits == nil {
			p.limits = map[string]*rate.Limiter{}
		}
		limit = rate.NewLimiter(questionsPerSecond, questionsAtOnce)
		p.limits[asker] = limit
	}
	return limit.AllowN(now, 1)
}
