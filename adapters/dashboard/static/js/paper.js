// Documents, which are pages of their own: statements, invoices. See docs/documents.md.
import { h } from './dom.js';
import { key } from './api.js';
import { icon } from './icons.js';
import { table } from './parts.js';

// month is the one under way, in UTC.
export const month = () => new Date().toISOString().slice(0, 7);

// paper is a link to a document. A browser sends no key along with a link, so who has one gets the document as a file.
export const paper = (href, name, { bare = false } = {}) => h('a', { href, target: '_blank', onclick: key() ? fetched(href) : null }, !bare && icon('paper'), name);

// monthsShown is how many months have their documents listed.
const monthsShown = 6;

// months are the last ones of a network, the one under way first.
function months(createdAtMs) {
  const now = new Date();
  return Array.from({ length: monthsShown }, (_, i) => new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() - i, 1)))
    .filter((begin) => Date.UTC(begin.getUTCFullYear(), begin.getUTCMonth() + 1, 1) > createdAtMs)
    .map((begin) => begin.toISOString().slice(0, 7));
}

// papers lists the documents at a path: by month, as a page, for a sheet, and for a program.
export const papers = (path, createdAtMs) => table({
  label: 'Documents', columns: [{ name: 'Month, UTC' }, { name: 'State', wide: true }, { name: 'To print' }, { name: 'For a sheet' }, { name: 'For a program' }],
  rows: months(createdAtMs).map((month, i) => ({
    key: month,
    cells: [month, h('span', { class: 'soft' }, i > 0 ? 'final, once every shard is past it' : 'draft: the month is under way'), ...['html', 'csv', 'json'].map((kind) => paper(`${path}/${month}.${kind}`, kind.toUpperCase(), { bare: true }))],
  })),
});

const fetched = (href) => async (event) => {
  event.preventDefault();
  const answer = await fetch(href, { headers: { Authorization: `Bearer ${key()}` } });
  if (!answer.ok) return;
  const link = document.createElement('a');
  link.href = URL.createObjectURL(await answer.blob());
  link.download = href.split('/').slice(1).join('-');
  link.click();
  URL.revokeObjectURL(link.href);
};
