// One worker: what it proved, at what prices it serves what, how it stands, and its pay that was held.
import { h } from '../dom.js';
import { got } from '../api.js';
import { copyable, heading, id, money, pages, part, pill, section, table, when } from '../parts.js';
import { names, theModel } from '../names.js';
import { standings } from '../standing.js';
import { list } from './jobs.js';
import { coin, factor, number, short, words } from '../words.js';

export default {
  path: '/workers/:worker', section: 'providers', every: 4000,

  async load(books, { worker }, query) {
    return {
      known: await names(books),
      ...await books.all({
        offers: ['NetworkService/ListOffers', { worker, page: { size: 100 } }],
        attestations: ['NetworkService/ListAttestations', { worker, page: { size: 20, cursor: query.get('after') ?? '' } }],
        standings: ['NetworkService/ListStandings', { kind: 'worker', subject: worker }],
        holds: ['NetworkService/ListHolds', { worker }],
        jobs: ['JobService/ListJobs', { worker, page: { size: 10 } }],
      }),
    };
  },

  title: (data, { worker }) => `Worker ${short(worker)}`,

  view(data, { worker }, query) {
    const owner = got(data.offers)?.offers?.[0]?.provider ?? got(data.jobs)?.jobs?.[0]?.provider;
    return [
      heading({ above: owner ? [['/providers', 'Providers'], [`/providers/${owner}`, data.known.provider.get(owner) ?? short(owner)]] : [['/providers', 'Providers']], title: short(worker), mono: true, about: copyable(worker) }),
      section('Offers', { note: 'at what coefficient it serves a model now' }, part(data.offers, ({ offers = [] }) => table({
        label: 'Offers', columns: [{ name: 'Model', grow: true }, { name: 'Coefficient', right: true }, { name: 'Since, UTC', right: true }],
        rows: offers.map((o) => ({ key: o.model, cells: [theModel(data.known, o.model), factor(o.coefficient), when(o.set)] })),
        empty: 'It offers nothing now.',
      }))),
      section('Reputation', { note: 'each shard judges by what it has seen' }, part(data.standings, ({ standings: some = [] }) => standings(some))),
      section('Attestation', { note: 'what control said, the newest first' }, part(data.attestations, (answer) => [attestations(answer), pages(`/workers/${worker}`, query, answer.nextCursor)])),
      section('Pay held for a missing attestation', {}, part(data.holds, ({ holds = [] }) => table({
        label: 'Held pay', columns: [{ name: 'Cause', grow: true }, { name: 'The pay was' }, { name: 'Jobs', right: true }, { name: 'Amount', unit: coin, right: true }],
        rows: holds.filter((hold) => hold.worker === worker).map((hold) => ({ key: `${hold.cause}/${hold.state}`, cells: [words(hold.cause), pill(hold.state), number(hold.jobs), money(hold.amountNano, { unit: false })] })),
        empty: 'None was.',
      }))),
      section('Latest jobs', { more: [`/jobs?worker=${worker}`, 'All jobs'] }, part(data.jobs, ({ jobs = [] }) => list({ jobs, known: data.known }))),
    ];
  },
};

const meant = { attestation_passed: 'good', attestation_failed: 'bad', attestation_revoked: 'bad', attestation_expired: 'bad', attestation_challenged: 'open' };

const attestations = ({ attestations: some = [] }) => table({
  label: 'Attestation', columns: [{ name: 'Said, UTC' }, { name: 'What' }, { name: 'Why', grow: true }, { name: 'Until, UTC', wide: true }, { name: 'Image', wide: true }],
  rows: some.map((a) => ({
    key: `${a.said?.offset}/${a.fact}`,
    cells: [when(a.said), pill(a.what.replace('attestation_', ''), meant[a.what]), h('span', { class: 'soft' }, [words(a.cause), a.fault && `fault of the ${a.fault}`, a.reason].filter(Boolean).join(', ')), when({ atMs: a.untilMs }), id(a.imageHash)],
  })),
  empty: 'Nothing was ever said of it.',
});
