package workload

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
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
)

// Acknowledged is a report that Filature said it has for ever.
type Acknowledged struct {
	At     domain.Position
	Record []byte
}

// Sender sends a workload, as a client does that means to be heard: each request again and again, with the same
// bytes, until it is acknowledged. Each lane is a goroutine.
type Sender struct {
	url     func() string
	pace    func() time.Duration // pause between two requests
	gate    *Gate
	network domain.NetworkID

	mu   sync.Mutex
	sent Sent
}

// Sent is what became of what was sent.
type Sent struct {
	Acks       []Acknowledged
	Reports    int64 // each sending counted
	Duplicates int64 // of them answered as a copy
}

// NewSender returns a sender that waits for a pace between two requests of a lane. It asks for the URL to send to
// before each attempt; an empty one means that nobody is there now.
func NewSender(url func() string, pace func() time.Duration, gate *Gate) *Sender {
	return &Sender{url: url, pace: pace, gate: gate}
}

// Sent returns what became of it, so far.
func (s *Sender) Sent() Sent {
	s.mu.Lock()
	defer s.mu.Unlock()
	sent := s.sent
	sent.Acks = slices.Clip(sent.Acks)
	return sent
}

// Gate opens slice by slice.
type Gate struct {
	mu     sync.Mutex
	open   int
	opened chan struct{}
}

// NewGate returns a gate that has admitted the first slices.
func NewGate(open int) *Gate { return &Gate{open: open, opened: make(chan struct{})} }

// Admit admits more slices of each lane.
func (g *Gate) Admit(more int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open += more
	close(g.opened)
	g.opened = make(chan struct{})
}

func (g *Gate) await(ctx context.Context, slice int) error {
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

// Pacing returns pauses for one workload, drawn from a seed; safe for many goroutines.
func Pacing(seed uint64, upTo time.Duration) func() time.Duration {
	var mu sync.Mutex
	lots := Drawn(seed, paces)
	return func() time.Duration {
		mu.Lock()
		defer mu.Unlock()
		return time.Duration(lots.Int64N(int64(upTo)))
	}
}

// run sends slices of a lane from one on, each request until it is acknowledged.
func (s *Sender) run(ctx context.Context, lane *Lane, from, to int) error {
	var last [][]byte
	for n := from; n < to; n++ {
		if err := s.gate.await(ctx, n); err != nil {
			return err
		}
		for _, body := range lane.slices[n] {
			reports, err := body.reports(s.network, lane.shard)
			if err != nil {
				return err
			}
			interrupted, err := s.deliver(ctx, reports)
			if err != nil {
				return fmt.Errorf("lane of shard %d, slice %d: %w", lane.shard, n, err)
			}
			// After a crash, what was acknowledged in the life before must be known as well.
			if interrupted && last != nil {
				if _, err := s.deliver(ctx, last); err != nil {
					return fmt.Errorf("lane of shard %d, slice %d, sent again: %w", lane.shard, n, err)
				}
			}
			last = reports
			if err := Pause(ctx, s.pace()); err != nil {
				return err
			}
		}
	}
	return nil
}

// deliver sends the same bytes until they are acknowledged, and remembers where. It tells whether it took
// more than one attempt.
func (s *Sender) deliver(ctx context.Context, reports [][]byte) (interrupted bool, err error) {
	var request []byte
	for _, report := range reports {
		request = v1.AppendFrame(request, report)
	}
	for {
		receipts, err := s.post(ctx, request, len(reports))
		if err == nil {
			return interrupted, s.note(reports, receipts)
		}
		if !errors.Is(err, errAgain) {
			return interrupted, err
		}
		interrupted = true
		if err := Pause(ctx, retryAfter); err != nil {
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

func (s *Sender) post(ctx context.Context, body []byte, reports int) ([]receipt, error) {
	url := s.url()
	if url == "" {
		return nil, errAgain
	}
	s.mu.Lock()
	s.sent.Reports += int64(reports)
	s.mu.Unlock()
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
func (s *Sender) note(reports [][]byte, receipts []receipt) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, r := range receipts {
		switch r.Status {
		case "accepted":
		case "duplicate":
			s.sent.Duplicates++
		default:
			return fmt.Errorf("report was %s: %s %s", r.Status, r.Reason, r.Field)
		}
		at := domain.Position{Shard: domain.Shard(r.Shard), Offset: domain.Offset(r.Offset)}
		s.sent.Acks = append(s.sent.Acks, Acknowledged{at, reports[i]})
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
		if err := Pause(ctx, retryAfter); err != nil {
			return domain.NetworkID{}, err
		}
	}
}

// Pause waits, or returns why the context ended.
func Pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
