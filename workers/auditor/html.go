package auditor

import (
	_ "embed" // the page
	"fmt"
	"html/template"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/filature/filature/domain"
)

// Run is how an audit was made. A report of the same logs is the same whoever makes it; this is not.
type Run struct {
	At   time.Time
	Took time.Duration
	// Command makes the audit again.
	Command string
	// Program says which program it was.
	Program string
	// Transaction is a link to a transaction of the chain, with %s for its hash in hexadecimal; empty where nobody shows
	// them, as on a local chain.
	Transaction string
}

//go:embed report.html.tmpl
var pageSource string

var page = template.Must(template.New("report").Funcs(template.FuncMap{
	"thousands": thousands, "attestations": attestationSentence, "minus": func(a, b int64) int64 { return a - b },
	"short": short, "coins": domain.Nano.String, "clip": clip,
	"counts": func(step Step) string {
		parts := make([]string, len(step.Checked))
		for i, c := range step.Checked {
			parts[i] = thousands(c.Number) + " " + c.Of
		}
		return strings.Join(parts, ", ")
	},
	"resumed": func(r *Resumed) []string { return append([]string{resumedTitle}, r.lines()...) },
	"offset":  func(o domain.Offset) string { return thousands(int64(o)) },
	"stepIs":  func(name string) string { return stepIs[name] },
	"ms":      func(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02 15:04:05.000 UTC") },
	"minutes": func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") },
	"shard": func(s domain.Shard) string {
		if s == domain.Control {
			return "control"
		}
		return strconv.Itoa(int(s))
	},
}).Parse(pageSource))

// stepIs says in a few words what a step does.
var stepIs = map[string]string{
	"files":       "every byte of every segment read",
	"ledger":      "every signature checked, every entry decided again and compared byte for byte",
	"checkpoints": "the tree of every shard made again and compared with each head that was signed",
	"batches":     "every batch made again from the ledger below its cut",
	"chain":       "the vault's history compared with the books, both ways, and its roots with the batches",
	"projections": "every table folded again and compared row by row",
	"money":       "all accounts added up and compared with what the vault holds",
	"recount":     "the books counted a second time, from the documents alone",
}

// sheet is what the page shows.
type sheet struct {
	Report
	Run
	First    *Offence
	Rest     []Offence
	Sentence string
}

// WriteHTML writes a report as one page that needs nothing else: no script, no font, no request. An error is the writer's.
func WriteHTML(w io.Writer, r Report, run Run) error {
	s := sheet{Report: r, Run: run, Sentence: verdictSentence(r)}
	if len(r.Offences) > 0 {
		s.First, s.Rest = &r.Offences[0], r.Offences[1:]
	}
	return page.Execute(w, s)
}

// Duration is how long the audit took.
func (r Run) Duration() string { return r.Took.Round(100 * time.Millisecond).String() }

// Link is where a transaction is shown; empty where nobody shows it.
func (r Run) Link(tx string) string {
	if r.Transaction == "" || tx == "" {
		return ""
	}
	return fmt.Sprintf(r.Transaction, tx)
}

// Same says whether the roots of a batch are the same: "yes", "NO", or "-" where there are no two to compare.
func (b Batch) Same() string { return b.equalText() }
