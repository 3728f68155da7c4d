package rig_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/filature/filature/projections"
	"github.com/filature/filature/projections/projectionstest"
)

// pageQuestion is what a page asks: a method, and its request in JSON, in which names stand for somebody or for a time.
type pageQuestion struct {
	method, request string // JobService/GetJob, {"job":"{job}"}
}

// pageQuestions are what each page of the dashboard asks until it shows itself. A browser has noted it:
// TestTheDashboardShowsWhatTheAPISays of cmd/filature writes the file, and fails when a page asks something else.
func pageQuestions(t testing.TB) map[string][]pageQuestion {
	t.Helper()
	text, err := os.ReadFile("../../adapters/dashboard/testdata/questions.txt")
	if err != nil {
		t.Fatal(err)
	}
	pages, page := map[string][]pageQuestion{}, ""
	for line := range strings.Lines(string(text)) {
		question, ofThePage := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "\t")
		if !ofThePage {
			page = question
			continue
		}
		method, request, _ := strings.Cut(question, " ")
		pages[page] = append(pages[page], pageQuestion{method, request})
	}
	return pages
}

// timeName is when an hour or a day began: the one under way at the end of the books, less so many.
var timeName = regexp.MustCompile(`\{(hour|day)-(\d{1,5})\}`)

// about is the request with somebody of a large network in the place of names. His batch is that of the hour of his job.
func (q pageQuestion) about(big projectionstest.Big, of projectionstest.Someone) string {
	id := func(of [32]byte) string { return fmt.Sprintf("%x", of) }
	request := strings.NewReplacer(
		"{job}", id(of.Job), "{provider}", id(of.Provider), "{worker}", id(of.Worker), "{model}", id(of.Model), "{client}", id(of.Client),
		"{batch}", strconv.FormatInt(1+(of.AtMs-projectionstest.StartMs)/projections.HourMs, 10),
	).Replace(q.request)
	lastMs := big.EndMs() - 1
	return timeName.ReplaceAllStringFunc(request, func(name string) string {
		parts := timeName.FindStringSubmatch(name)
		width := map[string]int64{"hour": projections.HourMs, "day": projections.DayMs}[parts[1]]
		ago, err := strconv.ParseInt(parts[2], 10, 64)
		if err != nil {
			panic(err) // they are five digits at most
		}
		return strconv.FormatInt(lastMs-lastMs%width-ago*width, 10)
	})
}

// askAtOnce asks all that a page asks, side by side. The page itself asks some of it only when it has an answer to what went before, so
// this is the harder case.
func (l *library) askAtOnce(ctx context.Context, questions []pageQuestion, big projectionstest.Big, of projectionstest.Someone) error {
	together, ctx := errgroup.WithContext(ctx)
	for _, q := range questions {
		together.Go(func() error { return l.askAsPage(ctx, q.method, q.about(big, of)) })
	}
	return together.Wait()
}

// askAsPage asks as a page does, and reads the answer. What is not found is no error: a page shows that in its place.
func (l *library) askAsPage(ctx context.Context, method, request string) error {
	asked, err := http.NewRequestWithContext(ctx, http.MethodPost, l.url+"/filature.query.v1."+method, strings.NewReader(request))
	if err != nil {
		return err
	}
	asked.Header.Set("Content-Type", "application/json")
	answer, err := l.http.Do(asked)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(answer.Body)
	if err := errors.Join(err, answer.Body.Close()); err != nil {
		return fmt.Errorf("%s %s: %w", method, request, err)
	}
	var problem struct {
		Code string `json:"code"`
	}
	if answer.StatusCode != http.StatusOK && (json.Unmarshal(body, &problem) != nil || problem.Code != connect.CodeNotFound.String()) {
		return fmt.Errorf("%s %s: %s: %s", method, request, answer.Status, body)
	}
	return nil
}

// TestWhatPagesAskCanBeAskedOfALargeNetwork fills in who pages ask about, and each is a question of the API: a benchmark that
// nobody runs every day asks them.
func TestWhatPagesAskCanBeAskedOfALargeNetwork(t *testing.T) {
	t.Parallel()
	big := projectionstest.Big{Jobs: benchJobs, Seed: 47}
	someone := big.Someone(rand.New(rand.NewPCG(1, 2)))
	pages := pageQuestions(t)
	if len(pages) == 0 {
		t.Error("no page asks anything")
	}
	for page, questions := range pages {
		if len(questions) == 0 {
			t.Errorf("page %q asks nothing", page)
		}
		for _, q := range questions {
			name := protoreflect.FullName("filature.query.v1." + strings.ReplaceAll(q.method, "/", "."))
			descriptor, err := protoregistry.GlobalFiles.FindDescriptorByName(name)
			if err != nil {
				t.Errorf("page %q asks %s: %v", page, q.method, err)
				continue
			}
			method, is := descriptor.(protoreflect.MethodDescriptor)
			if !is {
				t.Errorf("page %q asks %s, which is a %T", page, q.method, descriptor)
				continue
			}
			request := q.about(big, someone)
			if strings.Contains(request, `"{`) {
				t.Errorf("page %q: %s: nobody has a name of %s", page, q.method, request)
			}
			if err := protojson.Unmarshal([]byte(request), dynamicpb.NewMessage(method.Input())); err != nil {
				t.Errorf("page %q: %s with %s: %v", page, q.method, request, err)
			}
		}
	}
}
