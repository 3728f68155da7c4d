package localchain

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/xssnick/tonutils-go/tl"
	"github.com/xssnick/tonutils-go/ton"
	"github.com/xssnick/tonutils-go/tvm/cell"
	"pgregory.net/rapid"

	"github.com/filature/filature/domain"
)

func TestTheSameInputsMakeTheSameBlocks(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var recorded []frame
		c := open(t, Options{Now: fixedClock()})
		for range rapid.IntRange(1, 5).Draw(rt, "blocks") {
			for range rapid.IntRange(0, 4).Draw(rt, "messages") {
				id := [32]byte{rapid.Byte().Draw(rt, "account")}
				if err := c.Faucet(id, domain.Nano(rapid.Int64Range(1, 1e15).Draw(rt, "amount"))); err != nil {
					rt.Fatal(err)
				}
			}
			messages := c.pool
			step(t, c)
			b := c.visible()
			recorded = append(recorded, frame{seqno: b.seqno, in: input{utime: b.utime, messages: messages}, rootHash: b.master.RootHash})
		}
		first := c.blocks[0]
		again, err := newLedger(1)
		if err != nil {
			rt.Fatal(err)
		}
		twin := &Chain{ledger: again, byHash: map[[32]byte]*block{}, changed: make(chan struct{})}
		if err := twin.replay(frame{in: input{utime: first.utime}, rootHash: first.master.RootHash}); err != nil {
			rt.Fatal(err)
		}
		for _, f := range recorded {
			if err := twin.replay(f); err != nil {
				rt.Fatalf("block %d: %v", f.seqno, err)
			}
		}
		if err := c.Close(); err != nil {
			rt.Fatal(err)
		}
	})
}

func TestTheChainGoesOnFromItsLastBlockEvenIfItsClockWasAhead(t *testing.T) {
	dir := t.TempDir()
	wall := func() time.Time { return time.Unix(1_780_000_000, 0) }
	c := open(t, Options{Dir: dir, Now: wall})
	c.Advance(time.Hour)
	c.Advance(-time.Hour) // it can't go back
	step(t, c)
	last := c.visible()
	if want := uint32(1_780_003_600); last.utime != want {
		t.Errorf("block time %d, want %d", last.utime, want)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	c = open(t, Options{Dir: dir, Now: wall})
	if got := c.visible(); !bytes.Equal(got.master.RootHash, last.master.RootHash) || got.seqno != last.seqno {
		t.Errorf("reopened at block %d %x, closed at %d %x", got.seqno, got.master.RootHash, last.seqno, last.master.RootHash)
	}
	if c.clock() < last.utime {
		t.Errorf("the clock fell back to %d", c.clock())
	}
}

func TestThePoolAndItsMessagesAreBounded(t *testing.T) {
	c := open(t, Options{})
	for range poolMessages {
		if err := c.Faucet([32]byte{1}, 1); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Faucet([32]byte{1}, 1); !errors.Is(err, ErrPoolFull) {
		t.Errorf("one more: %v", err)
	}
	if count := step(t, c); count != poolMessages {
		t.Errorf("%d transactions", count)
	}
	if err := c.Faucet([32]byte{1}, 1); err != nil {
		t.Errorf("after the block: %v", err)
	}
	for name, boc := range map[string][]byte{
		"too long":         make([]byte, messageBytes+1),
		"nothing":          nil,
		"garbage":          []byte("garbage"),
		"an empty cell":    cell.BeginCell().EndCell().ToBOC(),
		"internal message": c.pool[0].ToBOC(),
	} {
		if err := c.Send(boc); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if err := c.Faucet([32]byte{1}, 0); err == nil {
		t.Error("the faucet gave nothing")
	}
}

func TestOldBlocksAreForgottenAndOldTransactionsAreNot(t *testing.T) {
	c := open(t, Options{Now: fixedClock()})
	if err := c.Faucet([32]byte{1}, domain.Coin); err != nil {
		t.Fatal(err)
	}
	step(t, c)
	zero := c.masterchainInfo().(ton.MasterchainInfo).Init
	early := c.visible()
	for range blocksKept {
		step(t, c)
	}
	if len(c.blocks) != blocksKept || len(c.byHash) != 2*blocksKept {
		t.Errorf("%d blocks and %d hashes are kept, want %d blocks", len(c.blocks), len(c.byHash), blocksKept)
	}
	if now := c.masterchainInfo().(ton.MasterchainInfo).Init; !bytes.Equal(now.RootHash, zero.RootHash) {
		t.Errorf("the zero state was %x, and is %x", zero.RootHash, now.RootHash)
	}
	wantFailure(t, c.Answer(t.Context(), ton.GetBlockHeader{ID: early.master}), codeNotReady)
	wantFailure(t, c.Answer(t.Context(), ton.LookupBlock{Mode: 1, ID: &ton.BlockInfoShort{Workchain: -1, Seqno: 1}}), codeNotReady)
	if got := c.history(accountID{1}, 1<<62); len(got) != 1 {
		t.Errorf("%d transactions", len(got))
	}
}

func wantFailure(t *testing.T, answer tl.Serializable, code int32) {
	t.Helper()
	if failure, ok := answer.(ton.LSError); !ok || failure.Code != code {
		t.Errorf("answer %T %+v, want error %d", answer, answer, code)
	}
}

func TestWaitingForABlockEndsWithTheBlockTheTimeoutOrTheChain(t *testing.T) {
	c := open(t, Options{})
	waitFor := func(ctx context.Context, seqno, timeoutMS int32) <-chan tl.Serializable {
		answer := make(chan tl.Serializable, 1)
		go func() {
			answer <- c.Answer(ctx, []tl.Serializable{ton.WaitMasterchainSeqno{Seqno: seqno, Timeout: timeoutMS}, ton.GetMasterchainInf{}})
		}()
		return answer
	}
	there := waitFor(t.Context(), 1, 10_000)
	step(t, c)
	if info, ok := (<-there).(ton.MasterchainInfo); !ok || info.Last.SeqNo < 1 {
		t.Errorf("answer %+v", info)
	}
	wantFailure(t, <-waitFor(t.Context(), 1000, 1), codeTimeout)
	gone, leave := context.WithCancel(t.Context())
	left := waitFor(gone, 1000, 10_000)
	leave()
	wantFailure(t, <-left, codeTimeout)
	closing := waitFor(t.Context(), 1000, 10_000)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	wantFailure(t, <-closing, codeTimeout)
}

// Whatever a stranger asks, there is an answer of the protocol.
func TestEveryQueryHasAnAnswer(t *testing.T) {
	c := open(t, Options{})
	step(t, c)
	block, account := c.visible().master, &ton.AccountID{Workchain: 0, ID: make([]byte, 32)}
	short := &ton.AccountID{Workchain: 0, ID: []byte{1}}
	strange := &ton.BlockIDExt{Workchain: 7, Shard: 1, SeqNo: 99, RootHash: make([]byte, 32), FileHash: nil}
	var queries []any
	for _, id := range []*ton.BlockIDExt{nil, {}, strange, block, c.visible().shard} {
		queries = append(queries,
			ton.GetBlockHeader{ID: id}, ton.GetBlockData{ID: id}, ton.GetAllShardsInfo{ID: id},
			ton.GetConfigAll{BlockID: id}, ton.GetConfigParams{BlockID: id},
			ton.GetAccountState{ID: id}, ton.GetAccountState{ID: id, Account: *account}, ton.GetAccountState{ID: id, Account: *short},
			ton.RunSmcMethod{ID: id}, ton.RunSmcMethod{ID: id, Account: *account}, &ton.RunSmcMethod{ID: id, Account: *account, Params: []byte("x")},
			ton.GetOneTransaction{ID: id}, ton.GetOneTransaction{ID: id, AccID: account, LT: -1}, ton.GetOneTransaction{ID: id, AccID: short},
		)
	}
	queries = append(queries,
		nil, 7, "query", []tl.Serializable{}, []tl.Serializable{nil, nil}, []tl.Serializable{ton.GetTime{}, ton.GetTime{}},
		[]tl.Serializable{ton.WaitMasterchainSeqno{Seqno: -5}, nil}, (*ton.RunSmcMethod)(nil),
		ton.LookupBlock{}, ton.LookupBlock{Mode: 1}, ton.LookupBlock{Mode: 1, ID: &ton.BlockInfoShort{Seqno: -1}},
		ton.LookupBlock{Mode: 2, ID: &ton.BlockInfoShort{}},
		ton.GetTransactions{}, ton.GetTransactions{AccID: account, Limit: -1}, ton.GetTransactions{AccID: account, Limit: 1 << 30, LT: -1},
		ton.SendMessage{}, ton.SendMessage{Body: []byte{1, 2, 3}}, ton.GetLibraries{}, ton.GetState{},
		ton.GetMasterchainInf{}, ton.GetTime{}, ton.GetVersion{},
	)
	for _, q := range queries {
		if answer := c.Answer(t.Context(), q); answer == nil {
			t.Errorf("%T %+v: no answer", q, q)
		} else if failure, ok := answer.(ton.LSError); ok && failure.Code == codeInternal {
			t.Errorf("%T %+v: %s", q, q, failure.Text)
		}
	}
}

func BenchmarkEmptyBlock(b *testing.B) {
	c := open(b, Options{Now: fixedClock()})
	b.ReportAllocs()
	for b.Loop() {
		step(b, c)
	}
}

func BenchmarkTransaction(b *testing.B) {
	c := open(b, Options{Now: fixedClock()})
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if len(c.pool) == poolMessages {
			step(b, c)
		}
		if err := c.Faucet([32]byte{byte(i), byte(i >> 8)}, 1); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReplay(b *testing.B) {
	journal, roots := writtenJournal(b, 1000)
	b.Run(fmt.Sprint(len(roots)), func(b *testing.B) {
		for b.Loop() {
			if got, _, err := replayed(b, journal); err != nil || len(got) != len(roots) {
				b.Fatal(len(got), err)
			}
		}
	})
}
