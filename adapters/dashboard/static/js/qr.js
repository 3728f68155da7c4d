// How a link is drawn for a phone's camera.
import qrcode from '../thirdparty/qrcode/qrcode.mjs';
import { h } from './dom.js';

// qr draws a text as a QR code, or null where it is longer than a code can be. The most forgiving size that still fits a proof
// is the one with low redundancy.
export function qr(text, label) {
  if (!drawn.has(text)) {
    if (drawn.size >= mostDrawn) drawn.clear();
    drawn.set(text, squares(text));
  }
  const { n, d } = drawn.get(text);
  return d && h('svg', { viewBox: `-2 -2 ${n + 4} ${n + 4}`, role: 'img', 'aria-label': label, 'shape-rendering': 'crispEdges' },
    h('rect', { x: -2, y: -2, width: n + 4, height: n + 4, fill: '#fff' }), h('path', { d, fill: '#000' }));
}

// What was drawn: a page asks for the same ones every other second.
const drawn = new Map();
const mostDrawn = 4;

function squares(text) {
  const code = qrcode(0, 'L');
  code.addData(text);
  try {
    code.make();
  } catch {
    return { n: 0, d: null };
  }
  const n = code.getModuleCount();
  let d = '';
  for (let y = 0; y < n; y++) for (let x = 0; x < n; x++) if (code.isDark(y, x)) d += `M${x} ${y}h1v1h-1z`;
  return { n, d };
}
