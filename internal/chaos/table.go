package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/filature/filature/domain"
)

// printTables shows what was disturbed, how long others needed to take over, and both runs side by side. calm is nil
// where there was none.
func printTables(out io.Writer, disturbed, calm *outcome) error {
	var text strings.Builder
	printTakeovers(&text, disturbed)
	runs := []*outcome{disturbed}
	if calm != nil {
		runs = append(runs, calm)
	}
	row := func(what string, of func(*outcome) any) {
		fmt.Fprintf(&text, "  %-58s", what)
		for _, o := range runs {
			fmt.Fprintf(&text, "  %14v", of(o))
		}
		fmt.Fprintln(&text)
	}
	fmt.Fprintf(&text, "\n  %-58s  %14s  %14s\n", "", "disturbed", "undisturbed")
	row("reports acknowledged", func(o *outcome) any { return o.say.Want.Reports })
	row("  sent, each time counted", func(o *outcome) any { return o.sent.Reports })
	row("  of them answered as copies", func(o *outcome) any { return o.sent.Duplicates })
	row("reports in intake, those of Filature's own keys too", func(o *outcome) any { return o.counts.Said })
	row("  copies among them, by two gateways", func(o *outcome) any { return o.copies })
	row("  answered in the ledger, once each", func(o *outcome) any { return o.counts.Answered })
	row("void entries in the ledger, by clerks that were replaced", func(o *outcome) any { return o.counts.Void })
	row("claims accepted", func(o *outcome) any { return o.say.Want.AcceptedClaims })
	row("claims rejected", func(o *outcome) any { return o.say.Want.RejectedClaims })
	row("jobs completed", func(o *outcome) any { return o.say.Want.Completed })
	row("messages on the streams, each once", func(o *outcome) any { return o.told.Messages })
	row("  completions among them", func(o *outcome) any { return o.told.Completions })
	row("  copies, which a reader drops by their position", func(o *outcome) any { return o.told.Copies })
	row("batches sealed", func(o *outcome) any { return o.last.Number })
	row("payout root of the last batch", func(o *outcome) any { return o.last.PayoutRoot.String()[:14] })
	row("owed and paid on chain, coins", func(o *outcome) any {
		var sum domain.Nano
		for _, owed := range o.say.Want.Owed {
			sum += owed
		}
		return sum
	})
	row("verdict of the audit", func(o *outcome) any { return o.audit.Verdict })
	row("processes started", func(o *outcome) any { return o.crew.Starts })
	row("  killed", func(o *outcome) any { return o.crew.Kills })
	row("  ended by themselves, and started again", func(o *outcome) any { return len(o.crew.Fell) })
	row("works that went to another process, at rebalances", func(o *outcome) any { return o.crew.Moves })
	row("works that failed, and were taken up again", func(o *outcome) any { return o.crew.Failures })
	row("seconds", func(o *outcome) any { return fmt.Sprintf("%.0f", o.lasted.Seconds()) })
	for _, o := range runs {
		for _, fell := range o.crew.Fell {
			fmt.Fprintf(&text, "  ended by itself: %s\n", fell)
		}
	}
	_, err := io.WriteString(out, text.String())
	return err
}

// printTakeovers shows, for each kind, how often it was done, and what was measured when it was alone.
func printTakeovers(text *strings.Builder, o *outcome) {
	fmt.Fprintf(text, "\n  %-58s\n  %-51s  %5s  %14s  %13s  %12s\n", "How often, and if alone, seconds until all went on", "",
		"times", "others took on", "shards answer", "tables go on")
	for _, k := range kinds {
		t, alone := o.took[k]
		fmt.Fprintf(text, "  %-51s  %5d", k, o.hits[k])
		if alone {
			taken := "-"
			if len(t.Of) > 0 {
				taken = fmt.Sprintf("%.1f", t.Taken.Seconds())
			}
			fmt.Fprintf(text, "  %14s  %13.1f  %12.1f", taken, t.Recovery.Answers.Seconds(), t.Recovery.Tables.Seconds())
		}
		fmt.Fprintln(text)
	}
}
