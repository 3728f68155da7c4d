package ton_test

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/xssnick/tonutils-go/tvm/cell"

	"github.com/filature/filature/adapters/ton"
	"github.com/filature/filature/adapters/ton/localchain"
	"github.com/filature/filature/domain"
	"github.com/filature/filature/domain/settlement"
)

// active is a network whose vault pays from a tree, which it has the money for.
func active(t *testing.T, tree settlement.Tree) *network {
	t.Helper()
	n := startNetwork(t, localchain.Options{Interval: 10 * time.Millisecond})
	n.fund(0, 10*domain.Coin)
	n.do(n.admin, n.vault.TopUpMessage(tree.Total()))
	n.do(n.admin, must(n.vault.ProposeMessage(ton.Root{Epoch: 1, Root: tree.Root(), Total: tree.Total()})))
	n.until("the proposal", func() bool { return n.state().Pending != nil })
	return n
}

// decode reads a link as a wallet does.
func decode(t *testing.T, link string) (to ton.Address, amount domain.Nano, body *cell.Cell) {
	t.Helper()
	u, err := url.Parse(link)
	if err != nil || u.Scheme != "ton" || u.Host != "transfer" {
		t.Fatalf("%s: %v", link, err)
	}
	nano, err := strconv.ParseInt(u.Query().Get("amount"), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	bag, err := base64.RawURLEncoding.DecodeString(u.Query().Get("bin"))
	if err != nil {
		t.Fatal(err)
	}
	return must(ton.ParseAddress(strings.TrimPrefix(u.Path, "/"))), domain.Nano(nano), must(cell.FromBOC(bag))
}

// The payee knows nothing of us but the link; another knows nothing but what a page was given for TON Connect.
func TestWhoSendsWhatTheLinkSaysGetsTheMoney(t *testing.T) {
	tree := must(settlement.NewTree(payees(300)))
	n := active(t, tree)
	leaves := slices.Collect(tree.Leaves())
	stranger := n.wallet(9)
	if err := n.chain.Faucet(stranger.Address().Account, domain.Coin); err != nil {
		t.Fatal(err)
	}
	n.until("the stranger's coins", func() bool { return must(n.client.Balance(n.ctx(), stranger.Address())) > 0 })

	request := must(ton.RequestClaim(n.vault.Address(), leaves[7].Payee, must(tree.Proof(leaves[7].Payee))))
	link := request.Link()
	if len(link) > 2000 {
		t.Errorf("the link has %d characters", len(link))
	}
	to, amount, body := decode(t, link)
	n.do(stranger, ton.Raw(to, amount, body))
	n.until("the payee's money", func() bool {
		return must(n.client.Balance(n.ctx(), ton.PayeeAddress(leaves[7].Payee))) > leaves[7].Cumulative
	})

	request = must(ton.RequestClaim(n.vault.Address(), leaves[8].Payee, must(tree.Proof(leaves[8].Payee))))
	raw, err := json.Marshal(request.TONConnect(time.Unix(1_800_000_000, 0)))
	if err != nil {
		t.Fatal(err)
	}
	var said struct {
		ValidUntil int64 `json:"validUntil"` //nolint:tagliatelle // TON Connect's name
		Messages   []struct {
			Address string `json:"address"`
			Amount  string `json:"amount"`
			Payload string `json:"payload"`
		} `json:"messages"`
	}
	if err := json.Unmarshal(raw, &said); err != nil || said.ValidUntil != 1_800_000_000 || len(said.Messages) != 1 {
		t.Fatalf("%s: %v", raw, err)
	}
	m := said.Messages[0]
	n.do(stranger, ton.Raw(must(ton.ParseAddress(m.Address)), domain.Nano(must(strconv.ParseInt(m.Amount, 10, 64))),
		must(cell.FromBOC(must(base64.StdEncoding.DecodeString(m.Payload))))))
	n.until("the other payee's money", func() bool {
		return must(n.client.Balance(n.ctx(), ton.PayeeAddress(leaves[8].Payee))) > leaves[8].Cumulative
	})
	if paid := n.state().Paid; paid != leaves[7].Cumulative+leaves[8].Cumulative {
		t.Errorf("the vault paid %s", paid)
	}
}

// The network takes no external of more than 64 KiB and a wallet no more than 255 messages, so a treasury claims for
// as many as fit, and says for how many. To claim for them again pays nobody twice.
func TestOneMessageCarriesAsManyClaimsAsFit(t *testing.T) {
	for _, c := range []struct{ payees, least, most int }{{20, 20, 20}, {400, 150, 255}, {5000, 150, 255}} {
		leaves := spread(c.payees)
		tree := must(settlement.NewTree(leaves))
		n := active(t, tree)
		treasury := &ton.Treasury{Vault: n.vault, Wallet: n.admin}
		var all []domain.ProviderID
		for _, leaf := range leaves {
			all = append(all, leaf.Payee)
		}
		sent := must(treasury.Claim(n.ctx(), tree, all))
		t.Logf("%d of %d payees in one message", sent, c.payees)
		if sent < c.least || sent > c.most {
			t.Errorf("of %d payees it claimed for %d, want %d to %d", c.payees, sent, c.least, c.most)
		}
		n.until("the payouts", func() bool { return n.state().Paid >= total(leaves[:sent]) })
		again := must(treasury.Claim(n.ctx(), tree, all[:2]))
		n.until("claims for nothing", func() bool { return len(n.history(0)) > 0 })
		if paid := n.state().Paid; again != 2 || paid != total(leaves[:sent]) {
			t.Errorf("paid %s after %d more claims, want %s", paid, again, total(leaves[:sent]))
		}
	}
}

func TestAClaimForWhoIsNotInTheTreeIsNotSent(t *testing.T) {
	tree := must(settlement.NewTree(payees(3)))
	n := active(t, tree)
	treasury := &ton.Treasury{Vault: n.vault, Wallet: n.admin}
	before := must(n.client.Balance(n.ctx(), n.admin.Address()))
	if sent, err := treasury.Claim(n.ctx(), tree, []domain.ProviderID{payee(0), payee(99)}); err == nil || sent != 0 {
		t.Errorf("sent %d: %v", sent, err)
	}
	if after := must(n.client.Balance(n.ctx(), n.admin.Address())); after != before {
		t.Errorf("the wallet had %s, has %s", before, after)
	}
}
