// Who pays for jobs, and what is left of what they deposited.
import { h } from '../dom.js';
import { heading, money, pages, pill, table, when } from '../parts.js';
import { coin, number } from '../words.js';

export default {
  path: '/clients', section: 'clients', every: 3000,

  load: (books, params, query) => books.ask('NetworkService/ListClients', { page: { size: 100, cursor: query.get('after') ?? '' } }),

  title: () => 'Clients',

  view: ({ clients = [], nextCursor }, params, query) => [
    heading({ title: 'Clients', about: 'Each holds prepaid accounts. A job reserves its worst case, and pays what it used.' }),
    table({
      label: 'Clients',
      columns: [{ name: 'Client', grow: true }, { name: 'Registered, UTC', wide: true }, { name: 'Accounts', right: true, wide: true }, { name: 'Reserved', unit: coin, right: true, wide: true }, { name: 'Available', unit: coin, right: true }],
      rows: clients.map((c) => ({
        key: c.client,
        cells: [[h('a', { href: `/clients/${c.client}`, title: c.client }, c.name || `${c.client.slice(0, 8)}…`), c.retiredAtMs && [' ', pill('retired', 'plain')]], when(c.registered), number(c.accounts), money(c.reservedNano, { unit: false }), money(c.availableNano, { unit: false })],
      })),
      empty: 'No client is registered.',
    }),
    pages('/clients', query, nextCursor),
  ],
};
