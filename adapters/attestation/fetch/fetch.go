// Package fetch knows where vendors publish collateral, and how to bring it into a verifier's folder: slowly, in small
// pieces, and nothing but what they signed.
//
// No appraisal waits for it. A verifier that lacks a file says so, somebody asks for it here, and the folder has it for
// the next one. A program without a network does without this package: the same files can be put there by hand.
package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/filature/filature/adapters/attestation"
)

const (
	// requestTimeout bounds one request, from the dial to the last byte.
	requestTimeout = 5 * time.Second
	// maxHeaderBytes has room for Intel's chains, of 3 KiB.
	maxHeaderBytes = 32 << 10
	// firstPause is waited after a request that failed, then twice as long each time, up to lastPause, each with up to a
	// half more by lot so that many verifiers do not come back together.
	firstPause = 10 * time.Second
	lastPause  = 30 * time.Minute
	// freshFor is how long a file is not asked for again after it was brought.
	freshFor = 10 * time.Minute
	// maxRemembered bounds what is remembered of addresses: a worker can name chips that there are not.
	maxRemembered = 4096
)

// ErrLater says that a file was not asked for: its server said no a moment ago, or was asked for something else. The same
// call may be made again after a while; package verifier retries.
var ErrLater = errors.New("too soon to ask again")

// ErrNotGenuine says that a server answered with something that its vendor did not sign. What was in the folder stays.
var ErrNotGenuine = errors.New("the answer is not the vendor's")

// Config says what a fetcher works with.
type Config struct {
	// Folder is the verifier's collateral. It is made if it is missing.
	Folder string
	// Verifier says whether an answer is genuine.
	Verifier *attestation.Verifier
	Now      func() time.Time
	// Lot draws a time below the given one.
	Lot func(time.Duration) time.Duration
	// Transport makes the requests; nil is one that does nothing but that, with bounds.
	Transport http.RoundTripper
}

// Fetcher brings files. Safe for many goroutines.
type Fetcher struct {
	cfg    Config
	client *http.Client
	flight singleflight.Group

	mu    sync.Mutex
	urls  map[string]*patience // by address
	hosts map[string]time.Time // when a host may be asked again
}

// patience is what is remembered of an address.
type patience struct {
	until time.Time
	pause time.Duration
}

// New returns a fetcher that has asked for nothing yet.
func New(cfg Config) *Fetcher {
	transport := cfg.Transport
	if transport == nil {
		bounded := http.DefaultTransport.(*http.Transport).Clone()
		bounded.MaxResponseHeaderBytes, bounded.MaxIdleConns, bounded.ForceAttemptHTTP2 = maxHeaderBytes, 4, true
		transport = bounded
	}
	return &Fetcher{
		cfg: cfg, urls: map[string]*patience{}, hosts: map[string]time.Time{},
		client: &http.Client{
			Transport: transport, Timeout: requestTimeout,
			// Vendors do not redirect, and whoever does leads elsewhere.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// Fetch brings a file of collateral, and those that come with it, and returns when they are in the folder. Several calls
// for one file make one request. It asks each server seldom, and after a refusal more seldom still: then it returns
// [ErrLater] at once.
func (f *Fetcher) Fetch(ctx context.Context, name string) error {
	from, err := sourceOf(name)
	if err != nil {
		return err
	}
	address := from.url.String()
	// The request goes on if this caller gives up: others may wait for the same, and its time is bounded.
	shared := context.WithoutCancel(ctx)
	done := f.flight.DoChan(address, func() (any, error) { return nil, f.fetch(shared, from, address) })
	select {
	case <-ctx.Done():
		return fmt.Errorf("fetch %s: %w", name, ctx.Err())
	case result := <-done:
		if result.Err != nil {
			return fmt.Errorf("fetch %s: %w", name, result.Err)
		}
		return nil
	}
}

// fetch is Fetch for the one call that makes the request.
func (f *Fetcher) fetch(ctx context.Context, from source, address string) error {
	if err := f.mayAsk(from.url.Host, address); err != nil {
		return err
	}
	files, err := f.ask(ctx, from)
	if err == nil {
		if err = f.cfg.Verifier.Genuine(files); err != nil {
			err = fmt.Errorf("%w: %w", ErrNotGenuine, err)
		}
	}
	if err == nil {
		err = f.keep(files)
	}
	f.asked(address, err)
	return err
}

// mayAsk says whether it is time to ask, and takes the host's turn.
func (f *Fetcher) mayAsk(host, address string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.cfg.Now()
	if before := f.urls[address]; before != nil && now.Before(before.until) {
		return fmt.Errorf("%w: not before %s", ErrLater, before.until.UTC().Format(time.RFC3339))
	}
	if next := f.hosts[host]; now.Before(next) {
		return fmt.Errorf("%w: %s not before %s", ErrLater, host, next.UTC().Format(time.RFC3339))
	}
	f.hosts[host] = now.Add(pace[host])
	return nil
}

// asked remembers how it went.
func (f *Fetcher) asked(address string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.cfg.Now()
	if len(f.urls) >= maxRemembered {
		for other, before := range f.urls {
			if !now.Before(before.until) {
				delete(f.urls, other)
			}
		}
		if len(f.urls) >= maxRemembered {
			f.urls = map[string]*patience{} // the hosts' pace still holds
		}
	}
	if err == nil {
		f.urls[address] = &patience{until: now.Add(freshFor)}
		return
	}
	before := f.urls[address]
	if before == nil {
		before = new(patience)
		f.urls[address] = before
	}
	before.pause = min(max(2*before.pause, firstPause), lastPause)
	before.until = now.Add(before.pause + f.cfg.Lot(before.pause/2))
}

// ask makes the request and returns what came, by name.
func (f *Fetcher) ask(ctx context.Context, from source) (files map[string][]byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, from.url.String(), nil)
	if err != nil {
		return nil, err
	}
	response, err := f.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, response.Body.Close()) }()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answered %s", from.url.Host, response.Status)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, attestation.MaxCollateralBytes+1))
	if err != nil {
		return nil, err
	}
	if len(body) > attestation.MaxCollateralBytes {
		return nil, fmt.Errorf("%s answered with more than %d bytes", from.url.Host, attestation.MaxCollateralBytes)
	}
	files = map[string][]byte{from.name: body}
	if from.chain != "" {
		chain, err := url.QueryUnescape(response.Header.Get(from.header))
		if err != nil || chain == "" {
			return nil, fmt.Errorf("%s answered without a good %s", from.url.Host, from.header)
		}
		files[from.chain] = []byte(chain)
	}
	return files, nil
}

// keep puts files in the folder, each as a whole or not at all. A crash between two leaves a list with the signer of the
// one before, which is nearly always the same; if not, the verifier says what is wrong, and the next fetch mends it.
func (f *Fetcher) keep(files map[string][]byte) error {
	for name, content := range files {
		path := filepath.Join(f.cfg.Folder, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			return err
		}
		if err := replace(path, content); err != nil {
			return err
		}
	}
	return nil
}

func replace(path string, content []byte) (err error) {
	temporary, err := os.CreateTemp(filepath.Dir(path), ".new-*") // readers pass over names with a dot
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(temporary.Name()))
		}
	}()
	_, err = temporary.Write(content)
	if err = errors.Join(err, temporary.Sync(), temporary.Close()); err != nil {
		return err
	}
	return os.Rename(temporary.Name(), path)
}
