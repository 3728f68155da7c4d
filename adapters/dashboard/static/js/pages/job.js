// One job, from its submission to the transaction that paid for it, and why it stands as it does.
import { h } from '../dom.js';
import { got } from '../api.js';
import { commands, copyable, facts, figures, heading, id, money, part, pill, section, table, timeline } from '../parts.js';
import { names, theClient, theModel, theProvider } from '../names.js';
import { big, chart, coin, count, factor, number, short, span, time, words } from '../words.js';

export default {
  path: '/jobs/:job', section: 'jobs', every: 3000,

  async load(books, { job }) {
    const { job: found, why, postings } = await books.all({
      job: ['JobService/GetJob', { job }], why: ['JobService/Explain', { kind: 'job', id: job }], postings: ['MoneyService/ListPostings', { job }],
    });
    // A job of which no claim was accepted is in no table, and there is still a reason to be told.
    if (!got(found) && !got(why)) throw found;
    return { job: got(found)?.job, why, postings, known: await names(books) };
  },

  title: (data, { job }) => `Job ${short(job)}`,

  view({ job, why, postings, known }, params) {
    return [
      heading({
        above: [['/jobs', 'Jobs']], title: `Job ${short(params.job)}`, about: copyable(params.job),
        state: [job && pill(job.state), job?.dispute && pill(`dispute ${job.dispute}`, job.dispute === 'open' ? 'open' : 'plain')],
      }),
      part(why, verdict),
      job && figures([
        { label: 'Charged', value: money(job.chargeNano), note: ['of ', money(job.reservedNano), ' reserved'] },
        { label: 'For the worker', value: money(job.workerNano), note: ['commission ', money(job.commissionNano)] },
        { label: 'Tokens', value: number(big(job.tokens?.prompt) + big(job.tokens?.completion)), note: `${number(job.tokens?.prompt)} prompt, ${number(job.tokens?.completion)} completion` },
        { label: 'Took', value: took(job), note: job.assigned?.atMs ? `${span(count(job.assigned.atMs) - count(job.submitted?.atMs))} until it was assigned` : 'not assigned' },
      ], { label: 'Job' }),
      section('What happened', { note: 'in log time, UTC; at the right, where in the ledger it is written' }, part(why, ({ evidence = [] }) => timeline(evidence.map(step)))),
      job && section('What it moved', { note: 'the postings that name this job; those of a fact sum to zero' }, part(postings, moved)),
      job && h('div', { class: 'two' },
        section('Whose it is', {}, facts([
          ['Client', theClient(known, job.client)], ['Account', id(job.account, `/clients/${job.client}`)], ['Its number there', number(job.number)],
          ['Provider', theProvider(known, job.provider)], ['Worker', job.worker ? id(job.worker, `/workers/${job.worker}`) : '–'], ['Model', theModel(known, job.model)],
        ])),
        section('How it is priced', {}, facts([
          ['Rate card', id(job.rateCard, `/market/${job.model}`)],
          ['Coefficient', `${factor(job.coefficient)}, at most ${factor(job.maxCoefficient)}`],
          ['Prompt tokens', `${number(job.tokens?.prompt)}, ${number(job.tokens?.cached)} of them cached`],
          ['Completion tokens', `${number(job.tokens?.completion)}, ${number(job.tokens?.reasoning)} of them reasoning`],
          ['Adjusted tokens', number(job.adjustedTokens)],
          ['At most', `${number(job.maxPromptTokens)} prompt, ${number(job.maxCompletionTokens)} completion`],
        ]))),
      job && dispute(job),
      section('Prove it', { note: 'with a copy of the folder; the last command needs nothing but the file and the key of the network’s logs' },
        commands(...proofs(params.job, got(why)))),
    ];
  },
};

const took = (job) => (job.closed?.atMs ? span(count(job.closed.atMs) - count(job.submitted?.atMs)) : '–');

const outcomes = { paid: 'good', held: 'open', pending: 'open', rejected: 'bad' };

const capital = (text) => text.replace(/^./, (c) => c.toUpperCase());

const verdict = ({ outcome, because, amountNano }) => h('div', { class: `verdict ${outcomes[outcome] ?? ''}` },
  h('strong', {}, capital(words(outcome)), big(amountNano) !== 0n && [', ', money(amountNano)]), h('p', {}, linked(because)));

// moved is the job's part of the journal: fact by fact, and of each its postings.
function moved({ postings = [] }) {
  const groups = Map.groupBy(postings, (p) => `${p.shard ?? 0}/${p.ledgerOffset ?? 0}/${p.fact ?? 0}`);
  return table({
    label: 'Postings', columns: [{ name: 'Account' }, { name: 'What it is', wide: true }, { name: 'Owner', wide: true }, { name: 'Amount', unit: coin, right: true }],
    rows: [...groups].flatMap(([place, some]) => [
      { key: place, head: [h('strong', {}, capital(words(some[0].what))), h('span', { class: 'soft' }, time(some[0].atMs)), h('span', { class: 'soft end' }, `ledger ${some[0].shard ?? 0}/${some[0].ledgerOffset ?? 0}`)] },
      ...some.map((p) => ({
        key: `${place}/${p.posting ?? 0}`,
        cells: [p.kind, h('span', { class: 'soft' }, chart[p.kind]), p.kind.startsWith('provider/') ? id(p.owner, `/providers/${p.owner}`) : id(p.owner), money(p.amountNano, { unit: false, signed: true })],
      })),
    ]),
    empty: 'It has moved no money yet.',
  });
}

// step reads one piece of evidence: "job_assigned: to worker …".
function step(evidence, i) {
  const [what, ...rest] = evidence.what.split(': ');
  const shard = evidence.shard ?? 0;
  return {
    key: i, at: evidence.atMs, title: capital(words(what)), detail: linked(rest.join(': ')),
    place: `ledger ${shard}/${evidence.ledgerOffset ?? 0}`,
    tone: /rejected|failed|disputed|held|expired|cancelled/.test(what) ? 'open' : /completed|activated|payout|released|resolved/.test(what) ? 'good' : null,
  };
}

// linked turns what has a page into a link to it, and writes amounts as they are everywhere.
function linked(text) {
  return (text ?? '').split(/(worker [0-9a-f]{64}|batch \d+|[0-9a-f]{64}|\d+\.\d{9})/).map((part, i) => {
    const [kind, of] = part.split(' ');
    if (kind === 'worker' && of) return h('span', { key: i }, 'worker ', id(of, `/workers/${of}`));
    if (kind === 'batch' && of && /^\d+$/.test(of)) return h('a', { key: i, href: `/batches/${of}` }, part);
    if (/^[0-9a-f]{64}$/.test(part)) return id(part);
    return /^\d+\.\d{9}$/.test(part) ? money(part.replace('.', '')) : part;
  });
}

// dispute is what became of a charge that was disputed or held, if it was.
function dispute(job) {
  const rows = [['Held', job.heldNano], ['Back to the client', job.refundNano], ['of it from the worker', job.refundFromWorkerNano], ['Released to the provider', job.releasedNano], ['Slashed', job.slashedNano]].filter(([, nano]) => big(nano) !== 0n);
  if (!job.dispute && !job.failure && rows.length === 0) return null;
  return section(job.dispute ? 'Dispute' : 'What went wrong', {}, facts([['Reason', words(job.disputeReason || job.failure)], ...rows.map(([name, nano]) => [name, money(nano)])]));
}

const proofs = (job, why) => [
  `filature why job ${job} --data FOLDER`,
  why && why.evidence && `filature prove job ${job} --data FOLDER --out job.proof`,
  why && why.evidence && 'filature verify job.proof --key KEY',
];
