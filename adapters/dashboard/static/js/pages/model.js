// The market for one model: at what it was offered and cleared, who serves it, and its price list.
import { h } from '../dom.js';
import { got, Problem } from '../api.js';
import { copyable, facts, figures, heading, id, money, pages, part, pill, section, slashed, table, when } from '../parts.js';
import { plot } from '../plot.js';
import { names, theProvider } from '../names.js';
import { coin, coins, count, factor, number, time, words } from '../words.js';

const hourMs = 3_600_000;
const hoursShown = 7 * 24;

export default {
  path: '/market/:model', section: 'market', every: 5000,

  async load(books, { model }, query) {
    const now = Date.now();
    const known = await names(books);
    const { models, ...rest } = await books.all({
      models: ['NetworkService/ListModels', { page: { size: 1000 } }],
      hours: ['NetworkService/ListMarketHours', { model, fromMs: String(now - (now % hourMs) - (hoursShown - 1) * hourMs) }],
      offers: ['NetworkService/ListOffers', { model, page: { size: 50, cursor: query.get('after') ?? '' } }],
      changes: ['NetworkService/ListOfferChanges', { model, page: { size: 10 } }],
    });
    const found = got(models)?.models?.find((m) => m.model === model);
    if (got(models) && !found) throw new Problem('not_found', `model ${model}: not found`);
    return { model: found, known, now, ...rest };
  },

  title: ({ model }) => model?.name ?? 'Model',

  view(data, params, query) {
    const hours = got(data.hours)?.hours ?? [];
    const last = hours.findLast((x) => count(x.cleared) > 0);
    const now = hours.at(-1);
    const m = data.model;
    return [
      heading({ above: [['/market', 'Market']], title: m?.name ? slashed(m.name) : 'Model', about: copyable(params.model) }),
      figures([
        { label: 'A million tokens', value: last ? money(last.perMillionNano) : '–', note: last ? `what clients paid in the hour from ${time(last.hourMs).slice(11, 16)}` : 'nothing cleared in the last 7 days' },
        { label: 'Cleared at', value: last ? factor(last.clearedCoefficient) : '–', note: 'coefficient, weighted by tokens' },
        { label: 'Offers', value: number(m?.offers), note: m?.offers ? `of workers in service, ${factor(m.lowestCoefficient)} to ${factor(m.highestCoefficient)}` : 'nobody serves it now' },
        { label: 'Active workers', value: number(now?.active), note: `${number(now?.busy)} completed a job in its hour` },
      ], { label: 'Market' }),
      section('Prices', { note: `by hour, UTC, up to ${hoursShown / 24} days` }, part(data.hours, () => prices(hours, data.now))),
      section('Who serves it', { note: 'offers in force, by worker' }, part(data.offers, (answer) => [offers(answer, data.known), pages(`/market/${params.model}`, query, answer.nextCursor)])),
      h('div', { class: 'two' },
        section('Price list', { note: 'for a token of multiplier and coefficient 1' }, card(m?.rateCard)),
        section('Latest changes of offers', {}, part(data.changes, changes))),
    ];
  },
};

function prices(hours, now) {
  const end = now - (now % hourMs);
  const first = Math.min(end - 11 * hourMs, ...hours.map((x) => count(x.hourMs)));
  const times = Array.from({ length: (end - first) / hourMs + 1 }, (_, i) => first + i * hourMs);
  const at = new Map(hours.map((x) => [count(x.hourMs), x]));
  const line = (name, of, tone, more) => ({ name, tone, values: times.map((t) => (at.has(t) ? of(at.get(t)) : null)), ...more });
  const cleared = (x) => (count(x.cleared) > 0 ? x : undefined);
  return [
    h('div', { class: 'two' },
      plot({
        label: 'What clients paid for a million tokens, by hour', times, unit: `${coin} for a million tokens`,
        series: [line('Paid', (x) => (cleared(x) ? count(x.perMillionNano) / 1e9 : null), 'accent', { fill: true, exact: times.map((t) => (cleared(at.get(t) ?? {}) ? coins(at.get(t).perMillionNano) : undefined)) })],
      }),
      plot({
        label: 'Coefficients offered and cleared, by hour', times, unit: 'coefficient', format: (n) => n.toFixed(2),
        series: [
          line('Cleared', (x) => (cleared(x) ? count(x.clearedCoefficient) / 1000 : null), 'accent'),
          line('Median offer', (x) => count(x.median) / 1000, 'second', { stepped: true }),
          line('Quartiles of offers', (x) => count(x.lowerQuartile) / 1000, 'second', { stepped: true, dash: [3, 3] }),
          line('', (x) => count(x.upperQuartile) / 1000, 'second', { stepped: true, dash: [3, 3] }),
        ],
      })),
    table({
      label: 'Latest hours',
      columns: [{ name: 'Hour, UTC', grow: true }, { name: 'Jobs', right: true }, { name: 'Tokens', right: true, wide: true }, { name: 'Active workers', right: true, wide: true }, { name: 'Lowest offer', right: true, wide: true }, { name: 'Median', right: true, wide: true }, { name: 'Highest', right: true, wide: true },
        { name: 'Cleared at', right: true, wide: true }, { name: 'A million tokens', unit: coin, right: true }],
      rows: hours.slice(-6).reverse().map((x) => ({
        key: x.hourMs,
        cells: [time(x.hourMs).slice(0, 16), number(x.cleared), number(x.tokens), number(x.active), factor(x.lowest), factor(x.median), factor(x.highest), cleared(x) ? factor(x.clearedCoefficient) : '–', cleared(x) ? money(x.perMillionNano, { unit: false }) : '–'],
      })),
      empty: 'No job cleared and no worker offered it in these days.',
    }),
  ];
}

const offers = ({ offers: some = [] }, known) => table({
  label: 'Who serves it', columns: [{ name: 'Worker' }, { name: 'Provider', grow: true }, { name: 'Coefficient', right: true }, { name: 'Since, UTC', right: true, wide: true }],
  rows: some.map((o) => ({ key: o.worker, cells: [id(o.worker, `/workers/${o.worker}`), theProvider(known, o.provider), factor(o.coefficient), when(o.set)] })),
  empty: 'Nobody serves it now.',
});

const changes = ({ changes: some = [] }) => table({
  label: 'Latest changes of offers', columns: [{ name: 'When, UTC', grow: true }, { name: 'Worker' }, { name: 'Coefficient', right: true }],
  rows: some.map((c) => ({ key: `${c.set?.offset}/${c.fact}`, cells: [when(c.set), id(c.worker, `/workers/${c.worker}`), c.withdrawn ? pill('withdrawn', 'plain') : factor(c.coefficient)] })),
  empty: 'No offer was ever made.',
});

const multiplier = (n) => (count(n) / 10_000).toFixed(4);

function card(c) {
  if (!c) return h('p', { class: 'nothing' }, 'No price list is in force.');
  return facts([
    ['Rate card', id(c.rateCard)], ['Rule', words(c.rule)], ['In force since, UTC', when(c.set)],
    ['Price of a token', money(c.pricePerTokenNano)], ['of it for the worker', money(c.workerFeePerTokenNano)],
    ['Prompt', `× ${multiplier(c.promptMultiplier)}`], ['Cached prompt', `× ${multiplier(c.cachedMultiplier)}`],
    ['Completion', `× ${multiplier(c.completionMultiplier)}`], ['Reasoning', `× ${multiplier(c.reasoningMultiplier)}`],
  ]);
}
