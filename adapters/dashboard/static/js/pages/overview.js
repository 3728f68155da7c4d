// The network at a glance: what is done, what it costs, and whether the vault holds what the books promise.
import { h } from '../dom.js';
import { got } from '../api.js';
import { copyable, figures, heading, money, part, pill, section, table, when } from '../parts.js';
import { plot } from '../plot.js';
import { covered, hueOf, verdict } from '../verdict.js';
import { friendly } from '../address.js';
import { big, coin, coins, count, number, rate, time, words } from '../words.js';

const hourMs = 3_600_000;
const hoursShown = 48;

export default {
  path: '/', section: 'overview', every: 2000,

  async load(books, params, query, network) {
    const { overview } = await books.all({ overview: ['NetworkService/GetOverview'] });
    // Times of the page are the log's own: an old folder shows its last hours, not ours.
    const end = Math.max(...[got(overview)?.overview?.lastAtMs, Date.now()].map(count));
    return {
      network, overview, end,
      ...await books.all({
        trial: ['MoneyService/GetTrialBalance'],
        usage: ['JobService/ListUsage', { by: ['USAGE_COLUMN_HOUR'], fromMs: String(end - (end % hourMs) - (hoursShown - 1) * hourMs) }],
        batches: ['SettlementService/ListBatches', { page: { size: 5 } }],
        rejections: ['JobService/ListRejections'],
        audit: ['AuditService/GetAudit'],
      }),
      at: books.at,
    };
  },

  title: (data) => data.network.name,

  spoken(data) {
    const o = got(data.overview)?.overview;
    return o && `${rate(perSecond(o.rates?.[0], (r) => r.jobsCompleted))} jobs a second. The vault holds ${coins(o.vaultNano)}.`;
  },

  view(data) {
    const { network } = data;
    return [
      heading({ title: ['Network ', network.name], about: h('span', { class: 'pairs' },
        h('span', {}, 'Id ', copyable(network.id, { clip: true })), network.vault && h('span', {}, 'Vault ', copyable(friendly(network.vault, { bounceable: true }), { clip: true })), h('span', {}, `${number(network.shards)} shards and control`)) }),
      part(data.overview, ({ overview: o }) => !count(o.providers) && !count(o.clients) && h('div', { class: 'verdict' }, h('strong', {}, 'Nothing has happened here yet'), h('p', {}, 'docs/roles/node.md goes from here to the first job that is paid. ', h('code', {}, 'filature demo --serve'), ' shows a network at work.'))),
      part(data.overview, atAGlance),
      h('div', { class: 'two' },
        section('Vault against liabilities', {}, part(data.overview, ({ overview: o }) => covered(o.vault, o.books)), part(data.trial, balance)),
        h('div', {}, section('Audit', { note: 'of logs, tables and chain', more: ['/audit', 'Each check'] }, part(data.audit, ({ audit }) => verdict(audit, data.at))),
        section('Work by hour', { note: `UTC, up to ${hoursShown} hours` }, part(data.usage, (answer) => byHour(answer.usage ?? [], data.end))))),
      h('div', { class: 'two' },
        section('Batches', { more: ['/batches', 'All batches'] }, part(data.batches, latest)),
        section('Not accepted', { note: 'claims that the ledger answered with a reason' }, part(data.rejections, rejections))),
    ];
  },
};

const perSecond = (r, of) => (r ? (count(of(r)) * 1000) / Math.max(1, count(r.toMs) - count(r.fromMs)) : 0);
const allTokens = (r) => count(r.tokens?.prompt) + count(r.tokens?.completion);

// over is a rate over longer spans. All are of whole minutes: the one under way is counted when it is over.
const over = (five, hour, of) => `${rate(perSecond(five, of))} over 5 min, ${rate(perSecond(hour, of))} over 1 h`;

function atAGlance({ overview: o }) {
  const [minute, five, hour, last] = o.rates ?? [];
  const owed = (o.books ?? []).filter((k) => k.kind.startsWith('provider/')).reduce((sum, k) => sum + big(k.amountNano), 0n);
  return [
    figures([
      { label: 'Jobs a second', value: rate(perSecond(minute, (r) => r.jobsCompleted)), note: over(five, hour, (r) => r.jobsCompleted) },
      { label: 'Tokens a second', value: rate(perSecond(minute, allTokens)), note: over(five, hour, allTokens) },
      { label: 'Jobs completed', href: '/jobs', value: number(o.total?.jobsCompleted), note: `${number(last?.jobsCompleted)} in 24 h, ${count(o.openJobs) >= 10_000 ? `${number(o.openJobs)} or more` : number(o.openJobs)} open` },
      { label: 'Workers', href: '/providers', value: number(o.workers), note: `of ${number(o.providers)} providers, for ${number(o.clients)} clients` },
    ], { label: 'Work' }),
    figures([
      { label: 'Money in', href: '/clients', value: money(o.depositedNano), note: 'deposited on chain' },
      { label: 'Owed to providers', href: '/providers', value: money(owed), note: 'earned, held, payable or in a batch' },
      { label: 'Paid', href: '/batches', value: money(o.paidNano), note: 'to providers, on chain' },
      { label: 'Vault', value: money(o.vaultNano), note: o.activeBatch ? `batch ${o.activeBatch} is in force` : 'no batch yet' },
    ], { label: 'Money' }),
  ];
}

// balance sets what the vault holds beside whose it is. Both come to the same, or somebody made a mistake.
function balance({ totals = [] }) {
  const vault = -totals.filter((t) => t.kind === 'vault/cash').reduce((sum, t) => sum + big(t.amountNano), 0n);
  const owed = totals.filter((t) => t.kind !== 'vault/cash');
  const sum = owed.reduce((all, t) => all + big(t.amountNano), 0n);
  const rest = vault - sum;
  return [
    table({
      label: 'The books', columns: [{ name: 'Account', grow: true }, { name: 'Owners', right: true, wide: true }, { name: 'Amount', unit: coin, right: true }],
      rows: [
        ...owed.map((t) => ({ key: t.kind, cells: [h('span', { class: `dot hue-${hueOf(t.kind)}` }, t.kind), number(t.accounts), money(t.amountNano, { unit: false })] })),
        { key: 'sum', cells: [h('strong', {}, 'Liabilities'), '', money(sum, { unit: false })] },
        { key: 'vault', cells: [h('strong', {}, 'vault/cash'), '', money(vault, { unit: false })] },
        { key: 'rest', cells: [[h('strong', {}, 'Difference'), ' ', pill(rest === 0n ? 'sums to zero' : 'does not sum to zero', rest === 0n ? 'good' : 'bad')], '', money(rest, { unit: false })] },
      ],
    }),
  ];
}

function byHour(usage, end) {
  const last = end - (end % hourMs);
  // From the first hour that has any, and at least half a day.
  const shown = Math.max(12, ...usage.map((u) => (last - count(u.startMs)) / hourMs + 1));
  const times = Array.from({ length: shown }, (_, i) => last - (shown - 1 - i) * hourMs);
  const at = new Map(usage.map((u) => [count(u.startMs), u]));
  const line = (name, of, tone) => ({ name, tone, bars: true, fill: true, values: times.map((t) => (at.has(t) ? of(at.get(t)) : 0)), exact: times.map((t) => (at.has(t) ? number(of(at.get(t))) : '0')) });
  return h('div', { class: 'stack' },
    plot({ label: `Jobs completed by hour until ${time(end).slice(0, 13)}`, times, whole: true, empty: 'No job ended in this time.', series: [line('Jobs completed', (u) => count(u.jobsCompleted))] }),
    plot({ label: `Tokens by hour until ${time(end).slice(0, 13)}`, times, whole: true, empty: 'No token was counted in this time.', series: [line('Tokens, prompt and completion', (u) => allTokens(u), 'second')] }));
}

const latest = ({ batches = [] }) => table({
  label: 'Latest batches', columns: [{ name: 'Batch' }, { name: 'State', grow: true }, { name: 'Sealed, UTC', wide: true }, { name: 'Cumulative', unit: coin, right: true }],
  rows: batches.map((b) => ({ key: b.number, cells: [h('a', { href: `/batches/${b.number}` }, b.number), pill(b.state), when(b.sealed), money(b.totalNano, { unit: false })] })),
  empty: 'No batch was sealed yet.',
});

// reasonsShown is how many reasons are listed; the rest is in the sum.
const reasonsShown = 8;

const rejections = ({ reasons = [] }) => table({
  label: 'Reasons', columns: [{ name: 'Reason', grow: true }, { name: 'Claims', right: true }],
  rows: reasons.slice(0, reasonsShown).map((r) => ({ key: r.reason, cells: [words(r.reason), number(r.count)] })),
  total: reasons.length > 1 && [reasons.length > reasonsShown ? `All, of ${reasons.length} reasons` : 'All', number(reasons.reduce((all, r) => all + big(r.count), 0n))],
  empty: 'Every claim was accepted.',
});
