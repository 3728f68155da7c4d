// The network: its rules, what workers are allowed to run, what they proved, and who may not work.
import { h } from '../dom.js';
import { got } from '../api.js';
import { copyable, facts, figures, heading, id, money, pages, part, pill, section, table, when } from '../parts.js';
import { go } from '../shell.js';
import { names, theModel, theProvider } from '../names.js';
import { big, coin, count, factor, minute, number, span, words } from '../words.js';

const said = ['passed', 'failed', 'challenged', 'expired', 'revoked'];
// fleet is how many workers are looked at for whether they may work: a page of the API.
const fleet = 1000;

export default {
  path: '/network', section: 'network', every: 4000,

  async load(books, params, query, network) {
    const what = said.includes(query.get('what')) ? query.get('what') : '';
    return {
      network, what, known: await names(books),
      ...await books.all({
        models: ['NetworkService/ListModels', { page: { size: 100 } }],
        workers: ['NetworkService/ListWorkers', { page: { size: fleet } }],
        holds: ['NetworkService/ListHolds', { page: { size: 1000 } }],
        passed: ['NetworkService/ListAttestations', { what: 'attestation_passed', page: { size: 200 } }],
        attestations: ['NetworkService/ListAttestations', { what: what && `attestation_${what}`, page: { size: 25, cursor: query.get('after') ?? '' } }],
      }),
    };
  },

  title: () => 'Network',

  view(data, params, query) {
    const { network, known } = data;
    return [
      heading({ title: 'Network', about: 'What workers may run, what they proved to run, and who may not work at the moment.' }),
      part(data.workers, (answer) => standing(answer.workers ?? [], got(data.holds)?.holds)),
      section('Rules', { note: 'set by the network’s admins; each is a fact of the ledger' }, rules(network)),
      section('Models', { note: 'that jobs may ask for' }, part(data.models, ({ models = [] }) => table({
        label: 'Models', columns: [{ name: 'Model', grow: true }, { name: 'Since, UTC', wide: true }, { name: 'Workers', right: true }, { name: 'Coefficients', right: true, wide: true }, { name: 'Price of a token', unit: coin, right: true }],
        rows: models.map((m) => ({ key: m.model, cells: [theModel(known, m.model), when(m.listed), number(m.offers), m.offers ? `${factor(m.lowestCoefficient)} – ${factor(m.highestCoefficient)}` : '–', m.rateCard ? money(m.rateCard.pricePerTokenNano, { unit: false }) : '–'] })),
        empty: 'No model is listed yet.',
      }))),
      section('Images and policies', { note: 'that the latest attestations were passed with' }, part(data.passed, images)),
      section('Not at work', { note: 'suspended, or without a valid attestation' }, part(data.workers, (answer) => away(answer, known))),
      section('Attestations', { note: 'what control said of workers, the newest first' },
        filter(data.what),
        part(data.attestations, (answer) => [attestations(answer, { empty: data.what ? 'Nothing like this was said.' : 'Nothing was said of any worker yet.' }), pages('/network', query, answer.nextCursor)])),
    ];
  },
};

const suspended = (w) => count(w.suspendedUntilMs) > Date.now();
const attested = (w) => count(w.attestedUntilMs) > Date.now();
const retired = (w) => count(w.retiredAtMs) > 0;

function standing(workers, holds) {
  const some = workers.filter((w) => !retired(w));
  const waiting = (holds ?? []).filter((hold) => hold.state === 'waiting');
  const out = some.filter(suspended).length;
  return figures([
    { label: 'Workers', href: '/providers', value: number(some.length) + (workers.length >= fleet ? ' or more' : ''), note: 'not retired' },
    { label: 'Attested', value: number(some.filter(attested).length), note: 'with a result that counts now' },
    { label: 'Suspended', value: number(out), note: out > 0 ? 'they get no jobs' : 'nobody is', tone: out > 0 ? 'bad' : null },
    holds && { label: 'Pay held', value: money(waiting.reduce((sum, hold) => sum + big(hold.amountNano), 0n)), note: `of ${number(waiting.reduce((sum, hold) => sum + big(hold.jobs), 0n))} jobs, for a missing attestation` },
  ], { label: 'Workers' });
}

const rules = (n) => facts([
  ['Attestation', n.requireAttestation ? 'wanted before a worker gets jobs' : 'not wanted for jobs; pay waits without it'],
  ['Charges may be disputed', `${span(count(n.disputeWindowMs))} long`],
  ['Disputes are resolved', `within ${span(count(n.resolveWithinMs))}`],
  ['Earnings mature together', `by ${span(count(n.maturityBucketMs))}`],
  ['A job takes at most', span(count(n.maxJobTimeoutMs))],
  ['Open jobs of an account', `at most ${number(n.maxOpenJobs)}`],
  ['Least payout', money(n.payoutThresholdNano)],
  ['Payees of a batch', `at most ${number(n.batchPayees)}`],
]);

// images are the pairs of image and policy that workers passed with, those of most workers first.
function images({ attestations: some = [] }) {
  const pairs = new Map();
  for (const a of some) {
    const key = `${a.imageHash}/${a.policyDigest}`;
    const pair = pairs.get(key) ?? { key, ...a, workers: new Set() };
    pair.workers.add(a.worker);
    pairs.set(key, pair);
  }
  return table({
    label: 'Images and policies', columns: [{ name: 'Image', grow: true }, { name: 'Policy', wide: true, grow: true }, { name: 'Last passed, UTC', wide: true }, { name: 'Workers', right: true }],
    rows: [...pairs.values()].sort((a, b) => b.workers.size - a.workers.size).map((p) => ({
      key: p.key, cells: [p.imageHash ? copyable(p.imageHash, { clip: true }) : '–', p.policyDigest ? copyable(p.policyDigest, { clip: true }) : '–', when(p.said), number(p.workers.size)],
    })),
    empty: 'No worker has passed an attestation yet.',
  });
}

function away({ workers = [] }, known) {
  const some = workers.filter((w) => !retired(w) && (suspended(w) || !attested(w)));
  return table({
    label: 'Not at work', columns: [{ name: 'Worker' }, { name: 'Provider', grow: true }, { name: 'Why' }, { name: 'Until, UTC', wide: true }],
    rows: some.map((w) => ({
      key: w.worker,
      cells: [id(w.worker, `/workers/${w.worker}`), theProvider(known, w.provider), suspended(w) ? pill('suspended') : pill(w.attestation ? words(w.attestation.replace('attestation_', '')) : 'never attested', 'open'),
        suspended(w) ? minute(w.suspendedUntilMs) : '–'],
    })),
    empty: 'Everybody may work, and has proved what they run.',
  });
}

// filter is in the page's address, so that it can be linked and gone back on.
const filter = (what) => h('form', { class: 'filters', role: 'search', 'aria-label': 'Which attestations', onchange: choose, onsubmit: choose },
  h('label', {}, 'What was said', h('select', { name: 'what', class: what ? 'set' : null },
    ['', ...said].map((value) => h('option', { key: value, value, selected: value === what }, value || 'Anything')))));

function choose(event) {
  event.preventDefault();
  const what = new FormData(event.currentTarget).get('what');
  go(what ? `/network?what=${what}` : '/network', { focus: false });
}

const meant = { attestation_passed: 'good', attestation_failed: 'bad', attestation_revoked: 'bad', attestation_expired: 'bad', attestation_challenged: 'open' };

// attestations is what control said of workers, on this page and on that of the one that it is about; without says whose page it is.
export function attestations({ attestations: some = [] }, { without, empty }) {
  const columns = [
    [{ name: 'Said, UTC' }, (a) => when(a.said)],
    without !== 'worker' && [{ name: 'Worker' }, (a) => id(a.worker, `/workers/${a.worker}`)],
    [{ name: 'What' }, (a) => pill(a.what.replace('attestation_', ''), meant[a.what])],
    [{ name: 'Why', grow: true, wide: without !== 'worker' }, (a) => h('span', { class: 'soft' }, [words(a.cause), a.fault && `fault of the ${a.fault}`, a.reason].filter(Boolean).join(', '))],
    [{ name: 'Until, UTC', wide: true }, (a) => when({ atMs: a.untilMs })],
    [{ name: 'Image', wide: true }, (a) => id(a.imageHash)],
  ].filter(Boolean);
  return table({
    label: 'Attestations', columns: columns.map(([column]) => column), empty,
    rows: some.map((a) => ({ key: `${a.said?.offset}/${a.fact}`, cells: columns.map(([, cell]) => cell(a)) })),
  });
}
