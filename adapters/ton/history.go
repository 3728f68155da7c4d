package ton

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/xssnick/tonutils-go/tlb"
	"github.com/xssnick/tonutils-go/ton"

	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/settlement"
)

// Event is one thing that the vault told the world: Deposit, RootProposed, RootActivated, RootVetoed,
// PayoutSent, PauseSet, ChangeProposed, ChangeVetoed, AdminChanged or CodeChanged.
type Event interface{ isEvent() }

// Place says where an event is on the chain. (LT, Index) names it once and for ever.
type Place struct {
	LT     uint64 // logical time of the vault's transaction
	TxHash domain.Digest
	Index  int       // among the transaction's messages
	Time   time.Time // of the transaction, whole seconds
}

// Deposit: a client's account is to be credited with Amount.
type Deposit struct {
	Place
	Account domain.AccountID
	Amount  domain.Nano
	Sender  Address
}

// RootProposed: a root waits for ActivateAt.
type RootProposed struct {
	Place
	PendingRoot
}

// RootActivated: claims are now proven against this root.
type RootActivated struct {
	Place
	Root
}

// RootVetoed: the guardian threw the root away; its epoch is never used again.
type RootVetoed struct {
	Place
	Epoch uint32
	Root  domain.Digest
}

// PayoutSent: the payee has the money. The vault logs it in the transaction that sends the coins, and
// the coins can't come back: they are sent without bounce.
type PayoutSent struct {
	Place
	Epoch  uint32 // active at the time
	Payee  Address
	Amount domain.Nano
}

// ToppedUp: coins came in for nobody in particular.
type ToppedUp struct {
	Place
	Amount domain.Nano
	Sender Address
}

func (ToppedUp) isEvent()      {}
func (Deposit) isEvent()       {}
func (RootProposed) isEvent()  {}
func (RootActivated) isEvent() {}
func (RootVetoed) isEvent()    {}
func (PayoutSent) isEvent()    {}

// History reads the vault's events from a point on, oldest first, each once. A chain is linked
// backwards only, so it walks down from the newest transaction once, and remembers where each page
// began to come up again. It is for one goroutine.
type History struct {
	vault *Vault
	after uint64
	// behind: it is to begin a page before the one that reaches after. beyond: the oldest of path is that page.
	behind, beyond bool
	// path holds the newest transaction of each page between after and the head, the oldest page
	// last: 40 bytes per 16 transactions.
	path []txRef
}

type txRef struct {
	lt   uint64
	hash []byte
}

// pathLimit bounds a history's memory to 64 MB, or 16 million transactions that nobody has read.
const pathLimit = 1 << 20

// History starts after a logical time: 0 is the vault's birth.
func (v *Vault) History(afterLT uint64) *History { return &History{vault: v, after: afterLT} }

// HistoryBehind starts up to two pages before a logical time: whatever page of a History had the transaction of that time,
// all of that page is told once more. It is for who goes through a history page by page and knows how far he got at least,
// but not whether he was through with that page.
func (v *Vault) HistoryBehind(lt uint64) *History {
	return &History{vault: v, after: lt, behind: lt > 0}
}

// ErrPruned: the lite-server does not have the transactions that were asked for. If it goes on saying so it keeps too little
// history.
var ErrPruned = errors.New("the lite-server does not have these transactions; if it goes on saying so, it keeps too little history: " +
	"name an archive node in the global config file (ton.config_file, --ton-config)")

// Next returns the events of the next page of final transactions and the logical time up to which
// everything was read now: the point to resume from. There may be no events in a page; when the
// point doesn't move either, there is nothing new. After an error, Next may be called again.
func (h *History) Next(ctx context.Context) (events []Event, upToLT uint64, err error) {
	ctx = h.vault.client.sticky(ctx)
	if len(h.path) == 0 {
		if err := h.lookUp(ctx); err != nil {
			return nil, h.after, fmt.Errorf("history of vault %s: %w", h.vault.self, err)
		}
	}
	page, err := h.oldestPage(ctx)
	if err != nil {
		return nil, h.after, fmt.Errorf("history of vault %s: %w", h.vault.self, err)
	}
	for _, tx := range page {
		if tx.LT <= h.after {
			continue
		}
		found, err := eventsOf(tx)
		if err != nil {
			return nil, h.after, fmt.Errorf("history of vault %s: transaction %d: %w", h.vault.self, tx.LT, err)
		}
		events = append(events, found...)
	}
	if len(page) > 0 {
		h.path = h.path[:len(h.path)-1]
		h.after = page[len(page)-1].LT
	}
	return events, h.after, nil
}

// lookUp puts the newest transaction on the path, if it is news.
func (h *History) lookUp(ctx context.Context) error {
	head, err := h.vault.client.Head(ctx)
	if err != nil {
		return err
	}
	account, err := h.vault.client.account(ctx, head, h.vault.self)
	if err != nil {
		return err
	}
	if account.LastTxLT > h.after || h.behind {
		h.path = append(h.path, txRef{lt: account.LastTxLT, hash: account.LastTxHash})
	}
	return nil
}

// oldestPage walks down until a page reaches what was read already, and returns that page.
func (h *History) oldestPage(ctx context.Context) ([]*tlb.Transaction, error) {
	for len(h.path) > 0 {
		if len(h.path) > pathLimit {
			return nil, fmt.Errorf("more than %d transactions since %d", pathLimit*pageTransactions, h.after)
		}
		newest := h.path[len(h.path)-1]
		page, err := h.vault.client.page(ctx, h.vault.self, newest.lt, newest.hash)
		if isMissing(err) {
			return nil, fmt.Errorf("%w: %w", ErrPruned, err)
		}
		if err != nil {
			return nil, err
		}
		before := page[0].PrevTxLT
		reached := page[0].LT <= h.after || before <= h.after
		switch {
		case h.beyond || h.behind && before == 0:
			h.after, h.behind, h.beyond = before, false, false
		case !reached || h.behind:
			h.beyond = reached
			h.path = append(h.path, txRef{lt: before, hash: slices.Clone(page[0].PrevTxHash)})
			continue
		}
		return page, nil
	}
	return nil, nil
}

// eventsOf reads the events of one transaction of the vault. If its compute or action phase failed,
// the network undid everything and sent nothing, so there are none.
func eventsOf(tx *tlb.Transaction) ([]Event, error) {
	description, ok := tx.Description.(tlb.TransactionDescriptionOrdinary)
	if !ok || description.Aborted || description.ActionPhase == nil || !description.ActionPhase.Success {
		return nil, nil
	}
	topUp, err := topUpOf(tx)
	if topUp != nil || err != nil || tx.IO.Out == nil {
		return topUp, err
	}
	messages, err := tx.IO.Out.ToSlice()
	if err != nil {
		return nil, err
	}
	var events []Event
	for i, message := range messages {
		if message.MsgType != tlb.MsgTypeExternalOut {
			continue
		}
		place := Place{LT: tx.LT, TxHash: domain.Digest(tx.Hash), Index: i, Time: time.Unix(int64(tx.Now), 0)}
		event, err := parseEvent(place, message.AsExternalOut())
		if err != nil {
			return nil, fmt.Errorf("message %d: %w", i, err)
		}
		events = append(events, event)
	}
	return events, nil
}

// isMissing tells whether a lite-server may not have what it was asked for: it prunes, or it is a little behind.
func isMissing(err error) bool {
	var answer ton.LSError
	return errors.Is(err, ton.ErrNoTransactionsWereFound) || errors.As(err, &answer) && (answer.Code == 651 || answer.Code == -400)
}

// topUpOf is what came in for nobody: it has no log message, and it is all that the transaction did.
func topUpOf(tx *tlb.Transaction) ([]Event, error) {
	if tx.IO.In == nil || tx.IO.In.MsgType != tlb.MsgTypeInternal {
		return nil, nil
	}
	message := tx.IO.In.AsInternal()
	if message.Bounced || message.Body != nil && message.Body.BitsSize() > 0 && readCell(message.Body).uint(32) != opTopUp {
		return nil, nil
	}
	amount, err := nanoOf(message.Amount)
	if err != nil {
		return nil, fmt.Errorf("top-up: %w", err)
	}
	from, err := addressOf(message.SrcAddr)
	if err != nil {
		return nil, fmt.Errorf("top-up: %w", err)
	}
	place := Place{LT: tx.LT, TxHash: domain.Digest(tx.Hash), Time: time.Unix(int64(tx.Now), 0)}
	return []Event{ToppedUp{Place: place, Amount: amount, Sender: from}}, nil
}

func parseEvent(place Place, message *tlb.ExternalMessageOut) (event Event, err error) {
	r := readCell(message.Body)
	switch op := r.uint(32); op {
	case opDepositLogged:
		event = Deposit{Place: place, Account: domain.AccountID(r.digest()), Amount: r.coins(), Sender: r.address()}
	case opRootProposed:
		root := r.root()
		event = RootProposed{Place: place, PendingRoot: PendingRoot{Root: root, ActivateAt: time.Unix(int64(r.uint(32)), 0)}}
	case opRootActivated:
		event = RootActivated{Place: place, Root: r.root()}
	case opRootVetoed:
		event = RootVetoed{Place: place, Epoch: uint32(r.uint(32)), Root: r.digest()}
	case opPayoutSent:
		event = PayoutSent{Place: place, Epoch: uint32(r.uint(32)), Payee: r.address(), Amount: r.coins()}
	case opPauseSet:
		event = PauseSet{Place: place, Paused: r.uint(1) == 1, By: r.address()}
	case opChangeProposed:
		event = ChangeProposed{Place: place, PendingChange: r.pendingChange()}
	case opChangeVetoed:
		event = ChangeVetoed{Place: place, ID: r.digest()}
	case opAdminChanged:
		event = AdminChanged{Place: place, Admin: r.address()}
	case opCodeChanged:
		event = CodeChanged{Place: place, Code: r.digest()}
	default:
		if r.err == nil {
			return nil, fmt.Errorf("unknown log message %#x", op)
		}
	}
	return event, r.end()
}

// ErrNeverActivated says that no root of an epoch was ever activated: the vault has not got so far, or it was vetoed.
var ErrNeverActivated = errors.New("no root of this epoch was ever activated")

// Activated returns the root that the vault activated under an epoch. Of one that is not active any more it reads the
// history. It is ErrNeverActivated where there is none.
func (v *Vault) Activated(ctx context.Context, epoch uint32) (settlement.OnChain, error) {
	state, err := v.State(ctx)
	if err != nil {
		return settlement.OnChain{}, err
	}
	if state.Active.Epoch == epoch {
		return settlement.OnChain(state.Active), nil
	}
	history := v.History(0)
	for before := uint64(0); epoch < state.Active.Epoch; {
		events, upTo, err := history.Next(ctx)
		if err != nil {
			return settlement.OnChain{}, err
		}
		for _, event := range events {
			if activated, is := event.(RootActivated); is && activated.Epoch == epoch {
				return settlement.OnChain(activated.Root), nil
			}
		}
		if len(events) == 0 && upTo == before {
			break
		}
		before = upTo
	}
	return settlement.OnChain{}, fmt.Errorf("vault %s, epoch %d: %w", v.self, epoch, ErrNeverActivated)
}
