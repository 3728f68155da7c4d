// One job, from its submission to the transaction that paid for it, and why it stands as it does.
import { h } from '../dom.js';
import { got } from '../api.js';
import { commands, copyable, facts, figures, heading, id, money, part, pill, section, table, timeline, when } from '../parts.js';
import { names, theClient, theModel, theProvider } from '../names.js';
import { big, coin, count, factor, number, short, span, words } from '../words.js';

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
      heading({ above: [['/jobs', 'Jobs']], title: short(params.job), mono: true, state: [job && pill(job.state), job?.dispute && pill(`dispute ${job.dispute}`, job.dispute === 'open' ? 'open' : 'plain')] }),
      part(why, verdict),
      job && [
        figures([
          { label: 'Charged', value: money(job.chargeNano), note: ['of ', money(job.reservedNano), ' reserved'] },
          { label: 'For the worker', value: money(job.workerNano) , note: ['commission ', money(job.commissionNano)] },
          { label: 'Tokens', value: `${number(job.tokens?.prompt)} + ${number(job.tokens?.completion)}`, note: 'prompt and completion' },
          { label: 'Took', value: took(job), note: job.assigned?.atMs ? `${span(count(job.assigned.atMs) - count(job.submitted?.atMs))} until it was assigned` : 'not assigned' },
        ], { label: 'Job' }),
      ],
      section('What happened', { note: 'each with its place in the ledger; times are log time, UTC' }, part(why, ({ evidence = [] }) => timeline(evidence.map(step)))),
      job && section('What it moved', { note: 'the postings that name it; each fact’s sum to zero' }, part(postings, moved)),
      job && h('div', { class: 'two' },
        section('Whose it is', {}, facts([
          ['Client', theClient(known, job.client)], ['Account', id(job.account)], ['Its number there', number(job.number)],
          ['Provider', theProvider(known, job.provider)], ['Worker', job.worker ? id(job.worker, `/workers/${job.worker}`) : '–'], ['Model', theModel(known, job.model)],
        ])),
        section('How it is priced', {}, facts([
          ['Rate card', id(job.rateCard)],
          ['Coefficient', `${factor(job.coefficient)}, at most ${factor(job.maxCoefficient)}`],
          ['Prompt tokens', `${number(job.tokens?.prompt)}, ${number(job.tokens?.cached)} of them cached`],
          ['Completion tokens', `${number(job.tokens?.completion)}, ${number(job.tokens?.reasoning)} of them reasoning`],
          ['Adjusted tokens', number(job.adjustedTokens)],
          ['At most', `${number(job.maxPromptTokens)} prompt, ${number(job.maxCompletionTokens)} completion`],
        ]))),
      job && dispute(job),
      section('Prove it', { note: 'each command needs a copy of the folder, and no trust in this page' },
        commands(...proofs(params.job, got(why))),
        h('p', { class: 'soft' }, 'The whole id is ', copyable(params.job))),
    ];
  },
};

const took = (job) => (job.closed?.atMs ? span(count(job.closed.atMs) - count(job.submitted?.atMs)) : '–');

const outcomes = { paid: 'good', held: 'open', pending: 'open', rejected: 'bad' };

const verdict = ({ outcome, because, amountNano }) => h('div', { class: `verdict ${outcomes[outcome] ?? ''}` },
  h('strong', {}, words(outcome).replace(/^./, (c) => c.toUpperCase()), big(amountNano) !== 0n && [', ', money(amountNano)]), h('p', {}, because));

// moved is the job's part of the journal.
const moved = ({ postings = [] }) => table({
  label: 'Postings', columns: [{ name: 'Account' }, { name: 'Fact', wide: true, grow: true }, { name: 'Owner', wide: true }, { name: 'At, UTC', wide: true }, { name: 'Ledger', right: true, wide: true }, { name: 'Amount', unit: coin, right: true }],
  rows: postings.map((p) => ({
    key: `${p.ledgerOffset}/${p.fact}/${p.posting}`,
    cells: [p.kind, words(p.what), p.kind.startsWith('provider/') ? id(p.owner, `/providers/${p.owner}`) : id(p.owner), when({ atMs: p.atMs, offset: p.ledgerOffset }, { shard: p.shard }), `${p.shard}/${p.ledgerOffset ?? 0}`, money(p.amountNano, { unit: false, signed: true })],
  })),
  empty: 'It has moved no money yet.',
});

// step reads one piece of evidence: "job_assigned: to worker …".
function step(evidence, i) {
  const [what, ...rest] = evidence.what.split(': ');
  const shard = evidence.shard ?? 0;
  return {
    key: i, at: evidence.atMs, title: words(what).replace(/^./, (c) => c.toUpperCase()), detail: linked(rest.join(': ')),
    place: `ledger ${shard}/${evidence.ledgerOffset ?? 0}`,
    tone: /rejected|failed|disputed|held|expired|cancelled/.test(what) ? 'open' : /completed|activated|payout|released|resolved/.test(what) ? 'good' : null,
  };
}

// linked turns what has a page into a link to it.
function linked(text) {
  return text.split(/(worker [0-9a-f]{64}|batch \d+|[0-9a-f]{64}|\d+\.\d{9})/).map((part, i) => {
    const [kind, of] = part.split(' ');
    if (kind === 'worker' && of) return h('span', { key: i }, 'worker ', id(of, `/workers/${of}`));
    if (kind === 'batch' && of && /^\d+$/.test(of)) return h('a', { key: i, href: `/batches/${of}` }, part);
    if (/^[0-9a-f]{64}$/.test(part)) return id(part);
    return /^\d+\.\d{9}$/.test(part) ? `${part}\u00a0${coin}` : part;
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
];
