// What an id is of. An id does not say it, so each kind is asked for; what a key may not ask is not found.
import { h } from '../dom.js';
import { got } from '../api.js';
import { friendly } from '../address.js';
import { heading, section, slashed } from '../parts.js';
import { short } from '../words.js';

// nearest is how many names are offered that are like what was looked for.
const nearest = 12;

export default {
  path: '/find', section: 'find',

  async load(books, params, query) {
    const q = (query.get('q') ?? '').trim();
    if (/^\d{1,9}$/.test(q)) return { redirect: `/batches/${q}` };
    const id = q.toLowerCase();
    if (!/^[0-9a-f]{64}$/.test(id)) return byName(books, q);
    const { job, why, provider, standing, offers, said, account, models } = await books.all({
      job: ['JobService/GetJob', { job: id }],
      why: ['JobService/Explain', { kind: 'job', id }],
      provider: ['NetworkService/GetProvider', { provider: id }],
      standing: ['NetworkService/ListStandings', { kind: 'worker', subject: id }],
      offers: ['NetworkService/ListOffers', { worker: id, page: { size: 1 } }],
      said: ['NetworkService/ListAttestations', { worker: id, page: { size: 1 } }], // of one that retired, too
      account: ['NetworkService/ListAccounts', { client: id, page: { size: 1 } }],
      models: ['NetworkService/ListModels', { page: { size: 1000 } }],
    });
    if (got(job) || got(why)?.evidence?.length) return { redirect: `/jobs/${id}` };
    if (got(provider)) return { redirect: `/providers/${id}` };
    if (got(models)?.models?.some((m) => m.model === id)) return { redirect: `/market/${id}` };
    if (got(standing)?.standings?.length || got(offers)?.offers?.length || got(said)?.attestations?.length) return { redirect: `/workers/${id}` };
    if (got(account)?.accounts?.length) return { redirect: `/clients/${id}` };
    return { q, near: [] };
  },

  title: () => 'Find',

  view: ({ q, near }) => [
    heading({ title: near.length > 0 ? 'Which one?' : 'Nothing found', about: near.length > 0 ? ['These are like ', h('q', {}, q), '.'] : q ? ['Nothing that you may see is called ', h('q', {}, q), '.'] : 'Nothing was looked for.' }),
    near.length > 0 && h('ul', { class: 'lines' }, near.map((n) => h('li', { key: n.href }, h('a', { href: n.href }, slashed(n.name)), ' ', h('span', { class: 'soft' }, n.kind)))),
    section('What can be found', {}, h('ul', { class: 'lines' },
      h('li', {}, 'a job, provider, worker, model or client by its id: all of its 64 hexadecimal digits'),
      h('li', {}, 'a batch by its number'),
      h('li', {}, 'a provider by its TON address'),
      h('li', {}, 'a provider, model or client by its name, the beginning of its id, or a part of its name'))),
  ],
};

// byName looks for what people call it, for the beginning of an id, and for a provider's address. One that fits exactly, or
// the only one that fits at all, is shown at once.
async function byName(books, q) {
  const page = { page: { size: 1000 } };
  const { models, providers, clients } = await books.all({ models: ['NetworkService/ListModels', page], providers: ['NetworkService/ListProviders', page], clients: ['NetworkService/ListClients', page] });
  const paid = (got(providers)?.providers ?? []).find((p) => [friendly(p.provider), friendly(p.provider, { bounceable: true })].includes(q));
  if (paid) return { redirect: `/providers/${paid.provider}` };
  const wanted = q.toLowerCase();
  const of = (rows, kind, path) => (rows ?? []).map((r) => ({ kind, id: r[kind], name: r.name || short(r[kind]), href: `${path}/${r[kind]}` }));
  const all = [...of(got(providers)?.providers, 'provider', '/providers'), ...of(got(models)?.models, 'model', '/market'), ...of(got(clients)?.clients, 'client', '/clients')];
  const near = wanted.length < 2 ? [] : all.filter((n) => n.name.toLowerCase().includes(wanted) || (wanted.length >= 4 && n.id.startsWith(wanted)));
  const exact = near.find((n) => n.name.toLowerCase() === wanted) ?? (near.length === 1 ? near[0] : undefined);
  return exact ? { redirect: exact.href } : { q, near: near.slice(0, nearest) };
}
