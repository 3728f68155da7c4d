package tonconnect

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/xssnick/tonutils-go/address"
	"github.com/xssnick/tonutils-go/tvm/cell"
	"golang.org/x/crypto/nacl/box"
)

// Wallet is somebody's wallet: an account on a network, and a person who says yes or no.
type Wallet struct {
	Bridge  string // its own bridge, whatever a page says
	Network string // "-239" main, "-3" test
	Account string // workchain:hex
	// Refuses has the person say no: "connect", or "send".
	Refuses string
	// Sign signs and sends what was asked, and returns the external message as a bag of cells.
	Sign func(context.Context, Request) ([]byte, error)

	t       *testing.T
	ctx     context.Context //nolint:containedctx // of the test, which owns what runs in it
	running sync.WaitGroup
	public  *[32]byte
	secret  *[32]byte
	app     *[32]byte // who asked to connect

	mu       sync.Mutex
	events   int
	requests int // the newest id that was dealt with
	seen     []Request
	ended    bool
}

// Request is what a page asks to send, after it was checked.
type Request struct {
	To      *address.Address
	Nano    uint64
	Payload *cell.Cell
}

// manifest is what the wallet shows of who asks.
type manifest struct {
	URL     string `json:"url"`
	Name    string `json:"name"`
	IconURL string `json:"iconUrl"` //nolint:tagliatelle // the protocol's name
}

// Codes of the protocol's errors.
const (
	codeUnknown  = 0
	codeBad      = 1
	codeManifest = 2
	codeDeclined = 300
	codeNoMethod = 400
)

// Scan opens a link as the camera of a phone does: reads who asks, shows it to the person, and answers over the bridge. From
// then on the wallet listens until the test ends.
func (w *Wallet) Scan(t *testing.T, link string) {
	t.Helper()
	w.t = t
	var stop context.CancelFunc
	w.ctx, stop = context.WithCancel(context.WithoutCancel(t.Context()))
	t.Cleanup(func() {
		stop()
		w.running.Wait()
	})
	var err error
	if w.public, w.secret, err = box.GenerateKey(rand.Reader); err != nil {
		t.Fatal(err)
	}
	asked, err := w.read(link)
	if err != nil {
		t.Fatalf("the link %s: %v", link, err)
	}
	switch err := w.know(asked); {
	case err != nil:
		w.happened("connect_error", map[string]any{"code": codeManifest, "message": err.Error()})
		t.Errorf("the manifest %s: %v", asked, err)
	case w.Refuses == "connect":
		w.happened("connect_error", map[string]any{"code": codeDeclined, "message": "Wallet declined the request"})
	default:
		w.running.Go(w.listen)
		w.happened("connect", map[string]any{
			"items": []any{map[string]any{
				"name": "ton_addr", "address": w.Account, "network": w.Network, "publicKey": strings.Repeat("00", 32), "walletStateInit": "",
			}},
			"device": map[string]any{
				"platform": "linux", "appName": "Test wallet", "appVersion": "1", "maxProtocolVersion": 2,
				"features": []any{"SendTransaction", map[string]any{"name": "SendTransaction", "maxMessages": 4}},
			},
		})
	}
}

// Seen is what the wallet was asked to send, and found well formed.
func (w *Wallet) Seen() []Request {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]Request(nil), w.seen...)
}

// Ended says whether the page has disconnected.
func (w *Wallet) Ended() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ended
}

// Disconnect ends the session from the wallet's side.
func (w *Wallet) Disconnect() { w.happened("disconnect", map[string]any{}) }

// read takes a link apart (bridge.md, Universal link) and returns the manifest's address.
func (w *Wallet) read(link string) (manifestURL string, err error) {
	u, err := url.Parse(link)
	if err != nil {
		return "", err
	}
	query := u.Query()
	if packed, is := strings.CutPrefix(query.Get("startapp"), "tonconnect-"); is { // Telegram's
		plain := strings.NewReplacer("--", "%", "__", "=", "-", "&").Replace(packed)
		if query, err = url.ParseQuery(plain); err != nil {
			return "", err
		}
	}
	if query.Get("v") != "2" {
		return "", fmt.Errorf("v is %q, want 2", query.Get("v"))
	}
	id, err := hex.DecodeString(query.Get("id"))
	if err != nil || len(id) != len(w.app) {
		return "", fmt.Errorf("id %q: want 32 bytes in hexadecimal", query.Get("id"))
	}
	w.app = (*[32]byte)(id)
	var request struct {
		ManifestURL string `json:"manifestUrl"` //nolint:tagliatelle // the protocol's name
		Items       []struct {
			Name string `json:"name"`
		} `json:"items"`
	}
	if err := json.Unmarshal([]byte(query.Get("r")), &request); err != nil {
		return "", fmt.Errorf("r: %w", err)
	}
	if len(request.Items) != 1 || request.Items[0].Name != "ton_addr" {
		return "", fmt.Errorf("r asks for %v", request.Items)
	}
	return request.ManifestURL, nil
}

// know fetches who asks: a manifest that is at its own address, and an icon that is a picture.
func (w *Wallet) know(at string) error {
	raw, kind, err := w.fetch(at)
	if err != nil {
		return err
	}
	var m manifest
	if err := json.Unmarshal(raw, &m); err != nil || !strings.HasPrefix(kind, "application/json") {
		return fmt.Errorf("it is %s, %.100q: %v", kind, raw, err) //nolint:errorlint // there may be none
	}
	if m.Name == "" || strings.HasSuffix(m.URL, "/") || !strings.HasPrefix(at, m.URL+"/") || !strings.HasPrefix(m.IconURL, m.URL+"/") {
		return fmt.Errorf("it says %+v", m)
	}
	icon, kind, err := w.fetch(m.IconURL)
	if err != nil {
		return err
	}
	if kind != "image/png" || !bytes.HasPrefix(icon, []byte("\x89PNG")) {
		return fmt.Errorf("the icon is %s, %.8q", kind, icon)
	}
	return nil
}

const mostRead = 1 << 20

func (w *Wallet) fetch(at string) (raw []byte, kind string, err error) {
	request, err := http.NewRequestWithContext(w.ctx, http.MethodGet, at, nil)
	if err != nil {
		return nil, "", err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, "", err
	}
	raw, err = io.ReadAll(io.LimitReader(answer.Body, mostRead))
	if err := errors.Join(err, answer.Body.Close()); err != nil {
		return nil, "", err
	}
	if answer.StatusCode != http.StatusOK || answer.Header.Get("Access-Control-Allow-Origin") != "*" {
		return nil, "", fmt.Errorf("%s: %s, for pages of %q", at, answer.Status, answer.Header.Get("Access-Control-Allow-Origin"))
	}
	return raw, answer.Header.Get("Content-Type"), nil
}

// happened tells the page of an event.
func (w *Wallet) happened(event string, payload any) {
	w.mu.Lock()
	w.events++
	id := w.events
	w.mu.Unlock()
	w.post(map[string]any{"event": event, "id": id, "payload": payload})
}

// post seals a message for the page and gives it to the bridge.
func (w *Wallet) post(message any) {
	raw, err := json.Marshal(message)
	if err != nil {
		w.t.Error(err)
		return
	}
	var nonce [24]byte
	_, _ = rand.Read(nonce[:]) // never fails
	sealed := base64.StdEncoding.EncodeToString(box.Seal(nonce[:], raw, &nonce, w.app, w.secret))
	query := url.Values{"client_id": {hex.EncodeToString(w.public[:])}, "to": {hex.EncodeToString(w.app[:])}, "ttl": {"300"}}
	request, err := http.NewRequestWithContext(w.ctx, http.MethodPost, w.Bridge+"/message?"+query.Encode(), strings.NewReader(sealed))
	if err != nil {
		w.t.Error(err)
		return
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		if w.ctx.Err() == nil {
			w.t.Errorf("the wallet says %s: %v", raw, err)
		}
		return
	}
	if err := answer.Body.Close(); err != nil || answer.StatusCode != http.StatusOK {
		w.t.Errorf("the wallet says %s: %s, %v", raw, answer.Status, err)
	}
}

// listen hears what the page asks until the test ends.
func (w *Wallet) listen() {
	at := w.Bridge + "/events?client_id=" + hex.EncodeToString(w.public[:])
	for last := ""; w.ctx.Err() == nil; {
		request, err := http.NewRequestWithContext(w.ctx, http.MethodGet, at, nil)
		if err != nil {
			w.t.Error(err)
			return
		}
		request.Header.Set("Last-Event-ID", last)
		answer, err := http.DefaultClient.Do(request)
		if err != nil { // the test ends, or the bridge is away for now
			select {
			case <-w.ctx.Done():
			case <-time.After(heartbeat):
			}
			continue
		}
		lines := bufio.NewScanner(answer.Body)
		lines.Buffer(nil, mostRead)
		for lines.Scan() {
			if id, is := strings.CutPrefix(lines.Text(), "id: "); is {
				last = id
			}
			if data, is := strings.CutPrefix(lines.Text(), "data: "); is && data != "heartbeat" {
				w.hear([]byte(data))
			}
		}
		_ = answer.Body.Close() // it was only read
	}
}

type appRequest struct {
	Method string   `json:"method"`
	Params []string `json:"params"`
	ID     string   `json:"id"`
}

// hear deals with one message of the page.
func (w *Wallet) hear(data []byte) {
	var e envelope
	if err := json.Unmarshal(data, &e); err != nil || e.From != hex.EncodeToString(w.app[:]) {
		w.t.Errorf("the bridge passes on %s", data)
		return
	}
	sealed, err := base64.StdEncoding.DecodeString(e.Message)
	if err != nil || len(sealed) < 24 {
		w.t.Errorf("the page sends %q", e.Message)
		return
	}
	plain, ok := box.Open(nil, sealed[24:], (*[24]byte)(sealed), w.app, w.secret)
	var asked appRequest
	if !ok || json.Unmarshal(plain, &asked) != nil {
		w.t.Errorf("what the page sends opens as %q, %t", plain, ok)
		return
	}
	id, err := strconv.Atoi(asked.ID)
	if err != nil || id <= w.requests {
		w.t.Errorf("the page's request %q comes after %d", asked.ID, w.requests)
		return
	}
	w.requests = id
	switch asked.Method {
	case "sendTransaction":
		w.post(w.send(asked))
	case "disconnect":
		w.mu.Lock()
		w.ended = true
		w.mu.Unlock()
		w.post(map[string]any{"id": asked.ID, "result": map[string]any{}})
	default:
		w.post(refusal(asked, codeNoMethod, "Method not supported"))
	}
}

func refusal(asked appRequest, code int, why string) any {
	return map[string]any{"id": asked.ID, "error": map[string]any{"code": code, "message": why}}
}

// send does what a wallet does with sendTransaction, and returns its answer.
func (w *Wallet) send(asked appRequest) any {
	request, err := w.check(asked)
	if err != nil {
		w.t.Errorf("asked to send %s: %v", asked.Params, err)
		return refusal(asked, codeBad, err.Error())
	}
	w.mu.Lock()
	w.seen = append(w.seen, request)
	w.mu.Unlock()
	if w.Refuses == "send" {
		return refusal(asked, codeDeclined, "Reject request")
	}
	boc, err := w.Sign(w.ctx, request)
	if err != nil {
		return refusal(asked, codeUnknown, err.Error())
	}
	return map[string]any{"id": asked.ID, "result": base64.StdEncoding.EncodeToString(boc)}
}

// latest is how far off a request's end may be: wallets show no request that is good for hours.
const latest = 10 * time.Minute

// check reads a request as strictly as the protocol lets a wallet: a network that is ours, an end that is to come, an
// account that is ours, and one message to a contract, whose address says that it bounces.
func (w *Wallet) check(asked appRequest) (request Request, err error) {
	if len(asked.Params) != 1 {
		return request, fmt.Errorf("%d parameters, want 1", len(asked.Params))
	}
	var said struct {
		ValidUntil int64  `json:"valid_until"`
		Network    string `json:"network"`
		From       string `json:"from"`
		Messages   []struct {
			Address string `json:"address"`
			Amount  string `json:"amount"`
			Payload string `json:"payload"`
		} `json:"messages"`
	}
	strict := json.NewDecoder(strings.NewReader(asked.Params[0]))
	strict.DisallowUnknownFields()
	if err := strict.Decode(&said); err != nil {
		return request, err
	}
	ends := time.Until(time.Unix(said.ValidUntil, 0))
	switch {
	case said.Network != w.Network:
		return request, fmt.Errorf("network %q, this wallet is on %q", said.Network, w.Network)
	case ends <= 0 || ends > latest:
		return request, fmt.Errorf("valid_until is %s from now", ends)
	case said.From != w.Account:
		return request, fmt.Errorf("from %q, this wallet is %q", said.From, w.Account)
	case len(said.Messages) != 1:
		return request, fmt.Errorf("%d messages, want 1", len(said.Messages))
	}
	message := said.Messages[0]
	if request.To, err = address.ParseAddr(message.Address); err != nil {
		return request, fmt.Errorf("address %q: want the friendly form", message.Address)
	}
	if !request.To.IsBounceable() || request.To.Workchain() != 0 {
		return request, fmt.Errorf("address %q: want one of a contract of the basechain, that bounces", message.Address)
	}
	if request.Nano, err = strconv.ParseUint(message.Amount, 10, 63); err != nil || request.Nano == 0 {
		return request, fmt.Errorf("amount %q: want nanotons, more than 0", message.Amount)
	}
	bag, err := base64.StdEncoding.DecodeString(message.Payload)
	if err != nil {
		return request, fmt.Errorf("payload: %w", err)
	}
	if request.Payload, err = cell.FromBOC(bag); err != nil {
		return request, fmt.Errorf("payload: %w", err)
	}
	return request, nil
}
