// A line as small as a word, for a cell of a table: the shape of what the figures beside it say.
import { h } from './dom.js';

const width = 120, height = 24;

// spark draws values at even steps; what is null was not known, and the line goes past it. The last one is a dot. The label is its text for who can't see it.
export function spark(values, { label }) {
  const known = values.filter((v) => v !== null);
  if (known.length === 0) return h('span', { class: 'soft' }, '–');
  const low = Math.min(...known), high = Math.max(...known);
  const x = (i) => Math.round((i / Math.max(1, values.length - 1)) * width * 10) / 10;
  const y = (v) => Math.round((high > low ? height - 3 - ((v - low) / (high - low)) * (height - 6) : height / 2) * 10) / 10;
  const last = values.findLastIndex((v) => v !== null);
  const line = values.map((v, i) => (v === null ? '' : `${x(i)} ${y(v)}`)).filter(Boolean).join('L');
  return h('svg', { class: 'spark', viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': label },
    h('path', { d: `M${line}` }), h('circle', { cx: x(last), cy: y(values[last]), r: 2.5 }));
}
