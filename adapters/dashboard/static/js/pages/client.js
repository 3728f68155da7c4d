// One client: what it has, how fast it spends it, its jobs, and what it got back.
import { got } from '../api.js';
import { copyable, figures, heading, id, money, pages, part, pill, section, table, when } from '../parts.js';
import { burned, dayFrom, lasts, until } from '../burn.js';
import { plot } from '../plot.js';
import { month, paper, papers } from '../paper.js';
import { names, nameOf, theModel } from '../names.js';
import { list } from './jobs.js';
import { big, coin, coins, count, number, time, words } from '../words.js';

const hourMs = 3_600_000;
const hoursShown = 48;
// refundsShown is how many disputed jobs of each kind are listed.
const refundsShown = 20;

export default {
  path: '/clients/:client', section: 'clients', every: 3000,

  async load(books, { client }, query, network) {
    const now = Date.now();
    const known = await names(books);
    const accounts = await books.ask('NetworkService/ListAccounts', { client, page: { size: 50, cursor: query.get('after') ?? '' } });
    const parts = await books.all({
      hours: ['JobService/ListUsage', { by: ['USAGE_COLUMN_HOUR'], client, fromMs: String(now - (now % hourMs) - (hoursShown - 1) * hourMs) }],
      models: ['JobService/ListUsage', { by: ['USAGE_COLUMN_MODEL'], client }],
      total: ['JobService/ListUsage', { client }],
      jobs: ['JobService/ListJobs', { client, page: { size: 10 } }],
      open: ['JobService/ListJobs', { client, dispute: 'open', page: { size: refundsShown } }],
      resolved: ['JobService/ListJobs', { client, dispute: 'resolved', page: { size: refundsShown } }],
    });
    return { now, network, known, accounts, ...parts };
  },

  title: (data, { client }) => nameOf(data.known, 'client', client),

  spoken: ({ accounts }) => `${coins(sum(accounts.accounts, 'availableNano'))} available.`,

  view(data, { client }, query) {
    const { accounts: rows = [], nextCursor } = data.accounts;
    const whole = !nextCursor && !query.get('after');
    const available = sum(rows, 'availableNano');
    const hours = got(data.hours)?.usage ?? [];
    const spent = hours.filter((u) => count(u.startMs) >= dayFrom(data.now)).reduce((all, u) => all + big(u.chargeNano), 0n);
    const burn = burned(spent, data.known.registered.get(client) ?? 0, data.now);
    const total = got(data.total)?.usage?.[0];
    return [
      heading({ above: [['/clients', 'Clients']], title: nameOf(data.known, 'client', client), about: copyable(client), actions: paper(`/invoices/${client}/${month()}.html`, 'Invoice of this month') }),
      figures([
        whole && { label: 'Available', value: money(available), note: ['and ', money(sum(rows, 'reservedNano')), ' reserved for open jobs'] },
        { label: 'Spent, an hour', value: money(burn.perHour), note: spent > 0n ? `on average of the last ${burn.hours === 1 ? 'hour' : `${burn.hours} hours`}` : 'nothing in the last 24 hours' },
        whole && { label: 'Lasts', value: burn.perHour > 0n ? lasts(available, burn.perHour) : '–', note: burn.perHour > 0n ? until(available, burn.perHour, data.now) : 'nothing is being spent' },
        { label: 'Charged so far', value: money(total?.chargeNano), note: `${number(total?.jobsCompleted)} jobs, before refunds` },
      ], { label: 'Client' }),
      section('Spent by hour', { note: 'UTC' }, part(data.hours, () => byHour(hours, data.now))),
      section('Accounts', { note: 'what can be spent is deposited on one of them' }, accountTable(rows, whole), pages(`/clients/${client}`, query, nextCursor)),
      section('By model', { note: 'since the beginning' }, part(data.models, (answer) => byModel(answer, data.known))),
      section('Disputes and refunds', { note: 'open ones, and the latest that were resolved', more: [`/jobs?client=${client}&dispute=resolved`, 'All that are resolved'] }, part(data.resolved, (answer) => refunds([...(got(data.open)?.jobs ?? []), ...(answer.jobs ?? [])], data.known))),
      section('Invoices', { note: 'what it paid in, used and got back in a month, to the nanoton' }, papers(`/invoices/${client}`, count(data.network.createdAtMs))),
      section('Latest jobs', { more: [`/jobs?client=${client}`, 'All jobs'] }, part(data.jobs, ({ jobs = [] }) => list({ jobs, known: data.known, without: 'client' }))),
    ];
  },
};

const sum = (rows, field) => (rows ?? []).reduce((all, row) => all + big(row[field]), 0n);

function byHour(usage, now) {
  const last = now - (now % hourMs);
  const shown = Math.max(12, ...usage.map((u) => (last - count(u.startMs)) / hourMs + 1));
  const times = Array.from({ length: shown }, (_, i) => last - (shown - 1 - i) * hourMs);
  const at = new Map(usage.map((u) => [count(u.startMs), u]));
  return plot({
    label: `Spent by hour until ${time(now).slice(0, 13)}`, times, unit: coin, empty: 'Nothing was charged in this time.',
    series: [{ name: 'Charged', bars: true, fill: true, values: times.map((t) => count(at.get(t)?.chargeNano) / 1e9), exact: times.map((t) => coins(at.get(t)?.chargeNano ?? 0)) }],
  });
}

const accountTable = (rows, whole) => table({
  label: 'Accounts', columns: [{ name: 'Account', fill: true }, { name: 'Shard', right: true, wide: true }, { name: 'Opened, UTC', wide: true }, { name: 'Reserved', unit: coin, right: true }, { name: 'Available', unit: coin, right: true }],
  rows: rows.map((a) => ({ key: a.account, cells: [copyable(a.account, { clip: true }), a.shard, when(a.opened, { shard: a.shard }), money(a.reservedNano, { unit: false }), money(a.availableNano, { unit: false })] })),
  total: whole && rows.length > 1 && ['All', '', '', money(sum(rows, 'reservedNano'), { unit: false }), money(sum(rows, 'availableNano'), { unit: false })],
  empty: 'It has opened no account.',
});

const byModel = ({ usage = [] }, known) => table({
  label: 'By model', columns: [{ name: 'Model', grow: true }, { name: 'Jobs completed', right: true }, { name: 'Prompt tokens', right: true, wide: true }, { name: 'Completion tokens', right: true, wide: true }, { name: 'Charged', unit: coin, right: true }],
  rows: usage.map((u) => ({ key: u.model, cells: [theModel(known, u.model), number(u.jobsCompleted), number(u.tokens?.prompt), number(u.tokens?.completion), money(u.chargeNano, { unit: false })] })),
  total: usage.length > 1 && ['All', number(sum(usage, 'jobsCompleted')), number(usage.reduce((all, u) => all + big(u.tokens?.prompt), 0n)), number(usage.reduce((all, u) => all + big(u.tokens?.completion), 0n)), money(sum(usage, 'chargeNano'), { unit: false })],
  empty: 'It has not used any yet.',
});

// came is what came of a dispute.
function came(job) {
  if (job.dispute === 'open') return pill('open');
  const refund = big(job.refundNano);
  return refund === 0n ? pill('refused', 'plain') : pill(refund === big(job.chargeNano) ? 'refunded' : 'refunded in part', 'good');
}

const refunds = (jobs, known) => table({
  label: 'Disputes and refunds', columns: [{ name: 'Job' }, { name: 'What came of it' }, { name: 'Reason', wide: true }, { name: 'Disputed, UTC', wide: true }, { name: 'Model', grow: true, wide: true }, { name: 'Charged', unit: coin, right: true, wide: true }, { name: 'Refunded', unit: coin, right: true }],
  rows: jobs.map((j) => ({ key: j.job, cells: [id(j.job, `/jobs/${j.job}`), came(j), words(j.disputeReason) || '–', when(j.disputed, { shard: j.shard }), theModel(known, j.model), money(j.chargeNano, { unit: false }), j.dispute === 'open' ? '–' : money(j.refundNano, { unit: false })] })),
  total: jobs.length > 1 && ['Together', '', '', '', '', money(sum(jobs, 'chargeNano'), { unit: false }), money(sum(jobs, 'refundNano'), { unit: false })],
  empty: 'It has disputed nothing.',
});
