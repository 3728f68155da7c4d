package settling

import (
	"slices"
	"strings"
)

// Steps of settlement, in their order.
var Steps = []string{"seal", "propose", "activate", "claim", "book veto", "book void", "book payout", "book deposit"}

// Which steps send to the vault, and which bring a claim into intake.
var (
	senders = []string{"propose", "activate", "claim"}
	sayers  = []string{"seal", "book veto", "book void", "book payout", "book deposit"}
)

// Fault is something that goes wrong.
type Fault struct {
	Name string
	In   []string
	// Elsewhere says why it can't go wrong in the other steps.
	Elsewhere string
}

const (
	nothingSent     = "these steps send nothing: one brings a claim into intake, the others read the chain"
	nothingAppended = "these steps append nothing: that they happened is booked by the watcher (book …)"
)

// Faults are what goes wrong, and in which steps it can.
var Faults = []Fault{
	{"none", Steps, ""},
	{"dropped", senders, nothingSent},
	{"delayed", senders, nothingSent},
	{"expires", senders, nothingSent},
	{"old seqno", senders, nothingSent},
	{"wallet shared", senders, nothingSent},
	{"wallet poor", senders, nothingSent},
	{"refused", senders, nothingSent},
	{"vault short", []string{"propose"}, "the vault takes no root that it can't cover, so a later step can't meet it; the steps that book move no coins"},
	{"crash before send", senders, nothingSent},
	{"crash after send", senders, nothingSent},
	{"append lost", sayers, nothingAppended},
	{"append kept", sayers, nothingAppended},
	{"crash before append", sayers, nothingAppended},
	{"crash after append", sayers, nothingAppended},
	{"stale node", Steps, ""},
	{"node went back", senders, "it is to show the vault as it was before something that a settler sent"},
	{"timeouts", Steps, ""},
	{"two at once", Steps, ""},
}

// Cell is a step under a fault.
type Cell struct{ Step, Fault string }

// Name is how the cell's test is called, below TestEveryStepComesThroughEveryFault.
func (c Cell) Name() string { return c.Step + "/" + c.Fault }

// Cells are those that there are, fault by fault.
func Cells() (cells []Cell) {
	for _, fault := range Faults {
		for _, step := range Steps {
			if slices.Contains(fault.In, step) {
				cells = append(cells, Cell{step, fault.Name})
			}
		}
	}
	return cells
}

// Table is the table of steps and faults with a word for each cell, and says of those that there are not, why not.
func Table(word func(Cell) string) string {
	const wide, narrow = 20, 13
	pad := func(s string, to int) string { return s + strings.Repeat(" ", max(0, to-len(s))) }
	var table strings.Builder
	table.WriteString("\n" + pad("", wide))
	for _, step := range Steps {
		table.WriteString(" " + pad(step, narrow))
	}
	for _, fault := range Faults {
		table.WriteString("\n" + pad(fault.Name, wide))
		for _, step := range Steps {
			if slices.Contains(fault.In, step) {
				table.WriteString(" " + pad(word(Cell{step, fault.Name}), narrow))
			} else {
				table.WriteString(" " + pad("n/a", narrow))
			}
		}
	}
	for _, fault := range Faults {
		if fault.Elsewhere != "" {
			table.WriteString("\n" + pad(fault.Name+" is n/a in the others:", 2*wide) + fault.Elsewhere)
		}
	}
	return table.String() + "\n"
}
