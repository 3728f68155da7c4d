// What pages are made of. Each is a function from values to a tree; none knows where its values are from.
import { h } from './dom.js';
import { icon } from './icons.js';
import { Problem } from './api.js';
import { amount, big, coin, coins, count, day, short, span, time, words } from './words.js';

// heading begins a page: where it is, what it shows, and what one can do with it.
export function heading({ above = [], title, mono = false, state, about, actions }) {
  return h('div', { class: 'heading', key: 'heading' },
    above.length > 0 && h('nav', { class: 'above', 'aria-label': 'Above this page' }, above.map(([href, name]) => h('span', { key: href }, h('a', { href }, name), h('span', { 'aria-hidden': 'true' }, '/')))),
    h('div', { class: 'title' }, h('h1', { tabindex: '-1', class: mono ? 'mono' : null }, title), state, actions && h('div', { class: 'actions' }, actions)),
    about && h('p', { class: 'about' }, about));
}

// section is a part of a page under its own heading.
export function section(title, { note, more, key = title } = {}, ...content) {
  return h('section', { key },
    h('div', { class: 'over' }, h('h2', {}, title), note && h('p', { class: 'soft' }, note), more && h('a', { href: more[0] }, more[1])), content);
}

// money is an amount with all its nine digits; its first ones that count stand out. A screen reader gets it in one piece.
export function money(nano, { unit = true, signed = false } = {}) {
  const { sign, whole, rest } = amount(nano);
  const plus = signed && big(nano) > 0n ? '+' : '';
  const zeros = whole === '0' ? `0.${/^0*/.exec(rest)[0]}` : '';
  return h('span', { class: 'money' },
    h('span', { 'aria-hidden': 'true' }, plus + sign, zeros ? [h('span', { class: 'rest' }, zeros), rest.slice(zeros.length - 2)] : [whole, h('span', { class: 'rest' }, `.${rest}`)]),
    h('span', { class: 'hidden' }, plus + coins(nano)), unit && h('span', { class: 'unit' }, `\u00a0${coin}`));
}

// figures are the main figures of a page: [{label, value, note, tone, href}]; href is where the figure is told in full.
export function figures(some, { label } = {}) {
  return h('dl', { class: 'figures-row', key: label, 'aria-label': label }, some.filter(Boolean).map(({ label: name, value, note, tone, href }) => h('div', { key: name, class: tone },
    h('dt', {}, href ? h('a', { href }, name) : name), h('dd', {}, h('span', { class: 'value' }, value), note && h('span', { class: 'note' }, note)))));
}

// facts is a list of names and values: [[name, value], …]; what has no value is left out.
export function facts(some) {
  return h('dl', { class: 'facts' }, some.filter((f) => f && f[1] !== undefined && f[1] !== null && f[1] !== '').map(([name, value]) => h('div', { key: name }, h('dt', {}, name), h('dd', {}, value))));
}

// table shows rows: columns are [{name, unit, right, wide, extra, grow, fill}]; wide ones are left out on a phone, extra ones on
// all but a large screen; what grows may be broken into lines, what fills takes the room that the others leave. Rows are
// {key, cells}, the first cell is the row's name; or {key, head}, which begins a group. total is the cells of a last row
// that sums the others.
export function table({ label, columns, rows, empty, total }) {
  if (rows.length === 0) return nothing(empty ?? 'There is nothing yet.');
  const look = (column) => [column.right && 'right', column.wide && 'wide', column.extra && 'extra', column.grow && 'grow', column.fill && 'fill'].filter(Boolean).join(' ') || null;
  const line = (row) => h('tr', { key: row.key, class: row.tone }, row.cells.map((cell, i) => h(i === 0 ? 'th' : 'td', { key: i, scope: i === 0 ? 'row' : null, class: look(columns[i]) }, cell)));
  return h('div', { class: 'scroll', role: 'region', 'aria-label': label, tabindex: '0' }, h('table', {},
    h('thead', {}, h('tr', {}, columns.map((column) => h('th', { key: column.name, scope: 'col', class: look(column) },
      column.name, column.unit && h('span', { class: 'unit' }, `, ${column.unit}`))))),
    h('tbody', {}, rows.map((row) => (row.head ? h('tr', { key: row.key, class: 'group' }, h('th', { colspan: columns.length, scope: 'rowgroup' }, h('div', {}, row.head))) : line(row)))),
    total && h('tfoot', {}, line({ cells: total }))));
}

// cameFrom has for each cursor that somebody went to in this tab the one of the page before it.
const cameFrom = new Map();

// pages goes through a long list. Where it stands is in the page's address, so that it can be linked and gone back on.
export function pages(path, query, next) {
  const after = query.get('after');
  if (!after && !next) return null;
  const to = (cursor) => {
    const q = new URLSearchParams(query);
    q.delete('after');
    if (cursor) q.set('after', cursor);
    return q.size ? `${path}?${q}` : path;
  };
  const before = cameFrom.get(after);
  return h('nav', { class: 'pages', 'aria-label': 'Pages of the list' },
    after && h('a', { key: 'first', href: to('') }, 'First page'), before && h('a', { key: 'before', href: to(before) }, 'Previous page'), next && h('a', { key: 'next', href: to(next), onclick: () => cameFrom.set(next, after ?? '') }, 'Next page'));
}

// id is an id in short, linked to its page; the whole of it is its title.
export const id = (text, href) => !text ? dash() : href ? h('a', { class: 'mono', href, title: text }, short(text)) : h('span', { class: 'mono', title: text }, short(text));

// copyable is the whole of an id or hash, with a button that copies it. One that is clipped keeps to one line, and shows
// as much as there is room for.
export const copyable = (text, { clip = false } = {}) => !text ? dash() : h('span', { class: clip ? 'copyable clip' : 'copyable' }, h('code', { title: clip ? text : null }, text),
  h('button', { type: 'button', class: 'quiet copy', 'aria-label': `Copy ${text.slice(0, 8)}`, title: 'Copy', onclick: copy(text) }, icon('copy'), icon('done')));

const copiedMs = 1200;

// copy puts a text on the clipboard, and tells those who see the button and those who hear the page.
const copy = (text) => async (event) => {
  const button = event.currentTarget;
  await navigator.clipboard.writeText(text);
  button.classList.add('copied');
  document.getElementById('spoken').textContent = 'Copied';
  setTimeout(() => button.classList.remove('copied'), copiedMs);
};

// slashed is a name that may be broken behind its slashes and nowhere else: deepseek-ai/DeepSeek-R1.
export const slashed = (name) => h('span', { class: 'slashed' }, name.split(/(?<=\/)/).map((piece, i) => [i > 0 && h('wbr', {}), h('span', { key: i }, piece)]));

export const dash = () => h('span', { class: 'soft' }, '–');

// tones say how a word is meant.
const tones = {
  paid: 'good', completed: 'good', activated: 'good', pass: 'good', attested: 'good', active: 'good', released: 'good',
  held: 'open', pending: 'open', open: 'open', sealed: 'open', proposed: 'open', submitted: 'open', assigned: 'open', started: 'open', incomplete: 'open', busy: 'open',
  rejected: 'bad', failed: 'bad', vetoed: 'bad', fail: 'bad', suspended: 'bad', refused: 'bad', expired: 'bad', revoked: 'bad',
};

export const pill = (word, tone = tones[word]) => word ? h('span', { class: `pill ${tone ?? 'plain'}` }, words(word)) : dash();

// when is a moment of log time, in UTC; its title is the whole of it, with its place in the ledger.
export const when = (moment, { shard } = {}) => !moment?.atMs ? dash()
  : h('time', { datetime: new Date(count(moment.atMs)).toISOString(), title: `${time(moment.atMs)} UTC${moment.offset ? `, ledger ${shard ?? 0}/${moment.offset}` : ''}` }, h('span', { class: 'soft' }, time(moment.atMs).slice(0, 11)), time(moment.atMs).slice(11, 19));

// commands are lines for a terminal.
export const commands = (...lines) => h('pre', { tabindex: '0' }, h('code', {}, lines.filter(Boolean).join('\n')));

// timeline is what happened, in the order of time: [{key, at, expected, title, detail, place, tone, done}]. What has no time
// has not happened yet, unless it is done; expected stands in its place.
export function timeline(steps) {
  return h('ol', { class: 'timeline' }, steps.map((step, i) => {
    const before = steps.slice(0, i).findLast((s) => s.at);
    const sameDay = before && step.at && day(before.at) === day(step.at);
    return h('li', { key: step.key ?? i, class: [step.tone, !step.at && !step.done && 'future'].filter(Boolean).join(' ') || null },
      h('div', { class: 'at' }, step.at ? h('time', { datetime: new Date(count(step.at)).toISOString(), title: `${time(step.at)} UTC` }, sameDay ? time(step.at).slice(11) : time(step.at)) : step.expected ?? '–',
        before && step.at && count(step.at) >= count(before.at) && h('span', { class: 'soft' }, `+${span(count(step.at) - count(before.at))}`)),
      h('div', { class: 'what' }, h('strong', {}, step.title), step.detail && h('span', { class: 'detail' }, step.detail)),
      step.place && h('div', { class: 'soft place' }, step.place));
  }));
}

// part shows an answer, or why there is none in its place.
export function part(answer, view) {
  if (answer instanceof Problem) return nothing(answer.code === 'permission_denied' ? 'This key may not ask for it.' : answer.code === 'unimplemented' ? 'This server does not answer it.' : answer.message);
  return answer === undefined ? null : view(answer);
}

// nothing stands where a list is empty.
export const nothing = (text) => h('p', { class: 'nothing' }, text);

// waiting is shown while a page loads, after a moment.
export const waiting = () => h('div', { class: 'waiting', key: 'waiting' }, h('p', { class: 'hidden' }, 'Loading'), [1, 2, 3].map((i) => h('div', { key: i, class: `bone bone-${i}`, 'aria-hidden': 'true' })));

// trouble is shown instead of a page that can't be: what is wrong, and the ways on. up is the list that the page is of.
export function trouble(problem, { again, giveKey, up }) {
  const [title, what] = {
    not_found: ['There is no such thing', 'It may be misspelt, or of another network.'],
    invalid_argument: ['This can’t be looked up', 'An id has 64 hexadecimal digits, a batch is a number.'],
    permission_denied: ['This key may not see this', 'It is for somebody else. Another key may see it.'],
    unauthenticated: ['A key is needed', 'This server answers whom it knows.'],
    unreachable: ['The server does not answer', 'The page asks again every few seconds.'],
    unavailable: ['The books are behind', 'The tables have yet to read the ledger that far. The page asks again every few seconds.'],
    resource_exhausted: ['Too many questions', 'The server asks for a little patience. The page asks again in a few seconds.'],
  }[problem.code] ?? ['This could not be shown', ''];
  const key = ['unauthenticated', 'permission_denied'].includes(problem.code);
  return h('div', { class: 'trouble', key: 'trouble', role: 'alert' }, h('h1', { tabindex: '-1' }, title), h('p', {}, what),
    problem.message && h('p', {}, h('code', {}, problem.message)),
    h('p', { class: 'ways' }, key && h('button', { key: 'key', type: 'button', class: 'primary', onclick: giveKey }, problem.code === 'unauthenticated' ? 'Give a key' : 'Use another key'),
      !key && !['not_found', 'invalid_argument'].includes(problem.code) && h('button', { key: 'again', type: 'button', onclick: again }, 'Try again'),
      up && h('a', { key: 'up', href: up[0] }, up[1]), h('a', { key: 'home', href: '/' }, 'Overview')));
}

// share is a row of parts of one whole, as a bar: [{name, nano, hue}]; what has a hue carries it beside its name, too.
// of is the whole, where the parts are not all of it.
export function share(parts, { label, of } = {}) {
  const all = of ?? parts.reduce((sum, p) => sum + big(p.nano), 0n);
  // Widths are drawn, not read: a millionth of the whole is fine enough for them.
  const width = (nano) => (all > 0n ? Number((big(nano) * 1_000_000n) / all) / 10_000 : 0);
  return h('div', { class: 'share' }, h('div', { class: 'bar-of', role: 'img', 'aria-label': label }, parts.filter((p) => big(p.nano) > 0n).map((p) => h('span', { key: p.name, class: `hue-${p.hue}`, style: { '--width': `${width(p.nano)}%` } }))));
}
