package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/mattn/go-isatty"
)

// console is where a command reads and writes. Results go to out, all else to err, so that out can be
// piped.
type console struct {
	in       io.Reader
	out, err io.Writer
	live     bool // err is a terminal: progress may be drawn over
	drawn    int  // width of the progress line that stands there now
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}

// progressf shows how far a long job is. On a terminal each call takes the place of the last one;
// elsewhere it says nothing, and stepf does.
func (c *console) progressf(format string, args ...any) {
	if !c.live {
		return
	}
	line := fmt.Sprintf(format, args...)
	width := utf8.RuneCountInString(line)
	fmt.Fprintf(c.err, "\r%s%s", line, strings.Repeat(" ", max(0, c.drawn-width)))
	c.drawn = width
}

// stepf says that something is done, and stays.
func (c *console) stepf(format string, args ...any) {
	if c.drawn > 0 {
		fmt.Fprintf(c.err, "\r%s\r", strings.Repeat(" ", c.drawn))
		c.drawn = 0
	}
	fmt.Fprintf(c.err, format+"\n", args...)
}

// json writes a result for programs.
func (c *console) json(v any) error {
	encoder := json.NewEncoder(c.out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(v)
}

// table writes rows in columns: the first to the left, the others to the right, as figures are read.
func (c *console) table(head []string, rows [][]string, foot []string) {
	all := append([][]string{head}, rows...)
	if foot != nil {
		all = append(all, foot)
	}
	width := make([]int, len(head))
	for _, row := range all {
		for i, cell := range row {
			width[i] = max(width[i], utf8.RuneCountInString(cell))
		}
	}
	rule := func() {
		for _, w := range width {
			fmt.Fprintf(c.out, "  %s", strings.Repeat("─", w))
		}
		fmt.Fprintln(c.out)
	}
	line := func(row []string) {
		for i, cell := range row {
			pad := strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell))
			if i == 0 {
				fmt.Fprintf(c.out, "  %s%s", cell, pad)
			} else {
				fmt.Fprintf(c.out, "  %s%s", pad, cell)
			}
		}
		fmt.Fprintln(c.out)
	}
	line(head)
	rule()
	for _, row := range rows {
		line(row)
	}
	if foot != nil {
		rule()
		line(foot)
	}
}

// count writes a number with thin groups: 1 234 567.
func count[N ~int | ~int64 | ~uint64 | ~uint32](n N) string {
	digits := fmt.Sprint(int64(n))
	sign := ""
	if digits[0] == '-' {
		sign, digits = "-", digits[1:]
	}
	var groups []string
	for len(digits) > 3 {
		groups = append([]string{digits[len(digits)-3:]}, groups...)
		digits = digits[:len(digits)-3]
	}
	return sign + strings.Join(append([]string{digits}, groups...), " ")
}

// auditing shows how far an audit is.
func (c *console) auditing(done, total int64, what string) {
	c.progressf("auditing: %s, %s of %s", what, count(done), count(total))
}

// counted writes how many there are of something: 1 report, 2 reports.
func counted[N ~int | ~int64 | ~uint64 | ~uint32](n N, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return count(n) + " " + one + "s"
}
