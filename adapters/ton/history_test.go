package ton_test

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/xssnick/tonutils-go/tl"
	tonlib "github.com/xssnick/tonutils-go/ton"

	"github.com/filature/filature/adapters/ton"
	"github.com/filature/filature/adapters/ton/localchain"
	"github.com/filature/filature/domain"
)

// place returns where an event is.
func place(t *testing.T, event ton.Event) ton.Place {
	t.Helper()
	place, ok := reflect.TypeAssert[ton.Place](reflect.ValueOf(event).FieldByName("Place"))
	if !ok {
		t.Fatalf("event %T has no place", event)
	}
	return place
}

func TestHistoryIsTheSameFromWhereverItIsResumed(t *testing.T) {
	n := startNetwork(t, localchain.Options{Interval: 5 * time.Millisecond})
	n.fund(time.Second, 10*domain.Coin)
	// More than three pages, with transactions that say nothing among them.
	const deposits, topUps = 60, 10 // the vault's first coins are one
	var messages []ton.Message
	for i := range deposits {
		messages = append(messages, n.vault.DepositMessage(domain.AccountID{byte(i)}, domain.Coin))
		if i%7 == 0 {
			messages = append(messages, n.vault.TopUpMessage(domain.Coin), n.vault.ActivateMessage())
		}
	}
	n.do(n.guardian, messages...)
	var all []ton.Event
	n.until("all deposits", func() bool { all = n.history(0); return len(all) >= deposits+topUps })
	if len(all) != deposits+topUps {
		t.Fatalf("%d events", len(all))
	}
	next := byte(0)
	for i, event := range all {
		switch e := event.(type) {
		case ton.Deposit:
			if e.Account != (domain.AccountID{next}) {
				t.Fatalf("event %d: %+v", i, event)
			}
			next++
		case ton.ToppedUp:
			if want := n.guardian.Address(); i > 0 && e.Sender != want || i == 0 && e.Sender != n.admin.Address() {
				t.Fatalf("event %d: %+v", i, event)
			}
		default:
			t.Fatalf("event %d: %+v", i, event)
		}
		if i > 0 && place(t, event).LT <= place(t, all[i-1]).LT {
			t.Fatalf("event %d is not after the one before it", i)
		}
	}
	for i, event := range all {
		rest := n.history(place(t, event).LT)
		if !reflect.DeepEqual(rest, append([]ton.Event(nil), all[i+1:]...)) {
			t.Fatalf("after event %d: %d events, want %d", i, len(rest), len(all)-i-1)
		}
	}

	// From behind any of them it begins with all that can have been in one page with it: 16 transactions, 13 events at least.
	for i, event := range all {
		rest := n.historyOf(n.vault.HistoryBehind(place(t, event).LT))
		first := len(all) - len(rest)
		if !reflect.DeepEqual(rest, all[first:]) || first > max(0, i-12) || first < i-3*16 {
			t.Fatalf("behind event %d of %d it begins with %d", i, len(all), first)
		}
	}

	// A history that has caught up goes on with what comes later, once.
	h := n.vault.History(place(t, all[len(all)-1]).LT)
	n.do(n.guardian, n.vault.DepositMessage(domain.AccountID{0xff}, domain.Coin))
	var late []ton.Event
	n.until("the late deposit", func() bool {
		events, _, err := h.Next(n.ctx())
		if err != nil {
			t.Fatal(err)
		}
		late = append(late, events...)
		return len(late) > 0
	})
	for range 3 {
		events, _, err := h.Next(n.ctx())
		if err != nil || len(events) != 0 {
			t.Errorf("again: %+v (%v)", events, err)
		}
	}
	if len(late) != 1 || late[0].(ton.Deposit).Account != (domain.AccountID{0xff}) {
		t.Errorf("late: %+v", late)
	}
}

// A lite-server that keeps little tells what it has. Who needs more is told what to do.
func TestWhoeverGoesOnNeedsLittleOfAPrunedLiteServerAndWhoBeginsIsToldToNameAnother(t *testing.T) {
	n := startNetwork(t, localchain.Options{Interval: 5 * time.Millisecond})
	n.fund(time.Second, 10*domain.Coin)
	const deposits = 100
	var messages []ton.Message
	for i := range deposits {
		messages = append(messages, n.vault.DepositMessage(domain.AccountID{byte(i)}, domain.Coin))
	}
	n.do(n.guardian, messages...)
	var all []ton.Event
	n.until("all deposits", func() bool { all = n.history(0); return len(all) > deposits })

	kept := place(t, all[40]).LT
	config, end, err := n.chain.Serve(func(ctx context.Context, query any, next func(context.Context, any) tl.Serializable) tl.Serializable {
		if asked, is := localchain.Asked(query).(tonlib.GetTransactions); is && uint64(asked.LT) < kept {
			return tonlib.LSError{Code: -400, Text: "cannot load block (0,8000000000000000,17) : not in db"}
		}
		return next(ctx, query)
	})
	if err != nil {
		t.Fatal(err)
	}
	pruned, err := ton.Connect(n.ctx(), ton.Config{GlobalConfigFile: config})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		pruned.Close()
		if err := end(); err != nil {
			t.Error(err)
		}
	}()
	vault := pruned.Vault(n.vault.Address())
	if rest := n.historyOf(vault.HistoryBehind(place(t, all[90]).LT)); len(rest) < 10 || len(rest) > 60 {
		t.Errorf("who goes on reads %d events", len(rest))
	}
	for range 2 {
		_, _, err := vault.History(0).Next(n.ctx())
		if !errors.Is(err, ton.ErrPruned) || !strings.Contains(err.Error(), "archive node") {
			t.Errorf("who begins: %v", err)
		}
	}
}

func TestAVaultThatIsNotThereIsNotAVault(t *testing.T) {
	n := startNetwork(t, localchain.Options{Interval: 5 * time.Millisecond})
	n.fund(time.Second, 10*domain.Coin)
	nobody := n.client.Vault(target(1))
	if _, err := nobody.State(n.ctx()); !errors.Is(err, ton.ErrNoVault) {
		t.Errorf("an empty address: %v", err)
	}
	if events, upTo, err := nobody.History(0).Next(n.ctx()); err != nil || len(events) != 0 || upTo != 0 {
		t.Errorf("its history: %v up to %d (%v)", events, upTo, err)
	}
	n.do(n.admin, ton.Transfer(target(2), 1))
	if _, err := n.client.Vault(n.admin.Address()).State(n.ctx()); !errors.Is(err, ton.ErrForeignCode) {
		t.Errorf("a wallet: %v", err)
	}
	for what, params := range map[string]ton.VaultParams{
		"whose admin guards himself":     {Admin: n.admin.Address(), Guardian: n.admin.Address(), Delay: time.Second},
		"with a delay of a millisecond":  {Admin: n.admin.Address(), Guardian: n.guardian.Address(), Delay: time.Millisecond},
		"with a delay of minus a second": {Admin: n.admin.Address(), Guardian: n.guardian.Address(), Delay: -time.Second},
	} {
		if _, _, err := n.client.NewVault(params, domain.Coin); err == nil {
			t.Errorf("a vault %s", what)
		}
	}
}
