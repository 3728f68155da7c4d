// What can be checked: how the operator's own audit ended, check by check, what the vault holds, and how somebody who does not
// believe it finds out.
import { h } from '../dom.js';
import { got } from '../api.js';
import { commands, facts, heading, id, money, part, pill, section, table, when } from '../parts.js';
import { friendly } from '../address.js';
import { chains, covered, verdict } from '../verdict.js';
import { coin, big, count, number, words } from '../words.js';

export default {
  path: '/audit', section: 'audit', every: 4000,

  load: async (books, params, query, network) => ({
    network,
    ...await books.all({
      audit: ['AuditService/GetAudit'],
      chain: ['AuditService/GetReconciliation'],
      trial: ['MoneyService/GetTrialBalance'],
      batches: ['SettlementService/ListBatches', { page: { size: 10 } }],
    }),
    at: books.at,
  }),

  title: () => 'Audit',

  view: ({ network, audit, chain, trial, batches, at }) => [
    heading({ title: 'Audit', about: 'Every figure of these pages follows from two logs. Whoever has them can compute all of it again and compare it with the chain, without this server and without its keys. The operator does so again and again, and this is what came of it.' }),
    part(audit, (answer) => verdict(answer.audit, at)),
    got(audit)?.audit.verdict !== 'none' && section('Checks', { note: 'in the order in which they were made' }, part(audit, (answer) => checks(answer.audit))),
    (got(audit)?.audit.first ?? []).length > 0 && section('What was found', { note: 'the first of each kind; report.html in the auditor’s folder has more' }, offences(got(audit).audit.first)),
    section('Vault against liabilities', { note: 'ledger and chain are compared once a minute' }, part(chain, (answer) => [covered(answer.reconciliation, got(trial)?.totals), compared(answer.reconciliation)])),
    section('Audit it yourself', { note: 'it ends with PASS, or names the first offence by log, shard and offset' },
      commands('# the operator', 'filature export archive handed.tar --config filature.toml', '# anybody, with the global config that the TON network publishes', 'filature audit --logs handed.tar --ton-config global.config.json --html report.html'),
      h('p', { class: 'soft after' }, 'An archive has both logs and nothing else of the operator’s. On a folder of your own: ', h('code', {}, 'filature audit --data FOLDER'), '.'),
      h('div', { class: 'after' }, facts([
        ['Network', id(network.id)],
        ['Vault to compare with', network.vault ? h('code', {}, friendly(network.vault, { bounceable: true })) : '–'],
      ]))),
    section('Check one thing', { note: 'each makes a file that a stranger can verify' },
      commands('filature prove payout ADDRESS --data FOLDER --proof payout.proof', 'filature prove job JOB --data FOLDER --out job.proof', 'filature verify job.proof')),
    section('What the chain holds the operator to', { note: 'each batch commits to its root, to the cut, and to the tree heads of all logs there' }, part(batches, commitments)),
    section('Trial balance', { note: 'the sum of each kind of account' }, part(trial, balance)),
  ],
};

// meaning says what each check does; see docs/audit.md.
const meaning = {
  files: ['Files', 'every byte of both logs is read'],
  ledger: ['Ledger', 'every signature is checked, and every entry decided again and compared byte for byte'],
  checkpoints: ['Checkpoints', 'the tree of every shard is made again and compared with each head that was signed'],
  batches: ['Batches', 'every batch is made again from the ledger below its cut'],
  chain: ['Chain', 'the vault’s history is compared with the books, both ways, and its roots with the batches'],
  projections: ['Tables', 'every table is folded again and compared row by row'],
  money: ['Money', 'all accounts are added up and compared with what the vault holds'],
  recount: ['Second count', 'the books are counted again by a program that shares no code with the first'],
};

const checks = (audit) => [
  table({
    label: 'Checks', columns: [{ name: 'Check', grow: true }, { name: 'It is' }, { name: 'Looked at', wide: true, grow: true }],
    rows: (audit.steps ?? []).map((s) => {
      const [name, what] = meaning[s.name] ?? [s.name, ''];
      return { key: s.name, cells: [[name, h('span', { class: 'detail' }, what)], outcome(s), [(s.checked ?? []).map((c) => `${number(c.number)} ${c.of}`).join(', '), s.why && h('span', { class: 'soft' }, (s.checked ?? []).length > 0 ? `; ${s.why}` : s.why)]] };
    }),
  }),
  h('p', { class: 'soft after' }, `It was made ${chains[audit.chain] ?? chains.none}. `, count(audit.resumedEntries) > 0 && `An earlier run of it was interrupted, and had checked ${number(audit.resumedEntries)} entries. `, `By ${audit.program}.`),
];

function outcome(step) {
  if (count(step.offences) > 0) return pill(`${number(step.offences)} found`, 'bad');
  return { done: pill('sound', 'good'), skipped: pill('not looked at', 'plain'), stopped: pill('stopped', 'open') }[step.state];
}

const offences = (first) => table({
  label: 'What was found', columns: [{ name: 'What' }, { name: 'Where' }, { name: 'Why', grow: true }],
  rows: first.map((o, i) => ({
    key: i,
    cells: [pill(o.kind, 'bad'), h('span', { class: 'mono' }, [o.log, o.placed && ` ${o.shard ?? 0}/${o.offset ?? 0}`, o.batch > 0 && ` batch ${o.batch}`, o.table && ` ${o.table}`].filter(Boolean).join('')),
      [o.why, o.field && h('span', { class: 'detail' }, `${o.field}: has ${o.have || 'nothing'}, has to have ${o.want || 'nothing'}`)]],
  })),
});

const compared = (seen) => seen.state !== 'none' && [
  facts([
    ['Paid, by the ledger', money(seen.paidLedgerNano)], ['Paid, by the vault', money(seen.paidChainNano)],
    ['Topped up by the network', money(seen.toppedUpNano)], ['Movements compared', number(seen.movements)],
    ['Claim accounts asked', `${number(seen.payeesAsked)} of ${number(seen.payees)}`],
    ['Differences', `${number(seen.alarms)} alarms, ${number(seen.inFlight)} on their way, ${number(seen.noted)} noted`],
  ]),
  (seen.differences ?? []).length > 0 && h('div', { class: 'after' }, table({
    label: 'Differences', columns: [{ name: 'What' }, { name: 'State' }, { name: 'Of', wide: true, grow: true }, { name: 'Ledger', right: true }, { name: 'Chain', right: true }],
    rows: seen.differences.map((d) => ({ key: `${d.kind}/${d.subject}`, cells: [words(d.kind), pill(d.state, { alarm: 'bad', in_flight: 'open' }[d.state]), d.subject, d.ledger, d.chain] })),
  })),
];

const commitments = ({ batches = [] }) => table({
  label: 'Commitments', columns: [{ name: 'Batch' }, { name: 'State' }, { name: 'Commitment', grow: true }, { name: 'Root', wide: true }, { name: 'Transaction', wide: true }, { name: 'Activated, UTC', wide: true }],
  rows: batches.map((b) => ({ key: b.number, cells: [h('a', { href: `/batches/${b.number}` }, b.number), pill(b.state), id(b.commitment), id(b.payoutRoot), id(b.activatedTx?.hash ?? b.proposedTx?.hash), when(b.activated)] })),
  empty: 'No batch was sealed yet, so the chain holds nobody to anything.',
});

function balance({ totals = [] }) {
  const sum = totals.reduce((all, t) => all + big(t.amountNano), 0n);
  return table({
    label: 'Trial balance', columns: [{ name: 'Account', grow: true }, { name: 'Owners', right: true }, { name: 'Balance', unit: coin, right: true }],
    rows: totals.map((t) => ({ key: t.kind, cells: [t.kind, number(t.accounts), money(t.amountNano, { unit: false })] })),
    total: [['All ', pill(sum === 0n ? 'they sum to zero' : 'they do not sum to zero', sum === 0n ? 'good' : 'bad')], '', money(sum, { unit: false })],
  });
}
