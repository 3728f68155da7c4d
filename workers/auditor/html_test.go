package auditor_test

import (
	"bytes"
	"flag"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/internal/browser"
	"github.com/filature/filature/internal/rig"
	v1 "github.com/filature/filature/schemas/filature/v1"
	"github.com/filature/filature/workers/auditor"
	"github.com/filature/filature/workers/verifier"
)

var shots = flag.String("shots", "", "folder for screenshots of the report")

func htmlOf(t *testing.T, r auditor.Report) []byte {
	t.Helper()
	var page bytes.Buffer
	err := auditor.WriteHTML(&page, r, auditor.Run{
		At: time.Date(2026, 11, 22, 21, 0, 0, 0, time.UTC), Took: 2300 * time.Millisecond,
		Command: "filature audit --data /var/lib/filature --html report.html", Program: "filature test",
		Transaction: "https://explorer.example/transaction/%s",
	})
	if err != nil {
		t.Fatal(err)
	}
	return page.Bytes()
}

// failed is an audit of a ledger in which somebody changed a posting.
func failed(t *testing.T) auditor.Report {
	t.Helper()
	w := lived(t, rig.Options{Seed: 2}, 40)
	ledger := copyOf(t, w.Ledger)
	at := entryWith(t, ledger, busy(ledger), hasFact((*v1.Fact).GetJobCompleted))
	ledger.edit(t, at, func(e *v1.Entry) { e.GetAnswer().Facts[0].Postings[2].AmountNano++ })
	cfg := config(w)
	cfg.Ledger = ledger
	return audit(t, cfg)
}

// otherwise is an audit of a ledger that the chain has otherwise, and of attestations that are not borne out. Verdict: fail.
func otherwise(t *testing.T) auditor.Report {
	t.Helper()
	w := lived(t, rig.Options{Seed: 3}, 40)
	cfg := config(w)
	chain := chainOf(t, w)
	chain.seen.Active.Commitment[0] ^= 1
	cfg.Chain = chain
	r := audit(t, cfg)
	if r.Diverges == nil || r.Diverges.Field != "commitment" {
		t.Fatalf("%+v", r.Diverges)
	}
	r.Attest(&verifier.AuditReport{
		Passed: 1204, Failed: 3, Agreed: 1205, Offences: 2, Missing: 1, Unsettled: 4,
		Policies: []verifier.PolicyCount{{Policy: domain.Digest{0xab, 1}, ID: "production-2026-11", Results: 1207}},
		First: []verifier.Offence{
			{Position: "0/417/1", Worker: domain.WorkerID{1}, Challenge: domain.Digest{2}, Says: "no result is archived for its challenge"},
			{Position: "0/902/1", Worker: domain.WorkerID{3}, Challenge: domain.Digest{4}, Says: "the archived result's tcb is 8, the evidence proves 7"},
		},
	})
	return r
}

// TestThePageShowsItsVerdictInABrowserAndAsksForNothing opens the report in Chromium: wide and narrow, light and dark.
func TestThePageShowsItsVerdictInABrowserAndAsksForNothing(t *testing.T) {
	passed := audit(t, config(lived(t, rig.Options{Seed: 1, DataShards: 4}, 40)))
	passed.Resumed = &auditor.Resumed{Shards: []auditor.ResumedShard{{Shard: 1, Entries: 40_960, Head: domain.Digest{1}}}, Batches: true, Folded: 1}
	b := browser.Open(t)
	for name, report := range map[string]auditor.Report{
		"pass": passed, "fail": failed(t), "incomplete": {Verdict: auditor.Incomplete}, "otherwise": otherwise(t),
	} {
		for _, width := range []int{1280, 390} {
			for _, scheme := range []string{"light", "dark"} {
				b.ShowHTML(htmlOf(t, report), browser.Screen{Width: width, Scheme: scheme})
				var seen struct {
					Text             string
					Left, Right, Top float64
					Overflow         bool
					Paper, Ink       string
				}
				b.Ask(`(() => {
					const v = document.getElementById("verdict"), r = v.getBoundingClientRect(), body = getComputedStyle(document.body);
					const hidden = !v.checkVisibility({opacityProperty: true, visibilityProperty: true});
					return {Text: hidden ? "" : v.innerText, Left: r.left, Right: r.right, Top: r.top,
						Overflow: document.documentElement.scrollWidth > innerWidth, Paper: body.backgroundColor, Ink: body.color};
				})()`, &seen)
				where := fmt.Sprintf("%s, %d wide, %s", name, width, scheme)
				if !strings.HasPrefix(strings.ToLower(seen.Text), string(report.Verdict)) || seen.Left < 0 || seen.Right > float64(width) || seen.Top > 300 {
					t.Errorf("%s: the verdict is not to be seen: %+v", where, seen)
				}
				if seen.Overflow {
					t.Errorf("%s: the page is wider than the screen", where)
				}
				if dark := seen.Paper == "rgb(17, 20, 24)"; dark != (scheme == "dark") {
					t.Errorf("%s: the paper is %s", where, seen.Paper)
				}
				if len(b.Console) > 0 {
					t.Errorf("%s: the console says %s", where, b.Console)
				}
				for _, url := range b.Requests {
					if !strings.HasPrefix(url, "file:///") && url != "data:," {
						t.Errorf("%s: the page asks for %s", where, url)
					}
				}
				if *shots != "" {
					if err := b.Shoot(filepath.Join(*shots, fmt.Sprintf("%s-%d-%s.png", name, width, scheme))); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
	}
	// A page that asks, or complains, is noticed.
	const asking = `<!doctype html><p id="verdict">pass</p><img src="http://192.0.2.1/x.png"><script>console.error("no")</script>`
	b.ShowHTML([]byte(asking), browser.Screen{Width: 1280, Scheme: "light"})
	if len(b.Requests) < 2 || len(b.Console) == 0 {
		t.Errorf("requests %s and console %s of a page that asks and complains", b.Requests, b.Console)
	}
}

func TestThePageShowsTheFirstOffenceByteByByte(t *testing.T) {
	r := failed(t)
	d := r.Decoded
	if d == nil || d.At != *r.Offences[0].At || len(d.Fields) < 10 {
		t.Fatalf("the record of the first offence: %+v", d)
	}
	var named []string
	for _, field := range d.Fields {
		if field.Differs {
			named = append(named, field.Path+" = "+field.Value)
		}
	}
	if len(named) != 1 || !strings.HasPrefix(named[0], "answer.facts[0].postings[2].amount_nano = ") {
		t.Errorf("the field that differs: %q, want answer.facts[0].postings[2].amount_nano", named)
	}
	page := string(htmlOf(t, r))
	for _, want := range []string{"changed_entry", "answer.facts[0].postings[2].amount_nano", "filature audit --data /var/lib/filature", "coins)"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}

func TestThePageSaysWhereTheChainPartsAndWhatEvidenceSays(t *testing.T) {
	r := otherwise(t)
	page := string(htmlOf(t, r))
	for _, want := range []string{
		"Batch " + fmt.Sprint(r.Diverges.Batch) + " is the first that the chain has otherwise", r.Diverges.OnChain, r.Diverges.FromLog,
		`id="attestations"`, "of 1 something is missing in the archive", "of 1 the evidence says something else", "production-2026-11: 1 207 results", "proves 7",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Contains(string(htmlOf(t, failed(t))), `id="attestations"`) {
		t.Error("nobody looked at attestations, and the page speaks of them")
	}
}

func TestThePageLinksTransactionsOnlyWhereTheyAreShown(t *testing.T) {
	r := audit(t, config(lived(t, rig.Options{Seed: 1}, 20)))
	if page := string(htmlOf(t, r)); !strings.Contains(page, `href="https://explorer.example/transaction/`+r.Batches[0].Tx) {
		t.Error("a batch's transaction has no link")
	}
	var page bytes.Buffer
	if err := auditor.WriteHTML(&page, r, auditor.Run{}); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(page.String(), "<a ") || !strings.Contains(page.String(), r.Batches[0].Tx) {
		t.Error("on a chain that nobody shows there is a link, or no transaction")
	}
}

// Whoever signs a report chooses some of the words in it.
func TestNothingThatWasSaidBecomesPartOfThePage(t *testing.T) {
	evil := `</pre><script>alert(1)</script>`
	r := auditor.Report{Verdict: auditor.Fail, Offences: []auditor.Offence{{Kind: auditor.ChangedEntry, Field: evil, Have: evil, Stored: evil, Why: evil}}}
	if page := string(htmlOf(t, r)); strings.Contains(page, "<script") {
		t.Error("words became a script")
	}
}
