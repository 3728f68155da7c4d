package ton_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"math/big"
	"testing"
	"time"

	"github.com/xssnick/tonutils-go/address"
	"github.com/xssnick/tonutils-go/liteclient"
	"github.com/xssnick/tonutils-go/tlb"
	tonlib "github.com/xssnick/tonutils-go/ton"
	"github.com/xssnick/tonutils-go/ton/wallet"
	"github.com/xssnick/tonutils-go/tvm/cell"

	"github.com/filature/filature/adapters/ton"
	"github.com/filature/filature/adapters/ton/localchain"
	"github.com/filature/filature/domain"
)

// stockClient is tonutils-go's client as anybody would set it up, proofs checked.
func stockClient(t *testing.T, chain *localchain.Chain) tonlib.APIClientWrapped {
	t.Helper()
	pool := liteclient.NewConnectionPool()
	t.Cleanup(pool.Stop)
	if err := pool.AddConnectionsFromConfigFile(chain.GlobalConfigFile()); err != nil {
		t.Fatal(err)
	}
	return tonlib.NewAPIClient(pool, tonlib.ProofCheckPolicyFast)
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func std(a ton.Address) *address.Address { return address.NewAddress(0, 0, a.Account[:]) }

func TestTheGetMethodsSayWhatTheStorageSays(t *testing.T) {
	n := startNetwork(t, localchain.Options{Interval: 5 * time.Millisecond})
	n.fund(2*time.Second, 100*domain.Coin)
	api, ctx := stockClient(t, n.chain), n.ctx()
	run := func(at ton.Address, method string, arguments ...any) []any {
		t.Helper()
		block := must(api.GetMasterchainInfo(ctx))
		return must(api.RunGetMethod(ctx, block, std(at), method, arguments...)).AsTuple()
	}
	number := func(v any) uint64 { return v.(*big.Int).Uint64() }
	digest := func(v any) (d domain.Digest) { v.(*big.Int).FillBytes(d[:]); return d }
	addr := func(v any) ton.Address {
		return must(ton.ParseAddress(v.(*cell.Slice).Copy().MustLoadAddr().StringRaw()))
	}
	check := func(when string) {
		t.Helper()
		want := n.state()
		got := run(n.vault.Address(), "get_vault_data")
		active := ton.Root{Epoch: uint32(number(got[6])), Root: digest(got[7]), Total: domain.Nano(number(got[8])), Commitment: digest(got[9])}
		if addr(got[0]) != want.Params.Admin || addr(got[1]) != want.Params.Guardian || (number(got[2]) != 0) != want.Paused ||
			time.Duration(number(got[3]))*time.Second != want.Params.Delay || uint32(number(got[4])) != want.LastEpoch ||
			domain.Nano(number(got[5])) != want.Paid || active != want.Active {
			t.Errorf("%s: get_vault_data %v, storage %+v", when, got, want)
		}
		got = run(n.vault.Address(), "get_pending_root")
		pending := ton.PendingRoot{
			Root:       ton.Root{Epoch: uint32(number(got[0])), Root: digest(got[1]), Total: domain.Nano(number(got[2])), Commitment: digest(got[3])},
			ActivateAt: time.Unix(int64(number(got[4])), 0),
		}
		if want.Pending == nil && pending.Epoch != 0 || want.Pending != nil && pending != *want.Pending {
			t.Errorf("%s: get_pending_root %v, storage %+v", when, got, want.Pending)
		}
	}
	check("new")
	leaves := payees(3)
	tree := must(ton.NewPayoutTree(leaves))
	n.do(n.admin, must(n.vault.ProposeMessage(ton.Root{Epoch: 1, Root: tree.Root(), Total: total(leaves), Commitment: domain.Digest{9}})))
	n.until("the proposal", func() bool { return n.state().Pending != nil })
	check("pending")
	n.chain.Advance(2 * time.Second)
	n.until("the delay", func() bool { return !n.head().Time.Before(n.state().Pending.ActivateAt) })
	n.do(n.admin, must(n.vault.ClaimMessage(leaves[0].Payee, must(tree.Proof(leaves[0].Payee)), n.admin.Address())))
	n.until("the payout", func() bool { return n.state().Paid > 0 })
	n.do(n.guardian, n.vault.PauseMessage(true))
	n.until("the pause", func() bool { return n.state().Paused })
	check("paid and paused")

	payeeSlice := cell.BeginCell().MustStoreAddr(std(ton.PayeeAddress(leaves[0].Payee))).ToSlice()
	n.do(n.admin, n.vault.ProposeAdminMessage(target(7)))
	n.until("the handover", func() bool { return n.state().Change != nil })
	change, waiting := run(n.vault.Address(), "get_pending_change"), n.state().Change
	if number(change[0]) != 1 || addr(change[1]) != target(7) || number(change[2]) != 0 ||
		int64(number(change[3])) != waiting.DueAt.Unix() || digest(change[4]) != waiting.ID {
		t.Errorf("get_pending_change %v, storage %+v", change, waiting)
	}
	n.do(n.guardian, n.vault.VetoChangeMessage(waiting.ID))
	n.until("its veto", func() bool { return n.state().Change == nil })
	n.do(n.admin, n.vault.ProposeUpgradeMessage(domain.Digest{7}))
	n.until("the upgrade", func() bool { return n.state().Change != nil })
	change, waiting = run(n.vault.Address(), "get_pending_change"), n.state().Change
	if number(change[0]) != 2 || change[1] != nil || digest(change[2]) != (domain.Digest{7}) || digest(change[4]) != waiting.ID {
		t.Errorf("get_pending_change %v, storage %+v", change, waiting)
	}
	reserve := run(n.vault.Address(), "get_reserve")
	after, before := domain.Nano(number(reserve[0])), domain.Nano(number(reserve[1]))
	if after <= 0 || before < 2*after-1 || before > ton.VaultReserve {
		t.Errorf("get_reserve %v, deployed with %s", reserve, ton.VaultReserve)
	}
	child := addr(run(n.vault.Address(), "get_claim_address", payeeSlice)[0])
	if child != n.vault.ClaimAccount(leaves[0].Payee) {
		t.Errorf("get_claim_address %s, computed %s", child, n.vault.ClaimAccount(leaves[0].Payee))
	}
	got := run(child, "get_claim_data")
	if addr(got[0]) != n.vault.Address() || addr(got[1]) != ton.PayeeAddress(leaves[0].Payee) || domain.Nano(number(got[2])) != leaves[0].Cumulative {
		t.Errorf("get_claim_data %v", got)
	}
	block := must(api.GetMasterchainInfo(ctx))
	_, err := api.RunGetMethod(ctx, block, std(n.vault.ClaimAccount(leaves[1].Payee)), "get_claim_data")
	var exec tonlib.ContractExecError
	if !errors.As(err, &exec) || exec.Code != tonlib.ErrCodeContractNotInitialized {
		t.Errorf("get-method of nobody: %v", err)
	}
	if _, err := api.RunGetMethod(ctx, block, std(n.vault.Address()), "no_such_method"); !errors.As(err, &exec) {
		t.Errorf("get-method that isn't there: %v", err)
	}
}

func TestTheStockWalletAndClientWorkUnchanged(t *testing.T) {
	n := startNetwork(t, localchain.Options{Interval: 5 * time.Millisecond})
	api, ctx := stockClient(t, n.chain), n.ctx()
	w := must(wallet.FromPrivateKeyWithOptions(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{5}, 32)),
		wallet.ConfigV5R1Final{NetworkGlobalID: localchain.GlobalID}, wallet.WithAPI(api)))
	n.faucet(must(ton.ParseAddress(w.WalletAddress().StringRaw())), 10*domain.Coin)

	to := target(1)
	tx, shard, err := w.SendWaitTransaction(ctx, must(w.BuildTransfer(std(to), tlb.MustFromTON("1.5"), false, "a comment")))
	if err != nil {
		t.Fatal(err)
	}
	n.until("the transfer", func() bool {
		balance, err := n.client.Balance(ctx, to)
		return err == nil && balance == 3*domain.Coin/2
	})
	block := must(api.GetMasterchainInfo(ctx))
	account := must(api.GetAccount(ctx, block, w.WalletAddress()))
	if account.State.Status != tlb.AccountStatusActive || account.LastTxLT != tx.LT {
		t.Errorf("wallet is %s, last transaction %d, want %d", account.State.Status, account.LastTxLT, tx.LT)
	}
	if absent := must(api.GetAccount(ctx, block, std(target(200)))); absent.IsActive || absent.State != nil {
		t.Errorf("an account that doesn't exist: %+v", absent)
	}
	shards := must(api.GetBlockShardsInfo(ctx, block))
	if len(shards) != 1 {
		t.Fatalf("%d shards", len(shards))
	}
	if shard.Workchain == -1 {
		shard = must(api.GetBlockShardsInfo(ctx, shard))[0]
	}
	// The transaction, proven from its own block, and found in the block's data.
	found := false
	for seqno := shard.SeqNo; !found && seqno > 0; seqno-- {
		candidate := must(api.LookupBlock(ctx, 0, shard.Shard, seqno))
		for _, other := range must(must(api.GetBlockData(ctx, candidate)).ListTransactions()) {
			if other.LT == tx.LT {
				found = true
				one := must(api.GetTransaction(ctx, candidate, w.WalletAddress(), tx.LT))
				if !bytes.Equal(one.Hash, tx.Hash) {
					t.Errorf("transaction %x, want %x", one.Hash, tx.Hash)
				}
			}
		}
	}
	if !found {
		t.Error("the transaction is in no block")
	}
	config := must(api.GetBlockchainConfig(ctx, block))
	version := must(config.GetGlobalVersion())
	if version.Version != 13 {
		t.Errorf("global version %d", version.Version)
	}
	if err := api.SendExternalMessage(ctx, tx.IO.In.AsExternalIn()); err == nil {
		t.Error("the chain took a replayed message")
	}
	next := must(api.WaitForBlock(block.SeqNo + 3).GetMasterchainInfo(ctx))
	if next.SeqNo < block.SeqNo+3 {
		t.Errorf("waited for block %d, got %d", block.SeqNo+3, next.SeqNo)
	}
	transactions := make(chan *tlb.Transaction, 16)
	watching, stop := context.WithCancel(ctx)
	defer stop()
	go api.SubscribeOnTransactions(watching, w.WalletAddress(), 0, transactions)
	if first := <-transactions; first.IO.In.MsgType != tlb.MsgTypeInternal {
		t.Errorf("the wallet's first transaction is a %s", first.IO.In.MsgType)
	}
}
