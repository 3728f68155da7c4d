package ton_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/xssnick/tonutils-go/address"
	"github.com/xssnick/tonutils-go/tlb"
	"github.com/xssnick/tonutils-go/ton/wallet"
	"github.com/xssnick/tonutils-go/tvm/cell"

	"github.com/filature/filature/adapters/ton"
	"github.com/filature/filature/adapters/ton/localchain"
	"github.com/filature/filature/domain"
)

func (n *network) faucet(to ton.Address, amount domain.Nano) {
	n.t.Helper()
	before, err := n.client.Balance(n.ctx(), to)
	if err != nil {
		n.t.Fatal(err)
	}
	if err := n.chain.Faucet(to.Account, amount); err != nil {
		n.t.Fatal(err)
	}
	n.until("the faucet", func() bool {
		after, err := n.client.Balance(n.ctx(), to)
		return err == nil && after > before
	})
}

func (n *network) sign(w *ton.Wallet, messages ...ton.Message) ton.External {
	n.t.Helper()
	external, err := w.Sign(n.ctx(), messages, n.head().Time.Add(time.Minute))
	if err != nil {
		n.t.Fatal(err)
	}
	return external
}

func (n *network) head() ton.Head {
	n.t.Helper()
	head, err := n.client.Head(n.ctx())
	if err != nil {
		n.t.Fatal(err)
	}
	return head
}

func (n *network) fate(w *ton.Wallet, external ton.External) ton.Fate {
	n.t.Helper()
	fate, err := w.Fate(n.ctx(), external)
	if err != nil {
		n.t.Fatal(err)
	}
	return fate
}

func (n *network) untilFate(w *ton.Wallet, external ton.External, want ton.Outcome) (fate ton.Fate) {
	n.t.Helper()
	n.until(want.String(), func() bool { fate = n.fate(w, external); return fate.Outcome == want })
	return fate
}

// target is an address that nobody's money is at yet.
func target(name byte) ton.Address { return ton.Address{Account: [32]byte{0xbb, name}} }

func TestSignedBytesAreTheStockWallets(t *testing.T) {
	n := startNetwork(t, localchain.Options{Interval: 5 * time.Millisecond})
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{9}, 32))
	ours, err := n.client.Wallet(key)
	if err != nil {
		t.Fatal(err)
	}
	stock, err := wallet.FromPrivateKeyWithOptions(key, wallet.ConfigV5R1Final{NetworkGlobalID: localchain.GlobalID})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := ours.Address().Raw(), stock.WalletAddress().StringRaw(); got != want {
		t.Fatalf("address %s, the stock wallet's is %s", got, want)
	}
	stock.GetSpec().(*wallet.SpecV5R1Final).SetSeqnoFetcher(func(context.Context, uint32) (uint32, error) { return 0, nil })
	n.faucet(ours.Address(), domain.Coin)

	messages := []ton.Message{ton.Transfer(target(1), domain.Coin/10), ton.Transfer(target(2), 7)}
	var theirs []*wallet.Message
	for _, m := range messages {
		theirs = append(theirs, &wallet.Message{Mode: wallet.PayGasSeparately + wallet.IgnoreErrors, InternalMessage: &tlb.InternalMessage{
			IHRDisabled: true, DstAddr: address.NewAddress(0, 0, m.To.Account[:]),
			Amount: tlb.FromNanoTONU(uint64(m.Amount)), Body: cell.BeginCell().EndCell(),
		}})
	}
	want, err := stock.PrepareExternalMessageForMany(t.Context(), true, theirs)
	if err != nil {
		t.Fatal(err)
	}
	wantCell, err := tlb.ToCell(want)
	if err != nil {
		t.Fatal(err)
	}
	const beforeDeadline = 64 // op, wallet id
	body := want.Body.MustBeginParse()
	body.MustLoadSlice(beforeDeadline)
	got, err := ours.Sign(n.ctx(), messages, time.Unix(int64(body.MustLoadUInt(32)), 0))
	if err != nil {
		t.Fatal(err)
	}
	gotCell, err := cell.FromBOC(got.BoC)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(gotCell.Hash(), wantCell.Hash()) {
		t.Errorf("signed\n%s\nthe stock wallet signs\n%s", gotCell.Dump(), wantCell.Dump())
	}
	if !bytes.Equal(got.NormalizedHash[:], want.NormalizedHash()) {
		t.Errorf("normalized hash %s, want %x", got.NormalizedHash, want.NormalizedHash())
	}
}

func TestAnExternalIsPendingUntilItLandsAndLandsOnce(t *testing.T) {
	n := startNetwork(t, localchain.Options{Interval: 5 * time.Millisecond})
	n.faucet(n.admin.Address(), 100*domain.Coin)
	external := n.sign(n.admin, ton.Transfer(target(1), domain.Coin), ton.Transfer(target(2), domain.Coin))
	if fate := n.fate(n.admin, external); fate != (ton.Fate{Outcome: ton.Pending}) {
		t.Errorf("before Send: %+v", fate)
	}
	if err := n.admin.Send(n.ctx(), external); err != nil {
		t.Fatal(err)
	}
	fate := n.untilFate(n.admin, external, ton.Landed)
	if fate.Sent != 2 || fate.LT == 0 || fate.TxHash == (domain.Digest{}) {
		t.Errorf("landed: %+v", fate)
	}
	if err := n.admin.Send(n.ctx(), external); err == nil {
		t.Error("the chain took it a second time")
	}
	// Later ones on top don't hide it, nor does time.
	for range 20 {
		n.do(n.admin, ton.Transfer(target(3), 1))
		n.faucet(n.admin.Address(), domain.Coin)
	}
	n.chain.Advance(time.Hour)
	n.until("an hour", func() bool { return n.head().Time.After(external.ValidUntil.Add(ton.ExpiryGrace)) })
	if again := n.fate(n.admin, external); again != fate {
		t.Errorf("later: %+v, was %+v", again, fate)
	}
	for i := range byte(2) {
		if balance, err := n.client.Balance(n.ctx(), target(1+i)); err != nil || balance != domain.Coin {
			t.Errorf("target %d has %s (%v)", 1+i, balance, err)
		}
	}
}

func TestAnExternalExpiresOnlyWhenTheChainProvesIt(t *testing.T) {
	n := startNetwork(t, localchain.Options{Interval: 5 * time.Millisecond})
	n.faucet(n.admin.Address(), 100*domain.Coin)
	late := n.sign(n.admin, ton.Transfer(target(1), domain.Coin))
	n.chain.Advance(late.ValidUntil.Sub(n.head().Time) + time.Second)
	n.until("the deadline", func() bool { return n.head().Time.After(late.ValidUntil) })
	if fate := n.fate(n.admin, late); fate.Outcome != ton.Pending {
		t.Errorf("just past the deadline: %+v", fate)
	}
	if err := n.admin.Send(n.ctx(), late); err == nil {
		t.Error("the chain took it past its deadline")
	}
	n.chain.Advance(ton.ExpiryGrace)
	n.untilFate(n.admin, late, ton.Expired)

	// Two with one sequence number: one lands, the other never can.
	one, other := n.sign(n.admin, ton.Transfer(target(2), 1)), n.sign(n.admin, ton.Transfer(target(3), 1))
	if one.Seqno != other.Seqno {
		t.Fatalf("sequence numbers %d and %d", one.Seqno, other.Seqno)
	}
	if err := n.admin.Send(n.ctx(), one); err != nil {
		t.Fatal(err)
	}
	n.untilFate(n.admin, one, ton.Landed)
	if fate := n.fate(n.admin, other); fate.Outcome != ton.Expired {
		t.Errorf("its sequence number is taken: %+v", fate)
	}
}

func TestAWalletThatCannotPayDoesNotSign(t *testing.T) {
	n := startNetwork(t, localchain.Options{Interval: 5 * time.Millisecond})
	poor := n.wallet(77)
	deadline := n.head().Time.Add(time.Minute)
	if _, err := poor.Sign(n.ctx(), []ton.Message{ton.Transfer(target(1), 1)}, deadline); !errors.Is(err, ton.ErrPoor) {
		t.Errorf("a wallet that doesn't exist: %v", err)
	}
	n.faucet(poor.Address(), domain.Coin)
	if _, err := poor.Sign(n.ctx(), []ton.Message{ton.Transfer(target(1), domain.Coin)}, deadline); !errors.Is(err, ton.ErrPoor) {
		t.Errorf("all it has, and the fees: %v", err)
	}
	tooMuch := []ton.Message{ton.Transfer(target(1), math.MaxInt64), ton.Transfer(target(2), math.MaxInt64)}
	if _, err := poor.Sign(n.ctx(), tooMuch, deadline); !errors.Is(err, domain.ErrAmountOverflow) {
		t.Errorf("more than there is: %v", err)
	}
	for _, count := range []int{0, ton.MaxMessages + 1} {
		if _, err := poor.Sign(n.ctx(), make([]ton.Message, count), deadline); err == nil {
			t.Errorf("%d messages: signed", count)
		}
	}
	// What the wallet does without the check: it drops what it can't pay for, and Fate says so.
	external, err := poor.SignUnchecked(n.ctx(), []ton.Message{ton.Transfer(target(1), domain.Coin/2), ton.Transfer(target(2), domain.Coin)}, deadline)
	if err != nil {
		t.Fatal(err)
	}
	if err := poor.Send(n.ctx(), external); err != nil {
		t.Fatal(err)
	}
	if fate := n.untilFate(poor, external, ton.Landed); fate.Sent != 1 || external.Messages != 2 {
		t.Errorf("sent %d of %d", fate.Sent, external.Messages)
	}
}

func TestAFullExternalIsDeliveredWhole(t *testing.T) {
	n := startNetwork(t, localchain.Options{Interval: 5 * time.Millisecond})
	n.faucet(n.admin.Address(), 1000*domain.Coin)
	messages := make([]ton.Message, ton.MaxMessages)
	for i := range messages {
		messages[i] = ton.Transfer(target(byte(i)), domain.Coin+domain.Nano(i))
	}
	n.do(n.admin, messages...)
	n.until("the last of them", func() bool {
		balance, err := n.client.Balance(n.ctx(), target(ton.MaxMessages-1))
		return err == nil && balance > 0
	})
	for i := range messages {
		if balance, err := n.client.Balance(n.ctx(), target(byte(i))); err != nil || balance != domain.Coin+domain.Nano(i) {
			t.Errorf("target %d has %s (%v)", i, balance, err)
		}
	}
}

// Of more than 255 actions the network takes none (result 33 of the action phase). A V5R1 wallet does not let it come to that:
// it keeps its number, and throws 147, so the number is burnt and nothing is sent. Neither Sign nor the library makes such an
// external; here it is made by hand, of as many messages as are taken and of one more.
func TestAnExternalOfOneMessageTooManySendsNothingAndIsNeverSigned(t *testing.T) {
	n := startNetwork(t, localchain.Options{Interval: 5 * time.Millisecond})
	n.fund(time.Second, 10*domain.Coin)
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, 32)) // the admin's
	for _, count := range []int{ton.MaxMessages, ton.MaxMessages + 1} {
		messages := make([]ton.Message, count)
		list := cell.BeginCell().EndCell()
		for i := range messages {
			messages[i] = ton.Transfer(target(byte(count)), domain.Coin)
			out := must(tlb.ToCell(&tlb.InternalMessage{
				IHRDisabled: true, DstAddr: std(target(byte(count))), Amount: tlb.MustFromTON("1"),
				Body: cell.BeginCell().EndCell(),
			}))
			list = cell.BeginCell().MustStoreRef(list).MustStoreUInt(0x0ec3c86d, 32).MustStoreUInt(3, 8).MustStoreRef(out).EndCell()
		}
		before := n.sign(n.admin, ton.Transfer(target(1), 1)).Seqno
		unsigned := cell.BeginCell().MustStoreUInt(0x7369676e, 32).
			MustStoreUInt(uint64(wallet.V5R1ID{NetworkGlobalID: localchain.GlobalID}.Serialized()), 32).
			MustStoreUInt(uint64(n.head().Time.Add(time.Minute).Unix()), 32).MustStoreUInt(uint64(before), 32).
			MustStoreBuilder(cell.BeginCell().MustStoreBoolBit(true).MustStoreRef(list).MustStoreBoolBit(false))
		body := cell.BeginCell().MustStoreBuilder(unsigned).MustStoreSlice(ed25519.Sign(key, unsigned.EndCell().Hash()), 512).EndCell()
		external := must(tlb.ToCell(&tlb.ExternalMessage{DstAddr: std(n.admin.Address()), Body: body}))
		if err := n.chain.Send(external.ToBOC()); err != nil {
			t.Fatal(err)
		}
		n.until("the number to be used", func() bool { return n.sign(n.admin, ton.Transfer(target(1), 1)).Seqno > before })
		n.do(n.admin, ton.Transfer(target(1), domain.Coin)) // whatever was sent before has arrived by then
		api := stockClient(t, n.chain)
		account := must(api.GetAccount(n.ctx(), must(api.GetMasterchainInfo(n.ctx())), std(n.admin.Address())))
		last := must(api.ListTransactions(n.ctx(), std(n.admin.Address()), 2, account.LastTxLT, account.LastTxHash))
		phase := last[0].Description.(tlb.TransactionDescriptionOrdinary).ComputePhase.Phase.(tlb.ComputePhaseVM)
		got := must(n.client.Balance(n.ctx(), target(byte(count))))
		exit, want := int32(0), domain.Coin*domain.Nano(count)
		if count > ton.MaxMessages {
			exit, want = 147, 0
		}
		if got != want || phase.Details.ExitCode != exit {
			t.Errorf("%d messages in one external: exit code %d, they brought %s; want %d, %s", count, phase.Details.ExitCode, got, exit, want)
		}
		if _, err := n.admin.Sign(n.ctx(), messages, n.head().Time.Add(time.Minute)); (err != nil) != (count > ton.MaxMessages) {
			t.Errorf("sign %d messages: %v", count, err)
		}
	}
}
