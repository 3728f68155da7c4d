package main

import (
	"encoding/csv"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/filature/filature/projections"
)

// traceFile is a small trace, or the one that FILATURE_TRACE names: make trace runs a whole one.
func traceFile() string {
	if file := os.Getenv("FILATURE_TRACE"); file != "" {
		return file
	}
	return filepath.Join("testdata", "trace.csv")
}

func TestATraceIsOneJobARowAndNoTokenMore(t *testing.T) {
	t.Parallel()
	file, err := os.Open(traceFile())
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	rows, err := csv.NewReader(file).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var want projections.Tokens
	for _, row := range rows[1:] {
		prompt, errPrompt := strconv.ParseInt(row[1], 10, 64)
		completion, errCompletion := strconv.ParseInt(row[2], 10, 64)
		if errPrompt != nil || errCompletion != nil {
			t.Fatal(errPrompt, errCompletion)
		}
		want.Prompt += prompt
		want.Completion += completion
	}

	result := sharedTrace.ended(t)
	checkBooks(t, result)
	var completed, other int64
	for _, p := range result.Providers {
		completed += p.Completed
		other += p.Failed + p.Cancelled + p.Expired
	}
	if jobs := len(rows) - 1; result.Jobs != jobs || completed != int64(jobs) || other != 0 {
		t.Errorf("%d rows: %d jobs, %d completed, %d ended otherwise", jobs, result.Jobs, completed, other)
	}
	if result.Tokens != want {
		t.Errorf("tokens %+v, the columns sum to %+v", result.Tokens, want)
	}
	t.Logf("%d jobs, %d prompt and %d completion tokens, streamed in %s, all in %s", result.Jobs, want.Prompt, want.Completion, result.Streaming, result.Took)
}

func TestATraceThatIsNoneIsRefusedByItsLine(t *testing.T) {
	t.Parallel()
	const head = "TIMESTAMP,ContextTokens,GeneratedTokens\n"
	for text, says := range map[string]string{
		"":                       "first row",
		head:                     "no rows but the first",
		head + "t,1,2\nt,-1,2\n": `line 3, ContextTokens: "-1"`,
		head + "t,1,2.5\n":       `line 2, GeneratedTokens: "2.5"`,
		head + "t,1\n":           "line 2",
		head + "t,1,99999999999": `line 2, GeneratedTokens: "99999999999"`,
		"TIMESTAMP,GeneratedTokens,ContextTokens\nt,1,2\n": "column 2",
	} {
		if _, err := readTrace(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want it to say %q", text, err, says)
		}
	}
}
