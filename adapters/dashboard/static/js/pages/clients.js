// Who pays for jobs, what is left of what they deposited, and how long it lasts.
import { h } from '../dom.js';
import { got } from '../api.js';
import { figures, heading, money, pages, part, pill, table, when } from '../parts.js';
import { big, coin, count, number, short } from '../words.js';
import { burned, dayFrom, lasts } from '../burn.js';

export default {
  path: '/clients', section: 'clients', every: 3000,

  async load(books, params, query) {
    const now = Date.now();
    const answer = await books.ask('NetworkService/ListClients', { page: { size: 100, cursor: query.get('after') ?? '' } });
    return { ...answer, now, ...await books.all({ hours: ['JobService/ListUsage', { by: ['USAGE_COLUMN_CLIENT'], fromMs: String(dayFrom(now)) }] }) };
  },

  title: () => 'Clients',

  view({ clients = [], nextCursor, hours, now }, params, query) {
    const whole = !nextCursor && !query.get('after') && clients.length > 0;
    const all = (of) => clients.reduce((sum, c) => sum + big(of(c)), 0n);
    const available = all((c) => c.availableNano), reserved = all((c) => c.reservedNano);
    const used = new Map((got(hours)?.usage ?? []).map((u) => [u.client, u.chargeNano]));
    const burns = new Map(clients.map((c) => [c.client, burned(big(used.get(c.client)), count(c.registered?.atMs), now)]));
    const spent = [...burns.values()].reduce((sum, b) => sum + b.spent, 0n);
    return [
      heading({ title: 'Clients', about: 'Each holds prepaid accounts. A job reserves its worst case, and pays what it used.' }),
      whole && figures([
        { label: 'Available', value: money(available), note: 'prepaid, free to use' },
        { label: 'Reserved', value: money(reserved), note: 'for open jobs' },
        { label: 'Spent', value: money(spent), note: 'in the last 24 hours, before refunds' },
        { label: 'Accounts', value: number(all((c) => c.accounts)), note: `of ${number(clients.length)} clients` },
      ], { label: 'Clients' }),
      h('div', { class: whole ? 'below' : null }, table({
        label: 'Clients',
        columns: [{ name: 'Client', grow: true }, { name: 'Registered, UTC', wide: true }, { name: 'Accounts', right: true, wide: true }, { name: 'Reserved', unit: coin, right: true, wide: true },
          { name: 'Spent in 24 h', unit: coin, right: true, wide: true }, { name: 'Available', unit: coin, right: true }, { name: 'Lasts', right: true }],
        rows: clients.map((c) => {
          const burn = burns.get(c.client);
          return {
            key: c.client,
            cells: [[h('a', { href: `/clients/${c.client}`, title: c.client }, c.name || short(c.client)), c.retiredAtMs && [' ', pill('retired', 'plain')]], when(c.registered), number(c.accounts), money(c.reservedNano, { unit: false }),
              money(burn.spent, { unit: false }), money(c.availableNano, { unit: false }), burn.perHour > 0n ? lasts(big(c.availableNano), burn.perHour) : '–'],
          };
        }),
        total: whole && ['All', '', number(all((c) => c.accounts)), money(reserved, { unit: false }), money(spent, { unit: false }), money(available, { unit: false }), ''],
        empty: ['No client is registered yet. The network’s admin does it with the claim ', h('code', {}, 'register_client'), '; docs/roles/node.md shows how.'],
      })),
      part(hours, () => null),
      pages('/clients', query, nextCursor),
    ];
  },
};
