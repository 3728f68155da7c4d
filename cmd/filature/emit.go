package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
	"github.com/filature/filature/sdk"
)

const (
	// maxLineBytes is a claim of a report's full size in hexadecimal, twice over.
	maxLineBytes = 4 << 20
	// emitIdle is how long emit waits for another line before it delivers what it has.
	emitIdle = 200 * time.Millisecond
	// emitReports waiting are delivered without waiting for the end of the input.
	emitReports = 1000
)

// emitCmd signs claims and delivers them.
type emitCmd struct {
	Gateway string        `default:"http://127.0.0.1:8420" help:"Where reports are taken."`
	Kafka   kafkaFlags    `embed:""`
	Key     string        `required:"true" type:"path" help:"Key file that signs; see keygen."`
	Spool   string        `required:"true" type:"path" help:"Folder where reports wait until they are answered. Made if missing; one for each key."`
	Account string        `xor:"home" help:"Account (hex) whose shard gets the claims that name no account themselves."`
	Shard   *int          `xor:"home" help:"Shard that gets them instead; 0 is control."`
	Wait    time.Duration `default:"15s" help:"How long to go on trying while the gateway is down or busy."`
	JSON    bool          `help:"Print each receipt as a line of JSON."`
}

// Help is shown by emit --help.
func (c *emitCmd) Help() string {
	return `Reads one claim a line in its JSON form, such as {"submit_job":{"account":"07ab...","number":7,...}}.

A claim that names an account goes to the account's shard, and one of control's to control. A claim that names only a
job has to be told where: {"account":"07ab...","meter_job":{...}}, or --account or --shard for all of them.

With --kafka it writes to the network's intake itself. Nobody looks at the door then: a receipt says that a report stands
in intake, and filature why tells what the ledger says.

Without input it delivers what waits in the spool. A line that is wrong ends the input: what stands before it is
delivered, and the line and all behind it are not taken.

Exit codes: 0 all were taken; 1 some were refused, and stand in the spool's refused.jsonl; 2 bad input; 3 some still wait, run it again.`
}

// Run emits.
func (c *emitCmd) Run(ctx context.Context, out *console) (err error) {
	key, err := sdk.ReadKey(c.Key)
	if err != nil {
		return usage("--key: %w", err)
	}
	var account domain.AccountID
	if c.Account != "" {
		if account, err = domain.ParseID[domain.AccountID](c.Account); err != nil {
			return usage("--account: %w", err)
		}
	}
	gateway, done, err := c.way()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	e := &emission{emitCmd: c, account: account, out: out, tally: newTally()}
	e.emitter, err = sdk.Open(ctx, sdk.Config{Key: key, Gateway: gateway, SpoolDir: c.Spool, Patience: max(c.Wait, 1), Receipts: e.answered})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.emitter.Close()) }()
	readErr := e.read(ctx)
	if ctx.Err() != nil { // told to stop: what was taken is kept, and waits
		return e.end(readErr, errors.Join(ctx.Err(), e.emitter.Flush(ctx)))
	}
	return e.end(readErr, e.emitter.Deliver(ctx))
}

// emission is one run of emit.
type emission struct {
	*emitCmd
	emitter *sdk.Emitter
	account domain.AccountID // the default's; zero if there is none
	out     *console
	tally   *tally
	lines   int
	away    bool // the gateway could not be reached: nothing more is delivered before the end
}

// lineError is a line that is not taken, and why.
type lineError struct {
	line int
	err  error
}

func (e *lineError) Error() string { return fmt.Sprintf("line %d: %v", e.line, e.err) }

func (e *lineError) Unwrap() error { return e.err }

// read takes lines until the input ends or one is wrong.
func (e *emission) read(ctx context.Context) error {
	stopped := make(chan struct{})
	defer close(stopped)
	lines := readLines(e.out.in, stopped)
	for {
		idle := time.NewTimer(emitIdle)
		select {
		case <-ctx.Done():
			return nil
		case line, more := <-lines:
			idle.Stop()
			if !more {
				return nil
			}
			e.lines++
			if line.err != nil {
				return &lineError{e.lines, line.err}
			}
			if err := e.take(ctx, line.text); err != nil {
				return err
			}
		case <-idle.C:
			if err := e.deliverSome(ctx, 1); err != nil {
				return err
			}
		}
	}
}

// line is one line of the input, or why there is no more.
type line struct {
	text []byte
	err  error
}

// readLines reads in a goroutine of its own, so that emit can be stopped while it waits for input. It
// ends with the input or when stopped is closed; one that stands in a read then ends with the process, as
// nothing else can end a read of standard input.
func readLines(in io.Reader, stopped <-chan struct{}) <-chan line {
	lines := make(chan line)
	go func() {
		defer close(lines)
		scanner := bufio.NewScanner(in)
		scanner.Buffer(nil, maxLineBytes)
		send := func(l line) bool {
			select {
			case lines <- l:
				return true
			case <-stopped:
				return false
			}
		}
		for scanner.Scan() {
			if !send(line{text: bytes.Clone(scanner.Bytes())}) {
				return
			}
		}
		if err := scanner.Err(); err != nil {
			send(line{err: fmt.Errorf("read input, lines of at most %d bytes: %w", maxLineBytes, err)})
		}
	}()
	return lines
}

// take adds the claim of one line, once there is room for it.
func (e *emission) take(ctx context.Context, text []byte) error {
	if len(bytes.TrimSpace(text)) == 0 {
		return nil
	}
	hint, claim, err := parseLine(text)
	if err != nil {
		return &lineError{e.lines, err}
	}
	network, err := e.emitter.Network(ctx)
	if err != nil {
		return err
	}
	shard, err := e.home(network, hint, claim)
	if err != nil {
		return &lineError{e.lines, err}
	}
	err = e.emitter.TryAdd(ctx, shard, claim)
	if errors.Is(err, sdk.ErrSpoolFull) {
		if err = e.emitter.Deliver(ctx); err == nil {
			err = e.emitter.TryAdd(ctx, shard, claim)
		}
	}
	if err != nil {
		return fmt.Errorf("line %d and all behind it are not taken: %w", e.lines, err)
	}
	return e.deliverSome(ctx, emitReports)
}

// parseLine reads a claim, and the account beside it if there is one.
func parseLine(text []byte) (hint string, claim *v1.Claim, err error) {
	rest := text
	if found, without, ok := cutAccount(text); ok {
		hint, rest = found, without
		if _, err := domain.ParseID[domain.AccountID](hint); err != nil {
			return "", nil, &v1.FieldError{Field: "account", Rule: "wants 64 hexadecimal digits"}
		}
	}
	claim, err = v1.ParseClaim(rest)
	return hint, claim, err
}

// cutAccount takes "account" out of the outermost object. What it does not understand it leaves to
// ParseClaim, which says what is wrong.
func cutAccount(text []byte) (account string, rest []byte, ok bool) {
	if !json.Valid(text) {
		return "", nil, false
	}
	tokens := json.NewDecoder(bytes.NewReader(text))
	if open, err := tokens.Token(); err != nil || open != json.Delim('{') {
		return "", nil, false
	}
	rest = []byte{'{'}
	for tokens.More() {
		name, err := tokens.Token()
		if err != nil {
			return "", nil, false
		}
		var value json.RawMessage
		if err := tokens.Decode(&value); err != nil {
			return "", nil, false
		}
		if name == "account" && !ok && json.Unmarshal(value, &account) == nil {
			ok = true
			continue
		}
		if len(rest) > 1 {
			rest = append(rest, ',')
		}
		quoted, err := json.Marshal(name)
		if err != nil {
			return "", nil, false
		}
		rest = append(append(append(rest, quoted...), ':'), value...)
	}
	return account, append(rest, '}'), ok
}

// home is where a claim goes: by what it says itself, else by what stands beside it, else by the default.
func (e *emission) home(network sdk.Network, hint string, claim *v1.Claim) (domain.Shard, error) {
	own, names := sdk.AccountIn(claim)
	if names && hint != "" && !strings.EqualFold(hint, own.String()) {
		return 0, &v1.FieldError{Field: "account", Rule: fmt.Sprintf("is not the claim's own, %s", own)}
	}
	home, known := network.Home(claim)
	switch {
	case known:
		return home, nil
	case hint != "":
		account, err := domain.ParseID[domain.AccountID](hint)
		return network.ShardOf(account), err
	case e.Account != "":
		return network.ShardOf(e.account), nil
	case e.Shard != nil:
		if *e.Shard < 0 || *e.Shard > network.DataShards {
			return 0, fmt.Errorf("--shard %d: want 0 to %d", *e.Shard, network.DataShards)
		}
		return domain.Shard(*e.Shard), nil
	}
	return 0, &v1.FieldError{
		Field: "account", Rule: "is missing: this claim does not say whose shard it is for, so put the account beside it, or give --account or --shard",
	}
}

// deliverSome delivers if so many reports wait, unless the gateway was away before.
func (e *emission) deliverSome(ctx context.Context, least int) error {
	if least == 1 {
		if err := e.emitter.Flush(ctx); err != nil {
			return err
		}
	}
	if e.away || e.emitter.Waiting() < least {
		return nil
	}
	err := e.emitter.Deliver(ctx)
	if errors.Is(err, sdk.ErrUnreachable) {
		e.away = true
		return nil // it waits in the spool; the end says so
	}
	return err
}

// answered shows a receipt. Deliver calls it.
func (e *emission) answered(r sdk.Receipt) {
	e.tally.add(r)
	if e.JSON {
		raw, _ := json.Marshal(r) //nolint:errchkjson // strings and numbers always have a JSON form
		fmt.Fprintf(e.out.out, "%s\n", raw)
	}
	e.out.progressf("%s reports answered", count(e.tally.answered()))
}

// end says how it went, and with which exit code.
func (e *emission) end(readErr, deliverErr error) error {
	summary := e.out.out
	if e.JSON {
		summary = e.out.err
	}
	e.out.stepf("%s read", counted(e.lines, "line"))
	waiting := e.emitter.Waiting()
	e.tally.write(summary, waiting, e.emitter.RefusedFile())
	var bad *lineError
	switch {
	case errors.As(readErr, &bad):
		return &exitError{exitUsage, errors.Join(readErr, deliverErr)}
	case readErr != nil || deliverErr != nil || waiting > 0:
		return &exitError{exitUnfinished, errors.Join(readErr, deliverErr)}
	case e.tally.lost():
		return &exitError{exitNo, nil}
	}
	return nil
}

// tally counts what became of reports.
type tally struct {
	reports map[sdk.Status]int
	claims  map[sdk.Status]int
	reasons map[string]int // of refused reports
	last    map[domain.Shard]domain.Offset
}

func newTally() *tally {
	return &tally{
		reports: make(map[sdk.Status]int), claims: make(map[sdk.Status]int), reasons: map[string]int{}, last: map[domain.Shard]domain.Offset{},
	}
}

func (t *tally) add(r sdk.Receipt) {
	t.reports[r.Status]++
	t.claims[r.Status] += r.Claims
	if r.Status == sdk.Refused {
		t.reasons[r.Reason+" ("+r.Field+")"]++
		return
	}
	t.last[r.Shard] = max(t.last[r.Shard], r.Offset)
}

func (t *tally) answered() (n int) {
	for _, reports := range t.reports {
		n += reports
	}
	return n
}

func (t *tally) lost() bool { return t.reports[sdk.Refused]+t.reports[sdk.Conflict] > 0 }

func (t *tally) write(w io.Writer, waiting int, refusedFile string) {
	for _, status := range []sdk.Status{sdk.Accepted, sdk.Duplicate, sdk.Conflict, sdk.Refused} {
		if t.reports[status] > 0 || status == sdk.Accepted {
			fmt.Fprintf(w, "%-10s %s, %s\n", status, counted(t.reports[status], "report"), counted(t.claims[status], "claim"))
		}
	}
	for _, reason := range slices.Sorted(maps.Keys(t.reasons)) {
		fmt.Fprintf(w, "           %s: %s\n", reason, count(t.reasons[reason]))
	}
	if t.lost() {
		fmt.Fprintf(w, "           they are kept in %s\n", refusedFile)
	}
	if waiting > 0 {
		fmt.Fprintf(w, "%-10s %s, in the spool; run emit again\n", "waiting", counted(waiting, "report"))
	}
	for _, shard := range slices.Sorted(maps.Keys(t.last)) {
		fmt.Fprintf(w, "shard %-4d up to intake %s\n", shard, domain.Position{Shard: shard, Offset: t.last[shard]})
	}
}
