// How fast a client spends, and for how long what it has is enough.
import { big, count, span } from './words.js';

const hourMs = 3_600_000;
// least is over how many minutes a rate is taken at least: a burst of a minute is no rate of an hour.
const least = 60;

// burned takes hours of usage: what was spent in the last day, and what that is an hour, over the day or as much of it as there
// was any. The hour under way counts for the part that has passed.
export function burned(usage, now) {
  const end = now - (now % hourMs);
  const recent = usage.filter((u) => count(u.startMs) > end - 24 * hourMs);
  const spent = recent.reduce((all, u) => all + big(u.chargeNano), 0n);
  if (recent.length === 0) return { spent, perHour: 0n, hours: 0 };
  const first = Math.min(...recent.map((u) => count(u.startMs)));
  const minutes = Math.max(least, Math.round((now - first) / 60_000));
  return { spent, perHour: (spent * 60n) / BigInt(minutes), hours: Math.ceil(minutes / 60) };
}

const longest = 3650n * 24n;

// lasts is for how long an amount is enough.
export const lasts = (available, perHour) => (available / perHour > longest ? 'over 10 years' : span(Number((available * 3600n) / perHour) * 1000));
