// One worker: what it proved, at what prices it serves what, how it stands, and its pay that was held.
import { got } from '../api.js';
import { copyable, figures, heading, money, pages, part, pill, section, table, when } from '../parts.js';
import { names, theModel } from '../names.js';
import { standings } from '../standing.js';
import { list } from './jobs.js';
import { attestations } from './network.js';
import { big, coin, count, factor, minute, number, percent, short, words } from '../words.js';

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
      heading({ above: owner ? [['/providers', 'Providers'], [`/providers/${owner}`, data.known.provider.get(owner) ?? short(owner)]] : [['/providers', 'Providers']], title: `Worker ${short(worker)}`, about: copyable(worker) }),
      figures(state(data, !query.get('after')), { label: 'Worker' }),
      section('Offers', { note: 'at what coefficient it serves a model now' }, part(data.offers, ({ offers = [] }) => table({
        label: 'Offers', columns: [{ name: 'Model', grow: true }, { name: 'Coefficient', right: true }, { name: 'Since, UTC', right: true }],
        rows: offers.map((o) => ({ key: o.model, cells: [theModel(data.known, o.model), factor(o.coefficient), when(o.set)] })),
        empty: 'It offers nothing now.',
      }))),
      section('Reputation', { note: 'each shard judges by what it has seen' }, part(data.standings, ({ standings: some = [] }) => standings(some))),
      section('Attestation', { note: 'what control said, the newest first' }, part(data.attestations, (answer) => [attestations(answer, { without: 'worker', empty: 'Nothing was ever said of it.' }), pages(`/workers/${worker}`, query, answer.nextCursor)])),
      (got(data.holds)?.holds ?? []).some((hold) => hold.worker === worker) && section('Pay held for a missing attestation', {}, part(data.holds, ({ holds = [] }) => table({
        label: 'Held pay', columns: [{ name: 'Cause', grow: true }, { name: 'The pay was' }, { name: 'Jobs', right: true }, { name: 'Amount', unit: coin, right: true }],
        rows: holds.filter((hold) => hold.worker === worker).map((hold) => ({ key: `${hold.cause}/${hold.state}`, cells: [words(hold.cause), pill(hold.state), number(hold.jobs), money(hold.amountNano, { unit: false })] })),
      }))),
      section('Latest jobs', { more: [`/jobs?worker=${worker}`, 'All jobs'] }, part(data.jobs, ({ jobs = [] }) => list({ jobs, known: data.known, without: 'provider' }))),
    ];
  },
};

// state is how the worker stands, in a line: what control said last, and the lowest of its scores.
function state({ attestations: said, standings: judged, offers, holds }, newest) {
  const last = newest ? got(said)?.attestations?.[0] : undefined;
  const some = got(judged)?.standings ?? [];
  const lowest = Math.min(...some.map((s) => count(s.scorePpm)));
  const until = Math.max(0, ...some.map((s) => count(s.suspendedUntilMs)));
  const held = (got(holds)?.holds ?? []).filter((hold) => hold.state === 'waiting').reduce((sum, hold) => sum + big(hold.amountNano), 0n);
  const what = last?.what.replace('attestation_', '');
  return [
    newest && got(said) && { label: 'Attestation', value: what ? words(what) : 'none', note: count(last?.untilMs) > 0 ? `until ${minute(last.untilMs)} UTC` : last ? '' : 'nothing was ever said of it', tone: what === 'passed' ? 'good' : ['failed', 'revoked', 'expired'].includes(what) ? 'bad' : null },
    got(judged) && { label: 'Score', value: some.length > 0 ? percent(lowest) : '–', note: some.length > 0 ? `the lowest of ${number(some.length)} shards` : 'no shard has judged it yet' },
    got(judged) && { label: 'Jobs', value: until > Date.now() ? 'suspended' : 'may get jobs', note: until > Date.now() ? `until ${minute(until)} UTC` : 'it is not suspended', tone: until > Date.now() ? 'bad' : null },
    got(offers) && { label: 'Models', value: number(got(offers).offers?.length), note: 'that it offers now' },
    held > 0n && { label: 'Held', value: money(held), note: 'pay that waits for an attestation', tone: 'bad' },
  ];
}
