// Command receiver shows what answers a webhook: it looks at the signature, as Standard Webhooks says, and takes each message
// once. Any library for Standard Webhooks does the same in another language.
//
//	receiver -listen 127.0.0.1:8450 -secret-file webhook.secret
package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	maxBody = 1 << 20          // a completion is less than a kilobyte
	window  = 5 * time.Minute  // what is older is a recording of somebody's
	patient = 10 * time.Second // for a request, and for its end
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "receiver:", err)
		os.Exit(1) //nolint:forbidigo,gocritic // this is main, and what stop gives back ends with the process
	}
}

// receiver knows the secret, and what it took before. A real one keeps that with its data, in one transaction.
type receiver struct {
	secret []byte
	out    io.Writer
	mu     sync.Mutex
	taken  map[string]bool // by webhook-id
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, request.Body, maxBody))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if err := r.verify(request.Header, body, time.Now()); err != nil {
		http.Error(w, err.Error(), http.StatusUnauthorized) // it is not tried again, but put aside
		return
	}
	var completion struct {
		Outcome    string `json:"outcome"`
		ChargeNano int64  `json:"charge_nano"`
	}
	if err := json.Unmarshal(body, &completion); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if id := request.Header.Get("Webhook-Id"); !r.taken[id] { // what comes twice has the same id
		r.taken[id] = true
		fmt.Fprintf(r.out, "%s: %d nanotons\n", completion.Outcome, completion.ChargeNano)
	}
	w.WriteHeader(http.StatusNoContent) // taken; anything but 2xx is tried again
}

// verify wants one of the signatures to be ours, over id.timestamp.body, and the message to be of now.
func (r *receiver) verify(header http.Header, body []byte, now time.Time) error {
	seconds, err := strconv.ParseInt(header.Get("Webhook-Timestamp"), 10, 64)
	if age := now.Sub(time.Unix(seconds, 0)).Abs(); err != nil || age > window {
		return fmt.Errorf("webhook-timestamp %q is not of now", header.Get("Webhook-Timestamp"))
	}
	mac := hmac.New(sha256.New, r.secret)
	fmt.Fprintf(mac, "%s.%d.%s", header.Get("Webhook-Id"), seconds, body)
	want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	if !slices.ContainsFunc(strings.Fields(header.Get("Webhook-Signature")), func(one string) bool {
		return hmac.Equal([]byte(one), []byte(want))
	}) {
		return errors.New("webhook-signature is not ours")
	}
	return nil
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("receiver", flag.ContinueOnError)
	listen := flags.String("listen", "127.0.0.1:8450", "where to listen")
	secretFile := flags.String("secret-file", "", "the file that the config names: one line, whsec_ and base64")
	if err := flags.Parse(args); err != nil {
		return err
	}
	line, err := os.ReadFile(*secretFile)
	if err != nil {
		return err
	}
	secret, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(strings.TrimSpace(string(line)), "whsec_"))
	if err != nil {
		return fmt.Errorf("%s: want whsec_ and base64: %w", *secretFile, err)
	}
	server := &http.Server{Addr: *listen, Handler: &receiver{secret: secret, out: out, taken: map[string]bool{}}, ReadTimeout: patient}
	ended := make(chan error, 1)
	go func() { ended <- server.ListenAndServe() }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), patient)
	defer cancel()
	return server.Shutdown(grace)
}
