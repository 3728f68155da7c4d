package localchain

import (
	"context"
	"fmt"
	"math/big"
	"reflect"
	"slices"
	"time"

	"github.com/xssnick/tonutils-go/tl"
	"github.com/xssnick/tonutils-go/tlb"
	"github.com/xssnick/tonutils-go/ton"
	"github.com/xssnick/tonutils-go/tvm"
	"github.com/xssnick/tonutils-go/tvm/cell"
	"github.com/xssnick/tonutils-go/tvm/tuple"
	"github.com/xssnick/tonutils-go/tvm/vm"
)

// The lite-server's own error codes, which clients know.
const (
	codeBadQuery      = -400
	codeInternal      = -500
	codeNoContract    = -256
	codeNotReady      = 651 // no such block (any more)
	codeTimeout       = 652
	codeNotAccepted   = 0
	serverVersion     = 0x101
	serverFeatures    = 7
	maxWait           = 10 * time.Second // a real server's bound on waitMasterchainSeqno
	maxTransactions   = 16               // a real server's bound on getTransactions
	getMethodGasLimit = 10_000_000
)

// Answer answers one lite-server query. It never fails: what can't be answered, and what makes the
// machine panic, gets a lite-server error.
func (c *Chain) Answer(ctx context.Context, query any) (answer tl.Serializable) {
	defer func() {
		if r := recover(); r != nil {
			answer = failure(codeInternal, "panic: %v", r)
		}
	}()
	if wait, ok := query.([]tl.Serializable); ok {
		if len(wait) != 2 {
			return failure(codeBadQuery, "want a wait and one query, got %d", len(wait))
		}
		return c.afterWait(ctx, wait[0], wait[1])
	}
	if v := reflect.ValueOf(query); v.Kind() == reflect.Pointer && !v.IsNil() {
		query = v.Elem().Interface()
	}
	switch q := query.(type) {
	case ton.GetMasterchainInf:
		return c.masterchainInfo()
	case ton.GetTime:
		return ton.CurrentTime{Now: c.clock()}
	case ton.GetVersion:
		return ton.Version{Version: serverVersion, Capabilities: serverFeatures, Now: c.clock()}
	case ton.LookupBlock:
		return c.lookup(q)
	case ton.GetBlockHeader:
		return c.blockHeader(q.ID)
	case ton.GetBlockData:
		return c.blockData(q.ID)
	case ton.GetAllShardsInfo:
		return c.allShards(q.ID)
	case ton.GetAccountState:
		return c.accountState(q)
	case ton.RunSmcMethod:
		return c.runMethod(q)
	case ton.SendMessage:
		if err := c.Send(q.Body); err != nil {
			return failure(codeNotAccepted, "cannot apply external message to current state : %v", err)
		}
		return ton.SendMessageStatus{Status: 1}
	case ton.GetTransactions:
		return c.transactions(q)
	case ton.GetOneTransaction:
		return c.oneTransaction(q)
	case ton.GetConfigAll:
		return c.configuration(q.BlockID)
	case ton.GetConfigParams:
		return c.configuration(q.BlockID)
	default:
		return failure(codeBadQuery, "unsupported query %T", query)
	}
}

func failure(code int32, format string, args ...any) ton.LSError {
	return ton.LSError{Code: code, Text: fmt.Sprintf(format, args...)}
}

// afterWait answers a query once a block exists.
func (c *Chain) afterWait(ctx context.Context, wait, query tl.Serializable) tl.Serializable {
	until, ok := wait.(ton.WaitMasterchainSeqno)
	if !ok {
		return failure(codeBadQuery, "unsupported prefix %T", wait)
	}
	ctx, cancel := context.WithTimeout(ctx, min(maxWait, time.Duration(until.Timeout)*time.Millisecond))
	defer cancel()
	for {
		c.mu.Lock()
		there := int64(c.visible().seqno) >= int64(until.Seqno)
		changed, stopped := c.changed, c.stopped
		c.mu.Unlock()
		if there {
			return c.Answer(ctx, query)
		}
		if stopped != nil {
			return failure(codeTimeout, "%v", stopped)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return failure(codeTimeout, "timeout")
		}
	}
}

func (c *Chain) clock() uint32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.utime()
}

// visible is the last block that is durable; the ledger may hold one more whose journal entry
// failed. The caller holds the lock.
func (c *Chain) visible() *block { return c.blocks[len(c.blocks)-1] }

// find returns the block that an id names, if it is still kept. Blocks don't change, so proofs are
// made from them without holding up the chain.
func (c *Chain) find(id *ton.BlockIDExt) (*block, bool) {
	if id == nil || len(id.RootHash) != 32 {
		return nil, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.byHash[[32]byte(id.RootHash)]
	return b, b != nil
}

// findMaster is find for queries that start from a masterchain block.
func (c *Chain) findMaster(id *ton.BlockIDExt) (*block, bool) {
	b, ok := c.find(id)
	return b, ok && id.Workchain == masterchain
}

func notFound() ton.LSError { return failure(codeNotReady, "block not found") }

func (c *Chain) masterchainInfo() tl.Serializable {
	c.mu.Lock()
	last := c.visible()
	c.mu.Unlock()
	return ton.MasterchainInfo{Last: last.master, StateRootHash: last.masterState.Hash(), Init: c.zero}
}

func (c *Chain) lookup(q ton.LookupBlock) tl.Serializable {
	const bySeqno = 1
	if q.ID == nil || q.Mode&7 != bySeqno {
		return failure(codeBadQuery, "blocks are found by number only")
	}
	c.mu.Lock()
	first := int64(c.blocks[0].seqno)
	var b *block
	if at := int64(q.ID.Seqno) - first; at >= 0 && at < int64(len(c.blocks)) {
		b = c.blocks[at]
	}
	c.mu.Unlock()
	if b == nil {
		return notFound()
	}
	if q.ID.Workchain == masterchain {
		return c.blockHeader(b.master)
	}
	return c.blockHeader(b.shard)
}

func (c *Chain) blockHeader(id *ton.BlockIDExt) tl.Serializable {
	b, ok := c.find(id)
	if !ok {
		return notFound()
	}
	own, content := b.part(id.Workchain)
	return ton.BlockHeader{ID: own, HeaderProof: proveHeader(content).ToBOC()}
}

func (c *Chain) blockData(id *ton.BlockIDExt) tl.Serializable {
	b, ok := c.find(id)
	if !ok {
		return notFound()
	}
	own, content := b.part(id.Workchain)
	return ton.BlockData{ID: own, Payload: content.ToBOC()}
}

// part returns the block of one workchain.
func (b *block) part(workchain int32) (*ton.BlockIDExt, *cell.Cell) {
	if workchain == masterchain {
		return b.master, b.masterBlock
	}
	return b.shard, b.shardBlock
}

func (c *Chain) allShards(id *ton.BlockIDExt) tl.Serializable {
	b, ok := c.findMaster(id)
	if !ok {
		return notFound()
	}
	extra := cellAt(b.masterState, 3).MustBeginParse()
	extra.MustLoadUInt(16)
	shards, err := extra.LoadDict(32)
	if err != nil {
		return failure(codeInternal, "shards: %v", err)
	}
	return ton.AllShardsInfo{ID: b.master, Proof: b.shardProof(), Data: cell.BeginCell().MustStoreDict(shards).EndCell()}
}

func (c *Chain) accountState(q ton.GetAccountState) tl.Serializable {
	b, ok := c.findMaster(q.ID)
	if !ok {
		return notFound()
	}
	if q.Account.Workchain != basechain || len(q.Account.ID) != 32 {
		return failure(codeBadQuery, "account is not in the basechain")
	}
	state, proof, err := b.accountState(accountID(q.Account.ID))
	if err != nil {
		return failure(codeInternal, "account state: %v", err)
	}
	answer := ton.AccountState{ID: b.master, Shard: b.shard, ShardProof: b.shardProof(), Proof: proof}
	if state != nil {
		answer.State = state.Account
	}
	return answer
}

// runMethod runs a get-method on the state of a past block.
func (c *Chain) runMethod(q ton.RunSmcMethod) tl.Serializable {
	const wantProof, wantState = 1, 2
	b, ok := c.findMaster(q.ID)
	if !ok {
		return notFound()
	}
	if q.Account.Workchain != basechain || len(q.Account.ID) != 32 {
		return failure(codeBadQuery, "account is not in the basechain")
	}
	arguments, err := parseStack(q.Params)
	if err != nil {
		return failure(codeBadQuery, "arguments: %v", err)
	}
	id := accountID(q.Account.ID)
	state, proof, err := b.accountState(id)
	if err != nil {
		return failure(codeInternal, "account state: %v", err)
	}
	if state == nil {
		return failure(codeNoContract, "contract is not initialized")
	}
	prepared, err := tvm.PrepareAccount(state, id.address())
	if err != nil {
		return failure(codeInternal, "account state: %v", err)
	}
	if prepared.State().Status != tlb.AccountStatusActive {
		return failure(codeNoContract, "contract is not initialized")
	}
	result, err := c.ledger.runGetMethod(b, prepared, q.MethodID, arguments)
	if err != nil {
		return failure(codeInternal, "vm: %v", err)
	}
	answer := ton.RunMethodResult{Mode: q.Mode, ID: b.master, ShardBlock: b.shard, ExitCode: int32(result.ExitCode)}
	if q.Mode&(wantProof|wantState) != 0 {
		answer.ShardProof, answer.Proof = b.shardProof(), proof
		if answer.StateProof, err = cell.CreateMerkleProof(state.Account); err != nil {
			return failure(codeInternal, "state proof: %v", err)
		}
	}
	if result.Stack != nil && (result.ExitCode == 0 || result.ExitCode == 1) {
		stack, err := tlb.NewStackFromVM(result.Stack)
		if err != nil {
			return failure(codeInternal, "result: %v", err)
		}
		if answer.Result, err = stack.ToCell(); err != nil {
			return failure(codeInternal, "result: %v", err)
		}
	}
	return answer
}

// parseStack reads the arguments of a get-method, first one first.
func parseStack(boc []byte) ([]any, error) {
	root, err := cell.FromBOC(boc)
	if err != nil {
		return nil, err
	}
	var stack tlb.Stack
	if err := tlb.Parse(&stack, root); err != nil {
		return nil, err
	}
	var arguments []any
	for stack.Depth() > 0 {
		argument, err := stack.Pop()
		if err != nil {
			return nil, err
		}
		arguments = append(arguments, argument)
	}
	slices.Reverse(arguments)
	return arguments, nil
}

// runGetMethod reads only what never changes in a ledger, so it needs no lock.
func (l *ledger) runGetMethod(b *block, target *tvm.PreparedAccount, method uint64, arguments []any) (*tvm.ExecutionResult, error) {
	stack := vm.NewStack()
	for _, argument := range arguments {
		if err := stack.PushHostValue(argument); err != nil {
			return nil, err
		}
	}
	if err := stack.PushOwnedInt(new(big.Int).SetUint64(method)); err != nil {
		return nil, err
	}
	context, err := l.config.NewBlockContext(tvm.BlockOptions{Now: b.utime})
	if err != nil {
		return nil, err
	}
	unpacked, _ := context.UnpackedConfig()
	state := target.State()
	zero := func() *big.Int { return new(big.Int) }
	number := func(n uint64) *big.Int { return new(big.Int).SetUint64(n) }
	// SmartContractInfo of version 11 and later, in the order of the TVM specification (c7).
	info := tuple.NewTupleValue(
		number(0x076ef1ea), zero(), zero(), // magic, actions, messages sent
		number(uint64(b.utime)), number(b.endLT), number(b.endLT), zero(), // time, block lt, lt, random seed
		tuple.NewTupleValue(state.Balance.Nano(), nil),
		cell.BeginCell().MustStoreAddr(target.Address()).ToSlice(),
		l.config.Root(), state.StateInit.Code,
		tuple.NewTupleValue(zero(), nil), zero(), nil, // incoming value, storage fees, previous blocks
		unpacked, zero(), nil, nil, // configuration, due payment, precompiled gas, message parameters
	)
	return l.machine.ExecuteGetMethod(state.StateInit.Code, state.StateInit.Data, tuple.NewTupleValue(info),
		vm.GasWithLimit(getMethodGasLimit), stack, tvm.ExecutionConfig{Config: l.config})
}

// transactions lists an account's history backwards from a transaction.
func (c *Chain) transactions(q ton.GetTransactions) tl.Serializable {
	if q.AccID == nil || q.AccID.Workchain != basechain || len(q.AccID.ID) != 32 || q.Limit <= 0 {
		return failure(codeBadQuery, "want an account of the basechain and a positive limit")
	}
	history := c.history(accountID(q.AccID.ID), uint64(q.LT))
	if len(history) == 0 {
		return failure(codeNotAccepted, "transaction not found")
	}
	history = history[max(0, len(history)-min(int(q.Limit), maxTransactions)):]
	var answer ton.TransactionList
	cells := make([]*cell.Cell, 0, len(history))
	for _, t := range slices.Backward(history) {
		answer.IDs = append(answer.IDs, t.block)
		cells = append(cells, t.cell)
	}
	answer.Transactions = cell.ToBOCWithOptions(cells, cell.BOCSerializeOptions{})
	return answer
}

// history returns an account's transactions up to and including the logical time.
func (c *Chain) history(id accountID, upTo uint64) []transaction {
	c.mu.Lock()
	defer c.mu.Unlock()
	known := c.ledger.accounts[id]
	if known == nil {
		return nil
	}
	end, found := slices.BinarySearchFunc(known.history, upTo, func(t transaction, lt uint64) int {
		switch {
		case t.lt < lt:
			return -1
		case t.lt > lt:
			return 1
		default:
			return 0
		}
	})
	if found {
		end++
	}
	for end > 0 && known.history[end-1].block.SeqNo > c.visible().seqno {
		end--
	}
	return known.history[:end:end]
}

func (c *Chain) oneTransaction(q ton.GetOneTransaction) tl.Serializable {
	b, ok := c.find(q.ID)
	if !ok {
		return notFound()
	}
	if q.AccID == nil || q.AccID.Workchain != basechain || len(q.AccID.ID) != 32 {
		return failure(codeBadQuery, "want an account of the basechain")
	}
	id := accountID(q.AccID.ID)
	history := c.history(id, uint64(q.LT))
	if len(history) == 0 || history[len(history)-1].lt != uint64(q.LT) {
		return failure(codeNotAccepted, "transaction not found")
	}
	proof, err := b.transactionProof(id, uint64(q.LT))
	if err != nil {
		return failure(codeInternal, "transaction proof: %v", err)
	}
	return ton.TransactionInfo{ID: b.shard, Proof: proof.ToBOC(), Transaction: history[len(history)-1].cell.ToBOC()}
}

func (c *Chain) configuration(id *ton.BlockIDExt) tl.Serializable {
	b, ok := c.findMaster(id)
	if !ok {
		return notFound()
	}
	proof, err := b.configProof()
	if err != nil {
		return failure(codeInternal, "configuration proof: %v", err)
	}
	return ton.ConfigAll{ID: b.master, StateProof: proveHeader(b.masterBlock).ToBOC(), ConfigProof: proof.ToBOC()}
}
