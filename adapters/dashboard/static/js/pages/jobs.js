// Jobs, those submitted last first.
import { h } from '../dom.js';
import { dash, heading, id, money, pages, pill, table, when } from '../parts.js';
import { names, nameOf, theModel, theProvider } from '../names.js';
import { coin, number } from '../words.js';

const states = ['', 'submitted', 'assigned', 'started', 'completed', 'failed', 'cancelled', 'expired'];
const filters = ['client', 'provider', 'worker', 'model', 'state', 'dispute'];

export default {
  path: '/jobs', section: 'jobs', every: 3000,

  async load(books, params, query) {
    const asked = Object.fromEntries(filters.map((name) => [name, query.get(name) ?? '']));
    const answer = await books.ask('JobService/ListJobs', { ...asked, page: { size: 50, cursor: query.get('after') ?? '' } });
    return { ...answer, asked, known: await names(books) };
  },

  title: () => 'Jobs',

  view: ({ jobs = [], nextCursor, asked, known }, params, query) => [
    heading({ title: 'Jobs', about: whose(asked, known) }),
    h('nav', { class: 'filters', 'aria-label': 'State' }, states.map((state) => h('a', { key: state, href: to(query, { state, dispute: '' }), 'aria-current': asked.state === state && !asked.dispute ? 'page' : null }, state || 'all')),
      !asked.worker && !asked.model && ['open', 'resolved'].map((dispute) => h('a', { key: dispute, href: to(query, { state: '', dispute }), 'aria-current': asked.dispute === dispute ? 'page' : null }, `dispute ${dispute}`))),
    list({ jobs, known }),
    pages('/jobs', query, nextCursor),
  ],
};

// to is this list with other filters, from its beginning.
function to(query, change) {
  const q = new URLSearchParams(query);
  q.delete('after');
  for (const [name, value] of Object.entries(change)) {
    if (value) q.set(name, value);
    else q.delete(name);
  }
  return q.size ? `/jobs?${q}` : '/jobs';
}

function whose(asked, known) {
  if (asked.provider) return `Of the provider ${nameOf(known, 'provider', asked.provider)}, those submitted last first.`;
  if (asked.client) return `Of the client ${nameOf(known, 'client', asked.client)}, those submitted last first.`;
  if (asked.model) return `For ${nameOf(known, 'model', asked.model)}, those submitted last first.`;
  if (asked.worker) return ['Of the worker ', id(asked.worker, `/workers/${asked.worker}`), ', those submitted last first.'];
  return 'Each is one inference. Those submitted last come first.';
}

// list is a table of jobs, on this page and on those of whom they belong to.
export const list = ({ jobs, known, empty }) => table({
  label: 'Jobs',
  columns: [{ name: 'Job' }, { name: 'State' }, { name: 'Submitted, UTC', wide: true }, { name: 'Model', wide: true, grow: true }, { name: 'Provider', wide: true }, { name: 'Tokens', right: true, wide: true }, { name: 'Charged', unit: coin, right: true }],
  rows: jobs.map((j) => ({
    key: j.job,
    cells: [id(j.job, `/jobs/${j.job}`), [pill(j.state), j.dispute && [' ', pill(`dispute ${j.dispute}`, j.dispute === 'open' ? 'open' : 'plain')]], when(j.submitted, { shard: j.shard }), theModel(known, j.model),
      j.provider ? theProvider(known, j.provider) : dash(), number(BigInt(j.tokens?.prompt ?? 0) + BigInt(j.tokens?.completion ?? 0)), money(j.chargeNano, { unit: false })],
  })),
  empty: empty ?? 'No job is like this.',
});
