// Documents, which are pages of their own: statements, invoices. See docs/documents.md.
import { h } from './dom.js';
import { key } from './api.js';
import { icon } from './icons.js';

// month is the one under way, in UTC.
export const month = () => new Date().toISOString().slice(0, 7);

// paper is a link to a document. A browser sends no key along with a link, so who has one gets the document as a file.
export const paper = (href, name) => h('a', { href, target: '_blank', onclick: key() ? fetched(href) : null }, icon('paper'), name);

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
