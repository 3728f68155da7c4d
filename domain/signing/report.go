package signing

import (
	"crypto/ed25519"
	"fmt"

	"github.com/filature/filature/domain"
	v1 "github.com/filature/filature/schemas/filature/v1"
)

// Report puts claims into a signed report and returns it as it goes over the wire and into intake: an
// encoded SignedReport. The same arguments give the same bytes, so a report that may be lost can be
// made again.
func Report(private ed25519.PrivateKey, network domain.NetworkID, shard domain.Shard, sequence uint64, claims []*v1.Claim) ([]byte, error) {
	key := KeyOf(private)
	report, err := v1.Encode(&v1.Report{
		Network: network[:], Signer: key[:], Shard: uint32(shard), Sequence: sequence, Claims: claims,
	})
	if err != nil {
		return nil, fmt.Errorf("report %d for shard %d: %w", sequence, shard, err)
	}
	signed, err := v1.Encode(&v1.SignedReport{Report: report, Signature: Sign(private, report)})
	if err != nil {
		return nil, fmt.Errorf("report %d for shard %d: %w", sequence, shard, err)
	}
	return signed, nil
}
