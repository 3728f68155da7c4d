package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/filature/filature/adapters/httpapi"
	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

const (
	// requestLimit is how long an answer may take; then the request is sent again.
	requestLimit = 5 * time.Second
	// retryAfter is short, so that reports arrive as soon as the program is back.
	retryAfter = 10 * time.Millisecond
	// paceUpTo is waited at random between two requests of a lane, so that a slice lasts about as long as
	// a life.
	paceUpTo = 80 * time.Millisecond
)

// place is where a report was acknowledged.
type place struct {
	shard  domain.Shard
	offset domain.Offset
}

// acknowledged is a report that the program said it has for ever.
type acknowledged struct {
	place
	record []byte
}

// loader sends a workload. Each lane is a goroutine.
type loader struct {
	url     func() string
	network domain.NetworkID
	lots    func() time.Duration // pause between two requests
	gate    *gate

	mu         sync.Mutex
	acks       []acknowledged
	sent       int64 // reports, each sending counted
	duplicates int64 // of them answered as a copy
}

// gate opens slice by slice.
type gate struct {
	mu     sync.Mutex
	open   int
	opened chan struct{}
}

func newGate(open int) *gate { return &gate{open: open, opened: make(chan struct{})} }

func (g *gate) admit(more int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open += more
	close(g.opened)
	g.opened = make(chan struct{})
}

func (g *gate) await(ctx context.Context, slice int) error {
	for {
		g.mu.Lock()
		open, opened := g.open, g.opened
		g.mu.Unlock()
		if slice < open {
			return nil
		}
		select {
		case <-opened:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// pacing returns pauses for one workload; safe for many goroutines.
func pacing(seed uint64) func() time.Duration {
	var mu sync.Mutex
	lots := drawn(seed, byPace)
	return func() time.Duration {
		mu.Lock()
		defer mu.Unlock()
		return time.Duration(lots.Int64N(int64(paceUpTo)))
	}
}

// run sends slices of a lane from one on, each request until it is acknowledged.
func (l *loader) run(ctx context.Context, lane *lane, from, to int) error {
	var last [][]byte
	for n := from; n < to; n++ {
		if err := l.gate.await(ctx, n); err != nil {
			return err
		}
		for _, body := range lane.slices[n] {
			reports, err := body.reports(l.network, lane.shard)
			if err != nil {
				return err
			}
			interrupted, err := l.deliver(ctx, reports)
			if err != nil {
				return fmt.Errorf("lane of shard %d, slice %d: %w", lane.shard, n, err)
			}
			// After a crash, what was acknowledged in the life before must be known as well.
			if interrupted && last != nil {
				if _, err := l.deliver(ctx, last); err != nil {
					return fmt.Errorf("lane of shard %d, slice %d, sent again: %w", lane.shard, n, err)
				}
			}
			last = reports
			if err := pause(ctx, l.lots()); err != nil {
				return err
			}
		}
	}
	return nil
}

// deliver sends the same bytes until they are acknowledged, and remembers where. It tells whether it took
// more than one attempt.
func (l *loader) deliver(ctx context.Context, reports [][]byte) (interrupted bool, err error) {
	var request []byte
	for _, report := range reports {
		request = v1.AppendFrame(request, report)
	}
	for {
		receipts, err := l.post(ctx, request, len(reports))
		if err == nil {
			return interrupted, l.note(reports, receipts)
		}
		if !errors.Is(err, errAgain) {
			return interrupted, err
		}
		interrupted = true
		if err := pause(ctx, retryAfter); err != nil {
			return interrupted, err
		}
	}
}

// receipt is a v1.Receipt in its JSON form.
type receipt struct {
	Status string `json:"status"`
	Shard  int32  `json:"shard"`
	Offset int64  `json:"offset"`
	Reason string `json:"reason"`
	Field  string `json:"field"`
}

// errAgain: nothing is known of what became of a request.
var errAgain = errors.New("send it again")

func (l *loader) post(ctx context.Context, body []byte, reports int) ([]receipt, error) {
	url := l.url()
	if url == "" {
		return nil, errAgain
	}
	l.mu.Lock()
	l.sent += int64(reports)
	l.mu.Unlock()
	var answer struct {
		Receipts []receipt `json:"receipts"`
	}
	if err := call(ctx, http.MethodPost, url+"/v1/reports", body, &answer); err != nil {
		return nil, err
	}
	if len(answer.Receipts) != reports {
		return nil, fmt.Errorf("%d receipts for %d reports", len(answer.Receipts), reports)
	}
	return answer.Receipts, nil
}

// note takes receipts in. A report that was acknowledged before must be a copy, at the same place; note
// leaves that to the comparison at the end, which has all places.
func (l *loader) note(reports [][]byte, receipts []receipt) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, r := range receipts {
		switch r.Status {
		case "accepted":
		case "duplicate":
			l.duplicates++
		default:
			return fmt.Errorf("report was %s: %s %s", r.Status, r.Reason, r.Field)
		}
		l.acks = append(l.acks, acknowledged{place{domain.Shard(r.Shard), domain.Offset(r.Offset)}, reports[i]})
	}
	return nil
}

// call does one request. Its error is errAgain where the program was not there or not able to answer.
func call(ctx context.Context, method, url string, body []byte, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, requestLimit)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", httpapi.ContentType)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("%w: %w", errAgain, err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	switch {
	case err != nil, response.StatusCode == http.StatusServiceUnavailable:
		return fmt.Errorf("%w: status %d: %w", errAgain, response.StatusCode, err)
	case response.StatusCode != http.StatusOK:
		return fmt.Errorf("%s %s: status %d: %s", method, url, response.StatusCode, text)
	}
	return json.Unmarshal(text, answer)
}

// askNetwork asks for the network's id until it is known.
func askNetwork(ctx context.Context, url func() string) (domain.NetworkID, error) {
	for {
		var answer struct {
			Network    string `json:"network"`
			DataShards int    `json:"data_shards"`
		}
		err := errAgain
		if at := url(); at != "" {
			err = call(ctx, http.MethodGet, at+"/v1/network", nil, &answer)
		}
		if err == nil && answer.Network != hex.EncodeToString(make([]byte, 32)) {
			return domain.ParseID[domain.NetworkID](answer.Network)
		}
		if err != nil && !errors.Is(err, errAgain) {
			return domain.NetworkID{}, err
		}
		if err := pause(ctx, retryAfter); err != nil {
			return domain.NetworkID{}, err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
