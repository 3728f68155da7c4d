package documents

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"strings"
	"time"

	queryv1 "github.com/filature/filature/schemas/filature/query/v1"
)

//go:embed pages/*.html
var pageFiles embed.FS

//go:embed pages/print.css
var style string

// StylePolicy is the Content-Security-Policy of a document's page: its one style sheet, which is inside it so that the file
// can be kept and sent, and nothing else.
var StylePolicy = func() string {
	sum := sha256.Sum256([]byte(style))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}()

var pages = template.Must(template.New("").Funcs(template.FuncMap{
	"style":  func() template.CSS { return template.CSS(style) }, //nolint:gosec // a file of ours
	"month":  monthWords,
	"time":   func(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02 15:04:05 UTC") },
	"day":    day,
	"number": group,
	"fiat":   func(a *queryv1.Amount) string { return commas(a.GetFiat()) },
	"money":  money,
	// address of a provider, to which it is paid; account is what a kind of account is called on paper.
	"address": address,
	"account": func(kind string) string {
		called, err := chartOf(kind)
		if err != nil {
			return ""
		}
		return called.name
	},
	"jobs":   func(e *queryv1.Ends) int64 { return e.Completed + e.Failed + e.Cancelled + e.Expired },
	"unpaid": func(e *queryv1.Ends) int64 { return e.Failed + e.Cancelled + e.Expired },
	"short":  func(id string) string { return id[:min(len(id), 16)] },
	"short8": func(id string) string { return id[:min(len(id), 8)] },
	"table":  func(h *queryv1.Heading, v any) cells { return cells{h, v} },
	"figure": func(h *queryv1.Heading, words string, a *queryv1.Amount) cells { return cells{h, figure{words, a}} },
	// lastDay is the last day of a span.
	"lastDay": func(toMs int64) string { return day(toMs - 1) },
	// multiplier shows ten-thousandths.
	"multiplier": func(m uint32) string { return fmt.Sprintf("%d.%04d", m/10_000, m%10_000) },
	"takenBack":  func(w *queryv1.WorkerLine) *queryv1.Amount { return sum(w.Refunded, w.Slashed) },
}).ParseFS(pageFiles, "pages/*.html"))

// cells are what a part of a page is given: the heading says whether amounts are in a currency, too.
type cells struct {
	H *queryv1.Heading
	V any
}

// figure is a number with its words.
type figure struct {
	Words  string
	Amount *queryv1.Amount
}

func writeHTML(to io.Writer, document Document) error {
	name := ""
	switch document.(type) {
	case *queryv1.Statement:
		name = "statement.html"
	case *queryv1.Invoice:
		name = "invoice.html"
	case *queryv1.TrialBalance:
		name = "trial.html"
	}
	var page bytes.Buffer // a template that fails must not leave half a page
	if err := pages.ExecuteTemplate(&page, name, document); err != nil {
		return fmt.Errorf("write as HTML: %w", err)
	}
	_, err := to.Write(page.Bytes())
	return err
}

// monthWords turns 2026-11 into November 2026.
func monthWords(month string) string {
	at, err := time.Parse(monthLayout, month)
	if err != nil {
		return month
	}
	return at.Format("January 2006")
}

// group puts commas into a number.
func group(n int64) string { return commas(fmt.Sprint(n)) }

// commas groups the digits before a point by three.
func commas(number string) string {
	sign := ""
	if strings.HasPrefix(number, "-") {
		sign, number = "−", number[1:]
	}
	whole, fraction, point := strings.Cut(number, ".")
	var out strings.Builder
	for i, digit := range whole {
		if i > 0 && (len(whole)-i)%3 == 0 {
			out.WriteByte(',')
		}
		out.WriteRune(digit)
	}
	if point {
		out.WriteString("." + fraction)
	}
	return sign + out.String()
}

// money shows an amount of coins exactly. The zeros at its end are grey, so that the eye finds the digits that say something.
func money(a *queryv1.Amount) template.HTML {
	digits := commas(a.GetCoins())
	told := strings.TrimSuffix(strings.TrimRight(digits, "0"), ".")
	if a.GetNano() == 0 {
		told = ""
	}
	return template.HTML(told + `<span class="z">` + digits[len(told):] + "</span>") //nolint:gosec // digits of our own
}
