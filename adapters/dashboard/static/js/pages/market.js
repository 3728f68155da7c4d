// The models that jobs may ask for, and what a token of each costs now.
import { h } from '../dom.js';
import { got } from '../api.js';
import { figures, heading, money, slashed, table } from '../parts.js';
import { spark } from '../spark.js';
import { big, coin, count, coins, factor, number } from '../words.js';

const hourMs = 3_600_000;
const hoursShown = 24;

export default {
  path: '/market', section: 'market', every: 5000,

  async load(books) {
    const now = Date.now();
    const answer = await books.ask('NetworkService/ListModels', { page: { size: 1000 } });
    return { ...answer, now, ...await books.all({ hours: ['NetworkService/ListMarketHours', { fromMs: String(now - (now % hourMs) - (hoursShown - 1) * hourMs) }] }) };
  },

  title: () => 'Market',

  view({ models = [], hours, now }) {
    const byModel = Map.groupBy(got(hours)?.hours ?? [], (x) => x.model);
    const all = (of) => (got(hours)?.hours ?? []).reduce((sum, x) => sum + big(of(x)), 0n);
    const tokens = all((x) => x.tokens), charged = all((x) => x.chargeNano);
    return [
      heading({ title: 'Market', about: 'A worker asks for its own coefficient; a client says what it takes at most. Prices are what clients paid in the last hour in which jobs cleared.' }),
      models.length > 0 && got(hours) && figures([
        { label: 'A million tokens', value: tokens > 0n ? money((charged * 1_000_000n) / tokens) : '–', note: `over all models, the last ${hoursShown} hours` },
        { label: 'Tokens', value: number(tokens), note: 'prompt and completion, in these hours' },
        { label: 'Charged', value: money(charged), note: 'in these hours' },
        { label: 'Offers', value: number(models.reduce((sum, m) => sum + big(m.offers), 0n)), note: `in force, for ${number(models.length)} models` },
      ], { label: 'Market' }),
      h('div', { class: models.length > 0 ? 'below' : null }, table({
        label: 'Models',
        columns: [{ name: 'Model', grow: true }, { name: 'Offers', right: true, wide: true }, { name: 'Active workers', right: true, wide: true }, { name: 'Coefficients offered', right: true, wide: true }, { name: 'Cleared at', right: true, wide: true },
          { name: `Jobs in ${hoursShown} h`, right: true, wide: true }, { name: `Price, ${hoursShown} h`, wide: true }, { name: 'A million tokens', unit: coin, right: true }],
        rows: models.map((m) => {
          const some = byModel.get(m.model) ?? [];
          const hour = some.findLast((x) => count(x.cleared) > 0);
          return { key: m.model, cells: [
            h('a', { href: `/market/${m.model}`, title: m.model }, slashed(m.name || m.model.slice(0, 8))), number(m.offers), number(some.at(-1)?.active), m.offers ? `${factor(m.lowestCoefficient)} to ${factor(m.highestCoefficient)}` : '–',
            hour ? factor(hour.clearedCoefficient) : '–', number(some.reduce((sum, x) => sum + big(x.cleared), 0n)), price(some, now), hour ? money(hour.perMillionNano, { unit: false }) : '–',
          ] };
        }),
        empty: ['No model is listed yet. The network’s admin does it with the claim ', h('code', {}, 'list_model'), '; docs/roles/node.md shows how.'],
      })),
    ];
  },
};

// price is the last day's price of a model as a line.
function price(some, now) {
  const end = now - (now % hourMs);
  const at = new Map(some.filter((x) => count(x.cleared) > 0).map((x) => [count(x.hourMs), x.perMillionNano]));
  const prices = [...at.values()].map(big);
  const low = prices.reduce((a, b) => (b < a ? b : a), prices[0]), high = prices.reduce((a, b) => (b > a ? b : a), prices[0]);
  return spark(Array.from({ length: hoursShown }, (_, i) => at.get(end - (hoursShown - 1 - i) * hourMs)).map((nano) => (nano === undefined ? null : count(nano))),
    { label: prices.length > 0 ? low === high ? `${coins(low)} ${coin}` : `between ${coins(low)} and ${coins(high)} ${coin}` : 'nothing cleared' });
}
