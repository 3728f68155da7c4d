// Jobs, those submitted last first.
import { h } from '../dom.js';
import { dash, heading, id, money, pages, pill, table, when } from '../parts.js';
import { go } from '../shell.js';
import { names, nameOf, theClient, theModel, theProvider } from '../names.js';
import { clock, coin, number, short } from '../words.js';

const states = ['submitted', 'assigned', 'started', 'completed', 'failed', 'cancelled', 'expired'];
const whose = ['model', 'provider', 'client', 'worker'];
const dayMs = 86_400_000;

export default {
  path: '/jobs', section: 'jobs', every: 3000,

  async load(books, params, query) {
    const asked = Object.fromEntries([...whose, 'state', 'dispute'].map((name) => [name, query.get(name) ?? '']));
    const days = { from: query.get('from') ?? '', to: query.get('to') ?? '' };
    const [from, to] = [Date.parse(days.from), Date.parse(days.to)];
    const answer = await books.ask('JobService/ListJobs', {
      ...asked, ...(from > 0 && { fromMs: String(from) }), ...(to > 0 && { toMs: String(to + dayMs) }), page: { size: 50, cursor: query.get('after') ?? '' },
    });
    return { ...answer, asked: { ...asked, ...days }, known: await names(books) };
  },

  title: () => 'Jobs',

  view: ({ jobs = [], nextCursor, asked, known }, params, query) => [
    heading({ title: 'Jobs', about: 'Each is one inference. Those submitted last come first.' }),
    filters(asked, known),
    list({ jobs, known, empty: Object.values(asked).some(Boolean) ? 'No job is like this.' : 'No job was submitted yet.' }),
    pages('/jobs', query, nextCursor),
  ],
};

// filters is the list's form. What is chosen is in the page's address, so that it can be linked and gone back on.
function filters(asked, known) {
  const kind = whose.find((name) => asked[name]);
  // The books keep no order for a dispute together with any of these.
  const unordered = kind === 'model' || kind === 'worker';
  const option = (value, name, chosen, disabled) => h('option', { key: value, value, selected: value === chosen, disabled }, name);
  const state = asked.dispute ? `dispute:${asked.dispute}` : asked.state && `state:${asked.state}`;
  const of = kind ? `${kind}:${asked[kind]}` : '';
  const group = (name, title) => {
    const rows = [...known[name]];
    return rows.length > 0 && h('optgroup', { key: name, label: title }, rows.map(([value, text]) => option(`${name}:${value}`, text || short(value), of, name === 'model' && asked.dispute !== '')));
  };
  const listed = !kind || known[kind]?.has(asked[kind]);
  return h('form', { class: 'filters', role: 'search', 'aria-label': 'Which jobs', onchange: choose, onsubmit: choose },
    h('label', { key: 'state' }, 'State', h('select', { name: 'state', class: state ? 'set' : null },
      option('', 'Any', state),
      states.map((name) => option(`state:${name}`, name, state)),
      h('optgroup', { label: 'Dispute' }, ['open', 'resolved'].map((name) => option(`dispute:${name}`, `dispute ${name}`, state, unordered))))),
    h('label', { key: 'whose' }, 'Whose', h('select', { name: 'whose', class: of ? 'set' : null },
      option('', 'Anybody’s', of), !listed && option(of, `${kind} ${kind === 'worker' ? short(asked[kind]) : nameOf(known, kind, asked[kind])}`, of),
      group('model', 'Model'), group('provider', 'Provider'), group('client', 'Client'))),
    ['from', 'to'].map((name) => h('label', { key: name }, name === 'from' ? 'From day, UTC' : 'To day, UTC',
      h('input', { type: 'date', name, value: asked[name], class: asked[name] ? 'set' : null }))),
    Object.values(asked).some(Boolean) && h('a', { key: 'none', href: '/jobs' }, 'Clear'));
}

// choose shows the list that the form asks for, from its beginning.
function choose(event) {
  event.preventDefault();
  const form = new FormData(event.currentTarget);
  const q = new URLSearchParams();
  for (const name of ['state', 'whose']) {
    const [field, value] = form.get(name).split(':');
    if (value) q.set(field, value);
  }
  for (const name of ['from', 'to']) if (form.get(name)) q.set(name, form.get(name));
  go(q.size ? `/jobs?${q}` : '/jobs', { focus: false });
}

// list is a table of jobs, on this page and on those of whom they belong to; without says whose page it is.
export function list({ jobs, known, empty, without }) {
  const columns = [
    [{ name: 'Job' }, (j) => [id(j.job, `/jobs/${j.job}`), h('span', { class: 'narrow soft' }, nameOf(known, 'model', j.model).split('/').at(-1), ', ', clock(j.submitted?.atMs))]],
    [{ name: 'State' }, (j) => [pill(j.state), j.dispute && [' ', pill(j.dispute === 'open' ? 'disputed' : 'dispute over', j.dispute === 'open' ? 'open' : 'plain')]]],
    [{ name: 'Submitted, UTC', wide: true }, (j) => when(j.submitted, { shard: j.shard })],
    [{ name: 'Model', wide: true }, (j) => theModel(known, j.model)],
    without !== 'client' && [{ name: 'Client', extra: true }, (j) => (j.client ? theClient(known, j.client) : dash())],
    without !== 'provider' && [{ name: 'Provider', wide: true }, (j) => (j.provider ? theProvider(known, j.provider) : dash())],
    [{ name: 'Tokens', right: true, wide: true }, (j) => number(BigInt(j.tokens?.prompt ?? 0) + BigInt(j.tokens?.completion ?? 0))],
    [{ name: 'Charged', unit: coin, right: true }, (j) => money(j.chargeNano, { unit: false })],
  ].filter(Boolean);
  return table({
    label: 'Jobs', columns: columns.map(([column]) => column), empty: empty ?? 'There is none yet.',
    rows: jobs.map((j) => ({ key: j.job, cells: columns.map(([, cell]) => cell(j)) })),
  });
}
