// The models that jobs may ask for, and what a token of each costs now.
import { h } from '../dom.js';
import { got } from '../api.js';
import { heading, money, table } from '../parts.js';
import { coin, count, factor, number } from '../words.js';

export default {
  path: '/market', section: 'market', every: 5000,

  async load(books) {
    const answer = await books.ask('NetworkService/ListModels', { page: { size: 1000 } });
    // The last day of the market is enough for each model's last price.
    return { ...answer, ...await books.all({ hours: ['NetworkService/ListMarketHours', { fromMs: String(Date.now() - 86_400_000) }] }) };
  },

  title: () => 'Market',

  view({ models = [], hours }) {
    const last = new Map();
    for (const hour of got(hours)?.hours ?? []) if (count(hour.cleared) > 0 && !(count(last.get(hour.model)?.hourMs) > count(hour.hourMs))) last.set(hour.model, hour);
    return [
      heading({ title: 'Market', about: 'A worker asks for its own coefficient; a client says what it takes at most. Prices are what clients paid in the last hour of the last day that jobs cleared in.' }),
      table({
        label: 'Models',
        columns: [{ name: 'Model', grow: true }, { name: 'Offers', right: true }, { name: 'Lowest', right: true, wide: true }, { name: 'Highest', right: true, wide: true }, { name: 'Cleared at', right: true, wide: true },
          { name: 'Jobs in the hour', right: true, wide: true }, { name: 'A million tokens', unit: coin, right: true }],
        rows: models.map((m) => {
          const hour = last.get(m.model);
          return { key: m.model, cells: [h('a', { href: `/market/${m.model}`, title: m.model }, m.name || m.model.slice(0, 8)), number(m.offers), m.offers ? factor(m.lowestCoefficient) : '–', m.offers ? factor(m.highestCoefficient) : '–', hour ? factor(hour.clearedCoefficient) : '–', hour ? number(hour.cleared) : '–', hour ? money(hour.perMillionNano, { unit: false }) : '–'] };
        }),
        empty: 'No model is listed.',
      }),
    ];
  },
};
