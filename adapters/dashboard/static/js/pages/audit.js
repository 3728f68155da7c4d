// What can be checked: what this server says of its own books, and how somebody who does not believe it finds out.
import { h } from '../dom.js';
import { got } from '../api.js';
import { commands, facts, figures, heading, id, money, part, pill, section, table, when } from '../parts.js';
import { friendly } from '../address.js';
import { big, coin, number } from '../words.js';

export default {
  path: '/audit', section: 'audit', every: 4000,

  load: async (books, params, query, network) => ({
    network,
    ...await books.all({
      trial: ['MoneyService/GetTrialBalance'],
      batches: ['SettlementService/ListBatches', { page: { size: 10 } }],
    }),
    at: books.at,
  }),

  title: () => 'Audit',

  view({ network, trial, batches, at }) {
    const totals = got(trial)?.totals ?? [];
    const sum = totals.reduce((all, t) => all + big(t.amountNano), 0n);
    const list = got(batches)?.batches ?? [];
    const active = list.find((b) => b.state === 'activated');
    return [
      heading({ title: 'Audit', about: 'Every figure of these pages follows from two logs. Whoever has them can compute all of it again and compare it with the chain, without this server and without its keys.' }),
      figures([
        got(trial) && { label: 'All accounts together', value: money(sum), note: sum === 0n ? 'they sum to zero, as they must' : 'they do not sum to zero', tone: sum === 0n ? 'good' : 'bad' },
        { label: 'Records counted', value: number(at.reduce((all, o) => all + BigInt(o), 0n)), note: `in ${at.length} shards of the ledger` },
        { label: 'Batch in force', value: active ? h('a', { href: `/batches/${active.number}` }, active.number) : '–', note: active ? ['sealed ', when(active.sealed)] : 'none yet' },
        list.some((b) => b.state === 'vetoed') && { label: 'Vetoed', value: number(list.filter((b) => b.state === 'vetoed').length), note: 'of the last ten batches', tone: 'bad' },
      ], { label: 'Audit' }),
      section('What the chain holds the operator to', { note: 'each batch commits to its root, to the cut, and to the tree heads of all logs there' }, part(batches, commitments)),
      section('Check all of it', { note: 'with a copy of the logs; it ends with PASS, or names the first offence by log, shard and offset' },
        commands('filature audit --data FOLDER', 'filature audit --data FOLDER --html report.html'),
        h('div', { class: 'after' }, facts([
          ['Network', id(network.id)],
          ['Vault to compare with', network.vault ? h('code', {}, friendly(network.vault, { bounceable: true })) : '–'],
        ]))),
      section('Check one thing', { note: 'each makes a file that a stranger can verify' },
        commands('filature prove payout ADDRESS --data FOLDER --proof payout.proof', 'filature prove job JOB --data FOLDER --out job.proof', 'filature verify job.proof')),
      section('Trial balance', { note: 'the sum of each kind of account' }, part(trial, () => table({
        label: 'Trial balance', columns: [{ name: 'Account', grow: true }, { name: 'Owners', right: true }, { name: 'Balance', unit: coin, right: true }],
        rows: [...totals.map((t) => ({ key: t.kind, cells: [t.kind, number(t.accounts), money(t.amountNano, { unit: false })] })),
          { key: 'sum', cells: [h('strong', {}, 'Sum'), pill(sum === 0n ? 'zero' : 'not zero', sum === 0n ? 'good' : 'bad'), money(sum, { unit: false })] }],
      }))),
    ];
  },
};

const commitments = ({ batches = [] }) => table({
  label: 'Commitments', columns: [{ name: 'Batch' }, { name: 'State' }, { name: 'Commitment', grow: true }, { name: 'Root', wide: true }, { name: 'Transaction', wide: true }, { name: 'Activated, UTC', wide: true }],
  rows: batches.map((b) => ({ key: b.number, cells: [h('a', { href: `/batches/${b.number}` }, b.number), pill(b.state), id(b.commitment), id(b.payoutRoot), id(b.activatedTx?.hash ?? b.proposedTx?.hash), when(b.activated)] })),
  empty: 'No batch was sealed yet, so the chain holds nobody to anything.',
});
