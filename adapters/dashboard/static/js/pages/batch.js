// One batch, from its seal to the last claim: where the log was cut, what root that gives, and who gets what.
import { h } from '../dom.js';
import { got } from '../api.js';
import { commands, copyable, facts, figures, heading, money, pages, part, pill, section, table, timeline } from '../parts.js';
import { names, theProvider } from '../names.js';
import { big, coin, count, number, span } from '../words.js';

export default {
  path: '/batches/:number', section: 'batches', every: 3000,

  async load(books, { number: text }, query) {
    const batch = Number(text);
    const answer = await books.ask('SettlementService/GetBatch', { number: batch });
    return {
      ...answer, known: await names(books),
      ...await books.all({
        newest: ['SettlementService/ListBatches', { page: { size: 1 } }],
        lines: ['SettlementService/ListBatchLines', { number: batch, page: { size: 100, cursor: query.get('after') ?? '' } }],
        providers: ['NetworkService/ListProviders'],
      }),
    };
  },

  title: ({ batch }) => `Batch ${batch.number}`,

  spoken: ({ batch }) => `Batch ${batch.number} is ${batch.state}.`,

  view(data, params, query) {
    const { batch, cut = [] } = data;
    const paid = new Map((got(data.providers)?.providers ?? []).map((p) => [p.provider, big(p.paidNano)]));
    const lines = got(data.lines)?.lines ?? [];
    const claimed = lines.filter((l) => (paid.get(l.payee) ?? -1n) >= big(l.cumulativeNano)).length;
    const added = lines.reduce((sum, l) => sum + big(l.deltaNano), 0n);
    const whole = !query.get('after') && !got(data.lines)?.nextCursor && got(data.lines);
    return [
      heading({ above: [['/batches', 'Batches']], title: `Batch ${batch.number}`, state: pill(batch.state), actions: beside(batch.number, got(data.newest)?.batches?.[0]?.number) }),
      figures([
        { label: 'Total, cumulative', value: money(batch.totalNano), note: 'all that was ever owed, over all payees' },
        whole && { label: 'Added by this batch', value: money(added), note: `to ${number(batch.lines)} payees` },
        { label: 'Payees in the root', value: number(batch.payees), note: `${number(batch.lines)} of them changed` },
        whole && paid.size > 0 && { label: 'Claimed', value: `${number(claimed)} of ${number(batch.lines)}`, note: claimed === lines.length ? 'all that changed have theirs' : 'the others have not been paid up to here yet', tone: claimed === lines.length ? 'good' : null },
      ], { label: 'Batch' }),
      section('From seal to claim', {}, life(batch, whole && paid.size > 0 ? { claimed, of: lines.length } : null)),
      section('Roots', { note: 'what is on chain, and what it follows from' }, h('div', { class: 'long' }, facts([
        ['Payout root', copyable(batch.payoutRoot, { clip: true })],
        ['Commitment', copyable(batch.commitment, { clip: true })],
      ]))),
      section('Who gets what', {}, part(data.lines, (answer) => [payees(answer, data.known, paid, whole && added), pages(`/batches/${batch.number}`, query, answer.nextCursor)])),
      section('Cut', { note: 'per shard, up to where the batch counts, and the tree head of the log there (RFC 6962)' }, table({
        label: 'Cut', columns: [{ name: 'Shard' }, { name: 'Offset', right: true }, { name: 'Root of the log', fill: true }],
        rows: cut.map((c) => ({ key: c.shard ?? 0, cells: [c.shard ? number(c.shard) : 'control', c.ledgerOffset ?? '0', copyable(c.logRoot, { clip: true })] })),
      })),
      section('Check it', { note: 'with a copy of the logs, trusting nobody' }, commands('filature audit --data FOLDER'), h('p', { class: 'soft after' }, 'What an audit looks at is on the page ', h('a', { href: '/audit' }, 'Audit'), '.')),
    ];
  },
};

// beside are the batches before and after this one.
const beside = (number, newest) => [
  number > 1 && h('a', { key: 'before', href: `/batches/${number - 1}` }, `Batch ${number - 1}`),
  number < newest && h('a', { key: 'after', href: `/batches/${number + 1}` }, `Batch ${number + 1}`),
];

// life is what has happened to the batch, and what has to happen still.
function life(batch, claims) {
  const on = (moment) => (moment?.atMs ? moment.atMs : undefined);
  const tx = (t) => t?.hash && copyable(t.hash, { clip: true });
  const at = (moment) => moment?.atMs && `ledger 0/${moment.offset ?? 0}`;
  const over = ['activated', 'vetoed'].includes(batch.state);
  return timeline([
    { key: 'sealed', title: 'Sealed', at: on(batch.sealed), detail: 'in the books, before anything goes to the chain', place: at(batch.sealed), tone: 'good' },
    { key: 'proposed', title: 'Proposed', at: on(batch.proposed), detail: tx(batch.proposedTx) || 'the vault has not got the root yet', place: at(batch.proposed), tone: on(batch.proposed) && 'good' },
    batch.state === 'vetoed' ? { key: 'vetoed', title: 'Vetoed', at: on(batch.vetoed), detail: tx(batch.vetoedTx), place: at(batch.vetoed), tone: 'bad' } : {
      key: 'activated', title: 'Activated', at: on(batch.activated), place: at(batch.activated), tone: on(batch.activated) && 'good',
      detail: tx(batch.activatedTx) || (count(batch.activatesAtMs) ? `the guardian may veto for ${span(Math.max(0, count(batch.activatesAtMs) - count(batch.proposed?.atMs)))}` : 'after the challenge delay'),
    },
    claims && batch.state !== 'vetoed' && { key: 'claimed', title: 'Claimed', expected: `${number(claims.claimed)} of ${number(claims.of)}`, detail: over ? 'payees that changed and have theirs on chain' : 'can be claimed once it is active', tone: claims.claimed === claims.of ? 'good' : null, done: over && claims.claimed === claims.of },
  ].filter(Boolean));
}

const payees = ({ lines = [] }, known, paid, added) => table({
  label: 'Who gets what', columns: [{ name: 'Payee', grow: true }, { name: 'Added', unit: coin, right: true }, { name: 'Cumulative', unit: coin, right: true, wide: true }, { name: 'On chain', right: true }],
  rows: lines.map((l) => ({
    key: l.payee,
    cells: [theProvider(known, l.payee), money(l.deltaNano, { signed: true, unit: false }), money(l.cumulativeNano, { unit: false }),
      paid.has(l.payee) ? pill(paid.get(l.payee) >= big(l.cumulativeNano) ? 'claimed' : 'not claimed yet', paid.get(l.payee) >= big(l.cumulativeNano) ? 'good' : 'open') : ''],
  })),
  total: lines.length > 1 && added !== false && ['All', money(added, { signed: true, unit: false }), '', ''],
});
