package ton_test

import (
	"errors"
	"reflect"
	"testing"
	"time"

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
