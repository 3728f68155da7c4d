package main

import (
	"fmt"
	"io"

	"github.com/filature/filature/domain"
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
	row("reports acknowledged", func(o *outcome) any { return o.workload.Want.Reports })
	row("  sent, each time counted", func(o *outcome) any { return o.sent.Reports })
	row("  of them answered as copies", func(o *outcome) any { return o.sent.Duplicates })
	row("claims accepted", func(o *outcome) any { return o.workload.Want.AcceptedClaims })
	row("claims rejected", func(o *outcome) any { return o.workload.Want.RejectedClaims })
	row("jobs completed", func(o *outcome) any { return o.workload.Want.Completed })
	row("batches", func(o *outcome) any { return o.last.Number })
	row("payout root of the last batch", func(o *outcome) any { return o.last.PayoutRoot.String()[:14] })
	row("owed and paid on chain, coins", func(o *outcome) any {
		var sum domain.Nano
		for _, owed := range o.workload.Want.Owed {
			sum += owed
		}
		return sum
	})
	row("seconds", func(o *outcome) any { return fmt.Sprintf("%.0f", o.took.Seconds()) })
}
