package localchain

import (
	"encoding/hex"
	"fmt"
	"math/big"

	"github.com/xssnick/tonutils-go/tlb"
	"github.com/xssnick/tonutils-go/tvm"
	"github.com/xssnick/tonutils-go/tvm/cell"
)

// GlobalID is the chain's network number (configuration parameter 19). The main network has -239
// and the test network -3; ours is neither, so a wallet's signature for one of them is worth
// nothing here, and the other way round.
const GlobalID int32 = -217

// The parameters below are the main network's of 13 May 2026, each under its number. A test holds
// their cells to the hashes that the network's own cells had. Where a unit says /2^16, the value is
// in nanotons per unit, shifted left by 16 bits.
//
// Parameter 43 (size limits) is absent on the main network too: a node's defaults apply, among them
// 8192 cells per message, 512 levels of depth, 65535 bytes per external message and 65536 cells per
// account. Absent as well are what a chain without validators has no use for (fees to validators,
// elections, consensus) and what is about accounts that don't exist here (31, 44, 45).
const (
	paramConfigAddress       = int64(0)
	paramGlobalVersion       = int64(tlb.ConfigParamGlobalVersion)
	paramWorkchains          = int64(tlb.ConfigParamWorkchains)
	paramStoragePrices       = int64(tlb.ConfigParamStoragePrices)
	paramGlobalID            = int64(tlb.ConfigParamGlobalID)
	paramGasMasterchain      = int64(tlb.ConfigParamGasPricesMasterchain)
	paramGasBasechain        = int64(tlb.ConfigParamGasPricesBasechain)
	paramBlockLimitsBase     = int64(tlb.ConfigParamBlockLimitsBasechain)
	paramForwardMasterchain  = int64(tlb.ConfigParamMsgForwardPricesMasterchain)
	paramForwardBasechain    = int64(tlb.ConfigParamMsgForwardPricesBasechain)
	basechainStateRootHash   = "55b13f6d0e1d0c34c9c2160f6f918e92d82bf9ddcf8de2e4c94a3fdf39d15446"
	basechainStateFileHash   = "ee0bedfe4b32761fb35e9e1d8818ea720cad1a0e7b4d2ed673c488e72e910342"
	basechainEnabledSince    = 1_573_821_854 // 15 November 2019
	configAddressFill        = 0x55          // the configuration contract is -1:5555…
	cheaperStorageValidSince = 1_777_500_000 // 29 April 2026, when fees were cut
)

// 8: version 13 of the virtual machine and its executor, with the capabilities of a live network.
var globalVersion = tlb.GlobalVersion{Version: 13, Capabilities: 494}

// 18: rent, in nanotons per bit or cell and 2^16 seconds. Two generations, by their start.
var storagePrices = []tlb.ConfigStoragePrices{
	{ValidSince: 0, BitPrice: 1, CellPrice: 500, MCBitPrice: 1000, MCCellPrice: 500_000},
	{ValidSince: cheaperStorageValidSince, BitPrice: 0, CellPrice: 135, MCBitPrice: 1000, MCCellPrice: 500_000},
}

// 20 and 21: gas. Prices are /2^16: about 66.7 nanotons for a unit of gas on the basechain.
var (
	gasMasterchain = tlb.ConfigGasLimitsPrices{
		HasFlatPricing: true, FlatGasLimit: 100, FlatGasPrice: 1_000_000,
		HasSeparateSpecialLimit: true, GasPrice: 10_000 << 16, GasLimit: 1_000_000, SpecialGasLimit: 70_000_000,
		GasCredit: 10_000, BlockGasLimit: 2_500_000, FreezeDueLimit: 100_000_000, DeleteDueLimit: 1_000_000_000,
	}
	gasBasechain = tlb.ConfigGasLimitsPrices{
		HasFlatPricing: true, FlatGasLimit: 100, FlatGasPrice: 6667,
		HasSeparateSpecialLimit: true, GasPrice: 4_369_067, GasLimit: 1_000_000, SpecialGasLimit: 1_000_000,
		GasCredit: 10_000, BlockGasLimit: 10_000_000, FreezeDueLimit: 100_000_000, DeleteDueLimit: 1_000_000_000,
	}
)

// 24 and 25: forwarding a message, in nanotons (lump) and /2^16 (per bit, per cell).
var (
	forwardMasterchain = tlb.ConfigMsgForwardPrices{
		LumpPrice: 10_000_000, BitPrice: 10_000 << 16, CellPrice: 1_000_000 << 16,
		IHRFactor: 98_304, FirstFrac: 21_845, NextFrac: 21_845,
	}
	forwardBasechain = tlb.ConfigMsgForwardPrices{
		LumpPrice: 66_667, BitPrice: 4_369_067, CellPrice: 436_906_667,
		IHRFactor: 98_304, FirstFrac: 21_845, NextFrac: 21_845,
	}
)

// 23: how much one basechain block takes. A block of ours stops taking messages at the soft limit
// of gas; the rest waits for the next block.
var blockLimitsBasechain = tlb.BlockLimits{Limits: tlb.BlockLimitsV1{
	Bytes:   tlb.ParamLimits{Underload: 262_144, SoftLimit: 1_048_576, HardLimit: 2_097_152},
	Gas:     tlb.ParamLimits{Underload: 2_000_000, SoftLimit: 10_000_000, HardLimit: 20_000_000},
	LTDelta: tlb.ParamLimits{Underload: 1000, SoftLimit: 5000, HardLimit: 10_000},
}}

// NetworkConfig builds the configuration dictionary of the chain and what the executor needs of it.
func NetworkConfig() (*tvm.PreparedBlockchainConfig, error) { return networkConfig(1) }

// networkConfig is NetworkConfig where everything costs so many times as much.
func networkConfig(times uint64) (*tvm.PreparedBlockchainConfig, error) {
	gas, forward := gasBasechain, forwardBasechain
	gas.FlatGasPrice, gas.GasPrice = times*gas.FlatGasPrice, times*gas.GasPrice
	forward.LumpPrice, forward.BitPrice, forward.CellPrice = times*forward.LumpPrice, times*forward.BitPrice, times*forward.CellPrice
	dict := cell.NewDict(32)
	for _, param := range []struct {
		number int64
		value  any
	}{
		{paramConfigAddress, configAddress()},
		{paramGlobalVersion, globalVersion},
		{paramWorkchains, workchains()},
		{paramStoragePrices, storagePriceList(times)},
		{paramGlobalID, tlb.GlobalIDConfig{GlobalID: GlobalID}},
		{paramGasMasterchain, gasMasterchain},
		{paramGasBasechain, gas},
		{paramBlockLimitsBase, blockLimitsBasechain},
		{paramForwardMasterchain, forwardMasterchain},
		{paramForwardBasechain, forward},
	} {
		value, ok := param.value.(*cell.Cell)
		if !ok {
			var err error
			if value, err = tlb.ToCell(param.value); err != nil {
				return nil, fmt.Errorf("configuration parameter %d: %w", param.number, err)
			}
		}
		key := big.NewInt(param.number)
		if err := dict.SetIntKey(key, cell.BeginCell().MustStoreRef(value).EndCell()); err != nil {
			return nil, fmt.Errorf("configuration parameter %d: %w", param.number, err)
		}
	}
	return tvm.PrepareBlockchainConfig(dict.AsCell())
}

func configAddress() *cell.Cell {
	return cell.BeginCell().MustStoreSlice(configAccount(), 256).EndCell()
}

// configAccount is the account id of the configuration contract.
func configAccount() []byte {
	id := make([]byte, 32)
	for i := range id {
		id[i] = configAddressFill
	}
	return id
}

// workchains is parameter 12: the basechain, as it was started.
func workchains() *cell.Cell {
	basechain := cell.BeginCell().
		MustStoreUInt(0xa7, 8). // workchain_v2
		MustStoreUInt(basechainEnabledSince, 32).
		MustStoreUInt(0, 8).  // monitor_min_split
		MustStoreUInt(0, 8).  // min_split
		MustStoreUInt(4, 8).  // max_split
		MustStoreUInt(7, 3).  // basic, active, accepts messages
		MustStoreUInt(0, 13). // flags
		MustStoreSlice(mustHex(basechainStateRootHash), 256).
		MustStoreSlice(mustHex(basechainStateFileHash), 256).
		MustStoreUInt(0, 32).         // version
		MustStoreUInt(1, 4).          // wfmt_basic
		MustStoreInt(-1, 32).         // vm_version
		MustStoreUInt(0, 64).         // vm_mode
		MustStoreUInt(0, 4).          // wc_split_merge_timings
		MustStoreUInt(100, 32).       // split_merge_delay, s
		MustStoreUInt(100, 32).       // split_merge_interval, s
		MustStoreUInt(30, 32).        // min_split_merge_interval, s
		MustStoreUInt(1000, 32).      // max_split_merge_delay, s
		MustStoreUInt(4, 8).EndCell() // persistent_state_split_depth
	dict := cell.NewDict(32)
	mustSet(dict, 0, basechain)
	return cell.BeginCell().MustStoreDict(dict).EndCell()
}

// storagePriceList is parameter 18: a dictionary by the time a price became valid.
func storagePriceList(times uint64) *cell.Cell {
	dict := cell.NewDict(32)
	for _, price := range storagePrices {
		price.BitPrice, price.CellPrice = times*price.BitPrice, times*price.CellPrice
		value, err := tlb.ToCell(price)
		if err != nil {
			panic(fmt.Sprintf("localchain: storage price: %v", err)) // our own literal
		}
		mustSet(dict, int64(price.ValidSince), value)
	}
	return dict.AsCell()
}

func mustSet(dict *cell.Dictionary, key int64, value *cell.Cell) {
	if err := dict.SetIntKey(big.NewInt(key), value); err != nil {
		panic(fmt.Sprintf("localchain: configuration: %v", err)) // our own literal
	}
}

func mustHex(s string) []byte {
	raw, err := hex.DecodeString(s)
	if err != nil {
		panic(fmt.Sprintf("localchain: configuration: %v", err)) // our own literal
	}
	return raw
}
