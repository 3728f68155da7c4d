package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/eventstore"
	"github.com/filature/filature/eventstore/seglog"
	"github.com/filature/filature/projections"
)

// whyCmd explains what became of something.
type whyCmd struct {
	Kind string `arg:"" enum:"job,report,provider" help:"job, report or provider."`
	ID   string `arg:"" help:"Id in hexadecimal; of a report SIGNER:SHARD:SEQUENCE."`
	Data string `required:"true" type:"existingdir" help:"Folder that serve or demo made. It may be in use."`
	JSON bool   `help:"Print JSON."`
}

var (
	errNoSuchThing = errors.New("the ledger knows nothing of it")
	errBadQuestion = errors.New("want job HEX, provider HEX or report SIGNER:SHARD:SEQUENCE")
)

// Run asks the folder's projections, and says up to where they have read the ledger.
func (c *whyCmd) Run(ctx context.Context, out *console) (err error) {
	store, err := readStore(ctx, c.Data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	log, err := seglog.OpenReadOnly(filepath.Join(c.Data, ledgerDir))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	answer, err := explain(ctx, store, log, c.Kind, c.ID)
	switch {
	case errors.Is(err, errNoSuchThing):
		return &exitError{exitNo, err}
	case errors.Is(err, errBadQuestion):
		return &exitError{exitUsage, err}
	case err != nil:
		return err
	case c.JSON:
		return out.json(answer)
	default:
		answer.print(out)
		return nil
	}
}

// explanation is a verdict, and the place in the ledger that it is as of.
type explanation struct {
	Kind    string                   `json:"kind"`
	ID      string                   `json:"id"`
	Outcome projections.Outcome      `json:"outcome"`
	Reason  string                   `json:"reason"`
	Because string                   `json:"because"`
	Amount  domain.Nano              `json:"amount_nano"`
	Facts   []explained              `json:"facts"`
	Pay     *projections.ProviderPay `json:"pay,omitempty"`
	// AsOf is per shard, control first, the ledger offset up to which (exclusive) this was read.
	AsOf []domain.Offset `json:"as_of"`
}

type explained struct {
	Position string    `json:"position"` // shard/offset in the ledger
	At       time.Time `json:"at"`
	What     string    `json:"what"`
}

func explain(ctx context.Context, source projections.Source, log eventstore.Reader, kind, id string) (*explanation, error) {
	x := &explanation{Kind: kind, ID: id}
	err := source.Read(ctx, func(r projections.Reader) error {
		at, err := r.At(ctx)
		if err != nil {
			return err
		}
		x.AsOf = at.Cut()
		v, err := x.ask(ctx, r, log)
		if errors.Is(err, projections.ErrNotFound) {
			return fmt.Errorf("%s %s, as of %v: %w", kind, id, x.AsOf, errNoSuchThing)
		}
		if err != nil {
			return err
		}
		x.Outcome, x.Reason, x.Because, x.Amount = v.Outcome, v.Reason, v.Because, v.Amount
		for _, fact := range v.Facts {
			x.Facts = append(x.Facts, explained{fact.At.String(), time.UnixMilli(fact.AtMs).UTC(), fact.What})
		}
		return nil
	})
	return x, err
}

func (x *explanation) ask(ctx context.Context, r projections.Reader, log eventstore.Reader) (v projections.Verdict, err error) {
	switch x.Kind {
	case "job":
		id, err := domain.ParseID[domain.JobID](x.ID)
		if err != nil {
			return v, fmt.Errorf("%w: %w", errBadQuestion, err)
		}
		return projections.WhyJob(ctx, r, id)
	case "provider":
		id, err := domain.ParseID[domain.ProviderID](x.ID)
		if err != nil {
			return v, fmt.Errorf("%w: %w", errBadQuestion, err)
		}
		v, pay, err := projections.WhyProvider(ctx, r, id)
		x.Pay = &pay
		return v, err
	case "report":
		key, err := projections.ParseReportKey(x.ID)
		if err != nil {
			return v, fmt.Errorf("%w: %w", errBadQuestion, err)
		}
		return projections.WhyReport(ctx, r, log, key)
	default:
		return v, errBadQuestion
	}
}

func (x *explanation) print(out *console) {
	outcome := strings.ToUpper(string(x.Outcome))
	if x.Reason != string(x.Outcome) {
		outcome += " (" + x.Reason + ")"
	}
	fmt.Fprintf(out.out, "%s %s\n  %s, %s coins\n  %s\n", x.Kind, x.ID, outcome, x.Amount, x.Because)
	if x.Pay != nil {
		const pay = "\n  earned     %s  in its dispute window\n  held       %s  disputed\n" +
			"  payable    %s  in no batch yet\n  committed  %s  in a batch, not yet seen paid\n  paid       %s\n"
		fmt.Fprintf(out.out, pay, x.Pay.Earned, x.Pay.Held, x.Pay.Payable, x.Pay.Committed, x.Pay.Paid)
	}
	if len(x.Facts) > 0 {
		fmt.Fprint(out.out, "\nThe facts that made it so\n")
	}
	for _, fact := range x.Facts {
		fmt.Fprintf(out.out, "  %-10s %s  %s\n", fact.Position, fact.At.Format("2006-01-02 15:04:05.000"), fact.What)
	}
	fmt.Fprintf(out.out, "\nAs of ledger %v.\n", x.AsOf)
}
