package settling

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/xssnick/tonutils-go/tl"
	tonlib "github.com/xssnick/tonutils-go/ton"

	"github.com/filature/filature/adapters/ton"
	"github.com/filature/filature/adapters/ton/localchain"
)

// How often a fault strikes.
const (
	dropped   = 2   // externals that get lost
	timeouts  = 6   // queries that are refused, in the lite-servers' three ways
	staleness = 150 // questions for the newest block that get an old one
)

// line is the way to a lite-server, with a cell's fault on it once its step has begun.
type line struct {
	stage *stage

	mu    sync.Mutex
	begun bool
	sends int             // of externals since then
	asks  int             // queries that the fault counts, since then
	old   tl.Serializable // the newest block before the step
	seqno uint32          // of the treasury when the fault struck
	held  [][]byte        // externals that did not get through
	lives []context.CancelFunc
}

// mourn notes how to end a settler or watcher.
func (l *line) mourn(die context.CancelFunc) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lives = append(l.lives, die)
}

func (l *line) begin(old tl.Serializable) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.begun, l.old = true, old
	if l.stage.fault == "old seqno" { // somebody uses the wallet, and the node does not know
		l.stage.send(l.stage.wallet, ton.Transfer(l.stage.guardian.Address(), 1))
	}
}

// usedBefore is the treasury's sequence number when the fault struck.
func (l *line) usedBefore() uint32 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.seqno
}

// stale tells whether an old block is still shown. The chain's clock stands meanwhile: what is signed by an old one would be
// dead on arrival, and nothing would be tested.
func (l *line) stale() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.begun && l.asks < staleness && (l.stage.fault == "stale node" || l.stage.fault == "node went back")
}

// holds tells whether an external is kept from the chain.
func (l *line) holds() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.held) > 0
}

// die ends all settlers and watchers; their stage starts them again.
func (l *line) die() {
	for _, die := range l.lives {
		die()
	}
	l.lives = nil
}

func (l *line) answer(ctx context.Context, query any, next func(context.Context, any) tl.Serializable) tl.Serializable {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.begun {
		l.mu.Unlock()
		defer l.mu.Lock()
		return next(ctx, query)
	}
	if send, is := localchain.Asked(query).(tonlib.SendMessage); is {
		return l.send(send, func() tl.Serializable { return next(ctx, query) })
	}
	_, newest := localchain.Asked(query).(tonlib.GetMasterchainInf)
	switch l.stage.fault {
	case "stale node", "old seqno", "node went back":
		if newest && l.asks < staleness {
			l.asks++
			l.stage.bite()
			return l.old
		}
	case "timeouts":
		if l.asks++; l.asks <= timeouts {
			l.stage.bite()
			return []tl.Serializable{
				tonlib.LSError{Code: 651, Text: "block is not applied"}, tonlib.LSError{Code: 652, Text: "timeout"},
				tonlib.LSError{Code: -400, Text: "block is not in db"},
			}[l.asks%3]
		}
	}
	l.mu.Unlock()
	defer l.mu.Lock()
	return next(ctx, query)
}

var taken = tonlib.SendMessageStatus{Status: 1}

// send is an external on its way.
func (l *line) send(send tonlib.SendMessage, pass func() tl.Serializable) tl.Serializable {
	s := l.stage
	l.sends++
	switch s.fault {
	case "dropped":
		if l.sends <= dropped {
			s.bite()
			return taken
		}
	case "delayed":
		if l.sends <= dropped {
			s.bite()
			l.held = append(l.held, send.Body)
			return taken
		}
		for _, late := range l.held { // in any order with the newest one; all but one are refused
			_ = s.chain.Send(late)
		}
	case "expires":
		if s.bites.Load() < dropped {
			s.bite()
			l.held = append(l.held, send.Body)
			s.chain.Advance(2 * time.Minute)
			return taken
		}
	case "two at once": // neither gets through before both have signed
		if slices.Contains(senders, s.step) && len(l.held) < second {
			if len(l.held) == 0 || !bytes.Equal(l.held[0], send.Body) {
				l.held = append(l.held, send.Body)
			}
			if len(l.held) < second {
				return taken
			}
			for _, body := range l.held {
				_ = s.chain.Send(body)
			}
			return taken
		}
	case "crash before send":
		if l.sends == 1 {
			s.bite()
			l.die()
			return taken
		}
	case "crash after send":
		if l.sends == 1 {
			s.bite()
			defer l.die()
		}
	case "wallet shared":
		if l.sends == 1 {
			s.bite()
			s.send(s.wallet, ton.Transfer(s.guardian.Address(), 1))
		}
	case "refused":
		if l.sends == 1 {
			s.bite()
			s.send(s.guardian, s.vault.PauseMessage(true))
			l.seqno = s.seqno()
		}
	}
	return pass()
}
