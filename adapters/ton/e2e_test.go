package ton_test

import (
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"bytes"

	"github.com/filature/filature/adapters/ton"
	"github.com/filature/filature/adapters/ton/localchain"
	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/settlement"
)

// network is a local chain with a client, an admin, a guardian and a vault.
type network struct {
	t        *testing.T
	options  localchain.Options
	chain    *localchain.Chain
	client   *ton.Client
	admin    *ton.Wallet
	guardian *ton.Wallet
	vault    *ton.Vault
}

func startNetwork(t *testing.T, options localchain.Options) *network {
	t.Helper()
	n := &network{t: t, options: options}
	n.open()
	t.Cleanup(func() { n.close() })
	return n
}

func (n *network) open() {
	n.t.Helper()
	chain, err := localchain.Open(n.options)
	if err != nil {
		n.t.Fatal(err)
	}
	n.chain = chain
	client, err := ton.Connect(n.ctx(), ton.Config{GlobalConfigFile: chain.GlobalConfigFile()})
	if err != nil {
		n.t.Fatal(err)
	}
	n.client = client
	n.admin, n.guardian = n.wallet(1), n.wallet(2)
	if n.vault != nil {
		n.vault = client.Vault(n.vault.Address())
	}
}

func (n *network) close() {
	n.client.Close()
	if err := n.chain.Close(); err != nil {
		n.t.Error(err)
	}
}

func (n *network) ctx() context.Context {
	ctx, cancel := context.WithTimeout(n.t.Context(), patience)
	n.t.Cleanup(cancel)
	return ctx
}

func (n *network) wallet(seed byte) *ton.Wallet {
	n.t.Helper()
	w, err := n.client.Wallet(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, 32)))
	if err != nil {
		n.t.Fatal(err)
	}
	return w
}

// fund gives the wallets coins and deploys the vault.
func (n *network) fund(delay time.Duration, amount domain.Nano) {
	n.t.Helper()
	for _, w := range []*ton.Wallet{n.admin, n.guardian} {
		if err := n.chain.Faucet(w.Address().Account, 1_000_000*domain.Coin); err != nil {
			n.t.Fatal(err)
		}
	}
	n.until("the faucet", func() bool {
		balance, err := n.client.Balance(n.ctx(), n.guardian.Address())
		return err == nil && balance > 0
	})
	vault, deploy, err := n.client.NewVault(ton.VaultParams{
		Admin: n.admin.Address(), Guardian: n.guardian.Address(), Delay: delay,
	}, amount)
	if err != nil {
		n.t.Fatal(err)
	}
	n.do(n.admin, deploy)
	n.vault = vault
	n.until("the vault", func() bool { _, err := vault.State(n.ctx()); return err == nil })
}

// do sends messages from a wallet and waits until they left it.
func (n *network) do(w *ton.Wallet, messages ...ton.Message) {
	n.t.Helper()
	external := n.sign(w, messages...)
	if err := w.Send(n.ctx(), external); err != nil {
		n.t.Fatal(err)
	}
	if fate := n.untilFate(w, external, ton.Landed); fate.Sent != len(messages) {
		n.t.Fatalf("%d of %d messages left the wallet", fate.Sent, len(messages))
	}
}

// patience is longer than any machine needs, with whatever else runs beside.
const patience = 2 * time.Minute

// until waits for a condition.
func (n *network) until(what string, holds func() bool) {
	n.t.Helper()
	deadline := time.After(patience)
	for !holds() {
		select {
		case <-deadline:
			n.t.Fatalf("waited too long for %s", what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func (n *network) state() ton.VaultState {
	n.t.Helper()
	s, err := n.vault.State(n.ctx())
	if err != nil {
		n.t.Fatal(err)
	}
	return s
}

// history reads all events after a logical time.
func (n *network) history(after uint64) []ton.Event {
	n.t.Helper()
	return n.historyOf(n.vault.History(after))
}

func (n *network) historyOf(h *ton.History) (events []ton.Event) {
	n.t.Helper()
	for before := uint64(0); ; {
		page, to, err := h.Next(n.ctx())
		if err != nil {
			n.t.Fatal(err)
		}
		if to == before {
			return events
		}
		events, before = append(events, page...), to
	}
}

// payees makes leaves with different amounts.
func payees(count int) []settlement.Leaf {
	leaves := make([]settlement.Leaf, count)
	for i := range leaves {
		leaves[i].Payee = payee(i)
		leaves[i].Cumulative = domain.Coin + domain.Nano(i)
	}
	slices.SortFunc(leaves, func(a, b settlement.Leaf) int { return bytes.Compare(a.Payee[:], b.Payee[:]) })
	return leaves
}

func payee(i int) (id domain.ProviderID) {
	binary.BigEndian.PutUint64(id[24:], uint64(i)+1)
	id[0] = byte(i * 37)
	return id
}

func total(leaves []settlement.Leaf) (sum domain.Nano) {
	for _, leaf := range leaves {
		sum += leaf.Cumulative
	}
	return sum
}

func TestDepositProposeClaimAndHistorySurviveARestart(t *testing.T) {
	n := startNetwork(t, localchain.Options{Dir: t.TempDir(), Interval: 10 * time.Millisecond})
	n.fund(time.Second, 100*domain.Coin)

	account := domain.AccountID{7: 1}
	n.do(n.guardian, n.vault.DepositMessage(account, 50*domain.Coin))

	leaves := payees(120)
	tree, err := ton.NewPayoutTree(leaves)
	if err != nil {
		t.Fatal(err)
	}
	n.do(n.admin, n.vault.TopUpMessage(total(leaves)))
	root := ton.Root{Epoch: 1, Root: tree.Root(), Total: total(leaves), Commitment: domain.Digest{1}}
	proposal, err := n.vault.ProposeMessage(root)
	if err != nil {
		t.Fatal(err)
	}
	n.do(n.admin, proposal)
	n.until("the proposal", func() bool { return n.state().Pending != nil })
	if got := n.state().Pending.Root; got != root {
		t.Errorf("pending root %+v, proposed %+v", got, root)
	}
	before := n.state()

	n.close()
	n.open()
	if after := n.state(); after.Pending == nil || *after.Pending != *before.Pending || after.Balance != before.Balance || after.At.Seqno < before.At.Seqno {
		t.Errorf("after the restart %+v, before %+v", after, before)
	}

	n.until("the delay", func() bool { return !n.state().At.Time.Before(before.Pending.ActivateAt) })
	var claims []ton.Message
	for _, leaf := range leaves[:50] {
		proof, err := tree.Proof(leaf.Payee)
		if err != nil {
			t.Fatal(err)
		}
		claim, err := n.vault.ClaimMessage(leaf.Payee, proof, n.admin.Address())
		if err != nil {
			t.Fatal(err)
		}
		claims = append(claims, claim)
	}
	start := time.Now()
	n.do(n.admin, claims...)
	n.until("the payouts", func() bool { return n.state().Paid >= total(leaves[:50]) })
	t.Logf("50 claims in %s", time.Since(start))

	events := n.history(0)
	paid := map[domain.ProviderID]domain.Nano{}
	var kinds []string
	for _, event := range events {
		switch e := event.(type) {
		case ton.Deposit:
			kinds = append(kinds, "deposit")
			if e.Account != account || e.Amount >= 50*domain.Coin || e.Amount < 50*domain.Coin-2_000_000 || e.Sender != n.guardian.Address() {
				t.Errorf("deposit %+v", e)
			}
		case ton.RootProposed:
			kinds = append(kinds, "proposed")
		case ton.RootActivated:
			kinds = append(kinds, "activated")
		case ton.PayoutSent:
			paid[domain.ProviderID(e.Payee.Account)] += e.Amount
		}
	}
	if !slices.Equal(kinds, []string{"deposit", "proposed", "activated"}) {
		t.Errorf("events %v", kinds)
	}
	for _, leaf := range leaves[:50] {
		if paid[leaf.Payee] != leaf.Cumulative {
			t.Errorf("history pays %s to %s, the tree says %s", paid[leaf.Payee], leaf.Payee, leaf.Cumulative)
		}
		claimed, err := n.vault.Claimed(n.ctx(), leaf.Payee)
		if err != nil || claimed != leaf.Cumulative {
			t.Errorf("claim account of %s says %s (%v)", leaf.Payee, claimed, err)
		}
		balance, err := n.client.Balance(n.ctx(), ton.PayeeAddress(leaf.Payee))
		if err != nil || balance != leaf.Cumulative {
			t.Errorf("payee %s has %s (%v)", leaf.Payee, balance, err)
		}
	}
}

// More claims than one block's gas allows: the rest of the cascade is in the next ones, and survives
// a restart in between.
func TestAFullBlockLeavesTheRestToTheNext(t *testing.T) {
	n := startNetwork(t, localchain.Options{Dir: t.TempDir(), Interval: 5 * time.Millisecond})
	n.fund(time.Second, 10*domain.Coin)
	leaves := payees(600)
	tree := must(ton.NewPayoutTree(leaves))
	n.do(n.admin, n.vault.TopUpMessage(total(leaves)))
	n.do(n.admin, must(n.vault.ProposeMessage(ton.Root{Epoch: 1, Root: tree.Root(), Total: total(leaves)})))
	n.until("the proposal", func() bool { return n.state().Pending != nil })
	n.chain.Advance(time.Minute)
	n.until("the delay", func() bool { return !n.head().Time.Before(n.state().Pending.ActivateAt) })

	// The same chain, block by block from here on.
	n.close()
	n.options.Interval = 0
	n.open()
	claims := func(from, to int) (messages []ton.Message) {
		for _, leaf := range leaves[from:to] {
			messages = append(messages, must(n.vault.ClaimMessage(leaf.Payee, must(tree.Proof(leaf.Payee)), ton.Address{})))
		}
		return messages
	}
	step := func() int { return must(n.chain.Step(n.ctx())) }
	relayers := []*ton.Wallet{n.admin, n.guardian, n.wallet(3)}
	if err := n.chain.Faucet(relayers[2].Address().Account, 1000*domain.Coin); err != nil {
		t.Fatal(err)
	}
	step()
	for i, relayer := range relayers {
		external := n.sign(relayer, claims(i*200, (i+1)*200)...)
		if err := relayer.Send(n.ctx(), external); err != nil {
			t.Fatal(err)
		}
	}
	if step(); n.state().Paid >= total(leaves) {
		t.Fatal("600 claims fit one block: nothing is tested here")
	}
	n.close()
	n.open()
	blocks := 1
	for step() > 0 {
		blocks++
	}
	if paid := n.state().Paid; paid != total(leaves) {
		t.Errorf("paid %s of %s", paid, total(leaves))
	}
	t.Logf("600 claims in %d blocks", blocks)
}

// Readers and the block loop share cells: the race detector looks on.
func TestManyReadersAndTheChainDoNotDisturbEachOther(t *testing.T) {
	n := startNetwork(t, localchain.Options{Interval: time.Millisecond})
	n.fund(time.Second, 10*domain.Coin)
	ctx, stop := context.WithCancel(n.ctx())
	defer stop()
	var readers sync.WaitGroup
	for i := range 8 {
		readers.Go(func() {
			h := n.vault.History(0)
			for ctx.Err() == nil {
				_, stateErr := n.vault.State(ctx)
				_, claimErr := n.vault.Claimed(ctx, payee(i))
				_, _, historyErr := h.Next(ctx)
				if err := errors.Join(stateErr, claimErr, historyErr); err != nil && ctx.Err() == nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for i := range 20 {
		n.do(n.guardian, n.vault.DepositMessage(domain.AccountID{byte(i)}, domain.Coin))
	}
	stop()
	readers.Wait()
}
