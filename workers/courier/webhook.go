package courier

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
)

const (
	// maxAnswerBytes of an answer are read: enough for a reason. The rest is of no interest.
	maxAnswerBytes = 4 << 10
	// maxAnswerHeaders is what an answer may have of headers.
	maxAnswerHeaders = 64 << 10
	// What Standard Webhooks wants of a secret.
	leastSecretBytes, mostSecretBytes = 24, 64
	secretPrefix                      = "whsec_"
)

// Webhook is who wants to be told of the messages of a topic, by HTTP.
type Webhook struct {
	Name   string // of the handler: see Courier.Handle
	URL    string // https, but for a receiver on this machine
	Secret string // 24 bytes or more, or whsec_ and such in base64, as Standard Webhooks writes them
	// JSON makes of a payload what is sent. A payload that it can't read is put aside.
	JSON func(payload []byte) ([]byte, error)
}

// Caller posts messages to webhooks, as Standard Webhooks says (www.standardwebhooks.com): the headers webhook-id,
// webhook-timestamp and webhook-signature, which is an HMAC-SHA256 of id.timestamp.body. The id is the message's, and
// the same whenever it is sent again. Besides, filature-topic says of which stream it is, and filature-position of
// which fact of the ledger.
//
// Any 2xx means that it was taken. Any other 4xx than 408 and 429 is an ErrRefused. All else, a redirect or no answer
// included, may be tried again.
type Caller struct {
	webhook Webhook
	key     []byte
	now     func() time.Time
	client  *http.Client
}

// NewCaller checks a webhook, and names what is wrong with it. now gives the time that a message is signed with.
func NewCaller(webhook Webhook, now func() time.Time) (*Caller, error) {
	if err := checkURL(webhook.URL); err != nil {
		return nil, fmt.Errorf("webhook %s: url: %w", webhook.Name, err)
	}
	key, err := keyOf(webhook.Secret)
	if err != nil {
		return nil, fmt.Errorf("webhook %s: secret: %w", webhook.Name, err)
	}
	if webhook.JSON == nil {
		return nil, fmt.Errorf("webhook %s: nothing says how its JSON is made", webhook.Name)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxResponseHeaderBytes = maxAnswerHeaders
	return &Caller{webhook: webhook, key: key, now: now, client: &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // who was signed for is who was named
	}}, nil
}

// Deliver posts a message. It is a handler for Courier.Handle.
func (c *Caller) Deliver(ctx context.Context, m *message.Message) error {
	body, err := c.webhook.JSON(m.Payload)
	if err != nil {
		return fmt.Errorf("read the payload: %w: %w", ErrRefused, err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.webhook.URL, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	at := c.now()
	for name, value := range map[string]string{
		"content-type":      "application/json",
		"user-agent":        "filature",
		"webhook-id":        m.UUID,
		"webhook-timestamp": strconv.FormatInt(at.Unix(), 10),
		"webhook-signature": signature(c.key, m.UUID, at, body),
		"filature-topic":    message.SubscribeTopicFromCtx(ctx),
		"filature-position": m.Metadata["position"],
		"filature-about":    m.Metadata[middleware.CorrelationIDMetadataKey],
	} {
		if value != "" {
			request.Header.Set(name, value)
		}
	}
	answer, err := c.client.Do(request)
	if err != nil {
		// A URL may hold what is nobody else's business, and the error goes to logs and to the poison topic.
		if inner := (*url.Error)(nil); errors.As(err, &inner) {
			err = inner.Err
		}
		return fmt.Errorf("post: %w", err)
	}
	defer answer.Body.Close()
	said, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswerBytes))
	if took(answer.StatusCode) {
		return nil // what else it says, or that it breaks off, does not matter
	}
	err = errors.Join(fmt.Errorf("it answered %s: %q", answer.Status, said), err)
	if refused(answer.StatusCode) {
		return fmt.Errorf("post: %w: %w", ErrRefused, err)
	}
	return fmt.Errorf("post: %w", err)
}

func took(status int) bool { return status >= 200 && status < 300 }

// refused says whether an answer is about the message, and not about the moment.
func refused(status int) bool {
	return status >= 400 && status < 500 && status != http.StatusRequestTimeout && status != http.StatusTooManyRequests
}

// signature is the value of webhook-signature.
func signature(key []byte, id string, at time.Time, body []byte) string {
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%d.", id, at.Unix())
	mac.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// keyOf reads a secret.
func keyOf(secret string) ([]byte, error) {
	key := []byte(secret)
	encoded, isEncoded := strings.CutPrefix(secret, secretPrefix)
	if isEncoded {
		var err error
		if key, err = base64.StdEncoding.DecodeString(encoded); err != nil {
			return nil, fmt.Errorf("what follows %s is not base64: %w", secretPrefix, err)
		}
	}
	if len(key) < leastSecretBytes || isEncoded && len(key) > mostSecretBytes {
		return nil, fmt.Errorf("has %d bytes; want %d to %d", len(key), leastSecretBytes, mostSecretBytes)
	}
	return key, nil
}

// checkURL wants TLS, but for a receiver on this machine.
func checkURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())) {
		return errors.New("want https://host/path without a user; http only for this machine")
	}
	return nil
}

func isLoopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && address.IsLoopback()
}
