// How fast a client spends, and for how long what it has is enough.
import { day, span } from './words.js';

const hourMs = 3_600_000;
const hours = 24;
// least is over how long a rate is taken at least: a burst of a minute is no rate of an hour.
const least = hourMs;

// dayFrom is the hour at which the day begins that a rate is taken over: the one under way is its last.
export const dayFrom = (now) => now - (now % hourMs) - (hours - 1) * hourMs;

// burned is what was spent since dayFrom, as so much an hour; who is there for less than that day, since sinceMs, has the rate of
// its time.
export function burned(spent, sinceMs, now) {
  const ms = Math.max(least, now - Math.max(dayFrom(now), sinceMs));
  return { spent, perHour: (spent * BigInt(hourMs)) / BigInt(ms), hours: Math.round(ms / hourMs) };
}

// longest is how many hours are named: beyond ten years nobody counts.
const longest = 3650n * 24n;

// lasts is for how long an amount is enough.
export const lasts = (available, perHour) => (available / perHour > longest ? 'over 10 years' : span(Number((available * 3600n) / perHour) * 1000));

// until is the day on which an amount is spent at a rate.
export const until = (available, perHour, now) => (available / perHour > longest ? 'at this rate' : `at this rate, until ${day(now + Number(available / perHour) * hourMs)}`);
