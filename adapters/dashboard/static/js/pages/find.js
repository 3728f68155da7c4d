// What an id is of, or who is called so. The API finds models, workers, providers and clients; jobs are asked for one by one. What
// a key may not ask is not found.
import { h } from '../dom.js';
import { got } from '../api.js';
import { accountOf } from '../address.js';
import { heading, section, slashed } from '../parts.js';
import { names } from '../names.js';
import { short } from '../words.js';

// nearest is how many are offered that are like what was looked for.
const nearest = 24;
// longest is how many bytes a name has at most.
const longest = 128;
const paths = { model: '/market', worker: '/workers', provider: '/providers', client: '/clients' };

export default {
  path: '/find', section: 'find',

  async load(books, params, query) {
    const q = (query.get('q') ?? '').trim();
    if (!q || new TextEncoder().encode(q).length > longest) return { q, near: [] };
    if (/^\d{1,9}$/.test(q)) return { redirect: `/batches/${q}` };
    const id = accountOf(q) ?? q.toLowerCase();
    return /^[0-9a-f]{64}$/.test(id) ? byID(books, q, id) : byName(books, q);
  },

  title: () => 'Find',

  view: ({ q, near, more }) => [
    heading({ title: near.length > 0 ? 'Which one?' : 'Nothing found', about: near.length > 0 ? ['These are like ', h('q', {}, q), more ? ', and there are others: write more of it.' : '.'] : q ? ['Nothing that you may see is called ', h('q', {}, q), '.'] : 'Nothing was looked for.' }),
    near.length > 0 && h('ul', { class: 'lines' }, near.map((n) => h('li', { key: n.href }, h('a', { href: n.href }, slashed(n.name)), ' ', h('span', { class: 'soft' }, n.kind)))),
    section('What can be found', {}, h('ul', { class: 'lines' },
      h('li', {}, 'a job by its id: all of its 64 hexadecimal digits'),
      h('li', {}, 'a provider, worker, model or client by its id, or the first four of its digits or more'),
      h('li', {}, 'a batch by its number'),
      h('li', {}, 'a provider by its TON address'),
      h('li', {}, 'a provider, model or client by its name, or how it begins. Where there are at most a thousand of a kind, a part of its name will do'))),
  ],
};

// byID asks what a whole id is of. Providers and clients see themselves, though they find nobody.
async function byID(books, q, id) {
  const { found, job, why, provider, account } = await books.all({
    found: ['NetworkService/Find', { text: id }],
    job: ['JobService/GetJob', { job: id }],
    why: ['JobService/Explain', { kind: 'job', id }],
    provider: ['NetworkService/GetProvider', { provider: id }],
    account: ['NetworkService/ListAccounts', { client: id, page: { size: 1 } }],
  });
  if (got(job) || got(why)?.evidence?.length) return { redirect: `/jobs/${id}` };
  const [one] = got(found)?.found ?? [];
  if (one) return { redirect: `${paths[one.kind]}/${id}` };
  if (got(provider)) return { redirect: `/providers/${id}` };
  if (got(account)?.accounts?.length) return { redirect: `/clients/${id}` };
  return { q, near: [] };
}

// byName looks for how a name or an id begins, and in the names that every page knows for a part of one. One that fits exactly, or
// the only one that fits at all, is shown at once.
async function byName(books, q) {
  const [{ found }, known] = await Promise.all([books.all({ found: ['NetworkService/Find', { text: q }] }), names(books)]);
  const wanted = q.toLowerCase();
  const all = (got(found)?.found ?? []).map(({ kind, id, name }) => ({ kind, id, name }));
  for (const kind of ['provider', 'model', 'client']) {
    for (const [id, name] of known[kind]) {
      if (wanted.length >= 2 && name?.toLowerCase().includes(wanted) && !all.some((n) => n.kind === kind && n.id === id)) all.push({ kind, id, name });
    }
  }
  const near = all.map((n) => ({ kind: n.kind, name: n.name || short(n.id), href: `${paths[n.kind]}/${n.id}` }));
  const exact = near.find((n) => n.name.toLowerCase() === wanted) ?? (near.length === 1 ? near[0] : undefined);
  return exact ? { redirect: exact.href } : { q, near: near.slice(0, nearest), more: Boolean(got(found)?.more) || near.length > nearest };
}
