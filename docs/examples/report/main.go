// Command report shows how to report without the SDK: it reads claims, one JSON object a line, and
// writes a body for POST /v1/reports that holds them as one signed report.
//
//	report -key worker.key -network HEX -shard 1 < claims.jsonl > body
package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/signing"
	v1 "github.com/filature/filature/schemas/filature/v1"
	"github.com/filature/filature/sdk"
)

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
		os.Exit(1) //nolint:forbidigo // this is main
	}
}

func run(args []string, stdin io.Reader, stdout io.Writer) error {
	flags := flag.NewFlagSet("report", flag.ContinueOnError)
	keyFile := flags.String("key", "", "key file, as filature keygen makes it")
	networkHex := flags.String("network", "", "network id, as GET /v1/network tells it")
	shard := flags.Int("shard", 0, "where the claims belong: 0 is control")
	sequence := flags.Uint64("sequence", uint64(time.Now().UnixMicro()), "above all that this key used in this shard before")
	if err := flags.Parse(args); err != nil {
		return err
	}
	key, err := sdk.ReadKey(*keyFile)
	if err != nil {
		return err
	}
	network, err := domain.ParseID[domain.NetworkID](*networkHex)
	if err != nil {
		return err
	}
	var claims []*v1.Claim
	lines := bufio.NewScanner(stdin)
	for lines.Scan() {
		claim, err := v1.ParseClaim(lines.Bytes())
		if err != nil {
			return fmt.Errorf("line %d: %w", len(claims)+1, err)
		}
		claims = append(claims, claim)
	}
	if err := lines.Err(); err != nil {
		return err
	}
	record, err := signing.Report(key, network, domain.Shard(*shard), *sequence, claims)
	if err != nil {
		return err
	}
	_, err = stdout.Write(v1.AppendFrame(nil, record))
	return err
}
