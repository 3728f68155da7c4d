// A reputation with all that makes it so: the score of each shard, the dimensions that it is the product of, and what was
// counted. See docs/reputation.md for the formula.
import { h } from './dom.js';
import { nothing, pill, table } from './parts.js';
import { count, number, percent, time, words } from './words.js';

export function standings(some) {
  if (some.length === 0) return nothing('No shard has seen anything to judge by.');
  const dimensions = [...new Set(some.flatMap((s) => (s.inputs ?? []).map((i) => i.dimension)))];
  return [
    table({
      label: 'Reputation',
      columns: [{ name: 'Shard' }, { name: 'Score', right: true }, ...dimensions.map((d) => ({ name: words(d), right: true, wide: true })), { name: 'Held back', right: true }, { name: 'Suspended', grow: true, wide: true }],
      rows: some.map((s) => ({
        key: s.shard ?? 0,
        cells: [s.shard, [h('span', { class: 'meter', 'aria-hidden': 'true' }, h('span', { style: { '--width': `${count(s.scorePpm) / 10000}%` } })), ' ', percent(s.scorePpm)],
          ...dimensions.map((d) => mean((s.inputs ?? []).find((i) => i.dimension === d))),
          `${count(s.holdbackPermille) / 10} %`, count(s.suspendedUntilMs) > 0 ? pill(`until ${time(s.suspendedUntilMs).slice(0, 16)}`, 'bad') : 'no'],
      })),
    }),
    h('p', { class: 'soft after' }, 'Counted: ', counted(some).map(([kind, n], i) => [i > 0 && ', ', `${number(n)} ${words(kind)}`])),
  ];
}

// mean is a dimension's mean; its title has the counts that it is the mean of.
const mean = (input) => input ? h('span', { title: `${weight(input.goodPpm)} good, ${weight(input.badPpm)} bad, weighed and forgotten with time` }, percent(input.meanPpm)) : '–';
const weight = (ppm) => (count(ppm) / 1e6).toFixed(2);

function counted(some) {
  const sums = new Map();
  for (const s of some) for (const e of s.evidence ?? []) sums.set(e.kind, (sums.get(e.kind) ?? 0) + count(e.count));
  return [...sums].sort((a, b) => b[1] - a[1]);
}
