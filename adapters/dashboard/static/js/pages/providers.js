// Who runs workers, and what became of their pay.
import { h } from '../dom.js';
import { figures, heading, money, pages, table } from '../parts.js';
import { big, coin, number, short } from '../words.js';

export default {
  path: '/providers', section: 'providers', every: 3000,

  load: (books, params, query) => books.ask('NetworkService/ListProviders', { page: { size: 200, cursor: query.get('after') ?? '' } }),

  title: () => 'Providers',

  view({ providers = [], nextCursor }, params, query) {
    const whole = !nextCursor && !query.get('after') && providers.length > 0;
    const all = (of) => providers.reduce((sum, p) => sum + big(of(p)), 0n);
    const earned = all((p) => p.workerNano), waits = all(onTheWay), paid = all((p) => p.paidNano);
    return [
      heading({ title: 'Providers', about: 'Each owns a fleet of workers and is paid for all of them to one address.' }),
      whole && figures([
        { label: 'Earned so far', value: money(earned), note: 'by all, before disputes' },
        { label: 'Not paid yet', value: money(waits), note: 'earned, held, payable or in a batch' },
        { label: 'Paid', value: money(paid), note: 'on chain' },
        { label: 'Workers', value: number(all((p) => p.workers)), note: `of ${number(providers.length)} providers` },
      ], { label: 'Providers' }),
      h('div', { class: whole ? 'below' : null }, table({
        label: 'Providers',
        columns: [{ name: 'Provider', grow: true }, { name: 'Workers', right: true, wide: true }, { name: 'Jobs completed', right: true, wide: true }, { name: 'Tokens', right: true, wide: true }, { name: 'Earned so far', unit: coin, right: true },
          { name: 'Not paid yet', unit: coin, right: true, wide: true }, { name: 'Paid', unit: coin, right: true }],
        rows: providers.map((p) => ({
          key: p.provider,
          cells: [h('a', { href: `/providers/${p.provider}`, title: p.provider }, p.name || short(p.provider)), number(p.workers), number(p.jobsCompleted), number(tokens(p)), money(p.workerNano, { unit: false }), money(onTheWay(p), { unit: false }), money(p.paidNano, { unit: false })],
        })),
        total: whole && ['All', number(all((p) => p.workers)), number(all((p) => p.jobsCompleted)), number(all(tokens)), money(earned, { unit: false }), money(waits, { unit: false }), money(paid, { unit: false })],
        empty: ['No provider is registered yet. The network’s admin does it with the claim ', h('code', {}, 'register_provider'), '; docs/roles/worker.md shows how.'],
      })),
      pages('/providers', query, nextCursor),
    ];
  },
};

const tokens = (p) => big(p.tokens?.prompt) + big(p.tokens?.completion);

// onTheWay is what a provider has earned that has not reached it: in its dispute window, held back, mature, or in a batch.
export const onTheWay = (p) => big(p.earnedNano) + big(p.heldNano) + big(p.payableNano) + big(p.committedNano);
