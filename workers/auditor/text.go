package auditor

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/filature/filature/domain"
)

// shortRoot is how many hexadecimal digits of a root or hash a person is shown: enough to compare by
// eye. The whole is in the JSON.
const shortRoot = 16

// WriteText writes a report for a person, the verdict last. An error is the writer's.
func WriteText(w io.Writer, r Report) error {
	var out bytes.Buffer
	fmt.Fprintf(&out, "Audit of network %s\n\n", orDash(r.Network))
	writeSteps(&out, r)
	writeResumed(&out, r.Resumed)
	writeShards(&out, r.Shards)
	writeBatches(&out, r.Batches)
	writeMoney(&out, r.Money)
	writeAttestations(&out, r.Attestations)
	writeOffences(&out, r)
	writeVerdict(&out, r)
	_, err := w.Write(out.Bytes())
	return err
}

// table aligns columns that are separated by tabs.
func table(out *bytes.Buffer, write func(w io.Writer)) {
	tab := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	write(tab)
	_ = tab.Flush() // a buffer takes all
	out.WriteByte('\n')
}

func writeSteps(out *bytes.Buffer, r Report) {
	table(out, func(w io.Writer) {
		for _, step := range r.Steps {
			parts := make([]string, 0, len(step.Checked)+1)
			for _, c := range step.Checked {
				parts = append(parts, thousands(c.Number)+" "+c.Of)
			}
			if step.Why != "" {
				parts = append(parts, step.Why)
			}
			fmt.Fprintf(w, "  %s\t%s\t%s\n", step.Name, step.State, strings.Join(parts, ", "))
		}
	})
}

// resumedTitle stands over what an earlier run checked.
const resumedTitle = "Taken from an earlier run of this audit, over the same records:"

// lines say what an earlier run checked.
func (r *Resumed) lines() []string {
	var lines []string
	for _, s := range r.Shards {
		entries := thousands(int64(s.Entries))
		lines = append(lines, fmt.Sprintf("the signatures and decisions of the first %s entries of shard %d, head %s", entries, s.Shard, s.Head))
	}
	if r.Batches {
		lines = append(lines, "all batches, made again")
	}
	if r.Folded > 0 {
		lines = append(lines, fmt.Sprintf("tables folded out of %s entries", thousands(r.Folded)))
	}
	return lines
}

func writeResumed(out *bytes.Buffer, r *Resumed) {
	if r == nil {
		return
	}
	fmt.Fprintf(out, "  %s\n", resumedTitle)
	for _, line := range r.lines() {
		fmt.Fprintf(out, "    %s\n", line)
	}
	out.WriteByte('\n')
}

func writeShards(out *bytes.Buffer, shards []Shard) {
	if len(shards) == 0 {
		return
	}
	line := func(name, entries, facts, rejected, refused, void, pending, why string) {
		text := fmt.Sprintf("  %-7s  %13s  %13s  %10s  %8s  %8s  %8s  %s", name, entries, facts, rejected, refused, void, pending, why)
		out.WriteString(strings.TrimRight(text, " ") + "\n")
	}
	line("shard", "entries", "facts", "rejected", "refused", "void", "pending", "")
	for _, s := range shards {
		name := "control"
		if s.Shard != domain.Control {
			name = fmt.Sprint(s.Shard)
		}
		line(name, thousands(int64(s.Checked)), thousands(s.Facts), thousands(s.Rejections), thousands(s.Refusals),
			thousands(s.Void), thousands(s.Pending), s.Why)
	}
	out.WriteByte('\n')
}

func writeBatches(out *bytes.Buffer, batches []Batch) {
	if len(batches) == 0 {
		return
	}
	table(out, func(w io.Writer) {
		fmt.Fprintln(w, "  batch\tcut\troot from the log\troot on chain\tequal\ttotal, coins\tstate\ttransaction")
		for _, b := range batches {
			fmt.Fprintf(w, "  %d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", b.Number, cutText(b.Cut), short(b.LogRoot), short(b.ChainRoot),
				b.equalText(), b.TotalNano, b.State, short(b.Tx))
		}
	})
}

func (b Batch) equalText() string {
	switch {
	case b.Equal:
		return "yes"
	case b.LogRoot == "" || b.ChainRoot == "" && b.Root == b.LogRoot:
		return "-" // there are no two to compare
	default:
		return "NO"
	}
}

// cutText writes the first offsets of a cut: control's and a few more.
func cutText(cut []int64) string {
	const most = 6
	parts := make([]string, 0, most+1)
	for i, offset := range cut {
		if i == most {
			parts = append(parts, "…")
			break
		}
		parts = append(parts, strconv.FormatInt(offset, 10))
	}
	return strings.Join(parts, " ")
}

func writeMoney(out *bytes.Buffer, m *Money) {
	if m == nil {
		return
	}
	amounts := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	line := func(name string, amount domain.Nano) { fmt.Fprintf(amounts, "  %-34s\t%s\t\n", name, amount) }
	line("trial balance", m.TrialBalanceNano)
	line("clients hold", m.ClientsNano)
	line("providers hold", m.ProvidersNano)
	line("the network holds", m.NetworkNano)
	line("the vault has to hold", m.BooksNano)
	if v := m.Vault; v != nil {
		line("the vault holds", v.FreeNano)
		line("  of it came in and is not booked", v.PendingInNano)
		line("  went out and is not booked", v.PendingOutNano)
		line("  top-ups, less fees", v.SurplusNano)
		line("the vault paid, ever", v.PaidNano)
	}
	_ = amounts.Flush() // a buffer takes all
	out.WriteByte('\n')
}

func writeOffences(out *bytes.Buffer, r Report) {
	for _, o := range r.Offences {
		fmt.Fprintf(out, "  %s\n", o)
		if o.Field != "" {
			fmt.Fprintf(out, "      %s\n        is         %s\n", o.Field, clip(o.Have))
		}
		if o.Field != "" && o.Want != "" {
			fmt.Fprintf(out, "        has to be  %s\n", clip(o.Want))
		}
	}
	if len(r.Offences) == 0 {
		return
	}
	out.WriteByte('\n')
	table(out, func(w io.Writer) {
		for _, t := range r.Totals {
			fmt.Fprintf(w, "  %s\t%s\n", t.Kind, thousands(t.Total))
		}
	})
}

// writeVerdict ends a report with one sentence.
func writeVerdict(out *bytes.Buffer, r Report) {
	fmt.Fprintf(out, "Verdict: %s. %s\n", strings.ToUpper(string(r.Verdict)), verdictSentence(r))
}

// verdictSentence says what a verdict means, and what it leaves out.
func verdictSentence(r Report) string {
	var out strings.Builder
	switch r.Verdict {
	case Pass:
		out.WriteString("All that was looked at is as it has to be.")
	case Incomplete:
		out.WriteString("No offence was found, but not all could be looked at.")
	case Fail:
		var total int64
		for _, t := range r.Totals {
			total += t.Total
		}
		switch total {
		case 0: // attestations
		case 1:
			out.WriteString("There is one offence.")
		default:
			fmt.Fprintf(&out, "There are %s offences; begin with the first one.", thousands(total))
		}
		if n := r.unborne(); n > 0 {
			fmt.Fprintf(&out, " %s attestation results are not borne out by archived evidence.", thousands(n))
		}
		if r.Diverges != nil {
			out.WriteString(" " + r.Diverges.String())
		}
	}
	for _, some := range []struct {
		state StepState
		words string
	}{{StepStopped, "Not finished"}, {StepSkipped, "Not looked at"}} {
		var names []string
		for _, step := range r.Steps {
			if step.State == some.state {
				names = append(names, step.Name)
			}
		}
		if len(names) > 0 {
			fmt.Fprintf(&out, " %s: %s.", some.words, strings.Join(names, ", "))
		}
	}
	return strings.TrimSpace(out.String())
}

// String is one line: what it is, where it stands, and what is wrong with it.
func (o Offence) String() string {
	where := string(o.Log)
	switch {
	case o.File != "":
		where = fmt.Sprintf("%s, file %s, byte %d, record", o.Log, o.File, o.Byte)
		if o.At == nil {
			where = strings.TrimSuffix(where, ", record")
		}
	case o.Table != "":
		where = fmt.Sprintf("%s, %s, row %s", o.Log, o.Table, o.Row)
	}
	if o.At != nil {
		where += fmt.Sprintf(" %d/%d", o.At.Shard, o.At.Offset)
	}
	if o.Batch != 0 {
		where += fmt.Sprintf(", batch %d", o.Batch)
	}
	if o.LT != 0 {
		where += fmt.Sprintf(", logical time %d", o.LT)
	}
	return fmt.Sprintf("%s: %s: %s", o.Kind, where, o.Why)
}

func short(hash string) string {
	if hash == "" {
		return "-"
	}
	return hash[:min(len(hash), shortRoot)]
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// clip keeps a value on one line of a terminal.
func clip(s string) string {
	const most = 120
	if len(s) <= most {
		return orDash(s)
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// thousands writes a number in groups: "12 345".
func thousands(n int64) string {
	digits := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, digits = "-", digits[1:]
	}
	var groups []string
	for len(digits) > 3 {
		groups = append([]string{digits[len(digits)-3:]}, groups...)
		digits = digits[:len(digits)-3]
	}
	return sign + strings.Join(append([]string{digits}, groups...), " ")
}
