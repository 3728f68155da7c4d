// Who runs workers, and what became of their pay.
import { h } from '../dom.js';
import { heading, money, table } from '../parts.js';
import { big, coin, number } from '../words.js';

export default {
  path: '/providers', section: 'providers', every: 3000,

  load: (books) => books.ask('NetworkService/ListProviders', { page: { size: 1000 } }),

  title: () => 'Providers',

  view: ({ providers = [] }) => [
    heading({ title: 'Providers', about: 'Each owns a fleet of workers and is paid for all of them to one address.' }),
    table({
      label: 'Providers',
      columns: [{ name: 'Provider', grow: true }, { name: 'Workers', right: true, wide: true }, { name: 'Jobs completed', right: true, wide: true }, { name: 'Earned so far', unit: coin, right: true },
        { name: 'Not paid yet', unit: coin, right: true, wide: true }, { name: 'Paid', unit: coin, right: true }],
      rows: providers.map((p) => ({
        key: p.provider,
        cells: [h('a', { href: `/providers/${p.provider}`, title: p.provider }, p.name || `${p.provider.slice(0, 8)}…`), number(p.workers), number(p.jobsCompleted), money(p.workerNano, { unit: false }), money(onTheWay(p), { unit: false }), money(p.paidNano, { unit: false })],
      })),
      empty: 'No provider is registered.',
    }),
  ],
};

// onTheWay is what a provider has earned that has not reached it: in its dispute window, held back, mature, or in a batch.
export const onTheWay = (p) => big(p.earnedNano) + big(p.heldNano) + big(p.payableNano) + big(p.committedNano);
