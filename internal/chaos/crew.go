package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// restartAfter is what systemd waits by default, ten times over: a process that ends by itself at each start should
	// not take the machine.
	restartAfter = time.Second
	// readyLimit is how long processes may take to be ready: the rest that work takes after a failure goes up to
	// 15 s, and JVMs may take the machine meanwhile.
	readyLimit = time.Minute
	// endLimit is how long a process may take to end when it is told to: its own grace is ten seconds.
	endLimit = 20 * time.Second
	lookAt   = 50 * time.Millisecond
)

// crew keeps processes running, as systemd would, and hears from their logs who does what.
type crew struct {
	program, dir string
	env          []string
	keepers      sync.WaitGroup
	stop         chan struct{} // closed: nobody is started any more

	mu      sync.Mutex
	posts   []*post
	holders map[string]*process // by work: who took it on last
	// claimants are, by work, all who live, took it on and have not left it. A zombie is one until it learns that
	// it was replaced.
	claimants map[string]map[*process]string
	figures   crewFigures
}

// sum returns the figures so far.
func (c *crew) sum() crewFigures {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.figures
}

// crewFigures count what happened to processes.
type crewFigures struct {
	Starts, Kills int
	Moves         int      // works that went from one process to another
	Failures      int      // works that stopped, and were taken up again by the same process
	Fell          []string // processes that ended though nobody had told them to
	Misbehaved    []string // processes that did not end as they were told to
}

// post is a place that one process at a time fills. The crew's lock guards it.
type post struct {
	name    string
	args    []string
	listen  string // where it serves HTTP; port 0: at a port of its choice
	process *process
	address string // where it serves; empty if it does not
	last    string // the last line that it wrote
	order   order
	resume  chan struct{} // after kill: closed when somebody may be started again
}

// order is what a post was told last.
type order int

const (
	toRun    order = iota
	toDie          // kill -9
	toReturn       // end, and be started again at once
	toEnd
)

func newCrew(program, dir string, env []string) *crew {
	return &crew{program: program, dir: dir, env: env, stop: make(chan struct{}), holders: map[string]*process{}, claimants: map[string]map[*process]string{}}
}

// hire makes a post and fills it from now on.
func (c *crew) hire(ctx context.Context, name, listen string, args ...string) (*post, error) {
	output, err := os.OpenFile(filepath.Join(c.dir, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	p := &post{name: name, args: args, listen: listen}
	c.mu.Lock()
	c.posts = append(c.posts, p)
	c.mu.Unlock()
	c.keepers.Go(func() {
		defer output.Close()
		for c.fill(ctx, p, output) {
		}
	})
	return p, nil
}

// fill runs one process on a post, and tells whether there is to be another.
func (c *crew) fill(ctx context.Context, p *post, output *os.File) (again bool) {
	c.mu.Lock()
	if p.order == toEnd {
		c.mu.Unlock()
		return false
	}
	own, err := begin(ctx, output, func(line []byte) { c.hear(p, line) }, append(slices.Clone(c.env), "FILATURE_HTTP_LISTEN="+p.listen), c.program, p.args...)
	if err != nil {
		c.figures.Fell = append(c.figures.Fell, fmt.Sprintf("%s: %v", p.name, err))
		c.mu.Unlock()
		return false
	}
	c.figures.Starts++
	p.process, p.order = own, toRun
	c.mu.Unlock()
	<-own.ended
	c.mu.Lock()
	p.process, p.address = nil, ""
	for _, claimed := range c.claimants {
		delete(claimed, own)
	}
	told, resume := p.order, p.resume
	if (told == toReturn || told == toEnd) && own.err != nil {
		c.figures.Misbehaved = append(c.figures.Misbehaved, fmt.Sprintf("%s, told to end: %v: %s", p.name, own.err, p.last))
	}
	if told == toRun {
		c.figures.Fell = append(c.figures.Fell, fmt.Sprintf("%s: %v: %s", p.name, own.err, p.last))
	}
	c.mu.Unlock()
	switch told {
	case toEnd:
		return false
	case toDie:
		select {
		case <-resume:
		case <-c.stop:
		}
	case toRun:
		select {
		case <-time.After(restartAfter):
		case <-c.stop:
		}
	case toReturn:
	}
	select {
	case <-c.stop:
		return false
	default:
		return true
	}
}

// everybodys is work that each process of a role does for itself: nobody takes it on from another.
var everybodys = []string{"challenges", "answers"}

// hear reads a line of a process's log.
func (c *crew) hear(p *post, text []byte) {
	var line struct {
		Msg     string `json:"msg"`
		Address string `json:"address"`
		Work    string `json:"work"`
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	p.last = string(text)
	if json.Unmarshal(text, &line) != nil {
		return // an error that ends the program is a plain line
	}
	if slices.Contains(everybodys, line.Work) {
		return
	}
	switch line.Msg {
	case "serving":
		p.address = line.Address
	case "work taken on":
		if before := c.holders[line.Work]; before != nil && before != p.process {
			c.figures.Moves++
		}
		c.holders[line.Work] = p.process
		if c.claimants[line.Work] == nil {
			c.claimants[line.Work] = map[*process]string{}
		}
		c.claimants[line.Work][p.process] = p.name
	case "work left":
		delete(c.claimants[line.Work], p.process)
	case "work stopped, and is taken up again":
		c.figures.Failures++
	}
}

// holding returns what a process has taken on, and nobody after it.
func (c *crew) holding(own *process) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var works []string
	for work, holder := range c.holders {
		if holder == own && own != nil {
			works = append(works, work)
		}
	}
	slices.Sort(works)
	return works
}

// doing returns the posts that live and have some work whose name begins so, in the order of their hiring.
func (c *crew) doing(work string) []*post {
	c.mu.Lock()
	defer c.mu.Unlock()
	var some []*post
	for _, p := range c.posts {
		for name, holder := range c.holders {
			if strings.HasPrefix(name, work) && holder == p.process && p.process != nil && p.order == toRun {
				some = append(some, p)
				break
			}
		}
	}
	return some
}

// wrote tells whether the last line of a post's process begins so.
func (c *crew) wrote(p *post, line string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.HasPrefix(p.last, line)
}

// named returns the living posts whose names begin so.
func (c *crew) named(name string) []*post {
	c.mu.Lock()
	defer c.mu.Unlock()
	var some []*post
	for _, p := range c.posts {
		if strings.HasPrefix(p.name, name) && p.process != nil && p.order == toRun {
			some = append(some, p)
		}
	}
	return some
}

// tell gives an order to the process of a post and returns it; nil where there is none just now.
func (c *crew) tell(p *post, o order, signal os.Signal) *process {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p.process == nil {
		if o == toEnd {
			p.order = o
		}
		return nil
	}
	p.order = o
	if o == toDie {
		c.figures.Kills++
		p.resume = make(chan struct{})
	}
	p.process.signal(signal)
	return p.process
}

// kill kills the process of a post. Nobody is started there before revive.
func (c *crew) kill(p *post) *process { return c.tell(p, toDie, syscall.SIGKILL) }

// revive lets a post be filled again, once after each kill that hit somebody.
func (c *crew) revive(p *post) {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(p.resume)
}

// freeze stops the process of a post in the middle of whatever it does.
func (c *crew) freeze(p *post) *process { return c.tell(p, toRun, syscall.SIGSTOP) }

// dismiss tells posts to end, and waits until they have.
func (c *crew) dismiss(posts ...*post) error {
	var ending []*process
	for _, p := range posts {
		ending = append(ending, c.tell(p, toEnd, syscall.SIGTERM))
	}
	return awaitEnd(ending)
}

// awaitEnd waits for processes that were told to end. nil is one that was not there.
func awaitEnd(ending []*process) error {
	limit := time.After(endLimit)
	for _, own := range ending {
		if own == nil {
			continue
		}
		select {
		case <-own.ended:
		case <-limit:
			return fmt.Errorf("%s, told to end, went on for %s", strings.Join(own.command.Args, " "), endLimit)
		}
	}
	return nil
}

// retire gives up posts of a name.
func (c *crew) retire(name string) error {
	c.mu.Lock()
	var going []*post
	c.posts = slices.DeleteFunc(c.posts, func(p *post) bool {
		if p.name == name {
			going = append(going, p)
		}
		return p.name == name
	})
	c.mu.Unlock()
	return c.dismiss(going...)
}

// close ends whatever still lives, at once, and waits for it.
func (c *crew) close() {
	close(c.stop)
	c.mu.Lock()
	for _, p := range c.posts {
		p.order = toEnd
		if p.process != nil {
			_ = syscall.Kill(-p.process.command.Process.Pid, syscall.SIGKILL) // it may have ended just now
		}
	}
	c.mu.Unlock()
	c.keepers.Wait()
}

// awaitReady waits until each post has a process that says that it is ready, and no work is done by two.
func (c *crew) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyLimit)
	defer cancel()
	for {
		var waiting []string
		c.mu.Lock()
		posts := slices.Clone(c.posts)
		c.mu.Unlock()
		for _, p := range posts {
			if why := c.isReady(ctx, p); why != "" {
				waiting = append(waiting, p.name+": "+why)
			}
		}
		waiting = append(waiting, c.doubled()...)
		if len(waiting) == 0 {
			return nil
		}
		select {
		case <-time.After(lookAt):
		case <-ctx.Done():
			return fmt.Errorf("not ready after %s: %s", readyLimit, strings.Join(waiting, "; "))
		}
	}
}

// doubled names the works that more than one process has.
func (c *crew) doubled() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var works []string
	for work, claimed := range c.claimants {
		if len(claimed) > 1 {
			works = append(works, fmt.Sprintf("%s: is done by %v", work, slices.Sorted(maps.Values(claimed))))
		}
	}
	return works
}

// isReady says why a post is not ready; nothing if it is, or is not meant to be.
func (c *crew) isReady(ctx context.Context, p *post) string {
	c.mu.Lock()
	address, told := p.address, p.order
	c.mu.Unlock()
	if p.listen == "" || told == toEnd {
		return ""
	}
	if address == "" {
		return "serves nothing yet"
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/readyz", nil)
	if err != nil {
		return err.Error()
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err.Error()
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return response.Status
	}
	return ""
}
