package witness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore/tlog"
)

// askTimeout bounds one request: a witness has two signatures to make and one write to sync.
const askTimeout = 10 * time.Second

// Client asks one witness.
type Client struct {
	url  string
	http *http.Client
}

// NewClient returns a client for a witness's submission prefix, such as "https://witness.example.com/w1".
func NewClient(url string) *Client {
	return &Client{strings.TrimSuffix(url, "/"), &http.Client{Timeout: askTimeout}}
}

// AddCheckpoint asks for a cosignature, as workers/publisher wants it.
func (c *Client) AddCheckpoint(ctx context.Context, seen int64, consistency []domain.Digest, checkpoint []byte) ([]byte, error) {
	answer, err := c.post(ctx, request{seen, consistency, checkpoint}.encode())
	if err != nil {
		return nil, fmt.Errorf("witness %s: %w", c.url, err)
	}
	return answer, nil
}

func (c *Client) post(ctx context.Context, body []byte) (_ []byte, err error) {
	post, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+addCheckpoint, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	post.Header.Set("Content-Type", "text/plain; charset=utf-8")
	response, err := c.http.Do(post)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, response.Body.Close()) }()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxBodyBytes))
	switch {
	case err != nil:
		return nil, err
	case response.StatusCode == http.StatusOK:
		return answer, nil
	case response.StatusCode == http.StatusConflict && response.Header.Get("Content-Type") == sizeType:
		size, err := strconv.ParseInt(strings.TrimSuffix(string(answer), "\n"), 10, 64)
		if err != nil || size < 0 {
			return nil, fmt.Errorf("says that it saw %q records", answer)
		}
		return nil, &tlog.SeenError{Size: size}
	default:
		return nil, fmt.Errorf("answers %s: %s", response.Status, strings.TrimSpace(string(answer)))
	}
}
