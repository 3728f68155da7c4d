// How an account id of the basechain is written for people and wallets: TON's user-friendly address (TEP-2), which is
// base64 of flags, workchain, the 32 bytes and a checksum.

// friendly returns the address of a payee, whose id is in hexadecimal. Not bounceable is how wallets write their own.
export function friendly(id, { bounceable = false } = {}) {
  const bytes = [bounceable ? 0x11 : 0x51, 0];
  for (let i = 0; i < 64; i += 2) bytes.push(Number.parseInt(id.slice(i, i + 2), 16));
  const check = crc16(bytes);
  bytes.push(check >> 8, check & 0xff);
  return btoa(String.fromCharCode(...bytes)).replaceAll('+', '-').replaceAll('/', '_');
}

// accountOf returns the id, in hexadecimal, of whose address a text is, or undefined where it is no address of the basechain.
export function accountOf(text) {
  if (!/^[\w+/-]{48}$/.test(text)) return undefined;
  const bytes = [...atob(text.replaceAll('-', '+').replaceAll('_', '/'))].map((c) => c.charCodeAt(0));
  const id = bytes.slice(2, 34).map((byte) => byte.toString(16).padStart(2, '0')).join('');
  const written = text.replaceAll('+', '-').replaceAll('/', '_');
  return [friendly(id), friendly(id, { bounceable: true })].includes(written) ? id : undefined;
}

// crc16 is CRC-16/XMODEM.
function crc16(bytes) {
  let crc = 0;
  for (const byte of bytes) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit++) crc = (crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1) & 0xffff;
  }
  return crc;
}
