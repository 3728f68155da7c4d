// Command filature is the metering and settlement engine for Cocoon: signed claims in, facts, balances
// and payouts on TON out, and an audit that trusts none of it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/filature/filature/adapters/ton/localchain"
	"github.com/filature/filature/eventstore"
)

// Exit codes. They are part of the interface; docs/commands.md explains them.
const (
	exitOK         = 0
	exitNo         = 1 // the answer is no: the audit found something, a report was refused, a log is damaged
	exitUsage      = 2 // bad arguments or input
	exitUnfinished = 3 // could not be done now; run it again
)

// program is the command line. One file per subcommand.
type program struct {
	Demo      demoCmd      `cmd:"" help:"Run a small network from end to end: jobs in, payouts on chain, audited."`
	Serve     serveCmd     `cmd:"" help:"Run the engine, or some of its roles, and take reports over HTTP."`
	Init      initCmd      `cmd:"" help:"Found a network on Kafka, PostgreSQL and TON."`
	Emit      emitCmd      `cmd:"" help:"Sign claims, one a line, and deliver them; what is not taken waits on disk."`
	Audit     auditCmd     `cmd:"" help:"Replay the logs, trust nothing, and compare all with the chain."`
	Export    exportCmd    `cmd:"" help:"Hand out what the ledger holds: export archive, export table, export journal."`
	Statement statementCmd `cmd:"" help:"Print what a provider earned and was paid in a month."`
	Invoice   invoiceCmd   `cmd:"" help:"Print what a client paid in and used in a month."`
	Balance   balanceCmd   `cmd:"" help:"Print the trial balance: what all accounts hold, by kind, now or at a past moment."`
	Prove     proveCmd     `cmd:"" help:"Prove to strangers what a payee is owed, or what the ledger says of a job."`
	Verify    verifyCmd    `cmd:"" help:"Check a proof, with nothing but public keys or a lite-server."`
	Publish   publishCmd   `cmd:"" help:"Publish the ledger's Merkle trees: signed checkpoints, and tiles for any web server."`
	Witness   witnessCmd   `cmd:"" help:"Cosign checkpoints of other people's logs that go on from those before."`
	Reconcile reconcileCmd `cmd:"" help:"Compare what the vault holds and did with what the ledger says."`
	Why       whyCmd       `cmd:"" help:"Say why a job, report or provider is paid, held, rejected or pending."`
	Score     scoreCmd     `cmd:"" help:"Show a worker's or provider's score, and all that makes it so."`
	Market    marketCmd    `cmd:"" help:"Show what was asked for and at what jobs cleared, by hour and model."`
	Workers   workersCmd   `cmd:"" help:"List workers: attested or not, their scores, and the pay that waits for them."`
	Attest    attestCmd    `cmd:"" help:"Say what a worker's evidence proves: attest verify."`
	Chain     chainCmd     `cmd:"" help:"Run a TON chain of your own; look at a vault; veto, pause and unpause it."`
	Config    configCmd    `cmd:"" help:"Look at a config file: config check."`
	Poison    poisonCmd    `cmd:"" help:"Look after messages that could not be dealt with: poison list, poison replay."`
	Apikey    apikeyCmd    `cmd:"" help:"Make a key to ask the books with, over the API."`
	Keygen    keygenCmd    `cmd:"" help:"Make a signing key."`
	Version   versionCmd   `cmd:"" help:"Say which program this is."`
}

const description = `Filature reels what Cocoon's workers spin: every token metered becomes a signed fact, every fact money,
and every payout a leaf of a root on TON that anybody can recompute.

Begin with:  filature demo

Exit codes:  0 done · 1 the answer is no · 2 bad arguments or input · 3 not finished, run it again`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the program, as tests run it too.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) (code int) {
	var p program
	exited := -1
	parser, err := kong.New(&p,
		kong.Name("filature"), kong.Description(description), kong.Writers(stdout, stderr),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, FlagsLast: true, WrapUpperBound: 110}),
		kong.Exit(func(code int) { exited = code }),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(&console{in: stdin, out: stdout, err: stderr, live: isTerminal(stderr)}),
	)
	if err != nil {
		panic(err) // the struct above is wrong
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	command, err := parser.Parse(args)
	if exited >= 0 { // help was asked for
		return exited
	}
	if err != nil {
		fmt.Fprintf(stderr, "filature: %v\nTry: filature %s--help\n", err, commandOf(err))
		return exitUsage
	}
	err = command.Run()
	var said *exitError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &said):
		if said.err != nil {
			fmt.Fprintf(stderr, "filature: %v\n", said.err)
		}
		return said.code
	case errors.Is(err, eventstore.ErrCorrupt), errors.Is(err, localchain.ErrCorrupt):
		fmt.Fprintf(stderr, "filature: %v\n", err)
		return exitNo // to run it again won't help
	default:
		fmt.Fprintf(stderr, "filature: %v\n", err)
		return exitUnfinished
	}
}

// commandOf is the subcommand whose arguments were wrong ("attest verify"), and a space; empty where it was none.
func commandOf(err error) string {
	var wrong *kong.ParseError
	if !errors.As(err, &wrong) {
		return ""
	}
	var names strings.Builder
	for _, step := range wrong.Context.Path {
		if step.Command != nil {
			names.WriteString(step.Command.Name + " ")
		}
	}
	return names.String()
}

// exitError is an error with an exit code. Without an error inside, all was said already.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return fmt.Sprintf("exit %d: %v", e.code, e.err) }

func (e *exitError) Unwrap() error { return e.err }

// usage is an error that the user can mend on the command line or in the input.
func usage(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...)}
}
