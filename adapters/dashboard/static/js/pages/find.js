// What an id is of. An id does not say it, so each kind is asked for; what a key may not ask is not found.
import { got } from '../api.js';
import { friendly } from '../address.js';
import { facts, heading, copyable } from '../parts.js';

export default {
  path: '/find', section: 'find',

  async load(books, params, query) {
    const q = (query.get('q') ?? '').trim();
    if (/^\d{1,9}$/.test(q)) return { redirect: `/batches/${q}` };
    const id = q.toLowerCase();
    if (!/^[0-9a-f]{64}$/.test(id)) return byName(books, q);
    const { job, provider, standing, offers, account, models } = await books.all({
      job: ['JobService/GetJob', { job: id }],
      provider: ['NetworkService/GetProvider', { provider: id }],
      standing: ['NetworkService/ListStandings', { kind: 'worker', subject: id }],
      offers: ['NetworkService/ListOffers', { worker: id, page: { size: 1 } }],
      account: ['NetworkService/ListAccounts', { client: id, page: { size: 1 } }],
      models: ['NetworkService/ListModels', { page: { size: 1000 } }],
    });
    if (got(job)) return { redirect: `/jobs/${id}` };
    if (got(provider)) return { redirect: `/providers/${id}` };
    if (got(models)?.models?.some((m) => m.model === id)) return { redirect: `/market/${id}` };
    if (got(standing)?.standings?.length || got(offers)?.offers?.length) return { redirect: `/workers/${id}` };
    if (got(account)?.accounts?.length) return { redirect: `/clients/${id}` };
    return { q };
  },

  title: () => 'Find',

  view: ({ q }) => [
    heading({ title: 'Nothing found', about: ['Nothing that this key may see is called ', copyable(q), '.'] }),
    facts([['What can be found', 'a job, provider, worker or client by its 64 hexadecimal digits, a batch by its number, a provider by its TON address, a provider, model or client by its name']]),
  ],
};

// byName looks for what people call it, and for a provider's address.
async function byName(books, q) {
  const page = { page: { size: 1000 } };
  const { models, providers, clients } = await books.all({ models: ['NetworkService/ListModels', page], providers: ['NetworkService/ListProviders', page], clients: ['NetworkService/ListClients', page] });
  const wanted = q.toLowerCase();
  const named = (rows, key, path) => {
    const row = (rows ?? []).find((r) => r.name?.toLowerCase() === wanted) ?? (rows ?? []).find((r) => wanted.length > 2 && r.name?.toLowerCase().includes(wanted));
    return row && { redirect: `${path}/${row[key]}` };
  };
  const paid = (got(providers)?.providers ?? []).find((p) => [friendly(p.provider), friendly(p.provider, { bounceable: true })].includes(q));
  return (paid && { redirect: `/providers/${paid.provider}` }) ?? named(got(providers)?.providers, 'provider', '/providers') ?? named(got(models)?.models, 'model', '/market')
    ?? named(got(clients)?.clients, 'client', '/clients') ?? { q };
}
