package localchain

import (
	"crypto/sha256"
	"fmt"
	"math/big"

	"github.com/xssnick/tonutils-go/tlb"
	"github.com/xssnick/tonutils-go/ton"
	"github.com/xssnick/tonutils-go/tvm/cell"
)

// One shard holds the whole basechain, and every basechain block has its masterchain block: same
// number, same time. Both are real cells of block.tlb, with the parts that a client's proofs go
// through; what no client of ours reads is left empty (message queues, value flow, signatures).
const (
	wholeShard    = int64(-0x8000000000000000)
	masterchain   = int32(-1)
	basechain     = int32(0)
	tagBlock      = 0x11ef55aa
	tagBlockExtra = 0x4a33f6fd
	tagState      = 0x9023afe2
	tagMcState    = 0xcc26 // masterchain_state_extra
	tagMcBlock    = 0xcca5 // masterchain_block_extra
	tagHashUpdate = 0x72
	tagAcctBlock  = 5
)

// block is one basechain block and its masterchain block. It never changes once it is made.
type block struct {
	seqno       uint32
	utime       uint32
	endLT       uint64
	count       int // transactions
	shard       *ton.BlockIDExt
	shardBlock  *cell.Cell
	shardState  *cell.Cell
	master      *ton.BlockIDExt
	masterBlock *cell.Cell
	masterState *cell.Cell
}

// header is what the header cell of a block says.
type header struct {
	workchain      int32
	seqno, utime   uint32
	startLT, endLT uint64
	previous       *ton.BlockIDExt
	previousLT     uint64
	master         *ton.BlockIDExt // for a shard's block: the masterchain block it builds on
}

// seal writes the accounts that a block touched into the shard's state and builds both blocks.
func (l *ledger) seal(utime uint32, startLT uint64, work *blockWork) (*block, error) {
	accountBlocks, err := tlb.NewShardAccountBlocksAugDict()
	if err != nil {
		return nil, err
	}
	for _, t := range work.ordered {
		if err := l.shard.Set(t.id.key(), t.account.prepared.ShardAccountCell()); err != nil {
			return nil, fmt.Errorf("account %x: %w", t.id, err)
		}
		entry, err := t.accountBlock()
		if err != nil {
			return nil, fmt.Errorf("account %x: %w", t.id, err)
		}
		if err := accountBlocks.Set(t.id.key(), entry); err != nil {
			return nil, fmt.Errorf("account %x: %w", t.id, err)
		}
	}
	previous := l.last
	if previous == nil {
		previous = nothingBefore()
	}
	made := &block{seqno: l.nextSeqno(), utime: utime, endLT: l.lt + 1, count: work.count}
	if err := made.buildShard(l, previous, startLT, accountBlocks); err != nil {
		return nil, fmt.Errorf("basechain: %w", err)
	}
	if err := made.buildMaster(l, previous, startLT); err != nil {
		return nil, fmt.Errorf("masterchain: %w", err)
	}
	for _, t := range work.ordered {
		for i := len(t.account.history) - 1; i >= 0 && t.account.history[i].block == nil; i-- {
			t.account.history[i].block = made.shard
		}
	}
	return made, nil
}

// accountBlock is acc_trans#5: the account's transactions in this block and its state's two hashes.
func (t *touched) accountBlock() (*cell.Cell, error) {
	inline, err := t.transactions.InlineCell()
	if err != nil {
		return nil, err
	}
	update := cell.BeginCell().MustStoreUInt(tagHashUpdate, 8).
		MustStoreSlice(t.oldStateHash, 256).
		MustStoreSlice(t.account.prepared.ShardAccount().Account.Hash(), 256).EndCell()
	return cell.BeginCell().MustStoreUInt(tagAcctBlock, 4).MustStoreSlice(t.id[:], 256).
		MustStoreBuilder(inline.ToBuilder()).MustStoreRef(update).EndCell(), nil
}

func (b *block) buildShard(l *ledger, previous *block, startLT uint64, accountBlocks *tlb.ShardAccountBlocksAugDict) error {
	accounts, err := l.shard.ToCell()
	if err != nil {
		return err
	}
	changes, err := accountBlocks.ToCell()
	if err != nil {
		return err
	}
	b.shardState = b.state(basechain, accounts, nil)
	b.shardBlock, err = blockCell(header{
		workchain: basechain, seqno: b.seqno, utime: b.utime, startLT: startLT, endLT: b.endLT,
		previous: previous.shard, previousLT: previous.endLT, master: previous.master,
	}, previous.shardState, b.shardState, changes, nil)
	if err != nil {
		return err
	}
	b.shard = blockID(basechain, b.seqno, b.shardBlock)
	return nil
}

func (b *block) buildMaster(l *ledger, previous *block, startLT uint64) error {
	shards, err := b.shardHashes(startLT)
	if err != nil {
		return err
	}
	noAccounts, err := tlb.NewShardAccountsAugDict()
	if err != nil {
		return err
	}
	accounts, err := noAccounts.ToCell()
	if err != nil {
		return err
	}
	noChanges, err := tlb.NewShardAccountBlocksAugDict()
	if err != nil {
		return err
	}
	changes, err := noChanges.ToCell()
	if err != nil {
		return err
	}
	noFees, err := tlb.NewShardFeesAugDict()
	if err != nil {
		return err
	}
	fees, err := noFees.ToCell()
	if err != nil {
		return err
	}

	// flags, validator_info, prev_blocks (empty, with its augmentation), after_key_block, last_key_block
	info := cell.BeginCell().MustStoreUInt(0, 16).MustStoreUInt(0, 65).MustStoreUInt(0, 1+1+64).
		MustStoreBoolBit(false).MustStoreBoolBit(false).EndCell()
	stateExtra := cell.BeginCell().MustStoreUInt(tagMcState, 16).MustStoreDict(shards).
		MustStoreSlice(configAccount(), 256).MustStoreRef(l.config.Root()).
		MustStoreRef(info).MustStoreUInt(0, 5).EndCell() // global_balance: none
	b.masterState = b.state(masterchain, accounts, stateExtra)

	blockExtra := cell.BeginCell().MustStoreUInt(tagMcBlock, 16).MustStoreBoolBit(false).MustStoreDict(shards).
		MustStoreBuilder(fees.ToBuilder()).
		MustStoreRef(cell.BeginCell().MustStoreUInt(0, 3).EndCell()). // no signatures, no recover and mint messages
		EndCell()
	b.masterBlock, err = blockCell(header{
		workchain: masterchain, seqno: b.seqno, utime: b.utime, startLT: startLT, endLT: b.endLT,
		previous: previous.master, previousLT: previous.endLT,
	}, previous.masterState, b.masterState, changes, blockExtra)
	if err != nil {
		return err
	}
	b.master = blockID(masterchain, b.seqno, b.masterBlock)
	return nil
}

// shardHashes is what a masterchain block says of the shards: here always one.
func (b *block) shardHashes(startLT uint64) (*cell.Dictionary, error) {
	description, err := tlb.ToCell(tlb.ShardDesc{
		SeqNo: b.seqno, RegMcSeqno: b.seqno, StartLT: startLT, EndLT: b.endLT,
		RootHash: b.shard.RootHash, FileHash: b.shard.FileHash,
		NextValidatorShard: wholeShard, GenUTime: b.utime, SplitMergeAt: tlb.FutureSplitMergeNone{},
	})
	if err != nil {
		return nil, err
	}
	leaf := cell.BeginCell().MustStoreBoolBit(false).MustStoreBuilder(description.ToBuilder()).EndCell()
	shards := cell.NewDict(32)
	if err := shards.SetIntKey(big.NewInt(int64(basechain)), cell.BeginCell().MustStoreRef(leaf).EndCell()); err != nil {
		return nil, err
	}
	return shards, nil
}

// state is shard_state: the accounts, and for the masterchain the shards and the configuration.
func (b *block) state(workchain int32, accounts, custom *cell.Cell) *cell.Cell {
	id := GlobalID
	builder := cell.BeginCell().MustStoreUInt(tagState, 32).MustStoreUInt(uint64(uint32(id)), 32).
		MustStoreUInt(0, 2).MustStoreUInt(0, 6).MustStoreInt(int64(workchain), 32).MustStoreUInt(0, 64). // the whole shard
		MustStoreUInt(uint64(b.seqno), 32).MustStoreUInt(0, 32).                                         // vert_seq_no
		MustStoreUInt(uint64(b.utime), 32).MustStoreUInt(b.endLT, 64).MustStoreUInt(0, 32).              // min_ref_mc_seqno
		MustStoreRef(cell.BeginCell().EndCell()).                                                        // out_msg_queue_info
		MustStoreBoolBit(false).MustStoreRef(accounts).                                                  // before_split
		MustStoreRef(cell.BeginCell().EndCell())                                                         // histories and balances
	if custom == nil {
		return builder.MustStoreBoolBit(false).EndCell()
	}
	return builder.MustStoreBoolBit(true).MustStoreRef(custom).EndCell()
}

// blockCell is block#11ef55aa. The states are pruned: a block proves their hashes, not their content.
func blockCell(h header, oldState, newState, accountBlocks, custom *cell.Cell) (*cell.Cell, error) {
	info, err := h.cell()
	if err != nil {
		return nil, err
	}
	inMessages, err := tlb.NewInMsgDescrAugDict()
	if err != nil {
		return nil, err
	}
	inCell, err := inMessages.ToCell()
	if err != nil {
		return nil, err
	}
	outMessages, err := tlb.NewOutMsgDescrAugDict()
	if err != nil {
		return nil, err
	}
	outCell, err := outMessages.ToCell()
	if err != nil {
		return nil, err
	}
	extra := cell.BeginCell().MustStoreUInt(tagBlockExtra, 32).
		MustStoreRef(inCell).MustStoreRef(outCell).MustStoreRef(accountBlocks).
		MustStoreSlice(make([]byte, 64), 512) // rand_seed, created_by
	if custom == nil {
		extra.MustStoreBoolBit(false)
	} else {
		extra.MustStoreBoolBit(true).MustStoreRef(custom)
	}
	oldPruned, err := pruned(oldState)
	if err != nil {
		return nil, err
	}
	newPruned, err := pruned(newState)
	if err != nil {
		return nil, err
	}
	update, err := cell.CreateMerkleUpdate(oldPruned, newPruned)
	if err != nil {
		return nil, err
	}
	id := GlobalID
	return cell.BeginCell().MustStoreUInt(tagBlock, 32).MustStoreUInt(uint64(uint32(id)), 32).
		MustStoreRef(info).MustStoreRef(cell.BeginCell().EndCell()). // value_flow
		MustStoreRef(update).MustStoreRef(extra.EndCell()).EndCell(), nil
}

func (h header) cell() (*cell.Cell, error) {
	var out tlb.BlockHeader
	out.NotMaster = h.workchain != masterchain
	out.SeqNo = h.seqno
	out.Shard = tlb.ShardIdent{WorkchainID: h.workchain}
	out.GenUtime = h.utime
	out.StartLt, out.EndLt = h.startLT, h.endLT
	out.PrevRef = tlb.BlkPrevInfo{Prev1: reference(h.previous, h.previousLT)}
	if h.master != nil {
		master := reference(h.master, h.previousLT)
		out.MasterRef = &master
	}
	return out.ToCell()
}

func reference(id *ton.BlockIDExt, endLT uint64) tlb.ExtBlkRef {
	return tlb.ExtBlkRef{EndLt: endLT, SeqNo: id.SeqNo, RootHash: id.RootHash, FileHash: id.FileHash}
}

// pruned is the pruned branch cell that stands for c.
func pruned(c *cell.Cell) (*cell.Cell, error) {
	return cell.BeginCell().MustStoreUInt(1, 8).MustStoreUInt(1, 8). // type, level mask
										MustStoreSlice(c.Hash(), 256).MustStoreUInt(uint64(c.Depth()), 16).EndCellSpecial(true)
}

func blockID(workchain int32, seqno uint32, c *cell.Cell) *ton.BlockIDExt {
	file := sha256.Sum256(c.ToBOC())
	return &ton.BlockIDExt{Workchain: workchain, Shard: wholeShard, SeqNo: seqno, RootHash: c.Hash(), FileHash: file[:]}
}

// nothingBefore stands for the block before the first one.
func nothingBefore() *block {
	empty := cell.BeginCell().EndCell()
	none := func(workchain int32) *ton.BlockIDExt {
		return &ton.BlockIDExt{Workchain: workchain, Shard: wholeShard, RootHash: make([]byte, 32), FileHash: make([]byte, 32)}
	}
	return &block{shard: none(basechain), shardState: empty, master: none(masterchain), masterState: empty}
}
