// One provider: its fleet, what it earned, what is held back and why, and the claim of what the vault has for it.
import { h } from '../dom.js';
import { got } from '../api.js';
import { copyable, figures, heading, id, money, pages, part, pill, section, share, table, when } from '../parts.js';
import { plot } from '../plot.js';
import { claimable } from '../claim.js';
import { walletsKnown } from '../wallet.js';
import { month, paper, papers } from '../paper.js';
import { standings } from '../standing.js';
import { list } from './jobs.js';
import { names } from '../names.js';
import { friendly } from '../address.js';
import { big, coin, coins, count, number, percent, short, time, words } from '../words.js';
import { onTheWay } from './providers.js';

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const daysShown = 30;
const hoursShown = 48;

export default {
  path: '/providers/:provider', section: 'providers', every: 2000,

  async load(books, { provider }, query, network) {
    const [{ provider: found }] = await Promise.all([books.ask('NetworkService/GetProvider', { provider }), walletsKnown]);
    const from = Date.now() - (Date.now() % dayMs) - (daysShown - 1) * dayMs;
    const known = await names(books);
    const parts = await books.all({
      claim: ['ClaimService/GetClaim', { payee: provider }],
      fleet: ['NetworkService/ListWorkers', { provider, page: { size: 100, cursor: query.get('after') ?? '' } }],
      standings: ['NetworkService/ListStandings', { kind: 'provider', subject: provider }],
      holdbacks: ['NetworkService/ListHoldbacks', { provider, page: { size: 20 } }],
      usage: ['JobService/ListUsage', { by: ['USAGE_COLUMN_DAY'], provider, fromMs: String(from) }],
      payouts: ['SettlementService/ListPayouts', { payee: provider, page: { size: 10 } }],
      payments: ['SettlementService/ListPayments', { payee: provider, page: { size: 10 } }],
      jobs: ['JobService/ListJobs', { provider, page: { size: 10 } }],
    });
    // Who is new has hours rather than days.
    const first = got(parts.usage)?.usage?.[0]?.startMs;
    const young = first && count(first) > Date.now() - 2 * dayMs;
    const { hours } = await books.all({ hours: young && ['JobService/ListUsage', { by: ['USAGE_COLUMN_HOUR'], provider, fromMs: String(Date.now() - (Date.now() % hourMs) - (hoursShown - 1) * hourMs) }] });
    return { provider: found, network, known, ...parts, hours };
  },

  title: ({ provider }) => provider.name || `Provider ${short(provider.provider)}`,

  spoken: ({ provider }) => `${coins(onTheWay(provider))} on its way, ${coins(provider.paidNano)} paid.`,

  view(data, params, query) {
    const p = data.provider;
    return [
      heading({ above: [['/providers', 'Providers']], title: p.name || `Provider ${short(p.provider)}`, about: ['Paid to ', copyable(friendly(p.provider))], actions: paper(`/statements/${p.provider}/${month()}.html`, 'Statement of this month') }),
      figures([
        { label: 'Earned so far', value: money(p.workerNano), note: 'before disputes' },
        { label: 'On its way', value: money(onTheWay(p)), note: 'see below where it stands' },
        { label: 'Paid', value: money(p.paidNano), note: 'on chain' },
        { label: 'Jobs completed', value: number(p.jobsCompleted), note: `${number(big(p.jobsFailed) + big(p.jobsCancelled) + big(p.jobsExpired))} others failed, expired or were cancelled` },
      ], { label: 'Provider' }),
      section('To collect', {}, part(data.claim, (answer) => claimable(answer.claim, p.provider))),
      h('div', { class: 'two' },
        section('Where the pay stands', { note: 'each step is a fact of the ledger' }, pay(p)),
        section(data.hours ? 'Earnings by hour' : 'Earnings by day', { note: data.hours ? `UTC, up to ${hoursShown} hours` : `UTC, up to ${daysShown} days` }, part(data.usage, ({ usage = [] }) => earnings(data.hours ? got(data.hours)?.usage ?? [] : usage, data.hours ? hourMs : dayMs)))),
      section('Fleet', { note: `${number(p.workers)} workers that are not retired` }, part(data.fleet, (answer) => [fleet(answer), pages(`/providers/${p.provider}`, query, answer.nextCursor)])),
      section('Reputation', { note: 'each shard of the ledger judges by the jobs that it has seen' }, part(data.standings, ({ standings: some = [] }) => standings(some))),
      section('Held back', { note: 'until its time, as the reputation asks for' }, part(data.holdbacks, holdbacks)),
      h('div', { class: 'two' },
        section('Payouts', { note: 'what batches give' }, part(data.payouts, payouts)),
        section('Payments', { note: 'what was seen on chain' }, part(data.payments, payments))),
      section('Statements', { note: 'what it earned and was paid in a month, to the nanoton' }, papers(`/statements/${p.provider}`, count(data.network.createdAtMs))),
      section('Latest jobs', { more: [`/jobs?provider=${p.provider}`, 'All jobs'] }, part(data.jobs, ({ jobs = [] }) => list({ jobs, known: data.known, without: 'provider' }))),
    ];
  },
};

// pay is the way of money from a charge to the provider's wallet. What is neither on that way nor paid was taken back.
function pay(p) {
  const steps = [
    ['Earned', p.earnedNano, 'in its dispute window', 2],
    ['Held', p.heldNano, 'by a dispute, an attestation or the reputation', 4],
    ['Payable', p.payableNano, 'mature, in no batch yet', 1],
    ['In a batch', p.committedNano, 'sealed, and not yet seen paid', 3],
    ['Paid', p.paidNano, 'seen on chain', 5],
  ];
  const back = big(p.workerNano) - steps.reduce((sum, [, nano]) => sum + big(nano), 0n);
  return [
    share(steps.map(([name, nano, , hue]) => ({ name, nano, hue })), { label: steps.map(([name, nano]) => `${name} ${coins(nano)}`).join(', ') }),
    table({
      label: 'Where the pay stands', columns: [{ name: 'Step' }, { name: 'What it means', grow: true, wide: true }, { name: 'Amount', unit: coin, right: true }],
      rows: [
        ...steps.map(([name, nano, what, hue]) => ({ key: name, cells: [h('span', { class: `dot hue-${hue}` }, name), h('span', { class: 'soft' }, what), money(nano, { unit: false })] })),
        back !== 0n && { key: 'back', cells: [back > 0n ? 'Taken back' : 'Added', h('span', { class: 'soft' }, back > 0n ? 'refunded, slashed or corrected' : 'by corrections'), money(back, { unit: false })] },
      ].filter(Boolean),
      total: ['Earned so far', '', money(p.workerNano, { unit: false })],
    }),
  ];
}

// earnings draws what came in by step, an hour or a day.
function earnings(usage, step) {
  const last = Date.now() - (Date.now() % step);
  // From the first that has any, and at least half a day or a week.
  const shown = Math.max(step === dayMs ? 7 : 12, ...usage.map((u) => (last - count(u.startMs)) / step + 1));
  const times = Array.from({ length: shown }, (_, i) => last - (shown - 1 - i) * step);
  const at = new Map(usage.map((u) => [count(u.startMs), u]));
  // Drawn in coins: a pixel is coarser than any rounding. The exact amounts are what the pointer shows.
  return plot({
    label: `Earnings until ${time(last).slice(0, 16)}`, times, unit: coin, empty: 'Nothing was earned in this time.',
    series: [{ name: 'For the worker', bars: true, fill: true, values: times.map((t) => count(at.get(t)?.workerNano) / 1e9), exact: times.map((t) => coins(at.get(t)?.workerNano ?? 0)) }],
  });
}

const fleet = ({ workers = [] }) => table({
  label: 'Fleet',
  columns: [{ name: 'Worker', grow: true }, { name: 'Attestation' }, { name: 'Valid until, UTC', wide: true }, { name: 'Models', right: true, wide: true }, { name: 'Lowest score', right: true }],
  rows: workers.map((w) => ({
    key: w.worker,
    cells: [id(w.worker, `/workers/${w.worker}`), state(w), when({ atMs: w.attestedUntilMs }), number(w.offers), w.judgedBy ? percent(w.scorePpm) : '–'],
  })),
  empty: 'No worker is registered.',
});

// state of a worker in one word.
export function state(w) {
  if (w.retiredAtMs) return pill('retired', 'plain');
  if (count(w.suspendedUntilMs) > Date.now()) return pill('suspended');
  return w.attestedUntilMs ? pill('attested') : pill(words(w.attestation) || 'not attested', 'open');
}

const holdbacks = ({ holdbacks: some = [] }) => table({
  label: 'Held back',
  columns: [{ name: 'Until, UTC' }, { name: 'Shard', right: true, wide: true }, { name: 'Held back, UTC', wide: true, grow: true }, { name: 'Waits', unit: coin, right: true }, { name: 'Of', unit: coin, right: true, wide: true }],
  rows: some.map((b) => ({
    key: `${b.shard}/${b.bucketMs}`,
    cells: [when({ atMs: b.untilMs }), b.shard, when(b.held, { shard: b.shard }), money(big(b.amountNano) - big(b.releasedNano) - big(b.forfeitedNano), { unit: false }), money(b.amountNano, { unit: false })],
  })),
  empty: 'Nothing is held back.',
});

const payouts = ({ payouts: some = [] }) => table({
  label: 'Payouts', columns: [{ name: 'Batch' }, { name: 'State', grow: true }, { name: 'Added', unit: coin, right: true }, { name: 'Cumulative', unit: coin, right: true, wide: true }],
  rows: some.map((p) => ({ key: p.number, cells: [h('a', { href: `/batches/${p.number}` }, p.number), pill(p.state), money(p.deltaNano, { unit: false, signed: true }), money(p.cumulativeNano, { unit: false })] })),
  empty: 'No batch has anything for this provider yet.',
});

const payments = ({ payments: some = [] }) => table({
  label: 'Payments', columns: [{ name: 'Seen, UTC' }, { name: 'Transaction', grow: true }, { name: 'Amount', unit: coin, right: true }],
  rows: some.map((p) => ({ key: p.tx?.hash, cells: [when(p.seen), id(p.tx?.hash), money(p.amountNano, { unit: false })] })),
  empty: 'The vault has paid nothing to this provider yet.',
});
