// One client: what it has, how fast it spends it, its jobs, and what it got back.
import { h } from '../dom.js';
import { got } from '../api.js';
import { copyable, figures, heading, id, money, pages, part, section, table, when } from '../parts.js';
import { plot } from '../plot.js';
import { month, paper } from '../paper.js';
import { names, nameOf, theModel } from '../names.js';
import { list } from './jobs.js';
import { big, coin, coins, count, number, span, time } from '../words.js';

const hourMs = 3_600_000;
const hoursShown = 48;
// refundsShown is how many disputed jobs of each kind are listed.
const refundsShown = 20;

export default {
  path: '/clients/:client', section: 'clients', every: 3000,

  async load(books, { client }, query) {
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
    return { now, known, accounts, ...parts };
  },

  title: (data, { client }) => nameOf(data.known, 'client', client),

  spoken: ({ accounts }) => `${coins(sum(accounts.accounts, 'availableNano'))} available.`,

  view(data, { client }, query) {
    const { accounts: rows = [], nextCursor } = data.accounts;
    const whole = !nextCursor && !query.get('after');
    const available = sum(rows, 'availableNano');
    const hours = got(data.hours)?.usage ?? [];
    const burn = burned(hours, data.now);
    const total = got(data.total)?.usage?.[0];
    return [
      heading({ above: [['/clients', 'Clients']], title: nameOf(data.known, 'client', client), about: copyable(client), actions: paper(`/invoices/${client}/${month()}.html`, 'Invoice of this month') }),
      figures([
        whole && { label: 'Available', value: money(available), note: ['and ', money(sum(rows, 'reservedNano')), ' reserved for open jobs'] },
        { label: 'Spent, an hour', value: money(burn.perHour), note: burn.hours ? `over the last ${burn.hours} h` : 'nothing in the last day' },
        whole && { label: 'Lasts', value: burn.perHour > 0n ? lasts(available, burn.perHour) : '–', note: 'at this rate' },
        { label: 'Charged so far', value: money(total?.chargeNano), note: `${number(total?.jobsCompleted)} jobs, before refunds` },
      ], { label: 'Client' }),
      section('Spent by hour', { note: 'UTC' }, part(data.hours, () => byHour(hours, data.now))),
      section('Accounts', {}, accountTable(rows), pages(`/clients/${client}`, query, nextCursor)),
      section('By model', { note: 'since the beginning' }, part(data.models, (answer) => byModel(answer, data.known))),
      section('Disputes and refunds', { more: [`/jobs?client=${client}&dispute=resolved`, 'All that are resolved'] }, part(data.resolved, (answer) => refunds([...(got(data.open)?.jobs ?? []), ...(answer.jobs ?? [])], data.known))),
      section('Latest jobs', { more: [`/jobs?client=${client}`, 'All jobs'] }, part(data.jobs, ({ jobs = [] }) => list({ jobs, known: data.known }))),
    ];
  },
};

const sum = (rows, field) => (rows ?? []).reduce((all, row) => all + big(row[field]), 0n);

// burned is what was spent an hour over the last day, or over as much of it as there was any.
function burned(usage, now) {
  const end = now - (now % hourMs);
  const recent = usage.filter((u) => count(u.startMs) > end - 24 * hourMs);
  if (recent.length === 0) return { perHour: 0n, hours: 0 };
  // The hour under way is not whole: it counts for the part that has passed.
  const first = Math.min(...recent.map((u) => count(u.startMs)));
  const minutes = Math.max(1, Math.round((now - first) / 60_000));
  return { perHour: (recent.reduce((all, u) => all + big(u.chargeNano), 0n) * 60n) / BigInt(minutes), hours: Math.max(1, Math.ceil(minutes / 60)) };
}

// lasts is for how long an amount is enough.
function lasts(available, perHour) {
  const hours = available / perHour;
  return hours > 24n * 3650n ? 'more than 10 years' : span(Number((available * 3600n) / perHour) * 1000);
}

function byHour(usage, now) {
  const last = now - (now % hourMs);
  const shown = Math.max(12, ...usage.map((u) => (last - count(u.startMs)) / hourMs + 1));
  const times = Array.from({ length: shown }, (_, i) => last - (shown - 1 - i) * hourMs);
  const at = new Map(usage.map((u) => [count(u.startMs), u]));
  return plot({
    label: `Spent by hour until ${time(now).slice(0, 13)}`, times, unit: coin,
    series: [{ name: 'Charged', bars: true, fill: true, values: times.map((t) => count(at.get(t)?.chargeNano) / 1e9), exact: times.map((t) => coins(at.get(t)?.chargeNano ?? 0)) }],
  });
}

const accountTable = (rows) => table({
  label: 'Accounts', columns: [{ name: 'Account', grow: true }, { name: 'Shard', right: true, wide: true }, { name: 'Opened, UTC', wide: true }, { name: 'Reserved', unit: coin, right: true }, { name: 'Available', unit: coin, right: true }],
  rows: rows.map((a) => ({ key: a.account, cells: [id(a.account), a.shard, when(a.opened, { shard: a.shard }), money(a.reservedNano, { unit: false }), money(a.availableNano, { unit: false })] })),
  empty: 'It has opened no account.',
});

const byModel = ({ usage = [] }, known) => table({
  label: 'By model', columns: [{ name: 'Model', grow: true }, { name: 'Jobs completed', right: true }, { name: 'Prompt tokens', right: true, wide: true }, { name: 'Completion tokens', right: true, wide: true }, { name: 'Charged', unit: coin, right: true }],
  rows: usage.map((u) => ({ key: u.model, cells: [theModel(known, u.model), number(u.jobsCompleted), number(u.tokens?.prompt), number(u.tokens?.completion), money(u.chargeNano, { unit: false })] })),
  empty: 'It has not used any yet.',
});

const refunds = (jobs, known) => table({
  label: 'Disputes and refunds', columns: [{ name: 'Job' }, { name: 'Dispute' }, { name: 'Disputed, UTC', wide: true }, { name: 'Model', grow: true, wide: true }, { name: 'Charged', unit: coin, right: true, wide: true }, { name: 'Refunded', unit: coin, right: true }],
  rows: jobs.map((j) => ({ key: j.job, cells: [id(j.job, `/jobs/${j.job}`), j.dispute, when(j.disputed, { shard: j.shard }), theModel(known, j.model), money(j.chargeNano, { unit: false }), j.dispute === 'open' ? '–' : money(j.refundNano, { unit: false })] })),
  empty: 'It has disputed nothing.',
});
