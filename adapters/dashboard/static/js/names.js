// What models, providers and clients are called. Names are asked for once and kept for a while: they hardly change, and
// every page needs them. Who may not ask for some sees ids in their place.
import { got } from './api.js';
import { h } from './dom.js';
import { id, dash, slashed } from './parts.js';
import { short } from './words.js';

const keptMs = 30_000;

let kept = null;

// names returns the tables of names, and since when clients are registered, from books if they are not known or old. The API
// gives the first 1,000 of a kind.
export async function names(books) {
  if (kept && Date.now() - kept.since < keptMs) return kept;
  const { names: answer } = await books.all({ names: ['NetworkService/ListNames', {}] }); // a page without names is still a page
  const all = got(answer)?.names ?? [];
  const table = (kind, value) => new Map(all.filter((n) => n.kind === kind).map((n) => [n.id, value(n)]));
  const name = (n) => n.name;
  kept = {
    since: Date.now(),
    model: table('model', name), provider: table('provider', name), client: table('client', name),
    registered: table('client', (n) => Number(n.sinceMs)),
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
