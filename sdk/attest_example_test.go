package sdk_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/http/httptest"
	"time"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/signing"
	v1 "github.com/filature/filature/schemas/filature/v1"
	"github.com/filature/filature/sdk"
)

// A worker that proves what it runs, each time that it is asked.
func ExampleHTTP_Answer() {
	server := httptest.NewServer(new(asker)) // plays the gateway
	defer server.Close()
	gateway, err := sdk.NewHTTP(server.URL, nil)
	if err == nil {
		err = prove(context.Background(), gateway, annsWorker, annsKey())
	}
	fmt.Println(err)
	// Output: <nil>
}

// prove answers what the worker is asked, if it is asked anything. Call it once a minute.
func prove(ctx context.Context, gateway *sdk.HTTP, worker domain.WorkerID, key ed25519.PrivateKey) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	challenge, err := gateway.Challenge(ctx, worker, signing.KeyOf(key))
	if errors.Is(err, sdk.ErrNotAsked) {
		return nil // the last result holds for a while
	}
	if err != nil {
		return err
	}
	quote, err := quoteOver(challenge.ReportData(domain.Digest{})) // without GPUs
	if err != nil {
		return err
	}
	return gateway.Answer(ctx, key, challenge, &v1.Evidence{Tee: v1.Tee_TEE_TDX, Report: quote})
}

// quoteOver is where a real worker asks its processor, through /sys/kernel/config/tsm/report.
func quoteOver(reportData [64]byte) ([]byte, error) { return reportData[:], nil }
