package ton

import (
	"encoding/hex"
	"fmt"
	"math/big"
	"strconv"
	"testing"

	"github.com/xssnick/tonutils-go/tlb"
	"github.com/xssnick/tonutils-go/tvm"
	"github.com/xssnick/tonutils-go/tvm/cell"

	"github.com/filature/filature/adapters/ton/localchain"
	"github.com/filature/filature/domain"
)

// bench runs contracts one message at a time, at the main network's prices, so that a test can look
// between two of them. Senders need no account: it invents their messages.
type bench struct {
	t        testing.TB
	machine  *tvm.TVM
	config   *tvm.PreparedBlockchainConfig
	accounts map[Address]*tvm.PreparedAccount
	queue    []*tvm.PreparedMessage
	now      uint32
	lt       uint64
	twin     *twinWorld // executes everything again in the C++ machine
}

// step is one executed transaction.
type step struct {
	at     Address
	op     uint64 // of the message's body, 0 if it has none
	exit   int32  // of the compute phase; -1 if it was skipped
	action int32  // result of the action phase; 0 is good
	gas    uint64
	tx     *tlb.Transaction
}

func (s step) String() string { return fmt.Sprintf("%#x:%d/%d", s.op, s.exit, s.action) }

func newBench(t testing.TB) *bench {
	t.Helper()
	config, err := localchain.NetworkConfig()
	if err != nil {
		t.Fatal(err)
	}
	return &bench{
		t: t, machine: tvm.NewTVM(), config: config,
		accounts: map[Address]*tvm.PreparedAccount{}, now: 1_780_000_000, lt: 1_000_000,
		twin: newTwinWorld(t, config),
	}
}

// post puts a message on its way.
func (b *bench) post(from Address, m Message) {
	b.t.Helper()
	body := m.body
	if body == nil {
		body = cell.BeginCell().EndCell()
	}
	// The forward fee is what the sender's side paid for a message of that size, less the first part.
	sent, err := tlb.ToCell(&tlb.InternalMessage{
		IHRDisabled: true, Bounce: m.Bounce, SrcAddr: from.std(), DstAddr: m.To.std(),
		Amount: coinsOf(m.Amount), StateInit: m.init, Body: body,
		CreatedLT: b.lt, CreatedAt: b.now,
	})
	if err != nil {
		b.t.Fatal(err)
	}
	prepared, err := tvm.PrepareMessage(sent)
	if err != nil {
		b.t.Fatal(err)
	}
	b.queue = append(b.queue, prepared)
}

// send posts a message and runs everything that follows from it.
func (b *bench) send(from Address, m Message) []step {
	b.t.Helper()
	b.post(from, m)
	return b.drain()
}

func (b *bench) drain() (steps []step) {
	b.t.Helper()
	for len(b.queue) > 0 {
		steps = append(steps, b.next())
	}
	return steps
}

// next executes the first message of the queue.
func (b *bench) next() step {
	b.t.Helper()
	message := b.queue[0]
	b.queue = b.queue[1:]
	in := message.Message().AsInternal()
	at, err := addressOf(in.DstAddr)
	if err != nil {
		b.t.Fatal(err)
	}
	seed := make([]byte, 32)
	context, err := b.config.NewBlockContext(tvm.BlockOptions{Now: b.now, BlockLT: int64(b.lt), RandSeed: seed})
	if err != nil {
		b.t.Fatal(err)
	}
	lt := b.lt + 1
	before := b.account(at)
	result, err := b.machine.EmulateTransaction(context, before, message, tvm.TransactionOptions{LogicalTime: int64(lt)})
	if err != nil {
		b.t.Fatal(err)
	}
	if b.accounts[at], err = localchain.Settled(before, result); err != nil {
		b.t.Fatal(err)
	}
	b.twin.compare(b.t, twinRequest{
		Account: at.Raw(), Message: message.Cell().ToBOC(), Now: b.now, LT: strconv.FormatUint(lt, 10), Seed: hex.EncodeToString(seed),
	}, expectation{
		what:        fmt.Sprintf("transaction %d of %s, exit code %d", lt, at, result.ExitCode),
		transaction: result.TransactionCell, account: result.NextAccount.ShardAccountCell(),
	})
	b.lt = result.EndLT
	for _, out := range result.OutMessages {
		if out.Msg.MsgType != tlb.MsgTypeInternal {
			continue
		}
		prepared, err := tvm.PrepareParsedMessage(out.Cell, out.Msg)
		if err != nil {
			b.t.Fatal(err)
		}
		b.queue = append(b.queue, prepared)
	}
	tx, err := result.ParseTransaction()
	if err != nil {
		b.t.Fatal(err)
	}
	s := step{at: at, exit: -1, tx: tx}
	if body := in.Body; body != nil && body.BitsSize() >= 32 {
		s.op = body.MustBeginParse().MustLoadUInt(32)
	}
	description := tx.Description.(tlb.TransactionDescriptionOrdinary)
	if phase, ok := description.ComputePhase.Phase.(tlb.ComputePhaseVM); ok {
		s.exit, s.gas = phase.Details.ExitCode, phase.Details.GasUsed.Uint64()
	}
	if description.ActionPhase != nil {
		s.action = description.ActionPhase.ResultCode
	}
	return s
}

func (b *bench) account(at Address) *tvm.PreparedAccount {
	b.t.Helper()
	if known := b.accounts[at]; known != nil {
		return known
	}
	fresh, err := tvm.PrepareAccount(&tlb.ShardAccount{
		Account: cell.BeginCell().MustStoreBoolBit(false).EndCell(), LastTransHash: make([]byte, 32),
	}, at.std())
	if err != nil {
		b.t.Fatal(err)
	}
	b.accounts[at] = fresh
	b.twin.setAccount(b.t, at, fresh)
	return fresh
}

func (b *bench) balance(at Address) domain.Nano {
	b.t.Helper()
	account := b.accounts[at]
	if account == nil || !account.State().IsValid {
		return 0
	}
	amount, err := nanoOf(account.State().Balance)
	if err != nil {
		b.t.Fatal(err)
	}
	return amount
}

func (b *bench) data(at Address) *cell.Cell {
	account := b.accounts[at]
	if account == nil || account.State().StateInit == nil {
		return nil
	}
	return account.State().StateInit.Data
}

// place puts a contract on the chain as it could not get there by itself.
func (b *bench) place(at Address, code, data *cell.Cell, balance domain.Nano) {
	b.t.Helper()
	account, err := tlb.ToCell(&tlb.AccountState{
		IsValid: true, Address: at.std(),
		StorageInfo: tlb.StorageInfo{
			StorageUsed:  tlb.StorageUsed{BitsUsed: big.NewInt(0), CellsUsed: big.NewInt(0)},
			StorageExtra: tlb.StorageExtraNone{}, LastPaid: b.now,
		},
		AccountStorage: tlb.AccountStorage{
			Status: tlb.AccountStatusActive, Balance: coinsOf(balance),
			StateInit: &tlb.StateInit{Code: code, Data: data},
		},
	})
	if err != nil {
		b.t.Fatal(err)
	}
	prepared, err := tvm.PrepareAccount(&tlb.ShardAccount{Account: account, LastTransHash: make([]byte, 32)}, at.std())
	if err != nil {
		b.t.Fatal(err)
	}
	b.accounts[at] = prepared
	b.twin.setAccount(b.t, at, prepared)
}

// somebody is an address that nobody's contract lives at.
func somebody(name byte) Address {
	var a Address
	a.Account[0], a.Account[31] = 0xaa, name
	return a
}

func prepare(message *cell.Cell) (*tvm.PreparedMessage, error) { return tvm.PrepareMessage(message) }

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func mustCell(t testing.TB, boc []byte) *cell.Cell {
	t.Helper()
	root, err := cell.FromBOC(boc)
	if err != nil {
		t.Fatal(err)
	}
	return root
}
