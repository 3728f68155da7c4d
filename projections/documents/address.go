package documents

import (
	"encoding/base64"
	"encoding/hex"
)

// A TON address as people and wallets write it (TEP-2) is base64url of a flag, the workchain, the 32 bytes of the account and
// a checksum of them all.
const (
	notBounceable = 0x51 // as wallets write their own
	basechain     = 0x00
)

// address writes a payee's id as its wallet shows it; an id that is none is written as it is.
func address(id string) string {
	account, err := hex.DecodeString(id)
	if err != nil || len(account) != 32 {
		return id
	}
	written := append([]byte{notBounceable, basechain}, account...)
	check := crc16(written)
	return base64.URLEncoding.EncodeToString(append(written, byte(check>>8), byte(check)))
}

// crc16 is CRC-16/XMODEM.
func crc16(text []byte) uint16 {
	var crc uint16
	for _, b := range text {
		crc ^= uint16(b) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return crc
}
