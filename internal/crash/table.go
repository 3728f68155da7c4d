package main

import (
	"context"
	"fmt"
	"io"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/projections"
)

// printTable shows both runs side by side.
func printTable(out io.Writer, killed, calm *outcome) {
	row := func(what string, of func(*outcome) any) {
		fmt.Fprintf(out, "  %-48s  %14v  %14v\n", what, of(killed), of(calm))
	}
	fmt.Fprintf(out, "\n  %-48s  %14s  %14s\n", "", "with kills", "undisturbed")
	row("kills", func(o *outcome) any {
		sum := 0
		for _, n := range o.kills {
			sum += n
		}
		return sum
	})
	for _, m := range moments {
		row("  "+string(m), func(o *outcome) any { return o.kills[m] })
	}
	for _, p := range phases {
		row("  settlement: "+string(p), func(o *outcome) any { return o.phases[p] })
	}
	row("starts", func(o *outcome) any { return o.lives })
	row("ends of logs torn", func(o *outcome) any { return o.torn })
	row("  repairs that were logged before the next kill", func(o *outcome) any { return o.repairs })
	row("reports acknowledged", func(o *outcome) any { return o.workload.want.Reports })
	row("  sent, each time counted", func(o *outcome) any { return o.sent })
	row("  of them answered as copies", func(o *outcome) any { return o.duplicates })
	row("claims accepted", func(o *outcome) any { return o.workload.want.AcceptedClaims })
	row("claims rejected", func(o *outcome) any { return o.workload.want.RejectedClaims })
	row("jobs completed", func(o *outcome) any { return o.workload.want.Completed })
	row("batches", func(o *outcome) any { return o.lastBatch().Number })
	row("payout root of the last batch", func(o *outcome) any { return o.lastBatch().PayoutRoot.String()[:14] })
	row("owed and paid on chain, coins", func(o *outcome) any {
		var sum domain.Nano
		for _, owed := range o.workload.want.owed {
			sum += owed
		}
		return sum
	})
	row("seconds", func(o *outcome) any { return fmt.Sprintf("%.0f", o.took.Seconds()) })
}

// lastBatch is zero where the books can't be read; compare has said so then.
func (o *outcome) lastBatch() (last projections.Batch) {
	_ = o.books.store.View(context.Background(), func(view projections.View) (err error) {
		last, err = lastBatch(context.Background(), view)
		return err
	})
	return last
}
