package localchain

import (
	"errors"
	"fmt"
	"math/big"

	"github.com/xssnick/tonutils-go/tlb"
	"github.com/xssnick/tonutils-go/tvm/cell"
)

// Merkle proofs: one reads, of a block or a state, just the cells that the client will read, and the
// builder prunes all others. The cells are our own, so reading them can't fail but by a bug of ours,
// which Answer turns into an error.

// cellAt returns a reference of a cell.
func cellAt(c *cell.Cell, reference int) *cell.Cell {
	ref, err := c.PeekRef(reference)
	if err != nil {
		panic(fmt.Sprintf("localchain: reference %d: %v", reference, err))
	}
	return ref
}

func proveReading(root *cell.Cell, read func(*cell.Slice)) *cell.Cell {
	builder := cell.NewMerkleProofBuilder(root)
	read(builder.Root().MustBeginParse())
	proof, err := builder.CreateProof()
	if err != nil {
		panic(fmt.Sprintf("localchain: proof: %v", err))
	}
	return proof
}

// readHeader reads a block's header with its references and the hashes of its states.
func readHeader(s *cell.Slice) {
	header := s.MustLoadRef()
	for header.RefsNum() > 0 {
		header.MustLoadRef()
	}
	s.MustLoadRef() // value flow
	update, err := s.LoadRefCell()
	if err != nil {
		panic(fmt.Sprintf("localchain: state update: %v", err))
	}
	if content, err := update.BeginParse(); err == nil {
		_, _ = content.LoadUInt(8) // reading is what puts it into the proof
	}
}

func proveHeader(blockCell *cell.Cell) *cell.Cell { return proveReading(blockCell, readHeader) }

// shardProof leads from a masterchain block to the shards that it names.
func (b *block) shardProof() []*cell.Cell {
	state := proveReading(b.masterState, func(s *cell.Slice) {
		extra := readMasterExtra(s)
		shards, err := extra.LoadDict(32)
		if err != nil {
			panic(fmt.Sprintf("localchain: shards: %v", err))
		}
		all, err := shards.LoadAll()
		if err != nil {
			panic(fmt.Sprintf("localchain: shards: %v", err))
		}
		for _, shard := range all {
			leaf := shard.Value.MustLoadRef()
			leaf.MustLoadUInt(1)
			leaf.MustLoadRef() // prices of the shard's block
		}
	})
	return []*cell.Cell{proveHeader(b.masterBlock), state}
}

// readMasterExtra goes to masterchain_state_extra, past its tag.
func readMasterExtra(state *cell.Slice) *cell.Slice {
	state.MustLoadRef() // queue
	state.MustLoadRef() // accounts
	state.MustLoadRef() // histories and balances
	extra := state.MustLoadRef()
	extra.MustLoadUInt(16)
	return extra
}

// accountState returns an account as of the block, nil if there is none, and the proof of either
// from the shard's block.
func (b *block) accountState(id accountID) (*tlb.ShardAccount, []*cell.Cell, error) {
	builder := cell.NewMerkleProofBuilder(b.shardState)
	var state tlb.ShardStateUnsplit
	if err := tlb.LoadFromCellAsProof(&state, builder.Root().MustBeginParse(), false); err != nil {
		return nil, nil, err
	}
	var found *tlb.ShardAccount
	value, _, err := state.Accounts.ShardAccounts.LoadValueExtra(id.key())
	switch {
	case err == nil:
		found = &tlb.ShardAccount{}
		// The proof ends at the account's hash, so its content is read from the state itself.
		if err := b.loadAccount(id, found); err != nil {
			return nil, nil, err
		}
		var unread tlb.ShardAccount
		if err := tlb.LoadFromCellAsProof(&unread, value); err != nil {
			return nil, nil, err
		}
	case !errors.Is(err, cell.ErrNoSuchKeyInDict):
		return nil, nil, err
	}
	proof, err := builder.CreateProof()
	if err != nil {
		return nil, nil, err
	}
	return found, []*cell.Cell{proveHeader(b.shardBlock), proof}, nil
}

func (b *block) loadAccount(id accountID, into *tlb.ShardAccount) error {
	var state tlb.ShardStateUnsplit
	if err := tlb.Parse(&state, b.shardState); err != nil {
		return err
	}
	value, _, err := state.Accounts.ShardAccounts.LoadValueExtra(id.key())
	if err != nil {
		return err
	}
	return tlb.LoadFromCell(into, value)
}

// transactionProof leads from the shard's block to one transaction.
func (b *block) transactionProof(id accountID, lt uint64) (*cell.Cell, error) {
	builder := cell.NewMerkleProofBuilder(b.shardBlock)
	root := builder.Root().MustBeginParse()
	readHeader(root)
	extra := root.MustLoadRef()
	extra.MustLoadRef() // in messages
	extra.MustLoadRef() // out messages
	var accounts tlb.ShardAccountBlocks
	if err := tlb.LoadFromCellAsProof(&accounts, extra.MustLoadRef()); err != nil {
		return nil, err
	}
	value, _, err := accounts.Accounts.LoadValueExtra(id.key())
	if err != nil {
		return nil, err
	}
	var changes tlb.AccountBlock
	if err := tlb.LoadFromCellAsProof(&changes, value); err != nil {
		return nil, err
	}
	if _, _, err := changes.Transactions.LoadValueExtraByIntKey(new(big.Int).SetUint64(lt)); err != nil {
		return nil, err
	}
	return builder.CreateProof()
}

// configProof leads from a masterchain state to the whole configuration.
func (b *block) configProof() (*cell.Cell, error) {
	builder := cell.NewMerkleProofBuilder(b.masterState)
	extra := readMasterExtra(builder.Root().MustBeginParse())
	if _, err := extra.LoadDict(32); err != nil {
		return nil, err
	}
	extra.MustLoadSlice(256) // address of the configuration contract
	config, err := extra.LoadRefCell()
	if err != nil {
		return nil, err
	}
	if err := readWhole(config); err != nil {
		return nil, err
	}
	extra.MustLoadRef() // flags and so on
	return builder.CreateProof()
}

func readWhole(c *cell.Cell) error {
	s, err := c.BeginParse()
	if err != nil {
		return err
	}
	for s.RefsNum() > 0 {
		child, err := s.LoadRefCell()
		if err != nil {
			return err
		}
		if err := readWhole(child); err != nil {
			return err
		}
	}
	return nil
}
