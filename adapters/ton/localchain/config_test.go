package localchain

import (
	"encoding/hex"
	"testing"

	"github.com/xssnick/tonutils-go/tlb"
)

// The hashes are those of the cells in the main network's configuration of 13 May 2026 (block
// 66519406), so a changed digit in config.go shows here.
func TestNetworkParametersAreTheMainNetworksOfMay2026(t *testing.T) {
	mainNetwork := map[uint32]string{
		0:  "e6025a4b06943baa939e0497bf474bf8b946938d5a4d70bd2fae2b7d481b3cb9",
		8:  "d948cea158469260fa9fd775c8345764304c5eafb7259c5c23b26263e4ae38cc",
		12: "de37c8211a061531ef8b75886e15a51c113125e6668cb0b09baa1e4b1281ef9e",
		18: "0721d497c31b355ceb1ce1885d51a7d1b1f84a30a40400ebc6c792d76b23d5d8",
		20: "3806f08bd71c647291217e9d043a018e8a9826e1943975bc1e9c97b1c2333267",
		21: "aaec03367c3035ee7af9fbb39460de98098b29c1006239ea2f8b27757fafc173",
		23: "3fd7dd5f1b3f17a44fa38fd629c62f5e37e73eb16c1ea90b2211beb2368e390d",
		24: "06fd19e4557ae5c0805f58bb62ffed63182f00411b0d8cad25e0546744d0393f",
		25: "260f1bacb2955389bda680175cb5d0c9dfdebe6f3b611812416140fbdd5a8b61",
	}
	config, err := NetworkConfig()
	if err != nil {
		t.Fatal(err)
	}
	root := tlb.BlockchainConfig{Root: config.Root()}
	for number, want := range mainNetwork {
		param, err := root.GetParam(number)
		if err != nil {
			t.Errorf("parameter %d: %v", number, err)
			continue
		}
		if got := hex.EncodeToString(param.Hash()); got != want {
			t.Errorf("parameter %d hashes to %s, on the main network to %s\n%s", number, got, want, param.Dump())
		}
	}
	if _, err := root.GetParam(43); err == nil {
		t.Error("parameter 43 is set; the main network leaves it to the node's defaults")
	}
}
