// All batches, the newest first.
import { h } from '../dom.js';
import { heading, id, money, pages, pill, table, when } from '../parts.js';
import { coin, number } from '../words.js';

export default {
  path: '/batches', section: 'batches', every: 4000,

  load: (books, params, query) => books.ask('SettlementService/ListBatches', { page: { size: 50, cursor: query.get('after') ?? '' } }),

  title: () => 'Batches',

  view: ({ batches = [], nextCursor }, params, query) => [
    heading({ title: 'Batches', about: 'What providers are owed goes to the chain in batches. Each has one root, which follows from the log up to its cut and from nothing else.' }),
    table({
      label: 'Batches',
      columns: [{ name: 'Batch' }, { name: 'State' }, { name: 'Sealed, UTC', wide: true }, { name: 'Activated, UTC', wide: true }, { name: 'Payout root', wide: true, grow: true }, { name: 'Payees', right: true, wide: true }, { name: 'Changed', right: true, wide: true }, { name: 'Cumulative', unit: coin, right: true }],
      rows: batches.map((b) => ({
        key: b.number,
        cells: [h('a', { href: `/batches/${b.number}` }, b.number), pill(b.state), when(b.sealed), when(b.activated), id(b.payoutRoot), number(b.payees), number(b.lines), money(b.totalNano, { unit: false })],
      })),
      empty: 'No batch was sealed yet. The settler seals one when somebody is owed the threshold.',
    }),
    pages('/batches', query, nextCursor),
  ],
};
