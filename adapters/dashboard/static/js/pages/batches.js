// All batches, the newest first.
import { h } from '../dom.js';
import { heading, figures, id, money, pages, pill, table, when } from '../parts.js';
import { big, coin, number } from '../words.js';

export default {
  path: '/batches', section: 'batches', every: 4000,

  load: (books, params, query) => books.ask('SettlementService/ListBatches', { page: { size: 50, cursor: query.get('after') ?? '' } }),

  title: () => 'Batches',

  view({ batches = [], nextCursor }, params, query) {
    const newest = !query.get('after') && batches.length > 0;
    const active = batches.find((b) => b.state === 'activated');
    const open = batches.find((b) => ['sealed', 'proposed'].includes(b.state));
    return [
      heading({ title: 'Batches', about: 'What providers are owed goes to the chain in batches. Each has one root, which follows from the log up to its cut and from nothing else.' }),
      newest && figures([
        { label: 'In force', value: active ? `Batch ${active.number}` : '–', href: active && `/batches/${active.number}`, note: active ? ['since ', when(active.activated), ' UTC'] : 'none yet' },
        { label: 'It gives', value: active ? money(active.totalNano) : '–', note: active ? `to ${number(active.payees)} payees, all that was ever owed` : '' },
        { label: 'On its way', value: open ? `Batch ${open.number}` : '–', href: open && `/batches/${open.number}`, note: open ? open.state : 'no batch is open' },
      ], { label: 'Batches' }),
      h('div', { class: newest ? 'below' : null }, table({
        label: 'Batches',
        columns: [{ name: 'Batch' }, { name: 'State' }, { name: 'Sealed, UTC', wide: true }, { name: 'Activated, UTC', wide: true }, { name: 'Payout root', wide: true }, { name: 'Payees', right: true, extra: true }, { name: 'Payees changed', right: true, extra: true },
          { name: 'Added', unit: coin, right: true, wide: true }, { name: 'Cumulative', unit: coin, right: true }],
        rows: batches.map((b, i) => {
          const before = batches.slice(i + 1).find((x) => x.state !== 'vetoed');
          const added = before ? big(b.totalNano) - big(before.totalNano) : nextCursor ? undefined : big(b.totalNano);
          return {
            key: b.number,
            cells: [h('a', { href: `/batches/${b.number}` }, `Batch ${b.number}`), pill(b.state), when(b.sealed), when(b.activated), id(b.payoutRoot), number(b.payees), number(b.lines), added === undefined ? '–' : money(added, { unit: false, signed: true }), money(b.totalNano, { unit: false })],
          };
        }),
        empty: 'No batch was sealed yet. The settler seals one when a provider is owed the threshold.',
      })),
      pages('/batches', query, nextCursor),
    ];
  },
};
