package sdk

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

const (
	// answerBytes bounds what is read of an answer: a thousand receipts of 500 bytes, twice.
	answerBytes = 1 << 20
	// requestTimeout is longer than the gateway takes for a body under load.
	requestTimeout = 60 * time.Second

	reportsType = "application/vnd.filature.reports"
)

// HTTP is a gateway behind an address, as docs/http.md describes it.
type HTTP struct {
	base   *url.URL
	client *http.Client
}

var _ Gateway = (*HTTP)(nil)

// NewHTTP returns the gateway at a base URL such as http://127.0.0.1:8420, and asks nobody. client is for
// proxies, certificates and tests; nil is one with a timeout. It fails with ErrConfig.
func NewHTTP(base string, client *http.Client) (*HTTP, error) {
	parsed, err := url.Parse(base)
	if err != nil || parsed.Scheme != "http" && parsed.Scheme != "https" || parsed.Host == "" {
		return nil, fmt.Errorf("%w: gateway %q, want a URL such as http://127.0.0.1:8420", ErrConfig, base)
	}
	if client == nil {
		client = &http.Client{Timeout: requestTimeout}
	}
	return &HTTP{parsed, client}, nil
}

// Network implements Gateway.
func (g *HTTP) Network(ctx context.Context) (domain.NetworkID, int, error) {
	var answer struct {
		Network    string `json:"network"`
		DataShards int    `json:"data_shards"`
	}
	if err := g.do(ctx, http.MethodGet, "v1/network", "", nil, &answer); err != nil {
		return domain.NetworkID{}, 0, err
	}
	id, err := domain.ParseID[domain.NetworkID](answer.Network)
	if err != nil {
		return domain.NetworkID{}, 0, fmt.Errorf("gateway %s: network: %w", g.base, err)
	}
	return id, answer.DataShards, nil
}

// receipt is v1.Receipt in its JSON form. What a later gateway adds to it is passed over.
type receipt struct {
	Status      string `json:"status"`
	Shard       uint32 `json:"shard"`
	Offset      int64  `json:"offset"`
	FirstOffset int64  `json:"first_offset"`
	Reason      string `json:"reason"`
	Field       string `json:"field"`
}

// decode puts a reason that only later gateways know into the field, where people read it.
func (r receipt) decode() *v1.Receipt {
	decoded := &v1.Receipt{
		Status: v1.ReceiptStatus(v1.ReceiptStatus_value[statusPrefix+strings.ToUpper(r.Status)]),
		Shard:  r.Shard, Offset: r.Offset, FirstOffset: r.FirstOffset, Field: r.Field,
		Reason: v1.Reason(v1.Reason_value[reasonPrefix+strings.ToUpper(r.Reason)]),
	}
	if r.Reason != "" && decoded.Reason == v1.Reason_REASON_UNSPECIFIED {
		decoded.Field = r.Reason + ": " + r.Field
	}
	return decoded
}

// Submit implements Gateway.
func (g *HTTP) Submit(ctx context.Context, reports [][]byte) ([]*v1.Receipt, error) {
	var body []byte
	for _, r := range reports {
		body = v1.AppendFrame(body, r)
	}
	var answer struct {
		Receipts []receipt `json:"receipts"`
	}
	if err := g.do(ctx, http.MethodPost, "v1/reports", reportsType, body, &answer); err != nil {
		return nil, err
	}
	receipts := make([]*v1.Receipt, len(answer.Receipts))
	for i, r := range answer.Receipts {
		receipts[i] = r.decode()
	}
	return receipts, nil
}

// do makes a request. into is a value to read JSON into, or a *json.RawMessage.
func (g *HTTP) do(ctx context.Context, method, path, contentType string, body []byte, into any) (err error) {
	request, err := http.NewRequestWithContext(ctx, method, g.base.JoinPath(path).String(), bytes.NewReader(body))
	if err != nil {
		return err
	}
	if body != nil {
		request.Header.Set("Content-Type", contentType)
	}
	response, err := g.client.Do(request)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, response.Body.Close()) }()
	answer, err := io.ReadAll(io.LimitReader(response.Body, answerBytes))
	if err != nil {
		return fmt.Errorf("read the answer of %s: %w", request.URL, err)
	}
	refused := statusError{response.StatusCode, fmt.Sprintf("%s %s: %s", request.URL, response.Status, said(answer))}
	switch {
	case response.StatusCode == http.StatusTooManyRequests || response.StatusCode >= http.StatusInternalServerError:
		return refused
	case response.StatusCode != http.StatusOK && response.StatusCode != http.StatusAccepted:
		return mistakeError{refused}
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return fmt.Errorf("%s: not a gateway's answer: %w", request.URL, err)
	}
	return nil
}

// statusError is an answer that is no good one.
type statusError struct {
	code int
	says string
}

func (e statusError) Error() string { return e.says }

// statusOf is the HTTP status in an error, or 0.
func statusOf(err error) int {
	refused, _ := errors.AsType[statusError](err)
	return refused.code
}

// said is the error in an answer, or the beginning of whatever it is.
func said(answer []byte) string {
	var body struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(answer, &body) == nil && body.Error != "" {
		return body.Error
	}
	const most = 200
	return strings.ToValidUTF8(string(answer[:min(len(answer), most)]), "?")
}
