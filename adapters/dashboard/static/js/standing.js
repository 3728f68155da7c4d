// A reputation with all that makes it so: the score of each shard, the dimensions that it is the product of, and what was
// counted for and against. See docs/reputation.md for the formula.
import { h } from './dom.js';
import { facts, nothing, pill, table } from './parts.js';
import { count, minute, number, percent, words } from './words.js';

// shardsShown is of how many shards the standing is listed, the lowest scores first: a network has up to 1024.
const shardsShown = 8;

// dimensions say what each is about.
const dimensions = { jobs: 'completed, not failed or expired', latency: 'within what the offer promised', attestation: 'passed, not failed or revoked', disputes: 'charged and not refunded' };

// kinds say what kind of evidence speaks for or against somebody, and in which dimension.
const kinds = [
  ['completed', 'jobs', 'for'], ['failed', 'jobs', 'against'], ['expired', 'jobs', 'against'],
  ['on_time', 'latency', 'for'], ['late', 'latency', 'against'],
  ['attested', 'attestation', 'for'], ['attestation_failed', 'attestation', 'against'], ['attestation_revoked', 'attestation', 'against'],
  ['charged', 'disputes', 'for'], ['dispute_won', 'disputes', 'for'], ['dispute_lost', 'disputes', 'against'], ['slashed', 'disputes', 'against'],
];

export function standings(some) {
  if (some.length === 0) return nothing('No shard has seen anything to judge by yet.');
  const named = [...new Set(some.flatMap((s) => (s.inputs ?? []).map((i) => i.dimension)))];
  const shown = some.toSorted((a, b) => count(a.scorePpm) - count(b.scorePpm)).slice(0, shardsShown).toSorted((a, b) => (a.shard ?? 0) - (b.shard ?? 0));
  return [
    table({
      label: 'Reputation',
      columns: [{ name: 'Shard' }, { name: 'Score' }, ...named.map((d) => ({ name: words(d), right: true, wide: true })), { name: 'Held back', right: true }],
      rows: shown.map((s) => ({
        key: s.shard ?? 0,
        cells: [s.shard ?? 0, [meter(s), percent(s.scorePpm), count(s.suspendedUntilMs) > Date.now() && [' ', pill(`suspended until ${minute(s.suspendedUntilMs)}`, 'bad')]],
          ...named.map((d) => mean((s.inputs ?? []).find((i) => i.dimension === d))),
          count(s.holdbackPermille) > 0 ? `${count(s.holdbackPermille) / 10}\u202f%` : 'nothing'],
      })),
    }),
    h('p', { class: 'soft after' }, some.length > shown.length && `The ${shown.length} lowest of ${number(some.length)} shards. `,
      'A score is the product of its dimensions; each of them is good ÷ (good + bad), where what was long ago weighs less. It says what part of new earnings is held back for a while.'),
    counted(some),
  ];
}

// meter draws a score, in the colour of what follows from it.
const meter = (s) => h('span', { class: `meter${count(s.suspendedUntilMs) > Date.now() ? ' bad' : count(s.holdbackPermille) > 0 ? ' open' : ''}`, 'aria-hidden': 'true' }, h('span', { style: { '--width': `${count(s.scorePpm) / 10000}%` } }));

// mean is a dimension's mean, over the counts that it is the mean of.
const mean = (input) => (input ? [percent(input.meanPpm), h('span', { class: 'under soft' }, `${weight(input.goodPpm)} good, ${weight(input.badPpm)} bad`)] : '–');
const weight = (ppm) => (count(ppm) / 1e6).toFixed(1);

// counted is all evidence that any of the shards has seen, by what it speaks of.
function counted(some) {
  const sums = new Map();
  for (const s of some) for (const e of s.evidence ?? []) sums.set(e.kind, (sums.get(e.kind) ?? 0) + count(e.count));
  const known = new Set(kinds.map(([kind]) => kind));
  const side = (dimension, which) => kinds.filter(([kind, d, w]) => d === dimension && w === which && sums.has(kind)).map(([kind]) => `${number(sums.get(kind))} ${words(kind)}`).join(', ') || 'nothing';
  const rest = [...sums].filter(([kind]) => !known.has(kind));
  return h('div', { class: 'after' }, table({
    label: 'What was counted', columns: [{ name: 'What was counted' }, { name: 'It is good to be', wide: true }, { name: 'For', grow: true }, { name: 'Against', grow: true }],
    rows: Object.entries(dimensions).map(([dimension, about]) => ({ key: dimension, cells: [words(dimension), h('span', { class: 'soft' }, about), side(dimension, 'for'), side(dimension, 'against')] })),
  }), rest.length > 0 && facts(rest.map(([kind, n]) => [words(kind), number(n)])));
}
