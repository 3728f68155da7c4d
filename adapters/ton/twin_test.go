package ton

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/xssnick/tonutils-go/tlb"
	"github.com/xssnick/tonutils-go/tvm"
	"github.com/xssnick/tonutils-go/tvm/cell"
)

// Every transaction that a test of the contracts executes in the Go machine is executed once more in the
// C++ one, which the validators of TON run, and must give the same transaction and the same account, bit
// for bit. The C++ machine is WebAssembly in one Node process (contracts/sandbox.mjs); it keeps the
// accounts by itself, so the two are together only in what they are told.

// contractsFolder is where npm installs the C++ machine.
const contractsFolder = "../../contracts"

// installPatience is for forty megabytes over a slow line.
const installPatience = 5 * time.Minute

// twinQueue bounds how far the Go machine may be ahead.
const twinQueue = 256

// twin is the process with the C++ machine. One goroutine reads its answers until the process ends.
type twin struct {
	mu       sync.Mutex // guards input, worlds and the order of waiting
	input    io.WriteCloser
	worlds   int
	waiting  chan *expectation
	finished chan error
	command  *exec.Cmd
	trouble  bytes.Buffer // what it said on its standard error
}

// twinWorld is the twin's side of one bench.
type twinWorld struct {
	twin *twin
	id   int
	open sync.WaitGroup // transactions that are not compared yet

	mu          sync.Mutex
	compared    int
	differences []string
}

// expectation is a transaction as the Go machine made it; no transaction: it refused.
type expectation struct {
	world       *twinWorld
	what        string
	transaction *cell.Cell
	account     *cell.Cell
}

type twinRequest struct {
	World   int    `json:"world"`
	Config  []byte `json:"config,omitempty"`
	Account string `json:"account,omitempty"`
	State   []byte `json:"state,omitempty"`
	Message []byte `json:"message,omitempty"`
	Now     uint32 `json:"now,omitempty"`
	LT      string `json:"lt,omitempty"` // JavaScript's numbers end at 2^53
	Seed    string `json:"seed,omitempty"`
}

type twinAnswer struct {
	Transaction []byte `json:"transaction"`
	State       []byte `json:"state"`
	Error       string `json:"error"`
}

// theTwin is started by the first test that needs it and stopped when all have ended.
var (
	theTwin     = sync.OnceValues(startTwin)
	twinStarted atomic.Bool
)

func TestMain(m *testing.M) {
	m.Run()
	if !twinStarted.Load() {
		return
	}
	if twin, err := theTwin(); err == nil {
		if err := twin.stop(); err != nil {
			panic(err)
		}
	}
}

func startTwin() (*twin, error) {
	twinStarted.Store(true)
	if err := installTwin(); err != nil {
		return nil, err
	}
	t := &twin{
		command: exec.CommandContext(context.Background(), "node", "sandbox.mjs"),
		waiting: make(chan *expectation, twinQueue), finished: make(chan error, 1),
	}
	t.command.Dir = contractsFolder
	t.command.Stderr = &t.trouble
	output, err := t.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if t.input, err = t.command.StdinPipe(); err != nil {
		return nil, err
	}
	if err := t.command.Start(); err != nil {
		return nil, fmt.Errorf("start the C++ machine: %w", err)
	}
	go func() { t.finished <- t.read(output) }()
	return t, nil
}

// installTwin asks npm for the pinned packages, as make does, if they are not there.
func installTwin() error {
	wanted, err := os.ReadFile(filepath.Join(contractsFolder, "package-lock.json"))
	if err != nil {
		return err
	}
	type npmPackage struct {
		Version string `json:"version"`
	}
	var have npmPackage
	var pinned struct {
		Packages map[string]npmPackage `json:"packages"`
	}
	if err := json.Unmarshal(wanted, &pinned); err != nil {
		return err
	}
	const sandbox = "node_modules/@ton/sandbox"
	installed, err := os.ReadFile(filepath.Join(contractsFolder, sandbox, "package.json"))
	if err == nil && json.Unmarshal(installed, &have) == nil && have.Version == pinned.Packages[sandbox].Version {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), installPatience)
	defer cancel()
	said, err := exec.CommandContext(ctx, "npm", "ci", "--prefix", contractsFolder, "--ignore-scripts", "--no-audit", "--no-fund").CombinedOutput()
	if err != nil {
		return fmt.Errorf("install the C++ machine: npm ci: %w\n%s", err, said)
	}
	return nil
}

// stop ends the process by ending its input, and waits for it.
func (t *twin) stop() error {
	t.mu.Lock()
	err := t.input.Close()
	close(t.waiting)
	t.mu.Unlock()
	err = errors.Join(err, <-t.finished, t.command.Wait())
	if err != nil {
		return fmt.Errorf("the C++ machine: %w\n%s", err, t.trouble.Bytes())
	}
	return nil
}

// read compares answers with expectations until there are no more of either.
func (t *twin) read(output io.Reader) error {
	answers := json.NewDecoder(bufio.NewReader(output))
	var broken error
	for e := range t.waiting {
		var answer twinAnswer
		if broken == nil {
			broken = answers.Decode(&answer)
		}
		if broken != nil {
			e.world.done(fmt.Sprintf("%s: no answer: %v", e.what, broken))
			continue
		}
		e.world.done(e.difference(answer))
	}
	return broken
}

// difference is empty if both machines did the same.
func (e *expectation) difference(answer twinAnswer) string {
	if e.transaction == nil || len(answer.Transaction) == 0 {
		if e.transaction == nil && len(answer.Transaction) == 0 {
			return ""
		}
		return fmt.Sprintf("%s: only one of the two machines refused it; the C++ one says %q", e.what, answer.Error)
	}
	transaction, err := cell.FromBOC(answer.Transaction)
	if err != nil {
		return fmt.Sprintf("%s: transaction of the C++ machine: %v", e.what, err)
	}
	account, err := cell.FromBOC(answer.State)
	if err != nil {
		return fmt.Sprintf("%s: account of the C++ machine: %v", e.what, err)
	}
	if transaction.HashKey() == e.transaction.HashKey() && account.HashKey() == e.account.HashKey() {
		return ""
	}
	return fmt.Sprintf("%s\n  Go  account %x transaction %s\n  C++ account %x transaction %s", e.what,
		e.account.Hash(), describe(e.transaction), account.Hash(), describe(transaction))
}

func describe(transaction *cell.Cell) string {
	var tx tlb.Transaction
	if err := tlb.Parse(&tx, transaction); err != nil {
		return err.Error()
	}
	said, err := json.Marshal(tx.Description)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%x, fees %s, %s", transaction.Hash(), tx.TotalFees.Coins, said)
}

// newTwinWorld joins a bench to the C++ machine, and has the test fail on every difference.
func newTwinWorld(tb testing.TB, config *tvm.PreparedBlockchainConfig) *twinWorld {
	tb.Helper()
	t, err := theTwin()
	if err != nil {
		tb.Fatal(err)
	}
	t.mu.Lock()
	t.worlds++
	w := &twinWorld{twin: t, id: t.worlds}
	t.mu.Unlock()
	w.setConfig(tb, config)
	tb.Cleanup(func() {
		w.tell(tb, twinRequest{}, nil)
		if _, differences := w.wait(); len(differences) > 0 {
			tb.Errorf("%d transactions differ between the Go and the C++ machine, the first: %s", len(differences), differences[0])
		}
	})
	return w
}

// wait returns when everything was compared: how many transactions, and what differed.
func (w *twinWorld) wait() (compared int, differences []string) {
	w.open.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.compared, w.differences
}

func (w *twinWorld) done(difference string) {
	w.mu.Lock()
	w.compared++
	if difference != "" {
		w.differences = append(w.differences, difference)
	}
	w.mu.Unlock()
	w.open.Done()
}

func (w *twinWorld) setConfig(tb testing.TB, config *tvm.PreparedBlockchainConfig) {
	tb.Helper()
	w.tell(tb, twinRequest{Config: config.Root().ToBOC()}, nil)
}

func (w *twinWorld) setAccount(tb testing.TB, at Address, account *tvm.PreparedAccount) {
	tb.Helper()
	w.tell(tb, twinRequest{Account: at.Raw(), State: account.ShardAccountCell().ToBOC()}, nil)
}

// compare has the C++ machine execute what the Go machine made a transaction of.
func (w *twinWorld) compare(tb testing.TB, request twinRequest, e expectation) {
	tb.Helper()
	e.world = w
	w.open.Add(1)
	w.tell(tb, request, &e)
}

// tell sends a request; with an expectation, there will be an answer.
func (w *twinWorld) tell(tb testing.TB, request twinRequest, e *expectation) {
	tb.Helper()
	request.World = w.id
	line, err := json.Marshal(request)
	if err != nil {
		tb.Fatal(err)
	}
	w.twin.mu.Lock()
	defer w.twin.mu.Unlock()
	if _, err := w.twin.input.Write(append(line, '\n')); err != nil {
		tb.Fatalf("tell the C++ machine: %v\n%s", err, w.twin.trouble.Bytes())
	}
	if e != nil {
		w.twin.waiting <- e
	}
}
