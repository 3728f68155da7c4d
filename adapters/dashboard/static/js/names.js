// What models, providers and clients are called. Names are asked for once and kept for a while: they hardly change, and
// every page needs them. Who may not ask for some sees ids in their place.
import { got } from './api.js';
import { h } from './dom.js';
import { id, dash, slashed } from './parts.js';
import { short } from './words.js';

const keptMs = 30_000;
// rows is how many of a kind are named: a page of the API.
const rows = { page: { size: 1000 } };

let kept = null;

// names returns the tables of names, and since when clients are registered, from books if they are not known or old.
export async function names(books) {
  if (kept && Date.now() - kept.since < keptMs) return kept;
  const { models, providers, clients } = await books.all({
    models: ['NetworkService/ListModels', rows], providers: ['NetworkService/ListProviders', rows], clients: ['NetworkService/ListClients', rows],
  });
  const table = (list, key) => new Map((list ?? []).map((row) => [row[key], row.name]));
  kept = {
    since: Date.now(),
    model: table(got(models)?.models, 'model'), provider: table(got(providers)?.providers, 'provider'), client: table(got(clients)?.clients, 'client'),
    registered: new Map((got(clients)?.clients ?? []).map((c) => [c.client, Number(c.registered?.atMs ?? 0)])),
  };
  return kept;
}

// the is a link to one of them by its name, or by its id where it has none that we know.
const the = (kind, path) => (known, of) => {
  if (!of) return dash();
  const name = known[kind].get(of);
  return name ? h('a', { href: `${path}/${of}`, title: of }, slashed(name)) : id(of, `${path}/${of}`);
};

export const theModel = the('model', '/market');
export const theProvider = the('provider', '/providers');
export const theClient = the('client', '/clients');

// nameOf is the bare name, for a title.
export const nameOf = (known, kind, of) => known[kind].get(of) || short(of);
