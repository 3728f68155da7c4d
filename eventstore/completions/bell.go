package completions

import (
	"context"
	"sync"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore"
)

// bell lets many followers wait for many shards with one Wait of the log per shard: on Kafka each Wait holds a
// connection. It watches a shard for as long as somebody follows it.
type bell struct {
	log eventstore.Reader

	mu      sync.Mutex
	watches map[domain.Shard]*watch
}

// watch is the one goroutine that waits for a shard. The last follower who leaves ends it and waits for it.
type watch struct {
	shard     domain.Shard
	followers map[*ringing]struct{} // guarded by bell.mu
	stop      context.CancelFunc
	ended     chan struct{}
}

// ringing is what a follower hears.
type ringing struct {
	heard chan struct{} // holds one: something rang since it was emptied

	mu    sync.Mutex
	rang  map[domain.Shard]bool
	fault error // the log can't be waited for
}

// follow makes shards ring for a follower, each once at the beginning, until leave is called.
func (b *bell) follow(ctx context.Context, shards []domain.Shard) (r *ringing, leave func()) {
	r = &ringing{heard: make(chan struct{}, 1), rang: map[domain.Shard]bool{}}
	b.mu.Lock()
	defer b.mu.Unlock()
	watches := make([]*watch, len(shards))
	for i, shard := range shards {
		r.ring(shard)
		w := b.watches[shard]
		if w == nil {
			w = b.begin(ctx, shard)
			b.watches[shard] = w
		}
		w.followers[r] = struct{}{}
		watches[i] = w
	}
	return r, func() { b.leave(r, watches) }
}

// begin starts a watch. It outlives the follower who was the first, if there are others.
func (b *bell) begin(ctx context.Context, shard domain.Shard) *watch {
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	w := &watch{shard: shard, followers: map[*ringing]struct{}{}, stop: stop, ended: make(chan struct{})}
	go func() {
		defer close(w.ended)
		if err := b.listen(ctx, w); ctx.Err() == nil {
			b.fail(w, err)
		}
	}()
	return w
}

// listen rings each time that the shard has grown, and returns why it can't go on.
func (b *bell) listen(ctx context.Context, w *watch) error {
	for {
		end, err := b.log.End(ctx, w.shard)
		if err != nil {
			return err
		}
		b.mu.Lock()
		for r := range w.followers {
			r.ring(w.shard)
		}
		b.mu.Unlock()
		if err := b.log.Wait(ctx, w.shard, end); err != nil {
			return err
		}
	}
}

// fail tells the followers that the log can't be waited for. Who comes next begins another watch.
func (b *bell) fail(w *watch, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.watches[w.shard] == w {
		delete(b.watches, w.shard)
	}
	for r := range w.followers {
		r.fail(err)
	}
}

func (b *bell) leave(r *ringing, watches []*watch) {
	var over []*watch
	b.mu.Lock()
	for _, w := range watches {
		if delete(w.followers, r); len(w.followers) > 0 {
			continue
		}
		w.stop()
		over = append(over, w)
		if b.watches[w.shard] == w {
			delete(b.watches, w.shard)
		}
	}
	b.mu.Unlock()
	for _, w := range over {
		<-w.ended
	}
}

func (r *ringing) ring(shard domain.Shard) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rang[shard] = true
	r.wake()
}

func (r *ringing) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fault = err
	r.wake()
}

// wake needs mu.
func (r *ringing) wake() {
	select {
	case r.heard <- struct{}{}:
	default:
	}
}

// take says whether a shard rang since it was asked for the last time. Who asks first and then reads to the
// end misses nothing.
func (r *ringing) take(shard domain.Shard) (rang bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	rang = r.rang[shard]
	r.rang[shard] = false
	return rang, r.fault
}
