package main

import (
	"errors"
	"fmt"
	"sync"

	"github.com/filature/filature/domain"
)

// works is what this process does at the moment, and how that goes. The zero value does nothing.
type works struct {
	mu     sync.Mutex
	states map[workKey]*workState
	stops  map[workKey]int // how often a work stopped by itself, since the process began
}

// workKey names a work: a role, and the shard that it is for, which is control where one process does it for all.
type workKey struct {
	role  role
	shard domain.Shard
}

type workState struct {
	trouble  error                // nil: it runs
	answered func() domain.Offset // of a clerk
}

func workName(r role, shard domain.Shard) string {
	if r == roleClerk || r == roleRelay {
		return fmt.Sprintf("%s of shard %d", r, shard)
	}
	return string(r)
}

func (w *works) goes(r role, shard domain.Shard) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.states == nil {
		w.states, w.stops = map[workKey]*workState{}, map[workKey]int{}
	}
	w.states[workKey{r, shard}] = &workState{}
}

func (w *works) fails(r role, shard domain.Shard, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.states[workKey{r, shard}] = &workState{trouble: err}
	w.stops[workKey{r, shard}]++
}

func (w *works) ends(r role, shard domain.Shard) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.states, workKey{r, shard})
}

// answers notes how to ask the clerk of a shard how far it is.
func (w *works) answers(shard domain.Shard, answered func() domain.Offset) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if state := w.states[workKey{roleClerk, shard}]; state != nil {
		state.answered = answered
	}
}

// answered is how far the clerks of this process are.
func (w *works) answered() map[domain.Shard]domain.Offset {
	w.mu.Lock()
	defer w.mu.Unlock()
	at := map[domain.Shard]domain.Offset{}
	for key, state := range w.states {
		if state.answered != nil {
			at[key.shard] = state.answered()
		}
	}
	return at
}

// all lists the works.
func (w *works) all() []work {
	w.mu.Lock()
	defer w.mu.Unlock()
	var list []work
	for key, state := range w.states {
		list = append(list, work{role: key.role, shard: key.shard, running: state.trouble == nil, stops: w.stops[key]})
	}
	return list
}

// check says what is wrong, if something is.
func (w *works) check() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	var errs []error
	for key, state := range w.states {
		if state.trouble != nil {
			errs = append(errs, fmt.Errorf("%s: %w", workName(key.role, key.shard), state.trouble))
		}
	}
	return errors.Join(errs...)
}
