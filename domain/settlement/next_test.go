package settlement

import (
	"testing"

	"github.com/filature/filature/domain"
)

func TestNextDecidesFromBooksAndChainAlone(t *testing.T) {
	one := OnChain{Epoch: 1, Root: domain.Digest{1}, Total: 100, Commitment: domain.Digest{11}}
	two := OnChain{Epoch: 2, Root: domain.Digest{2}, Total: 150, Commitment: domain.Digest{12}}
	forged := two
	forged.Root = domain.Digest{66}
	recommitted := two
	recommitted.Commitment = domain.Digest{66}
	inDelay := Seen{Active: one, LastEpoch: 2, Paid: 100, Pending: &two, AtMs: 999, ActivateAtMs: 1000}
	due := inDelay
	due.AtMs = due.ActivateAtMs
	dueButPaused := due
	dueButPaused.Paused = true
	settled := Books{LastNumber: 1, Active: one, Paid: 100}
	sealed := Books{LastNumber: 2, Active: one, Open: &two, Paid: 100}
	skipped := Books{LastNumber: 3, Active: one, Paid: 100, Open: &OnChain{Epoch: 3}}
	behind := sealed
	behind.LT = 7
	for name, c := range map[string]struct {
		books Books
		seen  Seen
		want  Step
	}{
		"a new network seals":                                 {Books{}, Seen{}, StepSeal},
		"all settled seals the next":                          {settled, Seen{Active: one, LastEpoch: 1, Paid: 100}, StepSeal},
		"a sealed batch is proposed":                          {sealed, Seen{Active: one, LastEpoch: 1, Paid: 100, Covers: 50}, StepPropose},
		"the first batch is proposed":                         {Books{LastNumber: 1, Open: &one}, Seen{Covers: 100}, StepPropose},
		"a short vault is waited for":                         {sealed, Seen{Active: one, LastEpoch: 1, Paid: 100, Covers: 49}, StepWait},
		"a paused vault is waited for":                        {sealed, Seen{Active: one, LastEpoch: 1, Paid: 100, Covers: 50, Paused: true}, StepWait},
		"the challenge delay is waited out":                   {sealed, inDelay, StepWait},
		"a due root is activated":                             {sealed, due, StepActivate},
		"a paused vault's due root waits":                     {sealed, dueButPaused, StepWait},
		"an activation is waited for until it is booked":      {sealed, Seen{Active: two, LastEpoch: 2, Paid: 100}, StepWait},
		"a payout under it may come before that":              {sealed, Seen{Active: two, LastEpoch: 2, Paid: 150}, StepWait},
		"a veto is waited for until it is booked":             {sealed, Seen{Active: one, LastEpoch: 2, Paid: 100, Covers: 50}, StepWait},
		"after a booked veto the next is sealed":              {Books{LastNumber: 2, Active: one, Paid: 100}, Seen{Active: one, LastEpoch: 2, Paid: 100}, StepSeal},
		"payouts may be on chain before they are booked":      {Books{LastNumber: 1, Active: one, Paid: 10}, Seen{Active: one, LastEpoch: 1, Paid: 60}, StepSeal},
		"a number beyond the log halts":                       {settled, Seen{Active: one, LastEpoch: 2, Paid: 100, Pending: &two}, StepHalt},
		"a number used up by a vetoed stranger is waited for": {settled, Seen{Active: one, LastEpoch: 3, Paid: 100}, StepWait},
		"it is when a batch is open, too":                     {sealed, Seen{Active: one, LastEpoch: 3, Paid: 100}, StepWait},
		"after it is booked the next is sealed":               {Books{LastNumber: 3, Active: one, Paid: 100}, Seen{Active: one, LastEpoch: 3, Paid: 100}, StepSeal},
		"a lite-server that is behind is waited for":          {behind, Seen{LT: 6}, StepWait},
		"one that is not may halt":                            {behind, Seen{LT: 7}, StepHalt},
		"a batch whose end nobody saw halts":                  {Books{LastNumber: 2, Active: one, Paid: 100}, Seen{Active: one, LastEpoch: 1, Paid: 100}, StepHalt},
		"a gap before the open batch halts":                   {skipped, Seen{Active: one, LastEpoch: 1, Paid: 100}, StepHalt},
		"another pending root halts":                          {sealed, Seen{Active: one, LastEpoch: 2, Paid: 100, Pending: &forged}, StepHalt},
		"another commitment halts":                            {sealed, Seen{Active: one, LastEpoch: 2, Paid: 100, Pending: &recommitted}, StepHalt},
		"another active root halts":                           {sealed, Seen{Active: forged, LastEpoch: 2, Paid: 100}, StepHalt},
		"an active root that went back halts":                 {settled, Seen{LastEpoch: 1, Paid: 100}, StepHalt},
		"less paid than booked halts":                         {settled, Seen{Active: one, LastEpoch: 1, Paid: 99}, StepHalt},
		"more paid than the root gives halts":                 {settled, Seen{Active: one, LastEpoch: 1, Paid: 101}, StepHalt},
		"a halt comes before everything that could be done":   {sealed, Seen{Active: one, LastEpoch: 1, Paid: 99, Covers: 50, Paused: true}, StepHalt},
	} {
		if got := Next(c.books, c.seen); got.Step != c.want || got.Why == "" {
			t.Errorf("%s: decided %s (%q), want %s", name, got.Step, got.Why, c.want)
		}
	}
}
