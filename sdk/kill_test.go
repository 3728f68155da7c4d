package sdk_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/sdk"
)

// victimEnv makes the test program emit until it is killed: "run spool gateway".
const victimEnv = "FILATURE_TEST_VICTIM"

func TestMain(m *testing.M) {
	if order := os.Getenv(victimEnv); order != "" {
		emitUntilKilled(order)
		return
	}
	m.Run()
}

// emitUntilKilled says on standard output which claims Emit has acknowledged.
func emitUntilKilled(order string) {
	var run, spool, gateway string
	if _, err := fmt.Sscan(order, &run, &spool, &gateway); err != nil {
		panic(err)
	}
	over, err := sdk.NewHTTP(gateway, nil)
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	e, err := sdk.Open(ctx, sdk.Config{Key: annsKey(), Gateway: over, SpoolDir: spool, MaxSpoolBytes: 20_000})
	if err != nil {
		panic(err)
	}
	go func() { panic(e.Run(ctx)) }() // it ends with the process
	for i := 0; ; i++ {
		name := fmt.Sprintf("%s.%d", run, i)
		if err := e.Emit(ctx, domain.Shard(i%3), named("%s", name)); err != nil {
			panic(err)
		}
		fmt.Fprintln(os.Stdout, name)
	}
}

func TestKillingTheProcessLosesAndDoublesNothing(t *testing.T) {
	const kills = 20
	g := newGateway(t)
	server := httptest.NewServer(g)
	defer server.Close()
	spool := t.TempDir()
	sure := map[string]bool{}
	for run := range kills {
		victim := exec.CommandContext(t.Context(), os.Args[0])
		victim.Env = append(os.Environ(), fmt.Sprintf("%s=%d %s %s", victimEnv, run, spool, server.URL))
		victim.Stderr = os.Stderr
		out, err := victim.StdoutPipe()
		must(t, err)
		must(t, victim.Start())
		said := bufio.NewScanner(out)
		for n := rand.IntN(40); n >= 0 && said.Scan(); n-- {
			sure[said.Text()] = true
		}
		killed := time.AfterFunc(time.Duration(rand.IntN(5000))*time.Microsecond, func() { _ = victim.Process.Kill() })
		for said.Scan() { // what it said before it died counts, too
			sure[said.Text()] = true
		}
		if killed.Stop() {
			t.Error("the victim ended by itself")
		}
		_ = victim.Wait() // it was killed
	}
	e := open(t, sdk.Config{Key: annsKey(), Gateway: overHTTP(t, server.URL, nil), SpoolDir: spool})
	must(t, e.Deliver(t.Context()))
	have := map[string]int{}
	for _, claims := range g.claims() {
		for _, name := range claims {
			if have[name]++; have[name] > 1 {
				t.Errorf("claim %s arrived %d times", name, have[name])
			}
		}
	}
	for name := range sure {
		if have[name] != 1 {
			t.Errorf("claim %s was acknowledged, and arrived %d times", name, have[name])
		}
	}
	if len(sure) < kills || len(have) < len(sure) || len(have) > len(sure)+kills {
		t.Errorf("%d claims were acknowledged, %d arrived", len(sure), len(have))
	}
	if kept, err := os.ReadFile(e.RefusedFile()); err != nil || strings.TrimSpace(string(kept)) != "" {
		t.Errorf("refused: %q, %v", kept, err)
	}
	t.Logf("%d kills, %d claims acknowledged, %d arrived in %d reports", kills, len(sure), len(have), len(g.taken))
}
