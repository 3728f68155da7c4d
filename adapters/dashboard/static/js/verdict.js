// How the standing audit ended, and whether the vault holds what it has to: what an auditor found who looked at logs, tables
// and chain. The overview shows it in short, the page of the audit in full.
import { h } from './dom.js';
import { money, nothing, share, when } from './parts.js';
import { big, coins, count, number, span, time } from './words.js';

const verdicts = {
  pass: ['Passed', 'good'], fail: ['Failed', 'bad'], incomplete: ['Not complete', 'open'], none: ['Not audited yet', 'open'],
};

// lateAfter is how many audits may fail to appear before the page says that they do.
const lateAfter = 3;

// chains say what an audit is worth, by how it read the chain.
export const chains = {
  local: 'with a chain that is the operator’s own, so it shows that all agrees, and not that nobody wrote it anew',
  unverified: 'with blocks of the chain whose validators’ signatures were not checked',
  verified: 'with blocks of the chain that its validators signed',
  none: 'without the chain, so that nobody vouches for the history as a whole',
};

// pace is how often it is audited, without what is none of it: 1 h, not 1 h 0 min.
const pace = (audit) => span(count(audit.everyMs)).replace(/ 0\u202f\S+$/, '');

const sum = (some, of) => some.reduce((all, one) => all + big(of(one)), 0n);

// behind is how many records came since the audit.
const behind = (audit, at) => sum(audit.shards ?? [], (s) => {
  const since = big(at[s.shard ?? 0]) - big(s.end);
  return since > 0n ? since : 0n;
});

// verdict says in a few words how the last audit ended, when, and of how much.
export function verdict(audit, at) {
  const [title, tone] = verdicts[audit.verdict] ?? verdicts.none;
  if (audit.verdict === 'none') {
    return h('div', { class: `verdict ${tone}` }, h('strong', {}, title), h('p', {}, 'No audit has come to its end here. That is no verdict, neither good nor bad.'));
  }
  const shards = audit.shards ?? [];
  const offences = sum(audit.offences ?? [], (o) => o.count);
  const late = count(audit.everyMs) > 0 && Date.now() > count(audit.beganAtMs) + lateAfter * count(audit.everyMs);
  const found = { pass: 'everything is as it has to be', fail: `${number(offences)} ${offences === 1n ? 'thing is' : 'things are'} not as it has to be`, incomplete: 'nothing wrong was found, and not all could be looked at' }[audit.verdict];
  return h('div', { class: `verdict ${tone}` },
    h('strong', {}, title, h('span', { class: 'soft' }, ` · ${found}`)),
    h('p', {}, 'On ', when({ atMs: audit.beganAtMs }), ` UTC, in ${span(count(audit.endedAtMs) - count(audit.beganAtMs))}: ${number(sum(shards, (s) => s.facts))} facts, ${number(sum(shards, (s) => s.signatures))} signatures, ${number(audit.batchesEqual)} of ${number(audit.batches)} batches the same on chain.`),
    h('p', {}, `${number(behind(audit, at))} records came since. `, late ? h('strong', { class: 'late' }, `The next one is late: one is due every ${pace(audit)}.`) : `One is due every ${pace(audit)}.`));
}

const hues = {
  'client/available': 1, 'client/reserved': 2, 'provider/earned': 3, 'provider/held': 4, 'provider/payable': 3, 'provider/committed': 3,
};

// hueOf is the colour of an account whose coins the vault holds.
export const hueOf = (kind) => hues[kind] ?? 5;

// covered sets what the vault held on chain above what it has to hold, on one scale.
export function covered(seen, books) {
  if (!seen || seen.state === 'none') return nothing('Nobody has looked at the vault on chain yet. What follows is by the books.');
  const holds = big(seen.holdsNano);
  const owed = big(seen.hasToHoldNano);
  const beyond = holds - owed;
  const of = holds > owed ? holds : owed;
  const kinds = (books ?? []).filter((k) => k.kind !== 'vault/cash');
  const line = (name, amount, parts, label) => h('div', { class: 'scaled', key: name }, h('span', {}, name), money(amount), share(parts, { label, of }));
  const short = beyond < 0n;
  return h('div', { class: 'covered' },
    line('On chain', holds, [{ name: 'needed', nano: short ? holds : owed, hue: 3 }, { name: 'beyond', nano: short ? 0n : beyond, hue: 2 }], `The vault holds ${coins(holds)} on chain`),
    line('It has to hold', owed, kinds.map((k) => ({ name: k.kind, nano: k.amountNano, hue: hueOf(k.kind) })), `It has to hold ${coins(owed)}`),
    h('p', { class: short ? 'bad' : 'good' },
      short ? ['Short by ', money(-beyond)] : ['Covered, with ', money(beyond), ' beyond: what the network itself put in'],
      states[seen.state] && [', ', states[seen.state]], '.'),
    h('p', { class: 'soft' }, 'By the block of ', h('time', { datetime: new Date(count(seen.atMs)).toISOString() }, time(seen.atMs).slice(0, 19)), ' UTC.'));
}

const states = { in_flight: 'and some is on its way', alarm: 'and ledger and chain do not agree: somebody has to look' };
