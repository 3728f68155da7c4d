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
	// MaxReports bounds one body, as the gateway does.
	MaxReports = 1000
	// MaxBytes bounds the bytes of its reports, likewise.
	MaxBytes = 4 << 20

	// answerBytes bounds what is read of an answer: a thousand receipts of 500 bytes, twice.
	answerBytes = 1 << 20
	// requestTimeout is longer than the gateway takes for a body under load.
	requestTimeout = 60 * time.Second

	reportsType = "application/vnd.filature.reports"
)

// errTransient marks trouble that may pass: the gateway is down, restarting or busy. Whether it took the
// reports is unknown; the same bytes may be sent again.
var errTransient = errors.New("gateway can't be reached now")

// Network is what one has to know to report: the id goes under each signature, and accounts are spread
// over the data shards.
type Network struct {
	ID         domain.NetworkID
	DataShards int
}

// ShardOf is the shard of an account.
func (n Network) ShardOf(account domain.AccountID) domain.Shard {
	return domain.ShardOf(account, n.DataShards)
}

// gatewayClient speaks HTTP to one gateway.
type gatewayClient struct {
	base   *url.URL
	client *http.Client
}

func newGatewayClient(base string, client *http.Client) (gatewayClient, error) {
	parsed, err := url.Parse(base)
	if err != nil || parsed.Scheme != "http" && parsed.Scheme != "https" || parsed.Host == "" {
		return gatewayClient{}, fmt.Errorf("%w: gateway %q, want a URL such as http://127.0.0.1:8420", ErrConfig, base)
	}
	if client == nil {
		client = &http.Client{Timeout: requestTimeout}
	}
	return gatewayClient{parsed, client}, nil
}

// network asks which network this is.
func (g gatewayClient) network(ctx context.Context) (Network, error) {
	var answer struct {
		Network    string `json:"network"`
		DataShards int    `json:"data_shards"`
	}
	if err := g.do(ctx, http.MethodGet, "v1/network", nil, &answer); err != nil {
		return Network{}, err
	}
	id, err := domain.ParseID[domain.NetworkID](answer.Network)
	if err != nil {
		return Network{}, fmt.Errorf("gateway %s: network: %w", g.base, err)
	}
	if id == (domain.NetworkID{}) || answer.DataShards == 0 {
		return Network{}, fmt.Errorf("gateway %s: the network has not begun: %w", g.base, errTransient)
	}
	return Network{id, answer.DataShards}, nil
}

// receipt is v1.Receipt in its JSON form.
type receipt struct {
	Status      string `json:"status"`
	Shard       uint32 `json:"shard"`
	Offset      int64  `json:"offset"`
	FirstOffset int64  `json:"first_offset"`
	Reason      string `json:"reason"`
	Field       string `json:"field"`
}

// submit sends reports and returns a receipt for each, in order.
func (g gatewayClient) submit(ctx context.Context, reports [][]byte) ([]receipt, error) {
	var body []byte
	for _, r := range reports {
		body = v1.AppendFrame(body, r)
	}
	var answer struct {
		Receipts []receipt `json:"receipts"`
	}
	if err := g.do(ctx, http.MethodPost, "v1/reports", body, &answer); err != nil {
		return nil, err
	}
	if len(answer.Receipts) != len(reports) {
		return nil, fmt.Errorf("gateway %s: %d receipts for %d reports", g.base, len(answer.Receipts), len(reports))
	}
	return answer.Receipts, nil
}

func (g gatewayClient) do(ctx context.Context, method, path string, body []byte, into any) (err error) {
	request, err := http.NewRequestWithContext(ctx, method, g.base.JoinPath(path).String(), bytes.NewReader(body))
	if err != nil {
		return err
	}
	if body != nil {
		request.Header.Set("Content-Type", reportsType)
	}
	response, err := g.client.Do(request)
	if err != nil {
		return fmt.Errorf("%w: %w", errTransient, err)
	}
	defer func() { err = errors.Join(err, response.Body.Close()) }()
	answer, err := io.ReadAll(io.LimitReader(response.Body, answerBytes))
	if err != nil {
		return fmt.Errorf("%w: read the answer of %s: %w", errTransient, request.URL, err)
	}
	switch {
	case response.StatusCode == http.StatusTooManyRequests || response.StatusCode >= http.StatusInternalServerError:
		return fmt.Errorf("%w: %s %s: %s", errTransient, request.URL, response.Status, said(answer))
	case response.StatusCode != http.StatusOK:
		return fmt.Errorf("%s %s: %s", request.URL, response.Status, said(answer))
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return fmt.Errorf("%w: %s: not a gateway's answer: %w", errTransient, request.URL, err)
	}
	return nil
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
