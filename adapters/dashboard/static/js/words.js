// How values are written: money to the nanoton, counts, times and ids. Amounts come as strings and stay whole
// numbers: no amount is ever a floating point number.

// coin is what an amount is counted in; its unit stands beside each amount or above its column.
export const coin = 'TON';
const decimals = 9;

// big is a number of 64 bits as the API writes it: a string, or nothing for 0.
export const big = (text) => BigInt(text ?? 0);
// count is one that is small enough for any arithmetic: jobs, tokens, payees.
export const count = (text) => Number(text ?? 0);

// Digits are grouped by a narrow space that does not break, as in SI.
const gap = '\u202f';
export const grouped = (digits) => String(digits).replace(/\B(?=(\d{3})+(?!\d))/g, gap);

// amount is nanotons in coins, exactly, in two parts: the whole coins and the nine digits behind.
export function amount(nano) {
  const n = big(nano);
  const digits = (n < 0n ? -n : n).toString().padStart(decimals + 1, '0');
  return { sign: n < 0n ? '\u2212' : '', whole: grouped(digits.slice(0, -decimals)), rest: digits.slice(-decimals) };
}

// coins is the same as one text, as it is read out.
export function coins(nano) {
  const { sign, whole, rest } = amount(nano);
  return `${sign}${whole}.${rest}`;
}

// number is a count with its digits grouped.
export const number = (text) => {
  const n = big(text);
  return (n < 0n ? '\u2212' : '') + grouped(n < 0n ? -n : n);
};

// compact is a count in a few characters, for axes: 1.2 M. Never for money.
export function compact(n) {
  for (const [size, unit] of [[1e12, 'T'], [1e9, 'G'], [1e6, 'M'], [1e3, 'k']]) {
    if (Math.abs(n) >= size) return `${+(n / size).toPrecision(3)}${gap}${unit}`;
  }
  return String(+n.toPrecision(3));
}

// rate is a number per second with what digits it deserves.
export const rate = (n) => (n >= 100 ? grouped(Math.round(n)) : n >= 10 ? n.toFixed(1) : n >= 1 ? n.toFixed(2) : n > 0 ? n.toPrecision(2) : '0');

// factor writes thousandths: 1150 is 1.150.
export const factor = (thousandths) => (count(thousandths) / 1000).toFixed(3);

// percent writes millionths.
export const percent = (ppm) => `${(count(ppm) / 10000).toFixed(2)}${gap}%`;

// short is the beginning of an id, enough to recognise it.
export const short = (id) => (id ? `${id.slice(0, 8)}…` : '');

// words turns a word of programs into one for people: dispute_lost is dispute lost.
export const words = (word) => (word ?? '').replaceAll('_', ' ');

const two = (n) => String(n).padStart(2, '0');

// time is log time, in UTC, to the millisecond.
export function time(ms) {
  const d = new Date(count(ms));
  return `${day(ms)} ${two(d.getUTCHours())}:${two(d.getUTCMinutes())}:${two(d.getUTCSeconds())}.${String(d.getUTCMilliseconds()).padStart(3, '0')}`;
}

export function day(ms) {
  const d = new Date(count(ms));
  return `${d.getUTCFullYear()}-${two(d.getUTCMonth() + 1)}-${two(d.getUTCDate())}`;
}

// clock is the time of day alone.
export const clock = (ms) => time(ms).slice(11, 19);

// minute leaves seconds out.
export const minute = (ms) => time(ms).slice(0, 16);

// span is how long something took.
export function span(ms) {
  if (ms < 1000) return `${ms}${gap}ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)}${gap}s`;
  if (ms < 3_600_000) return `${Math.floor(ms / 60_000)}${gap}min ${Math.round((ms % 60_000) / 1000)}${gap}s`;
  if (ms < 86_400_000) return `${Math.floor(ms / 3_600_000)}${gap}h ${Math.round((ms % 3_600_000) / 60_000)}${gap}min`;
  return `${Math.floor(ms / 86_400_000)}${gap}d ${Math.round((ms % 86_400_000) / 3_600_000)}${gap}h`;
}

// chart says what each kind of account of the books holds.
export const chart = {
  'client/available': 'prepaid, free to use',
  'client/reserved': 'set aside for open jobs',
  'provider/earned': 'charged, in its dispute window',
  'provider/held': 'by a dispute, a missing attestation or the reputation',
  'provider/payable': 'mature, in no batch yet',
  'provider/committed': 'in a sealed batch, not seen paid',
  'network/commission': 'the network’s part of charges',
  'network/slashed': 'taken from providers by arbiters',
  'vault/cash': 'what the vault holds on chain, with the other sign',
};
