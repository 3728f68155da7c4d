package main

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"strconv"

	v1 "github.com/filature/filature/schemas/filature/v1"
)

// fate is how a job goes.
type fate int

const (
	completes fate = iota
	fails
	isCancelled
	isAbandoned // by its worker; it expires
	isDisputed  // completes, and its client disputes it
	isLiedAbout // its worker first claims what it may not, then what is true
)

// jobPlan is one job before it has happened.
type jobPlan struct {
	usage *v1.Usage
	fate  fate
}

// drawJobs draws jobs as conversations have them: a prompt of some hundred tokens, part of it cached, an
// answer of some hundred more, part of it reasoning.
func drawJobs(r *rand.Rand, n int) []jobPlan {
	plan := make([]jobPlan, n)
	for i := range plan {
		prompt := 20 + int64(r.ExpFloat64()*900)
		completion := 5 + int64(r.ExpFloat64()*220)
		plan[i].usage = &v1.Usage{
			PromptTokens: prompt, CachedTokens: r.Int64N(prompt + 1),
			CompletionTokens: completion, ReasoningTokens: r.Int64N(completion + 1),
		}
		switch lot := r.IntN(1000); {
		case lot < 15:
			plan[i].fate = fails
		case lot < 20:
			plan[i].fate = isCancelled
		case lot < 25:
			plan[i].fate = isAbandoned
		case lot < 35:
			plan[i].fate = isDisputed
		case lot < 45:
			plan[i].fate = isLiedAbout
		}
	}
	return plan
}

// traceHead is the first row of a trace: the Azure LLM inference trace's form.
var traceHead = []string{"TIMESTAMP", "ContextTokens", "GeneratedTokens"}

// readTrace reads a trace, one completed job a row, in the order of the rows. Times are not kept: the demo
// runs as fast as it can.
func readTrace(r io.Reader) ([]jobPlan, error) {
	rows := csv.NewReader(r)
	rows.FieldsPerRecord = len(traceHead)
	rows.ReuseRecord = true
	head, err := rows.Read()
	if err != nil {
		return nil, fmt.Errorf("first row: %w", err)
	}
	for i, name := range traceHead {
		if head[i] != name {
			return nil, fmt.Errorf("first row, column %d: is %q, want %q", i+1, head[i], name)
		}
	}
	var plan []jobPlan
	for {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		line, _ := rows.FieldPos(0)
		prompt, err := tokens(row[1])
		if err != nil {
			return nil, fmt.Errorf("line %d, ContextTokens: %w", line, err)
		}
		completion, err := tokens(row[2])
		if err != nil {
			return nil, fmt.Errorf("line %d, GeneratedTokens: %w", line, err)
		}
		plan = append(plan, jobPlan{usage: &v1.Usage{PromptTokens: prompt, CompletionTokens: completion}})
	}
	if len(plan) == 0 {
		return nil, errors.New("no rows but the first")
	}
	return plan, nil
}

func tokens(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || n > math.MaxInt32 {
		return 0, fmt.Errorf("%q: want a whole number of tokens", s)
	}
	return n, nil
}
