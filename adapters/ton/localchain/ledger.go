package localchain

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/big"

	"github.com/xssnick/tonutils-go/address"
	"github.com/xssnick/tonutils-go/tlb"
	"github.com/xssnick/tonutils-go/ton"
	"github.com/xssnick/tonutils-go/tvm"
	"github.com/xssnick/tonutils-go/tvm/cell"
)

// lt counts logical time, TON's order of events: every transaction and every message has one, and
// no two of an account's are equal.
const ltPerBlock = 1_000_000 // a block starts at the next multiple, as on the main network

// accountID is the address of a basechain account without its workchain.
type accountID [32]byte

func (id accountID) address() *address.Address { return address.NewAddress(0, 0, id[:]) }

func (id accountID) key() *cell.Cell {
	return cell.BeginCell().MustStoreSlice(id[:], 256).EndCell()
}

// transaction is one executed transaction, kept for ever: the history is what watchers read.
type transaction struct {
	lt    uint64
	cell  *cell.Cell
	block *ton.BlockIDExt
}

// account is what the executor needs of an account between two of its transactions.
type account struct {
	prepared *tvm.PreparedAccount
	stat     *cell.Cell // the executor's own count of the account's cells
	history  []transaction
}

// input is what a block takes from outside: nothing else decides what is in it.
type input struct {
	utime    uint32       // the block's time, unix seconds
	messages []*cell.Cell // external messages and faucet transfers, in order
}

// ledger is the state of the whole chain after its last block. It is a pure function of the inputs
// so far: no clock, no randomness, no map iteration that reaches a block. That is why the journal
// needs to keep only the inputs.
type ledger struct {
	machine  *tvm.TVM
	config   *tvm.PreparedBlockchainConfig
	accounts map[accountID]*account
	shard    *tlb.ShardAccountsAugDict
	lt       uint64
	queue    []*tvm.PreparedMessage // on their way when the last block was full
	last     *block
}

func newLedger(prices uint64) (*ledger, error) {
	config, err := networkConfig(prices)
	if err != nil {
		return nil, fmt.Errorf("network configuration: %w", err)
	}
	shard, err := tlb.NewShardAccountsAugDict()
	if err != nil {
		return nil, fmt.Errorf("shard accounts: %w", err)
	}
	return &ledger{
		machine:  tvm.NewTVM(),
		config:   config,
		accounts: map[accountID]*account{},
		shard:    shard,
	}, nil
}

// account returns the account, which may not exist on the chain yet.
func (l *ledger) account(id accountID) (*account, error) {
	if known := l.accounts[id]; known != nil {
		return known, nil
	}
	prepared, err := tvm.PrepareAccount(&tlb.ShardAccount{
		Account:       cell.BeginCell().MustStoreBoolBit(false).EndCell(), // account_none
		LastTransHash: make([]byte, 32),
	}, id.address())
	if err != nil {
		return nil, fmt.Errorf("account %x: %w", id, err)
	}
	return &account{prepared: prepared}, nil
}

// touched is what one block did to one account.
type touched struct {
	id           accountID
	account      *account
	oldStateHash []byte
	transactions *tlb.AccountTransactionsAugDict
}

// blockWork collects a block while it is made. Order is the order of first touch.
type blockWork struct {
	byID    map[accountID]*touched
	ordered []*touched
	gas     int64
	count   int
}

// next makes the next block: first what the last block left over, then the input, then every
// message that follows from them, until the block is full. An error leaves the ledger unusable.
func (l *ledger) next(in input) (*block, error) {
	l.lt = (l.lt/ltPerBlock + 1) * ltPerBlock
	startLT := l.lt
	seed := sha256.Sum256(binary.BigEndian.AppendUint64(nil, startLT))
	context, err := l.config.NewBlockContext(tvm.BlockOptions{Now: in.utime, BlockLT: int64(startLT), RandSeed: seed[:]})
	if err != nil {
		return nil, fmt.Errorf("block context: %w", err)
	}

	queue := l.queue
	for _, message := range in.messages {
		prepared, err := tvm.PrepareMessage(message)
		if err != nil {
			return nil, fmt.Errorf("input message %x: %w", message.Hash(), err)
		}
		queue = append(queue, prepared)
	}
	work := &blockWork{byID: map[accountID]*touched{}}
	for len(queue) > 0 && work.gas < blockGasLimit() {
		sent, err := l.execute(context, work, queue[0])
		if err != nil {
			return nil, err
		}
		queue = append(queue[1:], sent...)
	}
	l.queue = queue

	made, err := l.seal(in.utime, startLT, work)
	if err != nil {
		return nil, fmt.Errorf("block %d: %w", l.nextSeqno(), err)
	}
	l.last = made
	return made, nil
}

func blockGasLimit() int64 {
	return int64(blockLimitsBasechain.Limits.(tlb.BlockLimitsV1).Gas.SoftLimit)
}

func (l *ledger) nextSeqno() uint32 {
	if l.last == nil {
		return 0
	}
	return l.last.seqno + 1
}

// execute runs one message on its destination and returns the messages that it sends. A message
// that can't be executed leaves no trace: an external one was not accepted, and an internal one to
// a place that doesn't exist here (the masterchain has no accounts) is lost.
func (l *ledger) execute(context *tvm.BlockContext, work *blockWork, message *tvm.PreparedMessage) ([]*tvm.PreparedMessage, error) {
	id, ok := destination(message)
	if !ok {
		return nil, nil
	}
	target, err := l.account(id)
	if err != nil {
		return nil, err
	}
	result, err := emulate(l.machine, context, target, message, l.lt+1)
	if err != nil || result.TransactionCell == nil {
		return nil, nil //nolint:nilerr // the executor's refusal of a message is an outcome, and the same at every replay
	}

	entry := work.byID[id]
	if entry == nil {
		transactions, err := tlb.NewAccountTransactionsAugDict()
		if err != nil {
			return nil, fmt.Errorf("account %x: transactions: %w", id, err)
		}
		entry = &touched{
			id: id, account: target, transactions: transactions,
			oldStateHash: target.prepared.ShardAccount().Account.Hash(),
		}
		work.byID[id] = entry
		work.ordered = append(work.ordered, entry)
		l.accounts[id] = target
	}
	if target.prepared, err = Settled(target.prepared, result); err != nil {
		return nil, err
	}
	target.stat = result.AccountStorageStat
	lt := target.prepared.ShardAccount().LastTransLT
	reference := cell.BeginCell().MustStoreRef(result.TransactionCell).EndCell()
	if err := entry.transactions.SetIntKey(new(big.Int).SetUint64(lt), reference); err != nil {
		return nil, fmt.Errorf("account %x: transaction %d: %w", id, lt, err)
	}
	target.history = append(target.history, transaction{lt: lt, cell: result.TransactionCell})

	var sent []*tvm.PreparedMessage
	for _, out := range result.OutMessages {
		if out.Msg.MsgType != tlb.MsgTypeInternal {
			continue
		}
		prepared, err := tvm.PrepareParsedMessage(out.Cell, out.Msg)
		if err != nil {
			return nil, fmt.Errorf("account %x: message %x: %w", id, out.Cell.Hash(), err)
		}
		sent = append(sent, prepared)
	}
	l.lt = max(l.lt, result.EndLT)
	work.gas += result.GasUsed
	work.count++
	return sent, nil
}

// Settled returns an account as a transaction left it, for the next one to be executed on. Where the
// transaction set new code, that is read again from its bytes: in tonutils-go v1.18 the cells of code that
// SETCODE was given still report to the machine that ran SETCODE, each later load is charged to what gas
// that run had left, and when it is used up every transaction of the account fails with -14. The C++ machine
// knows nothing of the kind (adapters/ton's tests compare the two).
func Settled(before *tvm.PreparedAccount, result *tvm.TransactionExecutionResult) (*tvm.PreparedAccount, error) {
	after := result.NextAccount
	if codeOf(after) == codeOf(before) {
		return after, nil
	}
	stored, err := cell.FromBOC(after.ShardAccountCell().ToBOC())
	if err != nil {
		return nil, fmt.Errorf("account %s: read its new code: %w", after.Address(), err)
	}
	var account tlb.ShardAccount
	if err := tlb.Parse(&account, stored); err != nil {
		return nil, fmt.Errorf("account %s: read its new code: %w", after.Address(), err)
	}
	return tvm.PrepareAccount(&account, after.Address())
}

func codeOf(account *tvm.PreparedAccount) (hash [32]byte) {
	if init := account.State().StateInit; init != nil && init.Code != nil {
		hash = init.Code.HashKey()
	}
	return hash
}

// accepts says whether an external message would be accepted now, as a node asks before it lets a
// message into its pool.
func (l *ledger) accepts(message *tvm.PreparedMessage, utime uint32) (accepted bool, err error) {
	defer recovered(&err)
	id, ok := destination(message)
	if !ok {
		return false, fmt.Errorf("destination is not an account of the basechain")
	}
	target, err := l.account(id)
	if err != nil {
		return false, err
	}
	context, err := l.config.NewBlockContext(tvm.BlockOptions{Now: utime, RandSeed: make([]byte, 32)})
	if err != nil {
		return false, err
	}
	return l.machine.CheckExternalMessageAccepted(context, target.prepared, message, tvm.TransactionOptions{LogicalTime: int64(l.lt) + 1})
}

func destination(message *tvm.PreparedMessage) (accountID, bool) {
	var to *address.Address
	switch m := message.Message().Msg.(type) {
	case *tlb.InternalMessage:
		to = m.DstAddr
	case *tlb.ExternalMessage:
		to = m.DstAddr
	}
	if to == nil || to.Type() != address.StdAddress || to.Workchain() != 0 || len(to.Data()) != 32 {
		return accountID{}, false
	}
	return accountID(to.Data()), true
}

// emulate runs one transaction. What the chain executes comes from strangers, so a panic in the
// executor must cost one message and not the process.
func emulate(
	machine *tvm.TVM, context *tvm.BlockContext, target *account, message *tvm.PreparedMessage, lt uint64,
) (result *tvm.TransactionExecutionResult, err error) {
	defer recovered(&err)
	return machine.EmulateTransaction(context, target.prepared, message,
		tvm.TransactionOptions{LogicalTime: int64(lt), AccountStorageStat: target.stat})
}

func recovered(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("panic: %v", r)
	}
}
