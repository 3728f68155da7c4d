package main

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/filature/filature/internal/workload"
)

// takesOn is a program that says what it has taken on, as filature does, and then lives until it is told to end.
const takesOn = `#!/bin/sh
trap 'exit 0' TERM
echo "{\"msg\":\"work taken on\",\"work\":\"$1\"}"
while :; do sleep 0.05; done
`

func newTestCrew(t *testing.T, script string) *crew {
	t.Helper()
	program := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(program, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	c := newCrew(program, t.TempDir(), os.Environ())
	t.Cleanup(c.close)
	return c
}

func hire(t *testing.T, c *crew, name string, args ...string) *post {
	t.Helper()
	p, err := c.hire(t.Context(), name, "", args...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for !holds() {
		if workload.Pause(ctx, time.Millisecond) != nil {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

func TestWorkIsOneProcesssUnlessItIsEverybodys(t *testing.T) {
	c := newTestCrew(t, takesOn)
	for _, name := range []string{"gateway-1", "gateway-2"} {
		p := hire(t, c, name, "challenges")
		await(t, "it has said what it does", func() bool {
			c.mu.Lock()
			defer c.mu.Unlock()
			return strings.Contains(p.last, "challenges")
		})
	}
	if doubled := c.doubled(); len(doubled) != 0 {
		t.Errorf("done by two: %v", doubled)
	}
	hire(t, c, "clerk-1", "clerk of shard 1")
	hire(t, c, "clerk-2", "clerk of shard 1")
	await(t, "two have it", func() bool { return len(c.doubled()) == 1 })
}

func TestWhatWasKilledIsStartedAgainWhenItMayBe(t *testing.T) {
	c := newTestCrew(t, takesOn)
	p := hire(t, c, "clerk-1", "clerk of shard 1")
	await(t, "it has work", func() bool { return len(c.doing("clerk")) == 1 })
	victim := c.kill(p)
	<-victim.ended
	if works := c.holding(victim); !slices.Equal(works, []string{"clerk of shard 1"}) {
		t.Errorf("it had %v", works)
	}
	if _, missing := c.takers([]string{"clerk of shard 1"}, victim); len(missing) != 1 {
		t.Error("somebody has the work of a process that was killed and not started again")
	}
	c.revive(p)
	await(t, "the next one has the work", func() bool {
		by, missing := c.takers([]string{"clerk of shard 1"}, victim)
		return len(missing) == 0 && slices.Equal(by, []string{"clerk-1"})
	})
	if f := c.sum(); f.Starts != 2 || f.Kills != 1 || f.Moves != 1 || len(f.Fell)+len(f.Misbehaved) != 0 {
		t.Errorf("figures are %+v", f)
	}
}

func TestTheWorkOfAZombieIsWhoTookItOnLast(t *testing.T) {
	c := newTestCrew(t, takesOn)
	zombie := hire(t, c, "clerk-1", "clerk of shard 1")
	await(t, "it has work", func() bool { return len(c.doing("clerk")) == 1 })
	own := c.freeze(zombie)
	hire(t, c, "clerk-2", "clerk of shard 1")
	await(t, "another one has the work", func() bool {
		_, missing := c.takers([]string{"clerk of shard 1"}, own)
		return len(missing) == 0
	})
	if doubled := c.doubled(); !slices.Equal(doubled, []string{"clerk of shard 1: is done by [clerk-1 clerk-2]"}) {
		t.Errorf("doubled is %q", doubled)
	}
	if doing := c.doing("clerk"); len(doing) != 1 || doing[0].name != "clerk-2" {
		t.Errorf("%d posts do the work", len(doing))
	}
}

func TestWhoEndsByItselfIsNoticed(t *testing.T) {
	c := newTestCrew(t, "#!/bin/sh\necho 'no such topic'\nexit 3\n")
	hire(t, c, "gateway-1")
	await(t, "it fell", func() bool { return len(c.sum().Fell) > 0 })
	if fell := c.sum().Fell[0]; !strings.Contains(fell, "gateway-1: exit status 3: no such topic") {
		t.Errorf("it says %q", fell)
	}
}

func TestWhoIsToldToEndMustEndWell(t *testing.T) {
	c := newTestCrew(t, "#!/bin/sh\ntrap 'exit 1' TERM\necho up\nwhile :; do sleep 0.05; done\n")
	p := hire(t, c, "settler-1")
	await(t, "it is up", func() bool { return c.wrote(p, "up") })
	if err := c.dismiss(p); err != nil {
		t.Fatal(err)
	}
	await(t, "its end is judged", func() bool { return len(c.sum().Misbehaved) > 0 })
	if bad := c.sum().Misbehaved[0]; !strings.Contains(bad, "settler-1, told to end: exit status 1") {
		t.Errorf("it says %q", bad)
	}
}
