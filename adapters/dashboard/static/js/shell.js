// What is around every page: the way about, the search, who asks, and the loop that loads a page and keeps it fresh.
import { h, patch } from './dom.js';
import { Books, Problem, key, setKey } from './api.js';
import { match } from './router.js';
import { icon } from './icons.js';
import { trouble, waiting } from './parts.js';

const sections = [
  ['overview', '/', 'Overview'],
  ['jobs', '/jobs', 'Jobs'],
  ['market', '/market', 'Market'],
  ['providers', '/providers', 'Providers'],
  ['clients', '/clients', 'Clients'],
  ['batches', '/batches', 'Batches'],
  ['network', '/network', 'Network'],
  ['audit', '/audit', 'Audit'],
];

// slowMs is after how long a page that is still loading says so; one that is quicker shows nothing in between.
const slowMs = 200;
// againMs is after how long a page that could not be shown, for a trouble that passes, is asked for again.
const againMs = 3000;
const passing = ['unreachable', 'unavailable', 'resource_exhausted', 'deadline_exceeded'];
// sayEveryMs is how often a page that moves tells a screen reader where it stands.
const sayEveryMs = 20_000;

// shardsShown is of how many shards the foot says where they were read; a network has up to 1024.
const shardsShown = 9;

const state = {
  pages: [],
  page: null, params: {}, query: new URLSearchParams(),
  data: undefined, problem: undefined, stale: false, paused: false, slow: false,
  books: null, network: undefined, menu: false, theme: document.documentElement.dataset.theme ?? 'auto', said: 0,
};
let visit = null; // the AbortController of the page that is shown
let timer = 0;

export function start(pages) {
  state.pages = pages;
  window.addEventListener('popstate', () => open({ focus: false }));
  document.addEventListener('click', follow);
  document.addEventListener('keydown', shortcuts);
  document.addEventListener('redraw', render);
  document.addEventListener('look', look);
  document.addEventListener('visibilitychange', () => { if (!document.hidden) look(); });
  render();
  open({ focus: false });
}

// go shows another page.
export function go(url, { replace = false, focus = !replace } = {}) {
  if (replace) history.replaceState(null, '', url);
  else history.pushState(null, '', url);
  open({ focus });
}

// follow takes clicks on our own links, unless the person wants the browser to.
function follow(event) {
  const link = event.target.closest?.('a[href]');
  if (!link || event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const url = new URL(link.href);
  if (url.origin !== location.origin || link.target || link.hasAttribute('download') || !match(state.pages, url.pathname)) return;
  if (url.pathname === location.pathname && url.search === location.search && url.hash) return;
  event.preventDefault();
  go(url.pathname + url.search);
}

function shortcuts(event) {
  if (event.key === 'Escape' && state.menu) toggleMenu(false);
  if (event.key !== '/' || event.ctrlKey || event.metaKey || event.altKey || event.target.closest('input, textarea, select, dialog')) return;
  event.preventDefault();
  document.getElementById('find')?.focus();
}

function open({ focus }) {
  visit?.abort();
  visit = new AbortController();
  clearTimeout(timer);
  const found = match(state.pages, location.pathname);
  Object.assign(state, {
    page: found?.page ?? null, params: found?.params ?? {}, query: new URLSearchParams(location.search),
    menu: false, problem: undefined, stale: false, said: Date.now(), next: true,
  });
  if (!found) state.problem = new Problem('not_found', `There is no page ${location.pathname}`);
  load({ first: true, focus });
}

// load asks for what the page shows. The page before stays until the answer is there.
async function load({ first = false, focus = false } = {}) {
  const { page, params, query } = state;
  const signal = visit.signal;
  if (!page) {
    state.data = undefined;
    render();
    return;
  }
  const late = first && setTimeout(() => { state.slow = true; render(); }, slowMs);
  const books = new Books(signal, first ? [] : state.books?.at);
  try {
    if (!state.network) state.network = (await books.ask('NetworkService/GetNetwork')).network;
    const data = await page.load(books, params, query, state.network);
    if (signal.aborted) return;
    if (data?.redirect) {
      go(data.redirect, { replace: true, focus });
      return;
    }
    Object.assign(state, { data, books, problem: undefined, stale: false });
  } catch (problem) {
    if (signal.aborted) return;
    if (problem.code === 'unauthenticated') askForKey();
    if (first || !state.data || problem.code === 'unauthenticated') Object.assign(state, { problem, data: undefined, books });
    else state.stale = true;
    if (!(problem instanceof Problem)) console.error(problem);
  } finally {
    clearTimeout(late);
  }
  state.slow = false;
  state.next = false;
  render();
  if (first) {
    window.scrollTo(0, 0);
    if (focus) document.querySelector('h1')?.focus();
  }
  say();
  clearTimeout(timer);
  if (document.hidden) return;
  if (passing.includes(state.problem?.code)) timer = setTimeout(look, againMs);
  else if (page.every && !state.paused) timer = setTimeout(look, page.every);
}

// look loads what is shown again.
function look() {
  clearTimeout(timer);
  if (document.hidden) return;
  if (passing.includes(state.problem?.code)) load({ first: true });
  else if (state.page?.every && !state.paused && state.data !== undefined) load();
}

// say tells a screen reader the page's main figures, not each time that they move.
function say() {
  const sentence = state.data !== undefined && state.page?.spoken?.(state.data);
  if (!sentence || Date.now() - state.said < sayEveryMs) return;
  state.said = Date.now();
  document.getElementById('spoken').textContent = sentence;
}

function render() {
  const { page, params, query, data, problem } = state;
  const shown = !state.next || problem || data === undefined;
  document.title = `${problem ? 'Not shown' : page && data !== undefined && shown ? page.title(data, params) : 'Loading'} · Filature`;
  const up = sections.find(([id, href]) => id === page?.section && href !== '/' && href !== location.pathname);
  const content = problem ? trouble(problem, { again: () => load({ first: true }), giveKey: askForKey, up: up && up.slice(1) })
    : data === undefined || !shown ? waiting()
      : page.view(data, params, query);
  patch(document.getElementById('shell'), [
    header(),
    h('main', { id: 'content', key: 'main', tabindex: '-1', 'aria-busy': state.slow ? 'true' : null },
      h('div', { class: 'page', key: location.pathname }, content)),
    foot(),
    h('p', { id: 'spoken', key: 'spoken', class: 'hidden', role: 'status', 'aria-live': 'polite' }, document.getElementById('spoken')?.textContent ?? ''),
    signIn(),
  ]);
}

function header() {
  return h('header', { key: 'header', class: 'bar' },
    h('div', { class: 'top' },
      h('a', { class: 'mark', href: '/' }, icon('mark'), 'Filature'),
      h('button', { type: 'button', class: 'menu', 'aria-expanded': String(state.menu), 'aria-controls': 'ways', onclick: () => toggleMenu(!state.menu) },
        icon(state.menu ? 'close' : 'menu'), h('span', { class: 'hidden' }, 'Menu'))),
    navigation());
}

function toggleMenu(open) {
  state.menu = open;
  render();
  if (!open) document.querySelector('.menu')?.focus();
}

function navigation() {
  return h('div', { class: state.menu ? 'side open' : 'side', id: 'ways' },
    h('form', { role: 'search', class: 'find', onsubmit: search },
      h('label', { class: 'hidden', for: 'find' }, 'Find a job, provider, worker, account or batch'),
      icon('find'),
      h('input', { id: 'find', name: 'q', type: 'search', placeholder: 'Find an id', autocomplete: 'off', spellcheck: 'false', maxlength: '80' }),
      h('kbd', { 'aria-hidden': 'true' }, '/')),
    h('nav', { 'aria-label': 'Pages' }, h('ul', {}, sections.filter(([id]) => state.pages.some((p) => p.section === id)).map(([id, href, name]) => h('li', { key: id },
      h('a', { href, 'aria-current': state.page?.section === id ? (state.page.path === href ? 'page' : 'true') : null }, icon(id), name))))),
    h('div', { class: 'self' },
      h('p', { class: 'network' }, h('span', { class: 'soft' }, 'Network'), h('strong', {}, state.network?.name ?? '–')),
      h('div', { class: 'controls' },
        h('button', { type: 'button', onclick: turnTheme, title: `Theme: ${state.theme}` }, icon(state.theme), h('span', { class: 'hidden' }, 'Theme: '), h('span', {}, { auto: 'Auto', light: 'Light', dark: 'Dark' }[state.theme])),
        key() && h('button', { type: 'button', onclick: () => { setKey(''); location.reload(); } }, icon('leave'), h('span', {}, 'Forget key')))));
}

function search(event) {
  event.preventDefault();
  const q = new FormData(event.target).get('q').trim();
  if (!q) return;
  event.target.reset();
  go(`/find?q=${encodeURIComponent(q)}`);
}

function turnTheme() {
  state.theme = { auto: 'light', light: 'dark', dark: 'auto' }[state.theme];
  if (state.theme === 'auto') {
    delete document.documentElement.dataset.theme;
    localStorage.removeItem('theme');
  } else {
    document.documentElement.dataset.theme = state.theme;
    localStorage.setItem('theme', state.theme);
  }
  render();
  document.dispatchEvent(new Event('themechange'));
}

// foot says from where in the log the page's figures are.
function foot() {
  const { books, page } = state;
  const at = books?.at ?? [];
  return h('footer', { key: 'foot', class: 'foot' },
    h('div', { class: 'position' },
      at.length > 0 && h('p', { title: 'Per shard of the ledger, control first: the offset up to which all figures of this page are counted' }, 'As of log position ', h('span', { class: 'figures' }, at.slice(0, shardsShown).map((offset, shard) => h('span', { key: shard },
        h('span', { class: 'soft' }, `${shard}/`), offset, ' '))), at.length > shardsShown && `and ${at.length - shardsShown} more shards`)),
    page?.every && !state.problem && h('div', { class: 'live' },
      h('span', { class: state.stale ? 'pulse late' : state.paused ? 'pulse off' : 'pulse', 'aria-hidden': 'true' }),
      state.stale ? 'No answer, trying again' : state.paused ? 'Paused' : 'Live',
      h('button', { type: 'button', onclick: () => { state.paused = !state.paused; render(); look(); } }, state.paused ? 'Resume' : 'Pause')));
}

// askForKey opens the dialog, unless it is open.
function askForKey() {
  render();
  const dialog = document.getElementById('key-dialog');
  if (!dialog.open) dialog.showModal();
}

function signIn() {
  return h('dialog', { id: 'key-dialog', key: 'dialog', 'aria-labelledby': 'key-title' },
    h('form', { method: 'dialog', onsubmit: takeKey },
      h('h2', { id: 'key-title' }, 'This server asks for a key'),
      h('p', { class: 'soft' }, 'Your operator made one for you with ', h('code', {}, 'filature apikey'), '. It stays in this tab and goes to this server only.'),
      key() && state.problem?.code === 'unauthenticated' && h('p', { class: 'fault' }, 'The server does not know the key that was given.'),
      h('label', { for: 'key' }, 'Key'),
      h('input', { id: 'key', name: 'key', type: 'password', autocomplete: 'off', required: true, placeholder: 'filature_…' }),
      h('button', { class: 'primary', type: 'submit' }, 'Continue')));
}

function takeKey(event) {
  event.preventDefault();
  setKey(new FormData(event.target).get('key').trim());
  event.target.reset();
  document.getElementById('key-dialog').close();
  load({ first: true });
}
